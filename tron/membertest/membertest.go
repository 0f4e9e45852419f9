// Package membertest is gateways and runners for tests of the Tron: they speak
// the control messages over a real broker, and do nothing else.
//
// What a test sets on one, it sets before Run; what it asks one, it may ask at any
// time.
package membertest

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/member"
	"github.com/funcatron/funcatron/shared/wire"
)

// part is what gateways and runners have in common.
type part struct {
	name, kind string
	// Runtimes is what it says of what it can run; set it before Run.
	Runtimes []string
	broker   *muted
	link     *member.Link

	mu   sync.Mutex // guards what is below, and the fields of the types that embed it
	seen []wire.Message
	url  string
}

// muted is a broker through which nothing goes out any more once it is cut.
type muted struct {
	dispatch.Broker
	cut atomic.Bool
}

func (b *muted) Publish(queue string, m dispatch.Message, settled func(error)) {
	if !b.cut.Load() {
		b.Broker.Publish(queue, m, settled)
	} else if settled != nil {
		settled(nil)
	}
}

// Mute makes the member silent: nobody hears from it any more, as after kill -9
// when its Run ends, and as from a process that hangs when it does not.
func (p *part) Mute() { p.broker.cut.Store(true) }

// Report sends a heartbeat now.
func (p *part) Report() { p.link.Report() }

// Send sends a message to the Tron.
func (p *part) Send(m wire.Message) { p.link.Send(m) }

// Seen are the messages of an action that arrived.
func (p *part) Seen(a wire.Action) []wire.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []wire.Message
	for _, m := range p.seen {
		if m.Action == a {
			list = append(list, m)
		}
	}
	return list
}

func (p *part) note(m wire.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, m)
}

func (p *part) ack(re wire.Message, err error, logs ...string) {
	a := &wire.Ack{Re: re.ID, OK: err == nil, Logs: logs}
	if err != nil {
		a.Error = err.Error()
	}
	p.link.Send(wire.Message{Action: wire.AckAction, Ack: a})
}

func (p *part) describe() wire.Member {
	return wire.Member{Name: p.name, Kind: p.kind, Software: "test", Host: "test", PID: os.Getpid(), URL: p.url, Runtimes: p.Runtimes}
}

// Gateway is a gateway without HTTP.
type Gateway struct {
	part
	// Refuse, where set, says why a table is not taken, or that it is not answered.
	Refuse func(wire.Routes) (err error, silent bool)
	Stats  []wire.OperationStats
	table  wire.Routes
}

// NewGateway makes a gateway that clients reach at url.
func NewGateway(b dispatch.Broker, tronQueue, name, url string) *Gateway {
	g := &Gateway{part: part{name: name, kind: wire.KindGateway, url: url, broker: &muted{Broker: b}}}
	g.link = member.New(member.Options{
		Broker: g.broker, TronQueue: tronQueue, Prefix: "FRNT-", Describe: g.describe, Handle: g.handle,
		Log: slog.New(slog.DiscardHandler),
	})
	return g
}

// Run keeps the gateway connected until ctx ends.
func (g *Gateway) Run(ctx context.Context) error { return g.link.Run(ctx) }

// Table is the table that it serves.
func (g *Gateway) Table() wire.Routes {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.table
}

// Know makes it serve a table that nobody sent.
func (g *Gateway) Know(t wire.Routes) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.table = t
}

// To is the deployment that a base path leads to, "" where none does.
func (g *Gateway) To(basePath string) string {
	for _, r := range g.Table().Routes {
		if r.BasePath == basePath {
			return r.Deployment
		}
	}
	return ""
}

func (g *Gateway) describe() wire.Member {
	m := g.part.describe()
	t := g.Table()
	m.Epoch, m.Table, m.Stats = t.Epoch, t.Version, g.Stats
	return m
}

func (g *Gateway) handle(m wire.Message) {
	defer g.note(m)
	if m.Action != wire.Route {
		return
	}
	if g.Refuse != nil {
		if err, silent := g.Refuse(*m.Routes); silent || err != nil {
			if !silent {
				g.ack(m, err)
			}
			return
		}
	}
	g.mu.Lock()
	if g.table.Epoch != m.Routes.Epoch || g.table.Version < m.Routes.Version {
		g.table = *m.Routes
	}
	g.mu.Unlock()
	g.ack(m, nil)
}

// Failure is why a Runner does not start a deployment.
type Failure struct {
	Reason string
	Logs   []string
}

func (f *Failure) Error() string { return f.Reason }

// Runner is a runner without processes: a live deployment is a consumer of its
// queue that throws away what it gets.
type Runner struct {
	part
	// Start, where set, decides what comes of a deployment. It may take its time;
	// ctx ends when the runner is told to stop the deployment.
	Start func(ctx context.Context, d wire.Deployment) *Failure
	// Idle makes it say that a deployment is live and take nothing off its queue.
	Idle bool
	// Drain, where set, returns when the deployment has worked off what it holds.
	Drain func(id string)

	jobs sync.WaitGroup
	runs map[string]*job
}

type job struct {
	status wire.DeploymentStatus
	cancel context.CancelFunc
	asked  []wire.Message // enables to be acknowledged
	done   chan struct{}
}

// NewRunner makes a runner.
func NewRunner(b dispatch.Broker, tronQueue, name string) *Runner {
	r := &Runner{part: part{name: name, kind: wire.KindRunner, broker: &muted{Broker: b}}, runs: make(map[string]*job)}
	r.link = member.New(member.Options{
		Broker: r.broker, TronQueue: tronQueue, Prefix: "RU-", Describe: r.describe, Handle: r.handle,
		Log: slog.New(slog.DiscardHandler),
	})
	return r
}

// Run keeps the runner connected until ctx ends.
func (r *Runner) Run(ctx context.Context) error {
	defer r.jobs.Wait()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, j := range r.runs {
			j.cancel()
		}
	}()
	return r.link.Run(ctx)
}

// States are the deployments it has, by id.
func (r *Runner) States() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	states := make(map[string]string)
	for id, j := range r.runs {
		states[id] = j.status.State
	}
	return states
}

// Forget makes it lose a deployment, as if its process had never been.
func (r *Runner) Forget(id string) {
	r.mu.Lock()
	j := r.runs[id]
	delete(r.runs, id)
	r.mu.Unlock()
	j.cancel()
	<-j.done
}

func (r *Runner) describe() wire.Member {
	m := r.part.describe()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range r.runs {
		m.Deployments = append(m.Deployments, j.status)
	}
	slices.SortFunc(m.Deployments, func(a, b wire.DeploymentStatus) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return m
}

func (r *Runner) handle(m wire.Message) {
	r.note(m)
	switch m.Action {
	case wire.Enable:
		r.enable(m)
	case wire.Disable:
		r.disable(m)
	}
}

func (r *Runner) enable(m wire.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.runs[m.Deployment.ID]
	switch {
	case j != nil && j.status.State == wire.StateLive:
		r.ack(m, nil)
		return
	case j != nil && j.status.State == wire.StateStarting:
		j.asked = append(j.asked, m)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	j = &job{
		status: wire.DeploymentStatus{ID: m.Deployment.ID, State: wire.StateStarting},
		cancel: cancel, asked: []wire.Message{m}, done: make(chan struct{}),
	}
	r.runs[m.Deployment.ID] = j
	d := *m.Deployment
	r.jobs.Go(func() { r.work(ctx, j, d) })
}

func (r *Runner) work(ctx context.Context, j *job, d wire.Deployment) {
	defer close(j.done)
	var failed *Failure
	if r.Start != nil {
		failed = r.Start(ctx, d)
	}
	if failed != nil {
		r.settle(j, wire.StateFailed, failed)
		return
	}
	consuming := make(chan struct{})
	r.jobs.Go(func() {
		defer close(consuming)
		if r.Idle {
			<-ctx.Done()
			return
		}
		_ = r.broker.Consume(ctx, dispatch.Queue{Name: d.Queue, MaxLength: 100}, 1, func(d *dispatch.Delivery) {
			d.Settle(dispatch.Ack)
		})
	})
	r.settle(j, wire.StateLive, nil)
	<-consuming
}

func (r *Runner) settle(j *job, state string, failed *Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j.status.State = state
	for _, m := range j.asked {
		if failed == nil {
			r.ack(m, nil)
			continue
		}
		j.status.Reason = failed.Reason
		r.ack(m, failed, failed.Logs...)
	}
	j.asked = nil
}

func (r *Runner) disable(m wire.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.runs[m.Stop.ID]
	if j == nil {
		r.ack(m, nil)
		return
	}
	j.status.State = wire.StateDraining
	r.jobs.Go(func() {
		if r.Drain != nil {
			r.Drain(m.Stop.ID)
		}
		j.cancel()
		<-j.done
		r.mu.Lock()
		if r.runs[m.Stop.ID] == j {
			delete(r.runs, m.Stop.ID)
		}
		r.mu.Unlock()
		r.ack(m, nil)
	})
}
