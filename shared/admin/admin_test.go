package admin_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/shared/admin"
)

// start runs a server and returns its base URL; stop ends it and says what Run
// returned.
func start(t *testing.T, o admin.Options) (url string, stop func() error) {
	t.Helper()
	o.Listen = "127.0.0.1:0"
	s, err := admin.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return "http://" + s.Addr().String(), stop
}

type reply struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, method, url string) reply {
	t.Helper()
	r, err := do(t.Context(), method, url)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func do(ctx context.Context, method, url string) (reply, error) {
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return reply{}, err
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(body)}, err
}

func TestHealth(t *testing.T) {
	var notReady atomic.Pointer[error]
	url, _ := start(t, admin.Options{Ready: func() error {
		if err := notReady.Load(); err != nil {
			return *err
		}
		return nil
	}})
	away := errors.New("connect to RabbitMQ: connection refused")
	for _, tc := range []struct {
		ready        error
		method, path string
		status       int
		body         string
	}{
		{nil, "GET", "/healthz", 200, "ok\n"},
		{nil, "HEAD", "/healthz", 200, ""},
		{nil, "GET", "/readyz", 200, "ok\n"},
		{away, "GET", "/readyz", 503, "connect to RabbitMQ: connection refused\n"},
		{away, "GET", "/healthz", 200, "ok\n"}, // alive, and restarting it would help nobody
		{nil, "GET", "/readyz", 200, "ok\n"},
		{nil, "POST", "/healthz", 405, "Method Not Allowed\n"},
		{nil, "GET", "/", 404, "404 page not found\n"},
		{nil, "GET", "/debug/pprof/", 404, "404 page not found\n"}, // only where asked for
	} {
		notReady.Store(nil)
		if tc.ready != nil {
			notReady.Store(&tc.ready)
		}
		got := ask(t, tc.method, url+tc.path)
		if got.status != tc.status || got.body != tc.body {
			t.Errorf("%s %s = %d %q, want %d %q", tc.method, tc.path, got.status, got.body, tc.status, tc.body)
		}
		if ct := got.header.Get("Content-Type"); !strings.HasPrefix(ct, "text/plain") {
			t.Errorf("%s %s has content type %q", tc.method, tc.path, ct)
		}
	}
}

func TestReadyWithoutAQuestion(t *testing.T) {
	url, _ := start(t, admin.Options{})
	if got := ask(t, "GET", url+"/readyz"); got.status != 200 {
		t.Errorf("/readyz = %d", got.status)
	}
}

func TestMetrics(t *testing.T) {
	one, two := metrics.NewSet(), metrics.NewSet()
	one.NewCounter(`funcatron_test_total{set="one"}`).Add(3)
	two.NewCounter(`funcatron_test_total{set="two"}`).Add(4)
	url, _ := start(t, admin.Options{Metrics: []*metrics.Set{one, nil, two, one}})

	got := ask(t, "GET", url+"/metrics")
	if ct := got.header.Get("Content-Type"); got.status != 200 || ct != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("/metrics = %d, %q", got.status, ct)
	}
	for _, line := range []string{`funcatron_test_total{set="one"} 3`, `funcatron_test_total{set="two"} 4`} {
		if n := strings.Count(got.body, line+"\n"); n != 1 { // Prometheus refuses what is there twice
			t.Errorf("%q is there %d times", line, n)
		}
	}
	for _, name := range []string{"process_resident_memory_bytes ", "go_goroutines "} {
		if !strings.Contains(got.body, "\n"+name) {
			t.Errorf("no %s", name)
		}
	}
}

func TestHandlersAndPprof(t *testing.T) {
	url, _ := start(t, admin.Options{
		Pprof: true,
		Handlers: map[string]http.Handler{
			"GET /__routes": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") }),
		},
	})
	for _, tc := range []struct{ path, contains string }{
		{"/__routes", "[]"},
		{"/debug/pprof/", "goroutine"},
		{"/debug/pprof/goroutine?debug=1", "goroutine profile"},
		{"/debug/pprof/cmdline", "admin.test"},
	} {
		if got := ask(t, "GET", url+tc.path); got.status != 200 || !strings.Contains(got.body, tc.contains) {
			t.Errorf("%s = %d %.200q", tc.path, got.status, got.body)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, tc := range []struct {
		name     string
		o        admin.Options
		contains string
	}{
		{"an address in use", admin.Options{Listen: taken.Addr().String()}, taken.Addr().String()},
		{"no address", admin.Options{Listen: "nonsense"}, "nonsense"},
		{"a wrong pattern", admin.Options{Listen: "127.0.0.1:0", Handlers: map[string]http.Handler{"GET {": http.NotFoundHandler()}}, "GET {"},
		{"a pattern of its own", admin.Options{Listen: "127.0.0.1:0", Handlers: map[string]http.Handler{"GET /metrics": http.NotFoundHandler()}}, "/metrics"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := admin.New(tc.o); err == nil || !strings.Contains(err.Error(), tc.contains) {
				t.Errorf("New = %v", err)
			}
		})
	}
}

// Run lets a running request finish, and ends those that do not.
func TestRunEndsRequests(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	url, stop := start(t, admin.Options{Handlers: map[string]http.Handler{
		"GET /slow": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-finish
			_, _ = io.WriteString(w, "finished")
		}),
	}})
	answered := make(chan reply, 1)
	go func() {
		r, err := do(t.Context(), "GET", url+"/slow")
		if err != nil {
			t.Error(err)
		}
		answered <- r
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	refused(t, url) // the listener is closed: Run is waiting for the request now
	select {
	case err := <-stopped:
		t.Errorf("Run returned %v before the request ended", err)
	default:
	}
	close(finish)
	if got := <-answered; got.body != "finished" {
		t.Errorf("the running request was answered %d %q", got.status, got.body)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run = %v", err)
	}
}

// When Run returns, nothing is left of it: no listener, no goroutine, though one
// client is in the middle of an endless answer, one is idle and one says nothing.
func TestRunLeavesNothing(t *testing.T) {
	before := goroutines()
	entered, ended := make(chan struct{}), make(chan struct{})
	url, stop := start(t, admin.Options{Handlers: map[string]http.Handler{
		"GET /endless": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
			close(ended)
		}),
	}})
	addr := strings.TrimPrefix(url, "http://")
	for _, request := range []string{"", "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(request, "/healthz") {
			if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "HTTP/1.1 200 OK\r\n" {
				t.Fatalf("%q, %v", line, err)
			}
		}
	}
	<-entered
	if err := stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
	select {
	case <-ended:
	default:
		t.Error("the endless handler still runs")
	}
	refused(t, url)
	// The connection's goroutine reports its end as its last deed but one: let it return.
	deadline := time.After(10 * time.Second)
	for left := goroutines(); left != before; left = goroutines() {
		select {
		case <-deadline:
			t.Fatalf("left goroutines:\n%s", left)
		case <-time.After(time.Millisecond):
		}
	}
}

// Who sends slowly is cut off, and beside any number of them others are served.
func TestSlowClients(t *testing.T) {
	var o admin.Options
	o.Hasten(200*time.Millisecond, 400*time.Millisecond)
	url, _ := start(t, o)
	var wg sync.WaitGroup
	for _, begin := range []string{
		"GET /hea", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ",
		"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n",
		"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		for range 5 {
			wg.Go(func() {
				c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = c.Close() }()
				_, _ = io.WriteString(c, begin)
				done := make(chan struct{})
				go func() { // a byte now and then
					defer close(done)
					tick := time.NewTicker(20 * time.Millisecond)
					defer tick.Stop()
					for range tick.C {
						if _, err := c.Write([]byte("1")); err != nil {
							return
						}
					}
				}()
				_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
				if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%q: still connected", begin)
				}
				_ = c.Close()
				<-done
			})
		}
	}
	if got := ask(t, "GET", url+"/healthz"); got.status != 200 {
		t.Errorf("beside them: %d", got.status)
	}
	wg.Wait()
}

// A Run whose context has ended before it begins gives the address back.
func TestRunAfterTheEnd(t *testing.T) {
	s, err := admin.New(admin.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Errorf("Run = %v", err)
	}
	ln, err := net.Listen("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
}

// refused waits until nobody accepts at url.
func refused(t *testing.T, url string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			return
		}
		_ = conn.Close()
		select {
		case <-deadline:
			t.Fatal("the listener is still open")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// goroutines is the stacks of those that have to do with this package's server.
func goroutines() string {
	buf := make([]byte, 1<<20)
	var ours []string
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "net/http.(*conn).serve") || strings.Contains(g, "admin.(*Server).Run") || strings.Contains(g, "net/http.(*Server)") {
			ours = append(ours, g)
		}
	}
	return strings.Join(ours, "\n\n")
}
