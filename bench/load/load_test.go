package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// serve starts an HTTP server on network and returns its address.
func serve(t *testing.T, network string, h http.HandlerFunc) Target {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		dir, err := os.MkdirTemp("", "load")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		address = filepath.Join(dir, "s")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: ln, Config: &http.Server{Handler: h}}
	srv.Start()
	t.Cleanup(srv.Close)
	return Target{Network: network, Address: ln.Addr().String(), Requests: [][]byte{[]byte(get)}}
}

func mustRun(t *testing.T, o Options) *Result {
	t.Helper()
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestClosedLoop(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		var served atomic.Int64
		target := serve(t, network, func(w http.ResponseWriter, r *http.Request) {
			served.Add(1)
			_, _ = io.WriteString(w, "hello")
		})
		r := mustRun(t, Options{Target: target, Connections: 5, Loops: 2, Warmup: 50 * time.Millisecond, Duration: 200 * time.Millisecond})
		if r.Answered < 50 || r.Wrong+r.Broken+r.Unanswered+r.Unsent != 0 {
			t.Errorf("%s: %+v", network, r)
		}
		if r.Total != served.Load() {
			t.Errorf("%s: %d answers counted, %d served", network, r.Total, served.Load())
		}
		// What was sent in the measured time counts when it is answered, then or later.
		if n := r.Latency.TotalCount(); n < r.Answered-5 || n > r.Answered+5 {
			t.Errorf("%s: %d latencies of %d answers", network, n, r.Answered)
		}
		if r.Statuses[200] != r.Answered || r.CPU <= 0 || r.Busy <= 0 || r.Busy > 1.1 {
			t.Errorf("%s: %+v", network, r)
		}
	}
}

// Requests of more than a socket's buffer, answers in chunks and of many reads, and
// all requests in their turn.
func TestLargeBodies(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	target := serve(t, "tcp", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || n != 3<<20 {
			w.WriteHeader(500)
			return
		}
		mu.Lock()
		seen[r.URL.Path]++
		mu.Unlock()
		for range 5 { // no Content-Length: chunked
			_, _ = w.Write(bytes.Repeat([]byte("x"), 100_000))
			w.(http.Flusher).Flush()
		}
	})
	target.Requests = nil
	for _, path := range []string{"/a", "/b"} {
		target.Requests = append(target.Requests, append([]byte("POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 3145728\r\n\r\n"), make([]byte, 3<<20)...))
	}
	r := mustRun(t, Options{Target: target, Connections: 3, Loops: 1, Duration: 300 * time.Millisecond})
	if r.Answered == 0 || r.Wrong+r.Broken+r.Unanswered != 0 {
		t.Errorf("%+v", r)
	}
	mu.Lock() // the last requests may still be served
	defer mu.Unlock()
	if a, b := seen["/a"], seen["/b"]; a-b > 3 || b-a > 3 || b == 0 {
		t.Errorf("requests do not take turns: %v", seen)
	}
}

func TestWrongStatusIsNoAnswer(t *testing.T) {
	var n atomic.Int64
	target := serve(t, "tcp", func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%2 == 0 {
			w.WriteHeader(503)
		}
	})
	r := mustRun(t, Options{Target: target, Connections: 2, Duration: 100 * time.Millisecond})
	if r.Answered == 0 || r.Wrong == 0 || r.Statuses[503] != r.Wrong || r.Statuses[200] != r.Answered {
		t.Errorf("%+v", r)
	}
	target.Status = 503
	if r := mustRun(t, Options{Target: target, Connections: 2, Duration: 100 * time.Millisecond}); r.Statuses[503] != r.Answered || r.Answered == 0 {
		t.Errorf("503 wanted: %+v", r)
	}
}

// A server that closes after each answer costs connections, not answers.
func TestConnectionClose(t *testing.T) {
	target := serve(t, "tcp", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Connection", "close") })
	r := mustRun(t, Options{Target: target, Connections: 2, Duration: 100 * time.Millisecond})
	if r.Answered < 5 || r.Broken != 0 {
		t.Errorf("%+v", r)
	}
}

// rawServer answers each request of a connection by what answer says.
func rawServer(t *testing.T, answer func(c net.Conn, n int)) Target {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				br := bufio.NewReader(c)
				for n := 0; ; n++ {
					req, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					_ = req.Body.Close()
					answer(c, n)
				}
			}()
		}
	}()
	return Target{Network: "tcp", Address: ln.Addr().String(), Requests: [][]byte{[]byte(get)}}
}

func TestBrokenConnectionsAreCounted(t *testing.T) {
	target := rawServer(t, func(c net.Conn, n int) {
		if n == 3 {
			_ = c.Close()
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	r := mustRun(t, Options{Target: target, Connections: 2, Duration: 100 * time.Millisecond})
	if r.Broken == 0 || r.Answered < 2*r.Broken {
		t.Errorf("%+v", r)
	}
}

func TestRefused(t *testing.T) {
	ok := rawServer(t, func(c net.Conn, n int) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") })
	nobody := ok
	nobody.Address = "127.0.0.1:1"
	smtp := rawServer(t, func(c net.Conn, n int) { _, _ = io.WriteString(c, "220 ready\r\n\r\n") })
	slams := rawServer(t, func(c net.Conn, n int) { _ = c.Close() })
	twice := rawServer(t, func(c net.Conn, n int) {
		_, _ = io.WriteString(c, strings.Repeat("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 2))
	})
	second := time.Second
	for _, tc := range []struct {
		name string
		o    Options
		want string
	}{
		{"no request", Options{Target: Target{Network: "tcp", Address: ok.Address}, Connections: 1, Duration: second}, "no request"},
		{"no connection", Options{Target: ok, Duration: second}, "0 connections"},
		{"no duration", Options{Target: ok, Connections: 1}, "duration 0s"},
		{"too long", Options{Target: ok, Connections: 1, Duration: time.Hour}, "at most"},
		{"rate", Options{Target: ok, Connections: 1, Duration: second, Rate: -1}, "rate"},
		{"network", Options{Target: Target{Network: "udp", Requests: ok.Requests}, Connections: 1, Duration: second}, "neither"},
		{"nobody listens", Options{Target: nobody, Connections: 1, Duration: second}, "refused"},
		{"no HTTP", Options{Target: smtp, Connections: 1, Duration: second}, "not an HTTP/1.1 response"},
		{"slams the door", Options{Target: slams, Connections: 1, Duration: second}, "closes every connection"},
		{"two answers to one request", Options{Target: twice, Connections: 1, Duration: second}, "follow"},
	} {
		if _, err := Run(t.Context(), tc.o); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want an error that says %q", tc.name, err, tc.want)
		}
	}
}

func TestContextEndsRun(t *testing.T) {
	target := serve(t, "tcp", func(w http.ResponseWriter, r *http.Request) {})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	began := time.Now()
	if _, err := Run(ctx, Options{Target: target, Connections: 2, Duration: time.Minute}); !errors.Is(err, cause) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestHold(t *testing.T) {
	var asked atomic.Int64
	got := make(chan struct{}, 20)
	target := serve(t, "tcp", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		got <- struct{}{}
		<-r.Context().Done()
	})
	h, err := Hold(target, 20)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		<-got
	}
	h.Close()
	if n := asked.Load(); n != 20 {
		t.Errorf("%d requests", n)
	}
	target.Address = "127.0.0.1:1"
	if _, err := Hold(target, 2); err == nil {
		t.Error("nobody listens, and no error")
	}
}
