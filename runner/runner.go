// Package runner takes requests off queues and runs the functions that answer
// them, each Func Bundle in operating-system processes of its own.
//
// What is to run is the Tron's to say, and its word is taken level by level: any
// enable or disable may come twice, late or out of order, and changes only what is
// not so already. A deployment is live when its processes accept connections and
// its queue is consumed; from then on it is remembered on disk, and served after a
// restart whether or not the Tron is there.
//
// Nothing that a Runner starts outlives it, not even when it is killed: its
// processes die with it, and what those left behind is ended when the next Runner
// takes the state folder over.
package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/member"
	"github.com/funcatron/funcatron/runner/cache"
	"github.com/funcatron/funcatron/runner/made"
	"github.com/funcatron/funcatron/shared/admin"
	"github.com/funcatron/funcatron/shared/bundle"
	"github.com/funcatron/funcatron/shared/discover"
	"github.com/funcatron/funcatron/shared/wire"
)

// queuePrefix begins the name of a Runner's control queue.
const queuePrefix = "RU-"

// parallelStarts is how many deployments are started at once.
const parallelStarts = 4

// Runner runs functions. New makes one, Run makes it work.
type Runner struct {
	opts       Options
	log        *slog.Logger
	began      time.Time
	folder     *folder
	jails      jails // its groups are opened by Run
	admin      *admin.Server
	adminURL   string
	cache      *cache.Cache
	made       *made.Store // set by Run, as the two below
	hosts      hosts
	runtimes   []string
	responder  *dispatch.Responder
	link       *member.Link // set by Run
	tron       tron
	ports      ports
	starts     chan struct{}  // of capacity parallelStarts
	acceptTime time.Duration  // that a process has to accept connections
	lives      sync.WaitGroup // the deployments' goroutines

	saving sync.Mutex // one save at a time; taken before mu

	mu          sync.Mutex
	deployments map[string]*deployment // under mu, by id
	kept        []wire.Deployment      // under mu: ended with the Runner, and still saved
	leaving     bool                   // under mu
}

// New checks the options, takes the state folder and binds the admin address. It
// starts nothing; its Run must be called, if only with a context that has ended,
// to give both back.
func New(o Options) (*Runner, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	r := &Runner{
		opts:        o,
		log:         o.Log.With("component", "runner"),
		began:       time.Now(),
		tron:        tron{known: make(chan struct{})},
		ports:       ports{taken: make(map[int]bool)},
		starts:      make(chan struct{}, parallelStarts),
		acceptTime:  defaultAcceptTime,
		deployments: make(map[string]*deployment),
	}
	var err error
	r.jails = jails{memory: o.FunctionMemory, log: r.log}
	if r.jails.users, err = openUsers(o); err != nil {
		return nil, err
	}
	if r.folder, err = openFolder(o.StateDir, o.RunDir, r.jails.users); err != nil {
		return nil, err
	}
	fetched := o.Metrics.GetOrCreateCounter(`funcatron_runner_bundle_fetches_total{result="ok"}`)
	failed := o.Metrics.GetOrCreateCounter(`funcatron_runner_bundle_fetches_total{result="failed"}`)
	r.cache, err = cache.New(cache.Options{
		Dir: r.folder.bundles(), MaxBytes: o.CacheBytes, MaxBundles: o.CacheBundles, MaxBundle: bundle.MaxSize,
		Source: func(ctx context.Context) (cache.Source, error) { return r.tron.source(ctx, o.TronURL) },
		TLS:    o.TronTLS, Dial: o.TronDial,
		Fetched: func(err error) {
			if err == nil {
				fetched.Inc()
			} else {
				failed.Inc()
			}
		},
		Log: r.log,
	})
	if err != nil {
		r.folder.close()
		return nil, err
	}
	r.admin, err = admin.New(admin.Options{
		Listen: o.AdminListen, Metrics: []*metrics.Set{o.Metrics}, Ready: r.ready, Log: r.log, Pprof: o.Pprof,
	})
	if err != nil {
		r.folder.close()
		return nil, fmt.Errorf("%w (--runner-admin-listen)", err)
	}
	if r.adminURL, err = discover.Advertise("--runner-admin-listen", "", "http", r.admin.Addr(), os.LookupEnv); err != nil {
		panic("BUG: a listener's address is no URL: " + err.Error())
	}
	r.responder = dispatch.NewResponder(o.Broker, dispatch.ResponderOptions{MaxBatch: o.MaxBatch, Log: r.log, Metrics: o.Metrics})
	o.Metrics.GetOrCreateGauge("funcatron_runner_live_deployments", func() float64 { return float64(r.countLive()) })
	return r, nil
}

// AdminAddr is where metrics and health are.
func (r *Runner) AdminAddr() net.Addr { return r.admin.Addr() }

// Run serves until ctx ends, then for at most Options.DrainTime lets running
// requests finish and processes stop. When it returns nothing that it started is
// left but the saved state and the bundle cache.
func (r *Runner) Run(ctx context.Context) error {
	defer r.folder.close()
	defer r.cache.Close()
	bg, stop := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	defer background.Wait()
	defer stop()
	broken := make(chan error, 2)
	background.Go(func() {
		if err := r.admin.Run(bg); err != nil {
			broken <- err
		}
	})
	killed, err := r.folder.clean(r.jails.users)
	if killed > 0 {
		r.log.Warn("processes of an earlier life were ended", "count", killed)
	}
	if err == nil {
		err = r.jails.open(r.opts.CgroupParent, groupFamily+r.folder.id()+"-")
	}
	if err != nil {
		return errors.Join(err, r.folder.removeRuns())
	}
	defer r.jails.close()
	if r.made, err = r.folder.openMade(r.jails.users != nil, r.opts.CacheBundles); err != nil {
		return errors.Join(err, r.folder.removeRuns())
	}
	r.hosts.dir = r.folder.hosts()
	r.runtimes = r.available()

	serving, leave := context.WithCancel(ctx)
	defer leave()
	kill, killAll := context.WithCancel(bg)
	defer killAll()
	r.link = member.New(member.Options{
		Broker: r.opts.Broker, TronQueue: r.opts.TronQueue, Prefix: queuePrefix, Log: r.log,
		Describe: r.describe, Handle: func(m wire.Message) { r.handle(serving, kill, m) },
	})
	r.resume(serving, kill)
	background.Go(func() {
		if err := r.link.Run(bg); err != nil {
			broken <- err
		}
	})
	r.log.Info("runner is ready", "name", r.opts.Name, "runtimes", strings.Join(r.runtimes, ","), "admin", r.AdminAddr().String(), "state", r.folder.path)

	select {
	case err = <-broken:
	case <-ctx.Done():
	}
	r.mu.Lock()
	r.leaving = true
	r.mu.Unlock()
	leave()
	late := time.AfterFunc(r.opts.DrainTime, killAll)
	r.lives.Wait()
	late.Stop()
	return errors.Join(err, r.folder.removeRuns())
}

// resume begins what was live when the last life ended.
func (r *Runner) resume(ctx, kill context.Context) {
	list, err := readSaved(r.folder.saved())
	if err != nil {
		r.log.Error("nothing is resumed; what the Tron has enabled will come from it", "err", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range list {
		r.begin(ctx, kill, d, true)
	}
}

// ready says why no request can be served.
func (r *Runner) ready() error {
	r.mu.Lock()
	leaving := r.leaving
	r.mu.Unlock()
	if leaving {
		return errLeaving
	}
	return r.opts.Broker.Err()
}

func (r *Runner) countLive() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, d := range r.deployments {
		if d.live != nil && d.live.team.places.count() > 0 {
			n++
		}
	}
	return n
}
