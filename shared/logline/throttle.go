package logline

import (
	"sync"
	"time"
)

// Throttle bounds how often something is logged: Burst lines at once, and one
// more each Every. Its zero value lets nothing through.
type Throttle struct {
	Every time.Duration
	Burst int

	mu      sync.Mutex
	spent   int       // of Burst; under mu
	since   time.Time // the time up to which spent was given back; under mu
	skipped int       // under mu
}

// Pass says whether a line may be logged now, and how many were not since the last
// that was.
func (t *Throttle) Pass() (skipped int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.spent == 0 {
		t.since = now
	} else if back := int(now.Sub(t.since) / t.Every); back > 0 {
		t.spent = max(t.spent-back, 0)
		t.since = t.since.Add(time.Duration(back) * t.Every)
	}
	if t.spent >= t.Burst {
		t.skipped++
		return 0, false
	}
	t.spent++
	skipped, t.skipped = t.skipped, 0
	return skipped, true
}
