// Package certs makes TLS configurations whose certificates follow their files.
//
// A configuration that was made always has certificates that were read whole and
// fit each other. Files that change are read again at a handshake, within a second
// or two; where what is there now does not do, what was there before stays in use,
// and one log line says so. Connections that exist stay as they are.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// checkEvery is how often the files are looked at, at most.
	checkEvery = time.Second
	// maxFile is the largest file in bytes that is read: whoever names the wrong one
	// gets an error, not a process full of its contents.
	maxFile = 1 << 20
)

// Files are the names of PEM files; "" is none.
type Files struct {
	Cert string // what this side shows: its certificate, then those that lead to the CA
	Key  string // the certificate's private key, not encrypted
	CA   string // certificates of those who signed the other side's
}

// names are the files that are there, Files.complete before.
func (f Files) names() []string {
	var names []string
	for _, name := range []string{f.Cert, f.Key, f.CA} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// loaded is what the files held at one moment. It never changes.
type loaded struct {
	pair *tls.Certificate // nil where Files name none; its Leaf is set
	pool *x509.CertPool   // nil where Files name none
	conf *tls.Config      // what follow's config made of it
}

// follow keeps what the files hold.
type follow struct {
	files  Files
	log    *slog.Logger
	config func(*loaded) *tls.Config

	now  atomic.Pointer[loaded]
	next atomic.Int64 // when the files are looked at again, in ns since epoch

	mu    sync.Mutex // held while looking; nobody waits for it at a handshake
	state string     // under mu: of the files that now holds
	said  string     // under mu: the trouble that was logged last
}

// epoch makes moments numbers, by the monotonic clock.
var epoch = time.Now()

func newFollow(files Files, log *slog.Logger, config func(*loaded) *tls.Config) (*follow, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &follow{files: files, log: log, config: config}
	state, err := stateOf(files)
	if err != nil {
		return nil, err
	}
	l, err := load(files)
	if err != nil {
		return nil, err
	}
	f.use(l, state)
	return f, nil
}

func (f *follow) use(l *loaded, state string) {
	l.conf = f.config(l)
	f.state, f.said = state, ""
	f.now.Store(l)
	if l.pair != nil && time.Now().After(l.pair.Leaf.NotAfter) {
		f.log.Warn("certificate has expired", "file", f.files.Cert, "expired", l.pair.Leaf.NotAfter.UTC())
	}
}

// current is what the files hold, as of a moment ago.
func (f *follow) current() *loaded {
	if now := int64(time.Since(epoch)); now >= f.next.Load() && f.mu.TryLock() {
		defer f.mu.Unlock()
		f.next.Store(now + int64(checkEvery))
		f.look()
	}
	return f.now.Load()
}

// look reads the files where they are not those that were read. mu is held.
func (f *follow) look() {
	// The state comes before the contents: a change in between is seen next time.
	state, err := stateOf(f.files)
	if err == nil && state == f.state {
		f.said = "" // back to what it was
		return
	}
	var l *loaded
	if err == nil {
		l, err = load(f.files)
	}
	if err != nil {
		// Tried again each time: pairs are often replaced one file after the other.
		if f.said != err.Error() {
			f.said = err.Error()
			f.log.Warn("changed certificates are not used, those before are still", "err", err)
		}
		return
	}
	f.use(l, state)
	attrs := []any{"files", f.files.names()}
	if l.pair != nil {
		attrs = append(attrs, "expires", l.pair.Leaf.NotAfter.UTC())
	}
	f.log.Info("certificates read again", attrs...)
}

// stateOf changes when one of the files does: by writing, by renaming another over
// it, or by turning a link on the way to it.
func stateOf(files Files) (string, error) {
	var state []byte
	for _, name := range files.names() {
		info, err := os.Stat(name)
		if err != nil {
			return "", err
		}
		state = fmt.Appendf(state, "%d %d ", info.ModTime().UnixNano(), info.Size())
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			state = fmt.Appendf(state, "%d %d %d.%d ", st.Dev, st.Ino, st.Ctim.Sec, st.Ctim.Nsec)
		}
	}
	return string(state), nil
}

func load(files Files) (*loaded, error) {
	l := new(loaded)
	if files.Cert != "" {
		cert, err := read(files.Cert)
		if err != nil {
			return nil, err
		}
		key, err := read(files.Key)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("read certificate %s with key %s: %w", files.Cert, files.Key, err)
		}
		l.pair = &pair
	}
	if files.CA != "" {
		ca, err := read(files.CA)
		if err != nil {
			return nil, err
		}
		l.pool = x509.NewCertPool()
		if !l.pool.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("read %s: it holds no certificate in PEM", files.CA)
		}
	}
	return l, nil
}

func read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("read %s: it is larger than %d bytes", name, maxFile)
	}
	return b, err
}

// errPair says that a certificate goes with its key.
var errPair = errors.New("a certificate and its key go together, and one of them is missing")
