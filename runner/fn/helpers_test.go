package fn_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/funcatron/funcatron/runner/fn"
)

const reqID = "db9d00abf61d9c67f4f0e755e96b8d0e"

// output collects log lines.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// lines decodes the lines, each of which must be a JSON object.
func (o *output) lines(t *testing.T) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(o.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		all = append(all, m)
	}
	return all
}

// server serves ops on a real connection, as the Runner would find it.
func server(t *testing.T, ops fn.Operations, o fn.Options) (*httptest.Server, *output) {
	t.Helper()
	out := &output{}
	o.Output = out
	h, err := fn.NewHandler(ops, o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		srv.Close()
		if err := h.Close(); err != nil {
			t.Errorf("close the handler: %v", err)
		}
	})
	return srv, out
}

// serveOne serves f as operation "op".
func serveOne(t *testing.T, f fn.Func, o fn.Options) (*httptest.Server, *output) {
	t.Helper()
	return server(t, fn.Operations{"op": f}, o)
}

type answer struct {
	status int
	header http.Header
	body   string
	length int64
}

// call sends a request for operation "op"; header lines are "Name: value".
func call(t *testing.T, srv *httptest.Server, method, target, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Funcatron-Operation", "op")
	req.Header.Set("X-Request-Id", reqID)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(data), res.ContentLength}
}

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("%s: not within 10 s", what)
		case <-tick.C:
		}
	}
}

// serveDirectly serves one request for operation "op" without a connection.
func serveDirectly(t *testing.T, h *fn.Handler) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	req.Header.Set("X-Funcatron-Operation", "op")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}
