package dispatch

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/funcatron/funcatron/shared/envelope"
)

// A call id is slot index and generation: a reply finds its slot without a
// search, and one that comes after its call has ended finds another generation.
const (
	shardBits = 4
	indexBits = 24
	indexMask = 1<<indexBits - 1
	// maxCalls leaves room for shards that are fuller than others.
	maxCalls = 1 << (indexBits - 2)
)

// sweepEvery is how late a call may learn that its time is over. A sweep looks at
// eight bytes a slot, where a timer a call costs each of them.
const sweepEvery = 5 * time.Millisecond

// restAfter is how many sweeps in a row find nothing before they stop.
const restAfter = 200

// pending is the table of calls that wait for their reply. It never grows beyond
// its bound, and reserving, resolving and releasing allocate nothing once a slot
// was used. Deadlines count while sweep runs.
type pending struct {
	shards [1 << shardBits]shard
	count  atomic.Int64
	max    int64
	start  time.Time

	sweeping atomic.Bool
	first    chan struct{} // holds one: a call came while nobody swept
}

type shard struct {
	mu   sync.Mutex
	free []*slot
	all  []*slot
	due  []time.Duration // since start, of the call in the slot of that index; 0 has none
	_    [64]byte        // shards are used by different processors
}

// slot is one waiting call. Whoever sets id to 0, under the shard's lock, ends
// the call, and then sends on done exactly once.
type slot struct {
	done chan error // holds one

	id   uint64             // guarded by shard.mu; 0 while nobody waits
	gen  uint64             // guarded by shard.mu
	idx  uint64             // never changes
	kept bool               // guarded by shard.mu; a runner has promised the reply
	lane *lane              // guarded by shard.mu; where the call went
	resp *envelope.Response // the resolver's from when it has set id to 0 until it sends on done
}

func newPending(limit int) *pending {
	return &pending{max: int64(limit), start: time.Now(), first: make(chan struct{}, 1)}
}

// reserve takes a slot for a call in lane l whose reply goes to resp, and draws
// the call's id; the slot is nil when the table is full.
func (p *pending) reserve(l *lane, resp *envelope.Response, deadline time.Time) (*slot, uint64) {
	if p.count.Add(1) > p.max {
		p.count.Add(-1)
		return nil, 0
	}
	if !p.sweeping.Load() && p.sweeping.CompareAndSwap(false, true) {
		p.first <- struct{}{}
	}
	n := rand.Uint64N(1 << shardBits)
	sh := &p.shards[n]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var s *slot
	if last := len(sh.free) - 1; last >= 0 {
		s, sh.free = sh.free[last], sh.free[:last]
	} else {
		s = &slot{done: make(chan error, 1), idx: uint64(len(sh.all))<<shardBits | n}
		sh.all, sh.due = append(sh.all, s), append(sh.due, 0)
	}
	sh.due[s.idx>>shardBits] = max(deadline.Sub(p.start), 1)
	s.gen++
	s.id = s.gen<<indexBits | s.idx
	s.lane, s.resp, s.kept = l, resp, false
	return s, s.id
}

// wait returns when s's call has ended, and gives the slot back. After it nobody
// touches resp any more.
func (p *pending) wait(s *slot) error {
	err := <-s.done
	p.release(s)
	return err
}

func (p *pending) release(s *slot) {
	s.resp = nil
	sh := &p.shards[s.idx&(1<<shardBits-1)]
	sh.mu.Lock()
	s.lane = nil
	sh.free = append(sh.free, s)
	sh.mu.Unlock()
	p.count.Add(-1)
}

func (p *pending) shardOf(id uint64) *shard { return &p.shards[id&(1<<shardBits-1)] }

// claim ends call id if it still waits, and returns its slot: the caller then
// fills resp and sends on done. A reply that is late or was never asked for gets nil.
func (p *pending) claim(id uint64) *slot {
	sh := p.shardOf(id)
	i := id & indexMask >> shardBits
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if i >= uint64(len(sh.all)) || sh.all[i].id != id || id == 0 {
		return nil
	}
	return sh.end(i)
}

// end ends the call in slot i, which waits. mu is held.
func (sh *shard) end(i uint64) *slot {
	s := sh.all[i]
	s.id, sh.due[i] = 0, 0
	return s
}

// waits tells whether anybody waits for call id.
func (p *pending) waits(id uint64) bool {
	sh := p.shardOf(id)
	i := id & indexMask >> shardBits
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return i < uint64(len(sh.all)) && sh.all[i].id == id
}

// resolve answers a call with r, and tells whether anybody waited for it.
func (p *pending) resolve(r *envelope.Response) bool {
	s := p.claim(r.Call)
	if s == nil {
		return false
	}
	*s.resp = *r
	s.done <- nil
	return true
}

// fail answers call id with err, if it still waits.
func (p *pending) fail(id uint64, err error) {
	if s := p.claim(id); s != nil {
		s.done <- err
	}
}

// keep notes that the reply to call id will come although its queue has no
// consumer any more.
func (p *pending) keep(id uint64) {
	sh := p.shardOf(id)
	i := id & indexMask >> shardBits
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if i < uint64(len(sh.all)) && sh.all[i].id == id {
		sh.all[i].kept = true
	}
}

// failAll answers every waiting call with err. Where l is not nil, only those of
// that lane, without those that are kept.
func (p *pending) failAll(l *lane, err error) {
	for i := range p.shards {
		sh := &p.shards[i]
		sh.mu.Lock()
		for i, s := range sh.all {
			if s.id != 0 && (l == nil || s.lane == l && !s.kept) {
				sh.end(uint64(i)).done <- err
			}
		}
		sh.mu.Unlock()
	}
}

// sweep ends the calls whose time is over with ErrDeadline, until ctx ends. It
// rests while nothing waits.
func (p *pending) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		tick.Stop()
		select {
		case <-p.first:
		case <-ctx.Done():
			return
		}
		tick.Reset(sweepEvery)
		for idle := 0; idle < restAfter; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if p.count.Load() > 0 {
				p.expire(time.Since(p.start))
				idle = 0
			} else if idle++; idle == restAfter {
				p.sweeping.Store(false)
				// A call that came just before that may count on us.
				if p.count.Load() > 0 && p.sweeping.CompareAndSwap(false, true) {
					idle = 0
				}
			}
		}
	}
}

// expire ends the calls that are due.
func (p *pending) expire(now time.Duration) {
	for i := range p.shards {
		sh := &p.shards[i]
		sh.mu.Lock()
		for j, due := range sh.due {
			if due != 0 && due <= now {
				sh.end(uint64(j)).done <- ErrDeadline
			}
		}
		sh.mu.Unlock()
	}
}

// size is how many calls wait.
func (p *pending) size() int { return int(p.count.Load()) }
