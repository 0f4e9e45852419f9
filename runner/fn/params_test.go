package fn_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/runner/fn"
)

const someParams = `X-Funcatron-Params: {
	"path":   {"cnt": 42, "same": "path"},
	"query":  {"big": 9223372036854775807, "f": 0.5, "on": true, "tags": ["a","b"], "ids": [1,2,300],
	           "at": "2016-12-09T20:31:31Z", "whole": 42.0, "exp": 1e3, "half": 1.5, "neg": -1, "over": 9223372036854775808,
	           "same": "query", "null": null, "nested": {"a": 1}},
	"header": {"X-Tenant": "acme", "same": "header"},
	"form":   {"name": "Ada", "same": "form"}}`

// in runs f within a request that carries params.
func in(t *testing.T, target string, f func(*fn.Context)) {
	t.Helper()
	srv, out := serveOne(t, fn.Raw(func(ctx *fn.Context) (*fn.Response, error) {
		f(ctx)
		return nil, nil
	}), fn.Options{Props: []byte(`{"key":"value","n":9007199254740993,"nested":{"on":true}}`)})
	header := strings.NewReplacer("\n", "", "\t", "").Replace(someParams)
	if got := call(t, srv, "GET", target, "", header); got.status != 204 {
		t.Errorf("got %d: %s %s", got.status, got.body, out)
	}
}

func TestParamMaps(t *testing.T) {
	in(t, "/x?cool=yes&twice=1&twice=2&f=9", func(ctx *fn.Context) {
		for _, tc := range []struct {
			what      string
			got, want any
		}{
			{"path", ctx.PathParams()["cnt"], json.Number("42")},
			{"query", ctx.QueryParams()["big"], json.Number("9223372036854775807")},
			{"declared wins", ctx.QueryParams()["f"], json.Number("0.5")},
			{"undeclared", ctx.QueryParams()["cool"], "yes"},
			{"undeclared, repeated", ctx.QueryParams()["twice"], []any{"1", "2"}},
			{"header", ctx.HeaderParams(), map[string]any{"X-Tenant": "acme", "same": "header"}},
			{"form", ctx.FormParams(), map[string]any{"name": "Ada", "same": "form"}},
			{"merged, path first", ctx.MergedParams()["same"], "path"},
			{"merged, header", ctx.MergedParams()["X-Tenant"], "acme"},
			{"merged, undeclared", ctx.MergedParams()["cool"], "yes"},
		} {
			if !reflect.DeepEqual(tc.got, tc.want) {
				t.Errorf("%s: got %#v, want %#v", tc.what, tc.got, tc.want)
			}
		}
	})
}

type tenant string

func TestParam(t *testing.T) {
	in(t, "/x?cool=7&twice=1&twice=2", func(ctx *fn.Context) {
		is(t, ctx, "cnt", 42)
		is(t, ctx, "cnt", int8(42))
		is(t, ctx, "cnt", uint(42))
		is(t, ctx, "cnt", 42.0)
		is(t, ctx, "cnt", "42")
		is(t, ctx, "cnt", json.Number("42"))
		is[any](t, ctx, "cnt", json.Number("42"))
		is(t, ctx, "big", int64(9223372036854775807))
		is(t, ctx, "over", uint64(9223372036854775808))
		is(t, ctx, "whole", 42)
		is(t, ctx, "exp", uint16(1000))
		is(t, ctx, "f", float32(0.5))
		is(t, ctx, "on", true)
		is(t, ctx, "on", "true")
		is(t, ctx, "tags", []string{"a", "b"})
		is(t, ctx, "ids", []int64{1, 2, 300})
		is(t, ctx, "at", time.Date(2016, 12, 9, 20, 31, 31, 0, time.UTC))
		is(t, ctx, "X-Tenant", tenant("acme"))
		is(t, ctx, "X-Tenant", []byte("acme"))
		is(t, ctx, "cool", 7)            // not declared, so a string
		is(t, ctx, "cool", []int{7})     // and perhaps a list of one
		is(t, ctx, "twice", []int{1, 2}) // or of several
		is(t, ctx, "null", 0)            // null leaves the zero value
		is(t, ctx, "null", (*string)(nil))
		is(t, ctx, "nested", map[string]int{"a": 1})
		is(t, ctx, "nested", struct{ A int }{1})
		is(t, ctx, "same", "path")
		if p, err := fn.Param[*int](ctx, "cnt"); err != nil || *p != 42 {
			t.Errorf("pointer: %v, %v", p, err)
		}

		isNot[[]int8](t, ctx, "ids", `value 3: 300 is not a int8`)
		isNot[int](t, ctx, "half", "1.5 is not a int")
		isNot[int64](t, ctx, "over", "9223372036854775808 is not a int64")
		isNot[uint](t, ctx, "neg", "-1 is not a uint")
		isNot[bool](t, ctx, "cnt", "42 is not a bool")
		isNot[int](t, ctx, "X-Tenant", `"acme" is not a int`)
		isNot[time.Time](t, ctx, "X-Tenant", "acme")
		isNot[[]int](t, ctx, "tags", `value 1: "a" is not a int`)
		isNot[string](t, ctx, "tags", "is not a string")
		isNot[int](t, ctx, "absent", "parameter absent is not given")

		if n, err := fn.ParamOr(ctx, "absent", 7); n != 7 || err != nil {
			t.Errorf("ParamOr: %d, %v", n, err)
		}
		if n, err := fn.ParamOr(ctx, "cnt", 7); n != 42 || err != nil {
			t.Errorf("ParamOr: %d, %v", n, err)
		}
		if _, err := fn.ParamOr(ctx, "X-Tenant", 7); err == nil {
			t.Error("ParamOr took acme for a number")
		}
	})
}

func is[T any](t *testing.T, ctx *fn.Context, name string, want T) {
	t.Helper()
	if got, err := fn.Param[T](ctx, name); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Param[%T](%s) = %#v, %v, want %#v", want, name, got, err, want)
	}
}

func isNot[T any](t *testing.T, ctx *fn.Context, name, want string) {
	t.Helper()
	got, err := fn.Param[T](ctx, name)
	var e *fn.Error
	if !errors.As(err, &e) || e.Status != 400 || !strings.Contains(e.Message, want) {
		t.Errorf("Param[%T](%s) = %#v, %v, want a 400 with %q", got, name, got, err, want)
	}
}

func TestNoParams(t *testing.T) {
	srv, out := serveOne(t, fn.Raw(func(ctx *fn.Context) (*fn.Response, error) {
		if n := len(ctx.PathParams()) + len(ctx.QueryParams()) + len(ctx.HeaderParams()) + len(ctx.FormParams()) + len(ctx.MergedParams()); n != 0 {
			t.Errorf("%d parameters out of nothing", n)
		}
		return nil, nil
	}), fn.Options{})
	for _, h := range []string{"X-Other: 1", "X-Funcatron-Params: {}", `X-Funcatron-Params: {"path":null}`, "X-Funcatron-Params: null"} {
		if got := call(t, srv, "GET", "/", "", h); got.status != 204 {
			t.Errorf("%s: got %d %s", h, got.status, out)
		}
	}
}

func TestUnreadableParams(t *testing.T) {
	srv, _ := serveOne(t, fn.Raw(func(*fn.Context) (*fn.Response, error) {
		t.Error("the function ran without its parameters")
		return nil, nil
	}), fn.Options{})
	for _, h := range []string{"{", "[]", `{"path":[]}`, "{} x", `"s"`} {
		if got := call(t, srv, "GET", "/", "", "X-Funcatron-Params: "+h); got.status != 400 || !strings.Contains(got.body, "X-Funcatron-Params") {
			t.Errorf("%s: got %d %s", h, got.status, got.body)
		}
	}
}

func TestProps(t *testing.T) {
	in(t, "/", func(ctx *fn.Context) {
		if p := ctx.Props(); p["key"] != "value" || p["n"] != json.Number("9007199254740993") {
			t.Errorf("properties are %v", p)
		}
		var p struct {
			Key    string
			N      int64
			Nested struct{ On bool }
		}
		if err := ctx.DecodeProps(&p); err != nil || p.Key != "value" || p.N != 9007199254740993 || !p.Nested.On {
			t.Errorf("decoded %+v, %v", p, err)
		}
		var wrong struct{ Key int }
		if err := ctx.DecodeProps(&wrong); err == nil {
			t.Error("a string was decoded into an int")
		}
	})
}

func TestUnreadableProps(t *testing.T) {
	ops := fn.Operations{"op": returns(nil, nil)}
	for _, props := range []string{"[]", "null", `"hunter2"`, "{", "{}{}", "7"} {
		_, err := fn.NewHandler(ops, fn.Options{Props: []byte(props)})
		if err == nil || !strings.Contains(err.Error(), "properties") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", props, err)
		}
	}
}

func TestUnusableOperations(t *testing.T) {
	for _, ops := range []fn.Operations{nil, {}, {"op": nil}} {
		if _, err := fn.NewHandler(ops, fn.Options{}); err == nil {
			t.Errorf("%v was accepted", ops)
		}
	}
}

// Whatever the headers hold, the function gets a request or the client a 400.
func FuzzParams(f *testing.F) {
	for _, seed := range []string{someParams[len("X-Funcatron-Params: "):], "", "{}", "null", "[", `{"query":{"a":[[[]]]}}`, `{"path":{"cnt":1e999}}`} {
		f.Add(seed, "cnt", "a=1&a=2&%zz", "5000")
	}
	f.Fuzz(func(t *testing.T, params, name, query, timeout string) {
		h, err := fn.NewHandler(fn.Operations{"op": fn.Raw(func(ctx *fn.Context) (*fn.Response, error) {
			_, _ = fn.Param[int64](ctx, name)
			_, _ = fn.Param[[]float64](ctx, name)
			_, _ = fn.Param[map[string]time.Time](ctx, name)
			_, _ = fn.Param[[]byte](ctx, name)
			if s, err := fn.Param[string](ctx, name); err == nil && s == "" {
				_, _ = fn.ParamOr(ctx, name, true)
			}
			return fn.JSON(200, ctx.MergedParams())
		})}, fn.Options{Output: t.Output()})
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest("GET", "/", nil)
		req.URL.RawQuery = query
		req.Header["X-Funcatron-Operation"] = []string{"op"}
		req.Header["X-Funcatron-Params"] = []string{params}
		req.Header["X-Funcatron-Timeout-Ms"] = []string{timeout}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if rec.Code != http.StatusOK && rec.Code != http.StatusBadRequest {
			t.Errorf("answered %d: %s", rec.Code, rec.Body)
		}
	})
}

func FuzzProps(f *testing.F) {
	for _, seed := range []string{`{}`, `null`, `{"db":{"type":"database","url":"x://u:p@h","maxOpenConns":1}}`, `{"db":{"type":7}}`, `{"a":`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, props []byte) {
		h, err := fn.NewHandler(fn.Operations{"op": fn.Raw(func(ctx *fn.Context) (*fn.Response, error) {
			for _, name := range ctx.Services() {
				if _, err := fn.Vend[any](ctx, name); err != nil {
					return nil, err
				}
			}
			return nil, nil
		})}, fn.Options{Props: props, Output: t.Output()})
		if err != nil {
			return
		}
		req := httptest.NewRequest("GET", "/", nil)
		req.Header["X-Funcatron-Operation"] = []string{"op"}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if rec.Code != http.StatusNoContent && rec.Code != http.StatusServiceUnavailable {
			t.Errorf("answered %d: %s", rec.Code, rec.Body)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

func ExampleParam() {
	h, err := fn.NewHandler(fn.Operations{
		"numbers.Twice": fn.Typed(func(ctx *fn.Context, _ fn.None) (map[string]int64, error) {
			n, err := fn.Param[int64](ctx, "num")
			if err != nil {
				return nil, err
			}
			return map[string]int64{"twice": 2 * n}, nil
		}),
	}, fn.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	req := httptest.NewRequest("GET", "/twice/21", nil)
	req.Header.Set("X-Funcatron-Operation", "numbers.Twice")
	req.Header.Set("X-Funcatron-Params", `{"path":{"num":21}}`)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	fmt.Println(rec.Code, rec.Body)
	// Output: 200 {"twice":42}
}
