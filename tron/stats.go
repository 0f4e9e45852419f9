package tron

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/funcatron/funcatron/shared/version"
	"github.com/funcatron/funcatron/shared/wire"
	"github.com/funcatron/funcatron/tron/cluster"
)

const (
	// freshTime is how long stats wait for the members' latest figures.
	freshTime = 300 * time.Millisecond
	// inspectTime is how long they wait for the broker's.
	inspectTime = 2 * time.Second
)

// statistics is the answer of stats.
type statistics struct {
	Network     network    `json:"network"`
	RouteMap    []mapped   `json:"route-map"`
	Deployments []deployed `json:"deployments"`
}

type network struct {
	Tron     tronPart   `json:"tron"`
	Gateways []reported `json:"gateways"`
	Runners  []reported `json:"runners"`
}

type tronPart struct {
	Software     string `json:"software"`
	Host         string `json:"host"`
	PID          int    `json:"pid"`
	URL          string `json:"url"`
	Queue        string `json:"queue"`
	UptimeMs     int64  `json:"uptime-ms"`
	Epoch        string `json:"epoch"`
	RouteVersion int64  `json:"route-version"`
	Broker       string `json:"broker"` // "ok", or what is wrong with it
}

// reported is a member in its own words, and when they were heard.
type reported struct {
	wire.Member
	Queue string `json:"queue"`
	AgoMs int64  `json:"last-heard-ms"` // ago
	Heard bool   `json:"heard"`         // false: not since the Tron's restart
}

// deployed is a deployment and what came of it.
type deployed struct {
	Deployment string           `json:"deployment"`
	Sha        string           `json:"sha"`
	Host       string           `json:"host"`
	Path       string           `json:"path"`
	Queue      string           `json:"queue"`
	State      string           `json:"state"`
	Reason     string           `json:"reason,omitempty"`
	Enabled    time.Time        `json:"enabled"`
	Depth      int              `json:"queue-depth"`
	Consumers  int              `json:"queue-consumers"` // -1: not known yet
	Runners    []runnerOf       `json:"runners"`
	Running    int              `json:"running"` // requests in functions now
	Served     uint64           `json:"served"`  // by the runners connected now
	Count      uint64           `json:"count"`   // of requests, by the gateways connected now
	Operations []operationTotal `json:"operations"`
}

type runnerOf struct {
	Runner string `json:"runner"`
	wire.DeploymentStatus
}

type operationTotal struct {
	Operation string         `json:"operation"`
	Count     uint64         `json:"count"`
	ByStatus  map[int]uint64 `json:"by-status"`
	TotalMs   float64        `json:"total-ms"`
	MeanMs    float64        `json:"mean-ms"`
	MaxMs     float64        `json:"max-ms"`
}

// stats asks everybody for their latest figures, briefly, and adds them up.
func (t *Tron) stats(run context.Context, w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(run, cancel)()
	fresh, done := context.WithTimeout(ctx, freshTime)
	t.cluster.Refresh(fresh)
	done()
	look, done := context.WithTimeout(ctx, inspectTime)
	t.cluster.Inspect(look)
	done()
	v := t.cluster.View()
	host, _ := os.Hostname() // "" where the machine has no name
	s := statistics{
		Network: network{
			Tron: tronPart{
				Software: version.String(), Host: host, PID: os.Getpid(), URL: t.url, Queue: t.opts.Queue,
				UptimeMs: time.Since(t.started).Milliseconds(), Epoch: v.Epoch, RouteVersion: v.Version, Broker: "ok",
			},
			Gateways: []reported{}, Runners: []reported{},
		},
		RouteMap:    routesOf(v),
		Deployments: []deployed{},
	}
	if err := t.opts.Broker.Err(); err != nil {
		s.Network.Tron.Broker = err.Error()
	}
	for _, m := range v.Members {
		p := reported{Member: m.Member, Queue: m.Queue, AgoMs: m.Ago.Milliseconds(), Heard: m.Heard}
		if m.Kind == wire.KindGateway {
			s.Network.Gateways = append(s.Network.Gateways, p)
		} else {
			s.Network.Runners = append(s.Network.Runners, p)
		}
	}
	totals := totalsOf(v.Members)
	for _, d := range v.Deployments {
		s.Deployments = append(s.Deployments, deployedOf(d, totals[d.ID]))
	}
	answer(w, http.StatusOK, s)
}

func deployedOf(d cluster.Deployment, ops map[string]*operationTotal) deployed {
	p := deployed{
		Deployment: d.ID, Sha: d.Sha, Host: d.Host, Path: path(d.BasePath), Queue: d.Queue,
		State: d.State, Reason: d.Reason, Enabled: d.Enabled, Depth: d.Ready, Consumers: d.Consumers,
		Runners: []runnerOf{}, Operations: []operationTotal{},
	}
	for _, r := range d.Runners {
		p.Runners = append(p.Runners, runnerOf{Runner: r.Runner, DeploymentStatus: r.DeploymentStatus})
		p.Running += r.Running
		p.Served += r.Served
	}
	for _, name := range slices.Sorted(maps.Keys(ops)) {
		o := ops[name]
		if o.Count > 0 {
			o.MeanMs = o.TotalMs / float64(o.Count)
		}
		p.Count += o.Count
		p.Operations = append(p.Operations, *o)
	}
	slices.SortStableFunc(p.Operations, func(a, b operationTotal) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Operation, b.Operation))
	})
	return p
}

// totalsOf sums the gateways' figures by deployment and operation.
func totalsOf(members []cluster.Member) map[string]map[string]*operationTotal {
	totals := make(map[string]map[string]*operationTotal)
	for _, m := range members {
		for _, s := range m.Stats {
			ops := totals[s.Deployment]
			if ops == nil {
				ops = make(map[string]*operationTotal)
				totals[s.Deployment] = ops
			}
			o := ops[s.Operation]
			if o == nil {
				o = &operationTotal{Operation: s.Operation, ByStatus: make(map[int]uint64)}
				ops[s.Operation] = o
			}
			o.Count += s.Count
			o.TotalMs += s.TotalMs
			o.MaxMs = max(o.MaxMs, s.MaxMs)
			for class, n := range s.ByStatus {
				o.ByStatus[class] += n
			}
		}
	}
	return totals
}
