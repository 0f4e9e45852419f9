package cluster

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/funcatron/funcatron/shared/wire"
	"github.com/funcatron/funcatron/tron/store"
)

// queuePrefix begins the name of every request queue.
const queuePrefix = "funcatron.req."

// phase is how far a deployment's life has come. It only ever grows.
type phase uint8

const (
	candidate phase = iota // being proven; the store does not know it
	current                // routes lead to it
	unrouting              // no route leads to it, but gateways may not know that yet
	stopping               // runners were told to stop it
)

// unknown is a number of consumers that nobody has looked up yet.
const unknown = -1

// deployment is a deployment and how it stands. wire.Deployment and security in it
// never change; the rest is guarded by Cluster.mu.
type deployment struct {
	wire.Deployment
	security verifiers // gateways get it, runners do not
	enabled  time.Time // for people
	phase    phase
	since    time.Time // when the phase began
	stored   bool      // the store knows it
	tried    bool      // a runner that is known to live was asked to enable it

	unrouted int64     // phase unrouting: gateways with this version do not lead to it
	look     time.Time // phase stopping: when the queue is to be looked at again

	consumers int // of its queue as last seen, or unknown
	ready     int // messages waiting there
}

func newDeployment(b *store.Bundle, props json.RawMessage, security verifiers, now time.Time) *deployment {
	id := wire.NewID()
	return &deployment{
		Deployment: wire.Deployment{
			ID: id, Sha: b.Sha, Host: b.Host, BasePath: b.BasePath, Queue: queuePrefix + id, Props: props,
		},
		security: security, enabled: now.UTC(), phase: candidate, since: now, consumers: unknown,
	}
}

func (d *deployment) place() store.Place { return store.PlaceOf(&d.Deployment) }

// enter begins a phase.
func (d *deployment) enter(p phase) {
	d.phase, d.since = p, time.Now()
}

// same tells whether d is what would come of enabling sha with props. Their
// verifiers are other ones each time, but cover the same definitions.
func (d *deployment) same(sha string, props json.RawMessage, security verifiers) bool {
	return d.Sha == sha && sameJSON(d.Props, props) && len(d.security) == len(security)
}

// sameJSON compares two JSON texts by value; numbers are equal when they are
// written alike.
func sameJSON(a, b json.RawMessage) bool {
	var va, vb any
	da, db := json.NewDecoder(bytes.NewReader(a)), json.NewDecoder(bytes.NewReader(b))
	da.UseNumber()
	db.UseNumber()
	return da.Decode(&va) == nil && db.Decode(&vb) == nil && reflect.DeepEqual(va, vb)
}

// The states of a deployment, for people. Live, starting, failed and draining are
// the runners' words too.
const (
	Live     = wire.StateLive
	Pending  = "pending" // routed to, but no runner has it
	Starting = wire.StateStarting
	Failed   = wire.StateFailed
	Draining = wire.StateDraining
)

// States are all of them.
var States = []string{Live, Pending, Starting, Failed, Draining}

// state says how d stands, and why where it failed. mu is held.
func (c *Cluster) state(d *deployment) (state, reason string) {
	switch d.phase {
	case candidate:
		return Starting, ""
	case unrouting, stopping:
		return Draining, ""
	}
	state = Pending
	for _, m := range c.members {
		r := m.runs[d.ID]
		if r == nil {
			continue
		}
		switch {
		case r.state == wire.StateLive && d.consumers != 0:
			return Live, ""
		case r.state == wire.StateStarting || r.state == "" && !r.asked.IsZero():
			state = Starting
		case r.state == wire.StateFailed && state != Starting:
			state, reason = Failed, r.reason
		}
	}
	if state != Failed {
		reason = ""
	}
	return state, reason
}

// makeTable makes the route table of what is current. mu is held.
func (c *Cluster) makeTable() {
	t := &wire.Routes{Epoch: c.epoch, Version: c.version, Routes: make([]wire.RouteItem, 0, len(c.current))}
	for _, d := range c.current {
		t.Routes = append(t.Routes, wire.RouteItem{
			Deployment: d.ID, Sha: d.Sha, Host: d.Host, BasePath: d.BasePath, Queue: d.Queue,
			Security: d.security,
		})
	}
	slices.SortFunc(t.Routes, func(a, b wire.RouteItem) int { return byPath(a.Host, a.BasePath, b.Host, b.BasePath) })
	c.table = t
}

// byPath orders the longest path first, as they are tried; the rest is so that the
// order is always the same.
func byPath(aHost, aPath, bHost, bPath string) int {
	if n := len(bPath) - len(aPath); n != 0 {
		return n
	}
	if n := strings.Compare(aPath, bPath); n != 0 {
		return n
	}
	return strings.Compare(aHost, bHost)
}
