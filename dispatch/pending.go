package dispatch

import (
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

// pending is the table of calls that wait for their reply. It never grows beyond
// its bound, and reserving, resolving and releasing allocate nothing once a slot
// was used.
type pending struct {
	shards [1 << shardBits]shard
	count  atomic.Int64
	max    int64
}

type shard struct {
	mu   sync.Mutex
	free []*slot
	all  []*slot
	_    [64]byte // shards are used by different processors
}

// slot is one waiting call. Whoever sets id to 0, under the shard's lock, ends
// the call: a resolver, who then sends on done exactly once, or the waiting side.
type slot struct {
	done  chan error // holds one
	timer *time.Timer

	id   uint64             // guarded by shard.mu; 0 while nobody waits
	gen  uint64             // guarded by shard.mu
	idx  uint64             // never changes
	kept bool               // guarded by shard.mu; a runner has promised the reply
	lane *lane              // guarded by shard.mu; where the call went
	resp *envelope.Response // the resolver's from when it has set id to 0 until it sends on done
}

func newPending(limit int) *pending { return &pending{max: int64(limit)} }

// reserve takes a slot for a call in lane l whose reply goes to resp, and draws
// the call's id; the slot is nil when the table is full.
func (p *pending) reserve(l *lane, resp *envelope.Response, left time.Duration) (*slot, uint64) {
	if p.count.Add(1) > p.max {
		p.count.Add(-1)
		return nil, 0
	}
	n := rand.Uint64N(1 << shardBits)
	sh := &p.shards[n]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var s *slot
	if last := len(sh.free) - 1; last >= 0 {
		s, sh.free = sh.free[last], sh.free[:last]
		s.timer.Reset(left)
	} else {
		s = &slot{done: make(chan error, 1), timer: time.NewTimer(left), idx: uint64(len(sh.all))<<shardBits | n}
		sh.all = append(sh.all, s)
	}
	s.gen++
	s.id = s.gen<<indexBits | s.idx
	s.lane, s.resp, s.kept = l, resp, false
	return s, s.id
}

// wait returns when call id is resolved or its time is over, and gives its slot
// back. After it nobody touches resp any more.
func (p *pending) wait(s *slot, id uint64) error {
	var err error
	select {
	case err = <-s.done:
	case <-s.timer.C:
		if p.claim(id) != nil {
			err = ErrDeadline
		} else {
			err = <-s.done // resolved at the last moment
		}
	}
	p.release(s)
	return err
}

func (p *pending) release(s *slot) {
	s.timer.Stop()
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
	s := sh.all[i]
	s.id = 0
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
		for _, s := range sh.all {
			if s.id != 0 && (l == nil || s.lane == l && !s.kept) {
				s.id = 0
				s.done <- err
			}
		}
		sh.mu.Unlock()
	}
}

// size is how many calls wait.
func (p *pending) size() int { return int(p.count.Load()) }
