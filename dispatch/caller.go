package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/shared/envelope"
)

// ErrDeadline means that the time for a call was over before its reply came.
var ErrDeadline = errors.New("no reply within the deadline")

// ErrLost means that those who served the queue are gone, with or without having
// run the call: a Caller was told to Abandon the queue.
var ErrLost = errors.New("nobody serves the queue any more")

// errStale is why an item never left its lane: nobody waits for it any more.
var errStale = errors.New("not sent: nobody waits for it any more")

// Request is what a Caller sends. AppendTo appends the whole envelope of the
// request, for the call and the time left that it is told.
type Request interface {
	AppendTo(dst []byte, call uint64, left time.Duration) []byte
}

// CallerOptions configures a Caller.
type CallerOptions struct {
	Prefix      string // of the reply queue's name
	MaxPending  int    // calls that wait for their reply, at most
	MaxPerQueue int    // of those, to one queue: one slow deployment leaves room for the others
	MaxBytes    int64  // of requests that wait for their reply or to be sent, at most; three quarters of it to one queue
	MaxBatch    int    // of those, in one message
	Log         *slog.Logger
	Metrics     *metrics.Set
}

// DefaultCallerOptions are good for a gateway of one process.
func DefaultCallerOptions() CallerOptions {
	return CallerOptions{Prefix: "replies-", MaxPending: 16384, MaxPerQueue: 12288, MaxBytes: 512 << 20, MaxBatch: DefaultMaxBatch, Log: slog.New(slog.DiscardHandler), Metrics: metrics.NewSet()}
}

func (o CallerOptions) validate() error {
	if o.MaxPending < 1 || o.MaxPending > maxCalls {
		return fmt.Errorf("MaxPending is %d, must be from 1 to %d", o.MaxPending, maxCalls)
	}
	if o.MaxPerQueue < 1 {
		return fmt.Errorf("MaxPerQueue is %d, must be at least 1", o.MaxPerQueue)
	}
	if o.MaxBatch < 1 {
		return fmt.Errorf("MaxBatch is %d, must be at least 1", o.MaxBatch)
	}
	if o.MaxBytes < 1 {
		return fmt.Errorf("MaxBytes is %d, must be at least 1", o.MaxBytes)
	}
	return nil
}

// Caller is the asking side of request/reply: it publishes requests and matches
// the replies that arrive in its own queue with the calls that wait for them.
//
// Every call ends: with its reply, with the broker's error, or at its deadline. A
// reply nobody waits for any more is counted and dropped.
type Caller struct {
	broker Broker
	opts   CallerOptions
	table  *pending
	lanes  lanes
	bytes  atomic.Int64           // of requests: of those that wait for their reply, and of those in a lane
	inbox  atomic.Pointer[string] // the reply queue's name; nil while there is none
	late   *metrics.Counter
	broken *metrics.Counter
	// Calls that were refused since their turn would have come too late.
	hopeless *metrics.Counter
}

// NewCaller makes a Caller; Run makes it work.
func NewCaller(b Broker, o CallerOptions) (*Caller, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("make caller: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	c := &Caller{broker: b, opts: o, table: newPending(o.MaxPending)}
	c.lanes.broker, c.lanes.most = b, o.MaxBatch
	c.lanes.replyTo = func() string {
		if name := c.inbox.Load(); name != nil {
			return *name
		}
		return ""
	}
	m := o.Metrics
	c.late = m.NewCounter("funcatron_gateway_late_replies_total")
	c.hopeless = m.NewCounter("funcatron_gateway_overload_refused_total")
	c.broken = m.NewCounter("funcatron_gateway_unreadable_replies_total")
	m.NewGauge("funcatron_gateway_pending_requests", func() float64 { return float64(c.Pending()) })
	c.lanes.messages = m.NewCounter("funcatron_gateway_bus_messages_total")
	c.lanes.items = m.NewCounter("funcatron_gateway_bus_requests_total")
	return c, nil
}

// Run keeps the reply queue until ctx ends, and fails what still waits then.
func (c *Caller) Run(ctx context.Context) error {
	sweeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { c.table.sweep(sweeping) })
	defer wg.Wait()
	defer stop()
	err := c.broker.Inbox(ctx, c.opts.Prefix, c.opened, c.receive)
	c.opened("")
	if err != nil {
		return fmt.Errorf("keep reply queue: %w", err)
	}
	return nil
}

// opened learns the reply queue's name. A lost queue took its replies with it, so
// what waits for one is told at once.
func (c *Caller) opened(name string) {
	if name != "" {
		c.inbox.Store(&name)
		return
	}
	if c.inbox.Swap(nil) != nil {
		c.table.failAll(nil, fmt.Errorf("reply queue lost: %w", ErrDown))
	}
}

func (c *Caller) receive(d *Delivery) {
	msg := d.Body
	for len(msg) > 0 {
		var r envelope.Response
		rest, err := envelope.NextResponse(msg, &r)
		if err != nil {
			c.broken.Inc()
			c.opts.Log.Warn("reply is unreadable", "err", err, "bytes", len(d.Body))
			return
		}
		if r.Fault == envelope.Held {
			c.table.keep(r.Call)
		} else if !c.table.resolve(&r) {
			c.late.Inc()
		}
		msg = rest
	}
}

// Abandon ends the calls that wait for a reply from queue with ErrLost: its last
// consumer has gone, and nobody can tell whether another will come in time. Calls
// that a leaving consumer still works on go on waiting.
func (c *Caller) Abandon(queue string) {
	if v, ok := c.lanes.byQueue.Load(queue); ok {
		c.table.failAll(v.(*lane), ErrLost)
	}
}

// Pending is how many calls wait for their reply.
func (c *Caller) Pending() int { return c.table.size() }

// scratch holds the buffers that envelopes are written in before their size is known.
var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// maxScratch is the largest buffer that is kept for reuse.
const maxScratch = 64 << 10

// Call sends req to queue and waits for the reply, which it puts in resp; resp's
// slices are the caller's to keep. batch is how many calls one consumer of the
// queue can start at once: no more than that share a message. Call is finished
// with req when it returns.
//
// Its error is ErrUnroutable when nobody serves the queue, ErrFull when the
// queue or the table of pending calls is, or when the call's turn would come too
// late, ErrTooLarge, ErrDown when the broker is away or
// goes away, ErrLost after Abandon, and ErrDeadline.
func (c *Caller) Call(queue string, batch int, deadline time.Time, req Request, resp *envelope.Response) error {
	if c.inbox.Load() == nil {
		if err := c.broker.Err(); err != nil {
			return err
		}
		return fmt.Errorf("no reply queue yet: %w", ErrDown)
	}
	start := time.Now()
	left := deadline.Sub(start)
	if left <= 0 {
		return ErrDeadline
	}
	l := c.lanes.to(queue, batch)
	n := l.inFlight.Add(1)
	defer l.inFlight.Add(-1)
	// What is queued outlives its call while the broker settles nothing.
	if n > int64(c.opts.MaxPerQueue) || l.queued.Load() >= int64(c.opts.MaxPerQueue) {
		return fmt.Errorf("%d requests of this deployment are pending: %w", c.opts.MaxPerQueue, ErrFull)
	}
	if !l.pace.admits(n, start, left) {
		c.hopeless.Inc()
		return fmt.Errorf("its turn would come too late: %w", ErrFull)
	}
	s, id := c.table.reserve(l, resp, deadline)
	if s == nil {
		return fmt.Errorf("%d requests are pending: %w", c.opts.MaxPending, ErrFull)
	}
	size := c.send(l, id, deadline, left, req)
	err := c.table.wait(s)
	c.held(l, -size)
	if err == nil && resp.Fault == envelope.NoFault {
		l.pace.answered(time.Since(start), resp.Ran, n)
	}
	return err
}

// held counts bytes of requests: of those that wait for their reply, and of those in
// a lane. It tells whether there are too many, in all or of one lane: one slow
// deployment with large requests leaves room for the others.
func (c *Caller) held(l *lane, n int64) (tooMany bool) {
	all, own := c.bytes.Add(n), l.weight.Add(n)
	return all > c.opts.MaxBytes || own > c.opts.MaxBytes/4*3
}

// send writes the request and puts it in its lane, or ends the call. It returns
// the request's size, which counts until the call has ended.
func (c *Caller) send(l *lane, id uint64, deadline time.Time, left time.Duration, req Request) (size int64) {
	sent := false
	defer func() {
		if !sent { // whatever happened: the call does not wait
			c.table.fail(id, ErrDown)
		}
	}()
	if c.inbox.Load() == nil { // lost since: failAll may have missed this call
		return 0
	}
	buf := scratch.Get().(*[]byte)
	b := req.AppendTo((*buf)[:0], id, left)
	if cap(b) <= maxScratch {
		*buf = b
	}
	defer scratch.Put(buf)
	size = int64(len(b))
	if c.held(l, 2*size) { // once for the call, once for the lane
		c.held(l, -size)
		c.table.fail(id, fmt.Errorf("too many bytes of requests are pending, of %d: %w", c.opts.MaxBytes, ErrFull))
		return size
	}
	sent = true
	l.queued.Add(1)
	l.send(item{body: bytes.Clone(b), call: id, deadline: deadline, owner: (*callOwner)(c)})
	return size
}

// callOwner is the Caller as its lanes see it.
type callOwner Caller

func (c *callOwner) wanted(it item, _ time.Time) bool { return c.table.waits(it.call) }

func (c *callOwner) settled(it item, err error) {
	it.lane.queued.Add(-1)
	(*Caller)(c).held(it.lane, -int64(len(it.body)))
	if err != nil { // of a stale call: it has ended
		c.table.fail(it.call, err)
	}
}
