package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/funcatron/funcatron/dispatch/brokertest"
	"github.com/funcatron/funcatron/shared/wire"
)

// soakTime is how long TestSoak goes on. What is flat shows from soakMin on: before
// that the test looks at the answers only.
var soakTime = flag.Duration("soak", 4*time.Second, "how long TestSoak goes on")

const (
	soakMin   = 2 * time.Minute
	soakEvery = 3 * time.Second // a Runner goes, and comes back
)

// tolerance is how far what a metric ends with may lie above what it began with: a
// part of it, and so much more.
type tolerance struct{ part, more float64 }

var tolerances = map[string]tolerance{
	"heap KiB":   {0.1, 512}, // what is left after a collection
	"memory MiB": {0.15, 16}, // resident
	// Without a gateway's connections to clients, which are the clients' matter. A burst
	// has some opened to functions, which are kept.
	"goroutines": {0.05, 24},
	"files":      {0.05, 16},
	"queues":     {0, 2}, // of a Runner that has just gone or come
	"processes":  {0, 2},
}

// series is a figure over time.
type series struct {
	at    []float64 // minutes
	value []float64
}

func (s *series) add(at time.Duration, v float64) {
	s.at, s.value = append(s.at, at.Minutes()), append(s.value, v)
}

// ends are the means of the second quarter, for the first warms up, and of the last.
func (s *series) ends() (first, last float64) {
	mean := func(v []float64) (m float64) {
		for _, x := range v {
			m += x / float64(len(v))
		}
		return m
	}
	n := len(s.value)
	return mean(s.value[n/4 : n/2]), mean(s.value[n-n/4:])
}

// slope is what it grows by in a minute, by least squares from the second quarter on.
func (s *series) slope() float64 {
	at, value := s.at[len(s.at)/4:], s.value[len(s.at)/4:]
	n := float64(len(at))
	var x, y, xx, xy float64
	for i := range at {
		x, y = x+at[i], y+value[i]
		xx, xy = xx+at[i]*at[i], xy+at[i]*value[i]
	}
	if d := n*xx - x*x; d != 0 {
		return (n*xy - x*y) / d
	}
	return 0
}

// Runners come and go for a long time, killed and ended by turns: every request is
// answered, and nothing grows.
func TestSoak(t *testing.T) {
	t.Setenv("FUNCATRON_PPROF", "true") // has collections made
	var node *brokertest.Node
	url := ""
	if *soakTime >= soakMin {
		node = brokertest.StartNode(t) // which tells all of its queues
		url = node.URL()
	} else {
		url = brokertest.RabbitURL(t)
	}
	s, gateways := duo(t, url)
	s.runner("runner3")
	marks := openFile(t, "marks")
	base := "/soak-" + wire.NewID()
	s.enable(s.add(testBundle(t, base, "1")), map[string]any{"file": marks})
	for _, name := range []string{"runner1", "runner2", "runner3"} {
		s.joined(name)
	}
	l := startTraffic(t, trafficOptions{
		gateways: gateways, rate: 200, methods: []string{"GET", "POST", "PUT", "POST", "DELETE", "POST"}, path: slowPath(base, 20),
	})

	figures := make(map[string]*series) // by process and what of it
	began := time.Now()
	var kills []time.Time
	for turn := 0; time.Since(began) < *soakTime; turn++ {
		name := []string{"runner2", "runner3"}[turn%2]
		if turn/2%2 == 0 {
			kills = append(kills, time.Now())
			s.procs[name].kill()
		} else {
			s.procs[name].terminate()
		}
		s.runner(name) // in the same folder
		s.joined(name)
		l.lasts(t, soakEvery)
		s.figures(figures, time.Since(began), base)
		if node != nil && turn%10 == 0 {
			add(figures, "RabbitMQ queues", time.Since(began), float64(strings.Count(node.Ctl("-q", "list_queues", "name", "--no-table-headers"), "\n")))
		}
	}
	all := l.end()
	t.Logf("%v, %d Runners killed: %v", time.Since(began).Round(time.Second), len(kills), all)
	if took := time.Since(began); took >= soakMin {
		report(t, figures)
	}
	all.check(t, "want 200, or 502 for a POST that was with a Runner that was killed", func(s shot) bool {
		return s.status == 200 || s.status == 502 && s.method == "POST" && slices.ContainsFunc(kills, func(k time.Time) bool {
			return s.start.Before(k.Add(time.Second)) && s.start.Add(s.took).After(k)
		})
	})
	ranOnce(t, all, marks)
}

// figures adds what the processes that stay tell of themselves, and how many of the
// function at base there are.
func (s *system) figures(to map[string]*series, at time.Duration, base string) {
	s.t.Helper()
	urls := map[string]string{"tron": s.tron}
	for _, name := range []string{"gateway", "gateway2", "runner1"} {
		urls[name] = s.admin(name)
	}
	for name, url := range urls {
		request(s.t, "GET", url+"/debug/pprof/heap?gc=1", "")
		text := request(s.t, "GET", url+"/metrics", "").body
		for what, metric := range map[string]string{
			"goroutines": "go_goroutines", "memory MiB": "process_resident_memory_bytes", "heap KiB": "go_memstats_heap_alloc_bytes",
		} {
			var v float64
			_, after, found := strings.Cut(text, "\n"+metric+" ")
			if _, err := fmt.Sscan(after, &v); !found || err != nil {
				s.t.Fatalf("%s tells no %s: %v", name, metric, err)
			}
			switch what {
			case "goroutines":
				v -= s.clients(name)
			case "memory MiB":
				v /= 1 << 20
			case "heap KiB":
				v /= 1 << 10
			}
			add(to, name+" "+what, at, v)
		}
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.procs[name].cmd.Process.Pid))
		if err != nil {
			s.t.Fatal(err)
		}
		add(to, name+" files", at, float64(len(files))-s.clients(name))
	}
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	for _, f := range environs {
		if env, err := os.ReadFile(f); err == nil && strings.Contains(string(env), "FUNCATRON_BASE_PATH="+base) {
			n++
		}
	}
	add(to, "function processes", at, float64(n))
}

// clients is how many connections a gateway has to clients, and 0 for other processes.
func (s *system) clients(name string) (n float64) {
	s.t.Helper()
	text, _ := s.procs[name].output()
	m := regexp.MustCompile(`serving url=http://\S+:(\d+)`).FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	port, err := strconv.Atoi(m[1])
	if err != nil {
		s.t.Fatal(err)
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line) // proc(5): the local address, and 01 is established
		if len(f) > 3 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && f[3] == "01" {
			n++
		}
	}
	return n
}

func add(to map[string]*series, name string, at time.Duration, v float64) {
	if to[name] == nil {
		to[name] = new(series)
	}
	to[name].add(at, v)
}

// report prints each figure's beginning, end and slope, and fails the test for those
// that have grown.
func report(t *testing.T, figures map[string]*series) {
	t.Helper()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tsamples\tfirst\tlast\tslope a minute\tmost allowed\t")
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		f := figures[name]
		first, last := f.ends()
		_, what, _ := strings.Cut(name, " ")
		tol, ok := tolerances[what]
		if !ok {
			t.Errorf("BUG: how much may %q grow?", name)
		}
		most := first*(1+tol.part) + tol.more
		grown := ""
		if last > most {
			grown = "grown"
			t.Errorf("%s: %.1f at first, %.1f at last, at most %.1f allowed", name, first, last, most)
		}
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\t%+.2f\t%.1f\t%s\n", name, len(f.value), first, last, f.slope(), most, grown)
	}
	_ = w.Flush() // to memory
	t.Logf("\n%s", b.String())
}
