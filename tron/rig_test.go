package tron_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/memory"
	"github.com/funcatron/funcatron/shared/bundle"
	"github.com/funcatron/funcatron/tron"
	"github.com/funcatron/funcatron/tron/membertest"
	"github.com/funcatron/funcatron/tron/store"
)

// rig is a Tron that runs, on a broker in memory.
type rig struct {
	t      testing.TB
	url    string
	broker dispatch.Broker
	logs   *journal
	token  string // sent with each request, where it is not ""
	tron   *tron.Tron
	stop   func() // may be called more than once
}

// journal keeps log lines.
type journal struct {
	mu sync.Mutex
	b  strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// options are for a Tron that knows these bundles already: its upload takes a
// second under -race, nearly all of it go-openapi's full validation.
func options(t testing.TB, dir string, known ...[]byte) tron.Options {
	t.Helper()
	if len(known) > 0 {
		seed(t, dir, known)
	}
	o := tron.DefaultOptions()
	o.Broker, o.Listen, o.StateDir = memory.New(), "127.0.0.1:0", dir
	o.AckTimeout = time.Second
	return o
}

func seed(t testing.TB, dir string, known [][]byte) {
	t.Helper()
	st, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for i, data := range known {
		file, err := st.Receive(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		b, err := bundle.Open(file)
		if err == nil {
			uploaded := time.Now().Add(time.Duration(i) * time.Microsecond).UTC()
			err = st.Adopt(file, store.RecordOf(b, uploaded, nil), b.Document.JSON)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

func start(t testing.TB, o tron.Options) *rig {
	t.Helper()
	r := &rig{t: t, broker: o.Broker, token: o.AdminToken, logs: &journal{}}
	o.Log = slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	tr, err := tron.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.tron, r.url = tr, "http://"+tr.Addr().String()
	r.stop = background(t, tr.Run)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return r
}

// background runs f until the test ends, or until stop.
func background(t testing.TB, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (r *rig) gateway(name string) *membertest.Gateway {
	g := membertest.NewGateway(r.broker, "for_tron", name, "http://"+name+".test:8080")
	background(r.t, g.Run)
	r.connected(name)
	return g
}

// runner starts a runner that does with a deployment what start says; nil starts it.
func (r *rig) runner(name string, prepare ...func(*membertest.Runner)) *membertest.Runner {
	m := membertest.NewRunner(r.broker, "for_tron", name)
	for _, f := range prepare {
		f(m)
	}
	background(r.t, m.Run)
	r.connected(name)
	return m
}

func (r *rig) connected(name string) {
	r.t.Helper()
	eventually(r.t, name+" is connected", func() bool {
		return strings.Contains(r.get("/api/v1/stats").body, `"name":"`+name+`"`)
	})
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		<-tick.C
	}
}

// reply is an HTTP response.
type reply struct {
	status int
	header http.Header
	body   string
}

func (a reply) field(t testing.TB, name string) any {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(a.body), &fields); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
	return fields[name]
}

func (r *rig) do(method, path string, body io.Reader, header ...string) reply {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else if header[i+1] == "" {
			req.Header.Del(header[i])
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	a, err := try(req)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func try(req *http.Request) (reply, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	b, err := io.ReadAll(resp.Body)
	if e := resp.Body.Close(); err == nil {
		err = e
	}
	return reply{resp.StatusCode, resp.Header, string(b)}, err
}

func (r *rig) get(path string) reply { r.t.Helper(); return r.do("GET", path, nil) }

func (r *rig) post(path, body string) reply {
	r.t.Helper()
	return r.do("POST", path, strings.NewReader(body), "Content-Type", "application/json")
}

// upload adds a bundle and returns its sha.
func (r *rig) upload(data []byte) string {
	r.t.Helper()
	a := r.do("POST", "/api/v1/add_func", bytes.NewReader(data), "Content-Type", "application/x-www-form-urlencoded")
	sha, _ := a.field(r.t, "sha").(string)
	if a.status != 200 || sha != digest(data) {
		r.t.Fatalf("add_func: %d %s", a.status, a.body)
	}
	return sha
}

func (r *rig) enable(sha, props string) reply {
	r.t.Helper()
	return r.post("/api/v1/enable", fmt.Sprintf(`{"sha":%q,"props":%s}`, sha, props))
}

// routed is what routes tells of a path, nil where it has none.
func (r *rig) routed(path string) map[string]any {
	r.t.Helper()
	var list []map[string]any
	if err := json.Unmarshal([]byte(r.get("/api/v1/routes").body), &list); err != nil {
		r.t.Fatal(err)
	}
	for _, m := range list {
		if m["path"] == path {
			return m
		}
	}
	return nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// document is a Swagger document served at basePath. text makes it differ from
// others.
func document(basePath, text string) string {
	return fmt.Sprintf(`{"swagger":"2.0","info":{"title":"T%s","version":"1"},"basePath":%q,
		"x-funcatron":{"runtime":"exec","command":["bin/app"]},
		"paths":{"/x":{"get":{"operationId":"x","responses":{"200":{"description":"ok"}}}}}}`, text, basePath)
}

// zipped is a bundle of the files whose names and contents follow one another.
func zipped(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		h := &zip.FileHeader{Name: files[i], Method: zip.Deflate}
		h.SetMode(0o755)
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(f, files[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func funcBundle(t testing.TB, basePath, text string) []byte {
	t.Helper()
	return zipped(t, "funcatron.json", document(basePath, text), "bin/app", "#!/bin/sh\n",
		"gitsha.txt", "b1d92b7430fcc6ed05c38c22d57d2163f6e8bb88\n")
}
