package runner

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/funcatron/funcatron/runner/cache"
	"github.com/funcatron/funcatron/runner/sandbox"
	"github.com/funcatron/funcatron/shared/bundle"
	"github.com/funcatron/funcatron/shared/swagger"
	"github.com/funcatron/funcatron/shared/wire"
)

// infoTime is how long a fetch waits for the Tron to say where bundles are.
const infoTime = 10 * time.Second

// run is a deployment's bundle, unpacked and ready to start. Its folder is its own:
//
//	files/  the bundle, the working directory of every process; empty for a jar
//	p1/     a process: props.json, tmp/, and its HOME
//	s/      the sockets, or a link to where those are
//	made    a link to what was made of the bundle once, where there is such
//
// Where the deployment has a user of its own, that one alone may enter the folder
// and read files/, and has the rest.
type run struct {
	want    wire.Deployment
	bundle  *bundle.Bundle
	props   []byte // a JSON object
	program program
	zip     string // the bundle as it came, in the cache
	swagger string // the document as JSON, a file

	dir, files, sockets string

	jails   *jails
	user    *sandbox.User   // nil: the Runner's own
	runtime swagger.Runtime // of the document, with this Runner's limits

	releases []func() // of the bundle in the cache, and what was made of it
}

// prepare gets the bundle of want and unpacks it.
func (r *Runner) prepare(ctx context.Context, want wire.Deployment) (_ *run, err error) {
	n := &run{want: want, jails: &r.jails}
	defer func() {
		if err != nil {
			n.remove()
		}
	}()
	if n.props, err = propsOf(want.Props); err != nil {
		return nil, err
	}
	path, release, err := r.cache.Get(ctx, want.Sha)
	if err != nil {
		return nil, err
	}
	n.zip, n.releases = path, []func(){release} // kept: a restart without the Tron needs it again
	if n.bundle, err = bundle.Open(path); err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	if n.runtime, err = r.jails.limit(n.bundle.Document.Runtime); err != nil {
		return nil, err
	}
	if r.jails.users != nil {
		if n.user, err = r.jails.users.Take(want.ID); err != nil {
			return nil, err
		}
	}
	if n.dir, err = os.MkdirTemp(r.folder.runs, folderName(want.ID)+"-*"); err != nil {
		return nil, fmt.Errorf("make folder of deployment: %w", err)
	}
	n.files = filepath.Join(n.dir, "files")
	if err = os.Mkdir(n.files, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of deployment: %w", err)
	}
	if n.bundle.Type != "jvm" { // java reads a jar as it is, and an uberjar has thousands of files
		if err = bundle.Unpack(path, n.files); err != nil {
			return nil, err
		}
	}
	if n.sockets, err = socketFolder(n.dir, len("18446744073709551615"), n.user); err != nil {
		return nil, fmt.Errorf("make folder of sockets: %w", err)
	}
	n.swagger = filepath.Join(n.dir, "swagger.json")
	if err = os.WriteFile(n.swagger, n.bundle.Document.JSON, 0o600); err != nil {
		return nil, fmt.Errorf("write the document: %w", err)
	}
	for _, path := range []string{n.files, n.swagger} {
		if err = ownReadOnly(path, n.user); err != nil {
			return nil, err
		}
	}
	if n.user != nil { // from here on its user gets in
		if err = errors.Join(os.Chown(n.dir, 0, n.user.ID), os.Chmod(n.dir, 0o710)); err != nil {
			return nil, fmt.Errorf("open folder of deployment: %w", err)
		}
	}
	if n.program, err = r.programOf(ctx, n); err != nil {
		return nil, err
	}
	return n, nil
}

// remove removes everything that prepare made.
func (n *run) remove() {
	if n.user != nil {
		killed, err := n.user.Release()
		if killed > 0 || err != nil {
			n.jails.log.Warn("function had left processes behind", "deployment", n.want.ID, "killed", killed, "err", err)
		}
	}
	if n.dir != "" {
		_ = removeRun(n.dir) // what is left goes at the next start
	}
	for _, release := range n.releases {
		release()
	}
}

// folderName is id where that is a plain name, as the Tron's are.
func folderName(id string) string {
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' || i > 60 {
			return hex.EncodeToString([]byte(id[:min(len(id), 30)]))
		}
	}
	return id
}

// tron is where the Tron says that its bundles are.
type tron struct {
	mu    sync.Mutex
	info  wire.Info     // under mu
	known chan struct{} // closed when the Tron has said so
}

func (t *tron) set(info wire.Info) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.info = info
	select {
	case <-t.known:
	default:
		close(t.known)
	}
}

// source is where bundles are fetched; override, where it is not "", is the URL.
func (t *tron) source(ctx context.Context, override string) (cache.Source, error) {
	late := time.NewTimer(infoTime)
	defer late.Stop()
	select {
	case <-t.known:
	case <-late.C:
		if override == "" {
			return cache.Source{}, errors.New("the Tron has not said where its bundles are (--tron-url says so for it)")
		}
	case <-ctx.Done():
		return cache.Source{}, context.Cause(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	src := cache.Source{URL: t.info.URL, Token: t.info.Token}
	if override != "" {
		src.URL = override
	}
	if src.URL == "" {
		return cache.Source{}, errors.New("the Tron has said no URL; set --tron-url")
	}
	return src, nil
}
