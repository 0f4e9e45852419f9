package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// meter reads what the processes of a measurement have used.
type meter struct {
	pids    map[string][]int // by role
	limit   bool             // it is as bare as what the generator is judged by, or nearly so
	gateway string           // URL of a gateway's metrics; "" counts no allocations
	runners []string         // of the runners' metrics, where their use is compared
}

// reading is a meter's state at one moment.
type reading struct {
	at      time.Time
	cpu     map[string]time.Duration // by role
	machine time.Duration
	mallocs float64
	served  []float64 // by each runner
}

func (m *meter) read(ctx context.Context) (*reading, error) {
	r := &reading{cpu: make(map[string]time.Duration)}
	var err error
	if m.gateway != "" {
		if r.mallocs, err = scrape(ctx, m.gateway, "go_memstats_mallocs_total"); err != nil {
			return nil, err
		}
	}
	for _, url := range m.runners {
		n, err := scrape(ctx, url, "funcatron_runner_requests_total")
		if err != nil {
			return nil, err
		}
		r.served = append(r.served, n)
	}
	for role, pids := range m.pids {
		for _, pid := range pids {
			st, err := statOf(pid)
			if err != nil {
				return nil, fmt.Errorf("%s has ended: %w", role, err)
			}
			r.cpu[role] += st.cpu
		}
	}
	r.cpu["generator"] = ownCPU()
	if r.machine, err = machineCPU(); err != nil {
		return nil, err
	}
	r.at = time.Now()
	return r, nil
}

// cores is the processor time a second that each role used between two readings,
// and "other" that of everything else on the machine.
func (r *reading) cores(since *reading) map[string]float64 {
	took := r.at.Sub(since.at).Seconds()
	if took <= 0 {
		return nil
	}
	used := make(map[string]float64)
	other := (r.machine - since.machine).Seconds()
	for role, cpu := range r.cpu {
		d := (cpu - since.cpu[role]).Seconds()
		used[role] = d / took
		other -= d
	}
	used["other"] = max(other, 0) / took
	return used
}

// even is the requests at the least used runner for one at the most used: 1 is
// even, 0 is one that had none. Less than two runners are not compared.
func (r *reading) even(since *reading) float64 {
	if len(r.served) < 2 {
		return 0
	}
	least, most := -1.0, 0.0
	for i, n := range r.served {
		d := n - since.served[i]
		most = max(most, d)
		if least < 0 || d < least {
			least = d
		}
	}
	if most == 0 {
		return 0
	}
	return least / most
}

var scraper = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 2}}

// scrape adds up all series of a metric that a process exposes at url. One that is
// not there is 0: counters appear when they count.
func scrape(ctx context.Context, url, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	resp, err := scraper.Do(req)
	if err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end, or given up
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("read metrics: %s answers %s", url, resp.Status)
	}
	return sumOf(resp.Body, name)
}

// sumOf adds up all series of a metric in the Prometheus text format.
func sumOf(r io.Reader, name string) (sum float64, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		if i := strings.LastIndexByte(rest, '}'); i >= 0 { // labels may hold anything
			rest = rest[i+1:]
		}
		f := strings.Fields(rest) // a value, and perhaps a time
		if len(f) == 0 {
			return 0, fmt.Errorf("read metrics: %s has no value", name)
		}
		v, err := strconv.ParseFloat(f[0], 64)
		if err != nil {
			return 0, fmt.Errorf("read metrics: %s: %w", name, err)
		}
		sum += v
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	return sum, nil
}
