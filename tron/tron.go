// Package tron is the manager: the admin API over HTTP, the bundle store, the
// deployments and routes, and who is alive. It is never in the path of a request.
//
// The work is done in two packages below: store keeps what must not be lost,
// cluster keeps the members in step with it. This one is the API: it holds no
// state of its own, so that what it answers is always theirs. An answer that says
// success is on disk. A request that changes something runs to its end even when
// its client has gone.
package tron

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/funcatron/funcatron/shared/discover"
	"github.com/funcatron/funcatron/shared/logline"
	"github.com/funcatron/funcatron/tron/cluster"
	"github.com/funcatron/funcatron/tron/store"
)

// shutdownTime is how long requests may take once the Tron is to end.
const shutdownTime = 5 * time.Second

// Tron is bound and locked from New on. Its Run must be called, if only with a
// context that has ended, to give address and folder back.
type Tron struct {
	opts    Options
	log     *slog.Logger
	ln      net.Listener
	inside  *inside
	url     string
	store   *store.Store
	cluster *cluster.Cluster
	started time.Time
	ready   atomic.Bool
	access  *access
	// strangers throttles the log lines about refused tokens.
	strangers logline.Throttle
	uploads   chan struct{} // a slot an upload that is being read or checked
	counts    counters
	conns     sync.WaitGroup // the connections' goroutines
}

// New checks the options, opens and locks the state folder, and binds the
// address. It starts nothing.
func New(o Options) (*Tron, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for the admin API; choose another address with --tron-listen: %w", err)
	}
	t, err := open(o, ln)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return t, nil
}

func open(o Options, ln net.Listener) (*Tron, error) {
	if err := o.checkAccess(ln.Addr()); err != nil {
		return nil, err
	}
	url, err := discover.Advertise("--tron-url", o.URL, o.scheme(), ln.Addr(), os.LookupEnv)
	if err != nil {
		return nil, err
	}
	log := o.Log.With("component", "tron")
	if o.TLS != nil {
		if err := o.TLS.Covers(url); err != nil {
			log.Warn("clients that check it refuse the certificate; set --tron-url to a name that it has", "err", err)
		}
	}
	st, err := store.Open(o.StateDir, log)
	if err != nil {
		return nil, err
	}
	t := &Tron{
		opts: o, log: log, ln: ln, inside: newInside(), url: url, store: st, started: time.Now(),
		uploads:   make(chan struct{}, uploadSlots),
		strangers: logline.Throttle{Every: 10 * time.Second, Burst: 5},
	}
	t.access = newAccess(o, url, st.Token(), t.refusedToken)
	t.counts.set = o.Metrics
	t.cluster, err = cluster.New(cluster.Options{
		Broker: o.Broker, Store: st, Queue: o.Queue, URL: url,
		EnableTimeout: o.EnableTimeout, AckTimeout: o.AckTimeout, Log: log, Metrics: o.Metrics,
	})
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return t, nil
}

// Addr is the address that New bound.
func (t *Tron) Addr() net.Addr { return t.ln.Addr() }

// Run serves until ctx ends, then lets running requests finish for 5 s. When it
// returns, every goroutine it started has ended and the state folder is free.
func (t *Tron) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, t.store.Close()) }()
	requests, cut := context.WithCancel(ctx) // of those that wait for something
	defer cut()
	members, stop := context.WithCancel(context.WithoutCancel(ctx)) // needed while requests finish
	kept := make(chan error, 1)
	go func() { kept <- t.cluster.Run(members) }()

	srv := t.server(t.handler(requests))
	served := make(chan error, 2)
	listeners := t.listeners()
	for _, ln := range listeners {
		go func() { served <- srv.Serve(ln) }()
	}
	t.announce()
	t.ready.Store(true)

	clusterEnded := false
	select {
	case <-ctx.Done():
	case err = <-served:
		served <- nil // for the wait below
		err = fmt.Errorf("serve the admin API on %s: %w", t.ln.Addr(), err)
	case err = <-kept:
		clusterEnded = true
	}
	t.ready.Store(false)
	cut()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if e := srv.Shutdown(drain); e != nil && !errors.Is(e, context.DeadlineExceeded) {
		t.log.Warn("admin API did not stop in good order", "err", e)
	}
	_ = srv.Close() // cuts off what is left; the listeners are closed already
	for range listeners {
		<-served
	}
	t.conns.Wait()
	stop()
	if !clusterEnded {
		err = errors.Join(err, <-kept)
	}
	return err
}

// Ready is nil while the Tron can do its work.
func (t *Tron) Ready() error {
	if !t.ready.Load() {
		return errors.New("not running")
	}
	return t.opts.Broker.Err()
}
