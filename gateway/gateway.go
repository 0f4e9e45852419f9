// Package gateway turns HTTP requests into messages, and the replies into
// responses.
//
// A request sees one route table from its first byte to its last: tables are
// replaced whole, never changed. Everything that a table can fail at fails before
// it is swapped in; the old one keeps serving. No request waits beyond its
// deadline, whatever becomes of the broker or of the function.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/member"
	"github.com/funcatron/funcatron/shared/admin"
	"github.com/funcatron/funcatron/shared/certs"
	"github.com/funcatron/funcatron/shared/discover"
	"github.com/funcatron/funcatron/shared/logline"
	"github.com/funcatron/funcatron/shared/statefile"
	"github.com/funcatron/funcatron/shared/version"
	"github.com/funcatron/funcatron/shared/wire"
)

// Prefix begins the names of a gateway's control queues.
const Prefix = "FRNT-"

// Limits of the HTTP side that are not worth a flag.
const (
	maxHeader   = 16 << 10         // bytes of a request's first line and headers
	readTimeout = 75 * time.Second // from a request's first byte to its last, and between requests
)

// Options configures a Gateway.
type Options struct {
	Broker         dispatch.Broker
	Listen         string         // where clients come
	AdminListen    string         // metrics, health, /__routes
	TLS            *certs.Server  // what clients speak at Listen; nil is plain HTTP
	URL            string         // what clients are told; "" makes it of Listen
	TronQueue      string         // the Tron's control queue
	StateDir       string         // this gateway's own folder
	MaxBody        int            // bytes of a request's body
	MaxPending     int            // requests that wait for their reply
	MaxBatch       int            // requests that share a message to the broker
	TrustedProxies []netip.Prefix // whose X-Forwarded-* and Forwarded are believed
	DrainDelay     time.Duration  // readyz answers 503 for so long before the listener closes
	DrainTime      time.Duration  // for requests to finish after that
	Pprof          bool
	Log            *slog.Logger
	Metrics        *metrics.Set

	readTimeout time.Duration // 0 is the constant's; for tests
}

// DefaultOptions are those of DESIGN section 8, on one machine.
func DefaultOptions() Options {
	return Options{
		Listen:      "127.0.0.1:8080",
		AdminListen: "127.0.0.1:9080",
		TronQueue:   wire.TronQueue,
		MaxBody:     8 << 20,
		MaxPending:  16384,
		MaxBatch:    dispatch.DefaultMaxBatch,
		DrainDelay:  time.Second,
		DrainTime:   30 * time.Second,
		Log:         slog.New(slog.DiscardHandler),
	}
}

func (o Options) validate() error {
	switch {
	case o.Broker == nil:
		return errors.New("no Broker")
	case o.StateDir == "":
		return errors.New("StateDir is empty (--state-dir)")
	case o.MaxBody < 1 || o.MaxBody > 64<<20:
		return fmt.Errorf("MaxBody is %d, must be from 1 to %d bytes (--max-body)", o.MaxBody, 64<<20)
	case o.MaxPending < 1:
		return fmt.Errorf("MaxPending is %d, must be at least 1 (--max-pending)", o.MaxPending)
	case o.MaxBatch < 1:
		return fmt.Errorf("MaxBatch is %d, must be at least 1 (--max-batch)", o.MaxBatch)
	case o.DrainTime <= 0 || o.DrainDelay < 0:
		return errors.New("DrainTime must be positive, DrainDelay not negative (--drain-time, --drain-delay)")
	}
	return nil
}

func (o Options) scheme() string {
	if o.TLS != nil {
		return "https"
	}
	return "http"
}

// Gateway is one gateway process.
type Gateway struct {
	opts     Options
	name     string
	log      *slog.Logger
	ln       net.Listener
	srv      *fasthttp.Server
	admin    *admin.Server
	adminURL string
	link     *member.Link
	calls    *dispatch.Caller
	since    time.Time

	routes   *routes
	measures *measures
	repeats  *metrics.Counter // of requests that are sent again since their runner is gone
	failures logline.Throttle // of log lines about failed requests
	lock     *os.File         // of the state folder
	draining atomic.Bool
}

// New binds both listeners and loads the saved route table. It starts nothing.
func New(o Options) (*Gateway, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("gateway options: %w", err)
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	lock, err := statefile.Lock(o.StateDir)
	if err != nil {
		return nil, fmt.Errorf("%w (give each gateway its own --state-dir)", err)
	}
	g := &Gateway{
		opts: o, name: Prefix + wire.NewID(), log: o.Log.With("component", "gateway"),
		since: time.Now(), lock: lock, failures: logline.Throttle{Every: 100 * time.Millisecond, Burst: 50},
	}
	if err := g.prepare(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return g, nil
}

// prepare is New once the state folder is ours.
func (g *Gateway) prepare() error {
	o := g.opts
	g.measures = newMeasures(o.Metrics)
	g.repeats = o.Metrics.NewCounter("funcatron_gateway_requests_sent_again_total")

	copts := dispatch.DefaultCallerOptions()
	copts.Prefix = g.name + "-replies-"
	copts.MaxPending, copts.MaxPerQueue = o.MaxPending, max(o.MaxPending*3/4, 1)
	copts.MaxBatch = o.MaxBatch
	copts.Log, copts.Metrics = g.log, o.Metrics
	var err error
	if g.calls, err = dispatch.NewCaller(o.Broker, copts); err != nil {
		return err
	}
	g.link = member.New(member.Options{
		Broker: o.Broker, TronQueue: o.TronQueue, Prefix: Prefix,
		Describe: g.describe, Handle: func(m wire.Message) { g.routes.handle(m) }, Log: g.log,
	})
	g.routes = newRoutes(filepath.Clean(o.StateDir), g.link, g.measures, g.log)

	if g.ln, err = net.Listen("tcp", o.Listen); err != nil {
		return fmt.Errorf("listen for clients (--gateway-listen): %w", err)
	}
	if g.opts.URL, err = discover.Advertise("--gateway-url", o.URL, o.scheme(), g.ln.Addr(), os.LookupEnv); err != nil {
		_ = g.ln.Close()
		return err
	}
	if o.TLS != nil {
		if err := o.TLS.Covers(g.opts.URL); err != nil {
			g.log.Warn("clients that check it refuse the certificate; set --gateway-url to a name that it has", "err", err)
		}
	}
	g.admin, err = admin.New(admin.Options{
		Listen: o.AdminListen, Metrics: []*metrics.Set{o.Metrics}, Ready: g.Ready, Pprof: o.Pprof, Log: g.log,
		Handlers: map[string]http.Handler{"GET /__routes": http.HandlerFunc(g.showRoutes)},
	})
	if err != nil {
		_ = g.ln.Close()
		return fmt.Errorf("listen for admin (--gateway-admin-listen): %w", err)
	}
	if g.adminURL, err = discover.Advertise("--gateway-admin-listen", "", "http", g.admin.Addr(), os.LookupEnv); err != nil {
		panic("BUG: a listener's address is no URL: " + err.Error())
	}
	timeout := cmp.Or(o.readTimeout, readTimeout)
	g.srv = &fasthttp.Server{
		Handler:                      g.serve,
		ErrorHandler:                 g.refuse,
		HeaderReceived:               mark,
		ExpectHandler:                g.expect,
		SecureErrorLogMessage:        true, // no error quotes 16 KiB of what a client sent
		Name:                         "funcatron",
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		MaxRequestBodySize:           o.MaxBody,
		ReadBufferSize:               maxHeader,
		ReadTimeout:                  timeout,
		WriteTimeout:                 timeout,
		IdleTimeout:                  timeout, // the same, so that coarse deadlines serve both
		ReduceMemoryUsage:            true,    // of connections that wait; clientConn makes it cheap
		DisablePreParseMultipartForm: true,    // bodies are passed on as they came
		CloseOnShutdown:              true,
		Logger:                       quiet{g.log},
	}
	return nil
}

// Addr is where clients come.
func (g *Gateway) Addr() net.Addr { return g.ln.Addr() }

// AdminAddr is where metrics and health are.
func (g *Gateway) AdminAddr() net.Addr { return g.admin.Addr() }

// Ready is nil when requests can be served.
func (g *Gateway) Ready() error {
	if g.draining.Load() {
		return errors.New("draining")
	}
	if err := g.opts.Broker.Err(); err != nil {
		return err
	}
	if g.routes.current.Load().epoch == "" {
		return errors.New("no route table yet: the Tron has not answered")
	}
	return nil
}

// Run serves until ctx ends, then drains: readyz says no for DrainDelay, while
// every response asks its client to close; then the listener closes, and what is
// under way has DrainTime to finish. Run owns every goroutine of the gateway.
func (g *Gateway) Run(ctx context.Context) error {
	// What serving needs outlives ctx until the last request is answered.
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer func() { _ = g.lock.Close() }() // it was opened for its lock only
	defer wg.Wait()
	defer stop()
	failed := make(chan error, 5)
	start := func(what string, run func(context.Context) error) {
		wg.Go(func() {
			if err := run(inner); err != nil && inner.Err() == nil {
				failed <- fmt.Errorf("%s: %w", what, err)
			}
		})
	}
	start("admin", g.admin.Run)
	start("calls", g.calls.Run)
	start("control", g.link.Run)
	start("routes", g.routes.run)
	start("watch", g.watch)
	served := make(chan error, 1)
	var clients net.Listener = listener{g.ln}
	if g.opts.TLS != nil {
		clients = secure{g.opts.TLS.Listen(clients)}
	}
	wg.Go(func() { served <- g.srv.Serve(clients) })
	g.log.Info("serving", "url", g.opts.URL, "admin", g.adminURL, "version", version.String())

	var cause error
	select {
	case <-ctx.Done():
	case cause = <-failed:
	case err := <-served:
		return fmt.Errorf("serve %s: %w", g.ln.Addr(), err)
	}
	g.draining.Store(true)
	g.log.Info("draining", "pending", g.calls.Pending())
	select {
	case <-time.After(g.opts.DrainDelay):
	case <-failed:
	}
	drain, cancel := context.WithTimeout(inner, g.opts.DrainTime)
	defer cancel()
	if err := g.srv.ShutdownWithContext(drain); err != nil {
		cause = errors.Join(cause, fmt.Errorf("drain: %w", err))
	}
	_ = g.ln.Close() // Shutdown does not know a listener that Serve has not come to yet
	<-served
	return cause
}

func (g *Gateway) describe() wire.Member {
	host, _ := os.Hostname() // only for people to read
	state := g.routes.current.Load()
	return wire.Member{
		Name: g.name, Kind: wire.KindGateway, Software: version.String(), Host: host, PID: os.Getpid(),
		URL: g.opts.URL, AdminURL: g.adminURL, UptimeMs: time.Since(g.since).Milliseconds(),
		Epoch: state.epoch, Table: state.known(), Stats: state.stats(), Pending: g.calls.Pending(),
	}
}

// quiet keeps fasthttp's complaints about its clients out of the operator's way.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(format string, args ...any) {
	q.log.Debug("http", "what", fmt.Sprintf(format, args...))
}
