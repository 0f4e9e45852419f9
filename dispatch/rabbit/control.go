package rabbit

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/funcatron/funcatron/dispatch"
)

// control is the channel for Inspect and Delete. The library does not guard such
// calls on one channel against each other, so whoever uses it has its turn.
type control struct {
	over *conn // the connection that ch is on
	ch   *amqp.Channel
}

// Inspect implements dispatch.Broker. Note that for RabbitMQ a look at a queue is a
// use of it: the time of its Expires starts over.
func (b *Broker) Inspect(ctx context.Context, queue string) (dispatch.Status, error) {
	var st dispatch.Status
	err := b.ask(ctx, func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		st = dispatch.Status{Ready: q.Messages, Consumers: q.Consumers}
		return err
	}, queue)
	var e *amqp.Error
	if errors.As(err, &e) && e.Server && e.Code == amqp.NotFound {
		err = dispatch.ErrUnroutable
	}
	if err != nil {
		return dispatch.Status{}, fmt.Errorf("inspect %s: %w", queue, err)
	}
	return st, nil
}

// Delete implements dispatch.Broker.
func (b *Broker) Delete(ctx context.Context, queue string) error {
	err := b.ask(ctx, func(ch *amqp.Channel) error {
		_, err := ch.QueueDelete(queue, false, false, false)
		return err
	}, queue)
	if err != nil && !errors.Is(err, dispatch.ErrUnroutable) {
		return fmt.Errorf("delete %s: %w", queue, err)
	}
	return nil
}

// ask runs f on the control channel. When ctx ends first it returns at once, and f
// is left to end by itself, which it does when the connection's timeout is over.
func (b *Broker) ask(ctx context.Context, f func(*amqp.Channel) error, queue string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(queue) == 0 || len(queue) > dispatch.MaxName {
		return fmt.Errorf("%w: no queue's name has %d bytes", dispatch.ErrUnroutable, len(queue))
	}
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	c, err := b.in.get()
	if err != nil {
		<-b.turn
		return err
	}
	answer := make(chan error, 1)
	go func() {
		err := b.onControl(c, f)
		<-b.turn
		answer <- err
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// onControl runs f on the control channel, which is opened again where RabbitMQ
// closed it: its way to say no. The turn is ours.
func (b *Broker) onControl(c *conn, f func(*amqp.Channel) error) error {
	k := &b.control
	if k.over != c || k.ch.IsClosed() {
		ch, err := c.channel(func(*amqp.Channel) error { return nil })
		if err != nil {
			return down(err.Error())
		}
		k.over, k.ch = c, ch
	}
	err := c.within(func() error { return f(k.ch) })
	if err != nil && c.IsClosed() {
		return down(err.Error())
	}
	return err
}
