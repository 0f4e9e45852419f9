package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/wire"
)

// trafficOptions say what a traffic sends.
type trafficOptions struct {
	gateways []string               // URLs, in turn; aim changes them
	rate     int                    // requests a second, over all gateways
	methods  []string               // in turn at each gateway; nil is GET and POST
	path     func(id string) string // of the request with that id, which is unique
	patience time.Duration          // of a client; 0 is a minute
}

// traffic is an open loop: requests at a steady rate, whatever becomes of the
// earlier ones. Where the sender was held up it catches up.
type traffic struct {
	opts   trafficOptions
	client *http.Client
	stop   chan struct{}
	ended  func()
	wg     sync.WaitGroup

	mu       sync.Mutex
	gateways []string
	sent     int
	open     map[string]int // those under way, by gateway
	shots    []shot         // those that have ended
}

// shot is one request, and what became of it.
type shot struct {
	id, method, gateway string
	start               time.Time
	took                time.Duration
	status              int // 0 where err is not nil
	header              http.Header
	body                string
	err                 error
}

func (s shot) String() string {
	if s.err != nil {
		return fmt.Sprintf("%s %s at %s: %v after %v", s.method, s.id, s.gateway, s.err, s.took)
	}
	return fmt.Sprintf("%s %s at %s: %d after %v: %s", s.method, s.id, s.gateway, s.status, s.took, s.body)
}

// startTraffic sends until end, or the end of the test.
func startTraffic(t *testing.T, o trafficOptions) *traffic {
	t.Helper()
	if len(o.methods) == 0 {
		o.methods = []string{"GET", "POST"}
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 4096, IdleConnTimeout: 5 * time.Second}
	l := &traffic{
		opts: o, gateways: o.gateways, stop: make(chan struct{}), open: make(map[string]int),
		client: &http.Client{Timeout: cmp.Or(o.patience, time.Minute), Transport: transport},
	}
	l.ended = sync.OnceFunc(func() {
		close(l.stop)
		l.wg.Wait()
		transport.CloseIdleConnections()
	})
	l.wg.Go(l.run)
	t.Cleanup(l.ended)
	return l
}

func (l *traffic) run() {
	began, prefix := time.Now(), wire.NewID()
	tick := time.NewTicker(max(time.Second/time.Duration(l.opts.rate), time.Millisecond))
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		for due := int(time.Since(began).Seconds() * float64(l.opts.rate)); n < due; n++ {
			s := shot{id: fmt.Sprintf("%s-%d", prefix, n)}
			l.mu.Lock()
			s.gateway = l.gateways[n%len(l.gateways)]
			s.method = l.opts.methods[n/len(l.gateways)%len(l.opts.methods)]
			l.sent++
			l.open[s.gateway]++
			l.mu.Unlock()
			l.wg.Go(func() { l.send(s) })
		}
	}
}

func (l *traffic) send(s shot) {
	req, err := http.NewRequest(s.method, s.gateway+l.opts.path(s.id), nil)
	if err != nil {
		panic("BUG: load: " + err.Error())
	}
	s.start = time.Now()
	resp, err := l.client.Do(req)
	if err == nil {
		var text []byte
		text, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close() // read to its end, or to its error
		if resp.Close {
			l.avoid(s.gateway)
		}
		s.status, s.header, s.body = resp.StatusCode, resp.Header, string(text)
	}
	s.took = time.Since(s.start)
	if err != nil {
		s.status, s.err = 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[s.gateway]--
	l.shots = append(l.shots, s)
}

// aim sends what comes from now on to these gateways.
func (l *traffic) aim(gateways ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gateways = gateways
}

// avoid sends nothing more to a gateway that has asked for its connection to be
// closed, while there is another.
func (l *traffic) avoid(gateway string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	others := slices.DeleteFunc(slices.Clone(l.gateways), func(g string) bool { return g == gateway })
	if len(others) > 0 {
		l.gateways = others
	}
}

// cleared waits until nothing is under way to a gateway that is not aimed at any
// more, as a balancer does before its gateway is stopped.
func (l *traffic) cleared(t *testing.T, gateway string) {
	t.Helper()
	eventually(t, "nothing is under way to "+gateway, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if n := l.open[gateway]; n > 0 {
			return fmt.Errorf("%d requests are", n)
		}
		return nil
	})
}

// lasts waits while the load goes on for so long.
func (l *traffic) lasts(t *testing.T, d time.Duration) {
	t.Helper()
	l.mu.Lock()
	want := l.sent + int(d.Seconds()*float64(l.opts.rate))
	l.mu.Unlock()
	limit := time.After(d + patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		l.mu.Lock()
		sent := l.sent
		l.mu.Unlock()
		if sent >= want {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%d requests sent, want %d", sent, want)
		}
	}
}

// soFar is what has been answered until now.
func (l *traffic) soFar() shots {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.shots)
}

// end stops sending, waits until every request has ended, and returns them all.
func (l *traffic) end() shots {
	l.ended()
	return l.soFar()
}

// shots are requests that have ended, in the order they did.
type shots []shot

// where keeps those that match.
func (all shots) where(match func(shot) bool) shots {
	var some shots
	for _, s := range all {
		if match(s) {
			some = append(some, s)
		}
	}
	return some
}

// between keeps those sent from one time to another.
func (all shots) between(from, to time.Time) shots {
	return all.where(func(s shot) bool { return !s.start.Before(from) && s.start.Before(to) })
}

// of keeps those with one of these statuses.
func (all shots) of(status ...int) shots {
	return all.where(func(s shot) bool { return slices.Contains(status, s.status) })
}

// percentile is how long those took, of which so many in a hundred took no longer.
func (all shots) percentile(p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	took := make([]time.Duration, len(all))
	for i, s := range all {
		took[i] = s.took
	}
	slices.Sort(took)
	return took[min(int(float64(len(took))*p/100), len(took)-1)]
}

// String counts them by method and status; 0 is an error.
func (all shots) String() string {
	count := make(map[string]int)
	for _, s := range all {
		count[fmt.Sprintf("%s %d", s.method, s.status)]++
	}
	parts := []string{fmt.Sprintf("%d requests", len(all))}
	for _, k := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%s: %d", k, count[k]))
	}
	parts = append(parts, fmt.Sprintf("p50 %v", all.percentile(50)), fmt.Sprintf("p99 %v", all.percentile(99)), fmt.Sprintf("longest %v", all.percentile(100)))
	return strings.Join(parts, ", ")
}

// check fails the test with the first few of those that are not what they should be.
func (all shots) check(t *testing.T, want string, ok func(shot) bool) {
	t.Helper()
	bad := all.where(func(s shot) bool { return !ok(s) })
	for _, s := range bad[:min(len(bad), 5)] {
		t.Errorf("%s: %v", want, s)
	}
	if len(bad) > 5 {
		t.Errorf("%s: and %d more: %v", want, len(bad)-5, bad)
	}
}

// executions counts how often the function ran each id: /slow/{ms}?mark=ID writes a
// line to the file that the deployment's props name.
func executions(t *testing.T, file string) map[string]int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	count := make(map[string]int)
	for line := range strings.Lines(string(b)) {
		count[strings.TrimSuffix(line, "\n")]++
	}
	return count
}

// duo is a cluster of two gateways and two Runners: s.gateway is the first one's URL,
// and both are returned. The second gateway's process is "gateway2".
func duo(t *testing.T, rabbit string) (s *system, gateways []string) {
	t.Helper()
	s = cluster(t, rabbit)
	s.start("gateway2", "gateway", "--gateway-listen=127.0.0.1:0", "--gateway-admin-listen=127.0.0.1:0", "--drain-delay=100ms")
	second := s.procs["gateway2"].waitFor(`serving url=(http://\S+)`)[1]
	s.eventually("both gateways are known", func() error {
		if n := len(s.stats().Network.Gateways); n != 2 {
			return fmt.Errorf("%d gateways", n)
		}
		return nil
	})
	return s, []string{s.gateway, second}
}

// metric is the sum of a process's metric over its series, from its admin port.
func (s *system) metric(process, name string) float64 {
	s.t.Helper()
	admin := "http://" + s.procs[process].waitFor(`admin=(?:http://)?(\S+)`)[1]
	var sum float64
	for line := range strings.Lines(request(s.t, "GET", admin+"/metrics", "").body) {
		line = strings.TrimSpace(line)
		i := strings.LastIndexByte(line, ' ')
		if base, _, _ := strings.Cut(line[:max(i, 0)], "{"); base != name {
			continue
		}
		value := line[i+1:]
		var v float64
		if _, err := fmt.Sscan(value, &v); err != nil {
			s.t.Fatalf("metric %s of %s: %v in %q", name, process, err, line)
		}
		sum += v
	}
	return sum
}
