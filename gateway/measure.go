package gateway

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/shared/logline"
	"github.com/funcatron/funcatron/shared/wire"
)

// measures makes the gateway's metrics. Label values come from route tables and
// from fixed lists, never from clients, and a route's series go when it does.
type measures struct {
	set *metrics.Set

	mu     sync.Mutex
	series map[seriesKey]*series // guarded by mu
}

type seriesKey struct{ route, operation, method string }

// series is what one operation of a route counts. It outlives deployments of the
// route: a counter does not start anew because a bundle was replaced.
type series struct {
	key      seriesKey
	set      *metrics.Set
	byStatus [500]atomic.Pointer[metrics.Counter] // of 100 to 599
	other    *metrics.Counter
	total    *metrics.PrometheusHistogram // end to end
	waited   *metrics.PrometheusHistogram // on the bus: all that is neither here nor at the runner
	function *metrics.PrometheusHistogram
	uses     int // deployments; guarded by measures.mu
	mu       sync.Mutex
	dropped  bool // guarded by mu: what still counts, counts where nobody looks
}

func newMeasures(set *metrics.Set) *measures {
	return &measures{set: set, series: make(map[seriesKey]*series)}
}

func (k seriesKey) labels() string {
	return `deployment="` + logline.Label(k.route) + `",operation="` + logline.Label(k.operation) + `",method="` + k.method + `"`
}

// take returns the series of an operation, which is in use until drop.
func (m *measures) take(key seriesKey) *series {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.series[key]
	if s == nil {
		l := "{" + key.labels() + "}"
		s = &series{
			key: key, set: m.set,
			other:    m.set.GetOrCreateCounter("funcatron_gateway_requests_total{" + key.labels() + `,status="other"}`),
			total:    m.set.GetOrCreatePrometheusHistogram("funcatron_gateway_request_duration_seconds" + l),
			waited:   m.set.GetOrCreatePrometheusHistogram("funcatron_gateway_queue_wait_seconds" + l),
			function: m.set.GetOrCreatePrometheusHistogram("funcatron_gateway_function_duration_seconds" + l),
		}
		m.series[key] = s
	}
	s.uses++
	return s
}

// drop ends one use of s; the last one takes its series out of the metrics.
func (m *measures) drop(s *series) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.uses--; s.uses > 0 {
		return
	}
	delete(m.series, s.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped = true
	l := "{" + s.key.labels() + "}"
	for _, name := range []string{"request_duration_seconds", "queue_wait_seconds", "function_duration_seconds"} {
		m.set.UnregisterMetric("funcatron_gateway_" + name + l)
	}
	m.set.UnregisterMetric(s.name("other"))
	for i := range s.byStatus {
		if s.byStatus[i].Load() != nil {
			m.set.UnregisterMetric(s.name(strconv.Itoa(i + 100)))
		}
	}
}

func (s *series) name(status string) string {
	return "funcatron_gateway_requests_total{" + s.key.labels() + `,status="` + status + `"}`
}

func (s *series) count(status int) {
	if status < 100 || status > 599 {
		s.other.Inc()
		return
	}
	p := &s.byStatus[status-100]
	c := p.Load()
	if c == nil {
		s.mu.Lock()
		if c = new(metrics.Counter); !s.dropped {
			c = s.set.GetOrCreateCounter(s.name(strconv.Itoa(status)))
		}
		p.Store(c)
		s.mu.Unlock()
	}
	c.Inc()
}

// unrouted counts a request that reached no operation.
func (m *measures) unrouted(method string, status int) {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
	default:
		method = "other"
	}
	m.set.GetOrCreateCounter(fmt.Sprintf(
		`funcatron_gateway_requests_total{deployment="",operation="",method=%q,status="%d"}`, method, status)).Inc()
}

// counts is what one operation of a deployment reports to the Tron.
type counts struct {
	byClass [6]atomic.Uint64 // by the status's first digit, 0 for what has none
	totalNs atomic.Int64
	maxNs   atomic.Int64
}

func (c *counts) add(status int, took time.Duration) {
	class := status / 100
	if class < 1 || class > 5 {
		class = 0
	}
	c.byClass[class].Add(1)
	c.totalNs.Add(int64(took))
	for {
		old := c.maxNs.Load()
		if int64(took) <= old || c.maxNs.CompareAndSwap(old, int64(took)) {
			return
		}
	}
}

func (c *counts) report(deployment, operation string) (wire.OperationStats, bool) {
	s := wire.OperationStats{Deployment: deployment, Operation: operation, ByStatus: map[int]uint64{}}
	for class := range c.byClass {
		if n := c.byClass[class].Load(); n > 0 {
			s.ByStatus[class*100] = n
			s.Count += n
		}
	}
	s.TotalMs = float64(c.totalNs.Load()) / 1e6
	s.MaxMs = float64(c.maxNs.Load()) / 1e6
	return s, s.Count > 0
}
