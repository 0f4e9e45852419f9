package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/funcatron/funcatron/tron/store"
)

// ErrStopping means that the Tron is ending, so that the outcome is not known; a
// change that was not confirmed was not made, or will be found at the next start.
var ErrStopping = errors.New("the Tron is stopping")

// StartError is why a deployment did not come up.
type StartError struct {
	Reason string
	Logs   []string // the function's last lines
}

func (e *StartError) Error() string { return e.Reason }

// Enabled is what came of an enable.
type Enabled struct {
	Deployment string
	State      string // Live or Pending
	Replaced   string // the sha that was served there before, "" where none was
	Already    bool   // the very same was enabled before: nothing was changed
}

// Enable makes the bundle sha with props, a JSON object, what its host and base
// path are served by. Nil props are those of what is served there now, so that an
// upgrade or a rollback need not repeat them. It returns once that is so: live on a runner and known to
// the gateways, or, where no runner is connected, decided. On an error everything
// is as it was: store.ErrNotFound, store.ErrDamaged, a *StartError, ErrStopping
// when ctx ends first, dispatch.ErrDown, or what the disk said; and where operations
// require credentials that the props do not give, a *credentials.Error.
func (c *Cluster) Enable(ctx context.Context, sha string, props json.RawMessage) (Enabled, error) {
	started := time.Now()
	e, err := c.enable(ctx, sha, props)
	c.counts.enabled(e, err, time.Since(started))
	if err != nil {
		return Enabled{}, fmt.Errorf("enable %s: %w", sha, err)
	}
	return e, nil
}

func (c *Cluster) enable(ctx context.Context, sha string, props json.RawMessage) (Enabled, error) {
	b, err := c.opts.Store.Bundle(sha)
	if err != nil {
		return Enabled{}, err
	}
	if c.opts.Store.Missing(sha) {
		return Enabled{}, store.ErrDamaged
	}
	release, err := c.places.hold(ctx, b.Place())
	if err != nil {
		return Enabled{}, ErrStopping
	}
	defer release()
	if props == nil {
		props = c.propsAt(b.Place())
	}
	security, err := c.secure(&b, props)
	if err != nil {
		return Enabled{}, err
	}
	if err := c.opts.Broker.Err(); err != nil {
		return Enabled{}, err
	}

	d, before := c.propose(&b, props, security, time.Now())
	done := Enabled{Deployment: d.ID, State: Live, Already: d == before}
	if before != nil && d != before {
		done.Replaced = before.Sha
	}
	switch err := c.prove(ctx, d); {
	case errors.Is(err, errNoRunner):
		done.State = Pending
	case err != nil:
		if d != before {
			c.abandon(d)
		}
		return Enabled{}, err
	}
	if done.Already {
		return done, nil
	}
	version, err := c.commit(b.Place(), d)
	if err != nil {
		c.abandon(d)
		return Enabled{}, err
	}
	c.log.Info("enabled "+d.place().String(), "sha", d.Sha, "deployment", d.ID, "state", done.State, "replaced", done.Replaced)
	c.settleRoutes(ctx, version)
	return done, nil
}

// propsAt are the props of what is current at place, which the caller holds.
func (c *Cluster) propsAt(place store.Place) json.RawMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.current[place]; d != nil {
		return d.Props
	}
	return json.RawMessage("{}")
}

// propose begins a deployment of b on every runner. Where the current one is that
// already, it is returned, and tried again where it does not run.
func (c *Cluster) propose(b *store.Bundle, props json.RawMessage, security verifiers, now time.Time) (d, before *deployment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.wake()
	before = c.current[b.Place()]
	if before != nil && before.same(b.Sha, props, security) {
		for _, m := range c.members {
			r := m.runs[before.ID]
			if r != nil && m.lost.IsZero() && r.state != Live && r.state != Draining {
				c.enableOn(m, r, before, now)
			}
		}
		return before, before
	}
	d = newDeployment(b, props, security, now)
	c.deployments[d.ID] = d
	for _, m := range c.members {
		if m.runner() {
			c.plan(m, now)
		}
	}
	return d, before
}

// errNoRunner means that there was nobody to prove a deployment on.
var errNoRunner = errors.New("no runner is connected")

// prove waits until d is live on one runner and its queue is served, or until no
// runner is left that could bring that about.
func (c *Cluster) prove(ctx context.Context, d *deployment) error {
	limited, cancel := context.WithTimeout(ctx, c.opts.EnableTimeout)
	defer cancel()
	var verdict error
	err := c.await(limited, func() bool {
		var decided bool
		decided, verdict = c.verdict(d)
		return decided
	})
	if err == nil && verdict == nil {
		err = c.awaitConsumer(limited, d)
	}
	switch {
	case err == nil:
		return verdict
	case ctx.Err() != nil:
		return ErrStopping
	}
	return c.late(d)
}

// verdict tells whether it is decided that d runs, and if not, why. mu is held.
func (c *Cluster) verdict(d *deployment) (decided bool, err error) {
	var runners, open int
	var failed []*member
	for _, m := range c.members {
		if !m.runner() {
			continue
		}
		runners++
		r := m.runs[d.ID]
		switch {
		case r != nil && r.state == Live:
			return true, nil
		case r == nil || r.asked.IsZero() || r.open || r.ok: // ok: it lost what it had, and will be told again
			open++
		default:
			failed = append(failed, m)
		}
	}
	switch {
	case runners == 0 && d.phase == candidate && d.tried:
		return true, &StartError{Reason: "every runner went away before it was live"}
	case runners == 0:
		return true, errNoRunner
	case open > 0:
		return false, nil
	}
	return true, startError(failed, d.ID)
}

// startError tells what the runners said, once where they agree.
func startError(failed []*member, id string) *StartError {
	slices.SortFunc(failed, func(a, b *member) int { return strings.Compare(a.Name, b.Name) })
	e := &StartError{}
	var reasons []string
	for _, m := range failed {
		r := m.runs[id]
		if r.reason != "" && !slices.Contains(reasons, r.reason) {
			reasons = append(reasons, r.reason)
		}
		if len(e.Logs) == 0 {
			e.Logs = r.logs
		}
	}
	e.Reason = strings.Join(reasons, "; ")
	if e.Reason == "" {
		e.Reason = "the runner gave no reason"
	}
	return e
}

// late is why d was not proven in time.
func (c *Cluster) late(d *deployment) *StartError {
	c.mu.Lock()
	defer c.mu.Unlock()
	var live bool
	var failed []*member
	for _, m := range c.members {
		r := m.runs[d.ID]
		switch {
		case r == nil:
		case r.state == Live:
			live = true
		case r.state == Failed:
			failed = append(failed, m)
		}
	}
	switch {
	case live:
		return &StartError{Reason: fmt.Sprintf("a runner says that it is live, but nobody takes requests off %s within %v", d.Queue, c.opts.EnableTimeout)}
	case len(failed) > 0:
		return startError(failed, d.ID)
	}
	return &StartError{Reason: fmt.Sprintf("no runner answered within %v", c.opts.EnableTimeout)}
}

// awaitConsumer waits until somebody takes requests off d's queue: a gateway that
// was told of it sooner would have nobody to send to.
func (c *Cluster) awaitConsumer(ctx context.Context, d *deployment) error {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		st, err := c.opts.Broker.Inspect(ctx, d.Queue)
		if err == nil && st.Consumers > 0 {
			c.mu.Lock()
			d.consumers, d.ready = st.Consumers, st.Ready
			c.mu.Unlock()
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// abandon stops a candidate that is not to be.
func (c *Cluster) abandon(d *deployment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop(d)
	c.wake()
}

// stop tells every runner that has heard of d to stop it. mu is held.
func (c *Cluster) stop(d *deployment) {
	d.enter(stopping)
	now := time.Now()
	for _, m := range c.members {
		if r := m.runs[d.ID]; r != nil && m.lost.IsZero() && (r.state != "" || !r.asked.IsZero()) {
			c.disableOn(m, r, d.ID, now)
		}
	}
}

// commit makes d current at place, or nothing where d is nil, on disk and then in
// memory, and lets everybody know.
func (c *Cluster) commit(place store.Place, d *deployment) (version int64, err error) {
	c.commits.Lock()
	defer c.commits.Unlock()
	var record *store.Deployment
	if d != nil {
		record = &store.Deployment{Deployment: d.Deployment, Enabled: d.enabled, Security: d.security}
	}
	version, err = c.opts.Store.SetCurrent(place, record)
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.wake()
	c.version = version
	if old := c.current[place]; old != nil {
		old.enter(unrouting)
		old.unrouted = version
	}
	delete(c.current, place)
	if d != nil {
		d.enter(current)
		d.stored = true
		c.current[place] = d
	}
	c.makeTable()
	now := time.Now()
	for _, m := range c.members {
		c.plan(m, now)
	}
	return version, nil
}

// settleRoutes waits for a moment until every gateway has the version.
func (c *Cluster) settleRoutes(ctx context.Context, version int64) {
	limited, cancel := context.WithTimeout(ctx, c.opts.AckTimeout)
	defer cancel()
	if err := c.await(limited, func() bool { return c.routedTo(version) }); err != nil {
		c.log.Warn("not every gateway took the new routes in time", "version", version, "waited", c.opts.AckTimeout)
	}
}

// routedTo tells whether every gateway has the version or a later one. mu is held.
func (c *Cluster) routedTo(version int64) bool {
	for _, m := range c.members {
		if m.gateway() && (m.epoch != c.epoch || m.version < version) {
			return false
		}
	}
	return true
}

// Disable stops serving the bundle sha. It returns once the gateways know; what
// its runners still hold, they work off. Found is false where it was not enabled,
// which is no error. Errors are as Enable's.
func (c *Cluster) Disable(ctx context.Context, sha string) (found bool, err error) {
	b, err := c.opts.Store.Bundle(sha)
	if err != nil {
		return false, fmt.Errorf("disable %s: %w", sha, err)
	}
	release, err := c.places.hold(ctx, b.Place())
	if err != nil {
		return false, fmt.Errorf("disable %s: %w", sha, ErrStopping)
	}
	defer release()
	c.mu.Lock()
	d := c.current[b.Place()]
	c.mu.Unlock()
	if d == nil || d.Sha != sha {
		return false, nil
	}
	version, err := c.commit(b.Place(), nil)
	if err != nil {
		return false, fmt.Errorf("disable %s: %w", sha, err)
	}
	c.counts.disables.Inc()
	c.log.Info("disabled "+d.place().String(), "sha", sha, "deployment", d.ID)
	c.settleRoutes(ctx, version)
	return true, nil
}
