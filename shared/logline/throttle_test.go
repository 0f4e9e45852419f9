package logline_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/funcatron/funcatron/shared/logline"
)

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := logline.Throttle{Every: time.Second, Burst: 3}
		pass := func(want bool, wantSkipped int) {
			t.Helper()
			if skipped, ok := th.Pass(); ok != want || skipped != wantSkipped {
				t.Errorf("Pass = %d, %v, want %d, %v", skipped, ok, wantSkipped, want)
			}
		}
		for range 3 {
			pass(true, 0)
		}
		pass(false, 0)
		pass(false, 0)
		<-time.After(time.Second)
		pass(true, 2) // one more, which tells of the two
		pass(false, 0)
		<-time.After(time.Hour)
		pass(true, 1)
		pass(true, 0)
		pass(true, 0) // the burst is back, and no more than that
		pass(false, 0)
	})
}

func TestLabel(t *testing.T) {
	if got := logline.Label("a\\b\"c\nd\xffé"); got != `a\\b\"c\nd`+"\uFFFDé" {
		t.Errorf("Label = %q", got)
	}
}
