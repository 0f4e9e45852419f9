package fn_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/funcatron/funcatron/runner/fn"
)

// A ledger is a vendor type that notes what happens to its services. Its
// properties may say what fails: "build", "vend", "release", "panic".
type ledger struct {
	mu    sync.Mutex
	notes []string
	fails int // how many builds fail before one succeeds, with "build"
}

func (l *ledger) note(words ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, strings.Join(words, " "))
}

func (l *ledger) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	notes := l.notes
	l.notes = nil
	return notes
}

func (l *ledger) build(name string, props map[string]any, log *slog.Logger) (fn.Vendor, error) {
	l.note("build", name)
	log.Info("built")
	fails, _ := props["fails"].(string)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails > 0 {
		l.fails--
		return nil, errors.New("hunter2 is not the password")
	}
	return &account{l, name, fails}, nil
}

type account struct {
	ledger      *ledger
	name, fails string
}

type item struct{ of string }

func (a *account) Vend(context.Context) (any, error) {
	a.ledger.note("vend", a.name)
	if a.fails == "vend" {
		return nil, errors.New("hunter2 is not the password")
	}
	return &item{a.name}, nil
}

func (a *account) Release(i any, success bool) error {
	what := "undo"
	if success {
		what = "keep"
	}
	a.ledger.note(what, i.(*item).of)
	switch a.fails {
	case "release":
		return errors.New("the ledger is full")
	case "panic":
		panic("in Release")
	}
	return nil
}

func (a *account) Close() error {
	a.ledger.note("close", a.name)
	if a.fails == "close" {
		return errors.New("the ledger does not shut")
	}
	return nil
}

var (
	books        = &ledger{}
	registerOnce = sync.OnceFunc(func() { fn.RegisterVendor("ledger", books.build) })
)

// ledgers serves f with services a, b and others of type ledger.
func ledgers(t *testing.T, f fn.Func) (do func() answer, out *output) {
	t.Helper()
	registerOnce()
	books.take()
	srv, out := serveOne(t, f, fn.Options{Props: []byte(`{
		"a": {"type":"ledger"}, "b": {"type":"ledger"},
		"badvend": {"type":"ledger","fails":"vend"}, "badrelease": {"type":"ledger","fails":"release"},
		"badpanic": {"type":"ledger","fails":"panic"},
		"strange": {"type":"unheard of"}, "plain": "text", "untyped": {"type": 7}}`)})
	return func() answer { return call(t, srv, "GET", "/", "") }, out
}

// vends makes a function that vends from the services names and then ends as
// after says.
func vends(t *testing.T, after func() (*fn.Response, error), names ...string) fn.Func {
	return func(ctx *fn.Context) (*fn.Response, error) {
		for _, name := range names {
			i, err := fn.Vend[*item](ctx, name)
			if err != nil {
				return nil, err
			}
			if i.of != name {
				t.Errorf("service %s vended an item of %s", name, i.of)
			}
		}
		return after()
	}
}

func TestServices(t *testing.T) {
	ok := func() (*fn.Response, error) { return &fn.Response{Status: 404}, nil } // an answer like others, and no error
	fails := func() (*fn.Response, error) { return nil, fn.Errorf(409, "no") }
	panics := func() (*fn.Response, error) { panic("no") }
	for name, tc := range map[string]struct {
		after  func() (*fn.Response, error)
		vend   []string
		status int
		notes  string
		logged string
	}{
		"success":           {ok, []string{"a"}, 404, "build a, vend a, keep a", "built"},
		"last first":        {ok, []string{"a", "b"}, 404, "build a, vend a, build b, vend b, keep b, keep a", ""},
		"one item a name":   {ok, []string{"a", "a", "a"}, 404, "build a, vend a, keep a", ""},
		"error":             {fails, []string{"a", "b"}, 409, "build a, vend a, build b, vend b, undo b, undo a", ""},
		"panic":             {panics, []string{"a"}, 500, "build a, vend a, undo a", "panic: no"},
		"vending fails":     {ok, []string{"a", "badvend"}, 503, "build a, vend a, build badvend, vend badvend, undo a", "hunter2"},
		"keeping fails":     {ok, []string{"a", "badrelease", "b"}, 500, "build a, vend a, build badrelease, vend badrelease, build b, vend b, keep b, keep badrelease, undo a", "the ledger is full"},
		"keeping panics":    {ok, []string{"badpanic"}, 500, "build badpanic, vend badpanic, keep badpanic", "in Release"},
		"undoing fails":     {fails, []string{"badrelease"}, 409, "build badrelease, vend badrelease, undo badrelease", "the ledger is full"},
		"no such service":   {ok, []string{"a", "absent"}, 503, "build a, vend a, undo a", "no such service"},
		"not an object":     {ok, []string{"plain"}, 503, "", "no such service"},
		"type is no string": {ok, []string{"untyped"}, 503, "", "no such service"},
		"unknown type":      {ok, []string{"strange"}, 503, "", `fn.RegisterVendor`},
	} {
		t.Run(name, func(t *testing.T) {
			do, out := ledgers(t, vends(t, tc.after, tc.vend...))
			got := do()
			if got.status != tc.status || strings.Contains(got.body, "hunter2") {
				t.Errorf("got %d %s", got.status, got.body)
			}
			if notes := strings.Join(books.take(), ", "); notes != tc.notes {
				t.Errorf("it went\n%s, want\n%s", notes, tc.notes)
			}
			if !strings.Contains(out.String(), tc.logged) {
				t.Errorf("logged %q, want %q", out, tc.logged)
			}
		})
	}
}

func TestServiceIsKeptAndClosed(t *testing.T) {
	registerOnce()
	books.take()
	h, err := fn.NewHandler(fn.Operations{"op": vends(t, func() (*fn.Response, error) { return nil, nil }, "a", "b")},
		fn.Options{Output: &output{}, Props: []byte(`{"a":{"type":"ledger"},"b":{"type":"ledger","fails":"close"},"c":{"type":"ledger"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	serveDirectly(t, h)
	serveDirectly(t, h)
	if err := h.Close(); err == nil || !strings.Contains(err.Error(), "close service b: the ledger does not shut") {
		t.Errorf("Close: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	want := "build a, vend a, build b, vend b, keep b, keep a, vend a, vend b, keep b, keep a, close b, close a"
	if notes := strings.Join(books.take(), ", "); notes != want {
		t.Errorf("it went\n%s, want\n%s", notes, want)
	}
}

// A service that could not be built is built for the next request.
func TestServiceIsBuiltAgain(t *testing.T) {
	do, _ := ledgers(t, vends(t, func() (*fn.Response, error) { return nil, nil }, "a"))
	books.mu.Lock()
	books.fails = 1
	books.mu.Unlock()
	first, second := do(), do()
	if first.status != 503 || second.status != 204 {
		t.Errorf("got %d, then %d", first.status, second.status)
	}
}

func TestServiceNames(t *testing.T) {
	do, _ := ledgers(t, func(ctx *fn.Context) (*fn.Response, error) {
		if got, want := ctx.Services(), []string{"a", "b", "badpanic", "badrelease", "badvend"}; !slices.Equal(got, want) {
			t.Errorf("services are %q, want %q", got, want)
		}
		_, err := fn.Vend[*item](ctx, "absent")
		if !errors.Is(err, fn.ErrNoService) {
			t.Errorf("vend from an absent service: %v", err)
		}
		if _, err = fn.Vend[string](ctx, "a"); err == nil || !strings.Contains(err.Error(), "*fn_test.item") {
			t.Errorf("vend another type: %v", err)
		}
		return nil, nil
	})
	do()
}

// Many goroutines of many requests: one service, one item a request.
func TestVendConcurrently(t *testing.T) {
	do, _ := ledgers(t, func(ctx *fn.Context) (*fn.Response, error) {
		items := make([]*item, 8)
		var wg sync.WaitGroup
		for i := range items {
			wg.Go(func() { items[i], _ = fn.Vend[*item](ctx, "a") })
		}
		wg.Wait()
		for _, i := range items {
			if i == nil || i != items[0] {
				t.Errorf("two items in one request: %p, %p", i, items[0])
			}
		}
		return nil, nil
	})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { do() })
	}
	wg.Wait()
	count := map[string]int{}
	for _, n := range books.take() {
		count[n]++
	}
	if count["build a"] != 1 || count["vend a"] != 8 || count["keep a"] != 8 {
		t.Errorf("it went %v", count)
	}
}

// A service that cannot be had because the time is over is not the service's fault,
// whatever its driver calls it.
func TestVendingWhenItIsLate(t *testing.T) {
	registerOnce()
	srv, _ := serveOne(t, func(ctx *fn.Context) (*fn.Response, error) {
		<-ctx.Done()
		_, err := fn.Vend[*item](ctx, "badvend")
		return nil, err
	}, fn.Options{Props: []byte(`{"badvend": {"type":"ledger","fails":"vend"}}`)})
	if got := call(t, srv, "GET", "/", "", "X-Funcatron-Timeout-Ms: 20"); got.status != 504 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestNothingIsVendedAfterTheRequest(t *testing.T) {
	var kept *fn.Context
	do, _ := ledgers(t, func(ctx *fn.Context) (*fn.Response, error) {
		kept = ctx
		return nil, nil
	})
	do()
	if _, err := fn.Vend[*item](kept, "a"); err == nil || !strings.Contains(err.Error(), "the request is over") {
		t.Errorf("vend after the request: %v", err)
	}
	if notes := books.take(); len(notes) != 0 {
		t.Errorf("it went %q", notes)
	}
}

// A function that ends its goroutine gets no answer sent, and keeps nothing.
func TestGoexitGivesBack(t *testing.T) {
	registerOnce()
	books.take()
	h, err := fn.NewHandler(fn.Operations{"op": vends(t, func() (*fn.Response, error) {
		runtime.Goexit()
		return nil, nil
	}, "a")}, fn.Options{Output: &output{}, Props: []byte(`{"a":{"type":"ledger"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { serveDirectly(t, h) })
	wg.Wait()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if notes := strings.Join(books.take(), ", "); notes != "build a, vend a, undo a, close a" {
		t.Errorf("it went %s", notes)
	}
}

func TestRegisterVendorPanics(t *testing.T) {
	for name, register := range map[string]func(){
		"twice":   func() { fn.RegisterVendor("database", books.build) },
		"nothing": func() { fn.RegisterVendor("nothing", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if v, _ := recover().(string); !strings.HasPrefix(v, "BUG: ") {
					t.Errorf("panicked with %q", v)
				}
			}()
			register()
		})
	}
}
