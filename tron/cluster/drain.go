package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/funcatron/funcatron/dispatch"
)

const (
	// unroutingLimit is how long a gateway that reports itself but does not take
	// the routes can keep a replaced deployment running.
	unroutingLimit = time.Minute
	// consumerLimit is how long a queue is kept that is still consumed although
	// every runner there is has let go of it.
	consumerLimit = time.Minute
	drainTick     = time.Second
)

// drain takes deployments that are no longer routed to out of the world: first
// every gateway must know, then the runners work off what waits, then the queue
// goes and the store forgets. It begins again where a Tron before it left off.
func (c *Cluster) drain(ctx context.Context) {
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	for {
		c.mu.Lock()
		changed := c.changed
		drained := c.advance(time.Now())
		c.mu.Unlock()
		for _, d := range drained {
			c.finish(ctx, d)
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// advance begins the stopping of what is unrouted, and returns what has stopped.
// mu is held.
func (c *Cluster) advance(now time.Time) (drained []*deployment) {
	for _, d := range c.deployments {
		if d.phase == unrouting {
			late := now.Sub(d.since) >= unroutingLimit
			if !late && !c.routedTo(d.unrouted) {
				continue
			}
			if late {
				c.log.Warn("stopping a deployment that a gateway may still route to", "deployment", d.ID, "path", d.place())
			}
			c.stop(d)
		}
		if d.phase == stopping && c.released(d) && !now.Before(d.look) {
			d.look = now.Add(drainTick)
			drained = append(drained, d)
		}
	}
	return drained
}

// released tells whether no runner has d any more. mu is held.
func (c *Cluster) released(d *deployment) bool {
	for _, m := range c.members {
		if !m.runner() {
			continue
		}
		if r := m.runs[d.ID]; !m.heard || r != nil && !r.stopped {
			return false
		}
	}
	return true
}

// finish removes d's queue, unless somebody is still at it, and then d.
func (c *Cluster) finish(ctx context.Context, d *deployment) {
	st, err := c.opts.Broker.Inspect(ctx, d.Queue)
	if err != nil && !errors.Is(err, dispatch.ErrUnroutable) {
		return // the next tick tries again
	}
	if err == nil {
		if st.Consumers > 0 && time.Since(d.since) < consumerLimit {
			return // a runner that lost touch with the Tron, perhaps
		}
		if err := c.opts.Broker.Delete(ctx, d.Queue); err != nil {
			if !errors.Is(err, dispatch.ErrDown) && ctx.Err() == nil {
				c.log.Warn("queue of a stopped deployment cannot be removed yet", "queue", d.Queue, "err", err)
			}
			return
		}
	}
	if d.stored {
		if err := c.opts.Store.Forget(d.ID); err != nil {
			c.log.Error("stopped deployment stays in the store", "err", err)
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.deployments, d.ID)
	c.log.Info("stopped "+d.place().String(), "sha", d.Sha, "deployment", d.ID, "unanswered", st.Ready)
}
