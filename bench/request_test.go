package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/bench/report"
	"github.com/funcatron/funcatron/shared/swagger"
)

func TestRequestsAreHTTP(t *testing.T) {
	all := map[string][]byte{"GET /bench/slow/10 0": slowRequest(10)}
	for shape, want := range map[string]string{
		report.Get: "GET /bench/hello 0", report.Post: "POST /bench/people 1024", report.PostBlob: "POST /bench/blob 65536",
	} {
		all[want] = requests[shape]
	}
	for want, raw := range all {
		r := bufio.NewReader(bytes.NewReader(raw))
		req, err := http.ReadRequest(r)
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		body, err := io.ReadAll(req.Body)
		if err != nil || r.Buffered() > 0 {
			t.Errorf("%s: %v, %d bytes follow", want, err, r.Buffered())
		}
		method, path, _ := strings.Cut(want, " ")
		path, size, _ := strings.Cut(path, " ")
		if req.Method != method || req.URL.Path != path || strings.TrimLeft(size, "0123456789") != "" || len(body) != atoi(size) {
			t.Errorf("%s: %s %s with %d bytes", want, req.Method, req.URL.Path, len(body))
		}
		if req.Header.Get("Content-Type") == "application/json" && !json.Valid(body) {
			t.Errorf("%s: the body is no JSON", want)
		}
	}
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = 10*n + int(c-'0')
	}
	return n
}

// The documents of the bench's bundles can be served.
func TestDocuments(t *testing.T) {
	for _, tc := range []struct {
		doc        []byte
		base       string
		operations int
	}{{document("/bench", 32), "/bench", 4}, {manyOperations("/s", 10), "/s", 10}, {manyOperations("/s", 1), "/s", 1}} {
		doc, err := swagger.Parse(tc.doc)
		if err != nil {
			t.Errorf("%s: %v", tc.base, err)
			continue
		}
		if doc.BasePath != tc.base || len(doc.Operations) != tc.operations || len(doc.Runtime.Command) != 1 {
			t.Errorf("%s: base path %s, %d operations, command %v", tc.base, doc.BasePath, len(doc.Operations), doc.Runtime.Command)
		}
	}
}

func TestTargetOf(t *testing.T) {
	for _, tc := range []struct {
		url              string
		network, address string
		line             string
	}{
		{"http://example.org/a%20b?c=d", "tcp", "example.org:80", "GET /a%20b?c=d HTTP/1.1\r\nHost: example.org\r\n"},
		{"http://127.0.0.1:8080", "tcp", "127.0.0.1:8080", "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"},
		{"http://[::1]:81/x", "tcp", "[::1]:81", "GET /x HTTP/1.1\r\nHost: [::1]:81\r\n"},
		{"unix:///run/app.sock:/x/y?z", "unix", "/run/app.sock", "GET /x/y?z HTTP/1.1\r\nHost: localhost\r\n"},
	} {
		target, err := targetOf(&Options{URL: tc.url, Method: "GET", Header: []string{"X: y"}})
		if err != nil {
			t.Errorf("%s: %v", tc.url, err)
			continue
		}
		if target.Network != tc.network || target.Address != tc.address || target.Status != 0 ||
			!strings.HasPrefix(string(target.Requests[0]), tc.line) || !strings.HasSuffix(string(target.Requests[0]), "X: y\r\n\r\n") {
			t.Errorf("%s: %s %s %q", tc.url, target.Network, target.Address, target.Requests[0])
		}
	}
	for _, o := range []Options{
		{URL: "https://example.org/", Method: "GET"}, {URL: "http:///x", Method: "GET"}, {URL: "unix:///run/app.sock", Method: "GET"},
		{URL: "http://x/", Method: "HEAD"}, {URL: "http://x/", Method: "GET /"}, {URL: "http://x/", Method: "GET", Header: []string{"no colon"}},
		{URL: "http://x/", Method: "GET", Header: []string{"A: b\r\nC: d"}}, {URL: "http://x/", Method: "PUT", Body: "/does/not/exist"}, {URL: "http://x:y/", Method: "GET"},
	} {
		if target, err := targetOf(&o); err == nil {
			t.Errorf("%+v: %q", o, target.Requests)
		}
	}
}
