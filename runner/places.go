package runner

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// downGrace is how long a deployment may be without a live process before it
// takes no more requests: others may have one. A process that is started again
// at once is not missed.
const downGrace = time.Second

// What take reports.
var (
	errNoProcess = errors.New("no process of the function is running")
	errLate      = errors.New("deadline passed")
)

// places hands out the places in a deployment's live processes, each of which has
// width. Who takes one gives it back.
type places struct {
	width int

	mu      sync.Mutex
	live    []*instance      // under mu
	waiting []chan *instance // under mu: first come, first served; each has room for one
	up      chan struct{}    // under mu: closed while there is a live process
	down    chan struct{}    // under mu: closed when there was none for downGrace
	timer   *time.Timer      // under mu: closes down
}

// newPlaces has no live process yet, and is not down.
func newPlaces(width int) *places {
	return &places{width: max(width, 1), up: make(chan struct{}), down: make(chan struct{})}
}

// add puts a process to use.
func (p *places) add(i *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.live) == 0 {
		if p.timer != nil {
			p.timer.Stop()
			p.timer = nil
		}
		select {
		case <-p.down:
			p.down = make(chan struct{})
		default:
		}
		close(p.up)
	}
	p.live = append(p.live, i)
	for i.busy < p.width && p.handOver(i) {
	}
}

// remove takes a process out of use. Those who have a place in it keep it.
func (p *places) remove(i *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.Index(p.live, i)
	if at < 0 {
		return
	}
	p.live = slices.Delete(p.live, at, at+1)
	if len(p.live) > 0 {
		return
	}
	p.up = make(chan struct{})
	down := p.down
	var timer *time.Timer
	timer = time.AfterFunc(downGrace, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.timer == timer { // else a process came meanwhile
			close(down)
			p.timer = nil
		}
	})
	p.timer = timer
}

// close ends the wait of those who wait, and the timer.
func (p *places) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	select {
	case <-p.down:
	default:
		close(p.down)
	}
}

// signals are closed while there is a live process, and when there was none for
// long. They are those of now: after the one the next one counts.
func (p *places) signals() (up, down <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.up, p.down
}

// count is how many processes are live.
func (p *places) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.live)
}

// take gives a place in the process that has the fewest calls. While all are taken
// it waits: for deadline, or until there is no process.
func (p *places) take(deadline time.Time) (*instance, error) {
	p.mu.Lock()
	var best *instance
	for _, i := range p.live {
		if i.busy < p.width && (best == nil || i.busy < best.busy) {
			best = i
		}
	}
	if best != nil {
		best.busy++
		p.mu.Unlock()
		return best, nil
	}
	turn := make(chan *instance, 1)
	p.waiting = append(p.waiting, turn)
	down := p.down
	p.mu.Unlock()

	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	err := errLate
	select {
	case i := <-turn:
		return i, nil
	case <-down:
		err = errNoProcess
	case <-timer.C:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case i := <-turn: // it came in the same moment
		return i, nil
	default:
	}
	p.waiting = slices.DeleteFunc(p.waiting, func(w chan *instance) bool { return w == turn })
	return nil, err
}

// give gives a place back.
func (p *places) give(i *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i.busy--
	if slices.Contains(p.live, i) {
		p.handOver(i)
	}
}

// handOver gives a place in i to who waits longest, if anybody does. mu is held.
func (p *places) handOver(i *instance) bool {
	if len(p.waiting) == 0 {
		return false
	}
	i.busy++
	p.waiting[0] <- i
	p.waiting = p.waiting[1:]
	return true
}
