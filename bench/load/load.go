// Package load makes HTTP requests at one target over a fixed number of kept
// connections, and measures how long the answers take.
//
// A few loops, each a thread with an epoll of its own, share the connections;
// nothing is shared between loops while they run, and a loop allocates nothing
// a request. So the generator takes as little as it can of the machine that it
// measures, and it knows how busy it was: a run in which it had no time to spare
// measured the generator and says so (Result.Busy, Result.Lag).
//
// In a closed loop each connection sends its next request when it has the answer
// to the last. In an open loop requests are due at a fixed rate whatever the
// target does, and latency counts from the moment a request was due: one that
// waited for a free connection, or was never sent, waited. Nothing is left out
// because the target was slow (coordinated omission).
package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Target is what requests are made at.
type Target struct {
	Network string // tcp or unix
	Address string // host:port, or the path of a socket
	// Requests are whole HTTP/1.1 requests, sent one after the other, and again.
	// A request must not be HEAD: its answer could not be told from another's.
	Requests [][]byte
	Status   int // that every answer must have; 0 takes any 2xx
}

// Options is one run.
type Options struct {
	Target
	Connections int
	Loops       int           // threads; 0 takes what the machine has room for
	Rate        float64       // requests/s that are due, over all connections; 0 is a closed loop
	Warmup      time.Duration // at the beginning, not measured
	Duration    time.Duration // that is measured, after Warmup
	// Grace is how long answers are waited for when Duration is over; 0 is 2 s.
	Grace time.Duration
}

// MaxConnections bounds Options.Connections; MaxDuration bounds Warmup and
// Duration; MaxLatency is the longest that is told from longer ones.
const (
	MaxConnections = 60_000
	MaxDuration    = 10 * time.Minute
	MaxLatency     = 10 * time.Minute
)

const defaultGrace = 2 * time.Second

func (o *Options) validate() error {
	switch {
	case o.Network != "tcp" && o.Network != "unix":
		return fmt.Errorf("network %q is neither tcp nor unix", o.Network)
	case len(o.Requests) == 0:
		return errors.New("there is no request")
	case o.Connections < 1 || o.Connections > MaxConnections:
		return fmt.Errorf("%d connections, must be from 1 to %d", o.Connections, MaxConnections)
	case o.Duration <= 0 || o.Duration > MaxDuration || o.Warmup < 0 || o.Warmup > MaxDuration:
		return fmt.Errorf("duration %v after %v, each must be at most %v", o.Duration, o.Warmup, MaxDuration)
	case o.Rate < 0 || math.IsNaN(o.Rate) || o.Rate > 1e7:
		return fmt.Errorf("rate is %v/s, must be from 0 to ten million", o.Rate)
	}
	if o.Grace <= 0 {
		o.Grace = defaultGrace
	}
	if o.Loops <= 0 {
		o.Loops = defaultLoops()
	}
	o.Loops = min(o.Loops, o.Connections)
	return nil
}

// Result is what a run measured. Latencies are in microseconds.
type Result struct {
	// Latency is of every request that was sent, or due, while it was measured,
	// from then on. One that was never answered counts with the time it had waited
	// when the run ended: at least so long would it have taken.
	Latency *hdrhistogram.Histogram
	// Lag is, in an open loop, by how much requests left later than they could have
	// because the generator was late, not the target.
	Lag *hdrhistogram.Histogram

	Elapsed    time.Duration // that was measured
	Answered   int64         // with the right status, while it was measured
	Wrong      int64         // with another status
	Broken     int64         // connections lost with a request in them
	Unanswered int64         // sent and not answered when Grace was over
	Unsent     int64         // due and not sent when the run ended
	Total      int64         // answers of any kind, those of Warmup and Grace too

	Statuses map[int]int64 // of the answers that were measured
	Busy     float64       // share of Elapsed that the busiest loop had a processor
	CPU      time.Duration // of all loops, Warmup and Grace too
}

// Rate is the answers with the right status a second.
func (r *Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Answered) / r.Elapsed.Seconds()
}

// NewHistogram makes a histogram of microseconds: up to MaxLatency, with an error
// of at most a thousandth.
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, MaxLatency.Microseconds(), 3)
}

// Record counts an answer that took d.
func (r *Result) Record(d time.Duration) { record(r.Latency, d) }

// record counts d. What is too short or too long counts as the shortest or longest.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 1), MaxLatency.Microseconds())) // in range, so no error
}

// Run makes requests until the run is over or ctx ends, which is an error. Every
// connection is open before the clock starts.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	loops := make([]*loop, o.Loops)
	defer func() {
		for _, l := range loops {
			if l != nil {
				l.close()
			}
		}
	}()
	for i := range loops {
		l, err := newLoop(&o, i)
		loops[i] = l
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", o.Address, err)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	base := time.Now()
	var wg sync.WaitGroup
	for _, l := range loops {
		wg.Go(func() {
			if err := l.run(ctx, base); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("load %s: %w", o.Address, err)
	}
	sum := newResult(o.Duration)
	for _, l := range loops {
		sum.Merge(&l.result)
	}
	return sum, nil
}

func newResult(elapsed time.Duration) *Result {
	return &Result{Latency: NewHistogram(), Lag: NewHistogram(), Elapsed: elapsed, Statuses: make(map[int]int64)}
}

// Merge adds what was measured at the same time by another loop, or another run.
func (r *Result) Merge(o *Result) {
	r.Latency.Merge(o.Latency)
	r.Lag.Merge(o.Lag)
	r.Answered += o.Answered
	r.Wrong += o.Wrong
	r.Broken += o.Broken
	r.Unanswered += o.Unanswered
	r.Unsent += o.Unsent
	r.Total += o.Total
	for status, n := range o.Statuses {
		r.Statuses[status] += n
	}
	r.Busy = max(r.Busy, o.Busy)
	r.CPU += o.CPU
}
