package certs

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/url"
)

// Server is the listening side.
type Server struct {
	follow *follow
	conf   *tls.Config
}

// NewServer reads the files: Cert and Key, which clients are shown, and CA, where
// clients have to show a certificate that it signed. log is told when files are
// read again; nil is silent.
func NewServer(files Files, log *slog.Logger) (*Server, error) {
	if files.Cert == "" || files.Key == "" {
		return nil, errPair
	}
	f, err := newFollow(files, log, func(l *loaded) *tls.Config {
		c := &tls.Config{
			MinVersion:   tls.VersionTLS12,
			Certificates: []tls.Certificate{*l.pair},
			NextProtos:   []string{"http/1.1"},
		}
		if l.pool != nil {
			c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, l.pool
			c.SessionTicketsDisabled = true // each handshake is held against the CA of its time
		}
		return c
	})
	if err != nil {
		return nil, err
	}
	s := &Server{follow: f}
	s.conf = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.current().conf, nil },
	}
	return s, nil
}

// Listen wraps ln: what it accepts are *tls.Conn, which speak TLS 1.2 or 1.3, and
// HTTP/1.1 inside, and have not shaken hands yet.
func (s *Server) Listen(ln net.Listener) net.Listener { return tls.NewListener(ln, s.conf) }

// Mutual tells whether clients have to show a certificate.
func (s *Server) Mutual() bool { return s.follow.files.CA != "" }

// Covers is an error where the certificate does not name the host of an https URL:
// whoever checks it will not talk to this server under that name.
func (s *Server) Covers(rawURL string) error {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "https" {
		return err // http is a proxy's, who has its own idea of certificates
	}
	if err := s.follow.now.Load().pair.Leaf.VerifyHostname(u.Hostname()); err != nil {
		return fmt.Errorf("certificate %s: %w", s.follow.files.Cert, err)
	}
	return nil
}
