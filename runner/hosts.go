package runner

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// hosts is the folder of the programs that serve bundles. Each is put there when it
// is first wanted, for every function's user to read and for none to change.
type hosts struct {
	dir string // set before use

	mu sync.Mutex // held while one is put there
}

// place puts the files of from into the host name's folder, and gives that.
func (h *hosts) place(name string, from fs.FS) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	dir := filepath.Join(h.dir, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	pending := dir + ".new"
	err := os.RemoveAll(pending)
	if err == nil {
		err = os.MkdirAll(h.dir, 0o755)
	}
	if err == nil {
		err = os.CopyFS(pending, from)
	}
	if err == nil {
		err = readable(pending)
	}
	if err == nil {
		err = os.Rename(pending, dir)
	}
	if err != nil {
		return "", fmt.Errorf("put the host of %s in its place: %w", name, err)
	}
	return dir, nil
}

// readable lets everybody read path and all in it, whatever the umask.
func readable(path string) error {
	return filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(p, 0o755)
		}
		return os.Chmod(p, 0o644)
	})
}

// placeFile is place for one file. It keeps the file's time, and is done anew when
// that changes.
func (h *hosts) placeFile(from string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	info, err := os.Stat(from)
	if err != nil {
		return "", err
	}
	path := filepath.Join(h.dir, filepath.Base(from))
	if have, err := os.Stat(path); err == nil && have.Size() == info.Size() && have.ModTime().Equal(info.ModTime()) {
		return path, nil
	}
	pending := path + ".new"
	err = os.MkdirAll(h.dir, 0o755)
	if err == nil {
		err = copyFile(from, pending, 0o644)
	}
	if err == nil {
		err = os.Chtimes(pending, info.ModTime(), info.ModTime())
	}
	if err == nil {
		err = os.Rename(pending, path)
	}
	if err != nil {
		return "", fmt.Errorf("put %s where functions can read it: %w", filepath.Base(from), err)
	}
	return path, nil
}

// copyFile copies a file; what was at to is replaced.
func copyFile(from, to string, mode fs.FileMode) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close(), os.Chmod(to, mode)) // whatever the umask
}

// identity tells files from what was there before, or will be: by path, links
// resolved, size and time.
func identity(paths ...string) (string, error) {
	var b strings.Builder
	for _, path := range paths {
		path, err := filepath.EvalSymlinks(path)
		if err != nil {
			return "", err
		}
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(&b, path, info.Size(), info.ModTime().UnixNano())
	}
	return b.String(), nil
}
