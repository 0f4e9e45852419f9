package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch/brokertest"
	"github.com/funcatron/funcatron/runner/fn"
	"github.com/funcatron/funcatron/shared/wire"
)

// The tests in this folder run the real thing: the test binary starts itself as
// funcatron, and as the functions of test bundles.
const (
	asFuncatron = "FUNCATRON_TEST_RUN_MAIN"
	asFunction  = "funcatron-test-function"
	patience    = 30 * time.Second
)

var bg = context.Background()

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == asFunction {
		serveTestFunction()
		return
	}
	if os.Getenv(asFuncatron) != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	code := m.Run()
	for _, dir := range testDirs {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// testDirs are removed at the end.
var testDirs []string

// testDocument is the bundle that most tests here use. A version makes it another
// bundle with another sha.
const testDocument = `
swagger: "2.0"
info: {title: Test, version: %q}
basePath: %s
consumes: [application/json]
produces: [application/json]
x-funcatron: {runtime: exec, command: [%s], concurrency: 16, timeout: 20s}
paths:
  /version:
    get: {operationId: version, responses: {"200": {description: ok}}}
    post: {operationId: version, responses: {"200": {description: ok}}}
  /slow/{ms}:
    parameters:
      - {name: ms, in: path, type: integer, format: int32, required: true, minimum: 0, maximum: 20000}
      - {name: mark, in: query, type: string}
    get: {operationId: slow, responses: {"200": {description: ok}}}
    put: {operationId: slow, responses: {"200": {description: ok}}}
    post: {operationId: slow, responses: {"200": {description: ok}}}
    delete: {operationId: slow, responses: {"200": {description: ok}}}
  /die:
    post: {operationId: die, responses: {"200": {description: ok}}}
  /poison/{how}:
    parameters:
      - {name: how, in: path, type: string, enum: [exit, hang], required: true}
      - {name: mark, in: query, type: string, required: true}
    get: {operationId: poison, x-funcatron: {timeout: 10s}, responses: {"200": {description: ok}}}
    post: {operationId: poison, x-funcatron: {timeout: 1500ms}, responses: {"200": {description: ok}}}
`

// serveTestFunction is the function of test bundles.
func serveTestFunction() {
	type props struct {
		Version string `json:"version"`
		File    string `json:"file"`
	}
	refuseToStart()
	fn.Serve(fn.Operations{
		"version": fn.Typed(func(ctx *fn.Context, _ fn.None) (any, error) {
			var p props
			if err := ctx.DecodeProps(&p); err != nil {
				return nil, err
			}
			return map[string]any{"version": p.Version, "pid": os.Getpid()}, nil
		}),
		"slow": fn.Typed(func(ctx *fn.Context, _ fn.None) (any, error) {
			var p props
			if err := ctx.DecodeProps(&p); err != nil {
				return nil, err
			}
			ms, err := fn.Param[int](ctx, "ms")
			if err != nil {
				return nil, err
			}
			if mark, _ := ctx.QueryParams()["mark"].(string); mark != "" {
				if err := leaveMark(p.File, mark); err != nil {
					return nil, err
				}
			}
			select {
			case <-time.After(time.Duration(ms) * time.Millisecond):
			case <-ctx.Done():
			}
			return map[string]any{"slept": ms}, nil
		}),
		"poison": fn.Raw(poison),
		"die":    fn.Raw(func(*fn.Context) (*fn.Response, error) { os.Exit(3); return nil, nil }),
	})
}

// leaveMark appends a line to a file.
func leaveMark(file, mark string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(mark + "\n")
	return errors.Join(err, f.Close())
}

// testBundle writes a bundle whose function is this test binary.
func testBundle(t *testing.T, basePath, version string) string {
	t.Helper()
	return zipOf(t, map[string]string{"funcatron.yaml": fmt.Sprintf(testDocument, version, basePath, asFunction)})
}

func zipOf(t *testing.T, files map[string]string) string {
	t.Helper()
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	for name, text := range files {
		w, err := zw.Create(name)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bundle.zip")
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// process is one funcatron that a test started.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu      sync.Mutex
	changed chan struct{} // closed and renewed at each line
	text    []string
}

// functionPath is a PATH on which the function of test bundles is found.
var functionPath = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "funcatron-test-")
	if err != nil {
		return "", err
	}
	testDirs = append(testDirs, dir)
	return dir + ":" + os.Getenv("PATH"), linkProgram(filepath.Join(dir, asFunction))
})

// start runs funcatron with args, and ends it with the test.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	path, err := functionPath()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: args[0], cmd: exec.Command(self, args...), done: make(chan struct{}), changed: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asFuncatron+"=1", "PATH="+path)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is in ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Logf("--- output of funcatron %s\n%s", strings.Join(args, " "), strings.Join(p.text, ""))
		}
	})
	return p
}

// Write takes the process's output.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = append(p.text, string(b))
	close(p.changed)
	p.changed = make(chan struct{})
	return len(b), nil
}

func (p *process) output() (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.text, ""), p.changed
}

// waitFor returns the submatches of pattern once it occurs in the output.
func (p *process) waitFor(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	limit := time.After(patience)
	for {
		text, changed := p.output()
		if m := re.FindStringSubmatch(text); m != nil {
			return m
		}
		select {
		case <-changed:
		case <-p.done:
			if text, _ := p.output(); re.MatchString(text) {
				continue
			}
			p.t.Fatalf("funcatron %s ended before it said %q", p.name, pattern)
		case <-limit:
			p.t.Fatalf("funcatron %s has not said %q within %v", p.name, pattern, patience)
		}
	}
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// terminate ends the process as an operator does, and expects good order.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("funcatron %s: %v", p.name, err)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("funcatron %s still runs %v after SIGTERM", p.name, patience)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("funcatron %s: exit code %d after SIGTERM, want 0", p.name, code)
	}
}

// system is a running Funcatron.
type system struct {
	t        *testing.T
	tron     string // URLs
	gateway  string
	procs    map[string]*process
	stateDir string
	queue    string
	rabbit   string
}

// anyPorts lets the system choose its ports.
var anyPorts = []string{
	"--gateway-listen=127.0.0.1:0", "--gateway-admin-listen=127.0.0.1:0", "--tron-listen=127.0.0.1:0", "--runner-admin-listen=127.0.0.1:0",
}

// upSystem starts the whole in one process.
func upSystem(t *testing.T, stateDir string, args ...string) *system {
	t.Helper()
	s := &system{t: t, procs: map[string]*process{}, stateDir: stateDir}
	up := start(t, append(append([]string{"up", "--state-dir", stateDir, "--drain-delay=0s"}, anyPorts...), args...)...)
	s.procs["up"] = up
	s.tron = up.waitFor(`List known Func Bundles: curl -v (http://\S+)/api`)[1]
	s.gateway = up.waitFor(`serving url=(http://\S+)`)[1]
	up.waitFor(`Frontend at http://`)
	return s
}

// cluster starts a Tron, a gateway and two Runners on RabbitMQ.
func cluster(t *testing.T, rabbit string) *system {
	t.Helper()
	return clusterIn(t, rabbit, t.TempDir())
}

// clusterIn is cluster with the members' state folders in stateDir.
func clusterIn(t *testing.T, rabbit, stateDir string) *system {
	t.Helper()
	s := &system{t: t, procs: map[string]*process{}, stateDir: stateDir, queue: "for_tron_test_" + wire.NewID(), rabbit: rabbit}
	s.start("tron", "tron", "--tron-listen=127.0.0.1:0")
	s.tron = s.procs["tron"].waitFor(`List known Func Bundles: curl -v (http://\S+)/api`)[1]
	s.start("gateway", "gateway", "--gateway-listen=127.0.0.1:0", "--gateway-admin-listen=127.0.0.1:0", "--drain-delay=100ms")
	s.gateway = s.procs["gateway"].waitFor(`serving url=(http://\S+)`)[1]
	s.runner("runner1")
	s.runner("runner2")
	s.procs["tron"].waitFor(`Frontend at http://`)
	s.eventually("both runners are known", func() error {
		if n := len(s.stats().Network.Runners); n != 2 {
			return fmt.Errorf("%d runners", n)
		}
		return nil
	})
	return s
}

func (s *system) start(name, command string, args ...string) {
	s.t.Helper()
	s.procs[name] = start(s.t, append([]string{
		command, "--state-dir", filepath.Join(s.stateDir, name), "--rabbit-url", s.rabbit, "--tron-queue", s.queue, "--drain-time=20s",
	}, args...)...)
}

func (s *system) runner(name string) {
	s.t.Helper()
	s.start(name, "runner", "--runner-admin-listen=127.0.0.1:0")
}

// overBrokers runs a test on both.
func overBrokers(t *testing.T, test func(t *testing.T, s *system)) {
	t.Run("memory", func(t *testing.T) { test(t, upSystem(t, t.TempDir())) })
	t.Run("rabbitmq", func(t *testing.T) { test(t, cluster(t, brokertest.RabbitURL(t))) })
}

// eventually waits until check has nothing to complain of.
func (s *system) eventually(what string, check func() error) {
	s.t.Helper()
	eventually(s.t, what, check)
}

func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var err error
	for {
		if err = check(); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
	}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func request(t *testing.T, method, url, body string, header ...string) answer {
	t.Helper()
	a, err := try(method, url, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}

func try(method, url, body string, header ...string) (answer, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

// add uploads a bundle and returns its sha.
func (s *system) add(file string) string {
	s.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	a := request(s.t, "POST", s.tron+"/api/v1/add_func", string(b))
	var r struct {
		Accepted bool   `json:"accepted"`
		Sha      string `json:"sha"`
	}
	if err := json.Unmarshal([]byte(a.body), &r); err != nil || a.status != 200 || !r.Accepted {
		s.t.Fatalf("add_func: %d %s", a.status, a.body)
	}
	return r.Sha
}

// enable enables a bundle and expects it to be live.
func (s *system) enable(sha string, props map[string]any) {
	s.t.Helper()
	a := s.tryEnable(sha, props)
	var r struct {
		Success bool   `json:"success"`
		State   string `json:"state"`
	}
	if err := json.Unmarshal([]byte(a.body), &r); err != nil || a.status != 200 || !r.Success || r.State != "live" {
		s.t.Fatalf("enable: %d %s", a.status, a.body)
	}
}

func (s *system) tryEnable(sha string, props map[string]any) answer {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"sha": sha, "props": props})
	if err != nil {
		s.t.Fatal(err)
	}
	return request(s.t, "POST", s.tron+"/api/v1/enable", string(body))
}

type stats struct {
	Network struct {
		Gateways []map[string]any `json:"gateways"`
		Runners  []map[string]any `json:"runners"`
	} `json:"network"`
}

func (s *system) stats() stats {
	s.t.Helper()
	a := request(s.t, "GET", s.tron+"/api/v1/stats", "")
	var st stats
	if err := json.Unmarshal([]byte(a.body), &st); err != nil || a.status != 200 {
		s.t.Fatalf("stats: %d %s (%v)", a.status, a.body, err)
	}
	return st
}

// serves waits until path answers 200 through the gateway.
func (s *system) serves(path string) answer {
	s.t.Helper()
	var got answer
	s.eventually("GET "+path, func() error {
		var err error
		if got, err = try("GET", s.gateway+path, ""); err == nil && got.status != 200 {
			err = fmt.Errorf("%d %s", got.status, got.body)
		}
		return err
	})
	return got
}

// load is requests at a steady rate, whatever becomes of the earlier ones.
type load struct {
	mu      sync.Mutex
	results []result
	wg      sync.WaitGroup
	stop    context.CancelFunc
}

type result struct {
	method string
	path   string
	at     time.Time // when it was sent
	took   time.Duration
	answer answer
	err    error
}

// run sends perSecond requests a second until stopped: every other one a POST.
func runLoad(gateway string, perSecond int, path func(n int) string) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{stop: cancel}
	l.wg.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case at := <-tick.C:
				r := result{method: []string{"GET", "POST"}[n%2], path: path(n), at: at}
				l.wg.Go(func() {
					start := time.Now()
					r.answer, r.err = try(r.method, gateway+r.path, "")
					r.took = time.Since(start)
					l.mu.Lock()
					l.results = append(l.results, r)
					l.mu.Unlock()
				})
			}
		}
	})
	return l
}

// end stops the load, waits for every request and returns what they got.
func (l *load) end() []result {
	l.stop()
	l.wg.Wait()
	return l.results
}

// atLeast waits until n requests have been answered.
func (l *load) atLeast(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d requests answered", n), func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.results) < n {
			return fmt.Errorf("%d", len(l.results))
		}
		return nil
	})
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.results)
}
