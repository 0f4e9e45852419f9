package rabbit

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/funcatron/funcatron/dispatch"
)

func newLane(capacity, bytes int) *lane {
	return &lane{first: 1, wake: make(chan struct{}, 1), capacity: capacity, capacityBytes: bytes}
}

func size(n int, settled func(error)) item {
	return item{message: dispatch.Message{Body: make([]byte, n)}, settled: settled}
}

func TestLaneIsBounded(t *testing.T) {
	l := newLane(3, 100)
	var settled []error
	note := func(err error) { settled = append(settled, err) }
	for i, tc := range []struct {
		size int
		full bool
	}{
		{200, false}, // alone, anything goes
		{1, true},
	} {
		if err := l.put(size(tc.size, note)); errors.Is(err, dispatch.ErrFull) != tc.full {
			t.Errorf("put %d: %v", i, err)
		}
	}
	_, tag, _ := l.take()
	l.confirmed(tag)(nil)
	for i := range 5 {
		if err := l.put(size(30, note)); errors.Is(err, dispatch.ErrFull) != (i >= 3) {
			t.Errorf("put %d of 3: %v", i, err)
		}
	}
	l.take() // what is with RabbitMQ counts, too
	if err := l.put(size(1, note)); !errors.Is(err, dispatch.ErrFull) {
		t.Errorf("put: %v", err)
	}
	if len(settled) != 1 || settled[0] != nil {
		t.Errorf("settled %v", settled)
	}
}

// Whatever happens in whatever order, each message is settled once, and the tags
// go on where they were.
func TestLaneSettlesOnce(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		l := newLane(20, 1<<20)
		var calls []int
		var wire []uint64 // tags that RabbitMQ has yet to confirm
		var next uint64
		blocked := errors.New("blocked")
		for range 2000 {
			switch rnd.IntN(12) {
			case 0, 1, 2, 3:
				i := len(calls)
				if l.put(size(1, func(error) { calls[i]++ })) == nil {
					calls = append(calls, 0)
				}
			case 4, 5, 6, 7:
				if _, tag, ok := l.take(); ok {
					next++
					if tag != next {
						t.Fatalf("took tag %d, the channel's next is %d", tag, next)
					}
					wire = append(wire, tag)
				}
			case 8, 9, 10:
				if len(wire) > 0 {
					if settled := l.confirmed(wire[0]); settled != nil {
						settled(nil)
					}
					wire = wire[1:]
				}
			case 11:
				l.refuse(blocked)
				if err := l.put(size(1, nil)); err != blocked {
					t.Fatalf("put while blocked: %v", err)
				}
				if !l.empty() {
					t.Fatal("not empty while blocked")
				}
				l.refuse(nil)
			}
		}
		l.close(errors.New("lost"))
		l.refuse(nil) // an unblock that comes late opens nothing
		if err := l.put(size(1, nil)); err == nil {
			t.Error("put after close: nil")
		}
		for i, n := range calls {
			if n != 1 {
				t.Fatalf("message %d was settled %d times", i, n)
			}
		}
		if l.bytes != 0 || l.sent != 0 {
			t.Errorf("%d bytes and %d sent in an empty lane", l.bytes, l.sent)
		}
	}
}

func TestLaneIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLane(10, 100)
		looks := func(want bool) {
			t.Helper()
			if got := l.stuck(10 * time.Second); got != want {
				t.Errorf("stuck = %v", got)
			}
		}
		looks(false)
		if err := l.put(size(1, func(error) {})); err != nil {
			t.Fatal(err)
		}
		if err := l.put(size(1, func(error) {})); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		looks(false) // nothing is with RabbitMQ
		_, one, _ := l.take()
		l.take()
		looks(false)
		<-time.After(9 * time.Second)
		looks(false)
		l.confirmed(one)(nil) // it moves
		looks(false)
		<-time.After(9 * time.Second)
		looks(false)
		<-time.After(time.Second)
		looks(true)
	})
}

func TestFifo(t *testing.T) {
	var f fifo
	in, out := 0, 0
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		if rnd.IntN(2) == 0 || f.len() == 0 {
			f.push(item{queue: strconv.Itoa(in)})
			in++
		} else {
			if it := f.pop(); it.queue != strconv.Itoa(out) {
				t.Fatalf("popped %s, want %d", it.queue, out)
			}
			out++
		}
		if f.len() != in-out {
			t.Fatalf("%d items, want %d", f.len(), in-out)
		}
		if f.len() > 0 && f.at(f.len()-1).queue != strconv.Itoa(in-1) {
			t.Fatalf("the last is %s, want %d", f.at(f.len()-1).queue, in-1)
		}
	}
}

func TestMillis(t *testing.T) {
	for _, tc := range []struct {
		d    time.Duration
		want int64
	}{
		{-time.Second, 1}, {1, 1}, {time.Millisecond, 1}, {time.Millisecond + 1, 2}, {time.Minute, 60_000},
		{100 * 24 * time.Hour, maxExpiry}, {1<<63 - 1, maxExpiry},
	} {
		if got := millis(tc.d); got != tc.want {
			t.Errorf("millis(%v) = %d, want %d", tc.d, got, tc.want)
		}
	}
}
