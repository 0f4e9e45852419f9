package cluster

import (
	"errors"
	"fmt"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/shared/wire"
	"github.com/funcatron/funcatron/tron/store"
)

// counters are the cluster's metrics. All are made at the start: making one later
// would take the set's lock under mu, and reading gauges takes mu under the set's.
type counters struct {
	unreadable *metrics.Counter
	returned   *metrics.Counter
	disables   *metrics.Counter
	enables    map[string]*metrics.Counter
	duration   *metrics.PrometheusHistogram
}

// The results of an enable, as a label.
const (
	resultAlready = "already" // it was enabled before
	resultRefused = "refused" // it does not start
	resultUnknown = "unknown" // there is no such bundle
	resultError   = "error"
)

func (n *counters) register(set *metrics.Set, c *Cluster) {
	n.unreadable = set.NewCounter("funcatron_tron_unreadable_messages_total")
	n.returned = set.NewCounter("funcatron_tron_undelivered_messages_total")
	n.disables = set.NewCounter("funcatron_tron_disables_total")
	n.enables = make(map[string]*metrics.Counter)
	for _, result := range []string{Live, Pending, resultAlready, resultRefused, resultUnknown, resultError} {
		n.enables[result] = set.NewCounter(fmt.Sprintf("funcatron_tron_enables_total{result=%q}", result))
	}
	n.duration = set.NewPrometheusHistogramExt("funcatron_tron_enable_duration_seconds",
		[]float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60})
	for _, kind := range []string{wire.KindGateway, wire.KindRunner} {
		set.NewGauge(fmt.Sprintf("funcatron_tron_members{kind=%q}", kind), func() float64 {
			return float64(c.countMembers(kind))
		})
	}
	for _, state := range States {
		set.NewGauge(fmt.Sprintf("funcatron_tron_deployments{state=%q}", state), func() float64 {
			return float64(c.countDeployments(state))
		})
	}
	set.NewGauge("funcatron_tron_route_version", func() float64 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return float64(c.version)
	})
}

func (n *counters) enabled(e Enabled, err error, took time.Duration) {
	var refused *StartError
	result := e.State
	switch {
	case errors.As(err, &refused):
		result = resultRefused
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDamaged):
		result = resultUnknown
	case err != nil:
		result = resultError
	case e.Already:
		result = resultAlready
	}
	n.enables[result].Inc()
	if result != resultUnknown {
		n.duration.Update(took.Seconds())
	}
}

func (c *Cluster) countMembers(kind string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		if m.Kind == kind && m.heard {
			n++
		}
	}
	return n
}

func (c *Cluster) countDeployments(state string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.deployments {
		if s, _ := c.state(d); s == state {
			n++
		}
	}
	return n
}
