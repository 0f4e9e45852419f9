package load

import (
	"errors"
	"strings"
	"testing"
)

// feedIn reads text in pieces of size bytes, and what belongs to the response.
func feedIn(text string, size int) (r response, used int, whole bool, err error) {
	for rest := []byte(text); len(rest) > 0 && !whole && err == nil; {
		piece := rest[:min(size, len(rest))]
		var n int
		n, whole, err = r.feed(piece)
		used += n
		if n < len(piece) {
			break
		}
		rest = rest[n:]
	}
	return r, used, whole, err
}

func TestResponse(t *testing.T) {
	for _, tc := range []struct {
		name, text, after string
		status            int
		closing, whole    bool
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Type: x\r\ncontent-LENGTH:  5 \r\n\r\nhello", "HTTP/1.1", 200, false, true},
		{"empty", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "x", 404, false, true},
		{"no reason", "HTTP/1.1 201\r\nContent-Length: 0\r\n\r\n", "", 201, false, true},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", "x", 204, false, true},
		{"not modified has the length of another", "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", "x", 304, false, true},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", "HTTP", 200, false, true},
		{"trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nDigest: y\r\n\r\n", "z", 200, false, true},
		{"closing", "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\nx", "", 200, true, true},
		{"1.0 closes", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "", 200, true, true},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "y", 200, false, true},
		{"until closed", "HTTP/1.1 200 OK\r\n\r\nsome", "", 200, true, false},
		{"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome", "", 200, false, false},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-Le", "", 0, false, false},
	} {
		for _, size := range []int{1, 2, 3, 7, 1 << 20} {
			r, used, whole, err := feedIn(tc.text+tc.after, size)
			if err != nil || whole != tc.whole || r.status != tc.status || r.closing != tc.closing {
				t.Errorf("%s in pieces of %d: %+v, whole %v, error %v", tc.name, size, r, whole, err)
			}
			if whole && used != len(tc.text) {
				t.Errorf("%s in pieces of %d: %d bytes used of %d", tc.name, size, used, len(tc.text))
			}
			if r.ended() != (tc.name == "until closed") {
				t.Errorf("%s: ended %v", tc.name, r.ended())
			}
		}
	}
	for _, text := range []string{
		"SSH-2.0-OpenSSH_9.6\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n", "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHead+10) + "\r\n\r\n",
	} {
		for _, size := range []int{1, 1 << 20} {
			if _, _, whole, err := feedIn(text, size); !errors.Is(err, errResponse) || whole {
				t.Errorf("%.40q in pieces of %d: whole %v, error %v", text, size, whole, err)
			}
		}
	}
}

// How a stream is cut into pieces makes no difference.
func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), 3)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nrest"), 1)
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nsome"), 5)
	f.Add([]byte("HTTP/1.1 304 x\r\n\r\n"), 2)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if size < 1 || len(b) > 1<<16 {
			return
		}
		one, used, whole, err := feedIn(string(b), len(b)+1)
		cut, cutUsed, cutWhole, cutErr := feedIn(string(b), size)
		if used > len(b) || whole && err != nil {
			t.Fatalf("used %d of %d, whole %v, error %v", used, len(b), whole, err)
		}
		if whole != cutWhole || (err == nil) != (cutErr == nil) {
			t.Fatalf("at once: %v %v; in pieces of %d: %v %v", whole, err, size, cutWhole, cutErr)
		}
		if err == nil && (one.status != cut.status || one.closing != cut.closing || used != cutUsed) {
			t.Fatalf("at once: %+v, %d used; in pieces of %d: %+v, %d used", one, used, size, cut, cutUsed)
		}
	})
}

func TestFeedAllocatesNothing(t *testing.T) {
	var r response
	text := []byte("HTTP/1.1 200 OK\r\nDate: Mon, 02 Nov 2026 10:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello")
	if n := testing.AllocsPerRun(100, func() {
		r.reset()
		if _, whole, err := r.feed(text); !whole || err != nil {
			t.Fatal(whole, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
