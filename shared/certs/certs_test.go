package certs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/certs"
	"github.com/funcatron/funcatron/shared/certs/certstest"
)

// journal keeps log lines.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) count(s string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.b.String(), s)
}

// echo serves on 127.0.0.1: it sends back a byte of each connection.
func echo(t *testing.T, files certs.Files) (addr string, logs *journal) {
	t.Helper()
	logs = new(journal)
	s, err := certs.NewServer(files, slog.New(slog.NewTextHandler(logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := s.Listen(tcp)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				_, _ = io.CopyN(c, c, 1) // the client sees what came of it
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	return tcp.Addr().String(), logs
}

// talk says something to a server, and returns the state of the connection.
func talk(addr string, conf *tls.Config) (tls.ConnectionState, error) {
	nc, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	conf = conf.Clone()
	if conf.ServerName == "" {
		conf.ServerName = "127.0.0.1"
	}
	c := tls.Client(nc, conf)
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write([]byte("x")); err != nil {
		return c.ConnectionState(), err
	}
	_, err = io.ReadFull(c, make([]byte, 1)) // in TLS 1.3 a refusal of the client comes here
	return c.ConnectionState(), err
}

func TestServer(t *testing.T) {
	ca, other := certstest.NewCA(t), certstest.NewCA(t)
	server := ca.Issue("127.0.0.1")
	open, _ := echo(t, certs.Files{Cert: server.Cert, Key: server.Key})
	mutual, _ := echo(t, server)
	for _, tc := range []struct {
		name, addr string
		change     func(*tls.Config)
		conf       *tls.Config
		want       string // in the error; "" is success
	}{
		{"trusted", open, nil, ca.Client(), ""},
		{"TLS 1.2", open, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, ca.Client(), ""},
		{"TLS 1.1", open, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 }, ca.Client(), "protocol version"},
		{"of another CA", open, nil, other.Client(), "unknown authority"},
		{"by another name", open, func(c *tls.Config) { c.ServerName = "other.test" }, ca.Client(), "other.test"},
		{"only HTTP/2", open, func(c *tls.Config) { c.NextProtos = []string{"h2"} }, ca.Client(), "no application protocol"},
		{"HTTP/1.1 or 2", open, func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }, ca.Client(), ""},
		{"mutual", mutual, nil, ca.Client(ca.Issue("me")), ""},
		{"mutual, TLS 1.2", mutual, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, ca.Client(ca.Issue("me")), ""},
		{"mutual, without a certificate", mutual, nil, ca.Client(), "certificate required"},
		{"mutual, without one, TLS 1.2", mutual, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, ca.Client(), "tls"},
		{"mutual, with another CA's", mutual, func(c *tls.Config) {
			strange := c.Certificates[0] // shown though the server did not ask for such a one
			c.Certificates = nil
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &strange, nil }
		}, ca.Client(other.Issue("me")), "unknown certificate authority"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.change != nil {
				tc.change(tc.conf)
			}
			state, err := talk(tc.addr, tc.conf)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if err == nil && state.NegotiatedProtocol == "h2" {
				t.Error("HTTP/2 was agreed on")
			}
		})
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// A new pair is used soon, a broken one is not, and is complained of once.
func TestServerFollowsItsFiles(t *testing.T) {
	t.Parallel()
	ca := certstest.NewCA(t)
	files := ca.Issue("one", "127.0.0.1")
	addr, logs := echo(t, certs.Files{Cert: files.Cert, Key: files.Key})
	subject := func() string {
		t.Helper()
		state, err := talk(addr, ca.Client())
		if err != nil {
			t.Fatal(err)
		}
		return state.PeerCertificates[0].Subject.CommonName
	}
	if got := subject(); got != "one" {
		t.Fatalf("certificate of %q", got)
	}
	ca.Replace(files, "two", "127.0.0.1")
	eventually(t, "the new certificate is shown", func() bool { return subject() == "two" })
	if n := logs.count("certificates read again"); n != 1 {
		t.Errorf("%d lines about it", n)
	}

	const trouble = "changed certificates are not used"
	key, err := os.ReadFile(files.Key)
	if err != nil {
		t.Fatal(err)
	}
	for i, broken := range []func() error{
		func() error { return os.WriteFile(files.Key, []byte("no key"), 0o600) },
		func() error { return os.Remove(files.Key) },
	} {
		if err := broken(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a complaint", func() bool { _ = subject(); return logs.count(trouble) == i+1 })
		until := time.Now().Add(2500 * time.Millisecond) // it is tried again, and not said again
		eventually(t, "more looks at the files", func() bool {
			if got := subject(); got != "two" {
				t.Fatalf("certificate of %q", got)
			}
			return time.Now().After(until)
		})
		if n := logs.count(trouble); n != i+1 {
			t.Errorf("%d complaints, want %d", n, i+1)
		}
	}
	if err := os.WriteFile(files.Key, key, 0o600); err != nil {
		t.Fatal(err)
	}
	ca.Replace(files, "three", "127.0.0.1")
	eventually(t, "the next whole pair is shown", func() bool { return subject() == "three" })
}

// Kubernetes replaces a mounted secret by turning a link.
func TestServerFollowsLinks(t *testing.T) {
	t.Parallel()
	ca := certstest.NewCA(t)
	one, two := ca.Issue("one", "127.0.0.1"), ca.Issue("two", "127.0.0.1")
	link := filepath.Join(t.TempDir(), "..data")
	if err := os.Symlink(filepath.Dir(one.Cert), link); err != nil {
		t.Fatal(err)
	}
	addr, _ := echo(t, certs.Files{Cert: filepath.Join(link, "cert.pem"), Key: filepath.Join(link, "key.pem")})
	err := os.Symlink(filepath.Dir(two.Cert), link+".new")
	if err == nil {
		err = os.Rename(link+".new", link)
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new certificate is shown", func() bool {
		state, err := talk(addr, ca.Client())
		if err != nil {
			t.Fatal(err)
		}
		return state.PeerCertificates[0].Subject.CommonName == "two"
	})
}

// Whose CA is taken off is not let in again, not by resuming an old session either.
func TestServerFollowsItsClientCA(t *testing.T) {
	t.Parallel()
	ca, next := certstest.NewCA(t), certstest.NewCA(t)
	files := ca.Issue("127.0.0.1")
	files.CA = filepath.Join(t.TempDir(), "clients.pem")
	copyFile(t, ca.File, files.CA)
	addr, _ := echo(t, files)
	old, fresh := ca.Client(ca.Issue("old")), ca.Client(next.Issue("new"))
	old.ClientSessionCache = tls.NewLRUClientSessionCache(10)
	for range 2 {
		if _, err := talk(addr, old); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := talk(addr, fresh); err == nil {
		t.Error("a stranger is let in")
	}
	copyFile(t, next.File, files.CA)
	eventually(t, "the new CA's clients are let in", func() bool { _, err := talk(addr, fresh); return err == nil })
	if _, err := talk(addr, old); err == nil {
		t.Error("the old CA's clients are still let in")
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCovers(t *testing.T) {
	s, err := certs.NewServer(certstest.NewCA(t).Issue("tron.test", "127.0.0.1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]bool{
		"https://tron.test": true, "https://127.0.0.1:3000/x": true, "https://127.0.0.2:3000": false,
		"https://other.test:443": false, "http://other.test": true,
	} {
		if err := s.Covers(url); (err == nil) != want {
			t.Errorf("Covers(%q) = %v", url, err)
		}
	}
	if !s.Mutual() {
		t.Error("it has a CA, and is not mutual")
	}
}

func TestClient(t *testing.T) {
	ca, other := certstest.NewCA(t), certstest.NewCA(t)
	addr, _ := echo(t, ca.Issue("127.0.0.1", "localhost"))
	named := ca.Issue("elsewhere.test")
	elsewhere, _ := echo(t, named)
	me := ca.Issue("me")
	for _, tc := range []struct {
		name, addr string
		files      certs.Files
		want       string
	}{
		{"trusted, with a certificate", addr, me, ""},
		{"without a certificate", addr, certs.Files{CA: ca.File}, "certificate required"},
		{"another CA's server", addr, certs.Files{CA: other.File, Cert: me.Cert, Key: me.Key}, "unknown authority"},
		{"one the system does not know", addr, certs.Files{}, "unknown authority"},
		{"a server of another name", elsewhere, me, "127.0.0.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := certs.NewClient(tc.files, nil)
			if err != nil {
				t.Fatal(err)
			}
			check := func(err error) {
				t.Helper()
				if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
					t.Errorf("%v, want %q", err, tc.want)
				}
			}
			_, err = talk(tc.addr, c.Config("127.0.0.1"))
			check(err)
			conn, err := c.Dial(t.Context(), "tcp", tc.addr)
			if err == nil {
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				_, _ = conn.Write([]byte("x"))
				_, err = io.ReadFull(conn, make([]byte, 1))
				_ = conn.Close()
			}
			check(err)
		})
	}
}

// A server that accepts and says nothing does not hold Dial.
func TestClientDialEndsWithItsContext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	c, err := certs.NewClient(certs.Files{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if conn, err := c.Dial(ctx, "tcp", ln.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("it shook hands with silence")
	}
}

func TestNewRefuses(t *testing.T) {
	ca := certstest.NewCA(t)
	good, other := ca.Issue("a"), ca.Issue("b")
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, bytes.Repeat([]byte("x"), 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		files  certs.Files
		want   string
		server bool // only a server refuses it
	}{
		{"no key", certs.Files{Cert: good.Cert}, "missing", false},
		{"no certificate", certs.Files{Key: good.Key}, "missing", false},
		{"another's key", certs.Files{Cert: good.Cert, Key: other.Key}, other.Key, false},
		{"no file", certs.Files{Cert: good.Cert, Key: good.Key + "x"}, good.Key + "x", false},
		{"a large file", certs.Files{CA: junk, Cert: good.Cert, Key: good.Key}, "larger", false},
		{"no CA in the CA's file", certs.Files{CA: good.Key, Cert: good.Cert, Key: good.Key}, "no certificate", false},
		{"nothing to show", certs.Files{CA: ca.File}, "missing", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := certs.NewServer(tc.files, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("NewServer = %v, want an error with %q", err, tc.want)
			}
			if _, err := certs.NewClient(tc.files, nil); !tc.server && (err == nil || !strings.Contains(err.Error(), tc.want)) || tc.server && err != nil {
				t.Errorf("NewClient = %v, want an error with %q", err, tc.want)
			}
		})
	}
}
