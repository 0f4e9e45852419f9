package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/memory"
	"github.com/funcatron/funcatron/shared/envelope"
	"github.com/funcatron/funcatron/shared/logline"
	"github.com/funcatron/funcatron/shared/wire"
)

func TestServe(t *testing.T) {
	for _, listen := range []string{"unix", "tcp"} {
		t.Run(listen, func(t *testing.T) {
			g := newRig(t)
			r, stop := g.start()
			d := g.function("serve", `,"listen":"`+listen+`"`)
			g.live(d)
			if st := g.status(r, d); st.State != wire.StateLive {
				t.Errorf("status %+v", st)
			}

			resp, err := g.call(d, "POST", "/echo?a=%20b", "body", 20*time.Second)
			if err != nil || resp.Status != 200 || resp.Ran <= 0 || resp.Held < resp.Ran {
				t.Fatalf("%v, %d, ran %v, held %v: %s", err, resp.Status, resp.Ran, resp.Held, resp.Body)
			}
			var echo struct {
				Method, URI, Host, Body string
				Header                  http.Header
				Length                  int64
			}
			if err := json.Unmarshal(resp.Body, &echo); err != nil {
				t.Fatal(err)
			}
			if echo.Method != "POST" || echo.URI != "/echo?a=%20b" || echo.Host != "a.test" || echo.Body != "body" || echo.Length != 4 {
				t.Errorf("the function saw %+v", echo)
			}
			left := echo.Header.Get("X-Funcatron-Timeout-Ms")
			if len(left) != 5 || left[:2] != "19" {
				t.Errorf("time left %q ms, want a bit less than 20 s", left)
			}
			delete(echo.Header, "X-Funcatron-Timeout-Ms")
			want := http.Header{
				"X-Request-Id": {testReq}, "X-Funcatron-Operation": {"echo"}, "X-Any": {"1", "2"}, "Content-Length": {"4"},
			}
			if fmt.Sprint(echo.Header) != fmt.Sprint(want) {
				t.Errorf("header %v, want %v", echo.Header, want)
			}

			for _, series := range []string{
				`funcatron_runner_requests_total{deployment="/sample/go",id="` + d.ID + `",operation="echo",status="2xx"} 1`,
				`funcatron_runner_function_duration_seconds_count{deployment="/sample/go",id="` + d.ID + `",operation="echo"} 1`,
				`funcatron_runner_held_duration_seconds_count{deployment="/sample/go",id="` + d.ID + `"} 1`,
				`funcatron_runner_running_requests{deployment="/sample/go",id="` + d.ID + `"} 0`,
				`funcatron_runner_live_processes{deployment="/sample/go",id="` + d.ID + `"} 1`,
				`funcatron_runner_live_deployments 1`,
				`funcatron_runner_bundle_fetches_total{result="ok"} 1`,
			} {
				if got := g.scrape(); !strings.Contains(got, series+"\n") {
					t.Errorf("metrics lack %s:\n%s", series, got)
				}
			}
			stop()
			gone(t, g.pids("pid"))
			if !strings.Contains(g.out.String(), "- finished\n") {
				t.Error("the function was not let finish")
			}
			if got := g.scrape(); strings.Contains(got, d.ID) {
				t.Errorf("metrics are left:\n%s", got)
			}
			eventually(t, "farewell of the Runner", func() bool {
				g.mu.Lock()
				defer g.mu.Unlock()
				return g.left
			})
		})
	}
}

// The process sees what the contract names and nothing of the Runner's.
func TestEnvironment(t *testing.T) {
	t.Setenv("FUNCATRON_RABBIT_URL", "amqp://user:secret@host/")
	t.Setenv("AWS_SECRET", "x")
	g := newRig(t)
	g.start()
	d := g.function("serve", "")
	g.live(d)
	var seen struct {
		Env              []string
		Dir, Props, Mode string
	}
	if err := json.Unmarshal([]byte(g.get(d, "/env")), &seen); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{}
	for _, e := range seen.Env {
		k, v, _ := strings.Cut(e, "=")
		vars[k] = v
	}
	delete(vars, "PWD") // some shells'
	run, err := filepath.EvalSymlinks(filepath.Join(g.dir, "run"))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"HOME", "TMPDIR", "FUNCATRON_PROPS_FILE", "FUNCATRON_SWAGGER_FILE"} {
		if !strings.HasPrefix(vars[k], run+"/"+d.ID+"-") {
			t.Errorf("%s=%s is not below %s", k, vars[k], run)
		}
		delete(vars, k)
	}
	if len(vars["FUNCATRON_SOCKET"]) == 0 || len(vars["FUNCATRON_SOCKET"]) > maxSocketPath {
		t.Errorf("FUNCATRON_SOCKET=%s", vars["FUNCATRON_SOCKET"])
	}
	delete(vars, "FUNCATRON_SOCKET")
	want := map[string]string{
		"PATH": os.Getenv("PATH"), "LANG": envOr("LANG", "C.UTF-8"),
		"FUNCATRON_SHA": d.Sha, "FUNCATRON_GIT_SHA": testGit, "FUNCATRON_BASE_PATH": "/sample/go",
		"FUNCATRON_CONCURRENCY": "64",
	}
	if fmt.Sprint(vars) != fmt.Sprint(want) {
		t.Errorf("environment %v, want %v", vars, want)
	}
	if !strings.HasPrefix(seen.Dir, run+"/"+d.ID+"-") || filepath.Base(seen.Dir) != "files" {
		t.Errorf("working directory %s", seen.Dir)
	}
	if seen.Props != `{"key":"secret"}` || seen.Mode != "-rw-------" {
		t.Errorf("props file %s %s", seen.Mode, seen.Props)
	}
}

func TestAnswersArriveAsWritten(t *testing.T) {
	g := newRig(t)
	g.start()
	d := g.function("serve", "")
	g.live(d)
	resp, err := g.call(d, "GET", "/raw", "", 20*time.Second)
	want := "set-cookie: a=1\r\nX-Z: 1\r\nSet-Cookie: b=2\r\nContent-Encoding: gzip\r\nX-A: 2\r\n"
	if err != nil || resp.Status != 418 || string(resp.Header) != want || string(resp.Body) != "\x1f\x8b" {
		t.Errorf("%v, %d\n%q, want\n%q\nbody %q", err, resp.Status, resp.Header, want, resp.Body)
	}
	resp, err = g.call(d, "HEAD", "/sized", "", 20*time.Second)
	if err != nil || resp.Status != 200 || !strings.Contains(string(resp.Header), "Content-Length: 1234\r\n") || len(resp.Body) != 0 {
		t.Errorf("HEAD: %v, %d, %q, %d bytes", err, resp.Status, resp.Header, len(resp.Body))
	}
	resp, err = g.call(d, "GET", "/sized", "", 20*time.Second)
	if err != nil || strings.Contains(string(resp.Header), "Content-Length") || len(resp.Body) != 1234 {
		t.Errorf("GET: %v, %q, %d bytes", err, resp.Header, len(resp.Body))
	}
}

// Whatever a function does to one request, the next is served.
func TestFaults(t *testing.T) {
	g := newRig(t)
	r, _ := g.start()
	d := g.function("serve", "")
	g.live(d)
	for _, tc := range []struct {
		method, uri string
		fault       envelope.Fault
		status      int
		detail      string
		metric      string
	}{
		{"GET", "/crash", envelope.Died, 502, "died", "died"},
		{"POST", "/crash", envelope.Died, 502, "died", "died"},
		{"GET", "/half", envelope.Died, 502, "before it had answered", "died"},
		{"GET", "/nothing", envelope.Died, 502, "before it had answered", "died"},
		{"GET", "/garbage", envelope.Died, 502, "not HTTP/1.1", "died"},
		{"GET", "/big", envelope.TooLarge, 502, "65536 bytes", "too_large"},
	} {
		t.Run(tc.method+tc.uri, func(t *testing.T) {
			resp, err := g.call(d, tc.method, tc.uri, "", 20*time.Second)
			if err != nil || resp.Fault != tc.fault || resp.Status != tc.status || !strings.Contains(string(resp.Body), tc.detail) {
				t.Errorf("%v, fault %d, status %d, %q", err, resp.Fault, resp.Status, resp.Body)
			}
			if series := `operation="echo",status="` + tc.metric + `"}`; !strings.Contains(g.scrape(), series) {
				t.Errorf("metrics lack %s", series)
			}
			g.get(d, "/pid")
		})
	}
	// A reply that comes after the deadline is not sent: who asked knows already.
	if _, err := g.call(d, "GET", "/hang", "", 300*time.Millisecond); !errors.Is(err, dispatch.ErrDeadline) {
		t.Errorf("/hang: %v", err)
	}
	eventually(t, "count of the one that was late", func() bool {
		return strings.Contains(g.scrape(), `operation="echo",status="expired"} 1`)
	})
	g.get(d, "/pid")
	if st := g.status(r, d); st.Restarts != 2 || st.State != wire.StateLive {
		t.Errorf("after two crashes: %+v", st)
	}
}

func TestStartFailures(t *testing.T) {
	g := newRig(t)
	g.change = func(o *Options) { o.Java, o.Python, o.Node = "no-such-java", "/no/such/python", "/etc/passwd" }
	r, stop := g.start()
	exits := g.function("exit", "")
	two := g.function("exit", `,"instances":2`)
	unknown := g.function("serve", "")
	unknown.Sha = strings.Repeat("0", 64)
	props := g.function("serve", "")
	props.Props = json.RawMessage(`["secret"]`)
	of := func(runtime string) wire.Deployment {
		return g.bundle(map[string]string{"funcatron.json": document(`"runtime":"` + runtime + `"`)})
	}
	platform := g.bundle(map[string]string{
		"funcatron.json":    document(`"runtime":"exec","command":["bin/$GOOS-$GOARCH/app"]`),
		"bin/plan9-386/app": "",
	})
	missing := g.bundle(map[string]string{"funcatron.json": document(`"runtime":"exec","command":["no-such-program-anywhere"]`)})
	noscript := g.bundle(map[string]string{"funcatron.json": document(`"runtime":"exec","command":["bin/app"]`), "bin/app": "#!/no/such/interpreter\n"})
	for _, tc := range []struct {
		name string
		d    wire.Deployment
		want string
		logs string
	}{
		{"exits", exits, "ended before it accepted connections on its socket: exit status 4", "no database at /sample/go"},
		{"exits, one of two", two, "exit status 4", "no database at /sample/go"},
		{"unknown sha", unknown, "the Tron does not have it", ""},
		{"props no object", props, "not a JSON object", ""},
		{"no java", of("jvm"), `runtime jvm: this runner's machine has no no-such-java`, ""},
		{"no python", of("python"), "runtime python: stat /no/such/python: no such file or directory (--python)", ""},
		{"no node", of("node"), "runtime node: /etc/passwd is no program (--node)", ""},
		{"platform", platform, "not built for this runner's platform, " + runtime.GOOS + "/" + runtime.GOARCH, ""},
		{"no such program", missing, "no-such-program-anywhere", ""},
		{"no interpreter", noscript, "no such file or directory", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := g.ack(g.enable(tc.d))
			if a.OK || !strings.Contains(a.Error, tc.want) || strings.Contains(a.Error, "secret") {
				t.Errorf("acknowledged with %+v, want %q", a, tc.want)
			}
			if tc.logs != "" && !slices.Contains(a.Logs, tc.logs) {
				t.Errorf("logs %q lack %q", a.Logs, tc.logs)
			}
			if st := g.status(r, tc.d); st.State != wire.StateFailed || !strings.Contains(st.Reason, tc.want) {
				t.Errorf("status %+v", st)
			}
			if left, err := os.ReadDir(filepath.Join(g.dir, "run")); err != nil || len(left) != 0 {
				t.Errorf("left: %v %v", left, err)
			}
			// Asked again it tries again; disabled it is forgotten.
			if a := g.ack(g.enable(tc.d)); a.OK {
				t.Error("the second time it starts")
			}
			if a := g.ack(g.disable(tc.d)); !a.OK {
				t.Errorf("disable: %+v", a)
			}
			if st := g.status(r, tc.d); st.ID != "" {
				t.Errorf("status after disable %+v", st)
			}
		})
	}
	stop()
	if saved, err := readSaved(filepath.Join(g.dir, "deployments.json")); err != nil || len(saved) != 0 {
		t.Errorf("saved: %v, %v", saved, err)
	}
}

func TestNeverListens(t *testing.T) {
	g := newRig(t)
	r, _ := g.start()
	r.acceptTime = 300 * time.Millisecond // read by the goroutines that enable begins
	a := g.ack(g.enable(g.function("never", "")))
	if a.OK || !strings.Contains(a.Error, "did not accept connections on its socket within 300ms") || !slices.Contains(a.Logs, "thinking") {
		t.Errorf("acknowledged with %+v", a)
	}
	gone(t, g.pids("pid"))
}

// Everything may be said twice.
func TestMessagesAreIdempotent(t *testing.T) {
	g := newRig(t)
	r, _ := g.start()
	d := g.function("serve", "")
	first, second := g.enable(d), g.enable(d)
	for _, id := range []string{first, second, g.enable(d)} {
		if a := g.ack(id); !a.OK {
			t.Errorf("enable: %+v", a)
		}
	}
	if n := len(g.pids("pid")); n != 1 {
		t.Errorf("%d processes were started", n)
	}
	g.ack(g.enable(d)) // live already
	off, offAgain, on := g.disable(d), g.disable(d), g.enable(d)
	for _, id := range []string{off, offAgain, on} { // enabled while it stops: it starts again
		if a := g.ack(id); !a.OK {
			t.Errorf("%+v", a)
		}
	}
	g.get(d, "/pid")
	if a := g.ack(g.disable(d)); !a.OK {
		t.Errorf("disable: %+v", a)
	}
	for range 2 {
		if a := g.ack(g.disable(d)); !a.OK {
			t.Errorf("disable of what is not there: %+v", a)
		}
	}
	if st := g.status(r, d); st.ID != "" {
		t.Errorf("status %+v", st)
	}
	gone(t, g.pids("pid"))
}

func TestDisableWhileStarting(t *testing.T) {
	g := newRig(t)
	g.start()
	d := g.function("never", "")
	on := g.enable(d)
	eventually(t, "process", func() bool { return len(g.pids("pid")) > 0 })
	if a := g.ack(g.disable(d)); !a.OK {
		t.Errorf("disable: %+v", a)
	}
	if a := g.ack(on); a.OK || !strings.Contains(a.Error, "disabled") {
		t.Errorf("enable: %+v", a)
	}
	gone(t, g.pids("pid"))
}

// What waits in the queue when a deployment is disabled is still answered.
func TestDisableDrains(t *testing.T) {
	g := newRig(t)
	r, _ := g.start()
	d := g.function("serve", `,"concurrency":1`)
	g.live(d)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			resp, err := g.call(d, "POST", "/sleep?ms=100", "", 20*time.Second)
			if err != nil || resp.Status != 200 {
				t.Errorf("%v, %d %s", err, resp.Status, resp.Body)
			}
		})
	}
	eventually(t, "running request", func() bool { return g.status(r, d).Running == 1 })
	eventually(t, "waiting requests", func() bool {
		st, err := g.broker.Inspect(t.Context(), d.Queue)
		return err == nil && st.Ready == 4
	})
	off := g.disable(d)
	eventually(t, "draining", func() bool { return g.status(r, d).State == wire.StateDraining })
	wg.Wait()
	if a := g.ack(off); !a.OK {
		t.Errorf("disable: %+v", a)
	}
	if st, err := g.broker.Inspect(t.Context(), d.Queue); err != nil || st.Consumers != 0 {
		t.Errorf("the queue after disable: %+v, %v", st, err)
	}
	gone(t, g.pids("pid"))
	if got := g.scrape(); strings.Contains(got, d.ID) {
		t.Errorf("metrics are left:\n%s", got)
	}
}

func TestInstancesShareTheWork(t *testing.T) {
	g := newRig(t)
	r, _ := g.start()
	d := g.function("serve", `,"concurrency":1,"instances":2`)
	g.live(d)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { _, _ = g.call(d, "GET", "/hang", "", 3*time.Second) })
	}
	eventually(t, "two requests at once", func() bool { return g.status(r, d).Running == 2 })
	wg.Wait()
	if got := g.scrape(); !strings.Contains(got, `funcatron_runner_live_processes{deployment="/sample/go",id="`+d.ID+`"} 2`) {
		t.Errorf("not two processes:\n%s", got)
	}
	// One of the two dies: the other serves on, and nothing waits for the first.
	if resp, err := g.call(d, "GET", "/crash", "", 20*time.Second); err != nil || resp.Fault != envelope.Died {
		t.Errorf("%v, fault %d", err, resp.Fault)
	}
	g.get(d, "/pid")
	eventually(t, "third process", func() bool { return len(g.pids("pid")) == 3 })
	eventually(t, "two live processes", func() bool {
		return strings.Contains(g.scrape(), `live_processes{deployment="/sample/go",id="`+d.ID+`"} 2`)
	})
}

// A crash loop shows, takes no more requests, and is not the end.
func TestCrashLoop(t *testing.T) {
	g := newRig(t)
	r, _ := g.start()
	d := g.function("serve", "")
	g.live(d)
	if resp, err := g.call(d, "GET", "/doom", "", 20*time.Second); err != nil || resp.Fault != envelope.Died {
		t.Errorf("%v, fault %d", err, resp.Fault)
	}
	eventually(t, "failed status", func() bool { return g.status(r, d).State == wire.StateFailed })
	if st := g.status(r, d); !strings.Contains(st.Reason, "exit status 5") || st.Restarts < 2 {
		t.Errorf("status %+v", st)
	}
	if a := g.ack(g.enable(d)); a.OK || !slices.Contains(a.Logs, "doomed") {
		t.Errorf("enable: %+v", a)
	}
	eventually(t, "consumer that leaves", func() bool {
		st, err := g.broker.Inspect(t.Context(), d.Queue)
		return err == nil && st.Consumers == 0
	})
	if n := strings.Count(g.log.String(), "function's process is gone"); n != 1 {
		t.Errorf("%d log lines of the crash loop, want 1", n)
	}
	dooms, err := filepath.Glob(filepath.Join(g.dir, "run", "*", "s", "doomed"))
	if err != nil || len(dooms) != 1 {
		t.Fatalf("%v, %v", dooms, err)
	}
	if err := os.Remove(dooms[0]); err != nil {
		t.Fatal(err)
	}
	g.get(d, "/pid") // waits in the queue until the function is there again
	if st := g.status(r, d); st.State != wire.StateLive || st.Reason != "" {
		t.Errorf("status %+v", st)
	}
}

func TestLogLines(t *testing.T) {
	g := newRig(t)
	g.start()
	d := g.function("serve", "")
	d.Host = "a.test"
	g.live(d)
	g.get(d, "/log")
	for _, want := range []string{
		" a.test:/sample/go ERROR [log:GIT:" + testGit + "&REQ:" + testReq + "] - In Go n=1\n",
		" a.test:/sample/go WARN [-:GIT:" + testGit + "&REQ:-] - plain\n",
		" a.test:/sample/go INFO [-:GIT:" + testGit + "&REQ:-] - pid ",
	} {
		eventually(t, "line "+want, func() bool { return strings.Contains(g.out.String(), want) })
	}
}

// A function that floods its output slows itself; the others do not notice.
func TestFlood(t *testing.T) {
	g := newRig(t)
	_, stop := g.start()
	noisy, quiet := g.function("serve", ""), g.function("serve", "")
	g.live(noisy)
	g.live(quiet)
	g.get(noisy, "/flood")
	for range 20 {
		g.get(quiet, "/pid")
	}
	g.get(noisy, "/pid")
	stop()
	gone(t, g.pids("pid"))
}

func TestGrandchildrenGo(t *testing.T) {
	g := newRig(t)
	g.start()
	d := g.function("grandchild", "")
	g.live(d)
	if a := g.ack(g.disable(d)); !a.OK {
		t.Errorf("disable: %+v", a)
	}
	gone(t, append(g.pids("grandchild"), g.pids("pid")...))
}

// A Runner that starts while the Tron is away serves what was live before, from
// its cache, and nothing that was disabled.
func TestResume(t *testing.T) {
	g := newRig(t)
	_, stop := g.start()
	kept, dropped := g.function("serve", ""), g.function("serve", `,"concurrency":2`)
	g.live(kept)
	g.live(dropped)
	g.ack(g.disable(dropped))
	stop()
	info, err := os.Stat(filepath.Join(g.dir, "deployments.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("saved state: %v, %v", info, err)
	}

	g.http.Close()
	g.http = nil
	r, stop := g.start()
	eventually(t, "live deployment", func() bool { return g.status(r, kept).State == wire.StateLive })
	g.get(kept, "/pid")
	if st := g.status(r, dropped); st.ID != "" {
		t.Errorf("what was disabled is back: %+v", st)
	}
	// Disabled now, it stays away.
	g.ack(g.disable(kept))
	stop()
	r, _ = g.start()
	if got := r.describe().Deployments; len(got) != 0 {
		t.Errorf("what was disabled is back: %+v", got)
	}
}

// What was live once is tried again when it does not start after a restart.
func TestResumeTriesAgain(t *testing.T) {
	g := newRig(t)
	_, stop := g.start()
	d := g.function("serve", "")
	g.live(d)
	stop()
	bundle := filepath.Join(g.dir, "bundles", d.Sha+".zip")
	whole, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bundle, whole[1:], 0o600); err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	delete(g.bundles, d.Sha)
	g.mu.Unlock()
	r, stop := g.start()
	eventually(t, "failed status", func() bool { return g.status(r, d).State == wire.StateFailed })
	g.mu.Lock()
	g.bundles[d.Sha] = whole
	g.mu.Unlock()
	eventually(t, "live deployment", func() bool { return g.status(r, d).State == wire.StateLive })
	stop()
	if saved, err := readSaved(filepath.Join(g.dir, "deployments.json")); err != nil || len(saved) != 1 {
		t.Errorf("saved: %v, %v", saved, err)
	}
}

func TestDamagedState(t *testing.T) {
	g := newRig(t)
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(g.dir, "deployments.json"), []byte(`{"version":1,"deploy`), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start()
	d := g.function("serve", "")
	g.live(d)
	if !strings.Contains(g.log.String(), "nothing is resumed") {
		t.Error("the log does not say that the state is damaged")
	}
}

func TestStateFolderIsLocked(t *testing.T) {
	g := newRig(t)
	_, stop := g.start()
	o := DefaultOptions()
	o.Broker, o.StateDir, o.AdminListen, o.Lines = g.broker, g.dir, "127.0.0.1:0", logline.NewWriter(io.Discard, logline.Text)
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), "--state-dir") {
		t.Errorf("a second Runner: %v, want an error that names --state-dir", err)
	}
	stop()
	g.start()
}

// The path of a Unix socket has 107 bytes; state folders may be deeper.
func TestDeepStateFolder(t *testing.T) {
	g := newRig(t)
	g.dir = filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	t.Setenv("TMPDIR", t.TempDir())
	_, stop := g.start()
	d := g.function("serve", "")
	g.live(d)
	g.get(d, "/pid")
	stop()
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// At its end a Runner takes no more, and answers what it has.
func TestShutdownAnswers(t *testing.T) {
	g := newRig(t)
	r, stop := g.start()
	d := g.function("serve", `,"concurrency":1`)
	g.live(d)
	answered := make(chan envelope.Response, 1)
	go func() {
		resp, err := g.call(d, "POST", "/sleep?ms=500", "", 20*time.Second)
		if err != nil {
			t.Error(err)
		}
		answered <- resp
	}()
	eventually(t, "running request", func() bool { return g.status(r, d).Running == 1 })
	stop()
	if resp := <-answered; resp.Status != 200 {
		t.Errorf("status %d, %s", resp.Status, resp.Body)
	}
	if err := r.ready(); err == nil {
		t.Error("it is ready still")
	}
}

// Functions that neither answer nor heed SIGTERM hold the end up for DrainTime, no
// longer.
func TestShutdownIsBounded(t *testing.T) {
	g := newRig(t)
	g.change = func(o *Options) { o.DrainTime = time.Second }
	r, stop := g.start()
	d := g.function("ignore", "")
	g.live(d)
	answered := make(chan envelope.Response, 1)
	go func() {
		resp, _ := g.call(d, "POST", "/hang", "", 60*time.Second)
		answered <- resp
	}()
	eventually(t, "running request", func() bool { return g.status(r, d).Running == 1 })
	began := time.Now()
	stop()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	if resp := <-answered; resp.Fault != envelope.Died {
		t.Errorf("fault %d", resp.Fault)
	}
	gone(t, g.pids("pid"))
}

// helperRunner serves what dir has saved until it is killed.
func helperRunner(dir string) {
	o := DefaultOptions()
	o.Broker, o.StateDir, o.AdminListen = memory.New(), dir, "127.0.0.1:0"
	o.Log = slog.New(logline.NewHandler(os.Stderr, logline.Text, slog.LevelInfo))
	o.Lines = logline.NewWriter(os.Stdout, logline.Text)
	r, err := New(o)
	if err == nil {
		err = r.Run(context.Background())
	}
	fmt.Fprintln(os.Stderr, err)
}

// kill -9 of a Runner kills its functions; what they started is ended by the next.
func TestKilledRunner(t *testing.T) {
	g := newRig(t)
	_, stop := g.start()
	d := g.function("grandchild", "")
	g.live(d)
	stop()
	gone(t, append(g.pids("pid"), g.pids("grandchild")...))
	g.out = &buffer{}

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), runnerVar+"="+g.dir)
	cmd.Stdout, cmd.Stderr = g.out, g.log
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "function", func() bool { return len(g.pids("grandchild")) == 1 })
	functions, grandchildren := g.pids("pid"), g.pids("grandchild")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed: that is its error
	gone(t, functions)
	if !alive(grandchildren[0]) {
		t.Error("the grandchild went too: the test shows less than it should")
	}
	r, _ := g.start()
	gone(t, grandchildren)
	eventually(t, "live deployment", func() bool { return g.status(r, d).State == wire.StateLive })
	g.get(d, "/pid")
	if runs, err := os.ReadDir(filepath.Join(g.dir, "run")); err != nil || len(runs) != 1 {
		t.Errorf("run folders: %v, %v", runs, err)
	}
}

// A queue that exists with other properties cannot be consumed.
func TestQueueOfAnotherKind(t *testing.T) {
	g := newRig(t)
	g.start()
	d := g.function("serve", "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 1)
	go func() {
		served <- g.broker.Consume(ctx, dispatch.Queue{Name: d.Queue, MaxLength: 1}, 1, func(d *dispatch.Delivery) { d.Settle(dispatch.Ack) })
	}()
	eventually(t, "queue", func() bool { _, err := g.broker.Inspect(ctx, d.Queue); return err == nil })
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if a := g.ack(g.enable(d)); a.OK || !strings.Contains(a.Error, d.Queue) {
		t.Errorf("enable: %+v", a)
	}
	gone(t, g.pids("pid"))
}

func TestReady(t *testing.T) {
	g := newRig(t)
	r, _ := g.start()
	resp, err := http.Get("http://" + r.AdminAddr().String() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("readyz: %s", resp.Status)
	}
	m := r.describe()
	if m.Kind != wire.KindRunner || m.Name == "" || m.PID != os.Getpid() || m.AdminURL != "http://"+r.AdminAddr().String() {
		t.Errorf("describes itself as %+v", m)
	}
}

func TestOptions(t *testing.T) {
	_, err := New(Options{TronURL: "tron:3000"})
	for _, field := range []string{"Broker", "Lines", "StateDir", "TronQueue", "AdminListen", "DrainTime", "MaxReply", "QueueLength", "QueueExpires", "CacheBytes", "CacheBundles", "TronURL"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("New = %v, want one that names %s", err, field)
		}
	}
}
