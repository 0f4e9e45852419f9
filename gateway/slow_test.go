package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/shared/envelope"
)

// A connection has readTimeout for a request, however it spends it. What dribbles,
// or does not read its answer, is cut off; others do not notice.
func TestSlowClients(t *testing.T) {
	const patience = 400 * time.Millisecond
	v := newVictim(t, func(o *Options) { o.readTimeout = patience })
	v.serve("req.d1", func(c *dispatch.Call) {
		c.Reply(&envelope.Response{Status: 200, Body: make([]byte, 7<<20)})
	})
	const post = "POST /a/echo HTTP/1.1\r\nHost: x\r\n"
	for _, tc := range []struct {
		name  string
		begin string // sent at once
		drip  string // sent again and again
		want  int    // 0: closed without a word
	}{
		{"says nothing", "", "", 0},
		{"first line", "", "G", 408},
		{"header", post, "X: y\r\n", 408},
		{"one long header", post + "X: ", "y", 408},
		{"empty lines", "", "\r\n", 0},
		{"body", post + "Content-Length: 1000000\r\n\r\n", "x", 408},
		{"chunks", post + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", 408},
		{"chunk extension", post + "Transfer-Encoding: chunked\r\n\r\n1", ";x=y", 400}, // fasthttp hides the cause
		{"a body that was asked for", post + "Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n", "x", 408},
		{"between requests", "GET /a/echo HTTP/1.1\r\nHost: x\r\n\r\n", "", 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			br, c := v.raw(tc.begin)
			quit := make(chan struct{})
			var dripping sync.WaitGroup
			dripping.Go(func() {
				tick := time.NewTicker(patience / 20)
				defer tick.Stop()
				for tc.drip != "" {
					select {
					case <-tick.C:
						if _, err := io.WriteString(c, tc.drip); err != nil {
							return
						}
					case <-quit:
						return
					}
				}
			})
			got := 0
			for {
				resp, err := http.ReadResponse(br, nil)
				if err != nil {
					var op *net.OpError
					if errors.As(err, &op) && op.Timeout() {
						t.Errorf("still open after %v", time.Since(began))
					}
					break
				}
				if got = resp.StatusCode; got == 100 {
					continue
				}
				if _, err := io.ReadAll(resp.Body); err != nil && !isReset(err) {
					t.Error(err)
				}
			}
			took := time.Since(began)
			close(quit)
			dripping.Wait()
			if got != tc.want || took < patience/2 {
				t.Errorf("closed after %v with %d, want %d", took, got, tc.want)
			}
		})
	}
	t.Run("does not read its answer", func(t *testing.T) {
		t.Parallel()
		_, c := v.raw("")
		if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		// More than all buffers between us can hold.
		if _, err := io.WriteString(c, strings.Repeat("GET /t/plain HTTP/1.1\r\nHost: x\r\n\r\n", 4)); err != nil {
			t.Fatal(err)
		}
		until(t, "the gateway has cut the client off", func() bool { return v.g.srv.GetOpenConnectionsCount() <= 1 })
	})
	t.Run("others are served", func(t *testing.T) {
		t.Parallel()
		for range 5 {
			if resp := v.do("GET", "/a/echo", ""); resp.StatusCode != 200 {
				t.Errorf("%d", resp.StatusCode)
			}
		}
	})
}

// Answers come in the order of the requests, each to its own, whatever each takes
// and whatever else is on the connection.
func TestPipelining(t *testing.T) {
	r := newRig(t, nil)
	r.serve("req.d1", func(c *dispatch.Call) {
		if len(c.Body)%7 == 0 {
			<-time.After(5 * time.Millisecond)
		}
		mirror(c)
	})
	const n = 200
	var send strings.Builder
	for i := range n {
		switch i % 5 {
		case 0:
			fmt.Fprintf(&send, "GET /t/num/%d?b=true HTTP/1.1\r\nHost: x\r\n\r\n", i%100)
		case 1:
			fmt.Fprintf(&send, "POST /t/plain HTTP/1.1\r\nHost: x\r\nX-N: %d\r\nContent-Length: %d\r\n\r\n%s", i, i, strings.Repeat("b", i))
		case 2:
			fmt.Fprintf(&send, "POST /t/plain HTTP/1.1\r\nHost: x\r\nX-N: %d\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", i, i, strings.Repeat("c", i))
		case 3:
			fmt.Fprintf(&send, "GET /t/nothing%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		case 4:
			fmt.Fprintf(&send, "POST /t/plain HTTP/1.1\r\nHost: x\r\nX-N: %d\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n%s", i, i, strings.Repeat("e", i))
		}
	}
	br, _ := r.raw(send.String())
	for i := range n {
		status, body := readResponse(t, br)
		if i%5 == 4 && status == 100 {
			status, body = readResponse(t, br)
		}
		want, says := 200, fmt.Sprintf("X-N: %d\r\n", i)
		end := strings.Repeat(string("abcde"[i%5]), i)
		switch i % 5 {
		case 0:
			says, end = fmt.Sprintf("GET /t/num/%d?b=true\n", i%100), ""
		case 3:
			want, says, end = 404, "", ""
		}
		if status != want || !strings.Contains(body, says) || !strings.HasSuffix(body, end) {
			t.Fatalf("answer %d: %d %s, want %d with %q", i, status, body, want, says)
		}
	}
}

// A client that waits for 100 never sends what is refused.
func TestRefusedBeforeTheBody(t *testing.T) {
	v := newVictim(t, func(o *Options) { o.MaxBody = 1000 })
	br, c := v.raw("POST /a/json HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nExpect: 100-continue\r\nContent-Length: 900\r\n\r\n")
	status, body := readResponse(t, br)
	if status != 415 || !strings.Contains(body, "application/json") {
		t.Errorf("%d %s", status, body)
	}
	if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection stays: %v", err)
	}
	_ = c.Close()
	if saw := v.calls(); len(saw) != 0 {
		t.Errorf("the function saw %q", saw)
	}
}

// A client that sends too much, and reads when it has sent, learns why.
func TestTooLargeIsSaidToASender(t *testing.T) {
	v := newVictim(t, func(o *Options) { o.MaxBody = 1000 })
	const size = 8 << 20
	for name, send := range map[string]string{
		"length": fmt.Sprintf("POST /a/echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size) + strings.Repeat("x", size),
		"chunks": "POST /a/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("400\r\n"+strings.Repeat("x", 1024)+"\r\n", size/1024),
	} {
		br, c := v.raw("")
		if _, err := io.WriteString(c, send); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if status, body := readResponse(t, br); status != 413 || !strings.Contains(body, "1000 bytes") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

// In absolute-form the target's host counts (RFC 9112 section 3.2.2), for routing
// and for the function.
func TestAbsoluteFormNamesTheHost(t *testing.T) {
	v := newVictim(t, nil)
	if statuses, _ := v.attack("GET http://inner.test:81/a/echo HTTP/1.1\r\nHost: outer.test\r\n\r\n"); len(statuses) != 1 || statuses[0] != 200 {
		t.Fatalf("answers %v", statuses)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if head := v.head[0]; !strings.Contains(head, "Host: inner.test:81\r\n") || !strings.Contains(head, "X-Forwarded-Host: inner.test:81\r\n") || strings.Contains(head, "outer") {
		t.Errorf("the function gets\n%s", head)
	}
}

// Whatever stands in a function's header lines, the client gets one answer with one
// header, and the connection goes on behind it. Nothing of this leaves a Runner
// (runner/call refuses it, and NUL, and what is no name); the gateway does not rely
// on it.
func TestAnswersInjectNothing(t *testing.T) {
	r := newRig(t, nil)
	var mu sync.Mutex
	var header string
	r.serve("req.d1", func(c *dispatch.Call) {
		mu.Lock()
		defer mu.Unlock()
		c.Reply(&envelope.Response{Status: 200, Header: []byte(header), Body: []byte("12345")})
	})
	for _, tc := range []struct{ name, header string }{
		{"CR", "X-A: a\rX-Evil: 1\r\n"},
		{"LF", "X-A: a\nX-Evil: 1\r\n"},
		{"LF CR", "X-A: a\n\rX-Evil: 1\r\n"},
		{"LF LF and an answer", "X-A: a\n\nHTTP/1.1 200 OK\nX-Evil: 1\r\n"},
		{"CR in a name", "X-A\rX-Evil: 1\r\n"},
		{"LF in a name", "X-A\nX-Evil: 1\r\n"},
		{"space in a name", "X A: a\r\n"},
		{"folded", "X-A: a\r\n X-Evil: 1\r\n"},
		{"no colon", "X-A\r\n"},
		{"another length", "Content-Length: 1\r\n"},
		{"two lengths", "Content-Length: 1\r\nContent-Length: 50\r\n"},
		{"chunks", "Transfer-Encoding: chunked\r\n"},
		{"chunks and a length", "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"},
		{"cookie", "Set-Cookie: a=b\r\rX-Evil: 1\r\n"},
		{"cookie with LF", "Set-Cookie: a=b\nX-Evil: 1\r\n"},
		{"content type", "Content-Type: text/plain\nX-Evil: 1\r\n"},
		{"server", "Server: x\nX-Evil: 1\r\n"},
		{"content encoding", "Content-Encoding: gzip\nX-Evil: 1\r\n"},
		{"request id", "X-Request-Id: evil\r\n"},
		{"as large as the Runner lets it be", "X-A: " + strings.Repeat("a", 60<<10) + "\r\n"},
		{"many", strings.Repeat("X-A: a\r\n", 8_000)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mu.Lock()
			header = tc.header
			mu.Unlock()
			const get = "GET /t/plain HTTP/1.1\r\nHost: x\r\n\r\n"
			br, c := r.raw(get)
			for i := range 2 {
				resp, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				h := resp.Header
				if resp.StatusCode == 200 && string(body) != "12345" || resp.StatusCode != 200 && resp.StatusCode != 502 {
					t.Errorf("%d %q", resp.StatusCode, body)
				}
				if h.Get("X-Evil") != "" || len(h["X-Request-Id"]) != 1 || h.Get("X-Request-Id") == "evil" || len(resp.TransferEncoding) > 0 {
					t.Errorf("%v", h)
				}
				if i == 0 {
					if _, err := io.WriteString(c, get); err != nil {
						t.Fatal(err)
					}
				}
			}
			atEnd(t, br, c)
		})
	}
}

// atEnd: nothing comes behind what was read.
func atEnd(t *testing.T, br *bufio.Reader, c net.Conn) {
	t.Helper()
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(br); err != nil || len(rest) > 0 {
		t.Errorf("behind the answers: %q, %v", rest, err)
	}
}
