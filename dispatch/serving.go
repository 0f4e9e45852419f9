package dispatch

import (
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/funcatron/funcatron/shared/envelope"
)

// trimEvery is how long a worker may be without work before it goes.
const trimEvery = 10 * time.Second

// serving is one Serve: its workers, and the calls it has not done with. Workers
// stay for a while when they have nothing to do, since a new goroutine grows its
// stack all over again.
type serving struct {
	responder *Responder
	slots     int
	handle    func(*Call)
	running   sync.WaitGroup // workers, idle or not

	mu      sync.Mutex
	workers int      // at most slots
	idle    []worker // the one that was busy last is the next
	unused  int      // of those, the first so many had no work since the last trim
	trimmer *time.Timer
	ended   bool    // workers go when they have nothing to do
	waiting []*Call // for a worker, since all are busy
	calls   []*Call // all that are not done with, waiting or not
	leaving bool    // nothing more is taken than what is here
}

// worker takes the calls that one goroutine runs, and ends with nil. It holds one.
type worker chan *Call

// take splits a message into its calls and hands them to the workers.
func (s *serving) take(d *Delivery) {
	for _, c := range s.responder.read(d, time.Now()) {
		c.in = s
		switch {
		case d.Redelivered && s.adopt(c):
			// It is here already: the connection was lost, not we.
		case d.Redelivered:
			s.responder.maybeRan.Inc()
			s.add(c)
			c.Reply(&envelope.Response{Status: 502, Fault: envelope.MaybeRan,
				Body: []byte("the runner that had this request is gone")})
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

// start gives c to a worker that is idle or new, or leaves it to those that are busy.
func (s *serving) start(c *Call) {
	s.mu.Lock()
	s.append(c)
	leaving := s.leaving
	last := len(s.idle) - 1
	switch {
	case last >= 0:
		s.idle[last] <- c
		s.idle = s.idle[:last]
		s.unused = min(s.unused, last)
	case s.workers < s.slots:
		s.workers++
		s.running.Go(func() { s.work(c) })
	default:
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

// work runs c, and then whatever there is.
func (s *serving) work(c *Call) {
	for w := make(worker, 1); c != nil; c = s.next(w) {
		if time.Now().After(c.Deadline) {
			s.responder.expired.Inc()
			c.finish() // whoever asked has been told
		} else {
			s.run(c)
		}
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

// next waits for w's next call; it is nil when w is to go.
func (s *serving) next(w worker) *Call {
	s.mu.Lock()
	if len(s.waiting) > 0 {
		c := s.waiting[0]
		s.waiting[0] = nil
		s.waiting = s.waiting[1:]
		s.mu.Unlock()
		return c
	}
	if s.ended {
		s.workers--
		s.mu.Unlock()
		return nil
	}
	s.idle = append(s.idle, w)
	if s.trimmer == nil {
		s.trimmer = time.AfterFunc(trimEvery, s.trim)
	}
	s.mu.Unlock()
	return <-w
}

// trim sends the workers away that had nothing to do since it was last called.
func (s *serving) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dismiss(s.unused)
	s.unused = len(s.idle)
	if s.trimmer = nil; s.workers > 0 && !s.ended {
		s.trimmer = time.AfterFunc(trimEvery, s.trim)
	}
}

// dismiss sends the first n idle workers away. mu is held.
func (s *serving) dismiss(n int) {
	for _, w := range s.idle[:n] {
		w <- nil
	}
	s.idle = slices.Delete(s.idle, 0, n)
	s.workers -= n
}

// end waits for the calls that run, and sends all workers away.
func (s *serving) end() {
	s.mu.Lock()
	s.ended = true
	s.dismiss(len(s.idle))
	if s.trimmer != nil {
		s.trimmer.Stop()
	}
	s.mu.Unlock()
	s.running.Wait()
}
