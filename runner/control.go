package runner

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/funcatron/funcatron/shared/version"
	"github.com/funcatron/funcatron/shared/wire"
)

// maxFailed is how many deployments that failed are kept in the list.
const maxFailed = 100

// handle takes a message of the Tron. It blocks on nothing but mu.
func (r *Runner) handle(ctx, kill context.Context, m wire.Message) {
	switch m.Action {
	case wire.TronInfo:
		r.tron.set(*m.Info)
	case wire.Enable:
		r.enable(ctx, kill, *m.Deployment, m.ID)
	case wire.Disable:
		r.disable(m.Stop.ID, m.ID)
	default:
		r.log.Debug("message is not for runners", "action", m.Action, "from", m.From)
	}
}

// enable brings want to life, and answers message when it is, or when it is known
// why it is not.
func (r *Runner) enable(ctx, kill context.Context, want wire.Deployment, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.deployments[want.ID]
	switch {
	case r.leaving: // not a failure of what is enabled: the farewell is the answer
	case d == nil || d.over:
		r.begin(ctx, kill, want, false).enables = []string{message}
	case d.disabled:
		if d.again == nil {
			d.again = &enabling{want: want}
		}
		d.again.enables = append(d.again.enables, message)
	case d.state == wire.StateLive:
		if trouble, looping := d.live.team.trouble(); looping {
			r.ack(message, trouble, trouble.lines)
			return
		}
		r.ack(message, nil, nil)
	default:
		d.enables = append(d.enables, message)
		select {
		case d.kick <- struct{}{}:
		default:
		}
	}
}

// disable ends a deployment, and answers message when it has ended.
func (r *Runner) disable(id, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.deployments[id]
	if d == nil || d.over {
		delete(r.deployments, id)
		r.ack(message, nil, nil)
		return
	}
	d.disables = append(d.disables, message)
	if d.again != nil {
		r.answer(d.again.enables, errDisabled, nil)
		d.again = nil
	}
	if !d.disabled {
		d.disabled = true
		close(d.stop)
	}
}

// Why an enable is not obeyed.
var (
	errDisabled = errors.New("it was disabled meanwhile")
	errLeaving  = errors.New("the runner is stopping")
)

// begin starts a deployment's life. mu is held.
func (r *Runner) begin(ctx, kill context.Context, want wire.Deployment, proven bool) *deployment {
	d := &deployment{
		want: want, state: wire.StateStarting, proven: proven,
		log:  r.log.With("deployment", want.ID, "path", whereOf(want), "sha", short(want.Sha)),
		stop: make(chan struct{}), kick: make(chan struct{}, 1),
	}
	r.deployments[want.ID] = d
	r.lives.Go(func() { r.tend(ctx, kill, d) })
	return d
}

// enter changes d's state, and tells the Tron.
func (r *Runner) enter(d *deployment, state string) {
	r.mu.Lock()
	d.state = state
	if state != wire.StateFailed {
		d.reason, d.lines = "", nil
	}
	r.mu.Unlock()
	r.link.Report()
}

// goLive is the moment from which d is served. It is saved before anybody hears
// of it.
func (r *Runner) goLive(d *deployment, s *service) {
	r.mu.Lock()
	d.proven, d.live = true, s
	r.mu.Unlock()
	r.save()
	d.log.Info("deployment is live")
	r.mu.Lock()
	d.state, d.reason, d.lines = wire.StateLive, "", nil
	r.answer(d.enables, nil, nil)
	d.enables = nil
	r.mu.Unlock()
	r.link.Report()
}

// fail says why d does not run, and whether it is worth another try.
func (r *Runner) fail(d *deployment, err error) (again bool) {
	var start *startError
	var lines []string
	if errors.As(err, &start) {
		lines = start.lines
	}
	d.log.Warn("deployment does not start", "err", err, "last-words", lastWords(lines))
	r.mu.Lock()
	d.state, d.reason, d.lines, d.live = wire.StateFailed, err.Error(), lines, nil
	r.answer(d.enables, err, lines)
	d.enables = nil
	again = d.proven
	if !again && !d.disabled {
		d.over = true
		r.forgetFailed()
	}
	// A disable that came in this very moment finds it running, and ends it.
	again = again || d.disabled
	r.mu.Unlock()
	r.link.Report()
	return again
}

// end is the end of a deployment that was told to end, or of the Runner.
func (r *Runner) end(ctx, kill context.Context, d *deployment) {
	r.mu.Lock()
	d.over = true
	delete(r.deployments, d.want.ID)
	gone := d.disabled
	if !gone && d.proven {
		r.kept = append(r.kept, d.want) // the next life begins with it
	}
	r.mu.Unlock()
	if gone {
		r.save()
		d.log.Info("deployment has ended")
	}
	r.mu.Lock()
	if gone {
		r.answer(d.enables, errDisabled, nil)
		r.answer(d.disables, nil, nil)
	}
	if d.again != nil && !r.leaving {
		r.begin(ctx, kill, d.again.want, false).enables = d.again.enables
	}
	r.mu.Unlock()
	r.link.Report()
}

// forgetFailed bounds the list. mu is held.
func (r *Runner) forgetFailed() {
	over := 0
	var id string
	for i, d := range r.deployments {
		if d.over {
			over++
			id = i
		}
	}
	if over > maxFailed {
		delete(r.deployments, id)
	}
}

// save writes what is to run to the disk. A failure costs what a restart without
// the Tron could have served, no more.
func (r *Runner) save() {
	r.saving.Lock()
	defer r.saving.Unlock()
	r.mu.Lock()
	list := slices.Clone(r.kept)
	for _, d := range r.deployments {
		if d.proven && !d.disabled {
			list = append(list, d.want)
		}
	}
	r.mu.Unlock()
	slices.SortFunc(list, byID)
	if err := writeSaved(r.folder.saved(), list); err != nil {
		r.log.Error("a restart without the Tron would not know what to run", "err", err)
	}
}

func byID(a, b wire.Deployment) int { return strings.Compare(a.ID, b.ID) }

// answer acknowledges messages. mu is held.
func (r *Runner) answer(messages []string, err error, lines []string) {
	for _, m := range messages {
		r.ack(m, err, lines)
	}
}

func (r *Runner) ack(message string, err error, lines []string) {
	a := &wire.Ack{Re: message, OK: err == nil, Logs: lines}
	if err != nil {
		a.Error = err.Error()
	}
	r.link.Send(wire.Message{Action: wire.AckAction, Ack: a})
}

// describe is the Runner as it is now.
func (r *Runner) describe() wire.Member {
	host, _ := os.Hostname() // it is for people
	m := wire.Member{
		Name: r.opts.Name, Kind: wire.KindRunner, Software: version.String(), Host: host, PID: os.Getpid(),
		AdminURL: r.adminURL, UptimeMs: time.Since(r.began).Milliseconds(),
		Runtimes: r.runtimes,
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.deployments {
		m.Deployments = append(m.Deployments, d.status())
	}
	slices.SortFunc(m.Deployments, func(a, b wire.DeploymentStatus) int { return strings.Compare(a.ID, b.ID) })
	return m
}

// status is d as it is now. Runner.mu is held.
func (d *deployment) status() wire.DeploymentStatus {
	st := wire.DeploymentStatus{ID: d.want.ID, State: d.state, Reason: d.reason}
	if d.disabled {
		st.State = wire.StateDraining
	}
	if d.live == nil {
		return st
	}
	st.Running = int(max(d.live.meter.running.Load(), 0))
	st.Served = d.live.meter.served.Load()
	st.Restarts = d.live.team.restarts.Get()
	if trouble, looping := d.live.team.trouble(); st.State == wire.StateLive && trouble != nil {
		st.State, st.Reason = wire.StateStarting, trouble.Error()
		if looping {
			st.State = wire.StateFailed
		}
	}
	return st
}

func short(sha string) string { return sha[:min(len(sha), 12)] }
