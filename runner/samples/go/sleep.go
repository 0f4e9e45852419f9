package main

import (
	"context"
	"time"

	"github.com/funcatron/funcatron/runner/fn"
)

// Slept is the answer of Sleep.
type Slept struct {
	Slept int `json:"slept"`
}

// sleep takes as long as it is told, or until its time is up: the document gives
// it a second.
func sleep(ctx *fn.Context, _ fn.None) (Slept, error) {
	ms, err := fn.Param[int](ctx, "ms")
	if err != nil {
		return Slept{}, err
	}
	return Slept{ms}, pause(ctx, ms)
}

// pause waits so many milliseconds, and not beyond ctx.
func pause(ctx context.Context, ms int) error {
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
