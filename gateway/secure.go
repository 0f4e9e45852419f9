package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// handshakeTime is how long a client may take to begin with TLS.
const handshakeTime = 10 * time.Second

// secure accepts secureConns of a listener whose connections speak TLS. Their
// handshake is fasthttp's to begin, on the connection's goroutine: whoever is slow
// at it holds up nobody else.
type secure struct{ net.Listener }

func (l secure) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return secureConn{nc.(*tls.Conn)}, nil
}

// secureConn is a client's connection over TLS. The clientConn below it is never
// asked for a single byte, so of its tricks only the coarse deadlines are left.
type secureConn struct{ *tls.Conn }

// Handshake bounds (*tls.Conn).Handshake. fasthttp knows a connection by it for one
// of TLS.
func (c secureConn) Handshake() error {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	defer cancel()
	return c.HandshakeContext(ctx)
}
