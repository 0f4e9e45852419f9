package fn_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/funcatron/funcatron/runner/fn"
)

func TestContext(t *testing.T) {
	srv, _ := serveOne(t, fn.Typed(func(ctx *fn.Context, in string) (fn.None, error) {
		for _, tc := range []struct{ what, got, want string }{
			{"method", ctx.Method(), "PUT"},
			{"uri", ctx.URI(), "/a%2Fb?c=d"},
			{"header", ctx.Header().Get("X-Own"), "mine"},
			{"operation", ctx.Operation(), "op"},
			{"request id", ctx.RequestID(), reqID},
			{"body", in, "text"},
			{"query of the request", ctx.Request().URL.RawQuery, "c=d"},
		} {
			if tc.got != tc.want {
				t.Errorf("%s is %q, want %q", tc.what, tc.got, tc.want)
			}
		}
		deadline, ok := ctx.Deadline()
		if left := time.Until(deadline); !ok || left <= 0 || left > time.Minute {
			t.Errorf("deadline in %s, %t", left, ok)
		}
		return fn.None{}, nil
	}), fn.Options{})
	if got := call(t, srv, "PUT", "/a%2Fb?c=d", "text", "X-Own: mine", "X-Funcatron-Timeout-Ms: 60000"); got.status != 204 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestDeadlines(t *testing.T) {
	for ms, want := range map[string]struct {
		has  bool
		most time.Duration
	}{
		"":                     {false, 0},
		"soon":                 {false, 0},
		"1500":                 {true, 1500 * time.Millisecond},
		"0":                    {true, 0},
		"-7":                   {true, 0},
		"9223372036854775807":  {true, 24 * time.Hour},
		"92233720368547758070": {false, 0},
	} {
		srv, _ := serveOne(t, fn.Raw(func(ctx *fn.Context) (*fn.Response, error) {
			deadline, has := ctx.Deadline()
			if left := time.Until(deadline); has != want.has || has && left > want.most {
				t.Errorf("%q: deadline in %s, %t", ms, left, has)
			}
			return nil, nil
		}), fn.Options{})
		call(t, srv, "GET", "/", "", "X-Funcatron-Timeout-Ms: "+ms)
	}
}

func TestRequestID(t *testing.T) {
	const trace = "0af7651916cd43dd8448eb211c80319c"
	for name, tc := range map[string]struct{ id, traceparent, want string }{
		"given":             {reqID, "00-" + trace + "-b7ad6b7169203331-01", reqID},
		"trace only":        {"", "00-" + trace + "-b7ad6b7169203331-01", trace},
		"later version":     {"", "01-" + trace + "-b7ad6b7169203331-01-more", trace},
		"neither":           {"", "", ""},
		"version ff":        {"", "ff-" + trace + "-b7ad6b7169203331-01", ""},
		"00 with more":      {"", "00-" + trace + "-b7ad6b7169203331-01-more", ""},
		"later, run on":     {"", "01-" + trace + "-b7ad6b7169203331-01more", ""},
		"upper case":        {"", "00-" + strings.ToUpper(trace) + "-b7ad6b7169203331-01", ""},
		"trace of zeros":    {"", "00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01", ""},
		"parent of zeros":   {"", "00-" + trace + "-" + strings.Repeat("0", 16) + "-01", ""},
		"too short":         {"", "00-" + trace, ""},
		"dashes elsewhere":  {"", "00+" + trace + "+b7ad6b7169203331+01", ""},
		"of endless length": {strings.Repeat("a", 1000), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			srv, _ := serveOne(t, fn.Raw(func(ctx *fn.Context) (*fn.Response, error) {
				got = ctx.RequestID()
				return nil, nil
			}), fn.Options{})
			call(t, srv, "GET", "/", "", "X-Request-Id: "+tc.id, "Traceparent: "+tc.traceparent)
			if tc.want != "" && got != tc.want || !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(got) {
				t.Errorf("REQ id is %q, want %q", got, tc.want)
			}
			if tc.want == "" && got == trace {
				t.Error("an invalid traceparent was believed")
			}
		})
	}
}

// The Context ends when the Runner hangs up.
func TestHangUpEndsTheContext(t *testing.T) {
	started, ended := make(chan struct{}), make(chan struct{})
	srv, _ := serveOne(t, fn.Raw(func(ctx *fn.Context) (*fn.Response, error) {
		close(started)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	}), fn.Options{})
	ctx, hangUp := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Funcatron-Operation", "op")
	var wg sync.WaitGroup
	wg.Go(func() {
		if res, err := srv.Client().Do(req); err == nil {
			_ = res.Body.Close()
		}
	})
	<-started
	hangUp()
	<-ended
	wg.Wait()
}

func TestUnknownOperation(t *testing.T) {
	srv, out := serveOne(t, returns(nil, nil), fn.Options{})
	for _, op := range []string{"other", ""} {
		if got := call(t, srv, "GET", "/", "", "X-Funcatron-Operation: "+op); got.status != 501 {
			t.Errorf("%q: got %d %s", op, got.status, got.body)
		}
	}
	if !strings.Contains(out.String(), `"other\"`) {
		t.Errorf("logged %q", out)
	}
}

func TestPanic(t *testing.T) {
	for name, value := range map[string]any{
		"string":         "a lot of\nlines",
		"runtime error":  nil, // an index out of range
		"abort":          http.ErrAbortHandler,
		"an Error":       fn.Errorf(400, "thrown"),
		"a wrapped stop": context.DeadlineExceeded,
	} {
		t.Run(name, func(t *testing.T) {
			srv, out := serveOne(t, fn.Raw(func(*fn.Context) (*fn.Response, error) {
				if value == nil {
					var none []int
					return nil, fn.Errorf(none[3], "never")
				}
				panic(value)
			}), fn.Options{})
			for range 2 { // the process goes on
				got := call(t, srv, "GET", "/", "")
				if got.status != 500 || !strings.Contains(got.body, reqID) || strings.Contains(got.body, "thrown") {
					t.Errorf("got %d %s", got.status, got.body)
				}
			}
			lines := out.lines(t)
			if len(lines) != 2 {
				t.Fatalf("%d lines:\n%s", len(lines), out)
			}
			msg, _ := lines[0]["msg"].(string)
			stack, _ := lines[0]["stack"].(string)
			if lines[0]["level"] != "ERROR" || lines[0]["req"] != reqID || !strings.HasPrefix(msg, "panic: ") || !strings.Contains(stack, "context_test.go") {
				t.Errorf("logged %v", lines[0])
			}
		})
	}
}

func TestLogger(t *testing.T) {
	srv, out := serveOne(t, fn.Raw(func(ctx *fn.Context) (*fn.Response, error) {
		log := ctx.Logger()
		log.Debug("not at this level")
		log.Info("In Go 'SimpleGet... yay!", "num", 42, "who", "a\"b\nc")
		log.Warn("names that mean something", "level", 7, "op", "mine", "req", "mine", "msg", "mine", "time", "mine",
			slog.Group("", slog.String("op", "inline")), slog.Group("g", slog.String("op", "free")))
		log.With("op", "mine", "user", 1).WithGroup("inner").Error("nested", "op", "free", "n", 2)
		log.Info(strings.Repeat("<", 100_000), "more", strings.Repeat("x", 100_000))
		return nil, nil
	}), fn.Options{})
	call(t, srv, "GET", "/", "")
	lines := out.lines(t)
	if len(lines) != 4 {
		t.Fatalf("%d lines:\n%s", len(lines), out)
	}
	for i, line := range lines {
		if line["op"] != "op" || line["req"] != reqID || line["time"] != nil {
			t.Errorf("line %d is %v", i, line)
		}
	}
	for _, tc := range []struct {
		line      int
		key, want string
	}{
		{0, "msg", `"In Go 'SimpleGet... yay!"`}, {0, "level", `"INFO"`}, {0, "num", `42`}, {0, "who", `"a\"b\nc"`},
		{1, "level", `"WARN"`}, {1, "level_", `7`}, {1, "op_", `"inline"`}, {1, "req_", `"mine"`}, {1, "msg_", `"mine"`}, {1, "time_", `"mine"`}, {1, "g", `{"op":"free"}`},
		{2, "level", `"ERROR"`}, {2, "op_", `"mine"`}, {2, "user", `1`}, {2, "inner", `{"n":2,"op":"free"}`},
		{3, "level", `"INFO"`},
	} {
		if got, err := json.Marshal(lines[tc.line][tc.key]); err != nil || string(got) != tc.want {
			t.Errorf("line %d: %s is %s, want %s", tc.line, tc.key, got, tc.want)
		}
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 64<<10 {
			t.Errorf("a line of %d bytes, which the Runner would cut", len(line))
		}
	}
	if lines[3]["cut"] == nil || !strings.HasPrefix(lines[3]["msg"].(string), "<<<<") {
		t.Errorf("the long line became %.200v", lines[3])
	}
}

func TestLevel(t *testing.T) {
	srv, out := serveOne(t, returns(nil, fn.Errorf(404, "no such thing")), fn.Options{Level: slog.LevelDebug})
	call(t, srv, "GET", "/", "")
	if lines := out.lines(t); len(lines) != 1 || lines[0]["level"] != "DEBUG" || lines[0]["error"] != "no such thing" {
		t.Errorf("logged %v", lines)
	}
}

// seen is a server that notes the headers of its requests.
func seen(t *testing.T) (url string, last func() http.Header) {
	var mu sync.Mutex
	var h http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		h = r.Header.Clone()
	}))
	t.Cleanup(srv.Close)
	return srv.URL, func() http.Header {
		mu.Lock()
		defer mu.Unlock()
		return h
	}
}

func TestClientPassesTheTraceOn(t *testing.T) {
	url, last := seen(t)
	get := func(ctx *fn.Context, header ...string) http.Header {
		req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := ctx.Client().Do(req)
		if err != nil {
			t.Error(err)
			return nil
		}
		_ = res.Body.Close()
		return last()
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	srv, _ := serveOne(t, fn.Raw(func(ctx *fn.Context) (*fn.Response, error) {
		flags := "00"
		if ctx.Header().Get("Traceparent") != "" {
			flags = "01"
		}
		form := regexp.MustCompile("^00-" + reqID + "-[0-9a-f]{16}-" + flags + "$")
		first, second := get(ctx), get(ctx)
		for _, h := range []http.Header{first, second} {
			if h.Get("X-Request-Id") != reqID || !form.MatchString(h.Get("Traceparent")) || strings.Contains(h.Get("Traceparent"), "b7ad6b7169203331") {
				t.Errorf("sent %v", h)
			}
			if flags == "01" && h.Get("Tracestate") != "a=1,b=2" {
				t.Errorf("tracestate is %q", h.Get("Tracestate"))
			}
		}
		if first.Get("Traceparent") == second.Get("Traceparent") {
			t.Error("two requests have one parent id")
		}
		if h := get(ctx, "X-Request-Id", "own", "Traceparent", "own"); h.Get("X-Request-Id") != "own" || h.Get("Traceparent") != "own" {
			t.Errorf("the function's own headers became %v", h)
		}
		return nil, nil
	}), fn.Options{Transport: transport})
	call(t, srv, "GET", "/", "", "Traceparent: 00-"+reqID+"-b7ad6b7169203331-01", "Tracestate: a=1,b=2")
	call(t, srv, "GET", "/", "") // the REQ id alone makes a trace too
}

// A request without a context of its own ends with the function's.
func TestClientKeepsTheDeadline(t *testing.T) {
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(release) })
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	srv, _ := serveOne(t, fn.Raw(func(ctx *fn.Context) (*fn.Response, error) {
		res, err := ctx.Client().Get(slow.URL)
		if err == nil {
			_ = res.Body.Close()
		}
		return nil, err
	}), fn.Options{Transport: transport})
	if got := call(t, srv, "GET", "/", "", "X-Funcatron-Timeout-Ms: 50"); got.status != 504 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Add("00-"+reqID+"-b7ad6b7169203331-01", reqID)
	f.Add("01-"+reqID+"-b7ad6b7169203331-01-x", "")
	f.Add("", "x")
	f.Fuzz(func(t *testing.T, traceparent, id string) {
		var sent http.Header
		h, err := fn.NewHandler(fn.Operations{"op": fn.Raw(func(ctx *fn.Context) (*fn.Response, error) {
			if ctx.RequestID() == "" {
				t.Error("no REQ id")
			}
			res, err := ctx.Client().Get("http://other.test/")
			if err == nil {
				_ = res.Body.Close()
			}
			return nil, err
		})}, fn.Options{Output: t.Output(), Transport: tripper(func(r *http.Request) (*http.Response, error) {
			sent = r.Header
			return httptest.NewRecorder().Result(), nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest("GET", "/", nil)
		req.Header["X-Funcatron-Operation"] = []string{"op"}
		req.Header["Traceparent"] = []string{traceparent}
		req.Header["X-Request-Id"] = []string{id}
		h.ServeHTTP(httptest.NewRecorder(), req)
		if tp := sent.Get("Traceparent"); tp != "" && !regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`).MatchString(tp) {
			t.Errorf("sent traceparent %q", tp)
		}
	})
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
