package turns

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestOneAtATime(t *testing.T) {
	var turns Turns
	var at atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			done, release, err := turns.Take(t.Context(), "a")
			if err != nil || at.Add(1) != 1 {
				t.Errorf("another has the turn (%v)", err)
			}
			at.Add(-1)
			done()
			release()
			release()
		})
	}
	wg.Wait()
	if n := turns.Len(); n != 0 {
		t.Errorf("%d are in use", n)
	}
}

func TestUse(t *testing.T) {
	var turns Turns
	used := func(key string) (is bool) {
		turns.Hold(func(used func(string) bool) { is = used(key) })
		return is
	}
	done, release, err := turns.Take(t.Context(), "a")
	if err != nil || !used("a") || used("b") {
		t.Fatalf("a is used: %v, b: %v (%v)", used("a"), used("b"), err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	cancel(why)
	if _, _, err := turns.Take(ctx, "a"); !errors.Is(err, why) {
		t.Errorf("who gave up got %v", err)
	}
	done()
	if !used("a") {
		t.Error("the end of a turn ends the use")
	}
	release()
	if used("a") || turns.Len() != 0 {
		t.Error("it is used after its release")
	}
}
