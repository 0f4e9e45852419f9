package cluster

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/funcatron/funcatron/dispatch"
)

const (
	watchTick  = time.Second
	inspecting = 4 // queues looked at at once
	// rivalTicks is how often it is checked that this Tron is the only one.
	rivalTicks = 60
)

// watch looks at the request queues: a deployment whose last consumer is gone is
// known for that long before its runner's heartbeats are missed.
func (c *Cluster) watch(ctx context.Context) {
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if c.opts.Broker.Err() != nil {
			continue
		}
		c.Inspect(ctx)
		if n%rivalTicks == 0 {
			if st, err := c.opts.Broker.Inspect(ctx, c.opts.Queue); err == nil && st.Consumers > 1 {
				c.log.Warn("another Tron takes messages off the same control queue; stop it, or give one of them another with --tron-queue",
					"queue", c.opts.Queue, "consumers", st.Consumers)
			}
		}
	}
}

// Inspect looks up how many messages and consumers the queue of each current
// deployment has. What cannot be looked up stays as it was.
func (c *Cluster) Inspect(ctx context.Context) {
	c.mu.Lock()
	var all []*deployment
	for _, d := range c.current {
		all = append(all, d)
	}
	c.mu.Unlock()
	var g errgroup.Group
	g.SetLimit(inspecting)
	for _, d := range all {
		g.Go(func() error {
			st, err := c.opts.Broker.Inspect(ctx, d.Queue)
			if errors.Is(err, dispatch.ErrUnroutable) {
				st, err = dispatch.Status{}, nil
			}
			if err == nil {
				c.inspected(d, st, time.Now())
			}
			return nil
		})
	}
	_ = g.Wait() // none returns an error
}

func (c *Cluster) inspected(d *deployment, st dispatch.Status, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fewer := st.Consumers < d.consumers
	if fewer && st.Consumers == 0 && d.phase == current {
		c.log.Warn("no runner serves "+d.place().String()+" any more", "deployment", d.ID)
	}
	d.consumers, d.ready = st.Consumers, st.Ready
	if !fewer {
		return
	}
	for _, m := range c.members { // whose queue is gone is found out by that
		if r := m.runs[d.ID]; r != nil && r.state == Live && now.Sub(m.pinged) >= pingEvery {
			c.ask(m, now)
		}
	}
}
