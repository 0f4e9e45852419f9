package dispatch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/funcatron/funcatron/shared/envelope"
)

func TestPendingResolvesOnce(t *testing.T) {
	p := newPending(2)
	var resp envelope.Response
	s, id := p.reserve(nil, &resp, time.Now().Add(time.Minute))
	if !p.resolve(&envelope.Response{Call: id, Status: 201}) {
		t.Fatal("nobody waited for the reply")
	}
	if p.resolve(&envelope.Response{Call: id, Status: 500}) {
		t.Error("a second reply was taken")
	}
	if err := p.wait(s); err != nil || resp.Status != 201 {
		t.Errorf("wait = %v, status %d", err, resp.Status)
	}
	again, id2 := p.reserve(nil, &resp, time.Now().Add(time.Minute))
	if p.resolve(&envelope.Response{Call: id, Status: 500}) {
		t.Error("a late reply reached the call that has its slot now")
	}
	p.fail(id2, ErrDown)
	if err := p.wait(again); !errors.Is(err, ErrDown) {
		t.Errorf("wait = %v, want ErrDown", err)
	}
	if p.size() != 0 {
		t.Errorf("%d calls pending, want 0", p.size())
	}
}

func TestPendingIsBounded(t *testing.T) {
	p := newPending(3)
	var resp envelope.Response
	var slots []*slot
	for range 3 {
		s, _ := p.reserve(nil, &resp, time.Now().Add(time.Minute))
		if s == nil {
			t.Fatal("full too early")
		}
		slots = append(slots, s)
	}
	if s, _ := p.reserve(nil, &resp, time.Now().Add(time.Minute)); s != nil {
		t.Error("a fourth call found room")
	}
	p.failAll(nil, ErrDown)
	for _, s := range slots {
		if err := p.wait(s); !errors.Is(err, ErrDown) {
			t.Errorf("wait = %v", err)
		}
	}
	if s, _ := p.reserve(nil, &resp, time.Now().Add(time.Minute)); s == nil {
		t.Error("no room although nothing is pending")
	}
}

func TestPendingEndsAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPending(1)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go p.sweep(ctx)
		// The second call comes when the sweep rests.
		for range 2 {
			var resp envelope.Response
			s, id := p.reserve(nil, &resp, time.Now().Add(30*time.Second))
			start := time.Now()
			if err := p.wait(s); !errors.Is(err, ErrDeadline) {
				t.Errorf("wait = %v, want ErrDeadline", err)
			}
			if took := time.Since(start); took < 30*time.Second || took > 30*time.Second+sweepEvery {
				t.Errorf("waited %v", took)
			}
			if p.resolve(&envelope.Response{Call: id}) {
				t.Error("a reply after the deadline was taken")
			}
			<-time.After(2 * restAfter * sweepEvery) // of the bubble's time
			synctest.Wait()
			if p.sweeping.Load() {
				t.Error("it sweeps although nothing waits")
			}
		}
	})
}

// Replies, failures and deadlines race for each call; it ends exactly once, and the
// reply that it gets is its own.
func TestPendingUnderContention(t *testing.T) {
	p := newPending(1 << 12)
	ctx, end := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { p.sweep(ctx) })
	ids := make(chan uint64, 1<<12)
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for id := range ids {
				switch id >> indexBits % 3 {
				case 0:
					p.resolve(&envelope.Response{Call: id, Status: 200, Held: time.Duration(id)})
				case 1:
					p.fail(id, ErrDown)
				}
			}
		})
	}
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				p.failAll(nil, ErrFull)
			}
		}
	})
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 2000 {
				var resp envelope.Response
				s, id := p.reserve(nil, &resp, time.Now().Add(100*time.Microsecond))
				if s == nil {
					t.Error("table full")
					return
				}
				ids <- id
				if err := p.wait(s); err == nil && resp.Held != time.Duration(id) {
					t.Errorf("call %d got the reply to %d", id, resp.Held)
				}
			}
		})
	}
	callers.Wait()
	close(ids)
	close(stop)
	end()
	wg.Wait()
	if p.size() != 0 {
		t.Errorf("%d calls pending at the end", p.size())
	}
}

func TestPendingAllocatesNothing(t *testing.T) {
	p := newPending(64)
	var resp envelope.Response
	answer := &envelope.Response{Status: 200}
	round := func() {
		s, id := p.reserve(nil, &resp, time.Now().Add(time.Minute))
		answer.Call = id
		p.resolve(answer)
		_ = p.wait(s)
	}
	for range 1000 {
		round() // every shard has its slot then
	}
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations a call, want 0", n)
	}
}

func BenchmarkPending(b *testing.B) {
	p := newPending(1 << 14)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var resp, answer envelope.Response
		for pb.Next() {
			s, id := p.reserve(nil, &resp, time.Now().Add(time.Minute))
			answer.Call = id
			p.resolve(&answer)
			_ = p.wait(s)
		}
	})
}
