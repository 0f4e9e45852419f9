package rabbit

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"strconv"
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
	case len(queue) > maxShortString:
		b.returned.Inc()
		err = fmt.Errorf("%w: no queue's name has %d bytes", dispatch.ErrUnroutable, len(queue))
	case len(m.Body) > maxMessage:
		b.rejected.Inc()
		err = fmt.Errorf("%w: message has %d bytes, RabbitMQ takes %d at most", dispatch.ErrFull, len(m.Body), maxMessage)
	case max(len(m.ContentType), len(m.ReplyTo), len(m.CorrelationID)) > maxShortString:
		err = fmt.Errorf("publish to %s: a property has more than %d bytes", queue, maxShortString)
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

// item is one message in a lane.
type item struct {
	queue   string
	message dispatch.Message
	settled func(error)
}

// lane is one publishing channel. items holds what was put and is not settled, in
// order: the first sent of them are with RabbitMQ (or just being written), and
// items[0] has the delivery tag first. One goroutine writes, and one settles.
type lane struct {
	ch      *amqp.Channel
	lost    <-chan *amqp.Error
	returns <-chan amqp.Return
	wake    chan struct{} // something was put
	written chan written  // in the order of the tags

	capacity, capacityBytes int

	mu     sync.Mutex // guards what follows; settled is called without it
	items  fifo
	bytes  int
	sent   int
	first  uint64
	down   error // not nil: nothing is put
	closed bool  // and never will be again
	marked uint64
	since  time.Time // when stuck first saw first at marked
}

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

func (l *lane) put(it item) error {
	l.mu.Lock()
	if l.down != nil {
		defer l.mu.Unlock()
		return l.down
	}
	size := len(it.message.Body)
	if n := l.items.len(); n >= l.capacity || n > 0 && l.bytes+size > l.capacityBytes {
		l.mu.Unlock()
		return errBuffer
	}
	l.items.push(it)
	l.bytes += size
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

var errBuffer = fmt.Errorf("%w: too much waits to be sent to RabbitMQ", dispatch.ErrFull)

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

// take is the next item to be written, and its delivery tag.
func (l *lane) take() (it item, tag uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sent == l.items.len() {
		return item{}, 0, false
	}
	it, tag = *l.items.at(l.sent), l.first+uint64(l.sent)
	l.sent++
	return it, tag, true
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

// confirmed takes the item with that tag out; it is nil when that was settled
// before. It is called in the order of the tags.
func (l *lane) confirmed(tag uint64) func(error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if tag != l.first || l.sent == 0 {
		return nil
	}
	it := l.items.pop()
	l.bytes -= len(it.message.Body)
	l.first++
	l.sent--
	return it.settled
}

// refuse fails everything in the lane with err and takes nothing more, until it is
// called with nil. What is with RabbitMQ may yet be confirmed, to nobody.
func (l *lane) refuse(err error) {
	l.mu.Lock()
	var failed fifo
	if !l.closed {
		l.down = err
		if err != nil {
			failed = l.clear()
		}
	}
	l.mu.Unlock()
	for failed.len() > 0 {
		failed.pop().settled(err)
	}
}

// close is the last refuse.
func (l *lane) close(err error) {
	l.refuse(err)
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
}

// clear empties the lane. The tags of what was sent are used up. l.mu is held.
func (l *lane) clear() fifo {
	failed := l.items
	l.items = fifo{}
	l.first += uint64(l.sent)
	l.sent, l.bytes = 0, 0
	return failed
}

func (l *lane) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.items.len() == 0
}

// stuck says whether RabbitMQ has had messages for so long without confirming any.
func (l *lane) stuck(timeout time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sent == 0 {
		l.marked = math.MaxUint64
		return false
	}
	if l.first != l.marked {
		l.marked, l.since = l.first, time.Now()
		return false
	}
	return time.Since(l.since) >= timeout
}

// fifo is a queue of items. Its zero value is empty.
type fifo struct {
	buf  []item
	head int
}

func (f *fifo) len() int       { return len(f.buf) - f.head }
func (f *fifo) at(i int) *item { return &f.buf[f.head+i] }
func (f *fifo) push(it item) {
	if f.head > 64 && f.head > len(f.buf)/2 { // the room in front is worth a copy
		n := copy(f.buf, f.buf[f.head:])
		clear(f.buf[n:])
		f.buf, f.head = f.buf[:n], 0
	}
	f.buf = append(f.buf, it)
}

func (f *fifo) pop() item {
	it := f.buf[f.head]
	f.buf[f.head] = item{} // its body is not ours to keep alive
	f.head++
	if f.head == len(f.buf) {
		f.buf, f.head = f.buf[:0], 0
		if cap(f.buf) > 1024 {
			f.buf = nil // one stampede does not cost memory for ever
		}
	}
	return it
}
