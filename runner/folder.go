package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/funcatron/funcatron/runner/made"
	"github.com/funcatron/funcatron/runner/process"
	"github.com/funcatron/funcatron/runner/sandbox"
	"github.com/funcatron/funcatron/shared/statefile"
)

// folder is the state folder. Who has it locked is alone in it.
//
//	lock              held by flock while a Runner has the folder
//	deployments.json  what is to run
//	bundles/          the bundle cache
//	run/              what runs, a folder a deployment; empty between lives
//	made/             what is made of a bundle once
//
// What runs may be elsewhere: functions with users of their own do not get into
// everybody's state folder.
type folder struct {
	path string
	runs string
	lock *os.File
}

// openFolder makes the folder where it is not there, and locks it. runDir is where
// functions run, "" is up to us.
func openFolder(path, runDir string, users *sandbox.Users) (*folder, error) {
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
	f := &folder{path: path, lock: lock}
	if err := f.openRuns(runDir, users != nil); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// close gives the folder up to others.
func (f *folder) close() { _ = f.lock.Close() }

func (f *folder) saved() string   { return filepath.Join(f.path, "deployments.json") }
func (f *folder) bundles() string { return filepath.Join(f.path, "bundles") }

// hosts is where the programs go that serve bundles; it ends with the runs.
func (f *folder) hosts() string { return filepath.Join(f.runs, "hosts") }

// openMade opens the store of what is made of bundles, beside where they run. With
// others, users of their own get there.
func (f *folder) openMade(others bool, most int) (*made.Store, error) {
	dir, mode := filepath.Join(f.path, madeName), fs.FileMode(0o700)
	if f.runs != filepath.Join(f.path, runsName) {
		dir = f.runs + madeSuffix
	}
	if others {
		mode = 0o711
	}
	return made.Open(dir, mode, most)
}

// clean ends and removes what an earlier life left, and says how many processes
// that were. users are those that functions may have had.
func (f *folder) clean(users *sandbox.Users) (killed int, err error) {
	var errs []error
	inState := filepath.Join(f.path, runsName)
	for _, dir := range slices.Compact([]string{inState, f.runs}) {
		killed += process.Sweep(propsVar + "=" + dir + "/")
		runs, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return killed, fmt.Errorf("clean state folder: %w", err)
		}
		for _, r := range runs {
			run := filepath.Join(dir, r.Name())
			killed += killUserOf(run, users)
			errs = append(errs, removeRun(run))
		}
	}
	removeOrphans()
	if f.runs != inState {
		errs = append(errs, os.RemoveAll(inState))
	}
	mode := fs.FileMode(0o700)
	if users != nil {
		mode = 0o711
	}
	errs = append(errs, statefile.Clean(f.path), os.MkdirAll(f.runs, mode), os.Chmod(f.runs, mode))
	return killed, errors.Join(errs...)
}

// killUserOf kills what an earlier life's function left that no longer looks like
// it: the folder of its run says whose that is.
func killUserOf(run string, users *sandbox.Users) (killed int) {
	info, err := os.Lstat(run)
	if err != nil || users == nil {
		return 0
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !users.Contains(int(st.Gid)) {
		return 0
	}
	user, err := users.TakeID(int(st.Gid))
	if err != nil {
		return 0 // another Runner's by now, which found no process of it
	}
	killed, _ = user.Release() // what is left keeps its user from being given away
	return killed
}

// removeRuns removes what clean made.
func (f *folder) removeRuns() error {
	err := removeAll(f.runs)
	if f.runs == filepath.Join(f.path, runsName) {
		return err
	}
	// What was made of bundles stays for the next life, and the link with it, by
	// which others see whose it is.
	if gone := os.Remove(f.runs + madeSuffix); gone == nil || errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, os.Remove(f.runs+stateSuffix))
	}
	return err
}

// maxSocketPath is the longest path of a Unix socket (unix(7): 108 bytes with the
// NUL that some programs need).
const maxSocketPath = 107

// socketFolder gives the folder for the sockets of a run, in which names of up to
// room bytes fit. Where the run's own path is too long, that is a private one in
// the temporary folder, which a link in the run's names, so that removeRun finds
// it, and which names the run, so that removeOrphans knows when that is gone.
// It is user's.
func socketFolder(run string, room int, user *sandbox.User) (string, error) {
	dir := filepath.Join(run, socketsName)
	if len(dir)+1+room <= maxSocketPath {
		return dir, errors.Join(os.Mkdir(dir, 0o700), ownPrivate(dir, user))
	}
	if user != nil && !reachable(os.TempDir()) {
		return "", fmt.Errorf("the path %s is too long for a Unix socket, and functions do not get into TMPDIR: give them a folder with a shorter path (--run-dir)", dir)
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
	if err == nil {
		err = ownPrivate(short, user)
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
	if os.Geteuid() == 0 {
		return err // permissions do not stop us, and we had better change none
	}
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o700) // what it does not help, the second try tells
		}
		return nil
	})
	return os.RemoveAll(path)
}
