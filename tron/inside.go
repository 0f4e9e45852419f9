package tron

import (
	"context"
	"net"
	"sync"
)

// inside is a listener whose connections do not leave the process.
type inside struct {
	conns chan net.Conn
	end   chan struct{}
	close sync.Once
}

func newInside() *inside {
	return &inside{conns: make(chan net.Conn), end: make(chan struct{})}
}

// Dial connects to the admin API from within this process, whatever the arguments,
// in plain HTTP also where others need TLS. It asks for the same token. It waits for
// Run to run, until ctx ends.
func (t *Tron) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case t.inside.conns <- theirs:
		return ours, nil
	case <-t.inside.end:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept implements net.Listener.
func (l *inside) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.end:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *inside) Close() error {
	l.close.Do(func() { close(l.end) })
	return nil
}

// Addr implements net.Listener.
func (l *inside) Addr() net.Addr { return insideAddr{} }

type insideAddr struct{}

func (insideAddr) Network() string { return "pipe" }
func (insideAddr) String() string  { return "inside" }
