package gateway

import (
	"io"
	"net"
	"time"
)

// Bounds of a linger.
const (
	lingerTime  = time.Second
	lingerBytes = 64 << 20
)

// lingerOn makes c, which is answered before all of its request was read, linger
// when it is closed: closed with bytes unread, TCP resets the connection, and the
// client, still sending, may never see the answer (RFC 9112 section 9.6).
func lingerOn(c net.Conn) {
	if wrapped, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = wrapped.NetConn()
	}
	if cc, ok := c.(*clientConn); ok {
		cc.lingers.Store(true)
	}
}

// Close implements net.Conn.
func (c *clientConn) Close() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok && c.lingers.Load() {
		if tcp.CloseWrite() == nil && tcp.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
			_, _ = io.CopyN(io.Discard, tcp, lingerBytes) // whatever ends it, the connection is closed now
		}
	}
	return c.Conn.Close()
}
