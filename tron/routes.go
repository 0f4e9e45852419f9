package tron

import (
	"context"
	_ "embed"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// describing is the API's own description, a Swagger 2.0 document.
//
//go:embed swagger.json
var describing []byte

// route is one call of the API.
type route struct {
	method, path string // as in net/http's patterns; GET answers HEAD too
	name         string // in metrics
	level        level
	handle       http.HandlerFunc
}

// routes is the whole API. Requests that wait do so until run ends.
func (t *Tron) routes(run context.Context) []route {
	return []route{
		{"POST", "/api/v1/add_func", "add_func", forAdmin, func(w http.ResponseWriter, r *http.Request) { t.addFunc(run, w, r) }},
		{"POST", "/api/v1/enable", "enable", forAdmin, func(w http.ResponseWriter, r *http.Request) { t.enable(run, w, r) }},
		{"POST", "/api/v1/disable", "disable", forAdmin, func(w http.ResponseWriter, r *http.Request) { t.disable(run, w, r) }},
		{"GET", "/api/v1/known_funcs", "known_funcs", forAdmin, t.knownFuncs},
		{"GET", "/api/v1/routes", "routes", forAdmin, t.routeMap},
		{"GET", "/api/v1/stats", "stats", forAdmin, func(w http.ResponseWriter, r *http.Request) { t.stats(run, w, r) }},
		{"GET", "/api/v1/bundle/{sha}", "bundle", forRunners, t.bundle},
		{"GET", "/api/v1/swagger.json", "swagger", forAll, serveSwagger},
		{"GET", "/metrics", "metrics", forAll, t.metrics},
		{"GET", "/healthz", "healthz", forAll, func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok\n") }},
		{"GET", "/readyz", "readyz", forAll, t.readyz},
		{"GET", "/{$}", "help", forAll, t.help},
	}
}

// handler is the routes, and JSON answers for everything else.
func (t *Tron) handler(run context.Context) http.Handler {
	mux := http.NewServeMux()
	for _, rt := range t.routes(run) {
		mux.HandleFunc(rt.method+" "+rt.path, t.counted(rt.name, t.access.guard(rt.level, rt.handle)))
	}
	if t.opts.Pprof {
		for path, h := range map[string]http.HandlerFunc{
			"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
			"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
		} {
			mux.HandleFunc(path, t.counted("pprof", t.access.guard(forAdmin, h)))
		}
	}
	unmatched := t.counted("other", func(w http.ResponseWriter, r *http.Request) {
		// The mux knows whether it is a 404 or a 405, and the methods that are.
		probe := &header{h: w.Header()}
		h, _ := mux.Handler(r)
		h.ServeHTTP(probe, r)
		w.Header().Del("Content-Length")
		if probe.status == http.StatusMethodNotAllowed {
			fail(w, probe.status, r.Method+" does not go here; "+w.Header().Get("Allow")+" does")
			return
		}
		fail(w, http.StatusNotFound, "no such path; GET / tells what there is")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 { // it is here, and may be worked on for long
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // it would end the request's context
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if _, pattern := mux.Handler(r); pattern == "" {
			unmatched(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// header takes the status and the header of an answer, and no body.
type header struct {
	h      http.Header
	status int
}

func (h *header) Header() http.Header         { return h.h }
func (h *header) Write(b []byte) (int, error) { return len(b), nil }
func (h *header) WriteHeader(status int)      { h.status = status }

func serveSwagger(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(describing) // whoever asked may have gone
}

func (t *Tron) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := t.Ready(); err != nil {
		text(w, http.StatusServiceUnavailable, err.Error()+"\n")
		return
	}
	text(w, http.StatusOK, "ok\n")
}

func (t *Tron) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	t.opts.Metrics.WritePrometheus(w)
	metrics.WriteProcessMetrics(w)
}
