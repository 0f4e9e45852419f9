package admin

import (
	"net/http"
	"slices"

	"github.com/VictoriaMetrics/metrics"
)

// Without its TYPE a series is untyped to Prometheus, and tools that look for
// counters and histograms do not offer it. The switch is global to the process.
func init() { metrics.ExposeMetadata(true) }

// writeMetrics writes the Prometheus text format, version 0.0.4.
func writeMetrics(w http.ResponseWriter, sets []*metrics.Set) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	for i, s := range sets {
		if s != nil && !slices.Contains(sets[:i], s) {
			s.WritePrometheus(w)
		}
	}
	metrics.WriteProcessMetrics(w)
}
