package call

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

const limit = 100

func read(raw string, head bool) (*Answer, error) {
	a := new(Answer)
	err := a.read(bufio.NewReaderSize(strings.NewReader(raw), 16), head, limit)
	return a, err
}

func TestAnswer(t *testing.T) {
	for _, tc := range []struct {
		name, raw    string
		head         bool
		status       int
		header, body string
		keep         bool
	}{
		{"plain", "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nhello", false, 200, "Content-Type: a/b\r\n", "hello", true},
		{"order, case and repetition stay", "HTTP/1.1 200 OK\r\nx-b:  1 \r\nSet-Cookie: a=1\r\nX-A: 2\r\nset-cookie: b=2\r\nServer: s\r\nContent-Length: 0\r\n\r\n", false, 200,
			"x-b:  1 \r\nSet-Cookie: a=1\r\nX-A: 2\r\nset-cookie: b=2\r\nServer: s\r\n", "", true},
		{"no header", "HTTP/1.1 200\r\n\r\nrest", false, 200, "", "rest", false},
		{"no reason", "HTTP/1.1 299 \r\nContent-Length: 1\r\n\r\nx", false, 299, "", "x", true},
		{"strange status", "HTTP/1.1 999 Hm\r\nContent-Length: 1\r\n\r\nx", false, 999, "", "x", true},
		{"bytes beyond the answer", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy", false, 200, "", "x", false},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nA: b\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: x\r\n\r\n", false, 200, "A: b\r\n", "hello", true},
		{"until the end", "HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello", false, 200, "A: b\r\n", "hello", false},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false, 200, "", "x", false},
		{"closes", "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\nx", false, 200, "", "x", false},
		{"hop-by-hop", "HTTP/1.1 200 OK\r\nKeep-Alive: 5\r\nTE: x\r\nTrailer: x\r\nUpgrade: h2c\r\nProxy-Connection: x\r\nX-Hop: 1\r\nContent-Length: 1\r\nX-Hopper: 2\r\nConnection: keep-alive, x-HOP ,X-2\r\nX-2: b\r\n\r\nx", false, 200,
			"X-Hopper: 2\r\n", "x", true},
		{"HEAD keeps its length", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nA: b\r\n\r\n", true, 200, "Content-Length: 1234\r\nA: b\r\n", "", true},
		{"HEAD of a chunked answer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, 200, "", "", true},
		{"304 keeps its length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n", false, 304, "Content-Length: 12\r\n", "", true},
		{"204 has no body", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", false, 204, "", "", true},
		{"same length twice", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", false, 200, "", "x", true},
		{"same length twice, HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", true, 200, "Content-Length: 1\r\n", "", true},
		{"interim answers", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false, 200, "", "x", true},
		{"LF alone", "HTTP/1.1 200 OK\nA: b\nContent-Length: 1\n\nx", false, 200, "A: b\r\n", "x", true},
		{"white space before the colon", "HTTP/1.1 200 OK\r\nA \t: b\r\nContent-Length : 1\r\n\r\nx", false, 200, "A: b\r\n", "x", true},
		{"encoded bytes are left alone", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", false, 200, "Content-Encoding: gzip\r\n", "\x1f\x8b", true},
		{"bytes beyond ASCII in a value", "HTTP/1.1 200 OK\r\nA: \xe4\r\nContent-Length: 0\r\n\r\n", false, 200, "A: \xe4\r\n", "", true},
		{"as much as may be", "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", limit), false, 200, "", strings.Repeat("x", limit), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, err := read(tc.raw, tc.head)
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%d %q %q keep=%t", a.Status, a.Header, a.Body, a.keep)
			if want := fmt.Sprintf("%d %q %q keep=%t", tc.status, tc.header, tc.body, tc.keep); got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}

func TestBrokenAnswers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, tc := range []struct{ name, raw, want string }{
		{"no HTTP", "hello\r\n\r\n", "first line"},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", "first line"},
		{"HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n", "first line"},
		{"status of two digits", "HTTP/1.1 99 OK\r\n\r\n", "first line"},
		{"status below 100", "HTTP/1.1 099 OK\r\n\r\n", "first line"},
		{"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", "first line"},
		{"no colon", ok + "A\r\n\r\n", "no colon"},
		{"folded", ok + "A: b\r\n c: d\r\n\r\n", "no proper name"},
		{"no name", ok + ": b\r\n\r\n", "no proper name"},
		{"space in a name", ok + "A B: c\r\n\r\n", "no proper name"},
		{"NUL in a value", ok + "A: b\x00\r\n\r\n", "control character"},
		{"CR in a value", ok + "A: b\rSet-Cookie: x\r\n\r\n", "control character"},
		{"length and chunks", ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "both"},
		{"chunks twice", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding"},
		{"another coding", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", "Transfer-Encoding"},
		{"chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding"},
		{"two lengths", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "Content-Length 1 and 2"},
		{"list of lengths", ok + "Content-Length: 1, 1\r\n\r\nx", "Content-Length"},
		{"negative length", ok + "Content-Length: -1\r\n\r\n", "Content-Length"},
		{"signed length", ok + "Content-Length: +1\r\n\r\nx", "Content-Length"},
		{"huge length", ok + "Content-Length: 9223372036854775808\r\n\r\n", "Content-Length"},
		{"no chunk size", ok + "Transfer-Encoding: chunked\r\n\r\n\r\n", "chunk"},
		{"signed chunk size", ok + "Transfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n", "chunk"},
		{"0x chunk size", ok + "Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n", "chunk"},
		{"chunk longer than it says", ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nx0\r\n\r\n", "longer"},
		{"protocol switched", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "switches"},
		{"endless interim answers", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 200), "interim"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := read(tc.raw, false)
			var broke ProtocolError
			if !errors.As(err, &broke) && !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("read = %v, want one that says %q", err, tc.want)
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	big := strings.Repeat("x", limit+1)
	for name, raw := range map[string]string{
		"length":       "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + big,
		"chunks":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + big[:100] + "\r\n1\r\nx\r\n0\r\n\r\n",
		"huge chunk":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n" + big,
		"until end":    "HTTP/1.1 200 OK\r\n\r\n" + big,
		"head":         "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxHead/6+1) + "\r\n",
		"header line":  "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", maxHead),
		"first line":   "HTTP/1.1 200 " + strings.Repeat("x", maxHead),
		"chunk's line": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x", maxHead),
		"trailer":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("A: b\r\n", maxHead/6+1),
	} {
		if _, err := read(raw, false); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: read = %v, want ErrTooLarge", name, err)
		}
	}
}

// An answer that stops anywhere is an error, never a shorter answer.
func TestHalfAnAnswer(t *testing.T) {
	for _, raw := range []string{
		"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nA: b\r\n\r\n",
	} {
		for n := range len(raw) {
			a := new(Answer)
			err := a.read(bufio.NewReader(iotest.OneByteReader(strings.NewReader(raw[:n]))), false, limit)
			if n == 0 {
				if a.begun || !errors.Is(err, io.EOF) {
					t.Errorf("nothing: begun=%t, %v", a.begun, err)
				}
			} else if !a.begun || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%q: begun=%t, %v, want an unexpected end", raw[:n], a.begun, err)
			}
		}
	}
}

func TestResetIsNoEnd(t *testing.T) {
	a := new(Answer)
	r := io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\n\r\nhel"), iotest.ErrReader(io.ErrClosedPipe))
	if err := a.read(bufio.NewReader(r), false, limit); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("read = %v, want what broke the connection", err)
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	raw := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sun, 22 Nov 2026 20:31:31 GMT\r\nContent-Length: 13\r\n\r\n{\"hello\":1.5}")
	src := bytes.NewReader(raw)
	r := bufio.NewReader(src)
	a := new(Answer)
	n := testing.AllocsPerRun(100, func() {
		src.Reset(raw)
		r.Reset(src)
		if err := a.read(r, false, limit); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("reading an answer allocates %v times", n)
	}
}

// What this reader takes, net/http takes for the same answer, and what it passes
// on holds nothing that could be taken for another line.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x\r\nlo\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 103 Hm\r\nA: b\r\n\r\nHTTP/1.0 304 OK\nContent-Length: 7\nConnection: a,close\nA: c\n\n",
		"HTTP/1.1 200 \r\nConnection: content-length\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nA : b\r\n\r\nrest",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, head bool) {
		a := new(Answer)
		if a.read(bufio.NewReaderSize(bytes.NewReader(raw), 16), head, 1<<16) != nil {
			return
		}
		for line := range bytes.SplitSeq(bytes.TrimSuffix(a.Header, []byte("\r\n")), []byte("\r\n")) {
			if bytes.ContainsAny(line, "\r\n\x00") || len(a.Header) > 0 && bytes.IndexByte(line, ':') < 1 {
				t.Fatalf("header line %q of %q", line, raw)
			}
		}
		if a.Status < 200 || a.Status > 999 {
			t.Fatalf("status %d of %q", a.Status, raw)
		}

		method := "GET"
		if head {
			method = "HEAD"
		}
		r := bufio.NewReader(bytes.NewReader(raw))
		for {
			resp, err := http.ReadResponse(r, &http.Request{Method: method})
			if err != nil {
				return // net/http refuses more
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return
			}
			if resp.StatusCode < 200 {
				continue
			}
			if resp.StatusCode != a.Status || !bytes.Equal(body, a.Body) {
				t.Fatalf("%q\n here: %d %q\nthere: %d %q", raw, a.Status, a.Body, resp.StatusCode, body)
			}
			return
		}
	})
}
