package dispatch

import (
	"sync"
	"sync/atomic"
	"time"
)

// A queue whose consumers do less than they are asked to grows until its calls come
// to their turn when their time is over, and from then on all that is done is done
// in vain. So a call is refused when it would have to wait too long, while those
// before it are still worth doing.
//
// How long that is, every Caller can tell by itself. By Little's law what a call
// takes is the number of those under way, times what each adds to it. What each adds
// is told by those that are answered: what it took, divided by how many were under
// way when it was sent. Others who ask the same queue are in that already.
const (
	// noWait is what a call spends on its way, at most: more is waiting.
	noWait = 10 * time.Millisecond
	// A burst may wait for half of its time. A queue that has been long for burst is
	// no burst: from then on nobody waits longer than standing and one turn.
	burst    = time.Second
	standing = time.Second
	// moment is how long it does not matter how long the queue seems: after a pause, of
	// a function's process that is started again say, the first answers mislead.
	moment = 100 * time.Millisecond
	// maxHeld is how long calls wait at a consumer for their turn, about: there,
	// unlike in the broker's queue, nobody knows how long they waited before.
	maxHeld = 100 * time.Millisecond
)

// pace is how fast the calls of one lane are done.
type pace struct {
	ran    atomic.Int64 // nanoseconds that a call runs, smoothed; 0 before the first answer
	waited atomic.Int64 // nanoseconds that one does not run, smoothed
	adds   atomic.Int64 // nanoseconds that one adds to the next, smoothed, while they wait; 0 is unknown
	busy   atomic.Bool  // long may be set

	mu   sync.Mutex
	long time.Time // since when the queue is long; zero where it is not; guarded by mu
}

// answered notes an answer: how long its call took and ran, and that it was the n-th
// under way. Two at once may cost one its weight.
func (p *pace) answered(took, ran time.Duration, n int64) {
	if p.ran.Load() == 0 {
		p.ran.Store(max(int64(ran), 1))
	}
	smooth(&p.ran, int64(ran))
	smooth(&p.waited, int64(took-ran))
	if took-ran < noWait+ran/8 { // more are done at once than there are
		return
	}
	if p.adds.Load() == 0 {
		p.adds.Store(max(int64(took)/n, 1))
	}
	smooth(&p.adds, int64(took)/n)
}

// smooth moves v an eighth of the way to next.
func smooth(v *atomic.Int64, next int64) {
	old := v.Load()
	v.Store(max(old+(next-old)/8, 1))
}

// admits tells whether the n-th call under way is worth sending, whose time left is
// given.
func (p *pace) admits(n int64, now time.Time, left time.Duration) bool {
	if n <= 1 {
		return true // whatever the last ones waited for, only an answer can tell that it is over
	}
	ran := time.Duration(p.ran.Load())
	wait := time.Duration(n*p.adds.Load()) - ran
	half := max((left-ran)/2, left/8) // calls that run long are not all there may be
	most := min(half, standing+ran)
	if wait < most/2 || time.Duration(p.waited.Load()) < noWait+ran/8 {
		if p.busy.Load() {
			p.rest()
		}
		return true
	}
	if wait <= most {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy.Store(true); p.long.IsZero() {
		p.long = now
	}
	if wait > half {
		return now.Sub(p.long) < moment
	}
	return now.Sub(p.long) < burst
}

// rest notes that the queue is not long.
func (p *pace) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy.Store(false)
	p.long = time.Time{}
}

// together is how many calls may share a message, at most, whose consumer runs slots at
// once. It holds slots messages, so what shares them waits there, for as many
// turns as share one. While nobody knows how long a turn is, calls travel alone.
func (p *pace) together(slots int) int {
	ran := p.ran.Load()
	if ran == 0 {
		return 1
	}
	return int(max(min(int64(slots/share), int64(maxHeld)/ran), 1))
}
