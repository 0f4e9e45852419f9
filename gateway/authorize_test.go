package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/memory"
	"github.com/funcatron/funcatron/shared/wire"
)

const securedDoc = `
swagger: "2.0"
info: {title: Test, version: "1"}
basePath: /t
consumes: [application/json]
produces: [application/json]
x-funcatron: {runtime: exec, command: [x], timeout: 5s, concurrency: 64}
securityDefinitions:
  b: {type: basic}
  k: {type: apiKey, in: query, name: key}
security: [{b: []}]
paths:
  /plain:
    get: {operationId: plain, responses: {"200": {description: ok}}}
    post:
      operationId: data
      parameters:
        - {name: n, in: query, type: integer, required: true}
        - {name: d, in: body, required: true, schema: {type: object}}
      responses: {"200": {description: ok}}
  /key:
    get: {operationId: key, security: [{k: []}], responses: {"200": {description: ok}}}
    options: {operationId: preflight, responses: {"200": {description: ok}}}
  /open:
    get: {operationId: open, security: [], responses: {"200": {description: ok}}}
`

const alice = "Basic YWxpY2U6b3BlbiBzZXNhbWU=" // open sesame

// securedRow is a row to the document n that alice, and the key "a+b", may use.
func securedRow(id string, n int) wire.RouteItem {
	item := row(id, n)
	item.Security = map[string]wire.Verifier{}
	for name, v := range map[string]struct{ kind, secret string }{"b": {"basic", "alice:open sesame"}, "k": {"apiKey", "a+b"}} {
		verifier := wire.Verifier{Type: v.kind, Salt: wire.NewSalt()}
		sum := verifier.Digest([]byte(v.secret))
		verifier.Digests = [][]byte{sum[:]}
		item.Security[name] = verifier
	}
	return item
}

// securedRig is a gateway whose one route is to securedDoc.
func securedRig(t *testing.T, item wire.RouteItem, change func(*Options)) *rig {
	t.Helper()
	r := newRig(t, change)
	r.tron.mu.Lock()
	r.tron.docs[sha(2)] = document(t, securedDoc)
	r.tron.mu.Unlock()
	r.tron.change(t, item)
	return r
}

func TestSecuredOperations(t *testing.T) {
	r := securedRig(t, securedRow("d2", 2), nil)
	r.serve("req.d2", mirror)
	const challenge = `Basic realm="/t", charset="UTF-8"`
	for _, tc := range []struct {
		method, path string
		header       []string
		status       int
		want         string // in the body
		challenge    string
	}{
		{"GET", "/t/open", nil, 200, "GET /t/open", ""},
		{"GET", "/t/plain", nil, 401, "The operation requires credentials.", challenge},
		{"HEAD", "/t/plain", nil, 401, "", challenge},
		{"GET", "/t/plain", []string{"Authorization", "Basic YTpi"}, 401, "The credentials are not valid.", challenge},
		{"GET", "/t/plain", []string{"Authorization", alice, "Authorization", "Basic YTpi"}, 401, "not valid", challenge},
		{"GET", "/t/plain", []string{"Authorization", alice}, 200, "Authorization: " + alice, ""}, // and the function gets it
		{"HEAD", "/t/plain", []string{"Authorization", alice}, 200, "", ""},
		{"GET", "/t/key?key=a%2Bb&x=y", nil, 200, "/t/key?key=a%2Bb&x=y", ""},
		{"GET", "/t/key?key=a+b", nil, 401, "", `ApiKey realm="/t", in="query", name="key"`},
		{"GET", "/t/key", []string{"Authorization", alice}, 401, "", `ApiKey realm="/t", in="query", name="key"`},

		// Who is not let in learns nothing of what else is wrong.
		{"POST", "/t/plain?n=x", []string{"Content-Type", "text/plain"}, 401, "requires credentials", challenge},
		{"POST", "/t/plain?n=x", []string{"Authorization", alice, "Content-Type", "text/plain"}, 415, "", ""},
		{"POST", "/t/plain?n=x", []string{"Authorization", alice, "Content-Type", "application/json"}, 400, `"name":"n"`, ""},
		{"GET", "/t/plain", []string{"Accept", "image/png"}, 401, "", challenge},
		{"GET", "/t/plain", []string{"Accept", "image/png", "Authorization", alice}, 406, "", ""},

		// What is not an operation is answered as ever.
		{"OPTIONS", "/t/plain", nil, 204, "", ""},
		{"DELETE", "/t/plain", nil, 405, "", ""},
		{"GET", "/t/nothing", nil, 404, "", ""},
		{"OPTIONS", "/t/key", nil, 401, "", challenge}, // this one is
		{"OPTIONS", "/t/key", []string{"Authorization", alice}, 200, "OPTIONS", ""},
	} {
		body := ""
		if tc.method == "POST" {
			body = "[]"
		}
		resp := r.do(tc.method, tc.path, body, tc.header...)
		got := text(resp)
		if resp.StatusCode != tc.status || !strings.Contains(got, tc.want) || strings.Join(resp.Header.Values("WWW-Authenticate"), ", ") != tc.challenge {
			t.Errorf("%s %s %q: %d %s\n%q; want %d, %q", tc.method, tc.path, tc.header, resp.StatusCode, got, resp.Header["Www-Authenticate"], tc.status, tc.challenge)
		}
		if tc.status == 401 && tc.method != "HEAD" {
			var p problem
			if err := json.Unmarshal([]byte(got), &p); err != nil || p.Status != 401 || p.Title != "Unauthorized" || p.RequestID != resp.Header.Get("X-Request-Id") || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s: %v %+v", tc.method, tc.path, err, p)
			}
		}
	}
	m := r.metrics()
	if !strings.Contains(m, `operation="plain",method="GET",status="401"`) {
		t.Errorf("metrics do not count who was not let in:\n%s", m)
	}
}

// metrics is what the admin port has to say.
func (r *rig) metrics() string { return r.admin("/metrics") }

func (r *rig) admin(path string) string {
	r.t.Helper()
	resp, err := http.Get("http://" + r.g.AdminAddr().String() + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// A client that waits for leave to send its body does not get it without
// credentials.
func TestSecuredExpect(t *testing.T) {
	r := securedRig(t, securedRow("d2", 2), nil)
	r.serve("req.d2", mirror)
	const post = "POST /t/plain?n=1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
	br, _ := r.raw(post + "\r\n")
	if status, body := readResponse(t, br); status != 401 || !strings.Contains(body, "requires credentials") {
		t.Errorf("without credentials: %d %s", status, body)
	}
	br, _ = r.raw(post + "Authorization: " + alice + "\r\n\r\n{}")
	if line, err := br.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Errorf("with credentials: %q, %v", line, err)
	}
}

// A route that does not say how to check credentials, as one of an older Tron's or
// in an older state file, serves what is open and nothing else.
func TestSecuredWithoutVerifiers(t *testing.T) {
	for name, item := range map[string]wire.RouteItem{
		"none": row("d2", 2),
		"of others": func() wire.RouteItem {
			i := securedRow("d2", 2)
			i.Security["c"] = i.Security["b"]
			delete(i.Security, "b")
			delete(i.Security, "k")
			return i
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			var logged lockedBuffer
			r := securedRig(t, item, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&logged, nil)) })
			ran := make(chan string, 10)
			r.serve("req.d2", func(c *dispatch.Call) { ran <- string(c.URI); ok(c) })
			for _, path := range []string{"/t/plain", "/t/key?key=a%2Bb"} {
				resp := r.do("GET", path, "", "Authorization", alice)
				if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
					t.Errorf("GET %s: %d %s, want 503", path, resp.StatusCode, text(resp))
				}
			}
			if resp := r.do("GET", "/t/open", ""); resp.StatusCode != 200 {
				t.Errorf("what is open: %d", resp.StatusCode)
			}
			if first := <-ran; first != "/t/open" || len(ran) > 0 {
				t.Errorf("the function ran for %s", first)
			}
			if !strings.Contains(logged.String(), "closed") || !strings.Contains(logged.String(), `path=/t`) {
				t.Errorf("logged: %s", logged.String())
			}
		})
	}
}

// lockedBuffer is a log's end.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// What a gateway saved protects as well as what it was told, and holds no secret.
func TestSecuredFromSavedState(t *testing.T) {
	var saved Options
	first := securedRig(t, securedRow("d2", 2), func(o *Options) { saved = *o })
	if resp := first.do("GET", "/t/plain", ""); resp.StatusCode != 401 {
		t.Fatalf("%d", resp.StatusCode)
	}
	o := saved
	b := memory.New()
	o.Broker, o.StateDir = b, filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(o.StateDir, os.DirFS(saved.StateDir)); err != nil {
		t.Fatal(err)
	}
	second := &rig{t: t, broker: b}
	var err error
	if second.g, err = New(o); err != nil {
		t.Fatal(err)
	}
	second.url = "http://" + second.g.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := second.g.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); wg.Wait() })
	second.serve("req.d2", ok)
	until(t, "the open operation is served", func() bool { return second.do("GET", "/t/open", "").StatusCode == 200 })
	for _, tc := range []struct {
		header []string
		want   int
	}{{nil, 401}, {[]string{"Authorization", "Basic YTpi"}, 401}, {[]string{"Authorization", alice}, 200}} {
		if resp := second.do("GET", "/t/plain", "", tc.header...); resp.StatusCode != tc.want {
			t.Errorf("%q: %d, want %d", tc.header, resp.StatusCode, tc.want)
		}
	}

	table, err := os.ReadFile(filepath.Join(o.StateDir, "routes.json"))
	if err != nil || !bytes.Contains(table, []byte(`"digests"`)) {
		t.Fatalf("saved table: %v %s", err, table)
	}
	for _, secret := range []string{"sesame", "alice", "a+b", base64.StdEncoding.EncodeToString([]byte("a+b"))} {
		if bytes.Contains(table, []byte(secret)) {
			t.Errorf("%q is in the saved table: %s", secret, table)
		}
	}
	if info, err := os.Stat(filepath.Join(saved.StateDir, "routes.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("saved table: %v, %v; want mode 0600", info, err)
	}
	for _, listing := range []string{first.admin("/__routes"), first.metrics()} {
		if strings.Contains(listing, "digest") || strings.Contains(listing, "salt") {
			t.Errorf("verifiers are shown: %s", listing)
		}
	}
}

// A request whose open operation is replaced by one that requires credentials while
// it is under way has to show them.
func TestReplacedBySecured(t *testing.T) {
	r := newRig(t, nil)
	r.tron.mu.Lock()
	r.tron.docs[sha(2)] = document(t, securedDoc)
	r.tron.mu.Unlock()
	ran := make(chan struct{}, 10)
	r.serve("req.d2", func(c *dispatch.Call) { ran <- struct{}{}; ok(c) })
	for _, tc := range []struct {
		authorization string
		want          int
	}{{"Basic YTpi", 401}, {alice, 200}} {
		r.tron.change(t, row("d1", 1)) // whose queue nobody serves
		var rc fasthttp.RequestCtx
		rc.Request.SetRequestURI("/t/plain")
		rc.Request.Header.SetHost("x")
		rc.Request.Header.Set("Authorization", tc.authorization)
		x := r.g.begin(&rc)
		if !x.admit() || !x.check(nil) {
			t.Fatalf("before it is replaced: %d", rc.Response.StatusCode())
		}
		r.tron.change(t, securedRow("d2", 2))
		x.call(time.Now())
		x.done(time.Now())
		if got := rc.Response.StatusCode(); got != tc.want {
			t.Errorf("Authorization %q: %d, want %d", tc.authorization, got, tc.want)
		}
		if tc.want == 401 && len(ran) > 0 {
			t.Error("the function ran")
		}
	}
}

// The same table again keeps its deployments, and the tokens they remember.
func TestSecuredRowsAreTheSame(t *testing.T) {
	item := securedRow("d2", 2)
	r := securedRig(t, item, nil)
	before := r.g.routes.current.Load().deployments[0]
	var same wire.RouteItem // as it comes off the bus
	b, err := json.Marshal(item)
	if err == nil {
		err = json.Unmarshal(b, &same)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.tron.change(t, same)
	if after := r.g.routes.current.Load().deployments[0]; after != before {
		t.Error("a row that did not change made another deployment")
	}
	r.tron.change(t, securedRow("d2", 2))
	if after := r.g.routes.current.Load().deployments[0]; after == before {
		t.Error("a row with another salt left the deployment as it was")
	}
}
