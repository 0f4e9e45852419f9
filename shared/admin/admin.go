// Package admin is the small HTTP server that every part has beside its real
// work: /metrics, /healthz, /readyz, and what the part adds.
//
// It answers whether or not the part is well, since that is what it is asked; it
// holds no state of its own, and every request to it ends within two minutes.
package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

const (
	// requestTime bounds one request from its first byte to the answer's last. A
	// CPU profile takes 30 s unless asked otherwise.
	requestTime = 2 * time.Minute
	headerTime  = 10 * time.Second
	// grace is how long Run waits, once its context ended, for running requests.
	grace = 5 * time.Second
)

// Options are what New needs. Only Listen must be set.
type Options struct {
	Listen string // host:port; port 0 takes any that is free

	// Metrics are written one after the other, and then the process's own. A set
	// that is there twice is written once.
	Metrics []*metrics.Set

	// Ready says why the part cannot serve at this moment; nil is ready. It is
	// called for each /readyz, on many goroutines at once, and must not block.
	Ready func() error

	// Handlers are more handlers by http.ServeMux pattern ("GET /__routes"). They
	// must return when their request's context ends.
	Handlers map[string]http.Handler

	Log   *slog.Logger
	Pprof bool // serve /debug/pprof/ too: it shows the process's insides

	header, request time.Duration // 0 are the constants'; for tests
}

// Server is bound to its address from New on. Its Run must be called, if only
// with a context that has ended, to give the address back.
type Server struct {
	ln    net.Listener
	srv   *http.Server
	stop  context.CancelFunc // ends the context of every request
	conns sync.WaitGroup     // the connections' goroutines
}

// New binds the address. It starts nothing.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	mux, err := routes(o)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for admin requests: %w", err)
	}
	base, stop := context.WithCancel(context.Background())
	s := &Server{ln: ln, stop: stop}
	s.srv = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: cmp.Or(o.header, headerTime),
		ReadTimeout:       cmp.Or(o.request, requestTime), // not less: its end cancels the request's context
		WriteTimeout:      cmp.Or(o.request, requestTime),
		IdleTimeout:       requestTime,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnState:         s.count,
	}
	return s, nil
}

// Addr is the address that New bound.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Run serves until ctx ends, then lets running requests finish for 5 s and cuts
// off what is left. When it returns, every goroutine it started has ended.
func (s *Server) Run(ctx context.Context) error {
	defer s.stop()
	served := make(chan error, 1)
	go func() { served <- s.srv.Serve(s.ln) }()

	select {
	case err := <-served:
		s.cut()
		return fmt.Errorf("serve admin requests on %s: %w", s.ln.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := s.srv.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // cut ends what is left
	}
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	s.cut()
	if err != nil {
		return fmt.Errorf("stop admin server on %s: %w", s.ln.Addr(), err)
	}
	return nil
}

// cut closes every connection, ends every request's context, and waits for their
// goroutines. Serve has returned: there will be no new ones.
func (s *Server) cut() {
	s.stop()
	_ = s.srv.Close() // the listener is closed already, and its error was that
	s.conns.Wait()
}

// count keeps conns. StateNew comes from Serve's goroutine, before it starts the
// connection's; the others are the last that a connection's goroutine says.
func (s *Server) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.conns.Done()
	}
}

// routes builds the mux. ServeMux panics on patterns that are wrong or conflict:
// that becomes New's error.
func routes(o Options) (mux *http.ServeMux, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("admin handlers: %v", p)
		}
	}()
	mux = http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { writeMetrics(w, o.Metrics) })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if o.Ready != nil {
			if err := o.Ready(); err != nil {
				answer(w, http.StatusServiceUnavailable, err.Error())
				return
			}
		}
		answer(w, http.StatusOK, "ok")
	})
	if o.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	for pattern, h := range o.Handlers {
		mux.Handle(pattern, h)
	}
	return mux, nil
}

func answer(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append([]byte(text), '\n')) // whoever asked may have gone
}
