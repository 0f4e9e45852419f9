package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/funcatron/funcatron/dispatch/brokertest"
	"github.com/funcatron/funcatron/runner/fn"
)

// poison is a function that its process does not survive, or that never answers. It
// says first that it runs, and who its Runner is.
func poison(ctx *fn.Context) (*fn.Response, error) {
	var p struct {
		File string `json:"file"`
	}
	if err := ctx.DecodeProps(&p); err != nil {
		return nil, err
	}
	mark, _ := ctx.QueryParams()["mark"].(string) // the document requires it
	if err := leaveMark(p.File, fmt.Sprint(mark, " ", os.Getppid())); err != nil {
		return nil, err
	}
	switch ctx.PathParams()["how"] {
	case "exit":
		os.Exit(3)
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// refuseToStart ends the process where its props name a file that is there.
func refuseToStart() {
	b, err := os.ReadFile(os.Getenv("FUNCATRON_PROPS_FILE"))
	var p struct {
		Broken string `json:"broken"`
	}
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil || p.Broken == "" {
		return
	}
	if _, err := os.Stat(p.Broken); err == nil {
		fmt.Println("cannot go on")
		os.Exit(9)
	}
}

// admin is the URL of a process's admin port.
func (s *system) admin(name string) string {
	s.t.Helper()
	return "http://" + s.procs[name].waitFor(`admin=(?:http://)?(\S+)`)[1]
}

// joined waits until a Runner that was started serves.
func (s *system) joined(name string) {
	s.t.Helper()
	pid := fmt.Sprintf("pid:%d ", s.procs[name].cmd.Process.Pid)
	s.eventually(name+" serves", func() error {
		for _, r := range s.stats().Network.Runners {
			if text := fmt.Sprint(r); strings.Contains(text, pid) && strings.Contains(text, "state:live") {
				return nil
			}
		}
		return errors.New("stats do not show it live")
	})
}

// slowPath is the path of a request that takes so long, and leaves a mark.
func slowPath(base string, ms int) func(id string) string {
	return func(id string) string { return fmt.Sprintf("%s/slow/%d?mark=%s", base, ms, id) }
}

// ranOnce checks that each POST, and each request answered 200, ran; a POST once.
func ranOnce(t *testing.T, all shots, marks string) {
	t.Helper()
	ran := executions(t, marks)
	for _, s := range all {
		n := ran[s.id]
		if s.method == "POST" && n > 1 || s.status == 200 && n == 0 {
			t.Errorf("ran %d times: %v", n, s)
		}
	}
}

// A Runner is killed: what may run twice is answered all the same, the rest is
// answered 502 where it was with that Runner, and ran once at most. A new Runner
// joins by itself.
func TestRunnerKilledUnderLoad(t *testing.T) {
	s, gateways := duo(t, brokertest.RabbitURL(t))
	marks := openFile(t, "marks")
	s.enable(s.add(testBundle(t, "/k", "1")), map[string]any{"file": marks})
	s.joined("runner1")
	s.joined("runner2")
	l := startTraffic(t, trafficOptions{
		gateways: gateways, rate: 200, methods: []string{"GET", "POST", "PUT", "POST", "DELETE", "POST"}, path: slowPath("/k", 30),
	})
	l.lasts(t, time.Second)
	killing := time.Now()
	s.procs["runner1"].kill()
	l.lasts(t, time.Second)
	s.runner("runner3")
	s.joined("runner3")
	before := s.metric("runner3", "funcatron_runner_bus_replies_total")
	l.lasts(t, time.Second)
	if after := s.metric("runner3", "funcatron_runner_bus_replies_total"); after <= before {
		t.Errorf("the new Runner answered %v requests, %v before", after, before)
	}
	all := l.end()
	t.Log(all)
	all.check(t, "want 200, or 502 for a POST that was with the Runner", func(s shot) bool {
		return s.status == 200 || s.method == "POST" && s.status == 502 &&
			s.start.Before(killing.Add(time.Second)) && s.start.Add(s.took).After(killing)
	})
	ranOnce(t, all, marks)
	hit := len(all.of(502))
	for _, g := range []string{"gateway", "gateway2"} {
		hit += int(s.metric(g, "funcatron_gateway_requests_sent_again_total"))
	}
	if hit == 0 {
		t.Error("the Runner held nothing when it was killed: the test shows little")
	}
}

// A Runner or a gateway is ended in order: clients notice nothing, though these
// learn only by Connection: close that a gateway is leaving.
func TestTerminatedUnderLoad(t *testing.T) {
	s := cluster(t, brokertest.RabbitURL(t))
	// This one has the delay that it has by default, so that clients learn in time.
	s.start("gateway2", "gateway", "--gateway-listen=127.0.0.1:0", "--gateway-admin-listen=127.0.0.1:0")
	gateways := []string{s.gateway, s.procs["gateway2"].waitFor(`serving url=(http://\S+)`)[1]}
	marks := openFile(t, "marks")
	s.enable(s.add(testBundle(t, "/t", "1")), map[string]any{"file": marks})
	s.serves("/t/version")
	s.eventually("the second gateway serves", func() error {
		a, err := try("GET", gateways[1]+"/t/version", "")
		if err == nil && a.status != 200 {
			err = fmt.Errorf("%d", a.status)
		}
		return err
	})
	s.joined("runner1")
	s.joined("runner2")
	l := startTraffic(t, trafficOptions{gateways: gateways, rate: 200, path: slowPath("/t", 30)})
	l.lasts(t, time.Second)
	ends := func(name string) {
		began := time.Now()
		s.procs[name].terminate()
		if took := time.Since(began); took > 20*time.Second { // its --drain-time
			t.Errorf("%s took %v to end", name, took)
		}
	}
	ends("runner1")
	l.lasts(t, time.Second)

	first, ready := make(chan struct{}), make(chan []int, 1)
	url := s.admin("gateway2") + "/readyz"
	go func() { // what it answers, until nothing does
		var seen []int
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			a, err := try("GET", url, "")
			if err != nil {
				ready <- seen
				return
			}
			if n := len(seen); n == 0 || seen[n-1] != a.status {
				if seen = append(seen, a.status); n == 0 {
					close(first)
				}
			}
			<-tick.C
		}
	}()
	<-first
	ends("gateway2")
	if seen := <-ready; fmt.Sprint(seen) != "[200 503]" {
		t.Errorf("readyz answered %v, want 200 and then 503", seen)
	}
	l.lasts(t, time.Second)
	all := l.end()
	t.Log(all)
	all.check(t, "want 200", func(s shot) bool { return s.status == 200 })
	ran := executions(t, marks)
	all.check(t, "want it to run once", func(s shot) bool { return ran[s.id] == 1 })
}

// A function's process is killed, hangs, or takes more memory than it may have: that
// costs the requests it held.
func TestFunctionFailsUnderLoad(t *testing.T) {
	s, gateways := duo(t, brokertest.RabbitURL(t))
	s.enable(s.add(testBundle(t, "/f", "1")), map[string]any{"file": openFile(t, "marks")})
	s.enable(s.add(leakyBundle(t)), nil)
	s.joined("runner1")
	s.joined("runner2")
	l := startTraffic(t, trafficOptions{gateways: gateways, rate: 200, path: slowPath("/f", 20)})
	leaky := startTraffic(t, trafficOptions{gateways: gateways, rate: 40, path: func(string) string { return "/leaky/slow" }})
	l.lasts(t, time.Second)

	var p struct{ Pid int }
	decode(t, s.serves("/f/version").body, &p)
	killed := time.Now()
	if err := syscall.Kill(p.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	l.lasts(t, time.Second)

	hangs := startTraffic(t, trafficOptions{gateways: gateways, rate: 8, methods: []string{"POST"}, path: func(id string) string { return "/f/poison/hang?mark=" + id }})
	hangs.lasts(t, time.Second)
	hangs.end().check(t, "want 504 at the deadline of 1.5 s", func(s shot) bool {
		return s.status == 504 && s.took > 1400*time.Millisecond && s.took < 5*time.Second
	})

	leaked := time.Now()
	if a := request(t, "POST", gateways[1]+"/leaky/leak", ""); a.status != 502 {
		t.Errorf("leak: %d %s, want 502", a.status, a.body)
	}
	dead := time.Now()
	l.lasts(t, time.Second)
	died := func(all shots, from, to time.Time) {
		t.Log(all)
		all.check(t, "want 200, or 502 for what a process held that died", func(s shot) bool {
			return s.status == 200 || s.status == 502 && s.start.Before(to.Add(500*time.Millisecond)) && s.start.Add(s.took).After(from)
		})
	}
	died(l.end(), killed, killed)
	died(leaky.end(), leaked, dead)
	if n := s.metric("runner1", "funcatron_runner_process_restarts_total") + s.metric("runner2", "funcatron_runner_process_restarts_total"); n != 2 {
		t.Errorf("%v processes were started again, want 2", n)
	}
}

// leakySource is a function that on request takes memory without end. It is a program of its own,
// since this one may be built with the race detector, which needs more than it
// may have. Where nothing stops it, it answers at 2 GiB.
const leakySource = `package main

import (
	"net"
	"net/http"
	"os"
	"time"
)

var all [][]byte

func main() {
	ln, err := net.Listen("unix", os.Getenv("FUNCATRON_SOCKET"))
	if err != nil {
		panic(err)
	}
	http.HandleFunc("/leaky/slow", func(http.ResponseWriter, *http.Request) { time.Sleep(20 * time.Millisecond) })
	http.HandleFunc("/leaky/leak", func(http.ResponseWriter, *http.Request) {
		for len(all) < 2048 {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			all = append(all, b)
		}
		all = nil
	})
	panic(http.Serve(ln, nil))
}
`

// leakyBundle is a bundle of leakySource, each of whose processes may have 256 MiB.
func leakyBundle(t *testing.T) string {
	t.Helper()
	const program = "funcatron-test-leaky"
	path, err := functionPath()
	if err != nil {
		t.Fatal(err)
	}
	dir, _, _ := strings.Cut(path, ":")
	source := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(source, []byte(leakySource), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, program), source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return zipOf(t, map[string]string{"funcatron.yaml": `
swagger: "2.0"
info: {title: Leaky, version: "1"}
basePath: /leaky
x-funcatron: {runtime: exec, command: [` + program + `], memory: 256Mi, timeout: 20s}
paths:
  /slow:
    get: {operationId: slow, responses: {"200": {description: ok}}}
    post: {operationId: slow, responses: {"200": {description: ok}}}
  /leak:
    post: {operationId: leak, responses: {"200": {description: ok}}}
`})
}

// A function whose processes end as soon as they start shows in stats, metrics and
// one log line a Runner, harms no other, and is back by itself when it can be.
func TestCrashLoopShows(t *testing.T) {
	s, gateways := duo(t, brokertest.RabbitURL(t))
	broken := filepath.Join(openDir(t), "broken")
	s.enable(s.add(testBundle(t, "/other", "1")), map[string]any{"file": openFile(t, "marks")})
	s.enable(s.add(testBundle(t, "/loop", "1")), map[string]any{"broken": broken})
	s.serves("/loop/version")
	s.eventually("both Runners run both", func() error {
		n := 0
		for _, r := range s.stats().Network.Runners {
			n += strings.Count(fmt.Sprint(r["deployments"]), "state:live")
		}
		if n < 4 {
			return fmt.Errorf("%d are live", n)
		}
		return nil
	})
	l := startTraffic(t, trafficOptions{gateways: gateways, rate: 200, path: slowPath("/other", 5)})
	if err := os.WriteFile(broken, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	kills := map[int]bool{}
	s.eventually("the processes of both Runners are gone", func() error { // the next to answer is another's
		var p struct{ Pid int }
		a, err := try("GET", s.gateway+"/loop/version", "")
		if err == nil && a.status == 200 && json.Unmarshal([]byte(a.body), &p) == nil && p.Pid > 0 && !kills[p.Pid] {
			kills[p.Pid] = true
			err = syscall.Kill(p.Pid, syscall.SIGKILL)
		}
		if err == nil && len(kills) < 2 {
			err = fmt.Errorf("%d killed", len(kills))
		}
		return err
	})
	s.eventually("both Runners say that it fails", func() error {
		n := 0
		for _, r := range s.stats().Network.Runners {
			if text := fmt.Sprint(r["deployments"]); strings.Contains(text, "state:failed") && strings.Contains(text, "exit status 9") && regexp.MustCompile(`restarts:[1-9]`).MatchString(text) {
				n++
			}
		}
		if n != 2 {
			return fmt.Errorf("%d of 2", n)
		}
		return nil
	})
	s.eventually("its clients hear so at once", func() error {
		began := time.Now()
		a, err := try("GET", gateways[1]+"/loop/version", "")
		if err == nil && (a.status != 503 || a.header.Get("Retry-After") == "" || time.Since(began) > time.Second) {
			err = fmt.Errorf("%d after %v", a.status, time.Since(began))
		}
		return err
	})
	for _, name := range []string{"runner1", "runner2"} {
		if n := s.metric(name, "funcatron_runner_process_restarts_total"); n < 2 {
			t.Errorf("%s: metrics show %v restarts", name, n)
		}
		text, _ := s.procs[name].output()
		if n := strings.Count(text, "function's process is gone"); n != 1 {
			t.Errorf("%s: %d log lines of the crash loop, want 1", name, n)
		}
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	s.serves("/loop/version")
	all := l.end()
	t.Log(all)
	all.check(t, "want 200", func(s shot) bool { return s.status == 200 })
}

// A request that kills its function's process does so once, and costs what that
// process held; other functions do not notice.
func TestPoisonKillsProcesses(t *testing.T) {
	s, gateways := duo(t, brokertest.RabbitURL(t))
	marks := openFile(t, "marks")
	s.enable(s.add(testBundle(t, "/bad", "1")), map[string]any{"file": marks})
	s.enable(s.add(testBundle(t, "/good", "1")), map[string]any{"file": marks})
	s.joined("runner1")
	s.joined("runner2")
	good := startTraffic(t, trafficOptions{gateways: gateways, rate: 200, path: slowPath("/good", 10)})
	same := startTraffic(t, trafficOptions{gateways: gateways, rate: 40, path: slowPath("/bad", 10)})
	poisoned := startTraffic(t, trafficOptions{gateways: gateways, rate: 1, path: func(id string) string { return "/bad/poison/exit?mark=" + id }})
	poisoned.lasts(t, 4*time.Second)
	bad := poisoned.end()
	same.lasts(t, 500*time.Millisecond)
	t.Log("poison:", bad)
	bad.check(t, "want 502", func(s shot) bool { return s.status == 502 })
	b, err := os.ReadFile(marks)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range bad {
		if n := strings.Count(string(b), p.id+" "); n != 1 {
			t.Errorf("ran %d times: %v", n, p)
		}
	}
	of := same.end()
	t.Log("same function:", of)
	of.check(t, "want 200, or 502 together with a poisoned request", func(s shot) bool {
		if s.status == 502 {
			for _, p := range bad {
				if s.start.Before(p.start.Add(p.took+500*time.Millisecond)) && s.start.Add(s.took).After(p.start) {
					return true
				}
			}
		}
		return s.status == 200
	})
	others := good.end()
	t.Log("other function:", others)
	others.check(t, "want 200", func(s shot) bool { return s.status == 200 })
}

// A request that kills every Runner it is given to is given to three, and a POST to
// one.
func TestPoisonKillsRunners(t *testing.T) {
	s, gateways := duo(t, brokertest.RabbitURL(t))
	for _, name := range []string{"runner3", "runner4", "runner5"} {
		s.runner(name)
	}
	marks := openFile(t, "marks")
	s.enable(s.add(testBundle(t, "/p", "1")), map[string]any{"file": marks})
	for n := range 5 {
		s.joined(fmt.Sprintf("runner%d", n+1))
	}
	others := startTraffic(t, trafficOptions{gateways: gateways, rate: 200, path: slowPath("/p", 5)})

	byPID := map[string]*process{}
	for n := range 5 {
		p := s.procs[fmt.Sprintf("runner%d", n+1)]
		byPID[fmt.Sprint(p.cmd.Process.Pid)] = p
	}
	for _, tc := range []struct {
		method string
		kills  int
	}{{"POST", 1}, {"GET", 3}} {
		answered := make(chan answer, 1)
		go func() { answered <- request(t, tc.method, gateways[1]+"/p/poison/hang?mark=poison-"+tc.method, "") }()
		killed := map[string]bool{}
		var a answer
		s.eventually("the poisoned "+tc.method+" is answered", func() error {
			b, err := os.ReadFile(marks)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(b)) {
				pid, ok := strings.CutPrefix(strings.TrimSpace(line), "poison-"+tc.method+" ")
				if p := byPID[pid]; ok && p != nil && !killed[pid] {
					killed[pid] = true
					p.kill()
				}
			}
			select {
			case a = <-answered:
				return nil
			default:
				return errors.New("it is not")
			}
		})
		if a.status != 502 || len(killed) != tc.kills {
			t.Errorf("%s: %d %s after %d Runners were killed, want 502 after %d", tc.method, a.status, a.body, len(killed), tc.kills)
		}
	}
	s.serves("/p/version") // there is one left
	others.lasts(t, 500*time.Millisecond)
	all := others.end()
	t.Log(all)
	all.check(t, "want 200, or 502 for a POST that was with a Runner", func(s shot) bool {
		return s.status == 200 || s.method == "POST" && s.status == 502
	})
	ranOnce(t, all, marks)
}

// full makes a folder on a small file system of its own, where that may be mounted,
// and returns what fills it to the last byte; else what lets the process write no
// file at all. room undoes either.
func full(t *testing.T, dir string) (fill func(p *process), room func(p *process)) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Logf("a file size limit stands in for a full disk: a tmpfs cannot be mounted (%v)", err)
		limit := func(p *process, n uint64) {
			if err := limitFileSize(p.cmd.Process.Pid, n); err != nil {
				t.Fatal(err)
			}
		}
		return func(p *process) { limit(p, 1) }, func(p *process) { limit(p, 1<<40) }
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	filler := filepath.Join(dir, "filler")
	fill = func(*process) {
		t.Helper()
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		for b := make([]byte, 64<<10); err == nil; {
			if _, err = f.Write(b); err != nil && len(b) > 1 {
				b, err = b[:1], nil
			}
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fill, func(*process) {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
}

// limitFileSize lets a process write no file beyond n bytes.
func limitFileSize(pid int, n uint64) error {
	var was unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &was); err != nil {
		return fmt.Errorf("read limits of %d: %w", pid, err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: min(n, was.Max), Max: was.Max}, nil); err != nil {
		return fmt.Errorf("limit file size of %d: %w", pid, err)
	}
	return nil
}

// incompressible is n bytes that a zip file does not make fewer.
func incompressible(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // it never fails
	return string(b)
}

// While the Tron's disk is full, it says so with 507, keeps what it has, and keeps
// it over a kill -9; clients notice nothing. When there is room it goes on.
func TestTronsDiskIsFull(t *testing.T) {
	dir := t.TempDir()
	fill, room := full(t, filepath.Join(dir, "tron"))
	s := clusterIn(t, brokertest.RabbitURL(t), dir)
	one, two := s.add(testBundle(t, "/d", "1")), s.add(testBundle(t, "/d", "2"))
	s.enable(one, map[string]any{"version": "one"})
	l := startTraffic(t, trafficOptions{gateways: []string{s.gateway}, rate: 200, path: func(string) string { return "/d/version" }})
	get := func(path string) string { return request(t, "GET", s.tron+path, "").body }
	known, routes := get("/api/v1/known_funcs"), get("/api/v1/routes")

	fill(s.procs["tron"])
	large := map[string]any{"version": "two", "padding": strings.Repeat("x", 900<<10)}
	refused := func(what string, a answer) {
		t.Helper()
		if a.status != http.StatusInsufficientStorage || !strings.Contains(a.body, "no room is left") {
			t.Errorf("%s: %d %s, want 507", what, a.status, a.body)
		}
	}
	bundle, err := os.ReadFile(zipOf(t, map[string]string{
		"funcatron.yaml": fmt.Sprintf(testDocument, "3", "/d", asFunction), "filler": incompressible(1 << 20),
	}))
	if err != nil {
		t.Fatal(err)
	}
	refused("add_func", request(t, "POST", s.tron+"/api/v1/add_func", string(bundle)))
	refused("enable", s.tryEnable(two, large))
	if now := get("/api/v1/known_funcs"); now != known {
		t.Errorf("known_funcs changed:\n%s\n%s", known, now)
	}
	if now := get("/api/v1/routes"); now != routes {
		t.Errorf("routes changed:\n%s\n%s", routes, now)
	}

	s.procs["tron"].kill()
	s.start("tron", "tron", "--tron-listen=127.0.0.1:0")
	s.tron = s.procs["tron"].waitFor(`List known Func Bundles: curl -v (http://\S+)/api`)[1]
	s.eventually("the routes are as they were", func() error { // live, once a Runner has reported
		if now := get("/api/v1/routes"); now != routes {
			return fmt.Errorf("%s, were %s", now, routes)
		}
		return nil
	})
	for _, sha := range []string{one, two} {
		if a := request(t, "GET", s.tron+"/api/v1/bundle/"+sha, ""); a.status != 200 {
			t.Errorf("bundle: %d %s", a.status, a.body)
		}
	}
	l.end().check(t, `want 200 from "one"`, func(s shot) bool { return s.status == 200 && strings.Contains(s.body, `"one"`) })

	room(s.procs["tron"])
	s.add(testBundle(t, "/d", "3"))
	s.eventually("both Runners are known to the new Tron", func() error {
		if n := len(s.stats().Network.Runners); n != 2 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	s.enable(two, large)
	if a := s.serves("/d/version"); !strings.Contains(a.body, `"two"`) {
		t.Errorf("with room again: %s", a.body)
	}
	for _, p := range []string{"incoming/*", "bundles/.*"} {
		if left, err := filepath.Glob(filepath.Join(dir, "tron", "tron", p)); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}
