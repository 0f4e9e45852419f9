package admin

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"
)

// Every family says its type, once, before its series.
func TestMetricsHaveTypes(t *testing.T) {
	set := metrics.NewSet()
	set.NewCounter(`test_requests_total{path="/a"}`).Inc()
	set.NewCounter(`test_requests_total{path="/b"}`).Inc()
	set.NewPrometheusHistogram("test_duration_seconds").Update(1)
	w := httptest.NewRecorder()
	writeMetrics(w, []*metrics.Set{set, set, nil})
	got := w.Body.String()
	for _, want := range []string{"# TYPE test_requests_total counter\n", "# TYPE test_duration_seconds histogram\n", "# TYPE process_start_time_seconds gauge\n"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%d times %q in\n%s", strings.Count(got, want), want, got[:min(len(got), 2000)])
		}
	}
	if strings.Index(got, "# TYPE test_requests_total") > strings.Index(got, `test_requests_total{path="/a"} 1`) {
		t.Error("the type comes behind its series")
	}
}
