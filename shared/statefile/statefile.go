// Package statefile replaces files whole.
//
// Whoever opens the file finds the old content or the new one, never a part of
// either, whatever dies in between: the process, the machine, or the room on the
// disk. When Write or Commit returns nil, the new content survives a power cut.
//
// New content grows in a temporary file beside the old, ".name.tmp-*", which only
// a process that was killed leaves behind; Clean removes those.
package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// tempMark stands between a temporary file's name and its random end.
const tempMark = ".tmp-"

// Write replaces the file at path by one of mode perm (less the umask) that holds
// data. On an error the old file is as it was, unless the error is that of the
// last step, the folder's fsync: then either may be there after a power cut.
func Write(path string, data []byte, perm fs.FileMode) error {
	p, err := Create(path, perm)
	if err != nil {
		return err
	}
	if _, err := p.Write(data); err != nil {
		p.Abort()
		return err
	}
	return p.Commit()
}

// Pending is new content on its way to a path. It is for one goroutine.
type Pending struct {
	path string
	f    *os.File // the temporary file; nil once committed or aborted
}

// Create begins the replacement of the file at path, which need not exist; its
// folder must. Every Pending ends in Commit or in Abort.
func Create(path string, perm fs.FileMode) (*Pending, error) {
	dir, name := filepath.Split(path)
	if name == "" || name == "." || name == ".." {
		return nil, fmt.Errorf("create %q: not the path of a file", path)
	}
	for range 100 {
		temp := dir + "." + name + tempMark + strconv.FormatUint(rand.Uint64(), 36)
		// O_EXCL follows no link and takes over no file that somebody else put
		// there; the mode is right from the first byte, for secrets.
		f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("create a temporary file for %s: %w", path, err)
		}
		return &Pending{path: path, f: f}, nil
	}
	return nil, fmt.Errorf("create a temporary file for %s: every name is taken", path)
}

// Write appends to the new content.
func (p *Pending) Write(b []byte) (int, error) {
	if p.f == nil {
		return 0, fmt.Errorf("write %s: %w", p.path, os.ErrClosed)
	}
	n, err := p.f.Write(b)
	if err != nil {
		return n, fmt.Errorf("write %s: %w", p.path, err)
	}
	return n, nil
}

// Commit makes the new content the file's. It ends p: after an error too, the
// temporary file is gone.
func (p *Pending) Commit() error {
	if p.f == nil {
		return fmt.Errorf("commit %s: %w", p.path, os.ErrClosed)
	}
	// Without this, some file systems put the rename on disk before the bytes,
	// and after a power cut the name belongs to an empty file.
	if err := p.f.Sync(); err != nil {
		p.Abort()
		return fmt.Errorf("sync %s: %w", p.path, err)
	}
	f := p.f
	p.f = nil
	err := f.Close()
	if err == nil {
		err = os.Rename(f.Name(), p.path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error is the one to tell
		return fmt.Errorf("replace %s: %w", p.path, err)
	}
	return syncDir(filepath.Dir(p.path))
}

// Abort gives the new content up; the old file stays. After Commit, or a second
// time, it does nothing, so that it can be deferred.
func (p *Pending) Abort() {
	if p.f == nil {
		return
	}
	_ = p.f.Close() // the content is unwanted: whether it was written is all one
	_ = os.Remove(p.f.Name())
	p.f = nil
}

// Clean removes the temporary files that processes killed in the middle of a
// replacement left in dir. Nothing may be replacing files there meanwhile. A dir
// that does not exist is clean.
func Clean(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("clean %s: %w", dir, err)
	}
	var errs []error
	for _, e := range entries {
		if e.Type().IsRegular() && isTemp(e.Name()) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				errs = append(errs, fmt.Errorf("clean %s: %w", dir, err))
			}
		}
	}
	return errors.Join(errs...)
}

// isTemp tells the names that Create makes: ".name.tmp-1a2b".
func isTemp(name string) bool {
	i := strings.LastIndex(name, tempMark)
	if i < 2 || name[0] != '.' {
		return false
	}
	_, err := strconv.ParseUint(name[i+len(tempMark):], 36, 64)
	return err == nil
}

// syncDir puts a folder's names on disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}
