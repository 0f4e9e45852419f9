package memory

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A ring does what a slice does.
func TestRing(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var r ring
		var want []uint64
		var out []entry // taken, not back yet
		var next uint64
		for range 5000 {
			switch k := rnd.IntN(10); {
			case k < 5-int(seed%3):
				next++
				r.pushBack(entry{sequence: next})
				want = append(want, next)
			case k < 9 && r.n > 0:
				e := r.popFront()
				if e.sequence != want[0] {
					t.Fatalf("popped %d, want %d", e.sequence, want[0])
				}
				want = want[1:]
				if rnd.IntN(4) == 0 {
					out = append(out, e)
				}
			case len(out) > 0:
				i := rnd.IntN(len(out))
				e := out[i]
				out = slices.Delete(out, i, i+1)
				r.insert(e)
				at, _ := slices.BinarySearch(want, e.sequence)
				want = slices.Insert(slices.Clone(want), at, e.sequence)
			}
			if r.n != len(want) {
				t.Fatalf("%d entries, want %d", r.n, len(want))
			}
			for i := range want {
				if r.at(i).sequence != want[i] {
					t.Fatalf("entry %d is %d, want %d", i, r.at(i).sequence, want[i])
				}
			}
		}
	}
}

func TestRingForgets(t *testing.T) {
	var r ring
	for range 4 * keepRing {
		r.pushBack(entry{sequence: 1})
	}
	for range 4 * keepRing {
		r.popFront()
	}
	if len(r.buf) > keepRing {
		t.Errorf("an empty ring keeps room for %d", len(r.buf))
	}
}
