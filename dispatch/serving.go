package dispatch

import (
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/funcatron/funcatron/shared/envelope"
)

// serving is one Serve: its workers, and the calls it has not done with.
type serving struct {
	responder *Responder
	slots     int
	handle    func(*Call)
	running   sync.WaitGroup

	mu      sync.Mutex
	workers int     // at most slots
	waiting []*Call // for a worker, since all are busy
	calls   []*Call // all that are not done with, waiting or not
	leaving bool    // nothing more is taken than what is here
}

// take splits a message into its calls and hands them to the workers.
func (s *serving) take(d *Delivery) {
	for _, c := range s.responder.read(d, time.Now()) {
		c.in = s
		switch {
		case d.Redelivered && s.adopt(c):
			// It is here already: the connection was lost, not we.
		case d.Redelivered && !c.Retry && !Idempotent(c.Method):
			s.responder.maybeRan.Inc()
			s.add(c)
			c.Reply(&envelope.Response{Status: 502, Fault: envelope.MaybeRan,
				Body: []byte("the runner that had this request is gone, and a " + string(c.Method) + " is not run twice")})
		default:
			s.start(c)
		}
	}
}

// adopt finds the call that c is another delivery of, and tells whether there is one.
// That one then settles both; the first delivery's settlement does nothing any more.
func (s *serving) adopt(c *Call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, known := range s.calls {
		if known.Call == c.Call && known.replies.queue == c.replies.queue {
			known.again = append(known.again, c.from)
			return true
		}
	}
	return false
}

// add takes note of a call until it is done with.
func (s *serving) add(c *Call) {
	s.mu.Lock()
	s.append(c)
	s.mu.Unlock()
}

// append is add with mu held.
func (s *serving) append(c *Call) {
	c.index = len(s.calls)
	s.calls = append(s.calls, c)
}

// start runs c on a new worker, or leaves it to those there are.
func (s *serving) start(c *Call) {
	s.mu.Lock()
	s.append(c)
	leaving := s.leaving
	if s.workers < s.slots {
		s.workers++
		s.running.Go(func() { s.work(c) })
	} else {
		s.waiting = append(s.waiting, c)
	}
	s.mu.Unlock()
	if leaving {
		c.hold()
	}
}

// announce tells everybody who waits for a reply that it will come, although this
// consumer is gone from the queue.
func (s *serving) announce() {
	s.mu.Lock()
	s.leaving = true
	calls := slices.Clone(s.calls)
	s.mu.Unlock()
	for _, c := range calls {
		c.hold()
	}
}

// work runs c, and then what waits.
func (s *serving) work(c *Call) {
	for c != nil {
		if time.Now().After(c.Deadline) {
			s.responder.expired.Inc()
			c.finish() // whoever asked has been told
		} else {
			s.run(c)
		}
		c = s.next()
	}
}

// run hands c to h, and answers in h's place where h panics or forgets to: that
// costs one call, not the process.
func (s *serving) run(c *Call) {
	defer func() {
		if cause := recover(); cause != nil {
			s.responder.log.Error("BUG: panic while running a request", "panic", cause, "stack", string(debug.Stack()))
		}
		if !c.replied {
			c.Reply(&envelope.Response{Status: 502, Fault: envelope.Died, Body: []byte("the runner failed")})
		}
	}()
	s.handle(c)
}

func (s *serving) next() *Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.workers--
		return nil
	}
	c := s.waiting[0]
	s.waiting[0] = nil
	s.waiting = s.waiting[1:]
	return c
}
