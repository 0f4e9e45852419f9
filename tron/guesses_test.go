package tron

import (
	"net/netip"
	"testing"
	"time"
)

func TestGuesses(t *testing.T) {
	var g guesses
	now := time.Now()
	v4, same6, other6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff:1")
	for i := range guessBurst {
		if wait := g.take(v4, now); wait != 0 {
			t.Fatalf("guess %d has to wait %v", i, wait)
		}
	}
	if wait := g.take(v4, now); wait <= 0 || wait > guessEvery {
		t.Errorf("one more has to wait %v", wait)
	}
	if wait := g.take(netip.MustParseAddr("::ffff:192.0.2.1"), now); wait == 0 {
		t.Error("the same address, written as IPv6, is another")
	}
	if wait := g.take(netip.MustParseAddr("192.0.2.2"), now); wait != 0 {
		t.Errorf("another address has to wait %v", wait)
	}
	for i := range 2 * guessBurst {
		addr := []netip.Addr{same6, other6}[i%2]
		if wait := g.take(addr, now); (wait == 0) != (i < guessBurst) {
			t.Fatalf("guess %d of a network has to wait %v", i, wait)
		}
	}
	// Who has stopped for a second has one more; after all of them, all.
	now = now.Add(guessEvery)
	if wait := g.take(v4, now); wait != 0 {
		t.Errorf("after a second it has to wait %v", wait)
	}
	if wait := g.take(v4, now); wait == 0 {
		t.Error("after a second there are two")
	}
	now = now.Add(guessBurst * guessEvery)
	for range guessBurst {
		if wait := g.take(v4, now); wait != 0 {
			t.Fatalf("after all it has to wait %v", wait)
		}
	}
}

// Right tokens cost nothing, and leave nothing behind.
func TestRightTokensAreForgiven(t *testing.T) {
	var g guesses
	now, addr := time.Now(), netip.MustParseAddr("192.0.2.1")
	for range 10 * guessBurst {
		if wait := g.take(addr, now); wait != 0 {
			t.Fatalf("a right token has to wait %v", wait)
		}
		g.forgive(addr, now)
	}
	if len(g.until) != 0 {
		t.Errorf("%d addresses are noted", len(g.until))
	}
}

// However many addresses guess, the memory is bounded, and those that have stopped
// make room.
func TestGuessersAreBounded(t *testing.T) {
	var g guesses
	now := time.Now()
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	passed := 0
	for i := range 3 * maxGuessers {
		if g.take(at(i), now) == 0 {
			passed++
		}
	}
	if want := maxGuessers + guessBurst; passed > want || len(g.until) > maxGuessers+1 {
		t.Errorf("%d guesses looked at, want %d; %d addresses noted", passed, want, len(g.until))
	}
	g.take(at(4*maxGuessers), now.Add(2*guessBurst*guessEvery))
	if len(g.until) != 1 {
		t.Errorf("%d addresses are still noted", len(g.until))
	}
}
