package gateway

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"

	"github.com/valyala/fasthttp"
)

// What fasthttp and mark both let through, and net/http takes, too, is to both the
// same request of the same length. Nobody in front of us may see another.
func FuzzFraming(f *testing.F) {
	for _, seed := range []string{
		"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"POST http://y/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc",
		"POST /a HTTP/1.0\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc",
		"GET /a HTTP/1.1\nHost: x\n\nGET / HTTP/1.1\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\n c: d\r\nE F: g\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var ours fasthttp.Request
		br := bufio.NewReaderSize(bytes.NewReader(data), maxHeader)
		if err := ours.Header.Read(br); err != nil || suspect(&ours.Header) != "" {
			return
		}
		if len(ours.Header.RawHeaders()) == 0 {
			if !ours.Header.ConnectionClose() { // only 1.0 may come without a line
				t.Fatalf("a request follows: %q", data)
			}
			return
		}
		head := len(data) - br.Buffered()
		if len(data) > maxHeader {
			return
		}
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			return
		}
		if end := headerEnd(data); end != head {
			t.Fatalf("the header has %d bytes, and its end is at %d: %q", head, end, data)
		}
		length := int64(ours.Header.ContentLength())
		if length == -2 { // neither said
			length = 0
		}
		if length != theirs.ContentLength {
			t.Fatalf("length %d, by net/http %d: %q", length, theirs.ContentLength, data)
		}
		if string(ours.Header.Method()) != theirs.Method || string(ours.Header.RequestURI()) != theirs.RequestURI {
			t.Fatalf("%s %s, by net/http %s %s: %q", ours.Header.Method(), ours.Header.RequestURI(), theirs.Method, theirs.RequestURI, data)
		}
	})
}

// headerEnd is where a header ends to those who take CRLF only for the end of a line.
// The first line is nothing to them if it ends in LF alone; fasthttp does not say.
func headerEnd(data []byte) int {
	start := len(data) - len(bytes.TrimLeft(data, "\r\n"))
	start += bytes.IndexByte(data[start:], '\n') + 1
	if bytes.HasPrefix(data[start:], []byte("\r\n")) {
		return start + 2
	}
	return start + bytes.Index(data[start:], []byte("\r\n\r\n")) + 4
}
