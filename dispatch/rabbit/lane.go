package rabbit

import (
	"fmt"
	"math"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/funcatron/funcatron/dispatch"
)

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
