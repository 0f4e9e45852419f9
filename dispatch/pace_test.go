package dispatch

import (
	"fmt"
	"testing"
	"time"
)

// station is what pace judges: a queue, and slots in which each call runs for a time.
// Its clock is its own.
type station struct {
	paces []pace // of each Caller: they call in turns
	slots int    // of all consumers
	ran   time.Duration
	limit time.Duration // deadline of a call

	now     time.Time
	under   []int       // way, of each Caller
	waiting []asked     // those that wait
	running []asked     // and those that run, the one that ends first in front
	ends    []time.Time // of those that run

	good, late, refused int
	longest             time.Duration // from call to answer, of those that are good
}

// asked is when a Caller called.
type asked struct {
	by   int
	when time.Time
	nth  int64
}

func newStation(callers, slots int, ran, limit time.Duration) *station {
	return &station{paces: make([]pace, callers), under: make([]int, callers), slots: slots, ran: ran, limit: limit, now: time.Now()}
}

func (s *station) call(by int) {
	n := int64(s.under[by] + 1)
	if !s.paces[by].admits(n, s.now, s.limit) {
		s.refused++
		return
	}
	s.under[by]++
	s.waiting = append(s.waiting, asked{by, s.now, n})
	s.begin()
}

func (s *station) begin() {
	for len(s.running) < s.slots && len(s.waiting) > 0 {
		s.running, s.ends = append(s.running, s.waiting[0]), append(s.ends, s.now.Add(s.ran))
		s.waiting = s.waiting[1:]
	}
}

// until lets time pass.
func (s *station) until(t time.Time) {
	for {
		for len(s.waiting) > 0 && s.now.Sub(s.waiting[0].when) >= s.limit {
			s.under[s.waiting[0].by]--
			s.waiting = s.waiting[1:]
			s.late++
		}
		s.begin()
		if len(s.ends) == 0 || s.ends[0].After(t) {
			s.now = t
			return
		}
		s.now = s.ends[0]
		one := s.running[0]
		took := s.now.Sub(one.when)
		s.under[one.by]--
		s.running, s.ends = s.running[1:], s.ends[1:]
		if took >= s.limit {
			s.late++
			continue
		}
		s.good++
		s.longest = max(s.longest, took)
		s.paces[one.by].answered(took, s.ran, one.nth)
	}
}

// load calls at a steady rate, and forgets what became of earlier calls.
func (s *station) load(perSecond float64, lasts time.Duration) {
	s.good, s.late, s.refused, s.longest = 0, 0, 0, 0
	for i := range int(lasts.Seconds() * perSecond) {
		s.until(s.now.Add(time.Duration(float64(time.Second) / perSecond)))
		s.call(i % len(s.paces))
	}
}

// Whatever is asked, what is done stays what can be done; and what is within that
// is never refused.
func TestPaceOfAnOverloadedQueue(t *testing.T) {
	for name, tc := range map[string]struct {
		slots      int
		ran, limit time.Duration
		times      float64 // of capacity
	}{
		"half":                 {32, 100 * time.Millisecond, 20 * time.Second, 0.5},
		"nine tenths":          {32, 100 * time.Millisecond, 20 * time.Second, 0.9},
		"half of many runners": {640, time.Second, 20 * time.Second, 0.5},
		"three times":          {32, 100 * time.Millisecond, 20 * time.Second, 3},
		"soon late":            {32, 200 * time.Millisecond, 2 * time.Second, 3},
		"very soon late":       {32, 200 * time.Millisecond, 600 * time.Millisecond, 3},
		"thirty times":         {32, 100 * time.Millisecond, 10 * time.Second, 30},
		"slow":                 {16, 3 * time.Second, 30 * time.Second, 3},
		"one at a time":        {1, 250 * time.Millisecond, 10 * time.Second, 3},
	} {
		for _, callers := range []int{1, 2, 5} {
			t.Run(fmt.Sprintf("%s, %d callers", name, callers), func(t *testing.T) {
				s := newStation(callers, tc.slots, tc.ran, tc.limit)
				capacity := float64(tc.slots) / tc.ran.Seconds()
				s.load(capacity*tc.times, 3*tc.limit) // until it is as it will be
				t.Logf("first: goodput %.2f of capacity, %d late, %d refused, longest %v", float64(s.good)/(3*tc.limit).Seconds()/capacity, s.late, s.refused, s.longest)
				const lasts = 60 * time.Second
				s.load(capacity*tc.times, lasts)
				goodput := float64(s.good) / lasts.Seconds() / capacity
				t.Logf("goodput %.2f of capacity, %d late, %d refused, longest %v", goodput, s.late, s.refused, s.longest)
				if want := min(tc.times, 1) * 0.95; goodput < want {
					t.Errorf("goodput is %.2f of capacity, want %.2f", goodput, want)
				}
				if tc.times < 1 {
					if s.refused > 0 {
						t.Errorf("%d calls refused within capacity", s.refused)
					}
					return
				}
				if most := standing*3/2 + 3*tc.ran; callers < 5 && s.longest > most {
					t.Errorf("a call took %v: the queue stands longer than %v", s.longest, most)
				}
				s.load(capacity/2, 4*time.Second+2*tc.ran)
				t.Logf("just after: %d late, %d refused, longest %v", s.late, s.refused, s.longest)
				s.load(capacity/2, 10*time.Second)
				if s.late > 0 || s.refused > 0 || s.longest > 2*tc.ran {
					t.Errorf("after the overload: %d late, %d refused, longest %v", s.late, s.refused, s.longest)
				}
			})
		}
	}
}

// A burst may wait for half of its time: nobody knows that it will not be the last.
func TestPaceOfABurst(t *testing.T) {
	s := newStation(1, 16, 100*time.Millisecond, 20*time.Second)
	s.load(80, 2*time.Second)
	for range 1000 {
		s.call(0)
	}
	s.until(s.now.Add(10 * time.Second))
	if s.refused > 0 || s.late > 0 || len(s.running) > 0 {
		t.Errorf("of a burst that takes 6 s, %d were refused, %d late, %d never done", s.refused, s.late, len(s.waiting)+len(s.running))
	}
}

// Where load grows tenfold and is done, nobody waits, and nobody is refused.
func TestPaceOfGrowingLoad(t *testing.T) {
	s := newStation(1, 320, time.Second, 20*time.Second)
	s.load(25, 10*time.Second)
	s.load(250, 10*time.Second)
	if s.refused > 0 {
		t.Errorf("%d calls refused within capacity", s.refused)
	}
}

// While the broker is away nothing is done. That says nothing about what is done
// when it is back.
func TestPaceAfterAPause(t *testing.T) {
	for name, pause := range map[string]func(s *station){
		"calls fail": func(s *station) {
			s.until(s.now.Add(5 * time.Second))
			s.waiting, s.running, s.ends, s.under[0] = nil, nil, nil, 0
		},
		"calls wait": func(s *station) {
			const lasts = 10 * time.Second
			for i := range s.ends {
				s.ends[i] = s.ends[i].Add(lasts)
			}
			s.load(300, lasts)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStation(1, 32, 5*time.Millisecond, 2*time.Second)
			s.load(300, 5*time.Second)
			for range 100 { // it is busy, and measures, when it happens
				s.call(0)
			}
			pause(s)
			s.load(300, time.Second)
			t.Logf("just after: %d late, %d refused, longest %v", s.late, s.refused, s.longest)
			s.load(300, 10*time.Second)
			for range 100 {
				s.call(0)
			}
			if s.refused > 0 {
				t.Errorf("%d refused a second after the pause", s.refused)
			}
		})
	}
}

// What waits while nothing moves is late, amid an overload; what comes after it is not.
func TestPaceOfAPauseInAnOverload(t *testing.T) {
	s := newStation(1, 16, 200*time.Millisecond, 2*time.Second)
	const capacity, pause = 80, 3 * time.Second
	s.load(3*capacity, 10*time.Second)
	for i := range s.ends {
		s.ends[i] = s.ends[i].Add(pause)
	}
	s.load(3*capacity, pause+100*time.Millisecond)
	s.load(3*capacity, 10*time.Second)
	if goodput := float64(s.good) / 10 / capacity; goodput < 0.85 || s.late > capacity {
		t.Errorf("goodput %.2f of capacity, %d late, %d refused", goodput, s.late, s.refused)
	}
}

// A function's process that is started again holds up what follows for a moment.
func TestPaceOfAMoment(t *testing.T) {
	for _, lasts := range []time.Duration{100 * time.Millisecond, 600 * time.Millisecond, 1100 * time.Millisecond} {
		s := newStation(1, 32, 5*time.Millisecond, 20*time.Second)
		s.load(200, 5*time.Second)
		s.until(s.now.Add(time.Second))
		for range s.slots {
			s.call(0)
		}
		for i := range s.ends {
			s.ends[i] = s.ends[i].Add(lasts)
		}
		s.load(200, 5*time.Second)
		if s.refused > 0 || s.late > 0 {
			t.Errorf("after %v without an answer: %d refused, %d late", lasts, s.refused, s.late)
		}
	}
}

// One that asks alone, one call after the other, finds out that a pause is over,
// however long the last calls took.
func TestPaceOfOneAfterPauses(t *testing.T) {
	s := newStation(1, 1, 5*time.Millisecond, 20*time.Second)
	for range 2 { // the process is started anew, and again
		s.call(0)
		s.call(0)
		s.ends[0] = s.ends[0].Add(3 * time.Second)
		s.until(s.now.Add(4 * time.Second))
	}
	s.refused = 0
	for range 1000 {
		s.call(0)
		s.until(s.now.Add(10 * time.Millisecond))
	}
	if s.refused > 0 {
		t.Errorf("%d refused", s.refused)
	}
}

// Where nothing is answered nothing is known, and others bound what is sent.
func TestPaceOfSilence(t *testing.T) {
	s := newStation(1, 16, time.Hour, 20*time.Second)
	s.load(100, 10*time.Second)
	if s.refused > 0 {
		t.Errorf("%d calls refused", s.refused)
	}
}

// Calls that run long travel alone: at a consumer, nobody knows how long they waited.
func TestPaceOfMessages(t *testing.T) {
	for _, tc := range []struct {
		ran   time.Duration
		slots int
		want  int
	}{
		{0, 64, 1}, // not known yet
		{time.Millisecond, 64, 16},
		{5 * time.Millisecond, 64, 16},
		{20 * time.Millisecond, 64, 5},
		{time.Second, 64, 1},
		{time.Millisecond, 1, 1},
	} {
		var p pace
		if tc.ran > 0 {
			p.answered(tc.ran, tc.ran, 1)
		}
		if got := p.together(tc.slots); got != tc.want {
			t.Errorf("calls that run %v, %d at once: %d share a message, want %d", tc.ran, tc.slots, got, tc.want)
		}
	}
}

func BenchmarkPaceAdmits(b *testing.B) {
	for name, n := range map[string]int64{"idle": 10, "busy": 100} {
		b.Run(name, func(b *testing.B) {
			var p pace
			p.answered(time.Millisecond, time.Millisecond, n)
			now := time.Now()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					p.admits(n, now, time.Second)
					p.answered(time.Millisecond, time.Millisecond, n)
				}
			})
		})
	}
}
