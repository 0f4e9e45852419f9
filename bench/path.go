package bench

import (
	"context"
	"fmt"
	"slices"

	"github.com/funcatron/funcatron/bench/load"
	"github.com/funcatron/funcatron/bench/report"
	"github.com/funcatron/funcatron/shared/wire"
)

// shares of the capacity that open loops ask for.
var shares = []float64{0.5, 0.8, 1, 1.2}

// subject is a server that requests are made at.
type subject struct {
	scenario, name string
	target         load.Target
	queue          amqpQueue // in place of target, where there is no HTTP
	meter          *meter
	allocs         *meter // counts the gateway's allocations, too
}

// path measures the way of a request through the system, and through as little as
// it could be made of. Either half is measured alone where only it was asked for.
func (b *Bench) path(ctx context.Context) error {
	gateway := slices.Contains(b.opts.Scenarios, report.Gateway)
	limits := slices.Contains(b.opts.Scenarios, report.Limits)
	withRabbit := b.report.Machine.RabbitMQ != ""

	up, err := b.up(ctx)
	if err != nil {
		return err
	}
	defer up.stop()
	if err := up.enable(ctx, document("/bench", concurrency)); err != nil {
		return err
	}
	var systems, bare []*subject
	if gateway {
		m, err := up.meter(false)
		if err != nil {
			return err
		}
		systems = append(systems, &subject{scenario: report.Gateway, name: report.Memory, target: up.target(0), meter: m, allocs: m})
		if withRabbit {
			cluster, err := b.cluster(ctx, 1, 1)
			if err != nil {
				return err
			}
			defer cluster.stop()
			if err := cluster.enable(ctx, document("/bench", concurrency)); err != nil {
				return err
			}
			m, err := cluster.meter(false)
			if err != nil {
				return err
			}
			counting := *m
			counting.gateway = cluster.gateways[0].admin
			systems = append(systems, &subject{scenario: report.Gateway, name: report.RabbitMQ, target: cluster.target(0), meter: m, allocs: &counting})
		}
	}
	bare, stop, err := b.bareServers(ctx, up)
	defer stop()
	if err != nil {
		return err
	}
	if withRabbit {
		for _, name := range []string{report.AMQP, report.SafeAMQP} {
			s, stop, err := b.amqpResponder(ctx, name)
			if err != nil {
				return err
			}
			defer stop()
			bare = append(bare, s)
		}
	}

	var cells []cell
	for _, n := range []int{1, 16, 64, 256} {
		for _, shape := range []string{report.Get, report.Post, report.PostBlob} {
			for _, s := range bare {
				if !wanted(limits, gateway, s.name, shape, n) || b.opts.Quick && !compared(s.name, shape, n) {
					continue
				}
				k := report.Key{Scenario: s.scenario, Subject: s.name, Shape: shape, Connections: n}
				if s.queue.name != "" {
					cells = append(cells, b.amqpCell(k, s, requests[shape]))
					continue
				}
				cells = append(cells, b.closed(k, s.meter, s.aim(shape)))
			}
			for _, s := range systems {
				if b.opts.Quick && !(shape == report.Get && n != 16) && !(shape == report.Post && n == 64) {
					continue
				}
				k := report.Key{Scenario: s.scenario, Subject: s.name, Shape: shape, Connections: n}
				cells = append(cells, b.closed(k, s.allocs, s.aim(shape)))
			}
		}
	}
	if err := b.rounds(ctx, cells); err != nil {
		return err
	}
	return b.openLoops(ctx, systems)
}

// openLoops asks at fixed rates, shares of what a closed loop reached.
func (b *Bench) openLoops(ctx context.Context, systems []*subject) error {
	var cells []cell
	for _, share := range shares {
		for _, s := range systems {
			k := report.Key{Scenario: s.scenario, Subject: s.name, Shape: report.Get, Connections: report.OpenConnections}
			row := b.report.Row(k)
			if row == nil {
				return fmt.Errorf("BUG: the capacity of %s was not measured", s.name)
			}
			capacity := row.Median(func(s *report.Sample) float64 { return s.Rate })
			if capacity == 0 || b.opts.Quick && share != 0.8 {
				continue
			}
			cells = append(cells, b.open(k, share, capacity, s.meter, s.aim(report.Get)))
		}
	}
	return b.rounds(ctx, cells)
}

// aim is the target with what is asked of it.
func (s *subject) aim(shape string) load.Target {
	t := s.target
	t.Requests = [][]byte{requests[shape]}
	return t
}

// compared tells what a floor is measured against.
func compared(name, shape string, n int) bool {
	switch name {
	case report.AMQP, report.SafeAMQP:
		return shape == report.Get && n != 16
	case report.Proxy:
		return shape == report.Get && n == 64
	}
	return false
}

// wanted tells which limits are measured: all that say something for limits, those
// that are compared for gateway.
func wanted(limits, gateway bool, name, shape string, n int) bool {
	return limits && (shape == report.Get || n == 64 && (name == report.AMQP || name == report.SafeAMQP || name == report.Proxy)) ||
		gateway && compared(name, shape, n)
}

// bareServers are the limits: the function's answers with ever less around. stop is
// to be called in any case.
func (b *Bench) bareServers(ctx context.Context, up *system) (all []*subject, stop func(), err error) {
	var procs []*process
	stop = func() {
		for _, p := range procs {
			p.stop()
		}
	}
	all = append(all, &subject{scenario: report.Limits, name: report.FastHTTP, target: b.bare, meter: &meter{limit: true, pids: map[string][]int{"server": {b.barePID}}}})
	function, err := up.function(0)
	if err != nil {
		return nil, stop, err
	}
	socket, err := environment(function, "FUNCATRON_SOCKET")
	if err != nil {
		return nil, stop, err
	}
	for _, s := range []struct {
		name, child string
		args        []string
	}{{report.NetHTTP, netHTTPChild, nil}, {report.Proxy, proxyChild, []string{socket}}} {
		p, err := b.child(s.child, s.args...)
		if err != nil {
			return nil, stop, err
		}
		procs = append(procs, p)
		t, err := p.target(ctx)
		if err != nil {
			return nil, stop, err
		}
		m := &meter{limit: s.child == netHTTPChild, pids: map[string][]int{"server": {p.pid}}}
		if s.child == proxyChild {
			m.pids["function"] = []int{function}
		}
		all = append(all, &subject{scenario: report.Limits, name: s.name, target: t, meter: m})
	}
	return all, stop, nil
}

// amqpResponder starts what answers on a queue.
func (b *Bench) amqpResponder(ctx context.Context, name string) (*subject, func(), error) {
	q, mode := amqpQueue{name: "bench_" + wire.NewID(), safe: name == report.SafeAMQP}, "bare"
	if q.safe {
		mode = "safe"
	}
	p, err := b.child(amqpChild, b.opts.RabbitURL, q.name, mode)
	if err != nil {
		return nil, nil, err
	}
	stop := func() {
		p.stop()
		if q.safe {
			if err := deleteQueue(b.opts.RabbitURL, q.name); err != nil {
				b.log.Warn("a queue stays; it expires by itself", "err", err)
			}
		}
	}
	if _, err := p.says(ctx, `listening on`); err != nil {
		stop()
		return nil, nil, err
	}
	m := &meter{pids: map[string][]int{"responder": {p.pid}, "rabbitmq": nonzero(b.rabbitPID)}}
	return &subject{scenario: report.Limits, name: name, queue: q, meter: m}, stop, nil
}

func (b *Bench) amqpCell(k report.Key, on *subject, body []byte) cell {
	return cell{k, func(ctx context.Context, round int) (*report.Sample, error) {
		before, err := on.meter.read(ctx)
		if err != nil {
			return nil, err
		}
		r, err := runAMQP(ctx, b.opts.RabbitURL, on.queue, body, k.Connections, b.warmup, b.opts.Time)
		if err != nil {
			return nil, err
		}
		after, err := on.meter.read(ctx)
		if err != nil {
			return nil, err
		}
		s := report.SampleOf(round, r)
		s.Cores = after.cores(before)
		s.Validate(0)
		return s, nil
	}}
}

func nonzero(pid int) []int {
	if pid == 0 {
		return nil
	}
	return []int{pid}
}
