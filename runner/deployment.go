package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/runner/output"
	"github.com/funcatron/funcatron/shared/logline"
	"github.com/funcatron/funcatron/shared/reqid"
	"github.com/funcatron/funcatron/shared/wire"
)

const (
	// startPatience bounds a start, most of which may be the fetch of the bundle.
	startPatience = 5 * time.Minute
	// A deployment that was live before is tried again after retryPause, which
	// doubles up to restartPauseMax.
	retryPause = time.Second
	// drainTick is how often a queue that is to run empty is looked at, and
	// drainCalm how many times in a row it has to be empty: what a gateway had
	// just sent may not be in it yet.
	drainTick = 100 * time.Millisecond
	drainCalm = 3
	// drainSpare is what a drain may take beyond the longest deadline of a request.
	drainSpare = 10 * time.Second
)

// deployment is one deployment, from the enable that began it to its end. One
// goroutine lives its life; all else looks at it under Runner.mu.
type deployment struct {
	want wire.Deployment
	log  *slog.Logger
	stop chan struct{} // closed when it is disabled
	kick chan struct{} // of capacity 1: it is worth another try now

	// All under Runner.mu.
	state    string
	reason   string    // of StateFailed
	lines    []string  // and the function's last ones
	proven   bool      // was live once: it is saved
	over     bool      // its goroutine has ended; only what became of it is left
	disabled bool      // stop is closed
	again    *enabling // it was enabled again while it stopped
	enables  []string  // messages that wait for it to be live
	disables []string  // messages that wait for its end
	live     *service  // while it serves
}

// enabling is a deployment that begins when the one before it has ended.
type enabling struct {
	want    wire.Deployment
	enables []string
}

// tend is d's life: it starts, serves, and ends when d is disabled or ctx ends.
// One that was live before is started again when that fails. When kill ends,
// every process is killed.
func (r *Runner) tend(ctx, kill context.Context, d *deployment) {
	pause := retryPause
	for {
		err := r.serve(ctx, kill, d)
		if err == nil || ctx.Err() != nil || d.stopped() {
			break
		}
		if !r.fail(d, err) {
			return // it stays in the list, for people to see why
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, restartPauseMax)
		case <-d.kick:
			pause = retryPause
		case <-d.stop:
		case <-ctx.Done():
		}
		if ctx.Err() != nil || d.stopped() {
			break
		}
		r.enter(d, wire.StateStarting)
	}
	r.end(ctx, kill, d)
}

// stopped says that d was disabled.
func (d *deployment) stopped() bool {
	select {
	case <-d.stop:
		return true
	default:
		return false
	}
}

// serve starts d, serves it until it is disabled or ctx ends, and stops it. The
// error says why it did not start.
func (r *Runner) serve(ctx, kill context.Context, d *deployment) error {
	starting, cancel := context.WithTimeoutCause(ctx, startPatience, fmt.Errorf("it did not start within %v", startPatience))
	defer cancel()
	go func() { // what is disabled while it starts starts no further
		select {
		case <-d.stop:
			cancel()
		case <-starting.Done():
		}
	}()
	select {
	case r.starts <- struct{}{}:
	case <-starting.Done():
		return context.Cause(starting)
	}
	slot := func() { <-r.starts }
	n, err := r.prepare(starting, d.want)
	if err != nil {
		slot()
		return err
	}
	defer n.remove()

	rt := n.runtime
	if limits := r.jails.unenforced(rt); limits != "" {
		d.log.Warn("limits of the function cannot be enforced on this machine", "limits", limits)
	}
	places := newPlaces(rt.Concurrency)
	m := newMeter(r.opts.Metrics, d.want.ID, whereOf(d.want), n.bundle.Document, places.count)
	defer m.end()
	src := output.Source{Where: whereOf(d.want), Git: n.bundle.GitSha}
	muted := reqid.New()
	t := &team{
		run: n, muted: muted, log: d.log, ports: &r.ports, acceptTime: r.acceptTime, places: places, restarts: m.restarts,
		crashes: logline.Throttle{Every: 30 * time.Second, Burst: 1},
		output: func(stderr bool, line []byte) {
			var l logline.Line
			src.Read(&l, stderr, line, time.Now())
			if l.Req != string(muted[:]) {
				r.opts.Lines.Write(&l)
			}
		},
	}
	began := time.Now()
	failed := t.start(starting, kill, max(rt.Instances, 1))
	slot()
	if failed != nil {
		return failed
	}
	defer t.stop(stopTime)
	d.log.Info("function accepts connections", "after", time.Since(began).Round(time.Millisecond),
		"processes", max(rt.Instances, 1), "concurrency", rt.Concurrency)

	faults := &logline.Throttle{Every: 100 * time.Millisecond, Burst: 50}
	s := &service{run: n, team: t, meter: m, maxReply: r.opts.MaxReply, failed: func(c *dispatch.Call, req []byte, err error) {
		if skipped, ok := faults.Pass(); ok {
			d.log.Warn("function did not answer", "err", err, "method", string(c.Method), "req", string(req), "unsaid", skipped)
		}
	}}
	consuming, leave := context.WithCancel(ctx)
	defer leave()
	q := dispatch.Queue{Name: d.want.Queue, MaxLength: r.opts.QueueLength, Expires: r.opts.QueueExpires}
	served := make(chan error, 1)
	go func() { served <- s.consume(consuming, r.responder, q) }()

	err = r.consumed(starting, q.Name, served)
	cancel()
	if err == nil && !d.stopped() && ctx.Err() == nil {
		r.goLive(d, s)
		select {
		case err := <-served:
			if err != nil { // nobody will ever consume it
				return fmt.Errorf("consume: %w", err)
			}
			served <- nil // ctx has ended: as below
			r.enter(d, wire.StateDraining)
		case <-d.stop:
			r.enter(d, wire.StateDraining)
			r.drain(ctx, s, q.Name)
		case <-ctx.Done():
			r.enter(d, wire.StateDraining)
		}
	}
	leave()
	wait, grace := drainSpare, stopTime
	if ctx.Err() != nil {
		grace = min(grace, r.opts.DrainTime/3)
		wait = r.opts.DrainTime - grace
	}
	r.leave(t, served, wait, grace)
	return err
}

// consumed waits until the queue is there and consumed: only then can a gateway
// publish to it.
func (r *Runner) consumed(ctx context.Context, queue string, served chan error) error {
	for pause := time.Millisecond; ; pause = min(2*pause, drainTick) {
		st, err := r.opts.Broker.Inspect(ctx, queue)
		if err == nil && st.Consumers > 0 {
			return nil
		}
		select {
		case err := <-served:
			served <- err // leave takes it
			return fmt.Errorf("consume: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("consume %s: %w", queue, errors.Join(context.Cause(ctx), err))
		case <-time.After(pause):
		}
	}
}

// drain waits until d's queue is empty and nothing of it runs, or ctx ends. The
// requests' own deadlines bound it: gateways add no more.
func (r *Runner) drain(ctx context.Context, s *service, queue string) {
	longest := s.run.bundle.Document.Runtime.Timeout
	for _, op := range s.run.bundle.Document.Operations {
		longest = max(longest, op.Timeout)
	}
	limit := time.NewTimer(longest + drainSpare)
	defer limit.Stop()
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	for calm := 0; calm < drainCalm; {
		select {
		case <-tick.C:
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
		st, err := r.opts.Broker.Inspect(ctx, queue)
		empty := err == nil && st.Ready == 0 || errors.Is(err, dispatch.ErrUnroutable)
		if empty && s.meter.running.Load() == 0 || s.team.places.count() == 0 {
			calm++
		} else {
			calm = 0
		}
	}
}

// leave waits for the calls that run, and then stops the processes, which have
// grace to finish.
func (r *Runner) leave(t *team, served <-chan error, wait, grace time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-served:
		t.stop(grace)
		return
	case <-timer.C:
	}
	// The calls end with their processes. What may go on after that is replies
	// that the broker does not take; the requests' deadlines end those, but that
	// can be long.
	t.stop(grace)
	select {
	case <-served:
	case <-time.After(time.Second):
		r.log.Warn("replies are left to a broker that does not take them")
	}
}

// whereOf is how d is named in log lines and metrics.
func whereOf(d wire.Deployment) string {
	where := d.BasePath
	if d.Host != "" {
		where = d.Host + ":" + where
	}
	if where == "" {
		return "/"
	}
	return where
}
