package rabbit

import (
	"fmt"
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/funcatron/funcatron/dispatch"
)

// written is a message that RabbitMQ is to confirm.
type written struct {
	tag     uint64
	confirm *amqp.DeferredConfirmation
}

func (b *Broker) openLane(c *conn) (*lane, error) {
	l := &lane{
		first:         1,
		wake:          make(chan struct{}, 1),
		written:       make(chan written, b.opts.Buffer),
		capacity:      b.opts.Buffer,
		capacityBytes: b.opts.BufferBytes,
	}
	ch, err := c.channel(func(ch *amqp.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return fmt.Errorf("turn on confirms: %w", err)
		}
		l.returns = ch.NotifyReturn(make(chan amqp.Return, 256))
		l.lost = ch.NotifyClose(make(chan *amqp.Error, 1))
		return nil
	})
	l.ch = ch
	return l, err
}

// write publishes what was put until done is closed or the channel is lost.
func (l *lane) write(done <-chan struct{}) error {
	for {
		it, tag, ok := l.take()
		if !ok {
			select {
			case <-l.wake:
				continue
			case <-done:
				return nil
			}
		}
		m := &it.message
		p := amqp.Publishing{
			DeliveryMode:  amqp.Transient,
			ContentType:   m.ContentType,
			ReplyTo:       m.ReplyTo,
			CorrelationId: m.CorrelationID,
			MessageId:     strconv.FormatUint(tag, 10), // tells whose return it is
			Body:          m.Body,
		}
		if m.Expiration != 0 {
			p.Expiration = strconv.FormatInt(millis(m.Expiration), 10)
		}
		// Mandatory: what no queue takes comes back before its confirm.
		confirm, err := l.ch.PublishWithDeferredConfirm("", it.queue, true, false, p)
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		select {
		case l.written <- written{tag, confirm}:
		case <-done:
			return nil
		}
	}
}

// settle tells what became of the messages, until the channel is lost; then it
// fails what is left.
//
// The library hands over returns and completes confirms in one goroutine, in the
// order of the wire, and a return precedes its confirm there: so it is in its
// channel already when the confirm is seen. (Confirms are taken one by one and not
// through NotifyPublish, which makes an ack of a nack when an ack of several
// messages follows it: v1.16.0, confirms.Multiple.)
func (b *Broker) settle(l *lane) error {
	back := returned{in: l.returns, tags: make(map[uint64]struct{})}
	for {
		var w written
		select {
		case r, ok := <-back.in:
			back.note(r, ok)
			continue
		case w = <-l.written:
		case e := <-l.lost:
			err := cause(e)
			for len(l.written) > 0 { // what was confirmed before that counts
				w := <-l.written
				<-w.confirm.Done()
				b.tell(l, w, &back)
			}
			l.close(down("connection lost: " + err.Error()))
			return err
		}
		for confirmed := false; !confirmed; {
			select {
			case r, ok := <-back.in:
				back.note(r, ok)
			case <-w.confirm.Done(): // which it is, too, when the channel is lost
				confirmed = true
			}
		}
		b.tell(l, w, &back)
	}
}

// tell tells what became of w, whose confirm is done.
func (b *Broker) tell(l *lane, w written, back *returned) {
	back.drain()
	_, came := back.tags[w.tag]
	var err error
	switch {
	case came:
		delete(back.tags, w.tag)
		b.returned.Inc()
		err = dispatch.ErrUnroutable
	case w.confirm.Acked():
	case l.ch.IsClosed(): // it was set before what is unconfirmed became a nack
		return // its item is left to close
	default: // the queue is at its x-max-length
		b.rejected.Inc()
		err = dispatch.ErrFull
	}
	if settled := l.confirmed(w.tag); settled != nil {
		settled(err)
	}
}

// returned holds the tags of the messages that came back, until their confirm.
type returned struct {
	in   <-chan amqp.Return // nil when it is closed
	tags map[uint64]struct{}
}

func (r *returned) note(m amqp.Return, ok bool) {
	if !ok {
		r.in = nil
	} else if tag, err := strconv.ParseUint(m.MessageId, 10, 64); err == nil {
		r.tags[tag] = struct{}{}
	}
}

// drain notes what is there already.
func (r *returned) drain() {
	for {
		select {
		case m, ok := <-r.in:
			r.note(m, ok)
		default:
			return
		}
	}
}
