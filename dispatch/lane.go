package dispatch

import (
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// A broker's cost is per message, not per byte, so calls to one queue share
// messages under load. What decides when is a clock that the broker itself beats.
// While it has settled all that a lane sent, a call leaves at once, and an idle
// system pays nothing. Otherwise calls wait, and those that wait leave as one
// message at the next settlement, or before it when they fill one: nothing is
// gained then by waiting (TCP's rule of Nagle, RFC 896). The settlement is the
// broker's confirm and not the reply, so a slow function stops no clock.
//
// Before a message leaves, what else is ready to run on this processor runs: a
// reply that carried many answers has woken many clients, who ask again together.
const (
	window        = 4         // messages that the broker has not settled, at most
	maxBatchBytes = 256 << 10 // a call larger than this travels alone
	// maxApart is how far the deadlines in one message lie apart, at most: the
	// broker drops a message whole.
	maxApart = time.Second
	// share is the part of a consumer's slots that one message may take. A consumer
	// takes as many messages as it has slots, and what it cannot start waits
	// there, although another may be idle.
	share = 4
	// everyCall is for lanes whose consumer takes any number at once.
	everyCall = 1 << 20
	laneIdle  = time.Minute
	// maxTurn is how many messages a goroutine publishes for others before it
	// goes on with its own work.
	maxTurn = 16
)

// DefaultMaxBatch is how many calls share a message at most, unless told otherwise.
const DefaultMaxBatch = 64

// item is one call, or one reply, in its lane.
type item struct {
	body     []byte // never changed, and never reused, once in a lane
	call     uint64
	deadline time.Time // nobody waits for it after this
	owner    settler
	lane     *lane // set by send
}

// settler owns an item.
type settler interface {
	// wanted tells, as the item's turn comes, whether it is still worth sending.
	wanted(it item, now time.Time) bool
	// settled tells what became of the item, exactly once: nil when the broker
	// took it, else a Broker error, or errStale when it was not wanted any more.
	settled(it item, err error)
}

// lane is the way to one queue. Its items leave in the order they came.
type lane struct {
	broker Broker
	queue  string
	// replyTo tells where answers go, when a message leaves; nil for answers.
	replyTo func() string
	owner   *lanes

	inFlight atomic.Int64 // calls of this lane that wait for their reply; the Caller's
	queued   atomic.Int64 // its items that are not settled; the Caller's
	weight   atomic.Int64 // bytes of both, as CallerOptions.MaxBytes counts; the Caller's
	pace     pace         // of its calls; the Caller's
	limit    atomic.Int64 // calls in one message, at most

	mu       sync.Mutex
	open     int    // messages published and not settled
	draining bool   // somebody is in drain; others leave their item to it
	waiting  []item // waiting[head:] waits; what is before has left
	head     int
	bytes    int       // of what waits
	used     time.Time // when the last item came
}

// send puts it in the lane. Its owner may be settled before send returns.
func (l *lane) send(it item) {
	it.lane = l
	l.mu.Lock()
	l.waiting = append(l.waiting, it)
	l.bytes += len(it.body)
	l.used = time.Now()
	l.drain()
}

// ready tells whether a message may leave. mu is held.
func (l *lane) ready() bool {
	n := len(l.waiting) - l.head
	full := n >= int(l.limit.Load()) || l.bytes >= maxBatchBytes
	return n > 0 && (l.open == 0 || full && l.open < window)
}

// drain publishes while messages may leave. It is entered
// with l.mu held and leaves without it. Brokers may settle inside Publish: such a
// nested call finds draining set, so the stack stays flat.
func (l *lane) drain() {
	if l.draining || !l.ready() {
		l.mu.Unlock()
		return
	}
	l.draining = true
	l.mu.Unlock()
	runtime.Gosched()
	l.mu.Lock()
	for turn := 0; l.ready(); turn++ {
		if turn == maxTurn {
			go func() {
				l.mu.Lock()
				l.draining = false
				l.drain()
			}()
			l.mu.Unlock()
			return
		}
		batch, stale := l.take(time.Now())
		if len(batch) > 0 {
			l.open++
		}
		l.mu.Unlock()
		for _, it := range stale {
			it.owner.settled(it, errStale)
		}
		if len(batch) > 0 {
			l.publish(batch)
		}
		l.mu.Lock()
	}
	l.draining = false
	l.mu.Unlock()
}

// take removes the items of the next message from the head of the lane, and the
// stale ones among them.
func (l *lane) take(now time.Time) (batch, stale []item) {
	limit, size := int(l.limit.Load()), 0
	for ; l.head < len(l.waiting) && len(batch) < limit; l.head++ {
		it := l.waiting[l.head]
		if !it.owner.wanted(it, now) {
			stale = append(stale, it)
		} else if len(batch) == 0 || size+len(it.body) <= maxBatchBytes && it.deadline.Sub(batch[0].deadline).Abs() <= maxApart {
			batch = append(batch, it)
			size += len(it.body)
		} else {
			break
		}
		l.bytes -= len(it.body)
		l.waiting[l.head] = item{} // its body is not ours to keep alive
	}
	switch {
	case l.head == len(l.waiting) && cap(l.waiting) > 1024:
		l.waiting, l.head = nil, 0 // one stampede does not cost memory for ever
	case l.head == len(l.waiting):
		l.waiting, l.head = l.waiting[:0], 0
	case l.head > 1024 && l.head > len(l.waiting)/2:
		l.waiting = append(l.waiting[:0], l.waiting[l.head:]...)
		l.head = 0
	}
	return batch, stale
}

func (l *lane) publish(batch []item) {
	m := Message{
		Body:          batch[0].body,
		ContentType:   TypeHTTP,
		CorrelationID: strconv.FormatUint(batch[0].call, 10),
	}
	last := batch[0].deadline
	if len(batch) > 1 {
		size := 0
		for _, it := range batch {
			size += len(it.body)
			if it.deadline.After(last) {
				last = it.deadline
			}
		}
		m.Body = make([]byte, 0, size)
		for _, it := range batch {
			m.Body = append(m.Body, it.body...)
		}
	}
	m.Expiration = max(time.Until(last), time.Millisecond)
	if l.replyTo != nil {
		m.ReplyTo = l.replyTo()
	}
	l.owner.messages.Inc()
	l.owner.items.Add(len(batch))
	l.broker.Publish(l.queue, m, func(err error) {
		l.mu.Lock()
		l.open--
		l.drain()
		for _, it := range batch {
			it.owner.settled(it, err)
		}
	})
}

// lanes holds a lane for each queue in use, and forgets those long unused.
type lanes struct {
	broker  Broker
	replyTo func() string
	most    int // items in one message, at most
	// How well calls share messages.
	messages, items *metrics.Counter

	byQueue sync.Map // string to *lane

	sweeping sync.Mutex
	swept    time.Time // guarded by sweeping; by the monotonic clock
}

// to returns the lane to queue, whose consumer starts so many calls at once.
func (ls *lanes) to(queue string, slots int) *lane {
	v, ok := ls.byQueue.Load(queue)
	if !ok {
		ls.sweep()
		v, _ = ls.byQueue.LoadOrStore(queue, &lane{broker: ls.broker, queue: queue, replyTo: ls.replyTo, owner: ls, used: time.Now()})
	}
	l := v.(*lane)
	limit := ls.most
	if slots != everyCall {
		limit = min(limit, l.pace.together(slots))
	}
	if l.limit.Load() != int64(limit) {
		l.limit.Store(int64(limit))
	}
	return l
}

// sweep drops the idle lanes, at most once every laneIdle. Queues come and go with
// deployments and gateways, and a new one is the time to look. A caller that
// still holds a dropped lane may use it: lanes to one queue do no harm to each
// other.
func (ls *lanes) sweep() {
	now := time.Now()
	ls.sweeping.Lock()
	due := now.Sub(ls.swept) >= laneIdle
	if due {
		ls.swept = now
	}
	ls.sweeping.Unlock()
	if !due {
		return
	}
	ls.byQueue.Range(func(k, v any) bool {
		l := v.(*lane)
		l.mu.Lock()
		idle := l.open == 0 && l.head == len(l.waiting) && l.inFlight.Load() == 0 && now.Sub(l.used) > laneIdle
		l.mu.Unlock()
		if idle {
			ls.byQueue.Delete(k)
		}
		return true
	})
}
