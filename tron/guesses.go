package tron

import (
	"net/netip"
	"sync"
	"time"
)

// A wrong token costs its address something: guessBurst of them are looked at as
// they come, and from then on one a guessEvery.
const (
	guessBurst = 30
	guessEvery = time.Second
	// maxGuessers is how many addresses are told from each other; the others that
	// guess at that time share what one may.
	maxGuessers = 4096
)

// guesses slows those who try out tokens. Its zero value is ready to use.
type guesses struct {
	mu    sync.Mutex
	until map[netip.Prefix]time.Time // under mu: when all wrong tokens of who guesses are forgiven
	swept time.Time                  // under mu: when those that are were last taken out
}

// take allows one token of who comes from addr to be looked at, or says how long to
// wait until one may be. Where the token turns out right, forgive is to be called.
//
// It is refused unseen, right or wrong, since to tell them apart would be to look at
// it. So whoever shares an address with somebody who guesses has to wait, too, a
// second after the guesses have stopped.
func (g *guesses) take(addr netip.Addr, now time.Time) (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	who := g.who(addr, now)
	until := g.until[who]
	if until.Before(now) {
		until = now
	}
	until = until.Add(guessEvery)
	if wait := until.Sub(now) - guessBurst*guessEvery; wait > 0 {
		return wait
	}
	g.until[who] = until
	return 0
}

// forgive takes back what take has noted.
func (g *guesses) forgive(addr netip.Addr, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	who := g.who(addr, now)
	if until, ok := g.until[who]; ok {
		g.until[who] = until.Add(-guessEvery)
		if !g.until[who].After(now) {
			delete(g.until, who)
		}
	}
}

// who is under what addr is noted: an IPv4 address, the network of an IPv6 host,
// which has 2^64 addresses to choose from, or everybody that there is no room for.
// mu is held.
func (g *guesses) who(addr netip.Addr, now time.Time) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	who, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no IP address
	}
	if _, ok := g.until[who]; ok {
		return who
	}
	if g.until == nil {
		g.until = make(map[netip.Prefix]time.Time)
	}
	if len(g.until) >= maxGuessers && now.Sub(g.swept) >= guessEvery {
		g.swept = now
		for p, until := range g.until {
			if !until.After(now) {
				delete(g.until, p)
			}
		}
	}
	if len(g.until) >= maxGuessers {
		return netip.Prefix{}
	}
	return who
}
