package runner

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/memory"
	"github.com/funcatron/funcatron/shared/envelope"
	"github.com/funcatron/funcatron/shared/logline"
	"github.com/funcatron/funcatron/shared/wire"
)

const (
	testMaxReply = 1 << 16
	testToken    = "t0ken"
	testGit      = "b1d92b7430fcc6ed05c38c22d57d2163f6e8bb88"
)

// rig is a broker, and what of a Tron and a gateway a Runner needs.
type rig struct {
	t       *testing.T
	broker  *memory.Broker
	http    *httptest.Server
	dir     string
	out     *buffer // functions' lines
	log     *buffer // the Runner's own
	metrics *metrics.Set
	caller  *dispatch.Caller
	change  func(*Options)

	operation string // that calls name; "" is "echo"

	mu      sync.Mutex
	bundles map[string][]byte
	queue   string // the Runner's control queue
	left    bool
	member  wire.Member
	acks    map[string]wire.Ack
}

// buffer is an io.Writer that tests look into.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newRig(t *testing.T) *rig {
	g := &rig{
		t: t, broker: memory.New(), dir: filepath.Join(openDir(t), "runner"), out: &buffer{}, log: &buffer{},
		bundles: map[string][]byte{}, acks: map[string]wire.Ack{},
	}
	g.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		b, ok := g.bundles[strings.TrimPrefix(r.URL.Path, "/api/v1/bundle/")]
		if !ok || r.Header.Get("Authorization") != "Bearer "+testToken {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(b)
	}))
	t.Cleanup(g.http.Close)

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	t.Cleanup(cancel)
	var err error
	o := dispatch.DefaultCallerOptions()
	if g.caller, err = dispatch.NewCaller(g.broker, o); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() { _ = g.caller.Run(ctx) })
	eventually(t, "reply queue", func() bool {
		_, err := g.call(wire.Deployment{Queue: "nobody's"}, "GET", "/", "", time.Second)
		return errors.Is(err, dispatch.ErrUnroutable)
	})
	wg.Go(func() {
		err := g.broker.Consume(ctx, dispatch.Queue{Name: wire.TronQueue}, 1, func(d *dispatch.Delivery) {
			defer d.Settle(dispatch.Ack)
			m, err := wire.Decode(d.Body)
			if err != nil {
				t.Error(err)
				return
			}
			g.hear(m)
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the Runner's log:\n%s\nthe functions':\n%s", g.log, g.out)
		}
	})
	return g
}

// hear is the Tron's side.
func (g *rig) hear(m wire.Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch m.Action {
	case wire.Awake:
		g.queue, g.member, g.left = m.From, *m.Member, false
		if g.http != nil {
			g.publish(wire.Message{Action: wire.TronInfo, Info: &wire.Info{Epoch: "e", URL: g.http.URL, Token: testToken}})
		}
	case wire.Heartbeat:
		g.member = *m.Member
	case wire.AckAction:
		g.acks[m.Ack.Re] = *m.Ack
	case wire.Died:
		g.left = true
	}
}

// publish sends m to the Runner. mu is held.
func (g *rig) publish(m wire.Message) string {
	m.ID, m.From = wire.NewID(), wire.TronQueue
	g.broker.Publish(g.queue, dispatch.Message{Body: wire.Encode(m), ContentType: dispatch.TypeControl}, nil)
	return m.ID
}

func (g *rig) send(m wire.Message) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.publish(m)
}

// ack waits for the answer to a message.
func (g *rig) ack(id string) (a wire.Ack) {
	g.t.Helper()
	eventually(g.t, "acknowledgement", func() (ok bool) {
		g.mu.Lock()
		defer g.mu.Unlock()
		a, ok = g.acks[id]
		return ok
	})
	return a
}

func (g *rig) enable(d wire.Deployment) string {
	return g.send(wire.Message{Action: wire.Enable, Deployment: &d})
}

func (g *rig) disable(d wire.Deployment) string {
	return g.send(wire.Message{Action: wire.Disable, Stop: &wire.Stop{ID: d.ID}})
}

// live enables d and waits until it is.
func (g *rig) live(d wire.Deployment) {
	g.t.Helper()
	if a := g.ack(g.enable(d)); !a.OK {
		g.t.Fatalf("%s does not start: %s %q", d.ID, a.Error, a.Logs)
	}
}

// status is what the Runner reports of d, as of now.
func (g *rig) status(r *Runner, d wire.Deployment) wire.DeploymentStatus {
	for _, st := range r.describe().Deployments {
		if st.ID == d.ID {
			return st
		}
	}
	return wire.DeploymentStatus{}
}

// start starts a Runner and waits until it reports itself. stop ends it, and fails
// the test where that goes wrong; at the end of the test it is called anyway.
func (g *rig) start() (r *Runner, stop func()) {
	g.t.Helper()
	o := DefaultOptions()
	o.Broker, o.StateDir, o.AdminListen = g.broker, g.dir, "127.0.0.1:0"
	o.DrainTime, o.MaxReply = 6*time.Second, testMaxReply
	o.Log = slog.New(logline.NewHandler(g.log, logline.Text, slog.LevelDebug))
	o.Lines = logline.NewWriter(g.out, logline.Text)
	g.metrics = metrics.NewSet()
	o.Metrics = g.metrics
	if g.change != nil {
		g.change(&o)
	}
	r, err := New(o)
	if err != nil {
		g.t.Fatal(err)
	}
	g.mu.Lock()
	g.queue = ""
	g.mu.Unlock()
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ran:
			if err != nil {
				g.t.Errorf("Run = %v", err)
			}
		case <-time.After(o.DrainTime + 10*time.Second):
			g.t.Error("Run does not end")
		}
		// The bundle server's side of a connection may take a moment.
		eventually(g.t, "end of the Runner's goroutines", func() bool { return runtime.NumGoroutine() <= before })
		if left, err := os.ReadDir(filepath.Join(g.dir, "run")); err == nil {
			g.t.Errorf("left in the state folder: %v", left)
		}
	})
	g.t.Cleanup(stop)
	eventually(g.t, "report of the Runner", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.queue != ""
	})
	return r, stop
}

// document is the Swagger document of every bundle here; runtime goes into its
// x-funcatron.
func document(runtime string) string {
	return `{"swagger":"2.0","info":{"title":"t","version":"1"},"basePath":"/sample/go","x-funcatron":{` + runtime + `},
"paths":{"/echo":{"post":{"operationId":"echo","responses":{"200":{"description":"ok"}}}}}}`
}

// function makes a bundle that runs this test binary as a function of that mode.
func (g *rig) function(mode, runtime string) wire.Deployment {
	g.t.Helper()
	self, err := testProgram()
	if err != nil {
		g.t.Fatal(err)
	}
	return g.bundle(map[string]string{
		"funcatron.json": document(`"runtime":"exec","command":["bin/app"]` + runtime),
		"gitsha.txt":     testGit + "\n",
		"bin/app":        "#!/bin/sh\n" + functionVar + "=" + mode + " exec '" + self + "'\n",
	})
}

// openDir is a temporary folder that functions with users of their own get to.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// testDir is what TestMain removes.
var testDir string

// testProgram is the test binary, where functions get at it too.
var testProgram = sync.OnceValues(func() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if testDir, err = os.MkdirTemp("", "runner-test-"); err != nil {
		return "", err
	}
	if err := os.Chmod(testDir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(testDir, "function")
	if os.Link(self, path) == nil {
		return path, os.Chmod(path, 0o755)
	}
	content, err := os.ReadFile(self)
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, content, 0o755)
})

// bundle makes a bundle of these files, and a deployment of it.
func (g *rig) bundle(files map[string]string) wire.Deployment {
	g.t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for name, content := range files {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o755)
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write([]byte(content))
		}
		if err != nil {
			g.t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		g.t.Fatal(err)
	}
	sum := sha256.Sum256(buf.Bytes())
	sha := hex.EncodeToString(sum[:])
	g.mu.Lock()
	g.bundles[sha] = buf.Bytes()
	g.mu.Unlock()
	id := wire.NewID()
	return wire.Deployment{ID: id, Sha: sha, BasePath: "/sample/go", Queue: "func-" + id, Props: json.RawMessage(`{"key":"secret"}`)}
}

// ask is a request as the gateway would send it.
type ask struct {
	method, uri, body string
	operation         string // "echo" where it is ""
	retry             bool
}

const testReq = "db9d00abf61d9c67f4f0e755e96b8d0e"

func (a ask) AppendTo(dst []byte, call uint64, left time.Duration) []byte {
	dst = envelope.AppendRequest(dst, call, left, a.retry, []byte(a.method), []byte(a.uri), len(a.body))
	dst = append(dst, "Host: a.test\r\nX-Request-Id: "+testReq+"\r\nX-Funcatron-Operation: "+cmp.Or(a.operation, "echo")+"\r\nx-Any: 1\r\nX-Any: 2\r\n\r\n"...)
	return append(dst, a.body...)
}

// call asks d and returns the answer.
func (g *rig) call(d wire.Deployment, method, uri, body string, within time.Duration) (envelope.Response, error) {
	var resp envelope.Response
	err := g.caller.Call(d.Queue, 1, time.Now().Add(within), ask{method: method, uri: uri, body: body, operation: g.operation}, &resp)
	return resp, err
}

// get asks d, and fails the test where the answer is no 200.
func (g *rig) get(d wire.Deployment, uri string) string {
	g.t.Helper()
	resp, err := g.call(d, "GET", uri, "", 20*time.Second)
	if err != nil || resp.Status != 200 || resp.Fault != envelope.NoFault {
		g.t.Fatalf("GET %s: %v, status %d, fault %d, %s", uri, err, resp.Status, resp.Fault, resp.Body)
	}
	return string(resp.Body)
}

// pids are what functions have said of themselves: "pid N".
func (g *rig) pids(word string) (all []int) {
	for line := range strings.SplitSeq(g.out.String(), "\n") {
		if _, after, ok := strings.Cut(line, " - "+word+" "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(after))
			if err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}

// gone waits until none of these processes is there.
func gone(t *testing.T, pids []int) {
	t.Helper()
	if len(pids) == 0 {
		t.Error("no process has said that it was there")
	}
	eventually(t, fmt.Sprintf("end of %v", pids), func() bool { return !slices.ContainsFunc(pids, alive) })
}

func alive(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, after, _ := bytes.Cut(stat, []byte(") "))
	return len(after) > 0 && after[0] != 'Z' && after[0] != 'X'
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("no %s", what)
		case <-tick.C:
		}
	}
}

// scrape is the Runner's metrics.
func (g *rig) scrape() string {
	var b bytes.Buffer
	g.metrics.WritePrometheus(&b)
	return b.String()
}
