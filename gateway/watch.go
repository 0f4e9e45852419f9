package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/funcatron/funcatron/dispatch"
)

// How often queues are asked for their consumers: a deployment whose last runner
// died answers 503 within two of these, and serves again within one.
const (
	watchEvery   = 500 * time.Millisecond
	watchTimeout = 2 * time.Second
	// A deployment without requests is asked every second round only.
	idleRounds = 2
	// What waits for a reply is given up after so many looks at a queue without
	// consumer: one look may have met a runner that restarts its only process.
	lostAfter = 3
)

// watch finds out which deployments have no runner, so that their requests are
// refused at once and not at their deadline, and which have one again.
func (g *Gateway) watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for round := 0; ; round++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if g.opts.Broker.Err() != nil {
			continue
		}
		for _, d := range g.routes.current.Load().deployments {
			if d.dead.Load() || d.used.Swap(false) || round%idleRounds == 0 {
				g.inspect(ctx, d)
			}
		}
	}
}

func (g *Gateway) inspect(ctx context.Context, d *deployment) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	st, err := g.opts.Broker.Inspect(ctx, d.item.Queue)
	if err != nil && !errors.Is(err, dispatch.ErrUnroutable) {
		return // the broker is away: that is answered elsewhere
	}
	dead := st.Consumers == 0
	if !dead {
		d.looks = 0
	} else if d.looks++; d.looks == lostAfter {
		g.calls.Abandon(d.item.Queue)
	}
	if d.dead.Swap(dead) == dead {
		return
	}
	if dead {
		g.log.Warn("no runner serves", "path", d.item.Host+d.item.BasePath, "deployment", d.item.Deployment)
	} else {
		g.log.Info("served again", "path", d.item.Host+d.item.BasePath, "deployment", d.item.Deployment)
	}
}
