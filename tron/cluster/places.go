package cluster

import (
	"context"
	"sync"

	"github.com/funcatron/funcatron/tron/store"
)

// places serialises what is done at each place. Different places do not wait for
// one another. The zero value is ready.
type places struct {
	mu   sync.Mutex
	held map[store.Place]*turn
}

type turn struct {
	token   chan struct{} // of capacity 1: full while somebody has it
	waiting int           // those who have it or wait for it; guarded by places.mu
}

// hold waits until nobody else holds at, or until ctx ends, which is the error.
func (p *places) hold(ctx context.Context, at store.Place) (release func(), err error) {
	p.mu.Lock()
	t := p.held[at]
	if t == nil {
		if p.held == nil {
			p.held = make(map[store.Place]*turn)
		}
		t = &turn{token: make(chan struct{}, 1)}
		p.held[at] = t
	}
	t.waiting++
	p.mu.Unlock()

	leave := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if t.waiting--; t.waiting == 0 {
			delete(p.held, at)
		}
	}
	select {
	case t.token <- struct{}{}:
		return func() { <-t.token; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
