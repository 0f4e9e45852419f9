package tron_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/bundle"
	"github.com/funcatron/funcatron/shared/wire"
	"github.com/funcatron/funcatron/tron/membertest"
)

func TestAddFunc(t *testing.T) {
	r := start(t, options(t, t.TempDir()))
	data := funcBundle(t, "/sample/go", "1")
	var first string
	for i, contentType := range []string{"application/x-www-form-urlencoded", "application/zip", ""} {
		a := r.do("POST", "/api/v1/add_func", bytes.NewReader(data), "Content-Type", contentType)
		if a.status != 200 {
			t.Fatalf("%q: %d %s", contentType, a.status, a.body)
		}
		for name, want := range map[string]any{
			"accepted": true, "type": "exec", "host": "", "route": "/sample/go", "sha": digest(data),
		} {
			if got := a.field(t, name); got != want {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
		if doc, ok := a.field(t, "swagger").(map[string]any); !ok || doc["basePath"] != "/sample/go" {
			t.Errorf("swagger: %v", a.field(t, "swagger"))
		}
		if _, ok := a.field(t, "warnings").([]any); !ok {
			t.Errorf("warnings: %v", a.field(t, "warnings"))
		}
		if i == 0 {
			first = a.body
		} else if a.body != first {
			t.Errorf("uploaded again it answers\n%s\nnot\n%s", a.body, first)
		}
	}
	fetched := r.get("/api/v1/bundle/" + digest(data))
	if fetched.status != 200 || fetched.body != string(data) || fetched.header.Get("Content-Type") != "application/zip" {
		t.Errorf("bundle: %d %v", fetched.status, fetched.header)
	}
}

// The announcement's samples are not valid in three ways, and must upload.
func TestAddFuncWarns(t *testing.T) {
	r := start(t, options(t, t.TempDir()))
	doc := `{"swagger":"2.0","info":{"title":"T","version":"1"},"basePath":"/w","x-funcatron":{"runtime":"exec","command":["bin/app"]},
		"paths":{"/x":{"get":{"responses":{"200":{"description":"ok","type":"array"},"default":{"description":"e","schema":{"$ref":"#/definitions/Error"}}}}}}}`
	a := r.do("POST", "/api/v1/add_func", bytes.NewReader(zipped(t, "funcatron.json", doc, "bin/app", "#!/bin/sh\n")))
	warnings, _ := a.field(t, "warnings").([]any)
	if a.status != 200 || !strings.Contains(fmt.Sprint(warnings...), "operationId") || !strings.Contains(fmt.Sprint(warnings...), "Error") {
		t.Errorf("%d, warnings %v", a.status, warnings)
	}
	seen := make(map[any]bool)
	for _, w := range warnings {
		if seen[w] {
			t.Errorf("warned of twice: %v", w)
		}
		seen[w] = true
	}
}

func TestAddFuncRefuses(t *testing.T) {
	dir := t.TempDir()
	r := start(t, options(t, dir))
	good := funcBundle(t, "/a", "1")
	for _, tc := range []struct {
		name   string
		body   []byte
		header string
		want   string
	}{
		{"nothing", nil, "", "zip"},
		{"no zip", []byte("this is no zip file"), "", "zip"},
		{"a zip that was cut off", good[:len(good)/2], "", "zip"},
		{"no document", zipped(t, "bin/app", "x"), "", "funcatron.yaml"},
		{"no Swagger", zipped(t, "funcatron.yaml", "a: b", "bin/app", "x"), "", "swagger"},
		{"OpenAPI 3", zipped(t, "funcatron.yaml", "openapi: 3.0.0", "bin/app", "x"), "", "swagger"},
		{"a name that leads outside", zipped(t, "funcatron.json", document("/a", ""), "../../etc/passwd", "x"), "", "etc/passwd"},
		{"a form", append([]byte("--x\r\nContent-Disposition: form-data\r\n\r\n"), "no zip"...), "multipart/form-data; boundary=x", "--data-binary"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := r.do("POST", "/api/v1/add_func", bytes.NewReader(tc.body), "Content-Type", tc.header)
			problems, _ := a.field(t, "errors").([]any)
			if a.status != 400 || a.field(t, "accepted") != false || len(problems) == 0 ||
				!strings.Contains(strings.ToLower(fmt.Sprint(problems...)), tc.want) {
				t.Errorf("%d %s, want 400 about %q", a.status, a.body, tc.want)
			}
		})
	}
	if known := r.get("/api/v1/known_funcs"); known.body != "{\"func-bundles\":[]}\n" {
		t.Errorf("known_funcs: %s", known.body)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "incoming")); err != nil || len(left) > 0 {
		t.Errorf("files left behind: %v, %v", left, err)
	}
}

func TestAddFuncTooLarge(t *testing.T) {
	dir := t.TempDir()
	r := start(t, options(t, dir))
	// Said beforehand: not a byte is taken.
	a := r.do("POST", "/api/v1/add_func", io.LimitReader(zeros{}, 0))
	if a.status != 400 {
		t.Errorf("an empty body: %d", a.status)
	}
	conn := dial(t, r)
	send(t, conn, "POST /api/v1/add_func HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", bundle.MaxSize+1)
	if status := statusOf(t, conn); status != 413 {
		t.Errorf("declared too large: %d, want 413", status)
	}
	// Found out on the way.
	req, err := http.NewRequest("POST", r.url+"/api/v1/add_func", io.LimitReader(zeros{}, bundle.MaxSize+1))
	if err != nil {
		t.Fatal(err)
	}
	a, err = try(req)
	if err != nil {
		t.Fatal(err)
	}
	if a.status != 413 || a.field(t, "accepted") != false {
		t.Errorf("too large: %d %s, want 413", a.status, a.body)
	}
	eventually(t, "the part that arrived is gone", func() bool {
		left, err := os.ReadDir(filepath.Join(dir, "incoming"))
		return err == nil && len(left) == 0
	})
}

// zeros is a large body.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestAddFuncCutOff(t *testing.T) {
	dir := t.TempDir()
	r := start(t, options(t, dir))
	data := funcBundle(t, "/a", "1")
	conn := dial(t, r)
	send(t, conn, "POST /api/v1/add_func HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s", len(data)+1, data)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if status := statusOf(t, conn); status != 400 {
		t.Errorf("an upload without its last byte: %d, want 400", status)
	}
	if known := r.get("/api/v1/known_funcs"); strings.Contains(known.body, digest(data)) {
		t.Errorf("it was kept: %s", known.body)
	}
	left, err := os.ReadDir(filepath.Join(dir, "incoming"))
	if err != nil || len(left) > 0 {
		t.Errorf("files left behind: %v, %v", left, err)
	}
}

func dial(t *testing.T, r *rig) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func send(t *testing.T, w io.Writer, format string, args ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(w, format, args...); err != nil {
		t.Fatal(err)
	}
}

func statusOf(t *testing.T, conn net.Conn) int {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode
}

func TestEnableAndDisable(t *testing.T) {
	broken, v1, v2 := funcBundle(t, "/a", "broken"), funcBundle(t, "/a", "1"), funcBundle(t, "/a", "2")
	one, two := digest(v1), digest(v2)
	r := start(t, options(t, t.TempDir(), broken, v1, v2))
	g := r.gateway("g")
	run := r.runner("r", func(m *membertest.Runner) {
		m.Start = func(_ context.Context, d wire.Deployment) *membertest.Failure {
			if d.Sha == digest(broken) {
				return &membertest.Failure{Reason: "exit status 2", Logs: []string{"panic: no database", "goroutine 1"}}
			}
			return nil
		}
	})
	a := r.enable(one, `{"password":"secret"}`)
	first, _ := a.field(t, "deployment").(string)
	if a.status != 200 || a.field(t, "success") != true || a.field(t, "state") != "live" || first == "" || a.field(t, "msg") == "" {
		t.Fatalf("enable: %d %s", a.status, a.body)
	}
	if g.To("/a") != first {
		t.Errorf("the gateway routes to %q", g.To("/a"))
	}
	if m := r.routed("/a"); m["deployment"] != first || m["sha"] != one || m["queue"] != "funcatron.req."+first ||
		m["state"] != "live" || fmt.Sprint(m["props"]) != "map[password:***]" {
		t.Errorf("routes: %v", m)
	}

	a = r.enable(one, `{ "password" : "secret" }`) // the very same
	if a.status != 200 || a.field(t, "deployment") != first || a.field(t, "state") != "live" {
		t.Errorf("enable again: %d %s", a.status, a.body)
	}
	a = r.enable(two, `{}`) // replace
	if a.status != 200 || a.field(t, "replaced") != one || g.To("/a") != a.field(t, "deployment") {
		t.Errorf("replace: %d %s", a.status, a.body)
	}
	a = r.enable(digest(broken), `{}`)
	if a.status != 422 || a.field(t, "success") != false || a.field(t, "error") != "exit status 2" ||
		fmt.Sprint(a.field(t, "logs")) != "[panic: no database goroutine 1]" {
		t.Errorf("enable what does not start: %d %s", a.status, a.body)
	}
	if m := r.routed("/a"); m["sha"] != two || m["state"] != "live" {
		t.Errorf("what ran before: %v", m)
	}
	a = r.enable(one, `null`) // rollback
	if a.status != 200 || r.routed("/a")["sha"] != one {
		t.Errorf("rollback: %d %s", a.status, a.body)
	}
	eventually(t, "only the last one runs", func() bool { return len(run.States()) == 1 })

	for _, msg := range []string{"Disabled /a", "was not enabled"} {
		a = r.post("/api/v1/disable", fmt.Sprintf(`{"sha":%q}`, one))
		if a.status != 200 || a.field(t, "success") != true || a.field(t, "msg") != msg {
			t.Errorf("disable: %d %s, want %q", a.status, a.body, msg)
		}
		if r.routed("/a") != nil || g.To("/a") != "" {
			t.Errorf("still routed to: %v", r.routed("/a"))
		}
	}
	eventually(t, "nothing runs", func() bool { return len(run.States()) == 0 })
}

func TestEnablePending(t *testing.T) {
	data := funcBundle(t, "/a", "1")
	r := start(t, options(t, t.TempDir(), data))
	sha := digest(data)
	a := r.post("/api/v1/enable", fmt.Sprintf(`{"sha":%q,"colour":"red"}`, strings.ToUpper(sha)))
	if a.status != 200 || a.field(t, "state") != "pending" || !strings.Contains(fmt.Sprint(a.field(t, "warnings")), "colour") {
		t.Errorf("enable without a runner: %d %s", a.status, a.body)
	}
	r.runner("r")
	eventually(t, "it is live once there is one", func() bool { return r.routed("/a")["state"] == "live" })
}

// A client that hangs up does not stop what it began.
func TestEnableWithoutItsClient(t *testing.T) {
	data := funcBundle(t, "/a", "1")
	r := start(t, options(t, t.TempDir(), data))
	begun, hold := make(chan struct{}, 1), make(chan struct{})
	r.runner("r", func(m *membertest.Runner) {
		m.Start = func(context.Context, wire.Deployment) *membertest.Failure {
			begun <- struct{}{}
			<-hold
			return nil
		}
	})
	sha := digest(data)
	ctx, hangUp := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "POST", r.url+"/api/v1/enable", strings.NewReader(fmt.Sprintf(`{"sha":%q}`, sha)))
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := try(req)
		answered <- err
	}()
	<-begun
	hangUp()
	if err := <-answered; err == nil {
		t.Fatal("the client got an answer")
	}
	close(hold)
	eventually(t, "it is enabled all the same", func() bool { return r.routed("/a")["state"] == "live" })
}

func TestOrderRefused(t *testing.T) {
	data := funcBundle(t, "/a", "1")
	r := start(t, options(t, t.TempDir(), data))
	sha := digest(data)
	unknown := strings.Repeat("0", 64)
	for _, tc := range []struct {
		name, path, body string
		status           int
		want             string
	}{
		{"nothing", "enable", ``, 400, "empty"},
		{"no JSON", "enable", `{sha}`, 400, "JSON"},
		{"no object", "enable", `["x"]`, 400, "JSON object"},
		{"null", "enable", `null`, 400, "JSON object"},
		{"two objects", "enable", `{"sha":"` + sha + `"}{}`, 400, "JSON"},
		{"no UTF-8", "enable", "{\"sha\":\"\xff\"}", 400, "UTF-8"},
		{"no sha", "enable", `{}`, 400, `"sha" is missing`},
		{"sha that is none", "enable", `{"sha":"xyz"}`, 400, "64 hex digits"},
		{"sha that is no string", "enable", `{"sha":42}`, 400, "no string"},
		{"sha with a path", "enable", `{"sha":"../../` + sha[6:] + `"}`, 400, "64 hex digits"},
		{"props that are a list", "enable", `{"sha":"` + sha + `","props":[1]}`, 400, "props"},
		{"props that are a string", "enable", `{"sha":"` + sha + `","props":"{}"}`, 400, "props"},
		{"too large", "enable", `{"sha":"` + sha + `","props":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`, 413, "larger"},
		{"unknown sha", "enable", `{"sha":"` + unknown + `"}`, 404, "no such bundle"},
		{"nothing", "disable", ``, 400, "empty"},
		{"no sha", "disable", `{"props":{}}`, 400, `"sha" is missing`},
		{"unknown sha", "disable", `{"sha":"` + unknown + `"}`, 404, "no such bundle"},
	} {
		t.Run(tc.path+" with "+tc.name, func(t *testing.T) {
			a := r.post("/api/v1/"+tc.path, tc.body)
			reason, _ := a.field(t, "error").(string)
			if a.status != tc.status || a.field(t, "success") != false || !strings.Contains(reason, tc.want) {
				t.Errorf("%d %s, want %d about %q", a.status, a.body, tc.status, tc.want)
			}
		})
	}
	if m := r.routed("/a"); m != nil {
		t.Errorf("something was enabled: %v", m)
	}
}

func TestKnownFuncs(t *testing.T) {
	dir := t.TempDir()
	data, later := funcBundle(t, "/a", "1"), funcBundle(t, "/b", "2")
	sha, other := digest(data), digest(later)
	r := start(t, options(t, dir, data, later))
	r.enable(sha, `{}`)
	if err := os.Remove(filepath.Join(dir, "bundles", other+".zip")); err != nil {
		t.Fatal(err)
	}
	var known struct {
		Bundles []map[string]any `json:"func-bundles"`
	}
	a := r.get("/api/v1/known_funcs")
	if err := json.Unmarshal([]byte(a.body), &known); err != nil || len(known.Bundles) != 2 {
		t.Fatalf("%v in %s", err, a.body)
	}
	b := known.Bundles[1] // the latest is first
	for name, want := range map[string]any{
		"sha": sha, "host": "", "path": "/a", "type": "exec", "size": float64(len(data)), "title": "T1",
		"git": "b1d92b7430fcc6ed05c38c22d57d2163f6e8bb88", "enabled": true, "state": "pending",
	} {
		if b[name] != want {
			t.Errorf("%s: %v, want %v", name, b[name], want)
		}
	}
	if at, err := time.Parse(time.RFC3339, b["uploaded"].(string)); err != nil || time.Since(at) > time.Minute {
		t.Errorf("uploaded: %v", b["uploaded"])
	}
	if b := known.Bundles[0]; b["sha"] != other || b["enabled"] != false || b["missing"] != true {
		t.Errorf("the other: %v", b)
	}
	if a := r.enable(other, `{}`); a.status != 404 || !strings.Contains(a.body, "upload it again") {
		t.Errorf("enable what is missing: %d %s", a.status, a.body)
	}
}

func TestRoutesLongestFirst(t *testing.T) {
	var known [][]byte
	for _, p := range []string{"/a", "/a/b/c", "/zz", "/a/b", "/"} {
		known = append(known, funcBundle(t, p, ""))
	}
	r := start(t, options(t, t.TempDir(), known...))
	for _, data := range known {
		r.enable(digest(data), `{"k":{"deep":"secret"},"n":5}`)
	}
	a := r.get("/api/v1/routes")
	var list []struct {
		Path  string
		Props map[string]string
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, m := range list {
		paths = append(paths, m.Path)
	}
	if got := strings.Join(paths, " "); got != "/a/b/c /a/b /zz /a /" {
		t.Errorf("order: %s", got)
	}
	if strings.Contains(a.body, "secret") || list[0].Props["k"] != "***" || list[0].Props["n"] != "***" {
		t.Errorf("props: %s", a.body)
	}
}

func TestStats(t *testing.T) {
	data := funcBundle(t, "/a", "1")
	r := start(t, options(t, t.TempDir(), data))
	r.runner("r")
	e := r.enable(digest(data), `{}`)
	id, _ := e.field(t, "deployment").(string)
	for i := range 2 {
		name := fmt.Sprintf("g%d", i)
		g := membertest.NewGateway(r.broker, "for_tron", name, "http://"+name+".test:8080")
		g.Stats = []wire.OperationStats{
			{Deployment: id, Operation: "GET /x", Count: 10, ByStatus: map[int]uint64{200: 9, 500: 1}, TotalMs: 30, MaxMs: float64(5 + i)},
			{Deployment: "of another life", Operation: "GET /x", Count: 99},
		}
		background(t, g.Run)
		r.connected(name)
	}
	a := r.get("/api/v1/stats")
	var s struct {
		Network struct {
			Tron struct {
				URL    string
				Epoch  string
				Broker string
			}
			Gateways, Runners []map[string]any
		}
		RouteMap    []map[string]any `json:"route-map"`
		Deployments []struct {
			Deployment, State, Path string
			Depth                   int `json:"queue-depth"`
			Consumers               int `json:"queue-consumers"`
			Count                   uint64
			Runners                 []struct{ Runner, State string }
			Operations              []struct {
				Operation string
				Count     uint64
				ByStatus  map[string]uint64 `json:"by-status"`
				MeanMs    float64           `json:"mean-ms"`
				MaxMs     float64           `json:"max-ms"`
			}
		}
	}
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		t.Fatal(err)
	}
	if s.Network.Tron.URL != r.url || s.Network.Tron.Epoch == "" || s.Network.Tron.Broker != "ok" {
		t.Errorf("tron: %+v", s.Network.Tron)
	}
	if len(s.Network.Gateways) != 2 || len(s.Network.Runners) != 1 || s.Network.Runners[0]["name"] != "r" || len(s.RouteMap) != 1 {
		t.Errorf("network: %s", a.body)
	}
	if len(s.Deployments) != 1 {
		t.Fatalf("deployments: %s", a.body)
	}
	d := s.Deployments[0]
	if d.Deployment != id || d.State != "live" || d.Path != "/a" || d.Depth != 0 || d.Consumers != 1 || d.Count != 20 ||
		len(d.Runners) != 1 || d.Runners[0].Runner != "r" || d.Runners[0].State != "live" {
		t.Errorf("deployment: %+v", d)
	}
	if len(d.Operations) != 1 {
		t.Fatalf("operations: %+v", d.Operations)
	}
	if o := d.Operations[0]; o.Operation != "GET /x" || o.Count != 20 || o.ByStatus["200"] != 18 || o.ByStatus["500"] != 2 || o.MeanMs != 3 || o.MaxMs != 6 {
		t.Errorf("operation: %+v", o)
	}
}

func TestBundle(t *testing.T) {
	dir := t.TempDir()
	r := start(t, options(t, dir))
	data := funcBundle(t, "/a", "1")
	sha := r.upload(data)
	for _, tc := range []struct {
		name, method, sha string
		header            []string
		status            int
		body              string
	}{
		{"all of it", "GET", sha, nil, 200, string(data)},
		{"its header", "HEAD", sha, nil, 200, ""},
		{"a part of it", "GET", sha, []string{"Range", "bytes=0-3"}, 206, string(data[:4])},
		{"what is known already", "GET", sha, []string{"If-None-Match", `"` + sha + `"`}, 304, ""},
	} {
		a := r.do(tc.method, "/api/v1/bundle/"+tc.sha, nil, tc.header...)
		if a.status != tc.status || a.body != tc.body || a.header.Get("ETag") != `"`+sha+`"` {
			t.Errorf("%s: %d, %d bytes, %v", tc.name, a.status, len(a.body), a.header)
		}
	}
	for path, want := range map[string]int{
		strings.Repeat("0", 64): 404, "x": 400, strings.ToUpper(sha): 400, "..%2f..%2ftron.db": 400,
	} {
		if a := r.get("/api/v1/bundle/" + path); a.status != want {
			t.Errorf("bundle %s: %d, want %d", path, a.status, want)
		}
	}
	// Damaged on disk: found out, and mended by the next upload.
	file := filepath.Join(dir, "bundles", sha+".zip")
	if err := os.WriteFile(file, data[:len(data)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if a := r.get("/api/v1/bundle/" + sha); a.status != 500 || !strings.Contains(a.body, "upload it again") {
		t.Errorf("a damaged bundle: %d %s", a.status, a.body)
	}
	r.upload(data)
	if a := r.get("/api/v1/bundle/" + sha); a.status != 200 || a.body != string(data) {
		t.Errorf("uploaded again: %d", a.status)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	r := start(t, options(t, t.TempDir()))
	for _, tc := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/api/v1/add_func", 405, "POST"},
		{"HEAD", "/api/v1/enable", 405, "POST"},
		{"PUT", "/api/v1/disable", 405, "POST"},
		{"POST", "/api/v1/routes", 405, "GET, HEAD"},
		{"DELETE", "/api/v1/bundle/" + strings.Repeat("0", 64), 405, "GET, HEAD"},
		{"OPTIONS", "/healthz", 405, "GET, HEAD"},
		{"POST", "/", 405, "GET, HEAD"},
		{"GET", "/api/v1", 404, ""},
		{"GET", "/api/v1/bundle/", 404, ""},
		{"GET", "/index.html", 404, ""},
		{"POST", "/api/v2/enable", 404, ""},
		{"GET", "/debug/pprof/", 404, ""},
		{"HEAD", "/api/v1/known_funcs", 200, ""},
		{"HEAD", "/", 200, ""},
	} {
		a := r.do(tc.method, tc.path, nil)
		if a.status != tc.status || a.header.Get("Allow") != tc.allow {
			t.Errorf("%s %s: %d, Allow %q, want %d, %q", tc.method, tc.path, a.status, a.header.Get("Allow"), tc.status, tc.allow)
		}
		if tc.status >= 400 && tc.method != "HEAD" && (a.header.Get("Content-Type") != "application/json" || a.field(t, "success") != false) {
			t.Errorf("%s %s: %v %s, want JSON", tc.method, tc.path, a.header, a.body)
		}
	}
}

func TestHealthAndMetrics(t *testing.T) {
	r := start(t, options(t, t.TempDir()))
	r.gateway("g")
	r.runner("r")
	r.enable(r.upload(funcBundle(t, "/a", "1")), `{}`)
	for _, path := range []string{"/healthz", "/readyz"} {
		if a := r.get(path); a.status != 200 || a.body != "ok\n" {
			t.Errorf("%s: %d %q", path, a.status, a.body)
		}
	}
	a := r.get("/metrics")
	for _, line := range []string{
		`funcatron_tron_members{kind="gateway"} 1`, `funcatron_tron_members{kind="runner"} 1`,
		`funcatron_tron_deployments{state="live"} 1`, `funcatron_tron_deployments{state="pending"} 0`,
		`funcatron_tron_uploads_total{result="accepted"} 1`, `funcatron_tron_enables_total{result="live"} 1`,
		`funcatron_tron_enables_total{result="refused"} 0`, `funcatron_tron_enable_duration_seconds_count 1`,
		`funcatron_tron_api_requests_total{route="add_func",status="2xx"} 1`, `funcatron_tron_route_version 1`,
		`process_resident_memory_bytes`,
	} {
		if !strings.Contains(a.body, line) {
			t.Errorf("no line %q in\n%s", line, a.body)
		}
	}
}

func TestConcurrentUploads(t *testing.T) {
	r := start(t, options(t, t.TempDir()))
	same := funcBundle(t, "/same", "")
	var wg sync.WaitGroup
	for i := range 6 {
		data := same
		if i%2 == 0 {
			data = funcBundle(t, fmt.Sprintf("/b%d", i), "")
		}
		wg.Go(func() { r.upload(data) })
	}
	wg.Wait()
	if a := r.get("/api/v1/known_funcs"); strings.Count(a.body, `"sha"`) != 4 {
		t.Errorf("known: %s", a.body)
	}
}
