package fn_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/funcatron/funcatron/runner/fn"
)

// discard is a ResponseWriter that allocates nothing of its own.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// The function is in every request's path: what fn adds to net/http stays small.
func TestAllocations(t *testing.T) {
	h, err := fn.NewHandler(fn.Operations{"op": fn.Typed(func(ctx *fn.Context, _ fn.None) (data, error) {
		cnt, err := fn.Param[int64](ctx, "cnt")
		return data{"x", cnt}, err
	})}, fn.Options{Output: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequest("GET", "/x/42?cool=yes", nil)
	req.Header.Set("X-Funcatron-Operation", "op")
	req.Header.Set("X-Request-Id", reqID)
	req.Header.Set("X-Funcatron-Params", `{"path":{"cnt":42},"query":{},"header":{},"form":{}}`)
	req.Header.Set("X-Funcatron-Timeout-Ms", "30000")
	w := &discard{http.Header{}}
	if n := testing.AllocsPerRun(1000, func() {
		clear(w.h)
		h.ServeHTTP(w, req)
	}); n > 45 {
		t.Errorf("a request costs %.0f allocations", n)
	}
}
