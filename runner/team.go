package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/runner/call"
	"github.com/funcatron/funcatron/shared/logline"
	"github.com/funcatron/funcatron/shared/reqid"
)

// A process that ends is started again after restartPause, which doubles with each
// end in a row up to restartPauseMax. A process that lived for healthy times the
// pause before it begins a new row, so that one which dies now and then, of a leak
// or of a bad request, is away for a tenth of the time at most; crashLoop ends in a
// row are more than bad luck.
const (
	restartPause    = 100 * time.Millisecond
	restartPauseMax = 30 * time.Second
	healthy         = 10
	crashLoop       = 3
)

// dying is how long after it broke a connection a process may be found dead.
const dying = 50 * time.Millisecond

// team is the processes of a deployment. Each has a goroutine that starts it anew
// whenever it ends, until the team is stopped.
type team struct {
	run        *run
	log        *slog.Logger
	ports      *ports
	acceptTime time.Duration // that a process has to accept connections
	output     func(stderr bool, line []byte)
	muted      reqid.ID // of warm-up requests, whose lines are not written
	places     *places
	restarts   *metrics.Counter
	launched   atomic.Uint64 // processes, each of which has a number

	ending context.CancelFunc // no process is started any more, those there are get SIGTERM
	kill   context.CancelFunc // and those SIGKILL
	wg     sync.WaitGroup     // the processes' goroutines

	crashes logline.Throttle
	mu      sync.Mutex
	row     int         // under mu: ends in a row, 0 when all is well
	last    *startError // under mu: the last end
}

// start starts the processes, all at once, and returns when each accepts
// connections. The error is that of the first that does not, and then there is
// none. ctx is for the start alone; when kill ends every process is killed, then
// and later.
func (t *team) start(ctx, kill context.Context, n int) *startError {
	starting, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	instances := make([]*instance, n)
	var first *startError
	var once sync.Once
	var wg sync.WaitGroup
	for k := range n {
		wg.Go(func() {
			var err *startError
			if instances[k], err = t.launch(starting, kill, true); err != nil {
				once.Do(func() {
					first = err
					giveUp(errors.New("another process did not start"))
				})
			}
		})
	}
	wg.Wait()
	if first != nil {
		stop, cancel := context.WithTimeout(kill, stopTime)
		defer cancel()
		for _, i := range instances {
			if i != nil {
				wg.Go(func() { i.end(stop) })
			}
		}
		wg.Wait()
		return first
	}

	kill, cancelKill := context.WithCancel(kill)
	ending, cancelEnding := context.WithCancel(kill) // who kills ends
	t.kill, t.ending = cancelKill, cancelEnding
	for _, i := range instances {
		t.places.add(i)
		t.wg.Go(func() { t.keep(ending, kill, i) })
	}
	return nil
}

// stop ends the processes: SIGTERM, and SIGKILL to what is there after grace.
func (t *team) stop(grace time.Duration) {
	t.ending()
	late := time.AfterFunc(grace, t.kill)
	t.wg.Wait()
	late.Stop()
	t.kill()
	t.places.close()
}

// keep keeps one process there.
func (t *team) keep(ending, kill context.Context, i *instance) {
	row, pause := 0, time.Duration(0)
	for {
		select {
		case <-i.proc.Exited():
		case <-ending.Done():
		}
		t.places.remove(i)
		if ending.Err() != nil {
			i.end(kill)
			return
		}
		if time.Since(i.since) >= healthy*pause {
			row = 0
		}
		i.end(kill)
		err := &startError{fmt.Errorf("process ended: %s", i.proc.Exit()), i.proc.Tail()}
		for i = nil; i == nil; {
			row++
			pause = min(restartPause<<min(row-1, 20), restartPauseMax)
			t.crashed(row, err, pause)
			select {
			case <-time.After(pause):
			case <-ending.Done():
				return
			}
			t.restarts.Inc()
			var failed *startError
			// Where nobody else serves, a process that is slow at first is better than none.
			if i, failed = t.launch(ending, kill, t.places.count() > 0); failed != nil {
				err = failed
				if ending.Err() != nil {
					return
				}
			}
		}
		t.places.add(i)
	}
}

// suspect takes i out of use when it turns out to have ended, err being what became
// of a call. A process that dies closes its connections first and what it listens
// on a moment later: a call that came in between would be lost for nothing.
func (t *team) suspect(i *instance, err error) {
	var broke call.ProtocolError
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, call.ErrTooLarge) || errors.As(err, &broke) {
		return // it lives, and does as it likes
	}
	late := time.NewTimer(dying)
	defer late.Stop()
	select {
	case <-i.proc.Exited():
		t.places.remove(i)
	case <-late.C:
	}
}

// crashed notes an end, and says so every now and then.
func (t *team) crashed(row int, err *startError, pause time.Duration) {
	t.mu.Lock()
	t.row, t.last = row, err
	t.mu.Unlock()
	if skipped, ok := t.crashes.Pass(); ok {
		t.log.Warn("function's process is gone, and is started again", "err", err, "in", pause,
			"in-a-row", row, "unsaid", skipped, "last-words", lastWords(err.lines))
	}
}

// trouble is why no process is live, and whether that looks like staying so.
func (t *team) trouble() (last *startError, looping bool) {
	if t.places.count() > 0 {
		return nil, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last, t.row >= crashLoop
}

// lastWords is the end of what a process wrote, on one line.
func lastWords(lines []string) string {
	return strings.Join(lines[max(len(lines)-3, 0):], " | ")
}
