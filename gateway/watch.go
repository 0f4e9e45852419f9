package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/funcatron/funcatron/dispatch"
)

// How often queues are asked for their consumers, in rounds. A deployment whose
// last runner died answers 503 within half a second where it is in use and within one
// where it is not, and serves again within a tenth where somebody asks for it.
const (
	watchEvery   = 100 * time.Millisecond
	watchTimeout = 2 * time.Second
	usedRounds   = 5
	idleRounds   = 10
	// What waits for a reply is given up when a queue has had no consumer for this
	// long: one look may have met a runner that restarts its only process.
	lostAfter = 1500 * time.Millisecond
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
			wanted := d.used.Load()
			switch {
			case wanted && (d.dead.Load() && !d.missing || round%usedRounds == 0), round%idleRounds == 0:
				d.used.Store(false)
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
	d.missing = err != nil
	dead := st.Consumers == 0
	if !dead {
		d.deadSince = time.Time{}
	} else if d.deadSince.IsZero() {
		d.deadSince = time.Now()
	} else if time.Since(d.deadSince) >= lostAfter {
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
