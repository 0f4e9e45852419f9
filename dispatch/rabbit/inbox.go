package rabbit

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/funcatron/funcatron/dispatch"
)

// An inbox acknowledges what it handed over, many at a time: without
// acknowledgements RabbitMQ would send without limit, into a buffer of the
// library that has none. Nothing comes back when they are missing, since the
// queue goes with the connection.
const (
	inboxPrefetch = 1024
	inboxAckCount = inboxPrefetch / 4
	inboxAckBytes = 1 << 20 // RabbitMQ keeps what is not acknowledged
	inboxAckAfter = 20 * time.Millisecond
)

// Inbox implements dispatch.Broker. Its queue is exclusive: only this connection
// can consume or delete it, everybody can publish to it.
func (b *Broker) Inbox(ctx context.Context, prefix string, opened func(string), h dispatch.Handler) error {
	if most := dispatch.MaxName - len(rand.Text()); len(prefix) > most {
		return fmt.Errorf("open inbox: prefix has %d bytes, must have %d at most", len(prefix), most)
	}
	var retry backoff
	var complain throttle
	for {
		c := b.in.wait(ctx)
		if c == nil {
			return nil
		}
		since := time.Now()
		err := b.inboxOver(ctx, c, prefix+rand.Text(), opened, h)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(since) > steady {
			retry = backoff{}
		}
		if err != nil && !c.IsClosed() && complain.due() {
			b.log.Warn("cannot open inbox; trying again", "prefix", prefix, "err", err)
		}
		retry.wait(ctx)
	}
}

// inboxOver keeps the inbox called name over c, until ctx ends or it is lost.
func (b *Broker) inboxOver(ctx context.Context, c *conn, name string, opened func(string), h dispatch.Handler) error {
	var deliveries <-chan amqp.Delivery
	ch, err := c.channel(func(ch *amqp.Channel) (err error) {
		args := amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeClassic}
		if _, err = ch.QueueDeclare(name, false, false, true, false, args); err != nil {
			return fmt.Errorf("declare: %w", err)
		}
		if err = ch.Qos(inboxPrefetch, 0, false); err != nil {
			return fmt.Errorf("set prefetch: %w", err)
		}
		if deliveries, err = ch.Consume(name, consumerTag, false, true, false, false, nil); err != nil {
			return fmt.Errorf("start consumer: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// Ended by us: the queue must be gone when we return. Else the connection is
	// lost, and it goes with that, or somebody deleted it.
	defer func() {
		err := c.within(func() error {
			if _, err := ch.QueueDelete(name, false, false, false); err != nil {
				return err
			}
			return ch.Close()
		})
		if err != nil && !c.IsClosed() { // RabbitMQ closed the channel, and nothing else
			_ = b.Delete(context.WithoutCancel(ctx), name)
		}
	}()

	opened(name)
	var count, bytes int // handed over since the last acknowledgement
	var last uint64
	ack := func() {
		_ = ch.Ack(last, true) // an error means that the channel is lost, and deliveries will end
		count, bytes = 0, 0
	}
	timer := time.NewTimer(inboxAckAfter)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case d, ok := <-deliveries:
			if !ok {
				opened("")
				return nil
			}
			h(&dispatch.Delivery{Message: message(&d), Redelivered: d.Redelivered, Settle: ignore})
			last = d.DeliveryTag
			count++
			bytes += len(d.Body)
			if count >= inboxAckCount || bytes >= inboxAckBytes {
				timer.Stop()
				ack()
			} else if count == 1 {
				timer.Reset(inboxAckAfter)
			}
		case <-timer.C:
			ack()
		case <-ctx.Done():
			return nil
		}
	}
}

func ignore(dispatch.Outcome) {}
