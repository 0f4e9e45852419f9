// Package memory is the broker inside one process: dispatch.Broker on queues in
// memory.
//
// A message is in exactly one place: waiting in its queue's ring, handed to one
// consumer, or settled. A consumer that is idle and has room is in its queue's
// idle list only while the ring is empty, so a message never waits while somebody
// could take it. There is no goroutine but the callers' own: Publish puts the
// message down and wakes the goroutine that is in Consume or Inbox.
//
// Lock order: Broker.mu, then queue.mu. Handlers, settled and opened are called
// with neither.
package memory

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/dispatch"
)

// Options configures a Broker.
type Options struct {
	Metrics *metrics.Set // where its counters go; nil keeps them to itself
}

// Broker is a dispatch.Broker in memory. It is always up.
type Broker struct {
	start time.Time // deadlines count from here, on the monotonic clock

	mu     sync.Mutex                        // held to replace queues
	queues atomic.Pointer[map[string]*queue] // the map never changes; publishers read it without a lock

	returned, rejected, expired *metrics.Counter
}

var _ dispatch.Broker = (*Broker)(nil)

// New makes an empty broker that keeps its counters to itself.
func New() *Broker { return NewWith(Options{}) }

// NewWith makes an empty broker.
func NewWith(o Options) *Broker {
	set := o.Metrics
	if set == nil {
		set = metrics.NewSet()
	}
	b := &Broker{
		start:    time.Now(),
		returned: set.GetOrCreateCounter("funcatron_broker_returned_total"),
		rejected: set.GetOrCreateCounter("funcatron_broker_rejected_total"),
		expired:  set.GetOrCreateCounter("funcatron_broker_expired_total"),
	}
	b.queues.Store(&map[string]*queue{})
	return b
}

// Err is nil: memory does not go away.
func (b *Broker) Err() error { return nil }

// Publish implements dispatch.Broker. settled is called before it returns.
func (b *Broker) Publish(name string, m dispatch.Message, settled func(error)) {
	err := b.put(name, m)
	switch err {
	case dispatch.ErrUnroutable:
		b.returned.Inc()
	case dispatch.ErrFull:
		b.rejected.Inc()
	}
	if settled != nil {
		settled(err)
	}
}

func (b *Broker) put(name string, m dispatch.Message) error {
	e := entry{Message: m}
	if m.Expiration != 0 {
		e.deadline = b.now() + m.Expiration
	}
	for {
		q := (*b.queues.Load())[name]
		if q == nil {
			return dispatch.ErrUnroutable
		}
		if err := q.put(e); err != errGone {
			return err
		}
		// It was removed since, and perhaps declared again: the map knows.
	}
}

// Consume implements dispatch.Broker.
func (b *Broker) Consume(ctx context.Context, spec dispatch.Queue, prefetch int, h dispatch.Handler) error {
	if err := spec.Check(prefetch); err != nil {
		return fmt.Errorf("consume %s: %w", spec.Name, err)
	}
	c := newConsumer(prefetch)
	defer context.AfterFunc(ctx, c.end)()
	defer c.drain()
	for !c.ended.Load() {
		q, err := b.declare(spec)
		if err != nil {
			return fmt.Errorf("consume %s: %w", spec.Name, err)
		}
		c.consume(q, h)
	}
	return nil
}

// Inbox implements dispatch.Broker. Its queue is lost only when it is deleted.
func (b *Broker) Inbox(ctx context.Context, prefix string, opened func(string), h dispatch.Handler) error {
	c := newConsumer(math.MaxInt)
	c.autoAck = true
	defer context.AfterFunc(ctx, c.end)()
	for !c.ended.Load() {
		q := &queue{broker: b, private: true, spec: dispatch.Queue{Name: prefix + rand.Text()}}
		b.add(q)
		opened(q.spec.Name)
		c.consume(q, h)
		if !c.ended.Load() {
			opened("")
		}
		b.remove(q)
	}
	return nil
}

// Inspect implements dispatch.Broker.
func (b *Broker) Inspect(ctx context.Context, name string) (dispatch.Status, error) {
	if err := ctx.Err(); err != nil {
		return dispatch.Status{}, fmt.Errorf("inspect %s: %w", name, err)
	}
	q := (*b.queues.Load())[name]
	if q == nil {
		return dispatch.Status{}, fmt.Errorf("inspect %s: %w", name, dispatch.ErrUnroutable)
	}
	return q.status(), nil
}

// Delete implements dispatch.Broker.
func (b *Broker) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	if q := (*b.queues.Load())[name]; q != nil {
		b.remove(q)
	}
	return nil
}

// declare returns the shared queue of that name, which is made if need be.
func (b *Broker) declare(spec dispatch.Queue) (*queue, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := (*b.queues.Load())[spec.Name]
	switch {
	case q == nil:
		q = &queue{broker: b, spec: spec}
		b.replace(func(m map[string]*queue) { m[spec.Name] = q })
	case q.private:
		return nil, errors.New("it is somebody's private queue")
	case q.spec != spec:
		return nil, fmt.Errorf("it exists with other properties: MaxLength %d and Expires %v, not %d and %v",
			q.spec.MaxLength, q.spec.Expires, spec.MaxLength, spec.Expires)
	}
	return q, nil
}

func (b *Broker) add(q *queue) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replace(func(m map[string]*queue) { m[q.spec.Name] = q })
}

func (b *Broker) remove(q *queue) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove()
}

// replace publishes a changed copy of the map. b.mu is held.
func (b *Broker) replace(change func(map[string]*queue)) {
	next := maps.Clone(*b.queues.Load())
	change(next)
	b.queues.Store(&next)
}

// now is the time since the broker was made.
func (b *Broker) now() time.Duration { return time.Since(b.start) }
