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
// How long that is, every Caller can tell by itself. By Little's law the next call
// waits as long as it takes to do those that are under way: their number, divided
// by how many are done in a second. Both are the Caller's own figures. Where others
// ask the same queue it serves them in turns, and the Caller's share of what it
// does is the Caller's rate.
const (
	// paceWindow is how long answers are counted for a rate, at least.
	paceWindow = 250 * time.Millisecond
	// paceAnswers is how many answers make a rate within paceStall.
	paceAnswers = 16
	paceStall   = time.Second
	// A burst may wait for half of its time. A queue that has been long for burst is
	// no burst: from then on nobody waits longer than standing and one turn.
	burst    = time.Second
	standing = time.Second
	// noWait is what a call spends on its way, at most: more is waiting.
	noWait = 10 * time.Millisecond
	// maxHeld is how long calls wait at a consumer for their turn, about: there,
	// unlike in the broker's queue, nobody knows how long they waited before.
	maxHeld = 100 * time.Millisecond
)

// pace is how fast the calls of one lane are done.
type pace struct {
	done   atomic.Int64 // calls answered
	ran    atomic.Int64 // nanoseconds that one runs, smoothed; 0 before the first answer
	waited atomic.Int64 // nanoseconds that one did not run, smoothed
	busy   atomic.Bool  // more are under way than one consumer runs at once

	mu   sync.Mutex // guards what follows, which counts while busy
	from time.Time  // when the window began; zero before it has
	base int64      // done at that time
	last float64    // calls done in a second in the last window, while others waited; else 0
	rate float64    // the same of the last two windows, whichever is more; 0 is unknown
	long time.Time  // since when the queue is long; zero where it is not
}

// answered notes an answer, and how long its call took and ran. Two at once may cost
// one its weight.
func (p *pace) answered(took, ran time.Duration) {
	p.done.Add(1)
	if p.ran.Load() == 0 {
		p.ran.Store(max(int64(ran), 1))
		p.waited.Store(int64(took - ran))
		return
	}
	smooth(&p.ran, ran)
	smooth(&p.waited, took-ran)
}

func smooth(v *atomic.Int64, next time.Duration) {
	old := v.Load()
	v.Store(max(old+(int64(next)-old)/8, 1))
}

// admits tells whether the n-th call under way is worth sending, whose time left is
// given. slots is how many one consumer runs at once: with no more under way
// nothing waits, and nothing is measured.
func (p *pace) admits(n, slots int64, now time.Time, left time.Duration) bool {
	if n <= slots {
		if p.busy.Load() {
			p.rest()
		}
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	wait, known := p.measure(n, now)
	if !known {
		return true
	}
	ran := time.Duration(p.ran.Load())
	if wait > max((left-ran)/2, left/8) { // calls that run long are not all there may be
		return false
	}
	most := standing + ran
	switch {
	case wait < most/2:
		p.long = time.Time{}
	case wait > most && p.long.IsZero():
		p.long = now
	}
	return wait <= most || now.Sub(p.long) < burst
}

// measure estimates how long the n-th call waits for its turn. mu is held.
func (p *pace) measure(n int64, now time.Time) (wait time.Duration, known bool) {
	p.busy.Store(true)
	done, ran := p.done.Load(), time.Duration(p.ran.Load())
	// Answers come in waves as long as a turn. Few of them in a short time are no rate:
	// a process that is started again, a Runner that goes, hold them up for a moment.
	need := max(paceWindow, 2*ran)
	switch took := now.Sub(p.from); {
	case p.from.IsZero() || took > 8*max(need, paceStall): // nor is a long pause, of the broker say
		p.from, p.base = now, done
	case took >= need && (done-p.base >= paceAnswers || took >= paceStall && done > p.base):
		rate := float64(done-p.base) / took.Seconds()
		if p.waited.Load() < int64(ran/8+noWait) { // more would be done if more were asked
			rate, p.last = 0, 0
		}
		p.rate = 0
		if p.last > 0 { // one window may be unlucky
			p.rate = max(rate, p.last)
		}
		p.last, p.from, p.base = rate, now, done
	}
	if p.rate == 0 {
		return 0, false
	}
	return time.Duration(float64(n)/p.rate*float64(time.Second)) - ran, true
}

// rest ends the measurement: nothing waits any more.
func (p *pace) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy.Store(false)
	p.from, p.long, p.last, p.rate = time.Time{}, time.Time{}, 0, 0
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
