// Package cache keeps the Func Bundles that a Runner fetched, by their SHA-256.
//
// A file under a bundle's name holds exactly the bytes that the name is the digest
// of: it is put there when all of it has arrived and was checked, and checked once
// more before its first use in each life of the process. While somebody uses a
// bundle it stays; of the others the least recently used go when there are too
// many.
package cache

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/funcatron/funcatron/runner/turns"
	"github.com/funcatron/funcatron/shared/certs"
	"github.com/funcatron/funcatron/shared/statefile"
)

// Source is where bundles are fetched.
type Source struct {
	URL   string // of the Tron's admin API
	Token string // bearer token, "" sends none
}

// Options configure a Cache.
type Options struct {
	Dir        string // its own; made where it is not there
	MaxBytes   int64  // kept, of all bundles together
	MaxBundles int    // kept
	MaxBundle  int64  // bytes of one that is fetched

	// Source says where to fetch. It may wait for the answer until ctx ends.
	Source func(ctx context.Context) (Source, error)
	// TLS is how a Source of https is talked to; nil trusts whom the system trusts.
	TLS *certs.Client
	// Dial connects to a Source of http; nil is net.Dialer's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Fetched is called after every try to fetch, with its error or nil.
	Fetched func(error)
	Log     *slog.Logger
}

// Cache is a folder of bundles. Its methods may be called from any number of
// goroutines.
type Cache struct {
	opts   Options
	client *http.Client

	turns turns.Turns // to look at, and fetch, the file of a sha

	mu      sync.Mutex
	checked map[string]bool // under mu: this life has seen the file's digest
}

// New opens the cache in o.Dir and removes what does not belong there.
func New(o Options) (*Cache, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make bundle cache: %w", err)
	}
	if err := statefile.Clean(o.Dir); err != nil {
		return nil, fmt.Errorf("open bundle cache: %w", err)
	}
	return &Cache{opts: o, client: newClient(o), checked: make(map[string]bool)}, nil
}

// Close lets go of kept-alive connections. The cache can still be used.
func (c *Cache) Close() { c.client.CloseIdleConnections() }

// Get returns the path of the bundle sha, which it fetches where it is not there.
// The file stays until release is called. One fetch of a bundle runs at a time;
// who else wants it waits.
func (c *Cache) Get(ctx context.Context, sha string) (path string, release func(), err error) {
	if !isSha(sha) {
		return "", nil, fmt.Errorf("get bundle %.80q: not 64 lowercase hex digits", sha)
	}
	done, release, err := c.turns.Take(ctx, sha)
	if err != nil {
		return "", nil, fmt.Errorf("get bundle %s: %w", sha, err)
	}
	defer done()
	path = c.path(sha)
	there, err := c.usable(sha, path)
	if err == nil && !there {
		err = c.fetch(ctx, sha, path)
	}
	if err != nil {
		release()
		return "", nil, fmt.Errorf("get bundle %s: %w", sha, err)
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // what is least recently used is a matter of taste, no error
	c.evict()
	return path, release, nil
}

func (c *Cache) path(sha string) string { return filepath.Join(c.opts.Dir, sha+suffix) }

const suffix = ".zip"

// usable says that the file is there and is what its name says. A damaged one is
// removed.
func (c *Cache) usable(sha, path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // it was only read
	c.mu.Lock()
	checked := c.checked[sha]
	c.mu.Unlock()
	if checked {
		return true, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	if hex.EncodeToString(h.Sum(nil)) != sha {
		c.opts.Log.Warn("cached bundle is damaged, it is fetched again", "sha", sha)
		return false, os.Remove(path)
	}
	c.check(sha)
	return true, nil
}

func (c *Cache) check(sha string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checked[sha] = true
}

func (c *Cache) uncheck(sha string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.checked, sha)
}

// evict removes the bundles used least recently, as many as are too many. Those in
// use stay, and count.
func (c *Cache) evict() { c.turns.Hold(c.evictUnused) }

func (c *Cache) evictUnused(used func(sha string) bool) {
	files, err := os.ReadDir(c.opts.Dir)
	if err != nil {
		c.opts.Log.Warn("bundle cache cannot be looked through", "err", err)
		return
	}
	type kept struct {
		sha  string
		size int64
		used time.Time
	}
	var all []kept
	var bytes int64
	for _, f := range files {
		sha, ok := strings.CutSuffix(f.Name(), suffix)
		info, err := f.Info()
		if !ok || !isSha(sha) || err != nil {
			continue
		}
		all = append(all, kept{sha, info.Size(), info.ModTime()})
		bytes += info.Size()
	}
	slices.SortFunc(all, func(a, b kept) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.sha, b.sha)) })
	count := len(all)
	for _, k := range all {
		if count <= c.opts.MaxBundles && bytes <= c.opts.MaxBytes {
			return
		}
		if used(k.sha) {
			continue
		}
		if err := os.Remove(c.path(k.sha)); err != nil {
			c.opts.Log.Warn("bundle cannot be dropped from the cache", "err", err)
			continue
		}
		c.uncheck(k.sha)
		count--
		bytes -= k.size
	}
}

func isSha(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
