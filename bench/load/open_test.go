package load

import (
	"fmt"
	"math"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	// Three loops together are due every ms, and none drifts.
	const rate, loops = 1000, 3
	var all []time.Duration
	for i := range loops {
		s := newSchedule(rate, i, loops)
		for range 4 {
			all = append(all, s.take())
		}
		s.next = 1_000_000
		if got, want := s.due(), time.Duration(i)*time.Millisecond+3_000_000*time.Millisecond; got-want > time.Microsecond || want-got > time.Microsecond {
			t.Errorf("loop %d: request 1,000,000 is due at %v, want %v", i, got, want)
		}
	}
	seen := map[time.Duration]bool{}
	for _, d := range all {
		seen[d.Round(time.Microsecond)] = true
	}
	for i := range 12 {
		if !seen[time.Duration(i)*time.Millisecond] {
			t.Errorf("nothing is due at %d ms: %v", i, all)
		}
	}
	third := newSchedule(3, 0, 1)
	third.next = 3 * 3600
	if got := third.due(); math.Abs(got.Seconds()-3600) > 1e-6 {
		t.Errorf("after an hour at 3/s: %v", got)
	}
}

func TestOpenLoopKeepsItsRate(t *testing.T) {
	target := serve(t, "tcp", func(w http.ResponseWriter, r *http.Request) {})
	var wrong string
	for range 3 { // a machine that stood still in between says nothing of the loop
		r := mustRun(t, Options{Target: target, Connections: 8, Loops: 2, Rate: 500, Warmup: 100 * time.Millisecond, Duration: 600 * time.Millisecond})
		// Exactly 300 are due in the measured time; all are accounted for.
		if n := r.Latency.TotalCount(); n < 299 || n > 301 {
			t.Errorf("%d latencies, want 300: %+v", n, r)
		}
		if wrong = ""; r.Answered < 270 || r.Answered > 310 || r.Unsent+r.Unanswered+r.Broken != 0 {
			wrong = fmt.Sprintf("%+v", r)
		}
		if n := r.Lag.TotalCount(); n < 200 || n > 301 {
			wrong += fmt.Sprintf(" %d lags", n)
		}
		if wrong == "" {
			return
		}
	}
	t.Error(wrong)
}

// A target that stalls makes all requests late that are due meanwhile, whether or
// not there was a connection to send them over.
func TestNoCoordinatedOmission(t *testing.T) {
	const stall = 400 * time.Millisecond
	stalling := func() Target {
		var n atomic.Int64
		return serve(t, "tcp", func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) == 20 {
				<-time.After(stall)
			}
		})
	}
	late := func(r *Result) (n int64) {
		for _, b := range r.Latency.Distribution() {
			if b.From >= (stall / 2).Microseconds() {
				n += b.Count
			}
		}
		return n
	}
	o := Options{Target: stalling(), Connections: 1, Rate: 100, Duration: 1500 * time.Millisecond}
	open := mustRun(t, o)
	// Of the 40 that are due while it stalls, the first half waits for longer than
	// half of it.
	if n := late(open); n < 17 || n > 45 {
		t.Errorf("open loop: %d late ones, want about 20", n)
	}
	if n := open.Latency.TotalCount(); n != 150 {
		t.Errorf("open loop: %d latencies, want all 150", n)
	}
	if p := open.Lag.ValueAtQuantile(50); p > (stall / 4).Microseconds() {
		t.Errorf("the target's stall counts as the generator's: lag %d us", p)
	}
	o.Target, o.Rate = stalling(), 0
	if n := late(mustRun(t, o)); n != 1 {
		t.Errorf("closed loop: %d late ones, want the one", n)
	}
}

// What never comes back counts too, and so does what was never sent.
func TestUnansweredAndUnsentCount(t *testing.T) {
	target := serve(t, "tcp", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	r := mustRun(t, Options{Target: target, Connections: 2, Rate: 100, Duration: 300 * time.Millisecond, Grace: 100 * time.Millisecond})
	if r.Unanswered != 2 || r.Unsent != 28 || r.Answered != 0 || r.Latency.TotalCount() != 30 {
		t.Errorf("unanswered %d, unsent %d, answered %d, latencies %d", r.Unanswered, r.Unsent, r.Answered, r.Latency.TotalCount())
	}
	if got := r.Latency.Max(); got < 390_000 || got > 2_000_000 {
		t.Errorf("the longest wait is %d us, want all of run and grace", got)
	}
	// The last one was due 10 ms before the end, and waited for that.
	if got := r.Latency.Min(); got < 9_000 || got > 11_000 {
		t.Errorf("the shortest wait is %d us, want 10,000", got)
	}
}

func TestMerge(t *testing.T) {
	a, b := newResult(time.Second), newResult(time.Second)
	for i := range 100 {
		record(a.Latency, time.Duration(i+1)*time.Millisecond)
		record(b.Latency, time.Duration(i+101)*time.Millisecond)
	}
	record(b.Lag, 5*time.Millisecond)
	a.Answered, a.Wrong, a.Total, a.Busy, a.CPU = 100, 1, 101, 0.25, time.Second
	b.Answered, b.Broken, b.Unanswered, b.Unsent, b.Total, b.Busy, b.CPU = 50, 2, 3, 4, 52, 0.5, time.Second
	a.Statuses[200], b.Statuses[200], b.Statuses[500] = 100, 50, 2
	a.Merge(b)
	if a.Answered != 150 || a.Wrong != 1 || a.Broken != 2 || a.Unanswered != 3 || a.Unsent != 4 || a.Total != 153 || a.CPU != 2*time.Second || a.Busy != 0.5 {
		t.Errorf("%+v", a)
	}
	if a.Rate() != 150 || a.Statuses[200] != 150 || a.Statuses[500] != 2 || a.Lag.TotalCount() != 1 {
		t.Errorf("%+v", a)
	}
	if n, p := a.Latency.TotalCount(), a.Latency.ValueAtQuantile(50); n != 200 || p < 99_900 || p > 100_200 {
		t.Errorf("%d latencies, median %d us", n, p)
	}
	// What is out of range counts, at the edge of it.
	record(a.Latency, -time.Second)
	record(a.Latency, time.Hour)
	if n, top := a.Latency.TotalCount(), a.Latency.Max(); n != 202 || top < MaxLatency.Microseconds() {
		t.Errorf("%d latencies up to %d", n, top)
	}
}
