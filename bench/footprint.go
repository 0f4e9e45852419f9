package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/funcatron/funcatron/bench/load"
	"github.com/funcatron/funcatron/bench/report"
)

// crowd is how many clients footprint has, where the limit of open files allows it.
const crowd = 10_000

// footprint measures what the system weighs.
func (b *Bench) footprint(ctx context.Context) error {
	info, err := os.Stat(b.opts.Binary)
	if err != nil {
		return err
	}
	b.fact(report.Footprint, "binary", float64(info.Size())/(1<<20), "MiB", "")
	if err := b.startUp(ctx); err != nil {
		return err
	}
	up, err := b.up(ctx)
	if err != nil {
		return err
	}
	defer up.stop()
	if err := up.enable(ctx, document("/bench", concurrency)); err != nil {
		return err
	}
	if err := b.weigh("all in one process, at rest", up.procs[0].pid, "with one function enabled"); err != nil {
		return err
	}
	if b.report.Machine.RabbitMQ == "" {
		b.note("footprint measured no separate parts: that needs RabbitMQ")
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
	for _, p := range s.procs {
		if err := b.weigh(p.role+" at rest", p.pid, ""); err != nil {
			return err
		}
	}
	n, err := openFiles()
	if err != nil {
		return err
	}
	if n = min(n-500, crowd); n < crowd {
		b.note("footprint has %d connections only: ulimit -n allows no more", n)
	}
	idle := s.gateways[0]
	if err := b.crowded(ctx, idle, n, requests[report.Get], fmt.Sprintf("gateway with %s idle connections", count(n)), func() (bool, error) {
		served, err := scrape(ctx, idle.admin, "funcatron_gateway_requests_total")
		return served >= float64(n), err
	}); err != nil {
		return err
	}
	if err := s.grow(ctx, 2, 1); err != nil { // one that has served nothing yet
		return err
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	pending := s.gateways[1]
	return b.crowded(ctx, pending, n, slowRequest(maxSlow), fmt.Sprintf("gateway with %s pending requests", count(n)), func() (bool, error) {
		waiting, err := scrape(ctx, pending.admin, "funcatron_gateway_pending_requests")
		return waiting >= float64(n), err
	})
}

// count writes a number of clients as the floors do.
func count(n int) string {
	if n == crowd {
		return "10,000"
	}
	return fmt.Sprint(n)
}

// crowded weighs a gateway with n clients, each with one request, once there says
// that all have arrived.
func (b *Bench) crowded(ctx context.Context, g part, n int, request []byte, name string, there func() (bool, error)) error {
	held, err := load.Hold(at(g.url, request), n)
	if err != nil {
		return err
	}
	defer held.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, startTime/2, errors.New("not all requests arrived"))
	defer cancel()
	for {
		ok, err := there()
		if err != nil {
			return err
		}
		if ok {
			return b.weigh(name, g.proc.pid, "")
		}
		if err := pause(ctx, glance); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

// weigh notes the memory of a process.
func (b *Bench) weigh(name string, pid int, note string) error {
	rss, err := resident(pid)
	if err != nil {
		return fmt.Errorf("weigh %s: %w", name, err)
	}
	b.fact(report.Footprint, name, float64(rss)/(1<<20), "MiB", note)
	return nil
}

// startUp measures how long it takes from the start of the process until it serves.
func (b *Bench) startUp(ctx context.Context) error {
	var took []float64
	for range b.opts.Rounds {
		began := time.Now()
		s, err := b.up(ctx)
		if err != nil {
			return err
		}
		err = serves(ctx, s.gateways[0].url+"/", time.Millisecond)
		took = append(took, time.Since(began).Seconds()*1e3)
		s.stop()
		if err != nil {
			return err
		}
	}
	b.fact(report.Footprint, "start of everything in one process", report.Median(took), "ms", "from its start to the first answer of the gateway")
	return nil
}

// openFiles is how many files a process may have open.
func openFiles() (int, error) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	return int(min(lim.Max, 1<<20)), nil // Go has raised the soft limit to it
}
