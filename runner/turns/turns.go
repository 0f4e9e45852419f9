// Package turns has one at a time make a thing that many want, and knows which things
// are in use.
package turns

import (
	"context"
	"sync"
)

// Turns are those of things, each named by a key. The zero value is ready. The methods
// may be called from any number of goroutines.
type Turns struct {
	mu     sync.Mutex
	things map[string]*thing // under mu; those that are used or waited for
}

// thing is what somebody has or wants.
type thing struct {
	turn chan struct{} // of capacity 1: who holds it may look at, and make, the thing
	uses int           // under Turns.mu
}

// Take waits for the turn of key, which done ends. The thing is in use until release
// is called, any number of times. The error is the cause of ctx's end; then there is
// nothing to call.
func (t *Turns) Take(ctx context.Context, key string) (done, release func(), err error) {
	th := t.enter(key)
	release = sync.OnceFunc(func() { t.leave(key, th) })
	select {
	case th.turn <- struct{}{}:
		return func() { <-th.turn }, release, nil
	case <-ctx.Done():
		release()
		return nil, nil, context.Cause(ctx)
	}
}

func (t *Turns) enter(key string) *thing {
	t.mu.Lock()
	defer t.mu.Unlock()
	th := t.things[key]
	if th == nil {
		if t.things == nil {
			t.things = make(map[string]*thing)
		}
		th = &thing{turn: make(chan struct{}, 1)}
		t.things[key] = th
	}
	th.uses++
	return th
}

func (t *Turns) leave(key string, th *thing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if th.uses--; th.uses == 0 {
		delete(t.things, key)
	}
}

// Hold calls do, and has nobody begin to use anything until that returns. used says
// whether somebody uses a thing, or waits for it.
func (t *Turns) Hold(do func(used func(key string) bool)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	do(func(key string) bool { return t.things[key] != nil })
}

// Len is how many things are in use.
func (t *Turns) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.things)
}
