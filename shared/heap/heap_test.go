package heap

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestPercent(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		size, live, roots int64
		want              int
	}{
		{64 * mib, 4 * mib, 0, 1500},
		{64 * mib, 4 * mib, 4 * mib, 750},
		{64 * mib, 32 * mib, 0, 100},
		{64 * mib, 60 * mib, 0, 100},
		{64 * mib, 500 * mib, 50 * mib, 100},
		{64 * mib, 0, 0, 6300},
	} {
		if got := percent(c.size, c.live, c.roots); got != c.want {
			t.Errorf("percent(%d, %d, %d) = %d, want %d", c.size, c.live, c.roots, got, c.want)
		}
	}
}

var keep [][]byte

// A small heap gets room, and a heap that has grown is collected as usual.
func TestFloorFollowsTheHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(usual)
	t.Cleanup(func() { floor.Store(1); keep = nil; debug.SetGCPercent(before) })
	collect := func(holds func(percent int) bool) (percent int) {
		for range 100 { // finalizers run some time after the collection that found them
			runtime.GC()
			percent = debug.SetGCPercent(usual)
			debug.SetGCPercent(percent)
			if holds(percent) {
				return percent
			}
			runtime.Gosched()
		}
		return percent
	}
	Floor(64 << 20)
	if got := collect(func(p int) bool { return p > 3*usual }); got <= 3*usual {
		t.Errorf("GC percent is %d with a small heap", got)
	}
	for range 100 {
		keep = append(keep, make([]byte, 1<<20))
	}
	if got := collect(func(p int) bool { return p == usual }); got != usual {
		t.Errorf("GC percent is %d with 100 MiB, want %d", got, usual)
	}
}

func TestGOGCHasTheLastWord(t *testing.T) {
	t.Setenv("GOGC", "50")
	before := debug.SetGCPercent(77)
	defer debug.SetGCPercent(before)
	was := floor.Load()
	Floor(1 << 30)
	if got := debug.SetGCPercent(77); got != 77 || floor.Load() != was {
		t.Errorf("GC percent is %d", got)
	}
}
