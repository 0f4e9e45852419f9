package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/funcatron/funcatron/runner/process"
	"github.com/funcatron/funcatron/shared/statefile"
)

// folder is the state folder. Who has it locked is alone in it.
//
//	lock              held by flock while a Runner has the folder
//	deployments.json  what is to run
//	bundles/          the bundle cache
//	run/              what runs, a folder a deployment; empty between lives
type folder struct {
	path string
	lock *os.File
}

// openFolder makes the folder where it is not there, and locks it.
func openFolder(path string) (*folder, error) {
	err := os.MkdirAll(path, 0o700)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err == nil {
		// Marks of processes hold the path: it must be the same in each life.
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open state folder (--state-dir): %w", err)
	}
	lock, err := statefile.Lock(path)
	if err != nil {
		return nil, fmt.Errorf("%w (give each runner its own --state-dir)", err)
	}
	return &folder{path: path, lock: lock}, nil
}

// close gives the folder up to others.
func (f *folder) close() { _ = f.lock.Close() }

func (f *folder) saved() string   { return filepath.Join(f.path, "deployments.json") }
func (f *folder) bundles() string { return filepath.Join(f.path, "bundles") }
func (f *folder) runs() string    { return filepath.Join(f.path, "run") }

// clean ends and removes what an earlier life left, and says how many processes
// that were.
func (f *folder) clean() (killed int, err error) {
	killed = process.Sweep(propsVar + "=" + f.runs() + "/")
	runs, err := os.ReadDir(f.runs())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return killed, fmt.Errorf("clean state folder: %w", err)
	}
	var errs []error
	for _, r := range runs {
		errs = append(errs, removeRun(filepath.Join(f.runs(), r.Name())))
	}
	removeOrphans()
	errs = append(errs, statefile.Clean(f.path), os.MkdirAll(f.runs(), 0o700))
	return killed, errors.Join(errs...)
}

// maxSocketPath is the longest path of a Unix socket (unix(7): 108 bytes with the
// NUL that some programs need).
const maxSocketPath = 107

// socketFolder gives the folder for the sockets of a run, in which names of up to
// room bytes fit. Where the run's own path is too long, that is a private one in
// the temporary folder, which a link in the run's names, so that removeRun finds
// it, and which names the run, so that removeOrphans knows when that is gone.
func socketFolder(run string, room int) (string, error) {
	dir := filepath.Join(run, socketsName)
	if len(dir)+1+room <= maxSocketPath {
		return dir, os.Mkdir(dir, 0o700)
	}
	short, err := os.MkdirTemp("", shortPrefix)
	if err != nil {
		return "", err
	}
	if len(short)+1+room > maxSocketPath {
		_ = os.Remove(short)
		return "", fmt.Errorf("the paths of --state-dir and TMPDIR are too long for a Unix socket (%d bytes at most)", maxSocketPath)
	}
	err = os.Symlink(run, filepath.Join(short, ownerName))
	if err == nil {
		err = os.Symlink(short, dir)
	}
	if err != nil {
		_ = removeAll(short)
		return "", err
	}
	return short, nil
}

const (
	socketsName = "s"
	shortPrefix = "funcatron-sockets-"
	ownerName   = "run"
)

// removeOrphans removes the folders of sockets whose run is gone: a Runner was
// killed, and its state folder then thrown away. What cannot be removed is
// somebody else's.
func removeOrphans() {
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), shortPrefix+"*"))
	for _, short := range folders {
		run, err := os.Readlink(filepath.Join(short, ownerName))
		if err != nil {
			continue
		}
		if _, err := os.Lstat(run); errors.Is(err, fs.ErrNotExist) {
			_ = removeAll(short)
		}
	}
}

// removeRun removes the folder of a run, and its sockets' where that is elsewhere.
func removeRun(run string) error {
	short, err := os.Readlink(filepath.Join(run, socketsName))
	if err == nil && filepath.Dir(short) == filepath.Clean(os.TempDir()) && strings.HasPrefix(filepath.Base(short), shortPrefix) {
		err = removeAll(short)
	} else {
		err = nil // most have none
	}
	return errors.Join(err, removeAll(run))
}

// removeAll removes path, also where a function took its folders' permissions away.
func removeAll(path string) error {
	err := os.RemoveAll(path)
	if err == nil {
		return nil
	}
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o700) // what it does not help, the second try tells
		}
		return nil
	})
	return os.RemoveAll(path)
}
