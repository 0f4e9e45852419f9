package cluster

import (
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/shared/wire"
)

const (
	// goneAfter is three missed heartbeats, and a little for the third to arrive.
	goneAfter = 3*wire.HeartbeatEvery + 2*time.Second
	// lostGrace is how long a member whose queue is gone has to come back with a
	// new one. Brokers repair a connection in less.
	lostGrace = 3 * time.Second
	// stale is how old a report may be when it arrives: for that long after a
	// message, a report that contradicts it was written before it.
	stale = 2 * time.Second
)

// member is a gateway or runner. It is guarded by Cluster.mu.
type member struct {
	wire.Member // as it last reported itself; only Name and Kind before its first report

	queue    string
	heard    bool      // it reported to this Tron, not only to the one before a restart
	seen     time.Time // when something was last heard
	owes     bool      // it was asked to report, and did not yet
	pinged   time.Time // when it was last asked to report
	lost     time.Time // since when its queue is known to be gone; zero while it is not
	again    bool      // something could not be said: look again at the next tick
	welcomed bool      // it was told about the Tron

	// of a gateway: the route table that it confirmed, and the last that it was sent
	epoch       string
	version     int64
	routed      time.Time
	routedTable *wire.Routes
	frontend    string // the URL that was announced

	runs map[string]*run // of a runner, by deployment
}

// run is what is known of one deployment on one runner.
type run struct {
	state  string // as reported or acknowledged; "" while nothing is known
	reason string
	logs   []string

	asked    time.Time // when it was last told to enable; zero: it is to be
	tries    int       // enables in a row that did not make it live
	open     bool      // it has not answered the last of them
	answered time.Time // when it last did
	ok       bool      // what it answered
	told     time.Time // when it was last told to disable
	stopped  bool      // it acknowledged that
}

func (m *member) gateway() bool { return m.Kind == wire.KindGateway }
func (m *member) runner() bool  { return m.Kind == wire.KindRunner }

// take handles one control message. It is a dispatch.Handler.
func (c *Cluster) take(d *dispatch.Delivery) {
	defer d.Settle(dispatch.Ack)
	msg, err := wire.Decode(d.Body)
	if err != nil {
		c.counts.unreadable.Inc()
		c.log.Warn("control message is unreadable and was dropped", "err", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.wake()
	switch msg.Action {
	case wire.Awake, wire.Heartbeat:
		c.report(&msg)
	case wire.Died:
		if m := c.byQueue(msg.From); m != nil {
			c.remove(m, "left")
		}
	case wire.Want:
		c.want(&msg)
	case wire.AckAction:
		c.acknowledged(&msg)
	default:
		c.log.Warn("control message is not for the Tron", "action", msg.Action, "from", msg.From)
	}
}

// report takes a member's description of itself, and tells it what it lacks.
func (c *Cluster) report(msg *wire.Message) {
	now := time.Now()
	m := c.members[msg.Member.Name]
	if m == nil || m.Kind != msg.Member.Kind {
		m = &member{runs: make(map[string]*run)}
		c.members[msg.Member.Name] = m
	}
	fresh := m.queue != msg.From // then what was sent to the old queue is lost
	if fresh {
		m.queue, m.lost, m.welcomed, m.routed = msg.From, time.Time{}, false, time.Time{}
		c.membersNew = true
	}
	if !m.heard {
		c.log.Info(msg.Member.Kind+" connected", "name", msg.Member.Name, "host", msg.Member.Host,
			"pid", msg.Member.PID, "software", msg.Member.Software)
	}
	m.Member, m.heard, m.seen, m.owes = *msg.Member, true, now, false
	switch {
	case m.gateway():
		if m.URL != "" && m.frontend != m.URL {
			m.frontend = m.URL
			c.log.Info("Frontend at " + m.URL)
		}
		// A table never goes back within an epoch: a lower number was written
		// before the acknowledgement that came in first.
		if m.Epoch != m.epoch || m.Table > m.version {
			m.epoch, m.version = m.Epoch, m.Table
		}
	case m.runner():
		m.reportRuns(now, fresh)
	}
	c.plan(m, now)
}

// reportRuns brings m.runs in line with what m reports.
func (m *member) reportRuns(now time.Time, fresh bool) {
	listed := make(map[string]bool, len(m.Deployments))
	for _, st := range m.Deployments {
		listed[st.ID] = true
		r := m.runs[st.ID]
		if r == nil {
			r = &run{}
			m.runs[st.ID] = r
		}
		switch {
		case st.State == wire.StateLive:
			r.state, r.reason, r.logs, r.tries = wire.StateLive, "", nil, 0
		case r.state == wire.StateLive && r.told.IsZero() && now.Sub(r.answered) < stale:
		case st.State == wire.StateFailed && now.Sub(r.asked) < stale:
		case st.State == wire.StateFailed:
			if r.open { // the acknowledgement was lost
				r.open, r.answered, r.ok = false, now, false
			}
			r.state, r.reason = wire.StateFailed, st.Reason
		default:
			r.state = st.State
		}
	}
	for id, r := range m.runs {
		if !listed[id] && (fresh || now.Sub(r.answered) >= stale) {
			r.state = ""
			r.stopped = r.stopped || !r.told.IsZero()
		}
		if fresh {
			r.told = time.Time{}
			if r.state != wire.StateLive && r.state != wire.StateStarting {
				r.asked = time.Time{}
			}
		}
	}
}

// acknowledged takes a member's answer.
func (c *Cluster) acknowledged(msg *wire.Message) {
	q, ok := c.questions[msg.Ack.Re]
	delete(c.questions, msg.Ack.Re)
	m := c.members[q.member]
	if !ok || m == nil {
		c.log.Debug("acknowledgement of nothing that was asked", "re", msg.Ack.Re, "from", msg.From)
		return
	}
	now := time.Now()
	m.seen = now
	log := c.log.With("name", m.Name, "deployment", q.deployment)
	switch q.action {
	case wire.Route:
		if !msg.Ack.OK {
			log.Warn("gateway does not take the route table", "version", q.version, "err", msg.Ack.Error)
			return
		}
		if m.epoch != q.epoch || m.version < q.version {
			m.epoch, m.version = q.epoch, q.version
		}
	case wire.Enable:
		r := m.runs[q.deployment]
		if r == nil {
			return
		}
		r.open, r.answered, r.ok = false, now, msg.Ack.OK
		if msg.Ack.OK {
			log.Info("deployment is live on a runner")
			r.state, r.reason, r.logs, r.tries = wire.StateLive, "", nil, 0
			return
		}
		log.Warn("deployment does not start on a runner", "err", msg.Ack.Error)
		r.state, r.reason, r.logs = wire.StateFailed, msg.Ack.Error, msg.Ack.Logs
	case wire.Disable:
		r := m.runs[q.deployment]
		if r == nil {
			return
		}
		if !msg.Ack.OK {
			log.Warn("runner does not stop a deployment", "err", msg.Ack.Error)
			return
		}
		r.stopped, r.state = true, ""
	}
}

// want answers a gateway, known or not.
func (c *Cluster) want(msg *wire.Message) {
	m := c.byQueue(msg.From)
	if m == nil {
		m = &member{queue: msg.From}
		c.send(m, wire.Message{Action: wire.ResendAwake})
	}
	m.seen = time.Now()
	if msg.Wants.Routes {
		c.sendRoutes(m)
	}
	for _, sha := range msg.Wants.Documents {
		c.outbox.put(letter{
			to: m.queue, name: m.Name, document: sha,
			msg: wire.Message{Action: wire.Swagger, ID: wire.NewID(), From: c.opts.Queue},
		})
	}
}

// remove forgets a member.
func (c *Cluster) remove(m *member, why string) {
	delete(c.members, m.Name)
	for id, q := range c.questions {
		if q.member == m.Name {
			delete(c.questions, id)
		}
	}
	c.membersNew = true
	c.log.Info(m.Kind+" "+why, "name", m.Name)
}

func (c *Cluster) byQueue(queue string) *member {
	for _, m := range c.members {
		if m.queue == queue {
			return m
		}
	}
	return nil
}
