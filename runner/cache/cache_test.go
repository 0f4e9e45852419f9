package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/certs"
	"github.com/funcatron/funcatron/shared/certs/certstest"
)

const token = "t0ken"

func shaOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// tron serves bundles by sha and counts its requests.
type tron struct {
	*httptest.Server
	bundles  map[string]string
	requests atomic.Int32
	fetched  atomic.Int32
	failed   atomic.Int32
	answer   func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
}

func newTron(t *testing.T, contents ...string) *tron {
	tr := &tron{bundles: map[string]string{}}
	for _, c := range contents {
		tr.bundles[shaOf(c)] = c
	}
	tr.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tr.requests.Add(1)
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if tr.answer != nil && tr.answer(w, r) {
			return
		}
		content, ok := tr.bundles[filepath.Base(r.URL.Path)]
		if !ok || !strings.HasPrefix(r.URL.Path, "/api/v1/bundle/") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(content))
	}))
	t.Cleanup(tr.Close)
	return tr
}

func open(t *testing.T, tr *tron, change func(*Options)) *Cache {
	t.Helper()
	o := Options{
		Dir: filepath.Join(t.TempDir(), "bundles"), MaxBytes: 1 << 20, MaxBundles: 10, MaxBundle: 1000,
		Source: func(context.Context) (Source, error) { return Source{URL: tr.URL + "/", Token: token}, nil },
		Log:    slog.New(slog.DiscardHandler),
		Fetched: func(err error) {
			if err == nil {
				tr.fetched.Add(1)
			} else {
				tr.failed.Add(1)
			}
		},
	}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func get(t *testing.T, c *Cache, content string) (release func()) {
	t.Helper()
	path, release, err := c.Get(t.Context(), shaOf(content))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != content {
		t.Fatalf("the bundle holds %q, %v, want %q", got, err, content)
	}
	return release
}

func TestGetFetchesOnce(t *testing.T) {
	tr := newTron(t, "zip")
	c := open(t, tr, nil)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { get(t, c, "zip")() })
	}
	wg.Wait()
	if n := tr.requests.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	if fetched, failed := tr.fetched.Load(), tr.failed.Load(); fetched != 1 || failed != 0 {
		t.Errorf("%d fetched, %d failed", fetched, failed)
	}
}

// Over TLS a bundle comes only from a Tron whose certificate the CA signed, for the
// name that it is asked under; and the Tron may ask for one, too.
func TestTLS(t *testing.T) {
	ca, other := certstest.NewCA(t), certstest.NewCA(t)
	me := ca.Issue("runner")
	for _, tc := range []struct {
		name   string
		server certs.Files
		client certs.Files
		want   string // "" is success
	}{
		{"trusted", ca.Issue("127.0.0.1"), me, ""},
		{"without our certificate", ca.Issue("127.0.0.1"), certs.Files{CA: ca.File}, "certificate required"},
		{"signed by another", other.Issue("127.0.0.1"), me, "unknown authority"},
		{"of another name", ca.Issue("elsewhere.test"), me, "127.0.0.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tr := newTron(t, "zip")
			server, err := certs.NewServer(certs.Files{Cert: tc.server.Cert, Key: tc.server.Key, CA: ca.File}, nil)
			if err != nil {
				t.Fatal(err)
			}
			secure := httptest.NewUnstartedServer(tr.Config.Handler)
			secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
			secure.Listener = server.Listen(secure.Listener)
			secure.Start()
			t.Cleanup(secure.Close)
			client, err := certs.NewClient(tc.client, nil)
			if err != nil {
				t.Fatal(err)
			}
			c := open(t, tr, func(o *Options) {
				o.TLS = client
				o.Source = func(context.Context) (Source, error) {
					return Source{URL: "https://" + secure.Listener.Addr().String(), Token: token}, nil
				}
			})
			_, release, err := c.Get(t.Context(), shaOf("zip"))
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("Get = %v, want %q", err, tc.want)
			}
			if release != nil {
				release()
			}
			if n := tr.requests.Load(); tc.want != "" && n > 0 {
				t.Errorf("%d requests were made, with the token in them", n)
			}
		})
	}
}

func TestFinalFailures(t *testing.T) {
	for _, tc := range []struct {
		name, sha, want string
		answer          func(http.ResponseWriter, *http.Request) bool
	}{
		{"no sha", "../../etc/passwd", "not 64 lowercase hex digits", nil},
		{"upper case", strings.ToUpper(shaOf("zip")), "not 64 lowercase hex digits", nil},
		{"unknown", shaOf("other"), "the Tron does not have it", nil},
		{"larger than it may be, and says so", shaOf("zip"), "1001 bytes, at most 1000", func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write(make([]byte, 1001))
			return true
		}},
		{"larger than it may be", shaOf("zip"), "more than the 1000 bytes", func(w http.ResponseWriter, _ *http.Request) bool {
			for range 1001 {
				_, _ = w.Write([]byte("x"))
				w.(http.Flusher).Flush()
			}
			return true
		}},
		{"redirect", shaOf("zip"), "302", func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return true
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := newTron(t, "zip")
			tr.answer = tc.answer
			c := open(t, tr, nil)
			_, _, err := c.Get(t.Context(), tc.sha)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Get = %v, want one that says %q", err, tc.want)
			}
			if n := tr.requests.Load(); n > 1 {
				t.Errorf("it was tried %d times", n)
			}
			if left, _ := os.ReadDir(c.opts.Dir); len(left) != 0 {
				t.Errorf("left in the cache: %v", left)
			}
		})
	}
}

// What may be different next time is tried again; what came wrong is never kept.
func TestPassingFailures(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"other bytes": func(w http.ResponseWriter) { _, _ = w.Write([]byte("zap")) },
		"cut off":     func(w http.ResponseWriter) { w.Header().Set("Content-Length", "3"); _, _ = w.Write([]byte("zi")) },
		"starting":    func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"new token":   func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) },
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTron(t, "zip")
			var tries atomic.Int32
			tr.answer = func(w http.ResponseWriter, _ *http.Request) bool {
				if tries.Add(1) > 1 {
					return false
				}
				answer(w)
				return true
			}
			c := open(t, tr, nil)
			get(t, c, "zip")()
			if fetched, failed := tr.fetched.Load(), tr.failed.Load(); fetched != 1 || failed != 1 {
				t.Errorf("%d fetched, %d failed, want 1 and 1", fetched, failed)
			}
		})
	}
}

func TestContextEndsGet(t *testing.T) {
	tr := newTron(t)
	ctx, cancel := context.WithCancel(t.Context())
	c := open(t, tr, func(o *Options) {
		o.Source = func(context.Context) (Source, error) {
			cancel()
			return Source{}, errors.New("the Tron has not told its address yet")
		}
	})
	if _, _, err := c.Get(ctx, shaOf("zip")); err == nil || !strings.Contains(err.Error(), "not told") {
		t.Errorf("Get = %v, want the last failure", err)
	}
	if c.turns.Len() != 0 {
		t.Errorf("%d entries are left", c.turns.Len())
	}
}

// A later life finds the bundle, but not one that was damaged meanwhile, nor what
// was half-written when the first one died.
func TestNextLife(t *testing.T) {
	tr := newTron(t, "zip", "zap")
	dir := t.TempDir()
	inDir := func(o *Options) { o.Dir = dir }
	c := open(t, tr, inDir)
	get(t, c, "zip")()
	get(t, c, "zap")()
	if err := os.WriteFile(c.path(shaOf("zap")), []byte("zAp"), 0o600); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, "."+shaOf("x")+".zip.tmp-1a2b")
	if err := os.WriteFile(half, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	tr.requests.Store(0)

	c = open(t, tr, inDir)
	get(t, c, "zip")()
	if n := tr.requests.Load(); n != 0 {
		t.Errorf("the whole bundle was fetched again")
	}
	get(t, c, "zap")()
	if n := tr.requests.Load(); n != 1 {
		t.Errorf("%d fetches of the damaged bundle", n)
	}
	if _, err := os.Stat(half); err == nil {
		t.Error("a half-written file is left")
	}
}

func TestEviction(t *testing.T) {
	contents := []string{"aaaa", "bbbb", "cccc", "dddd"}
	for name, bound := range map[string]func(*Options){
		"by count": func(o *Options) { o.MaxBundles = 2 },
		"by bytes": func(o *Options) { o.MaxBytes = 8 },
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t, newTron(t, contents...), bound)
			used := get(t, c, contents[0]) // held: it stays
			for i, s := range contents[1:] {
				get(t, c, s)()
				at := time.Now().Add(time.Duration(i-10) * time.Minute)
				if err := os.Chtimes(c.path(shaOf(s)), at, at); err != nil {
					t.Fatal(err)
				}
			}
			want := []bool{true, false, false, true}
			for i, s := range contents {
				if _, err := os.Stat(c.path(shaOf(s))); (err == nil) != want[i] {
					t.Errorf("%s: %v, want kept %t", s, err, want[i])
				}
			}
			used()
			used()
			if c.turns.Len() != 0 {
				t.Errorf("%d entries are left", c.turns.Len())
			}
		})
	}
}
