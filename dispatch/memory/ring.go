package memory

import (
	"time"

	"github.com/funcatron/funcatron/dispatch"
)

// entry is a message in a queue.
type entry struct {
	dispatch.Message
	deadline    time.Duration // on the broker's clock; 0 for none
	sequence    uint64        // its place in the queue
	redelivered bool
}

// keepRing is the largest ring that an empty queue keeps: one stampede does not
// cost memory for ever.
const keepRing = 1024

// ring is a growing ring buffer. The zero ring is empty.
type ring struct {
	buf  []entry // its length is 0 or a power of two
	head int
	n    int
}

func (r *ring) at(i int) *entry { return &r.buf[(r.head+i)&(len(r.buf)-1)] }

func (r *ring) front() *entry { return r.at(0) }

func (r *ring) pushBack(e entry) {
	r.grow()
	*r.at(r.n) = e
	r.n++
}

func (r *ring) popFront() entry {
	e := *r.front()
	*r.front() = entry{} // its body is not ours to keep alive
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
	if r.n == 0 && len(r.buf) > keepRing {
		*r = ring{}
	}
	return e
}

// insert puts e before the first entry of a higher sequence. What it inserts was
// taken from the head, so that is near.
func (r *ring) insert(e entry) {
	r.grow()
	r.head = (r.head - 1) & (len(r.buf) - 1)
	r.n++
	i := 0
	for ; i+1 < r.n && r.at(i+1).sequence < e.sequence; i++ {
		*r.at(i) = *r.at(i + 1)
	}
	*r.at(i) = e
}

// grow makes room for one more.
func (r *ring) grow() {
	if r.n < len(r.buf) {
		return
	}
	next := make([]entry, max(16, 2*len(r.buf)))
	k := copy(next, r.buf[r.head:])
	copy(next[k:], r.buf[:r.head])
	r.buf, r.head = next, 0
}
