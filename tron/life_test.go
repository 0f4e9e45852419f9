package tron_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/memory"
	"github.com/funcatron/funcatron/shared/wire"
	"github.com/funcatron/funcatron/tron"
	"github.com/funcatron/funcatron/tron/membertest"
)

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	v1, v2, v3, next := funcBundle(t, "/a", "1"), funcBundle(t, "/b", "2"), funcBundle(t, "/c", "3"), funcBundle(t, "/a", "new")
	one, two, off := digest(v1), digest(v2), digest(v3)
	o := options(t, dir, v1, v2, v3, next)
	r := start(t, o)
	g, run := r.gateway("g"), r.runner("r")
	e := r.enable(one, `{"key":"value"}`)
	r.enable(two, `{}`)
	r.enable(off, `{}`)
	r.post("/api/v1/disable", fmt.Sprintf(`{"sha":%q}`, off))
	known := r.get("/api/v1/known_funcs").body
	eventually(t, "only what is enabled runs", func() bool { return len(run.States()) == 2 })
	r.stop()

	if _, err := http.Get(r.url + "/healthz"); err == nil {
		t.Error("it still answers after Run")
	}
	r = start(t, o) // the same broker and folder, another address
	eventually(t, "everybody has reported", func() bool { return strings.Count(r.get("/api/v1/stats").body, `"heard":true`) == 2 })
	if again := r.get("/api/v1/known_funcs").body; again != known {
		t.Errorf("known before: %s\nafter: %s", known, again)
	}
	if m := r.routed("/a"); m["sha"] != one || m["deployment"] != e.field(t, "deployment") || m["state"] != "live" {
		t.Errorf("/a: %v", m)
	}
	if m := r.routed("/c"); m != nil {
		t.Errorf("/c: %v", m)
	}
	if n := len(run.Seen(wire.Enable)); n != 3 {
		t.Errorf("the runner was told %d times to enable, want 3: it runs already what is enabled", n)
	}
	a := r.enable(digest(next), `{}`)
	if a.status != 200 || g.To("/a") != a.field(t, "deployment") {
		t.Errorf("enable after a restart: %d %s", a.status, a.body)
	}
	if a := r.do("GET", "/api/v1/bundle/"+one, nil); a.status != 200 || digest([]byte(a.body)) != one {
		t.Errorf("bundle after a restart: %d", a.status)
	}
}

// failing is a broker that can be away.
type failing struct {
	*memory.Broker
	away atomic.Bool
}

func (f *failing) Err() error {
	if f.away.Load() {
		return fmt.Errorf("%w: connection refused", dispatch.ErrDown)
	}
	return nil
}

func TestBrokerAway(t *testing.T) {
	data := funcBundle(t, "/a", "1")
	o := options(t, t.TempDir(), data)
	broker := &failing{Broker: memory.New()}
	o.Broker = broker
	r := start(t, o)
	sha := digest(data)
	broker.away.Store(true)
	if a := r.get("/readyz"); a.status != 503 || !strings.Contains(a.body, "connection refused") {
		t.Errorf("readyz: %d %s", a.status, a.body)
	}
	if a := r.get("/healthz"); a.status != 200 {
		t.Errorf("healthz: %d", a.status)
	}
	if a := r.enable(sha, `{}`); a.status != 503 || a.header.Get("Retry-After") == "" || a.field(t, "success") != false {
		t.Errorf("enable: %d %s", a.status, a.body)
	}
	if a := r.get("/api/v1/stats"); a.status != 200 || !strings.Contains(a.body, `"broker":"broker unavailable: connection refused"`) {
		t.Errorf("stats: %d %s", a.status, a.body)
	}
	broker.away.Store(false)
	if a := r.enable(sha, `{}`); a.status != 200 {
		t.Errorf("enable when it is back: %d %s", a.status, a.body)
	}
}

// Ending the Tron does not wait for what may take a minute, and leaves nothing.
func TestStopWhileBusy(t *testing.T) {
	http.DefaultClient.CloseIdleConnections()
	before := runtime.NumGoroutine()
	dir := t.TempDir()
	data := funcBundle(t, "/a", "1")
	o := options(t, dir, data)
	r := start(t, o)
	m := membertest.NewRunner(r.broker, "for_tron", "r")
	begun := make(chan struct{}, 1)
	m.Start = func(ctx context.Context, _ wire.Deployment) *membertest.Failure {
		begun <- struct{}{}
		<-ctx.Done()
		return &membertest.Failure{Reason: "told to stop"}
	}
	leave := background(t, m.Run)
	r.connected("r")
	sha := digest(data)
	answered := make(chan reply, 1)
	go func() { answered <- r.enable(sha, `{}`) }()
	<-begun
	pr, pw := io.Pipe() // an upload that never ends
	uploading := make(chan struct{})
	go func() {
		defer close(uploading)
		req, err := http.NewRequest("POST", r.url+"/api/v1/add_func", pr)
		if err == nil {
			_, _ = try(req) // it is cut off
		}
	}()
	if _, err := pw.Write([]byte("PK")); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	if a := <-answered; a.status != 503 || a.field(t, "success") != false {
		t.Errorf("the enable was answered %d %s", a.status, a.body)
	}
	_ = pw.CloseWithError(io.ErrUnexpectedEOF) // always nil
	<-uploading
	eventually(t, "the runner was told to stop it", func() bool { return len(m.States()) == 0 })
	leave()
	http.DefaultClient.CloseIdleConnections()
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })

	r = start(t, o)
	if m := r.routed("/a"); m != nil {
		t.Errorf("what was never live is routed to: %v", m)
	}
}

func TestRunEndsWhenItsContextHasEnded(t *testing.T) {
	o := options(t, t.TempDir())
	for range 2 { // the second one needs what the first gives back
		tr, err := tron.New(o)
		if err != nil {
			t.Fatal(err)
		}
		o.Listen = tr.Addr().String()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := tr.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	r := start(t, options(t, t.TempDir()))
	o := options(t, filepath.Join(t.TempDir(), "other"))
	o.Listen = strings.TrimPrefix(r.url, "http://")
	if _, err := tron.New(o); err == nil || !strings.Contains(err.Error(), "--tron-listen") {
		t.Errorf("New: %v", err)
	}
	if _, err := os.Stat(o.StateDir); err == nil {
		t.Error("it made a folder all the same")
	}
}

func TestPprof(t *testing.T) {
	o := options(t, t.TempDir())
	o.Pprof, o.AdminToken = true, token
	r := start(t, o)
	if a := r.get("/debug/pprof/"); a.status != 200 || !strings.Contains(a.body, "goroutine") {
		t.Errorf("pprof: %d", a.status)
	}
	if a := r.do("GET", "/debug/pprof/", nil, "Authorization", ""); a.status != 401 {
		t.Errorf("pprof for everybody: %d", a.status)
	}
}
