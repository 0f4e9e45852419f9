package cluster

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/funcatron/funcatron/shared/wire"
)

// View is a copy of how everything stands, for people.
type View struct {
	Epoch       string
	Version     int64
	Members     []Member     // by kind and name
	Deployments []Deployment // current ones by route order, then the others
}

// Member is a gateway or runner.
type Member struct {
	wire.Member
	Queue string
	Ago   time.Duration // since its last report
	Heard bool          // false: known from before the Tron's restart only
}

// Deployment is a deployment.
type Deployment struct {
	wire.Deployment
	State     string
	Reason    string // where State is Failed
	Current   bool
	Enabled   time.Time
	Consumers int // of its queue, as last looked up; -1 while unknown
	Ready     int // messages waiting there
	Runners   []Run
}

// Run is a deployment on one runner.
type Run struct {
	Runner string
	wire.DeploymentStatus
}

// View copies the state.
func (c *Cluster) View() View {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := View{Epoch: c.epoch, Version: c.version}
	now := time.Now()
	for _, name := range slices.Sorted(maps.Keys(c.members)) {
		m := c.members[name]
		v.Members = append(v.Members, Member{Member: m.Member, Queue: m.queue, Ago: now.Sub(m.seen), Heard: m.heard})
	}
	for _, d := range c.deployments {
		dv := Deployment{
			Deployment: d.Deployment, Current: d.phase == current, Enabled: d.enabled,
			Consumers: d.consumers, Ready: d.ready,
		}
		dv.State, dv.Reason = c.state(d)
		for _, m := range v.Members {
			if r := c.members[m.Name].runs[d.ID]; r != nil {
				dv.Runners = append(dv.Runners, Run{Runner: m.Name, DeploymentStatus: r.status(d.ID, m.Deployments)})
			}
		}
		v.Deployments = append(v.Deployments, dv)
	}
	slices.SortStableFunc(v.Members, func(a, b Member) int { return strings.Compare(a.Kind, b.Kind) })
	slices.SortFunc(v.Deployments, func(a, b Deployment) int {
		if a.Current != b.Current {
			if a.Current {
				return -1
			}
			return 1
		}
		if n := byPath(a.Host, a.BasePath, b.Host, b.BasePath); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return v
}

// status is the run as reported, with what was learnt since.
func (r *run) status(id string, reported []wire.DeploymentStatus) wire.DeploymentStatus {
	st := wire.DeploymentStatus{ID: id}
	for _, s := range reported {
		if s.ID == id {
			st = s
		}
	}
	st.State, st.Reason = r.state, r.reason
	if st.State == "" {
		st.State = Starting
		if r.stopped {
			st.State = "stopped"
		}
	}
	return st
}

// Refresh asks every member to report and waits for them, or until ctx ends.
func (c *Cluster) Refresh(ctx context.Context) {
	c.mu.Lock()
	for _, m := range c.members {
		if m.lost.IsZero() {
			c.ask(m, time.Now())
		}
	}
	c.mu.Unlock()
	_ = c.await(ctx, func() bool { // those that do not answer are shown as they were
		for _, m := range c.members {
			if m.lost.IsZero() && m.owes {
				return false
			}
		}
		return true
	})
}
