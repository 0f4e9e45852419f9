package runner

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/shared/envelope"
	"github.com/funcatron/funcatron/shared/logline"
	"github.com/funcatron/funcatron/shared/swagger"
)

// meter is the metrics of one deployment. Their labels are bounded by its document:
// an operation that is not in it counts as "other". They end with the deployment.
type meter struct {
	set    *metrics.Set
	labels string

	running  atomic.Int64
	served   atomic.Uint64
	restarts *metrics.Counter
	held     *metrics.PrometheusHistogram

	operations map[string]*operation // never changes
	other      *operation

	mu    sync.Mutex
	names []string // under mu: all that are registered
	ended bool     // under mu: no more are
}

// operation is the metrics of one operation, registered when it is first called.
type operation struct {
	meter *meter
	name  string

	once     sync.Once
	seconds  *metrics.PrometheusHistogram
	statuses [7]atomic.Pointer[metrics.Counter] // by class of status, 0 and 6 for what has none
	faults   [envelope.Held + 1]atomic.Pointer[metrics.Counter]
}

// newMeter makes the metrics of the deployment id at path.
func newMeter(set *metrics.Set, id, path string, doc *swagger.Document, processes func() int) *meter {
	m := &meter{
		set:        set,
		labels:     `deployment="` + logline.Label(path) + `",id="` + logline.Label(id) + `"`,
		operations: make(map[string]*operation, len(doc.Operations)),
	}
	for _, op := range doc.Operations {
		m.operations[op.ID] = &operation{meter: m, name: op.ID}
	}
	m.other = &operation{meter: m, name: "other"}
	m.restarts = m.counter("funcatron_runner_process_restarts_total")
	m.held = m.histogram("funcatron_runner_held_duration_seconds")
	m.gauge("funcatron_runner_running_requests", func() float64 { return float64(m.running.Load()) })
	m.gauge("funcatron_runner_live_processes", func() float64 { return float64(processes()) })
	return m
}

// of gives the operation that a request's header names.
func (m *meter) of(id []byte) *operation {
	op := m.operations[string(id)]
	if op == nil {
		op = m.other
	}
	op.once.Do(func() {
		op.seconds = m.histogram("funcatron_runner_function_duration_seconds", "operation", op.name)
	})
	return op
}

// answered counts an answer of the function.
func (o *operation) answered(status int, ran time.Duration) {
	o.seconds.Update(ran.Seconds())
	class := status / 100
	if class < 1 || class > 5 {
		class = 0
	}
	o.count(&o.statuses[class], func() string {
		if class == 0 {
			return "other"
		}
		return strconv.Itoa(class) + "xx"
	})
}

// failed counts an answer of the runner in the function's place.
func (o *operation) failed(f envelope.Fault) {
	o.count(&o.faults[f], func() string {
		switch f {
		case envelope.Expired:
			return "expired"
		case envelope.TooLarge:
			return "too_large"
		case envelope.NotRun:
			return "not_run"
		}
		return "died"
	})
}

func (o *operation) count(at *atomic.Pointer[metrics.Counter], status func() string) {
	c := at.Load()
	if c == nil {
		c = o.meter.counter("funcatron_runner_requests_total", "operation", o.name, "status", status())
		at.Store(c)
	}
	c.Inc()
}

// end takes all of them out of the set.
func (m *meter) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
	for _, name := range m.names {
		m.set.UnregisterMetric(name)
	}
	m.names = nil
}

func (m *meter) counter(name string, labels ...string) *metrics.Counter {
	return register(m, name, labels, m.set.GetOrCreateCounter)
}

func (m *meter) histogram(name string, labels ...string) *metrics.PrometheusHistogram {
	return register(m, name, labels, m.set.GetOrCreatePrometheusHistogram)
}

func (m *meter) gauge(name string, f func() float64) {
	register(m, name, nil, func(full string) *metrics.Gauge { return m.set.GetOrCreateGauge(full, f) })
}

// register makes a metric with the deployment's labels and those given, name and
// value by turns.
func register[T any](m *meter, name string, labels []string, make func(full string) T) T {
	var b strings.Builder
	b.WriteString(name + "{" + m.labels)
	for i := 0; i < len(labels); i += 2 {
		b.WriteString("," + labels[i] + `="` + logline.Label(labels[i+1]) + `"`)
	}
	b.WriteString("}")
	m.mu.Lock()
	defer m.mu.Unlock()
	metric := make(b.String())
	if m.ended {
		m.set.UnregisterMetric(b.String()) // a straggler counts where nobody looks
	} else {
		m.names = append(m.names, b.String())
	}
	return metric
}
