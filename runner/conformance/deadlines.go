package conformance

import (
	"sync"
	"time"
)

const (
	sleepers = 32 // at once: half of what a process takes by default
	// grace is how much later than its deadline an answer may come, on a machine
	// that has much else to do.
	grace = 4 * time.Second
)

// inASecond is the answer to who sleeps longer than its second.
var inASecond = within(800*time.Millisecond, time.Second+grace)

// deadlines are kept, whatever the function does.
var deadlines = []check{
	{"deadline/in-time", func(p *probe) {
		p.ask(get("/sleep/0"), status(200), value(`{"slept":0}`))
		p.ask(get("/sleep/100"), status(200), value(`{"slept":100}`), within(100*time.Millisecond, time.Second+grace))
	}},
	{"deadline/late", func(p *probe) {
		p.ask(get("/sleep/10000"), problem(504), inASecond)
		p.ask(get("/simple"), status(200))
		p.ask(get("/sleep/1"), status(200))
	}},
	{"deadline/sleepers", asleep},
}

// asleep has many sleep, all at once, and wants others to be served meanwhile. Those
// that are asked when the sleepers surely have come are what counts.
func asleep(p *probe) {
	const tries = 3 // of which one is enough: a machine may stand still
	for try := 1; p.heldUp() && p.good(); try++ {
		if try == tries {
			p.failf("GET /simple: want an answer while %d others sleep; it came after a sleeper's, %d times in a row", sleepers, tries)
			break
		}
	}
	p.ask(get("/simple"), status(200))
	p.ask(get("/sleep/1"), status(200))
}

// heldUp has many sleep until they are late, and says whether /simple was answered
// only after the first of them.
func (p *probe) heldUp() (held bool) {
	var wg sync.WaitGroup
	woken := make(chan struct{}) // closed with the first sleeper's answer
	var once sync.Once
	for range sleepers {
		wg.Go(func() {
			p.ask(get("/sleep/10000"), problem(504), inASecond)
			once.Do(func() { close(woken) })
		})
	}
	settled := time.After(250 * time.Millisecond)
	<-settled
	p.ask(get("/simple"), status(200))
	select {
	case <-woken:
		held = true
	default:
	}
	wg.Wait()
	return held
}
