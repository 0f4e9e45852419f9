package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch/brokertest"
)

// When the wall clock steps by an hour clients see nothing, nobody is taken for gone,
// and the Tron goes on managing. Only .ci/clock builds this test.
func TestClockSteps(t *testing.T) {
	clock, err := os.OpenFile(os.Getenv("FUNCATRON_TEST_CLOCK"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer clock.Close()
	s, gateways := duo(t, brokertest.RabbitURL(t))
	marks := openFile(t, "marks")
	sha := s.add(busBundle(t, "/clock", 16, 20*time.Second))
	s.enable(sha, map[string]any{"file": marks})
	l := startTraffic(t, trafficOptions{gateways: gateways, rate: 200, path: func(id string) string { return "/clock/slow/5?mark=" + id }})
	l.lasts(t, time.Second)
	for _, by := range []time.Duration{time.Hour, 0, -time.Hour, 0} {
		before := time.Now()
		if _, err := clock.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(by/time.Second)), 0); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the clock steps", func() error {
			if step := time.Now().Round(0).Sub(before.Round(0)); step.Abs() < 50*time.Minute {
				return fmt.Errorf("by %v", step)
			}
			return nil
		})
		l.lasts(t, 35*time.Second) // three heartbeats and more
		if n := s.stats().Network; len(n.Gateways) != 2 || len(n.Runners) != 2 {
			t.Errorf("%d gateways and %d runners are known", len(n.Gateways), len(n.Runners))
		}
		s.enable(sha, map[string]any{"file": marks})
	}
	all := l.end()
	all.check(t, "clients see nothing", func(s shot) bool { return s.status == 200 && s.took < 5*time.Second })
	ran := executions(t, marks)
	all.check(t, "each ran once", func(s shot) bool { return ran[s.id] == 1 })
	for name, p := range s.procs {
		text, _ := p.output()
		if strings.Contains(text, "broker unavailable") || strings.Contains(text, "connection to RabbitMQ lost") || strings.Contains(text, "gone") {
			t.Errorf("%s noticed:\n%s", name, text)
		}
	}
	t.Logf("%v", all)
}
