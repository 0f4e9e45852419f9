package brokertest

import (
	"net"
	"net/url"
	"sync"
	"testing"
)

// Proxy is a TCP proxy that breaks: what lies between a client and its broker.
//
// (toxiproxy, the usual one, drops what it holds back; here a stall loses nothing,
// as on a network that comes back.)
type Proxy struct {
	ln     net.Listener
	target string
	url    url.URL
	wg     sync.WaitGroup

	mu      sync.Mutex // guards what follows
	cond    sync.Cond  // stalled or closed changed
	cut     bool
	stalled bool
	closed  bool
	conns   map[net.Conn]struct{}
}

// NewProxy starts a proxy to the broker at rawURL, until the test ends.
func NewProxy(t testing.TB, rawURL string) *Proxy {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal("the broker's URL does not parse") // and may hold a password
	}
	target := u.Host
	if u.Port() == "" {
		target = net.JoinHostPort(u.Hostname(), "5672")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{ln: ln, target: target, url: *u, conns: make(map[net.Conn]struct{})}
	p.url.Host = ln.Addr().String()
	p.cond.L = &p.mu
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// URL is the broker's URL, by way of the proxy.
func (p *Proxy) URL() string { return p.url.String() }

// Cut breaks every connection and lets no new one through, until Resume.
func (p *Proxy) Cut() { p.change(true, false) }

// Stall keeps connections open, and new ones can be made, but nothing moves in
// either direction until Resume.
func (p *Proxy) Stall() { p.change(false, true) }

// Resume ends Cut and Stall.
func (p *Proxy) Resume() { p.change(false, false) }

func (p *Proxy) change(cut, stalled bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.stalled = cut, stalled
	if cut {
		p.breakAll()
	}
	p.cond.Broadcast()
}

// breakAll resets every connection. p.mu is held.
func (p *Proxy) breakAll() {
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, as from a machine that is gone
		}
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *Proxy) close() {
	_ = p.ln.Close()
	p.mu.Lock()
	p.closed = true
	p.breakAll()
	p.cond.Broadcast()
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	if !p.keep(client) {
		return
	}
	broker, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer broker.Close()
	if !p.keep(broker) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.copy(broker, client) })
	both.Go(func() { p.copy(client, broker) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, client)
	delete(p.conns, broker)
}

// keep remembers c for Cut, unless it is too late.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.closed {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

// copy copies until either side ends, and then ends both.
func (p *Proxy) copy(dst, src net.Conn) {
	defer dst.Close()
	defer src.Close()
	buf := make([]byte, 32<<10)
	for {
		p.flows()
		n, err := src.Read(buf)
		p.flows()
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// flows waits while the proxy is stalled.
func (p *Proxy) flows() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stalled && !p.closed {
		p.cond.Wait()
	}
}
