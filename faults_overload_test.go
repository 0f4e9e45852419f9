package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch/brokertest"
)

// look is metrics of processes, each named "process metric".
func (s *system) look(names ...string) map[string]float64 {
	s.t.Helper()
	values := make(map[string]float64)
	for _, name := range names {
		process, metric, _ := strings.Cut(name, " ")
		values[name] = s.metric(process, metric)
	}
	return values
}

// peaks looks again and again until end, which returns the greatest values.
func (s *system) peaks(names ...string) (end func() map[string]float64) {
	s.t.Helper()
	peak := s.look(names...)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			for name, v := range s.look(names...) {
				peak[name] = max(peak[name], v)
			}
		}
	})
	end = sync.OnceValue(func() map[string]float64 { stop(); wg.Wait(); return peak })
	s.t.Cleanup(func() { end() })
	return end
}

// Three times what the Runners can do: they go on doing four fifths of it, the rest
// is refused quickly, memory is bounded, and when it is over it is over.
func TestOverload(t *testing.T) {
	const (
		slots    = 16 // of each of two Runners
		took     = 200 * time.Millisecond
		deadline = 3 * time.Second
		capacity = 2 * slots * int(time.Second/took) // requests a second
		grows    = 256 << 20                         // bytes that a process's memory may grow by: the race detector multiplies it
	)
	s, gateways := duo(t, brokertest.RabbitURL(t))
	marks := openFile(t, "marks")
	s.enable(s.add(busBundle(t, "/busy", slots, deadline)), map[string]any{"file": marks})
	s.serves("/busy/slow/0")
	var memory, pending []string
	for _, name := range []string{"gateway", "gateway2", "runner1", "runner2"} {
		memory = append(memory, name+" process_resident_memory_bytes")
	}
	for _, name := range []string{"gateway", "gateway2"} {
		pending = append(pending, name+" funcatron_gateway_pending_requests")
	}
	before, peaks := s.look(memory...), s.peaks(append(memory, pending...)...)

	o := trafficOptions{gateways: gateways, rate: 3 * capacity, path: func(id string) string { return "/busy/slow/200?mark=" + id }}
	l := startTraffic(t, o)
	l.lasts(t, 2*time.Second)
	from := time.Now()
	l.lasts(t, away(t, 5*time.Second))
	to := time.Now()
	o.rate = capacity / 2
	after := startTraffic(t, o) // the others are still being answered
	all := l.end()

	all.check(t, "200, 503 with Retry-After, or 504 until the pace is known", func(s shot) bool {
		return s.status == 200 || s.status == 503 && s.header.Get("Retry-After") != "" || s.status == 504 && s.start.Before(from)
	})
	good := all.of(200).where(func(s shot) bool { end := s.start.Add(s.took); return end.After(from) && end.Before(to) })
	goodput := float64(len(good)) / to.Sub(from).Seconds()
	if goodput < 0.8*float64(capacity) {
		t.Errorf("goodput is %.0f/s, want at least four fifths of %d/s", goodput, capacity)
	}
	refused := all.of(503)
	if p := refused.percentile(99); p > time.Second {
		t.Errorf("p99 of the refused is %v", p)
	}
	peak := peaks()
	for _, name := range memory {
		if peak[name] > before[name]+grows {
			t.Errorf("%s was %.0f before, %.0f at most", name, before[name], peak[name])
		}
	}
	for _, name := range pending { // 720 are asked of each within the deadline
		if peak[name] > 300 {
			t.Errorf("%s was %.0f at most", name, peak[name])
		}
	}
	after.lasts(t, 6*time.Second)
	half := after.end()
	var recovery time.Duration
	for _, s := range half.where(func(s shot) bool { return s.status != 200 || s.took > 3*took }) {
		recovery = max(recovery, s.start.Sub(to))
	}
	if recovery > 5*time.Second {
		t.Errorf("full service took %v after the overload", recovery)
	}
	ran := executions(t, marks)
	for id, n := range ran {
		if n > 1 {
			t.Errorf("%s ran %d times", id, n)
		}
	}
	refused.check(t, "what was refused never ran", func(s shot) bool { return ran[s.id] == 0 })
	t.Logf("offered %d/s, goodput %.0f/s of %d/s; served in time: %v", 3*capacity, goodput, capacity, good)
	t.Logf("refused: %v; too late: %d", refused, len(all.of(504)))
	t.Logf("memory before %v, at most %v", before, peak)
	t.Logf("full service %v after it; at half of capacity: %v", recovery.Round(time.Millisecond), half)
}

// Who has timed out is not served in vain: a request whose turn comes after its
// deadline does not run, wherever it waited.
func TestDeadlineTravels(t *testing.T) {
	const (
		slots    = 16
		asked    = 240
		turn     = 900 * time.Millisecond
		deadline = 2 * time.Second
	)
	s, gateways := duo(t, brokertest.RabbitURL(t))
	marks := openFile(t, "marks")
	s.enable(s.add(busBundle(t, "/late", slots, deadline)), map[string]any{"file": marks})

	var mu sync.Mutex
	var answers [600]int
	var wg sync.WaitGroup
	first := time.Now()
	var last time.Time
	for i := range asked {
		wg.Go(func() {
			mu.Lock()
			last = time.Now()
			mu.Unlock()
			a, err := try([]string{"GET", "POST"}[i%2], fmt.Sprintf("%s/late/slow/%d?mark=%d", gateways[i/2%2], turn.Milliseconds(), i), "")
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			answers[a.status]++
		})
	}
	wg.Wait()
	if answers[504] == 0 || answers[200]+answers[504] != asked {
		t.Errorf("%d answers of 200 and %d of 504, want %d and some of both", answers[200], answers[504], asked)
	}
	s.serves("/late/slow/0") // nothing is before it in the queue any more
	turns := int((last.Sub(first)+deadline)/turn) + 1
	ran := len(executions(t, marks))
	if most := turns * 2 * slots; ran > most {
		t.Errorf("%d requests ran, but only %d can have begun within their deadlines", ran, most)
	}
	t.Logf("of %d requests %d were answered 200, %d 504; %d ran in %d turns of %d", asked, answers[200], answers[504], ran, turns, 2*slots)
}

// One slow deployment does not slow another: each has its own queue and its limits.
func TestSlowDeploymentSlowsNoOther(t *testing.T) {
	s, gateways := duo(t, brokertest.RabbitURL(t))
	marks := openFile(t, "marks")
	s.enable(s.add(busBundle(t, "/jam", 2, 2*time.Second)), map[string]any{"file": marks})
	s.enable(s.add(busBundle(t, "/free", 16, 4*time.Second)), map[string]any{"file": marks})
	s.serves("/jam/slow/0")
	s.serves("/free/slow/0")

	free := startTraffic(t, trafficOptions{gateways: gateways, rate: 100, path: func(string) string { return "/free/slow/5" }})
	free.lasts(t, 2*time.Second)
	from := time.Now()
	jam := startTraffic(t, trafficOptions{gateways: gateways, rate: 100, path: func(string) string { return "/jam/slow/1500" }})
	jam.lasts(t, 4*time.Second)
	to := time.Now()
	stuck, all := jam.end(), free.end()

	if answered := len(stuck.of(200)); answered > len(stuck)/10 {
		t.Errorf("%d of %d requests to the slow one were answered: it is not jammed", answered, len(stuck))
	}
	all.check(t, "200", func(s shot) bool { return s.status == 200 })
	alone, beside := all.between(time.Time{}, from), all.between(from, to)
	if p := beside.percentile(95); p > alone.percentile(95)+500*time.Millisecond {
		t.Errorf("p95 is %v beside a deployment that is jammed, %v without", p, alone.percentile(95))
	}
	t.Logf("alone: %v", alone)
	t.Logf("beside the jam: %v", beside)
	t.Logf("jammed: %v", stuck)
}
