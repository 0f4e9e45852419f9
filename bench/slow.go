package bench

import (
	"context"

	"github.com/funcatron/funcatron/bench/report"
)

// batchFlag bounds how many requests share a message.
const batchFlag = "--max-batch"

// slow measures functions that take their time: batching must not gather behind
// one runner what others could do.
func (b *Bench) slow(ctx context.Context) error {
	if b.report.Machine.RabbitMQ == "" {
		b.note("slow needs RabbitMQ")
		return nil
	}
	modes := []bool{true}
	if b.hasFlag("gateway", batchFlag) && b.hasFlag("runner", batchFlag) {
		modes = append(modes, false)
	} else {
		b.note("slow was measured with batching only: this funcatron cannot be told %s=1", batchFlag)
	}
	systems := make(map[bool]*system)
	for _, batching := range modes {
		var extra []string
		if !batching {
			extra = []string{batchFlag + "=1"}
		}
		s, err := b.cluster(ctx, 1, 1, extra...)
		if err != nil {
			return err
		}
		defer s.stop()
		if err := s.enable(ctx, document("/bench", slowConcurrency)); err != nil {
			return err
		}
		systems[batching] = s
	}
	for _, runners := range report.SlowRunners {
		var cells []cell
		for _, batching := range modes {
			s := systems[batching]
			if err := s.grow(ctx, 1, runners); err != nil {
				return err
			}
			if err := s.settled(ctx); err != nil {
				return err
			}
		}
		for _, ms := range report.SlowTimes {
			if b.opts.Quick && ms != 10 {
				continue
			}
			for _, batching := range modes {
				s := systems[batching]
				m, err := s.meter(false)
				if err != nil {
					return err
				}
				for _, r := range s.runners {
					m.runners = append(m.runners, r.admin)
				}
				cells = append(cells, b.closed(report.SlowKey(ms, runners, batching), m, s.target(0, slowRequest(ms))))
			}
		}
		if err := b.rounds(ctx, cells); err != nil {
			return err
		}
	}
	return nil
}
