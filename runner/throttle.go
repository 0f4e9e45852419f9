package runner

import (
	"sync"
	"time"
)

// throttle lets one log line through every so often, and counts the others.
type throttle struct {
	every time.Duration

	mu      sync.Mutex
	last    time.Time // under mu
	skipped int       // under mu
}

// pass says whether a line may be logged, and how many were not since the last.
func (t *throttle) pass() (skipped int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if !t.last.IsZero() && now.Sub(t.last) < t.every {
		t.skipped++
		return 0, false
	}
	skipped, t.skipped, t.last = t.skipped, 0, now
	return skipped, true
}
