package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/shared/envelope"
)

// ResponderOptions configures a Responder.
type ResponderOptions struct {
	MaxBatch int // replies in one message, at most; 0 is DefaultMaxBatch
	Log      *slog.Logger
	Metrics  *metrics.Set
}

// Responder is the serving side of request/reply: it takes requests off queues,
// hands each to a function, and replies.
//
// A request is settled when its reply is with the broker, so that one whose
// Responder dies comes back and meets another. What comes back may have run, and is
// not run again: no message is run twice, whatever it does to those who run it.
// MaybeRan tells its Caller, who knows whether to send it anew, and how often that
// was done. What is late is not run at all.
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
	if o.MaxBatch < 1 {
		o.MaxBatch = DefaultMaxBatch
	}
	r := &Responder{log: o.Log}
	r.lanes.broker, r.lanes.most = b, o.MaxBatch
	r.lanes.messages = o.Metrics.NewCounter("funcatron_runner_bus_messages_total")
	r.lanes.items = o.Metrics.NewCounter("funcatron_runner_bus_replies_total")
	r.unreadable = o.Metrics.NewCounter("funcatron_runner_unreadable_requests_total")
	r.expired = o.Metrics.NewCounter("funcatron_runner_expired_requests_total")
	r.maybeRan = o.Metrics.NewCounter("funcatron_runner_redelivered_refused_total")
	r.lost = o.Metrics.NewCounter("funcatron_runner_lost_replies_total")
	return r
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
	announce := context.AfterFunc(ctx, s.announce)
	err := r.lanes.broker.Consume(ctx, q, slots, s.take)
	announce()
	s.end()
	if err != nil {
		return fmt.Errorf("serve %s: %w", q.Name, err)
	}
	return nil
}

// delivered is one message: it is settled when the last call in it is done with.
type delivered struct {
	*Delivery
	left atomic.Int32
}

func (d *delivered) done() {
	if d.left.Add(-1) == 0 {
		d.Settle(Ack)
	}
}

// refuse drops a message that no reply can answer.
func (r *Responder) refuse(d *Delivery, err error) {
	r.unreadable.Inc()
	r.log.Warn("message is unreadable and was dropped", "err", err, "bytes", len(d.Body))
	d.Settle(Ack)
}

// read takes a message apart.
func (r *Responder) read(d *Delivery, received time.Time) []*Call {
	if d.ReplyTo == "" {
		r.refuse(d, errors.New("no reply-to"))
		return nil
	}
	var calls []*Call
	replies := r.lanes.to(d.ReplyTo, everyCall)
	from := &delivered{Delivery: d}
	for msg := d.Body; len(msg) > 0; {
		c := &Call{Received: received, replies: replies, from: from}
		rest, err := envelope.NextRequest(msg, &c.Request)
		if err != nil && len(calls) > 0 {
			r.unreadable.Inc()
			r.log.Warn("rest of a message is unreadable", "err", err, "read", len(calls))
			break
		}
		if err != nil {
			r.refuse(d, err)
			return nil
		}
		c.Deadline = received.Add(c.Left)
		calls = append(calls, c)
		msg = rest
	}
	if len(calls) == 0 {
		r.refuse(d, errors.New("empty message"))
	}
	from.left.Store(int32(len(calls)))
	return calls
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
