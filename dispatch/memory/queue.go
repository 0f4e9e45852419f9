package memory

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/funcatron/funcatron/dispatch"
)

// errGone means that the queue was removed after it was looked up.
var errGone = errors.New("queue was removed")

// queue is one queue. It is never used again once it is gone.
type queue struct {
	broker  *Broker
	spec    dispatch.Queue
	private bool

	mu        sync.Mutex // guards what follows, and its consumers' handed and isIdle
	ring      ring
	sequence  uint64      // of the message put last
	idle      []*consumer // with room and nothing to do, the longest idle first; empty unless ring is
	consumers int
	gone      bool
	unused    int // how often it lost its last consumer; tells one expiry timer from the next
}

// put takes e, and gives it to the consumer that has been idle longest.
func (q *queue) put(e entry) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.gone {
		return errGone
	}
	if full := q.spec.MaxLength > 0 && q.ring.n >= q.spec.MaxLength; full && !q.dropExpired() {
		return dispatch.ErrFull
	}
	q.sequence++
	e.sequence = q.sequence
	if !q.hand(e) {
		q.ring.pushBack(e)
	}
	return nil
}

// requeue puts a delivered message back to where it was: before all that was
// published after it. MaxLength does not stop it, it was let in before.
func (q *queue) requeue(e entry) {
	e.redelivered = true
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.gone && !q.hand(e) {
		q.ring.insert(e)
	}
}

// hand gives e to an idle consumer. q.mu is held.
func (q *queue) hand(e entry) bool {
	if len(q.idle) == 0 {
		return false
	}
	c := q.idle[0]
	q.idle = slices.Delete(q.idle, 0, 1)
	c.isIdle = false
	c.handed, c.isHanded = e, true
	c.wake()
	return true
}

// pop takes the first message that has not expired. q.mu is held.
func (q *queue) pop() (e entry, ok bool) {
	q.dropExpired()
	if q.ring.n == 0 {
		return entry{}, false
	}
	return q.ring.popFront(), true
}

// dropExpired drops what has expired at the head, and says whether it did. What
// expired further back goes when it comes to the head. q.mu is held.
func (q *queue) dropExpired() bool {
	dropped := false
	for q.ring.n > 0 && q.expired(q.ring.front()) {
		q.ring.popFront()
		q.broker.expired.Inc()
		dropped = true
	}
	return dropped
}

func (q *queue) expired(e *entry) bool {
	return e.deadline != 0 && q.broker.now() >= e.deadline
}

func (q *queue) status() dispatch.Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropExpired()
	return dispatch.Status{Ready: q.ring.n, Consumers: q.consumers}
}

// attach counts one more consumer, unless q is gone.
func (q *queue) attach() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.gone {
		return false
	}
	q.consumers++
	return true
}

// detach ends c's part in q; after the last consumer the queue's lease runs. q.mu
// is held since c was last seen to have nothing in hand: nobody can give it more.
func (q *queue) detach(c *consumer) {
	if c.isIdle {
		c.isIdle = false
		q.idle = slices.DeleteFunc(q.idle, func(o *consumer) bool { return o == c })
	}
	q.consumers--
	if q.consumers > 0 || q.spec.Expires == 0 || q.gone {
		return
	}
	q.unused++
	since := q.unused
	time.AfterFunc(q.spec.Expires, func() { q.expire(since) })
}

// expire removes q if it has had no consumer since it lost its last one for the
// since-th time.
func (q *queue) expire(since int) {
	q.broker.mu.Lock()
	defer q.broker.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.consumers == 0 && q.unused == since {
		q.remove()
	}
}

// remove takes q out of the broker, drops what is in it, and sends its consumers
// away. Broker.mu and q.mu are held.
func (q *queue) remove() {
	if q.gone {
		return
	}
	q.broker.replace(func(m map[string]*queue) { delete(m, q.spec.Name) })
	q.gone = true
	q.ring = ring{}
	for _, c := range q.idle {
		c.isIdle = false
		c.wake()
	}
	q.idle = nil
}
