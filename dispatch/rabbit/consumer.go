package rabbit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/funcatron/funcatron/dispatch"
)

// consumerTag names a channel's only consumer.
const consumerTag = "funcatron"

// consumption is one call of Consume.
type consumption struct {
	broker   *Broker
	queue    dispatch.Queue
	prefetch int
	handle   dispatch.Handler
	// slots has an entry for each delivery handed over and not settled, whatever
	// became of its channel: RabbitMQ counts anew on each, and we promised that
	// there are at most prefetch.
	slots chan struct{}
}

// Consume implements dispatch.Broker.
func (b *Broker) Consume(ctx context.Context, q dispatch.Queue, prefetch int, h dispatch.Handler) error {
	if err := q.Check(prefetch); err != nil {
		return fmt.Errorf("consume %s: %w", q.Name, err)
	}
	k := &consumption{broker: b, queue: q, prefetch: prefetch, handle: h, slots: make(chan struct{}, prefetch)}
	defer k.settleAll()
	var retry backoff
	var complain throttle
	for {
		c := b.in.wait(ctx)
		if c == nil {
			return nil
		}
		since := time.Now()
		err := k.over(ctx, c)
		switch {
		case permanent(err):
			return fmt.Errorf("consume %s: %w", q.Name, err)
		case ctx.Err() != nil:
			return nil
		case time.Since(since) > steady:
			retry = backoff{}
		}
		if err != nil && !c.IsClosed() && complain.due() {
			b.log.Warn("cannot consume; trying again", "queue", q.Name, "err", err)
		}
		retry.wait(ctx)
	}
}

// unfit is why a queue can never be consumed.
type unfit struct{ error }

func (u unfit) Unwrap() error { return u.error }

func permanent(err error) bool { return errors.As(err, new(unfit)) }

// over consumes over c until ctx ends, or the channel is lost or RabbitMQ cancels
// the consumer, which is what happens when the queue is deleted.
func (k *consumption) over(ctx context.Context, c *conn) error {
	var deliveries <-chan amqp.Delivery
	ch, err := c.channel(func(ch *amqp.Channel) (err error) {
		if _, err = ch.QueueDeclare(k.queue.Name, true, false, false, false, arguments(k.queue)); err != nil {
			err = fmt.Errorf("declare: %w", err)
			if refused(err) {
				err = unfit{err}
			}
			return err
		}
		if err = ch.Qos(k.prefetch, 0, false); err != nil {
			return fmt.Errorf("set prefetch: %w", err)
		}
		if deliveries, err = ch.Consume(k.queue.Name, consumerTag, false, false, false, false, nil); err != nil {
			return fmt.Errorf("start consumer: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}

	// Outcomes fit in without waiting: RabbitMQ has no more than prefetch messages
	// out to this channel, and each has one outcome.
	outcomes := make(chan outcome, k.prefetch)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tell(ch, k.prefetch, outcomes, stop)
	}()
	canceled := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		defer close(canceled)
		// Deliveries ends when RabbitMQ has confirmed and all is handed over, or
		// with the channel.
		_ = c.within(func() error { return ch.Cancel(consumerTag, false) })
	})
	for d := range deliveries {
		k.slots <- struct{}{}
		if ch.IsClosed() { // RabbitMQ gives it to somebody else by now
			<-k.slots
			continue
		}
		k.handle(newDelivery(&d, outcomes, k.slots))
	}
	if !unwatch() {
		<-canceled
		if !ch.IsClosed() {
			k.settleAll()
		}
	}
	close(stop)
	<-stopped
	_ = c.within(ch.Close) // what is unsettled (its queue is gone, then) is requeued
	return nil
}

// refused says whether RabbitMQ's answer to a declaration is final: 406 means that
// the queue has other properties, 405 that it is somebody's private one, 403 that
// we may not.
func refused(err error) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Server &&
		(e.Code == amqp.PreconditionFailed || e.Code == amqp.ResourceLocked || e.Code == amqp.AccessRefused)
}

// settleAll waits until everything handed over is settled.
func (k *consumption) settleAll() {
	for range k.prefetch {
		k.slots <- struct{}{}
	}
	for range k.prefetch {
		<-k.slots
	}
}

// outcome is a settled delivery.
type outcome struct {
	tag uint64
	dispatch.Outcome
}

// Acknowledgements wait for each other: one of many costs RabbitMQ and us as much
// as one of one. They wait ackAfter at most, and as long as they are less than a
// part of what RabbitMQ has out to us, so that it does not wait for them.
const (
	ackAfter = 2 * time.Millisecond
	ackShare = 4
	ackMost  = 64
)

// tell tells RabbitMQ the outcomes until stop is closed, and then those that are
// left. An error means that the channel is lost, and with it the deliveries.
func tell(ch *amqp.Channel, prefetch int, outcomes <-chan outcome, stop <-chan struct{}) {
	acks := acks{most: min(max(prefetch/ackShare, 1), ackMost), settled: make(map[uint64]bool)}
	timer := time.NewTimer(ackAfter)
	timer.Stop()
	defer timer.Stop()
	one := func(o outcome) {
		if o.Outcome == dispatch.Requeue {
			_ = ch.Nack(o.tag, false, true)
			acks.told(o.tag)
		} else {
			acks.add(o.tag)
		}
	}
	flush := func() { acks.flush(func(tag uint64, multiple bool) { _ = ch.Ack(tag, multiple) }) }
	for {
		select {
		case o := <-outcomes:
			one(o)
			switch {
			case acks.waiting >= acks.most:
				timer.Stop()
				flush()
			case acks.waiting == 1:
				timer.Reset(ackAfter)
			}
		case <-timer.C:
			flush()
		case <-stop:
			for {
				select {
				case o := <-outcomes:
					one(o)
				default:
					flush()
					return
				}
			}
		}
	}
}

// acks is the acknowledgements of a channel that RabbitMQ has not been told. Tags
// count from 1; basic.ack with multiple settles all up to one.
type acks struct {
	most    int             // are told at once
	waiting int             // to be told
	prefix  uint64          // every delivery up to it is settled and told
	settled map[uint64]bool // those beyond it that are settled, true where that was told
}

func (a *acks) add(tag uint64) {
	a.settled[tag] = false
	a.waiting++
}

// told notes a delivery that RabbitMQ was told of in another way.
func (a *acks) told(tag uint64) { a.settled[tag] = true }

// flush acknowledges what waits, as much of it as can be at once.
func (a *acks) flush(ack func(tag uint64, multiple bool)) {
	last, n := uint64(0), 0 // of those to be told in the prefix: the last, and how many
	for {
		told, ok := a.settled[a.prefix+1]
		if !ok {
			break
		}
		a.prefix++
		delete(a.settled, a.prefix)
		if !told {
			last = a.prefix
			n++
		}
	}
	if n > 0 {
		ack(last, n > 1)
	}
	if a.waiting > n {
		for tag, told := range a.settled {
			if !told {
				ack(tag, false)
				a.settled[tag] = true
			}
		}
	}
	a.waiting = 0
}

// delivery is one message handed over.
type delivery struct {
	dispatch.Delivery
	tag      uint64
	outcomes chan<- outcome
	slots    <-chan struct{}
	settled  atomic.Bool
}

func newDelivery(d *amqp.Delivery, outcomes chan<- outcome, slots <-chan struct{}) *dispatch.Delivery {
	v := &delivery{tag: d.DeliveryTag, outcomes: outcomes, slots: slots}
	v.Message = message(d)
	v.Redelivered = d.Redelivered
	v.Settle = v.settle
	return &v.Delivery
}

func (v *delivery) settle(o dispatch.Outcome) {
	if v.settled.Swap(true) {
		return // only the first one counts
	}
	v.outcomes <- outcome{v.tag, o} // first, so that settleAll returns when all outcomes are in
	<-v.slots
}

// message is what was published. The body is the library's no more.
func message(d *amqp.Delivery) dispatch.Message {
	m := dispatch.Message{
		Body:          d.Body,
		ContentType:   d.ContentType,
		ReplyTo:       d.ReplyTo,
		CorrelationID: d.CorrelationId,
	}
	if ms, err := strconv.ParseInt(d.Expiration, 10, 64); err == nil && ms > 0 && ms <= maxExpiry {
		m.Expiration = time.Duration(ms) * time.Millisecond
	}
	return m
}
