package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch/brokertest"
)

// away is how long the Tron and RabbitMQ are away; FUNCATRON_TEST_AWAY makes it longer.
func away(t *testing.T, usual time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv("FUNCATRON_TEST_AWAY")
	if text == "" {
		return usual
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("FUNCATRON_TEST_AWAY: %v", err)
	}
	return d
}

// busDocument describes operations whose concurrency and time are given: a test's
// capacity is then what it says, and not the machine's.
const busDocument = `
swagger: "2.0"
info: {title: Bus, version: "1"}
basePath: %s
produces: [application/json]
x-funcatron: {runtime: exec, command: [%s], concurrency: %d, timeout: %s}
paths:
  /slow/{ms}:
    parameters:
      - {name: ms, in: path, type: integer, format: int32, required: true}
      - {name: mark, in: query, type: string}
    get: {operationId: slow, responses: {"200": {description: ok}}}
    post: {operationId: slow, responses: {"200": {description: ok}}}
`

// busBundle is a bundle of busDocument.
func busBundle(t *testing.T, basePath string, concurrency int, timeout time.Duration) string {
	t.Helper()
	return zipOf(t, map[string]string{"funcatron.yaml": fmt.Sprintf(busDocument, basePath, asFunction, concurrency, timeout)})
}

// Faults of the bus and of the Tron, one after the other in one system with a
// RabbitMQ of its own behind a proxy, each under constant load.
func TestBusFaults(t *testing.T) {
	node := brokertest.StartNode(t)
	proxy := brokertest.NewProxy(t, node.URL())
	s, gateways := duo(t, proxy.URL())
	marks := openFile(t, "marks")
	bus := s.add(busBundle(t, "/bus", 16, 20*time.Second))
	s.enable(bus, map[string]any{"file": marks})
	s.enable(s.add(busBundle(t, "/brief", 16, brief)), map[string]any{"file": marks})
	b := &busFaults{system: s, gateways: gateways, node: node, proxy: proxy, marks: marks}
	b.whole(t)
	before := b.goroutines()

	t.Run("Tron", b.tronAway)
	s.enable(bus, map[string]any{"file": marks}) // the one that came back manages
	t.Run("stall", b.stall)
	t.Run("alarm", b.alarm)
	t.Run("killed, back with its data", func(t *testing.T) { b.killed(t, func() {}) })
	t.Run("killed, back empty", func(t *testing.T) { b.killed(t, node.Wipe) })

	b.eventually("no more goroutines than before", func() error {
		after := b.goroutines()
		for name, n := range after {
			if n > before[name]+10 {
				return fmt.Errorf("%s has %v, had %v", name, n, before[name])
			}
		}
		t.Logf("goroutines before all faults %v, after %v", before, after)
		return nil
	})
}

// brief is the deadline of /brief.
const brief = 2 * time.Second

type busFaults struct {
	*system
	gateways []string
	node     *brokertest.Node
	proxy    *brokertest.Proxy
	marks    string
}

// busRate is requests a second, over both gateways.
const busRate = 200

// whole waits until both gateways serve.
func (b *busFaults) whole(t *testing.T) {
	t.Helper()
	for _, g := range b.gateways {
		eventually(t, g+" serves", func() error {
			a, err := try("GET", g+"/bus/slow/0", "")
			if err == nil && a.status != 200 {
				err = fmt.Errorf("%d %s", a.status, a.body)
			}
			return err
		})
	}
}

// lives waits until a Runner serves both bundles.
func (b *busFaults) lives(runner string) {
	b.procs[runner].waitFor(`(?s)deployment is live.*deployment is live`)
}

func (b *busFaults) goroutines() map[string]float64 {
	n := make(map[string]float64)
	for _, name := range []string{"gateway", "gateway2", "runner1", "runner2"} {
		n[name] = b.metric(name, "go_goroutines")
	}
	return n
}

// load begins once all is well.
func (b *busFaults) load(t *testing.T) *traffic {
	t.Helper()
	b.whole(t)
	l := startTraffic(t, trafficOptions{
		gateways: b.gateways, rate: busRate,
		path: func(id string) string { return "/bus/slow/5?mark=" + id },
	})
	l.lasts(t, time.Second)
	return l
}

// served checks what holds for every request, whatever the fault: it was answered,
// a 200 is of a request that ran, and no POST ran twice.
func (b *busFaults) served(t *testing.T, all shots) {
	t.Helper()
	ran := executions(t, b.marks)
	all.check(t, "an answer of ours", func(s shot) bool { return s.err == nil })
	all.check(t, "what was answered 200 ran", func(s shot) bool { return s.status != 200 || ran[s.id] >= 1 })
	all.check(t, "a POST runs once at most", func(s shot) bool { return s.method != "POST" || ran[s.id] <= 1 })
}

// refusedAtOnce checks the answers to what was sent while RabbitMQ took nothing.
func refusedAtOnce(t *testing.T, all shots) {
	t.Helper()
	if len(all) < busRate/2 {
		t.Errorf("%d requests were sent while RabbitMQ took nothing: too few to tell", len(all))
	}
	all.check(t, "503 with Retry-After", func(s shot) bool { return s.status == 503 && s.header.Get("Retry-After") != "" })
	if p := all.percentile(99); p > 3*time.Second { // 100 ms on a machine that does nothing else
		t.Errorf("p99 of the answers is %v", p)
	}
	t.Logf("while it took nothing: %v", all)
}

// recover goes on with the load until service has long been full again, and returns
// it all. From 5 s after back on everything must have been answered 200, without any
// restart of ours.
func (b *busFaults) recover(t *testing.T, l *traffic, back time.Time) shots {
	t.Helper()
	b.whole(t)
	l.lasts(t, 1500*time.Millisecond)
	stopped := time.Now()
	all := l.end()
	b.served(t, all)
	all.between(stopped.Add(-time.Second), stopped).check(t, "200 in the end", func(s shot) bool { return s.status == 200 })
	var took time.Duration
	for _, s := range all.where(func(s shot) bool { return s.start.After(back) && s.status != 200 }) {
		took = max(took, s.start.Sub(back))
	}
	if took > 5*time.Second {
		t.Errorf("full service took %v", took)
	}
	t.Logf("full service %v after it was back", took.Round(time.Millisecond))
	return all
}

// The Tron is not in the path of a request, and gateways and Runners start without it.
func (b *busFaults) tronAway(t *testing.T) {
	routes := func() string { return request(t, "GET", b.tron+"/api/v1/routes", "").body }
	before := routes()
	l := b.load(t)
	gone := time.Now()
	b.procs["tron"].kill()
	l.lasts(t, time.Second)

	l.aim(b.gateways[0])
	l.cleared(t, b.gateways[1])
	b.procs["gateway2"].terminate()
	b.procs["runner2"].terminate()
	b.start("gateway2", "gateway", "--gateway-listen=127.0.0.1:0", "--gateway-admin-listen=127.0.0.1:0", "--drain-delay=100ms")
	b.gateways[1] = b.procs["gateway2"].waitFor(`serving url=(http://\S+)`)[1]
	b.runner("runner2")
	b.lives("runner2")
	b.whole(t)
	l.aim(b.gateways...)
	b.procs["runner1"].terminate() // the one that started without the Tron is alone
	l.lasts(t, time.Second)
	b.runner("runner1")
	b.lives("runner1")
	l.lasts(t, away(t, 6*time.Second)-time.Since(gone))

	b.start("tron", "tron", "--tron-listen=127.0.0.1:0")
	b.tron = b.procs["tron"].waitFor(`List known Func Bundles: curl -v (http://\S+)/api`)[1]
	was := time.Since(gone)
	b.eventually("the Tron knows all four", func() error {
		if n := b.stats().Network; len(n.Gateways) != 2 || len(n.Runners) != 2 {
			return fmt.Errorf("%d gateways, %d runners", len(n.Gateways), len(n.Runners))
		}
		return nil
	})
	l.lasts(t, time.Second)
	eventually(t, "the routes are as they were", func() error {
		if after := routes(); after != before {
			return fmt.Errorf("%s, before the Tron was killed %s", after, before)
		}
		return nil
	})
	all := l.end()
	all.check(t, "clients see nothing", func(s shot) bool { return s.status == 200 })
	b.served(t, all)
	t.Logf("the Tron was away %v: %v", was.Round(time.Millisecond), all)
}

// Packets to and from RabbitMQ go nowhere, and nobody says so.
func (b *busFaults) stall(t *testing.T) {
	b.whole(t)
	l := startTraffic(t, trafficOptions{
		gateways: b.gateways, rate: busRate,
		path: func(id string) string { return "/brief/slow/5?mark=" + id },
	})
	l.lasts(t, time.Second)
	b.proxy.Stall()
	stalled := time.Now()
	l.lasts(t, 11500*time.Millisecond) // RabbitMQ is given up after 10 s
	b.proxy.Resume()
	resumed := time.Now()
	all := b.recover(t, l, resumed)
	all.check(t, "an answer within the deadline", func(s shot) bool { return s.took < brief+5*time.Second })
	during := all.between(stalled.Add(50*time.Millisecond), resumed.Add(-brief))
	during.check(t, "503 or 504", func(s shot) bool { return s.status == 503 || s.status == 504 })
	t.Logf("while stalled: %v", during)
	t.Logf("of which 503: %v", during.of(503))
}

// RabbitMQ is short of memory and takes no messages.
func (b *busFaults) alarm(t *testing.T) {
	l := b.load(t)
	asked := time.Now()
	b.node.Ctl("set_vm_memory_high_watermark", "absolute", "1MB")
	raised := time.Now()
	l.lasts(t, 2*time.Second)
	over := time.Now()
	b.node.Ctl("set_vm_memory_high_watermark", "0.6")
	back := time.Now()
	all := b.recover(t, l, back)
	all.between(time.Time{}, asked).check(t, "200 before", func(s shot) bool { return s.status == 200 })
	refusedAtOnce(t, all.between(raised.Add(100*time.Millisecond), over))
}

// RabbitMQ is killed, and comes back after lost was called.
func (b *busFaults) killed(t *testing.T, lost func()) {
	l := b.load(t)
	b.node.Kill()
	gone := time.Now()
	l.lasts(t, away(t, 2500*time.Millisecond))
	lost()
	coming := time.Now()
	b.node.Start()
	back := time.Now()
	all := b.recover(t, l, back)
	all.between(time.Time{}, gone.Add(-time.Second)).check(t, "200 before", func(s shot) bool { return s.status == 200 })
	refusedAtOnce(t, all.between(gone.Add(100*time.Millisecond), coming))
}
