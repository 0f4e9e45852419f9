package bench

import (
	"math"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	st, err := parseStat([]byte("42 (a) b (c) S 7 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 12345 1000 200\n"))
	if err != nil || st.parent != 7 || st.cpu != 2*time.Second {
		t.Errorf("%+v, %v", st, err)
	}
	for _, text := range []string{"", "42 (x S 7", "42 (x) S 7 1 1", "42 (x) S y 42 42 0 -1 4194560 100 0 0 0 150 50 0"} {
		if st, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, st)
		}
	}
}

func TestOwnProcess(t *testing.T) {
	if st, err := statOf(os.Getpid()); err != nil || st.parent != os.Getppid() {
		t.Errorf("%+v, %v; parent is %d", st, err, os.Getppid())
	}
	if rss, err := resident(os.Getpid()); err != nil || rss < 1<<20 || rss > 8<<30 {
		t.Errorf("resident %d, %v", rss, err)
	}
	before, err := machineCPU()
	if err != nil {
		t.Fatal(err)
	}
	own := ownCPU()
	for ownCPU()-own < 50*time.Millisecond { // burn a little
		_ = strings.Repeat("x", 1000)
	}
	after, err := machineCPU()
	if err != nil || after <= before {
		t.Errorf("machine used %v, then %v: %v", before, after, err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "amqp://guest:guest@" + ln.Addr().String() + "/"
	if pid := listenerOf(url); pid != os.Getpid() {
		t.Errorf("%s: process %d, want %d", url, pid, os.Getpid())
	}
	_ = ln.Close()
	for _, url := range []string{url, "amqp://192.0.2.1:5672/", "::"} {
		if pid := listenerOf(url); pid != 0 {
			t.Errorf("%s: process %d", url, pid)
		}
	}
	if m := machine(); m.Cores < 1 || m.Memory < 1<<20 || m.Kernel == "" || m.Go == "" || m.Revision == "" {
		t.Errorf("%+v", m)
	}
}

func TestSumOf(t *testing.T) {
	const text = `# HELP x_total of x
x_total{a="1",b="} 7 "} 3
x_total{a="2"} 4.5 1700000000
x_total_more 100
x_total 1
y_total{} 1e3
`
	for name, want := range map[string]float64{"x_total": 8.5, "y_total": 1000, "z_total": 0} {
		if got, err := sumOf(strings.NewReader(text), name); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", name, got, err, want)
		}
	}
	for _, bad := range []string{"x_total \n", "x_total{a=\"1\"} many\n"} {
		if got, err := sumOf(strings.NewReader(bad), "x_total"); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestReadings(t *testing.T) {
	now := time.Now()
	a := &reading{at: now, machine: 10 * time.Second, cpu: map[string]time.Duration{"gateway": time.Second}, served: []float64{10, 20, 5}}
	b := &reading{at: now.Add(2 * time.Second), machine: 13 * time.Second, cpu: map[string]time.Duration{"gateway": 2 * time.Second}, served: []float64{110, 120, 80}}
	cores := b.cores(a)
	if cores["gateway"] != 0.5 || math.Abs(cores["other"]-1) > 1e-9 {
		t.Errorf("%v", cores)
	}
	if got := b.even(a); got != 0.75 {
		t.Errorf("even %v, want 75 for 100", got)
	}
	b.served[1] = 20
	if got := b.even(a); got != 0 {
		t.Errorf("one had nothing: %v", got)
	}
	for _, served := range [][]float64{nil, {5}, {10, 20, 5}} {
		b.served = served
		if got := b.even(a); got != 0 {
			t.Errorf("%v: %v", served, got)
		}
	}
	if got := a.cores(a); got != nil {
		t.Errorf("in no time: %v", got)
	}
}
