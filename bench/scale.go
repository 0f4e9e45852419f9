package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/funcatron/funcatron/bench/load"
	"github.com/funcatron/funcatron/bench/report"
)

// scale adds gateways and runners on one RabbitMQ, and tells which process is the
// first to have no processor left.
func (b *Bench) scale(ctx context.Context) error {
	if b.report.Machine.RabbitMQ == "" {
		b.note("scale needs RabbitMQ")
		return nil
	}
	s, err := b.cluster(ctx, 1, 1)
	if err != nil {
		return err
	}
	defer s.stop()
	if err := s.enable(ctx, document("/bench", concurrency)); err != nil {
		return err
	}
	sizes := [][2]int{{1, 1}, {2, 1}, {2, 2}, {3, 3}}
	if b.opts.Quick {
		sizes = sizes[:2]
	}
	for _, size := range sizes {
		if err := s.grow(ctx, size[0], size[1]); err != nil {
			return err
		}
		if err := s.settled(ctx); err != nil {
			return err
		}
		m, err := s.meter(true)
		if err != nil {
			return err
		}
		for _, r := range s.runners {
			m.runners = append(m.runners, r.admin)
		}
		var targets []load.Target
		for i := range s.gateways {
			targets = append(targets, s.target(i, requests[report.Get]))
		}
		k := report.Key{Scenario: report.Scale, Subject: plural(size[0], "gateway") + ", " + plural(size[1], "runner"), Shape: report.Get, Connections: 256}
		if err := b.rounds(ctx, []cell{b.closed(k, m, targets...)}); err != nil {
			return err
		}
		b.saturated(k)
	}
	return nil
}

// saturated tells who used most of the machine.
func (b *Bench) saturated(k report.Key) {
	used := b.report.Row(k).Middle().Cores
	var most string
	sum := 0.0
	for _, name := range slices.Sorted(maps.Keys(used)) {
		sum += used[name]
		if name != "other" && name != "generator" && (most == "" || used[name] > used[most]) {
			most = name
		}
	}
	note := fmt.Sprintf("%s used %.2f; all together %.2f of %d", most, used[most], sum, b.report.Machine.Cores)
	if sum > 0.95*float64(b.report.Machine.Cores) {
		note += ": the machine is saturated"
	}
	b.fact(report.Scale, k.Subject+": largest user of processors", used[most], "cores", note)
}
