package call

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const answerOK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// function is a listener whose connections are served by serve, each on a
// goroutine of its own; n counts them from 1.
func function(t *testing.T, serve func(n int, c net.Conn, r *bufio.Reader)) *Pool {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	p := NewPool("unix", path)
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 1; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				serve(n, c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		p.Close()
		_ = ln.Close()
		wg.Wait()
	})
	return p
}

func request(method, body string) *Request {
	return &Request{
		Method: []byte(method), URI: []byte("/a/b?c=%20d"), Header: []byte("Host: a.test\r\nx-b: 1\r\nX-B: 2\r\n"), Body: []byte(body),
		Deadline: time.Now().Add(20 * time.Second), MaxReply: 1 << 20,
	}
}

// readRequest reads a request and its body; nil at the connection's end.
func readRequest(r *bufio.Reader) *http.Request {
	req, err := http.ReadRequest(r)
	if err != nil {
		return nil
	}
	body, _ := io.ReadAll(req.Body)
	req.Body = io.NopCloser(bytes.NewReader(body))
	return req
}

func TestRequestGoesOutAsItCameIn(t *testing.T) {
	got := make(chan string, 1)
	p := function(t, func(_ int, c net.Conn, r *bufio.Reader) {
		for {
			var b strings.Builder
			length := false
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				length = length || strings.HasPrefix(line, "Content-Length: 2")
				if strings.HasPrefix(line, "X-Funcatron-Timeout-Ms: 19") {
					line = "time\r\n"
				}
				b.WriteString(line)
				if line == "\r\n" {
					break
				}
			}
			if length {
				body := make([]byte, 2)
				_, _ = io.ReadFull(r, body)
				b.Write(body)
			}
			got <- b.String()
			_, _ = io.WriteString(c, answerOK)
		}
	})
	for _, tc := range []struct{ method, body, want string }{
		{"GET", "", "GET /a/b?c=%20d HTTP/1.1\r\ntime\r\nHost: a.test\r\nx-b: 1\r\nX-B: 2\r\n\r\n"},
		{"POST", "", "POST /a/b?c=%20d HTTP/1.1\r\ntime\r\nContent-Length: 0\r\nHost: a.test\r\nx-b: 1\r\nX-B: 2\r\n\r\n"},
		{"GET", "hi", "GET /a/b?c=%20d HTTP/1.1\r\ntime\r\nContent-Length: 2\r\nHost: a.test\r\nx-b: 1\r\nX-B: 2\r\n\r\nhi"},
	} {
		a := NewAnswer()
		if err := p.Do(request(tc.method, tc.body), a); err != nil || string(a.Body) != "ok" || a.Ran <= 0 {
			t.Fatalf("Do = %v, %q after %v", err, a.Body, a.Ran)
		}
		a.Release()
		if got := <-got; got != tc.want {
			t.Errorf("\n got %q\nwant %q", got, tc.want)
		}
	}
}

func TestConnectionsAreKept(t *testing.T) {
	p := function(t, func(n int, c net.Conn, r *bufio.Reader) {
		for readRequest(r) != nil {
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nN: " + string(rune('0'+n)) + "\r\nContent-Length: 0\r\n\r\n"))
		}
	})
	if err := p.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		a := NewAnswer()
		if err := p.Do(request("POST", "x"), a); err != nil || string(a.Header) != "N: 1\r\n" {
			t.Errorf("Do = %v, %q, want the first connection", err, a.Header)
		}
		a.Release()
	}
}

// The function closes a kept connection: before the next request, which any
// method survives, or when it has read that, which only one that may run twice
// does.
func TestStaleConnections(t *testing.T) {
	for _, tc := range []struct {
		name       string
		reads      bool // the function reads the second request before it closes
		method     string
		repeatable bool
		ok         bool
	}{
		{"closed while idle", false, "POST", false, true},
		{"closed on a GET", true, "GET", true, true},
		{"closed on a POST", true, "POST", false, false},
		{"closed on a POST that may run twice", true, "POST", true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			closed := make(chan struct{})
			p := function(t, func(n int, c net.Conn, r *bufio.Reader) {
				readRequest(r)
				_, _ = io.WriteString(c, answerOK)
				if n > 1 {
					readRequest(r)
					return
				}
				if tc.reads {
					readRequest(r)
				}
				_ = c.Close()
				close(closed)
			})
			a := NewAnswer()
			defer a.Release()
			if err := p.Do(request("GET", ""), a); err != nil {
				t.Fatal(err)
			}
			if !tc.reads {
				<-closed
			}
			r := request(tc.method, "body")
			r.Repeatable = tc.repeatable
			err := p.Do(r, a)
			if (err == nil) != tc.ok {
				t.Errorf("Do = %v, want ok %t", err, tc.ok)
			}
			if tc.ok && string(a.Body) != "ok" {
				t.Errorf("answer %q", a.Body)
			}
		})
	}
}

// A request that a kept connection took was sent, even if there is nobody left to
// send it to again: it may be what killed the process.
func TestKilledByARequest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	p := NewPool("unix", path)
	defer p.Close()
	died := make(chan struct{})
	go func() {
		defer close(died)
		c, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		readRequest(bufio.NewReader(c))
		_ = ln.Close()
		_ = c.Close()
	}()
	if err := p.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := request("GET", "")
	r.Repeatable = true
	if err := p.Do(r, new(Answer)); !errors.Is(err, io.EOF) || errors.Is(err, ErrUnsent) {
		t.Errorf("Do = %v, want EOF and not ErrUnsent", err)
	}
	<-died
}

// A fresh connection that fails is the function's failure, whatever the method.
func TestNoSecondTryOnFreshConnections(t *testing.T) {
	var mu sync.Mutex
	seen := 0
	p := function(t, func(_ int, _ net.Conn, r *bufio.Reader) {
		readRequest(r)
		mu.Lock()
		seen++
		mu.Unlock()
	})
	r := request("GET", "")
	r.Repeatable = true
	if err := p.Do(r, new(Answer)); !errors.Is(err, io.EOF) {
		t.Errorf("Do = %v, want EOF", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if seen != 1 {
		t.Errorf("the request was sent %d times", seen)
	}
}

func TestDeadline(t *testing.T) {
	for name, part := range map[string]string{"no answer": "", "half an answer": answerOK[:30], "half a body": answerOK[:len(answerOK)-1]} {
		gone := make(chan struct{})
		p := function(t, func(_ int, c net.Conn, r *bufio.Reader) {
			readRequest(r)
			_, _ = io.WriteString(c, part)
			readRequest(r)
			close(gone)
		})
		r := request("GET", "")
		r.Deadline, r.Repeatable = time.Now().Add(30*time.Millisecond), true
		if err := p.Do(r, new(Answer)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: Do = %v, want that the deadline passed", name, err)
		}
		<-gone // the connection was closed
	}
}

func TestCloseLetsCallsFinish(t *testing.T) {
	reading, finish := make(chan struct{}), make(chan struct{})
	gone := make(chan struct{})
	p := function(t, func(n int, c net.Conn, r *bufio.Reader) {
		readRequest(r)
		if n == 1 {
			close(reading)
			<-finish
		}
		_, _ = io.WriteString(c, answerOK)
		if n == 1 {
			readRequest(r)
			close(gone)
		}
	})
	a := new(Answer)
	err := make(chan error, 1)
	go func() { err <- p.Do(request("GET", ""), a) }()
	<-reading
	p.Close()
	if err := p.Do(request("GET", ""), new(Answer)); !errors.Is(err, ErrUnsent) {
		t.Errorf("Do after Close = %v, want ErrUnsent", err)
	}
	close(finish)
	if err := <-err; err != nil || string(a.Body) != "ok" {
		t.Errorf("Do = %v, %q, want the whole answer", err, a.Body)
	}
	<-gone // and then the connection was closed
}

// A function that sends back what it reads while it reads it must not wait for us
// as we wait for it.
func TestLargeBodies(t *testing.T) {
	body := strings.Repeat("0123456789", 400_000)
	p := function(t, func(_ int, c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n")
			if _, err := io.Copy(c, req.Body); err != nil {
				return
			}
		}
	})
	a := NewAnswer()
	defer a.Release()
	for range 2 {
		r := request("POST", body)
		r.MaxReply = len(body)
		if err := p.Do(r, a); err != nil || string(a.Body) != body {
			t.Fatalf("Do = %v, %d bytes", err, len(a.Body))
		}
	}
}

// A function may refuse a body that it has not read.
func TestEarlyAnswer(t *testing.T) {
	for _, size := range []int{10, 4_000_000} {
		done := make(chan struct{})
		p := function(t, func(_ int, c net.Conn, r *bufio.Reader) {
			if _, err := http.ReadRequest(r); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(c, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
			<-done
		})
		a := NewAnswer()
		if err := p.Do(request("POST", strings.Repeat("x", size)), a); err != nil || a.Status != 413 {
			t.Errorf("%d bytes: Do = %v, status %d", size, err, a.Status)
		}
		a.Release()
		close(done)
	}
}

// Unix sockets refuse connections when their backlog is full.
func TestFullBacklog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	first, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if c, err := connect(short, "unix", path); !errors.Is(err, unix.EAGAIN) {
		t.Fatalf("connect = %v, %v, want that the backlog is full", c, err)
	}
	accepted := make(chan error, 1)
	go func() {
		fd, _, err := unix.Accept(fd)
		accepted <- errors.Join(err, unix.Close(fd))
	}()
	c, err := connect(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := <-accepted; err != nil {
		t.Error(err)
	}
}

func TestDoAllocatesLittle(t *testing.T) {
	p := function(t, func(_ int, c net.Conn, r *bufio.Reader) {
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) == 2 {
				_, _ = c.Write([]byte(answerOK))
			}
		}
	})
	r := request("GET", "")
	n := testing.AllocsPerRun(200, func() {
		a := NewAnswer()
		defer a.Release()
		if err := p.Do(r, a); err != nil {
			t.Fatal(err)
		}
	})
	if n > 3 { // of both sides
		t.Errorf("a call allocates %v times", n)
	}
}
