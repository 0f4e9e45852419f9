package rabbit

import (
	"math/rand/v2"
	"testing"
)

// Whatever order deliveries are settled in, each is told exactly once, and none
// that is not settled is among those told at once.
func TestAcksTellEachOnce(t *testing.T) {
	for range 200 {
		a := acks{settled: make(map[uint64]bool)}
		outstanding := map[uint64]bool{} // delivered, and RabbitMQ was not told
		settled := map[uint64]bool{}
		ack := func(tag uint64, multiple bool) {
			if !outstanding[tag] {
				t.Fatalf("ack of %d, which is not outstanding", tag)
			}
			for other := range outstanding {
				if other == tag || multiple && other < tag {
					if !settled[other] {
						t.Fatalf("ack of %d (multiple: %t) settles %d, which is being worked on", tag, multiple, other)
					}
					delete(outstanding, other)
				}
			}
		}
		const n = 50
		var working []uint64
		for tag := uint64(1); tag <= n; tag++ {
			outstanding[tag] = true
			working = append(working, tag)
			for len(working) > 0 && rand.IntN(3) > 0 {
				i := rand.IntN(len(working))
				done := working[i]
				working = append(working[:i], working[i+1:]...)
				settled[done] = true
				if rand.IntN(10) == 0 { // requeued
					delete(outstanding, done)
					a.told(done)
				} else {
					a.add(done)
				}
			}
			if rand.IntN(4) == 0 {
				a.flush(ack)
			}
		}
		for _, tag := range working {
			settled[tag] = true
			a.add(tag)
		}
		a.flush(ack)
		if len(outstanding) > 0 || len(a.settled) > 0 || a.prefix != n || a.waiting != 0 {
			t.Fatalf("left: %v, %+v", outstanding, a)
		}
	}
}
