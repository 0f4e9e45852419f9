package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Client is the connecting side.
type Client struct{ follow *follow }

// NewClient reads the files: CA, which has signed the servers' certificates, the
// system's own where there is none; Cert and Key, which servers are shown that ask.
// log is told when files are read again; nil is silent.
func NewClient(files Files, log *slog.Logger) (*Client, error) {
	if (files.Cert == "") != (files.Key == "") {
		return nil, errPair
	}
	f, err := newFollow(files, log, func(l *loaded) *tls.Config {
		c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: l.pool}
		if l.pair != nil {
			c.Certificates = []tls.Certificate{*l.pair}
		}
		return c
	})
	if err != nil {
		return nil, err
	}
	return &Client{f}, nil
}

// Config is for one connection to a server whose certificate must name server, a
// host name or an IP address. The caller owns it.
func (c *Client) Config(server string) *tls.Config {
	conf := c.follow.current().conf.Clone()
	conf.ServerName = server
	return conf
}

// dialTime is how long a connection may take, handshake included.
const dialTime = 10 * time.Second

// Dial connects to addr, as (*net.Dialer).DialContext does, and shakes hands. It is
// for http.Transport.DialTLSContext.
func (c *Client) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(nc, c.Config(host))
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("TLS with %s: %w", addr, err)
	}
	return conn, nil
}
