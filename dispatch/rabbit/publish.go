package rabbit

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/funcatron/funcatron/dispatch"
)

// maxMessage is the largest message that every RabbitMQ takes as it is installed
// (16 MiB since 4.0). A larger one is a channel exception, which would take with
// it whatever else waits on that channel.
const maxMessage = 16 << 20

// drainTime is how long Run goes on sending, at most, when its context has ended.
const drainTime = 2 * time.Second

// outlet is where Publish puts messages now. It never changes; the broker swaps
// whole outlets.
type outlet struct {
	lanes []*lane
	down  error // not nil: nothing is taken, and this is why
}

// Publish implements dispatch.Broker. A message with a property longer than
// AMQP's short strings (255 bytes) is settled with an error of its own kind.
func (b *Broker) Publish(queue string, m dispatch.Message, settled func(error)) {
	if settled == nil {
		settled = func(error) {}
	}
	o := b.out.Load()
	err := o.down
	switch {
	case err != nil:
	case len(queue) > dispatch.MaxName:
		b.returned.Inc()
		err = fmt.Errorf("%w: no queue's name has %d bytes", dispatch.ErrUnroutable, len(queue))
	case len(m.Body) > maxMessage:
		b.rejected.Inc()
		err = fmt.Errorf("%w: message has %d bytes, RabbitMQ takes %d at most", dispatch.ErrTooLarge, len(m.Body), maxMessage)
	case max(len(m.ContentType), len(m.ReplyTo), len(m.CorrelationID)) > dispatch.MaxName:
		err = fmt.Errorf("publish to %s: a property has more than %d bytes", queue, dispatch.MaxName)
	default:
		// One queue, one lane: what one publisher sends to a queue stays in order.
		l := o.lanes[maphash.String(b.seed, queue)%uint64(len(o.lanes))]
		if err = l.put(item{queue: queue, message: m, settled: settled}); err == nil {
			return
		}
		if errors.Is(err, dispatch.ErrFull) {
			b.rejected.Inc()
		}
	}
	settled(err)
}

// publishOver publishes over c until it is lost or ctx ends.
func (b *Broker) publishOver(ctx context.Context, c *conn) error {
	lost := c.NotifyClose(make(chan *amqp.Error, 1))
	blocking := c.NotifyBlocked(make(chan amqp.Blocking, 16))

	lanes := make([]*lane, b.opts.Channels)
	for i := range lanes {
		l, err := b.openLane(c)
		if err != nil {
			c.close()
			return err
		}
		lanes[i] = l
	}
	done := make(chan struct{})
	failed := make(chan error, 2*len(lanes))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer c.socket.Close() // ends what the lanes may be stuck in
	defer close(done)
	for _, l := range lanes {
		wg.Go(func() { failed <- l.write(done) })
		wg.Go(func() { failed <- b.settle(l) })
	}
	b.out.Store(&outlet{lanes: lanes})

	tick := time.NewTicker(b.opts.Timeout / 8)
	defer tick.Stop()
	for {
		select {
		case e := <-lost:
			return cause(e)
		case err := <-failed:
			return err
		case <-ctx.Done():
			b.out.Store(&outlet{down: down("shut down")})
			finish(lanes, lost)
			c.close()
			return ctx.Err()
		case e, ok := <-blocking:
			switch {
			case !ok:
				blocking = nil // the connection is lost, and lost says so
			case e.Active:
				err := down("blocked by RabbitMQ: " + e.Reason)
				b.log.Warn("RabbitMQ takes no messages; it is short of memory or disk", "reason", e.Reason)
				b.out.Store(&outlet{down: err})
				for _, l := range lanes {
					l.refuse(err)
				}
			default:
				b.log.Info("RabbitMQ takes messages again")
				for _, l := range lanes {
					l.refuse(nil)
				}
				b.out.Store(&outlet{lanes: lanes})
			}
		case <-tick.C:
			for _, l := range lanes {
				if l.stuck(b.opts.Timeout) {
					return fmt.Errorf("no confirm for %v", b.opts.Timeout)
				}
			}
		}
	}
}

// finish waits until the lanes are empty, for drainTime at most.
func finish(lanes []*lane, lost <-chan *amqp.Error) {
	end := time.NewTimer(drainTime)
	defer end.Stop()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for _, l := range lanes {
		for !l.empty() {
			select {
			case <-look.C:
			case <-end.C:
				return
			case <-lost:
				return
			}
		}
	}
}
