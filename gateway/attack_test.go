package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/shared/envelope"
	"github.com/funcatron/funcatron/shared/wire"
)

// attackDoc takes nearly everything, so that what is refused is refused by the
// gateway and not by the document.
const attackDoc = `
swagger: "2.0"
info: {title: Attacked, version: "1"}
basePath: /a
x-funcatron: {runtime: exec, command: [x], timeout: 5s, concurrency: 64}
paths:
  /echo:
    get: {operationId: get, responses: {"200": {description: ok}}}
    post: {operationId: post, responses: {"200": {description: ok}}}
  /json:
    post:
      operationId: json
      consumes: [application/json]
      responses: {"200": {description: ok}}
  /seg/{s}:
    get:
      operationId: seg
      parameters:
        - {name: s, in: path, type: string, required: true}
        - {name: q, in: query, type: string}
      responses: {"200": {description: ok}}
  /form:
    post:
      operationId: form
      consumes: [application/x-www-form-urlencoded, multipart/form-data]
      parameters:
        - {name: text, in: formData, type: string}
        - {name: upload, in: formData, type: file}
      responses: {"200": {description: ok}}
  /admin:
    get: {operationId: admin, responses: {"200": {description: ok}}}
`

// victim is a gateway that serves attackDoc, and what its function saw.
type victim struct {
	*rig
	mu   sync.Mutex
	seen []string // method, target and body of each call
	head []string // its header lines
}

// newVictim has a function that answers with what it saw.
func newVictim(t *testing.T, change func(*Options)) *victim {
	t.Helper()
	v := &victim{rig: newRig(t, change)}
	v.tron.mu.Lock()
	v.tron.docs[sha(9)] = document(t, attackDoc)
	v.tron.mu.Unlock()
	v.serve("req.d9", func(c *dispatch.Call) {
		saw := fmt.Sprintf("%s %s %q", c.Method, c.URI, c.Body)
		v.mu.Lock()
		v.seen = append(v.seen, saw)
		v.head = append(v.head, string(c.Header))
		v.mu.Unlock()
		c.Reply(&envelope.Response{Status: 200, Body: []byte(saw)})
	})
	v.tron.change(t, wire.RouteItem{Deployment: "d9", Sha: sha(9), BasePath: "/a", Queue: "req.d9"})
	return v
}

// calls is what the function saw since it was last asked.
func (v *victim) calls() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	seen := v.seen
	v.seen, v.head = nil, nil
	return seen
}

// attack sends bytes, ends its side of the connection, and gives the status of
// everything that comes back until the gateway closes, too.
func (v *victim) attack(send string) (statuses []int, bodies []string) {
	v.t.Helper()
	br, c := v.raw("")
	go func() {
		// The gateway may refuse before it has read all: then writing fails, or not.
		_, _ = io.WriteString(c, send)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	for {
		// The answer to HEAD has a length and no body.
		asked := &http.Request{Method: "GET"}
		if strings.HasPrefix(send, "HEAD ") && len(statuses) == 0 {
			asked.Method = "HEAD"
		}
		resp, err := http.ReadResponse(br, asked)
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err) {
				return statuses, bodies
			}
			v.t.Fatalf("after answers %v: %v", statuses, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil && !isReset(err) {
			v.t.Fatal(err)
		}
		statuses = append(statuses, resp.StatusCode)
		bodies = append(bodies, string(body))
	}
}

// isReset tells that the gateway closed while bytes of ours were on their way.
func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout()
}

// What one connection may carry, byte for byte, what it is answered, and what of it
// the function sees. Behind each suspect request comes smuggled: it is answered only
// where there is no doubt that it is a request of its own.
func TestHTTPAttacks(t *testing.T) {
	v := newVictim(t, func(o *Options) { o.MaxBody = 1000 })
	const (
		get      = "GET /a/echo HTTP/1.1\r\nHost: x\r\n"
		post     = "POST /a/echo HTTP/1.1\r\nHost: x\r\n"
		chunks   = post + "Transfer-Encoding: chunked\r\n\r\n"
		smuggled = "GET /a/admin HTTP/1.1\r\nHost: x\r\n\r\n"

		saysGet, saysPost, saysAdmin = `GET /a/echo ""`, `POST /a/echo ""`, `GET /a/admin ""`
		saysABC                      = `POST /a/echo "abc"`
	)
	seg := func(s string) string { return "GET /a/seg/" + s + " HTTP/1.1\r\nHost: x\r\n\r\n" }
	sawSeg := func(s string) []string { return []string{"GET /a/seg/" + s + ` ""`} }
	only := func(status ...int) []int { return status }
	both := []int{200, 200}
	for _, tc := range []struct {
		name, send string
		want       []int    // statuses; the gateway closes behind the last
		saw        []string // by the function
	}{
		{"one request", get + "\r\n", only(200), []string{saysGet}},
		{"two requests", post + "Content-Length: 3\r\n\r\nabc" + smuggled, both, []string{saysABC, saysAdmin}},

		// The length, RFC 9112 section 6.
		{"CL and TE", post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"TE and CL", post + "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"CL and TE identity", post + "Content-Length: 3\r\nTransfer-Encoding: identity\r\n\r\nabc" + smuggled, only(400), nil},
		{"CL twice, the same", post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc" + smuggled, only(400), nil},
		{"CL twice, another", post + "Content-Length: 3\r\nContent-Length: 0\r\n\r\nabc" + smuggled, only(400), nil},
		{"CL a list", post + "Content-Length: 3, 3\r\n\r\nabc" + smuggled, only(400), nil},
		{"CL below zero", post + "Content-Length: -1\r\n\r\n" + smuggled, only(400), nil},
		{"CL with a sign", post + "Content-Length: +3\r\n\r\nabc" + smuggled, only(400), nil},
		{"CL in hexadecimal", post + "Content-Length: 0x3\r\n\r\nabc" + smuggled, only(400), nil},
		{"CL in two words", post + "Content-Length: 1 0\r\n\r\n" + smuggled, only(400), nil},
		{"CL empty", post + "Content-Length: \r\n\r\n" + smuggled, only(400), nil},
		{"CL over 64 bits", post + "Content-Length: 18446744073709551619\r\n\r\nabc" + smuggled, only(400), nil},
		{"CL of 63 bits", post + "Content-Length: 9223372036854775807\r\n\r\nabc" + smuggled, only(413), nil},
		{"CL beyond the body", post + "Content-Length: 30\r\n\r\nabc", only(400), nil},
		{"CL with an underscore is nothing", post + "Content_Length: 3\r\n\r\n" + smuggled, both, []string{saysPost, saysAdmin}},
		{"space before the colon of CL", post + "Content-Length : 3\r\n\r\nabc" + smuggled, only(400), nil},
		{"space before the colon of TE", post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"tab before the colon of TE", post + "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"TE in capitals", post + "TRANSFER-ENCODING: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + smuggled, both, []string{saysABC, saysAdmin}},
		{"TE on 1.0", "POST /a/echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, only(501), nil},
		{"TE chunked, identity", post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + smuggled, only(501), nil},
		{"TE identity, chunked", post + "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n" + smuggled, only(501), nil},
		{"TE identity", post + "Transfer-Encoding: identity\r\n\r\n" + smuggled, only(400), nil},
		{"TE gzip, chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + smuggled, only(501), nil},
		{"TE xchunked", post + "Transfer-Encoding: xchunked\r\nContent-Length: 3\r\n\r\nabc" + smuggled, only(501), nil},
		{"TE in quotes", post + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" + smuggled, only(501), nil},
		{"TE twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, only(501), nil},
		{"TE and another", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n" + smuggled, only(501), nil},
		{"TE behind a vertical tab", post + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"TE folded", post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"GET with a body", get + "Content-Length: 3\r\n\r\nabc" + smuggled, both, []string{`GET /a/echo "abc"`, saysAdmin}},
		{"GET with chunks", get + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + smuggled, both, []string{`GET /a/echo "abc"`, saysAdmin}},
		{"HEAD with a body", "HEAD /a/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + smuggled, both, []string{`GET /a/echo "abc"`, saysAdmin}},

		// Lines, sections 2.2 and 5.
		{"empty lines first", "\r\n\r\n" + smuggled, only(200), []string{saysAdmin}},
		{"LF alone behind a header", post + "X: a\nY: b\r\n\r\n" + smuggled, only(400), nil},
		{"LF alone ends the header", post + "X: a\n\n" + smuggled, only(400), nil},
		{"LF alone throughout", "GET /a/echo HTTP/1.1\nHost: x\n\n" + smuggled, only(400), nil},
		{"CR alone in a value", post + "X: a\rb\r\n\r\n" + smuggled, only(400), nil},
		{"CR CR LF", post + "X: a\r\r\n\r\n" + smuggled, only(400), nil},
		{"folded line", post + "X: y\r\n z\r\n\r\n" + smuggled, only(400), nil},
		{"folded with a colon", post + "X: y\r\n\tContent-Length: 3\r\n\r\n" + smuggled, only(400), nil},
		{"folded first line", "GET /a/echo HTTP/1.1\r\n Host: x\r\n\r\n" + smuggled, only(400), nil},
		{"space in a name", post + "X Y: y\r\n\r\n" + smuggled, only(400), nil},
		{"no name", post + ": y\r\n\r\n" + smuggled, only(400), nil},
		{"no colon", post + "X\r\n\r\n" + smuggled, only(400), nil},
		{"NUL in a value", post + "X: a\x00b\r\n\r\n" + smuggled, only(400), nil},
		{"NUL in a name", post + "X\x00: b\r\n\r\n" + smuggled, only(400), nil},
		{"control character", post + "X: a\x01b\r\n\r\n" + smuggled, only(400), nil},
		{"DEL", post + "X: a\x7fb\r\n\r\n" + smuggled, only(400), nil},

		// Chunks, section 7.1.
		{"chunk extensions", chunks + "3;a=b\r\nabc\r\n0;x\r\n\r\n" + smuggled, both, []string{saysABC, saysAdmin}},
		{"LF in an extension", chunks + "3;a=\nb\r\nabc\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"CR in an extension", chunks + "3;a=\rb\r\nabc\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"space before an extension", chunks + "3 ;a=b\r\nabc\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"0x before a size", chunks + "0x3\r\nabc\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"plus before a size", chunks + "+3\r\nabc\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"minus before a size", chunks + "-3\r\nabc\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"no size", chunks + "\r\nabc\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"a size that is none", chunks + "g\r\nabc\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"size over 64 bits", chunks + "10000000000000003\r\nabc\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"size of 63 bits", chunks + "7fffffffffffffff\r\nabc\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"size of 30 digits", chunks + strings.Repeat("0", 29) + "3\r\nabc\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"LF alone behind a size", chunks + "3\nabc\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"LF alone behind a chunk", chunks + "3\r\nabc\n0\r\n\r\n" + smuggled, only(400), nil},
		{"longer than its size", chunks + "3\r\nabcd\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"shorter than its size", chunks + "9\r\nabc\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"no last chunk", chunks + "3\r\nabc\r\n", nil, nil}, // there is nobody to answer
		{"a trailer is dropped, and the connection", chunks + "3\r\nabc\r\n0\r\nX-Smuggled: y\r\n\r\n" + smuggled, only(200), []string{saysABC}},
		{"LF alone in a trailer", chunks + "3\r\nabc\r\n0\r\nX-Smuggled: a\n\n" + smuggled, only(200), []string{saysABC}},
		{"framing in a trailer", chunks + "3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n" + smuggled, only(400), nil},
		{"a trailer that is none", chunks + "3\r\nabc\r\n0\r\nbad\r\n\r\n" + smuggled, only(400), nil},

		// Sizes.
		{"large body", post + "Content-Length: 1001\r\n\r\n" + strings.Repeat("x", 1001) + smuggled, only(413), nil},
		{"large body in chunks", chunks + strings.Repeat("64\r\n"+strings.Repeat("x", 100)+"\r\n", 11) + "0\r\n\r\n" + smuggled, only(413), nil},
		{"largest body", post + "Content-Length: 1000\r\n\r\n" + strings.Repeat("x", 1000) + smuggled, both, []string{`POST /a/echo "` + strings.Repeat("x", 1000) + `"`, saysAdmin}},
		{"long request line", "GET /a/seg/" + strings.Repeat("a", maxHeader) + " HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, only(431), nil},
		{"long header line", get + "X: " + strings.Repeat("a", maxHeader) + "\r\n\r\n" + smuggled, only(431), nil},
		{"long name", get + strings.Repeat("a", maxHeader) + ": x\r\n\r\n" + smuggled, only(431), nil},
		{"header lines without end", get + strings.Repeat("X: a\r\n", 100_000), only(431), nil},
		{"10,000 headers", get + strings.Repeat("X: a\r\n", 10_000) + "\r\n" + smuggled, only(431), nil},
		{"3,000 small headers", get + strings.Repeat("X:\r\n", 3_000) + "\r\n" + smuggled, only(431), nil},
		{"as many headers as may be", get + strings.Repeat("X: a\r\n", maxLines-1) + "\r\n" + smuggled, both, []string{saysGet, saysAdmin}},
		{"names without end in Connection", get + "Connection: " + strings.Repeat("a,", 2_000) + "\r\n\r\n" + smuggled, only(431), nil},
		{"a request line that never ends", strings.Repeat("a", 3*maxHeader), only(431), nil},

		// First line and Host, sections 3 and 3.2.
		{"two spaces", "GET  /a/echo HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, only(400), nil},
		{"space behind the version", "GET /a/echo HTTP/1.1 \r\nHost: x\r\n\r\n" + smuggled, only(400), nil},
		{"tabs for spaces", "GET\t/a/echo\tHTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, only(400), nil},
		{"HTTP/1.2", "GET /a/echo HTTP/1.2\r\nHost: x\r\n\r\n", only(200), []string{saysGet}},
		{"HTTP/2.0", "GET /a/echo HTTP/2.0\r\nHost: x\r\n\r\n" + smuggled, only(505), nil},
		{"HTTP/0.9", "GET /a/echo HTTP/0.9\r\nHost: x\r\n\r\n" + smuggled, only(505), nil},
		{"preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", only(400), nil},
		{"no version", "GET /a/echo\r\n\r\n" + smuggled, only(400), nil},
		{"method in small letters", "get /a/echo HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, []int{405, 200}, []string{saysAdmin}},
		{"method that is none", "G@T /a/echo HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, only(400), nil},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", only(400), nil},
		{"no Host", "GET /a/echo HTTP/1.1\r\n\r\n" + smuggled, only(400), nil},
		{"no Host in 1.0", "GET /a/echo HTTP/1.0\r\n\r\n", only(200), []string{saysGet}},
		{"empty Host", "GET /a/echo HTTP/1.1\r\nHost:\r\n\r\n" + smuggled, only(400), nil},
		{"two Hosts", get + "Host: y\r\n\r\n" + smuggled, only(400), nil},
		{"list of Hosts", "GET /a/echo HTTP/1.1\r\nHost: x, y\r\n\r\n" + smuggled, only(400), nil},
		{"comma in Host", "GET /a/echo HTTP/1.1\r\nHost: x,y\r\n\r\n", only(400), nil},
		{"quote in Host", "GET /a/echo HTTP/1.1\r\nHost: \"x\r\n\r\n", only(400), nil},
		{"path in Host", "GET /a/echo HTTP/1.1\r\nHost: x/y\r\n\r\n", only(400), nil},
		{"user in Host", "GET /a/echo HTTP/1.1\r\nHost: u@x\r\n\r\n", only(400), nil},
		{"Host without its bracket", "GET /a/echo HTTP/1.1\r\nHost: [::1\r\n\r\n", only(400), nil},
		{"letters for a port", "GET /a/echo HTTP/1.1\r\nHost: x:a\r\n\r\n", only(400), nil},

		// Targets, section 3.2.
		{"absolute-form", "GET http://y/a/echo HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, both, []string{saysGet, saysAdmin}},
		{"absolute-form with a query", "GET HTTPS://y:1/a/echo?a=b HTTP/1.1\r\nHost: x\r\n\r\n", only(200), []string{`GET /a/echo?a=b ""`}},
		{"absolute-form, no host", "GET http:///a/echo HTTP/1.1\r\nHost: x\r\n\r\n", only(400), nil},
		{"absolute-form, a user", "GET http://u@y/a/echo HTTP/1.1\r\nHost: x\r\n\r\n", only(400), nil},
		{"absolute-form, another scheme", "GET ftp://y/a/echo HTTP/1.1\r\nHost: x\r\n\r\n", only(400), nil},
		{"absolute-form, two slashes", "GET http://y//a/echo HTTP/1.1\r\nHost: x\r\n\r\n", only(400), nil},
		{"absolute-form, a backslash", "GET http://y\\@z/a/echo HTTP/1.1\r\nHost: x\r\n\r\n", only(400), nil},
		{"authority-form", "CONNECT y:80 HTTP/1.1\r\nHost: y:80\r\n\r\n" + smuggled, only(501), nil},
		{"authority-form of GET", "GET y:80 HTTP/1.1\r\nHost: y:80\r\n\r\n" + smuggled, only(400), nil},
		{"CONNECT to a path", "CONNECT /a/echo HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, []int{405, 200}, []string{saysAdmin}},
		{"TRACE", "TRACE /a/echo HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, []int{405, 200}, []string{saysAdmin}},
		{"asterisk-form", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, []int{204, 200}, []string{saysAdmin}},
		{"asterisk-form in absolute-form", "OPTIONS http://x HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, []int{204, 200}, []string{saysAdmin}},
		{"asterisk-form of GET", "GET * HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, only(400), nil},
		{"no slash", "GET a/echo HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, only(400), nil},
		{"fragment", "GET /a/echo#f HTTP/1.1\r\nHost: x\r\n\r\n", only(400), nil},
		{"Upgrade is passed over", get + "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n\r\n" + smuggled, both, []string{saysGet, saysAdmin}},

		// Paths.
		{"path like a host", "GET //x/a/echo HTTP/1.1\r\nHost: x\r\n\r\n", only(400), nil},
		{"path like a host in 1.0", "GET //x/a/echo HTTP/1.0\r\n\r\n", only(400), nil},
		{"two slashes", "GET /a//echo HTTP/1.1\r\nHost: x\r\n\r\n", only(404), nil},
		{"dot segments", "GET /a/../a/echo HTTP/1.1\r\nHost: x\r\n\r\n", only(404), nil},
		{"one dot", seg("."), only(404), nil},
		{"two dots", seg(".."), only(404), nil},
		{"three dots", seg("..."), only(200), sawSeg("...")},
		{"two dots encoded", seg("%2e%2E"), only(404), nil},
		{"two dots, one encoded", seg(".%2e"), only(404), nil},
		{"two dots encoded twice", seg("%252e%252e"), only(200), sawSeg("%252e%252e")},
		{"dots and an encoded slash", seg("..%2fadmin"), only(404), nil},
		{"dots between encoded slashes", seg("x%2F..%2Fadmin"), only(404), nil},
		{"dots and an encoded backslash", seg("..%5cadmin"), only(404), nil},
		{"dots and a backslash", seg(`..\admin`), only(404), nil},
		{"dots and a parameter", seg("..;x=y"), only(404), nil},
		{"encoded slash", seg("a%2fb"), only(200), sawSeg("a%2fb")},
		{"encoded slash instead of one", "GET /a%2fecho HTTP/1.1\r\nHost: x\r\n\r\n", only(404), nil},
		{"encoded letter", "GET /%61/ech%6f HTTP/1.1\r\nHost: x\r\n\r\n", only(200), []string{`GET /%61/ech%6f ""`}},
		{"NUL", seg("a\x00b"), only(400), nil},
		{"encoded NUL", seg("a%00b"), only(400), nil},
		{"encoded NUL in the query is text", seg("x?q=%00"), only(200), sawSeg("x?q=%00")},
		{"encoded line end is text", seg("a%0d%0aX:%20y"), only(200), sawSeg("a%0d%0aX:%20y")},
		{"raw UTF-8", seg("\xc3\xa9"), only(400), nil},
		{"raw UTF-8 in the query", seg("x?q=\xc3\xa9"), only(400), nil},
		{"encoded UTF-8", seg("%c3%a9"), only(200), sawSeg("%c3%a9")},
		{"not UTF-8", seg("%ff"), only(400), nil},
		{"not UTF-8 in the query", seg("x?q=%ff"), only(400), nil},
		{"overlong slash", seg("%c0%af"), only(400), nil},
		{"no hexadecimal digits", seg("%zz"), only(400), nil},
		{"no hexadecimal digits in the query", seg("x?q=%zz"), only(400), nil},

		// Expect, RFC 9110 section 10.1.1. The client does not wait here.
		{"100-continue", post + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" + smuggled, []int{100, 200, 200}, []string{saysABC, saysAdmin}},
		{"100-continue, chunked", post + "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + smuggled, []int{100, 200, 200}, []string{saysABC, saysAdmin}},
		{"100-continue of 1.0", "POST /a/echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" + smuggled, only(200), []string{saysABC}},
		{"100-continue, too large", post + "Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n" + smuggled, only(413), nil},
		{"100-continue, no path", "POST /a/nothing HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" + smuggled, only(404), nil},
		{"100-continue, no method", "PUT /a/echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" + smuggled, only(405), nil},
		{"100-continue, another type", "POST /a/json HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" + smuggled, only(415), nil},
		{"100-continue, CL and TE", post + "Expect: 100-continue\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, only(400), nil},
		{"another expectation", post + "Expect: the-worst\r\nContent-Length: 3\r\n\r\nabc" + smuggled, both, []string{saysABC, saysAdmin}},

		// What is the gateway's own.
		{"our own mark", get + "X-Funcatron-Suspicious: f\r\n\r\n" + smuggled, only(400), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v.t = t
			statuses, bodies := v.attack(tc.send)
			if saw := v.calls(); !slices.Equal(statuses, tc.want) || !slices.Equal(saw, tc.saw) {
				t.Errorf("answers %v, want %v; the function saw %q, want %q\n%q", statuses, tc.want, saw, tc.saw, bodies)
			}
			for i, status := range statuses {
				if status >= 400 && !strings.Contains(bodies[i], `"requestId":"`) {
					t.Errorf("%d is answered %s", status, bodies[i])
				}
			}
			if resp := v.do("GET", "/a/echo", ""); resp.StatusCode != 200 || !slices.Equal(v.calls(), []string{saysGet}) {
				t.Errorf("afterwards: %d %s", resp.StatusCode, text(resp))
			}
		})
	}
}

// Text fields of a form travel as a header to the function, so they are bounded, and
// the answer says what to do; files are not.
func TestLargeForms(t *testing.T) {
	v := newVictim(t, nil)
	large := strings.Repeat("x", maxParams)
	part := func(disposition string) string {
		return "--b\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + large + "\r\n--b--\r\n"
	}
	const multipart = "multipart/form-data; boundary=b"
	for _, tc := range []struct {
		name, contentType, body string
		want                    int
		says                    string
	}{
		{"field", "application/x-www-form-urlencoded", "text=" + large, 413, "files of a form"},
		{"part", multipart, part(`name="text"`), 413, "files of a form"},
		{"file", multipart, part(`name="upload"; filename="a"`), 200, ""},
	} {
		resp := v.do("POST", "/a/form", tc.body, "Content-Type", tc.contentType)
		if body := text(resp); resp.StatusCode != tc.want || !strings.Contains(body, tc.says) {
			t.Errorf("%s: %d %.300s, want %d", tc.name, resp.StatusCode, body, tc.want)
		}
	}
}
