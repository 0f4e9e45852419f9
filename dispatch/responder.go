package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/shared/envelope"
)

// replyRetry is how long a reply waits before it is tried again, when the broker
// took nothing: it may be back before the deadline.
const replyRetry = 50 * time.Millisecond

// ResponderOptions configures a Responder.
type ResponderOptions struct {
	Log     *slog.Logger
	Metrics *metrics.Set
}

// Responder is the serving side of request/reply: it takes requests off queues,
// hands each to a function, and replies.
//
// A request is settled when its reply is with the broker, so that one whose
// Responder dies comes back and meets another. What comes back is run again only
// when that does no harm; what is late is not run at all.
type Responder struct {
	log   *slog.Logger
	lanes lanes

	unreadable, expired, maybeRan, lost *metrics.Counter
}

// NewResponder makes a Responder. It owns no goroutine outside Serve.
func NewResponder(b Broker, o ResponderOptions) *Responder {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	r := &Responder{log: o.Log}
	r.lanes.broker = b
	r.lanes.messages = o.Metrics.NewCounter("funcatron_runner_bus_messages_total")
	r.lanes.items = o.Metrics.NewCounter("funcatron_runner_bus_replies_total")
	r.unreadable = o.Metrics.NewCounter("funcatron_runner_unreadable_requests_total")
	r.expired = o.Metrics.NewCounter("funcatron_runner_expired_requests_total")
	r.maybeRan = o.Metrics.NewCounter("funcatron_runner_redelivered_refused_total")
	r.lost = o.Metrics.NewCounter("funcatron_runner_lost_replies_total")
	return r
}

// Call is one request on its way through a Responder. The slices of its Request
// stay valid for as long as anybody holds them.
type Call struct {
	envelope.Request
	Received time.Time // by this side's monotonic clock
	Deadline time.Time // likewise

	from    *delivered
	replied bool
}

// maxReplyHeader bounds a reply's header lines in bytes, well below what an
// envelope may hold.
const maxReplyHeader = 256 << 10

// Reply answers the call. Of resp it takes Status, Header, Body, Ran and Fault, and
// is finished with them when it returns. It is called once. What no envelope can
// hold is answered as a fault: it would take the other replies of its message
// with it.
func (c *Call) Reply(resp *envelope.Response) {
	c.replied = true
	switch h := resp.Header; {
	case resp.Status < 100 || resp.Status > 999:
		resp = &envelope.Response{Status: 502, Fault: envelope.Died, Body: fmt.Appendf(nil, "it answered with status %d", resp.Status)}
	case len(h) > maxReplyHeader:
		resp = &envelope.Response{Status: 502, Fault: envelope.TooLarge, Body: fmt.Appendf(nil, "its header is %d bytes, at most %d are passed on", len(h), maxReplyHeader)}
	case len(h) > 0 && (!bytes.HasSuffix(h, []byte("\r\n")) || bytes.HasPrefix(h, []byte("\r\n")) || bytes.Contains(h, []byte("\r\n\r\n"))):
		resp = &envelope.Response{Status: 502, Fault: envelope.Died, Body: []byte("its header is malformed")}
	}
	resp.Call = c.Call
	resp.Held = time.Since(c.Received)
	size := len(resp.Header) + len(resp.Body) + 256
	b := envelope.AppendResponse(make([]byte, 0, size), resp, len(resp.Body))
	b = append(b, resp.Header...)
	b = append(b, "\r\n"...)
	b = append(b, resp.Body...)
	c.from.reply(item{body: b, call: c.Call, deadline: c.Deadline, owner: c.from})
}

// Serve consumes q until ctx ends, then waits for the calls that are running. h is
// called for at most slots calls at a time, each on a goroutine of its own, and
// calls Reply exactly once before it returns. Serve's error means that q can
// never be consumed.
func (r *Responder) Serve(ctx context.Context, q Queue, slots int, h func(*Call)) error {
	if slots < 1 {
		return fmt.Errorf("serve %s: %d slots", q.Name, slots)
	}
	s := &serving{responder: r, slots: slots, handle: h}
	err := r.lanes.broker.Consume(ctx, q, slots, s.take)
	s.running.Wait()
	if err != nil {
		return fmt.Errorf("serve %s: %w", q.Name, err)
	}
	return nil
}

// serving is one Serve.
type serving struct {
	responder *Responder
	slots     int
	handle    func(*Call)
	running   sync.WaitGroup

	mu      sync.Mutex
	workers int     // at most slots
	waiting []*Call // all workers are busy; bounded by the consumer's prefetch
}

// delivered is one message: it is settled when the last call in it is.
type delivered struct {
	*Delivery
	responder *Responder
	replies   *lane
	left      atomic.Int32
}

// take splits a message into its calls and hands them to the workers.
func (s *serving) take(d *Delivery) {
	now := time.Now()
	if d.ReplyTo == "" {
		s.responder.refuse(d, errors.New("no reply-to"))
		return
	}
	from := &delivered{Delivery: d, responder: s.responder, replies: s.responder.lanes.to(d.ReplyTo, maxBatch)}
	var first [4]*Call
	calls := first[:0]
	for msg := d.Body; len(msg) > 0; {
		c := &Call{Received: now, from: from}
		rest, err := envelope.NextRequest(msg, &c.Request)
		if err != nil {
			if len(calls) == 0 {
				s.responder.refuse(d, err)
				return
			}
			s.responder.unreadable.Inc()
			s.responder.log.Warn("rest of a message is unreadable", "err", err, "read", len(calls))
			break
		}
		c.Deadline = now.Add(c.Left)
		calls = append(calls, c)
		msg = rest
	}
	if len(calls) == 0 {
		s.responder.refuse(d, errors.New("empty message"))
		return
	}
	from.left.Store(int32(len(calls)))
	for _, c := range calls {
		if d.Redelivered && !c.Retry && !Idempotent(c.Method) {
			s.responder.maybeRan.Inc()
			c.Reply(&envelope.Response{Status: 502, Fault: envelope.MaybeRan,
				Body: []byte("the runner that had this request is gone, and a " + string(c.Method) + " is not run twice")})
			continue
		}
		s.start(c)
	}
}

// refuse drops a message that no reply can answer.
func (r *Responder) refuse(d *Delivery, err error) {
	r.unreadable.Inc()
	r.log.Warn("message is unreadable and was dropped", "err", err, "bytes", len(d.Body))
	d.Settle(Ack)
}

// start runs c on a new worker, or leaves it to those there are.
func (s *serving) start(c *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.workers == s.slots {
		s.waiting = append(s.waiting, c)
		return
	}
	s.workers++
	s.running.Go(func() { s.work(c) })
}

// work runs c, and then what waits.
func (s *serving) work(c *Call) {
	for c != nil {
		if time.Now().After(c.Deadline) {
			s.responder.expired.Inc()
			c.from.finish() // whoever asked has been told
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
			c.fault("the runner failed")
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

func (c *Call) fault(detail string) {
	c.Reply(&envelope.Response{Status: 502, Fault: envelope.Died, Body: []byte(detail)})
}

// Idempotent tells whether a request of this method may run twice: RFC 9110
// section 9.2.2.
func Idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE":
		return true
	}
	return false
}

func (d *delivered) reply(it item) { d.replies.send(it) }

func (d *delivered) wanted(it item, now time.Time) bool { return now.Before(it.deadline) }

// settled learns what became of one reply. A broker that took nothing gets it
// again until the deadline: to lose it would leave its caller waiting.
func (d *delivered) settled(it item, err error) {
	if (errors.Is(err, ErrDown) || errors.Is(err, ErrFull)) && time.Until(it.deadline) > replyRetry {
		time.AfterFunc(replyRetry, func() { d.reply(it) })
		return
	}
	if err != nil {
		d.responder.lost.Inc()
	}
	d.finish()
}

// finish counts one call of the message as done, and settles the message with the last.
func (d *delivered) finish() {
	if d.left.Add(-1) == 0 {
		d.Settle(Ack)
	}
}
