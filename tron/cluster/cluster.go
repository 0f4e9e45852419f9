// Package cluster is the Tron's part in the cluster: who is connected, what is
// deployed, and the route table that follows from it.
//
// A deployment is started on a runner, proven, committed to disk, routed to, and
// only then does the one it replaces stop, in that order; where a step fails, what
// was before goes on. What is current is what the store says: memory follows disk.
// Members are kept in step by level, not by edge: each report is compared with
// what should be, and what differs is said again, so that no lost message matters.
//
// Rules for what is shared:
//
//   - One mutex, Cluster.mu, guards all state in memory. Whoever holds it neither
//     publishes, nor touches the disk, nor waits. Messages are put into the outbox
//     under it, and one goroutine publishes them in that order: members hear of
//     decisions in the order in which they were made.
//   - Cluster.commits is held from a change's transaction until memory has
//     followed, so that versions reach memory in order. It is taken before mu.
//   - A place (host and base path) is held for the whole of an enable or a disable
//     there, before either of the two.
//   - Time is the Tron's monotonic clock only.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/shared/wire"
	"github.com/funcatron/funcatron/tron/store"
)

// The control queue of the Tron: room for the reports of thousands of members
// while it starts anew. It need not outlive a longer absence, since members'
// messages expire sooner, and is not left behind by a cluster that was taken down.
const (
	controlLength  = 20_000
	controlExpires = time.Minute
	prefetch       = 32
)

// Options is what a Cluster works with; all of it must be set.
type Options struct {
	Broker dispatch.Broker
	Store  *store.Store
	Queue  string // the Tron's control queue
	URL    string // of the admin API, where runners fetch bundles

	// EnableTimeout is how long runners have to bring a deployment up.
	EnableTimeout time.Duration
	// AckTimeout is how long an enable or disable waits for the gateways to take
	// the new routes; those that are slower get there by their next report.
	AckTimeout time.Duration

	Log     *slog.Logger
	Metrics *metrics.Set
}

// Cluster is what the Tron knows and wants of its members.
type Cluster struct {
	opts    Options
	log     *slog.Logger
	counts  counters
	outbox  outbox
	places  places
	commits sync.Mutex

	// mu guards everything below, by the rules above.
	mu          sync.Mutex
	changed     chan struct{} // closed, and made anew, by every change
	epoch       string
	version     int64
	table       *wire.Routes // of epoch and version; never changed once made
	current     map[store.Place]*deployment
	deployments map[string]*deployment // by id
	members     map[string]*member     // by name
	questions   map[string]question    // by message id: what members are still to acknowledge
	membersNew  bool                   // the store's list of members is out of date
	ahead       bool                   // a gateway knows a route version that was never given out
}

// New makes a Cluster of what is in the store. It starts nothing.
func New(o Options) (*Cluster, error) {
	c := &Cluster{
		opts:        o,
		log:         o.Log,
		changed:     make(chan struct{}),
		current:     make(map[store.Place]*deployment),
		deployments: make(map[string]*deployment),
		members:     make(map[string]*member),
		questions:   make(map[string]question),
	}
	c.outbox.ready = make(chan struct{}, 1)
	all, version, err := o.Store.Deployments()
	if err != nil {
		return nil, err
	}
	known, err := o.Store.Members()
	if err != nil {
		return nil, err
	}
	c.epoch, c.version = o.Store.Epoch(), version
	now := time.Now()
	for _, d := range all {
		dep := &deployment{Deployment: d.Deployment, security: d.Security, enabled: d.Enabled, since: now, stored: true, consumers: unknown}
		c.deployments[d.ID] = dep
		if d.Draining {
			dep.phase, dep.unrouted = unrouting, version
			continue
		}
		dep.phase = current
		c.current[store.PlaceOf(&d.Deployment)] = dep
	}
	for _, m := range known {
		c.members[m.Name] = &member{
			Member: wire.Member{Name: m.Name, Kind: m.Kind}, queue: m.Queue, seen: now, runs: make(map[string]*run),
		}
	}
	c.makeTable()
	c.counts.register(o.Metrics, c)
	return c, nil
}

// Run keeps the cluster in step until ctx ends. When it returns, every goroutine
// it started has ended and what it had to say has been published.
func (c *Cluster) Run(ctx context.Context) error {
	inner, stop := context.WithCancel(ctx)
	var wg, post sync.WaitGroup
	postDone := make(chan struct{})
	post.Go(func() { c.deliver(postDone) })
	defer post.Wait()
	defer close(postDone) // the others have ended: nothing more comes
	defer wg.Wait()
	defer stop()

	c.begin()
	consumed := make(chan error, 1)
	wg.Go(func() {
		q := dispatch.Queue{Name: c.opts.Queue, MaxLength: controlLength, Expires: controlExpires}
		consumed <- c.opts.Broker.Consume(inner, q, prefetch, c.take)
	})
	wg.Go(func() { c.keep(inner) })
	wg.Go(func() { c.watch(inner) })
	wg.Go(func() { c.drain(inner) })

	select {
	case <-ctx.Done():
		return nil
	case err := <-consumed:
		if err == nil && ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = errors.New("it ended by itself")
		}
		return fmt.Errorf("consume the control queue %s: %w", c.opts.Queue, err)
	}
}

// begin asks those who were connected before the Tron went to report at once.
func (c *Cluster) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for _, m := range c.members {
		m.seen = now
		c.ask(m, now)
	}
}

// wake lets everybody look again who waits for a change. mu is held.
func (c *Cluster) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// await waits until done is true, and looks whenever something has changed. done
// is called with mu held. The error is that of ctx.
func (c *Cluster) await(ctx context.Context, done func() bool) error {
	for {
		c.mu.Lock()
		ok, changed := done(), c.changed
		c.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
