package runner

import (
	"bytes"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/shared/envelope"
	"github.com/funcatron/funcatron/shared/swagger"
)

// Every fault counts; one that was forgotten here cost its request.
func TestMeterCountsEveryFault(t *testing.T) {
	set := metrics.NewSet()
	m := newMeter(set, "d", "/p", &swagger.Document{}, func() int { return 0 })
	for f := envelope.NoFault; f <= envelope.Held; f++ {
		m.of(nil).failed(f)
	}
	var b bytes.Buffer
	set.WritePrometheus(&b)
	for _, status := range []string{"died", "expired", "too_large", "not_run"} {
		if !strings.Contains(b.String(), `operation="other",status="`+status+`"}`) {
			t.Errorf("no count of %s:\n%s", status, b.String())
		}
	}
}
