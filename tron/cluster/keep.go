package cluster

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/funcatron/funcatron/tron/store"
)

const (
	keepTick = time.Second
	// pingEvery is how often a member that was not heard of yet is asked to report.
	pingEvery = 2 * time.Second
	// questionAge is when an acknowledgement is not waited for any more.
	questionAge = 10 * time.Minute
)

// keep drops members that are gone, says again what could not be said, and keeps
// the store's list of members up to date.
func (c *Cluster) keep(ctx context.Context) {
	tick := time.NewTicker(keepTick)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			c.saveMembers()
			return
		case <-tick.C:
		}
		now := time.Now()
		// Nobody is gone for not being heard while this side could not hear: the
		// broker was away, or the process stood still.
		deaf := time.Duration(0)
		if elapsed := now.Sub(last); c.opts.Broker.Err() != nil || elapsed > 3*keepTick {
			deaf = elapsed
		}
		last = now
		if c.tend(now, deaf) {
			c.renewEpoch()
		}
		c.saveMembers()
	}
}

// tend looks after every member once. It returns whether the epoch must be renewed.
func (c *Cluster) tend(now time.Time, deaf time.Duration) (ahead bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var removed bool
	for _, m := range c.members {
		m.seen = m.seen.Add(deaf)
		if !m.lost.IsZero() {
			m.lost = m.lost.Add(deaf)
		}
		switch {
		case now.Sub(m.seen) >= goneAfter:
			c.remove(m, "is gone: no heartbeat")
			removed = true
		case !m.lost.IsZero() && now.Sub(m.lost) >= lostGrace:
			c.remove(m, "is gone: its queue is")
			removed = true
		case !m.heard && m.lost.IsZero() && now.Sub(m.pinged) >= pingEvery:
			c.ask(m, now)
		case m.again:
			m.again = false
			c.plan(m, now)
		}
	}
	for id, q := range c.questions {
		if now.Sub(q.at) > questionAge {
			delete(c.questions, id)
		}
	}
	if removed {
		c.wake()
	}
	return c.ahead
}

// renewEpoch makes every gateway take the Tron's table, whatever its version.
func (c *Cluster) renewEpoch() {
	c.commits.Lock()
	defer c.commits.Unlock()
	epoch, err := c.opts.Store.RenewEpoch()
	if err != nil {
		c.log.Error("a gateway knows a later route table, and it cannot be overruled", "err", err)
		return
	}
	c.log.Warn("a gateway knows a later route table than the Tron, whose state must have been restored from an older copy; the Tron's counts", "epoch", epoch)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.wake()
	c.epoch, c.ahead = epoch, false
	c.makeTable()
	now := time.Now()
	for _, m := range c.members {
		m.welcomed = false // tron-info names the epoch
		c.plan(m, now)
	}
}

// saveMembers keeps who is connected, for the next start. It does so after the
// fact: a member that is missing there reports by itself within a heartbeat.
func (c *Cluster) saveMembers() {
	c.mu.Lock()
	if !c.membersNew {
		c.mu.Unlock()
		return
	}
	c.membersNew = false
	var list []store.Member
	for _, name := range slices.SortedFunc(maps.Keys(c.members), strings.Compare) {
		m := c.members[name]
		list = append(list, store.Member{Name: m.Name, Kind: m.Kind, Queue: m.queue})
	}
	c.mu.Unlock()
	if err := c.opts.Store.SetMembers(list); err != nil {
		c.log.Warn("list of members is not kept", "err", err)
	}
}
