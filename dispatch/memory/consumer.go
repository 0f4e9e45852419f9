package memory

import (
	"sync/atomic"

	"github.com/funcatron/funcatron/dispatch"
)

// consumer is one call of Consume or Inbox. Its goroutine alone takes messages
// for it; publishers hand it one only while it is idle.
type consumer struct {
	prefetch  int64
	autoAck   bool
	unsettled atomic.Int64 // deliveries handed over and not settled; counts across queues of the same name
	ended     atomic.Bool  // its context has
	draining  atomic.Bool  // its goroutine waits for unsettled to become 0
	signal    chan struct{}

	handed           entry // guarded by the queue's mu, as are the next two
	isHanded, isIdle bool
}

func newConsumer(prefetch int) *consumer {
	return &consumer{prefetch: int64(prefetch), signal: make(chan struct{}, 1)}
}

// wake makes the consumer's goroutine look again. One that is awake looks once
// more before it sleeps.
func (c *consumer) wake() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

func (c *consumer) end() {
	c.ended.Store(true)
	c.wake()
}

// consume hands over q's messages until c has ended or q is gone.
func (c *consumer) consume(q *queue, h dispatch.Handler) {
	if !q.attach() {
		return
	}
	for {
		e, ok := c.next(q)
		if !ok {
			return
		}
		d := &delivery{consumer: c, queue: q, entry: e}
		d.Message = e.Message
		d.Redelivered = e.redelivered
		if c.autoAck {
			d.Settle = ignore
		} else {
			c.unsettled.Add(1)
			d.Settle = d.settle
		}
		h(&d.Delivery)
	}
}

// next waits for the next message. It detaches c, and says so, when c has ended or
// q is gone; what c was given before comes all the same.
func (c *consumer) next(q *queue) (entry, bool) {
	for {
		q.mu.Lock()
		if c.isHanded {
			e := c.handed
			c.handed, c.isHanded = entry{}, false
			if !q.expired(&e) {
				q.mu.Unlock()
				return e, true
			}
			q.broker.expired.Inc()
		}
		if q.gone || c.ended.Load() {
			q.detach(c)
			q.mu.Unlock()
			return entry{}, false
		}
		if c.unsettled.Load() < c.prefetch {
			if e, ok := q.pop(); ok {
				q.mu.Unlock()
				return e, true
			}
			if !c.isIdle {
				c.isIdle = true
				q.idle = append(q.idle, c)
			}
		}
		q.mu.Unlock()
		<-c.signal
	}
}

// drain waits until everything handed over is settled.
func (c *consumer) drain() {
	c.draining.Store(true)
	for c.unsettled.Load() > 0 {
		<-c.signal
	}
}

// delivery is one message handed over.
type delivery struct {
	dispatch.Delivery
	consumer *consumer
	queue    *queue
	entry    entry
	settled  atomic.Bool
}

func (d *delivery) settle(o dispatch.Outcome) {
	if d.settled.Swap(true) {
		return // only the first one counts
	}
	if o == dispatch.Requeue {
		d.queue.requeue(d.entry)
	}
	// The consumer sleeps on this only when it had no room, or drains.
	c := d.consumer
	left := c.unsettled.Add(-1)
	if left == c.prefetch-1 || left == 0 && c.draining.Load() {
		c.wake()
	}
}

func ignore(dispatch.Outcome) {}
