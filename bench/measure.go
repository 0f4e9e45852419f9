package bench

import (
	"context"
	"fmt"

	"github.com/funcatron/funcatron/bench/load"
	"github.com/funcatron/funcatron/bench/report"
)

// cell is one thing that is measured once a round.
type cell struct {
	key report.Key
	run func(ctx context.Context, round int) (*report.Sample, error)
}

// rounds measures all cells, and then all again: what is compared alternates.
func (b *Bench) rounds(ctx context.Context, cells []cell) error {
	for round := range b.opts.Rounds {
		for _, c := range cells {
			if err := ctx.Err(); err != nil {
				return err
			}
			s, err := c.run(ctx, round)
			if err != nil {
				return fmt.Errorf("%s, %s, %d connections: %w", c.key.Subject, c.key.Shape, c.key.Connections, err)
			}
			b.report.Add(c.key, s)
			b.log.Info("measured", "scenario", c.key.Scenario, "of", c.key.Subject, "what", c.key.Shape, "connections", c.key.Connections,
				"round", round+1, "rate", int64(s.Rate), "p50-ms", s.P50, "p99-ms", s.P99)
		}
	}
	return nil
}

// run is one measurement over connections at each of targets, which share them and
// the rate; 0 is a closed loop.
func (b *Bench) run(ctx context.Context, round, connections int, rate float64, m *meter, targets ...load.Target) (*report.Sample, error) {
	duration := b.opts.Time
	if rate > 0 {
		duration *= 2 // a p99 needs more answers where they come more slowly
	}
	ceiling := 0.0
	if !m.limit {
		var err error
		if ceiling, err = b.ceiling(ctx, connections); err != nil {
			return nil, err
		}
	}
	before, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	type outcome struct {
		r   *load.Result
		err error
	}
	outcomes := make(chan outcome, len(targets))
	for _, t := range targets {
		o := load.Options{
			Target: t, Connections: max(connections/len(targets), 1), Rate: rate / float64(len(targets)),
			Warmup: b.warmup, Duration: duration,
		}
		if len(targets) > 1 {
			o.Loops = 1
		}
		go func() {
			r, err := load.Run(ctx, o)
			outcomes <- outcome{r, err}
		}()
	}
	var sum *load.Result
	for range targets {
		o := <-outcomes
		switch {
		case o.err != nil:
			err = o.err
		case sum == nil:
			sum = o.r
		default:
			sum.Merge(o.r)
		}
	}
	if err != nil {
		return nil, err
	}
	after, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	s := report.SampleOf(round, sum)
	s.Asked = rate
	s.Cores = after.cores(before)
	s.Even = after.even(before)
	if m.gateway != "" && sum.Total > 0 {
		s.Allocs = (after.mallocs - before.mallocs) / float64(sum.Total)
	}
	s.Validate(ceiling)
	return s, nil
}

// ceiling is what the generator reaches with so many connections against bare
// fasthttp: what it measures cannot be faster.
func (b *Bench) ceiling(ctx context.Context, connections int) (float64, error) {
	if rate, ok := b.ceilings[connections]; ok {
		return rate, nil
	}
	t := b.bare
	t.Requests = [][]byte{requests[report.Get]}
	r, err := load.Run(ctx, load.Options{Target: t, Connections: connections, Warmup: b.warmup, Duration: b.opts.Time})
	if err != nil {
		return 0, fmt.Errorf("measure the generator: %w", err)
	}
	b.ceilings[connections] = r.Rate()
	b.log.Info("the generator's own ceiling", "connections", connections, "rate", int64(r.Rate()), "busy", r.Busy)
	return r.Rate(), nil
}

// closed is a cell of a closed loop.
func (b *Bench) closed(k report.Key, m *meter, targets ...load.Target) cell {
	return cell{k, func(ctx context.Context, round int) (*report.Sample, error) {
		return b.run(ctx, round, k.Connections, 0, m, targets...)
	}}
}

// open is a cell of an open loop at a share of what a closed loop reached.
func (b *Bench) open(k report.Key, share, capacity float64, m *meter, targets ...load.Target) cell {
	k.Load = share
	return cell{k, func(ctx context.Context, round int) (*report.Sample, error) {
		return b.run(ctx, round, k.Connections, share*capacity, m, targets...)
	}}
}

// remote measures what --url names.
func (b *Bench) remote(ctx context.Context) error {
	t, err := targetOf(&b.opts)
	if err != nil {
		return err
	}
	shape, m := b.opts.Method, &meter{}
	var cells []cell
	for _, n := range b.opts.Connections {
		if n < 1 || n > load.MaxConnections {
			return fmt.Errorf("--connections: %d, must be from 1 to %d", n, load.MaxConnections)
		}
		k := report.Key{Scenario: report.Remote, Subject: b.opts.URL, Shape: shape, Connections: n}
		if b.opts.Rate > 0 {
			k.Shape = fmt.Sprintf("%s at %g/s", shape, b.opts.Rate)
			cells = append(cells, cell{k, func(ctx context.Context, round int) (*report.Sample, error) {
				return b.run(ctx, round, n, b.opts.Rate, m, t)
			}})
			continue
		}
		cells = append(cells, b.closed(k, m, t))
	}
	return b.rounds(ctx, cells)
}
