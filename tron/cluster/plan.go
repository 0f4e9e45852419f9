package cluster

import (
	"time"

	"github.com/funcatron/funcatron/shared/wire"
)

const (
	// repeat is how long a message has to show in a report before it is sent again.
	repeat = wire.HeartbeatEvery + wire.HeartbeatEvery/2
	// maxBackoff is the longest wait before a deployment that does not start on a
	// runner is tried there again. It begins at one heartbeat and doubles.
	maxBackoff = 5 * time.Minute
)

// plan tells m what it lacks. mu is held.
func (c *Cluster) plan(m *member, now time.Time) {
	if !m.lost.IsZero() {
		return // nothing reaches it; it comes back with another queue, or is gone
	}
	if !m.welcomed && m.heard {
		m.welcomed = true
		info := wire.Info{Epoch: c.epoch, URL: c.opts.URL}
		if m.runner() { // nobody else fetches bundles
			info.Token = c.opts.Store.Token()
		}
		c.send(m, wire.Message{Action: wire.TronInfo, Info: &info})
	}
	switch {
	case m.gateway():
		c.planGateway(m, now)
	case m.runner():
		c.planRunner(m, now)
	}
}

func (c *Cluster) planGateway(m *member, now time.Time) {
	if m.epoch == c.epoch && m.version > c.version {
		c.ahead = true // the state is older than what its gateways know
		return
	}
	if !m.routed.IsZero() {
		if m.epoch == c.epoch && m.version == c.version {
			return
		}
		if m.routedTable == c.table && now.Sub(m.routed) < stale {
			return // it is on its way
		}
	}
	c.sendRoutes(m)
}

// sendRoutes sends the whole route table. mu is held.
func (c *Cluster) sendRoutes(m *member) {
	m.routed, m.routedTable = time.Now(), c.table
	c.sendAsking(m, wire.Message{Action: wire.Route, Routes: c.table},
		question{epoch: c.table.Epoch, version: c.table.Version})
}

func (c *Cluster) planRunner(m *member, now time.Time) {
	for _, d := range c.deployments {
		if d.phase > current || d.phase == current && !m.heard {
			continue // what a runner known from before a restart runs, it will report
		}
		r := m.runs[d.ID]
		if r == nil {
			r = &run{}
			m.runs[d.ID] = r
		}
		if r.due(now) {
			c.enableOn(m, r, d, now)
		}
	}
	for id, r := range m.runs {
		d := c.deployments[id]
		if d != nil && d.phase < stopping {
			continue
		}
		switch {
		case r.state == "" && (d == nil || r.stopped):
			delete(m.runs, id)
		case r.state == "" && r.asked.IsZero():
			delete(m.runs, id) // it never heard of it
		case r.state == wire.StateDraining && !r.told.IsZero():
		case r.told.IsZero() || now.Sub(r.told) >= repeat:
			c.disableOn(m, r, id, now)
		}
	}
}

// due tells whether the runner is to be told to enable.
func (r *run) due(now time.Time) bool {
	switch r.state {
	case wire.StateLive, wire.StateStarting, wire.StateDraining: // draining: the runner itself is leaving
		return false
	case wire.StateFailed:
		return r.asked.IsZero() || now.Sub(r.asked) >= backoff(r.tries)
	}
	return r.asked.IsZero() || now.Sub(r.asked) >= repeat
}

// backoff is what a runner is left alone for after tries failures, counted from
// the last attempt. It is a bit less than whole heartbeats, since it is looked at
// when they arrive.
func backoff(tries int) time.Duration {
	d := wire.HeartbeatEvery
	for range min(tries-1, 8) {
		d *= 2
	}
	return min(d, maxBackoff) - time.Second
}

// enableOn tells a runner to run d. mu is held.
func (c *Cluster) enableOn(m *member, r *run, d *deployment, now time.Time) {
	r.asked, r.open = now, true
	r.tries++
	d.tried = d.tried || m.heard
	c.sendAsking(m, wire.Message{Action: wire.Enable, Deployment: &d.Deployment}, question{deployment: d.ID})
}

// disableOn tells a runner to stop a deployment. mu is held.
func (c *Cluster) disableOn(m *member, r *run, id string, now time.Time) {
	r.told = now
	c.sendAsking(m, wire.Message{Action: wire.Disable, Stop: &wire.Stop{ID: id}}, question{deployment: id})
}

// ask has a member report at once. mu is held.
func (c *Cluster) ask(m *member, now time.Time) {
	m.pinged, m.owes = now, true
	c.send(m, wire.Message{Action: wire.ResendAwake})
}
