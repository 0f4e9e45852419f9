package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/funcatron/funcatron/runner/sandbox"
)

// runDirs are where functions with users of their own run, if not in the state
// folder: a folder there for each Runner, beside a link to its state folder.
var runDirs = []string{"/var/lib/funcatron-run", filepath.Join(os.TempDir(), "funcatron-run")}

const (
	runsName    = "run"
	madeName    = "made"
	stateSuffix = ".state"
	madeSuffix  = ".made"
)

// openRuns decides where functions run, and makes what is above that. With others,
// users of their own get there.
func (f *folder) openRuns(runDir string, others bool) error {
	f.runs = filepath.Join(f.path, runsName)
	switch {
	case runDir != "":
		if err := f.runBelow(runDir); err != nil {
			return fmt.Errorf("open folder to run functions in (--run-dir): %w", err)
		}
	case others && reachable(filepath.Dir(f.path)):
		// Through it, and not into it: what is in it is for us.
		if err := errors.Join(os.Chmod(f.path, 0o711), os.MkdirAll(f.bundles(), 0o700), os.Chmod(f.bundles(), 0o700)); err != nil {
			return fmt.Errorf("open state folder for functions: %w", err)
		}
	case others:
		if err := f.runElsewhere(); err != nil {
			return fmt.Errorf("find a folder to run functions in (--run-dir): %w", err)
		}
	}
	if others && !reachable(filepath.Dir(f.runs)) {
		return fmt.Errorf("functions run as users of their own, which do not get into %s: give them another folder (--run-dir)", filepath.Dir(f.runs))
	}
	return nil
}

// runElsewhere has functions run below the first of runDirs that can be had.
func (f *folder) runElsewhere() error {
	var errs []error
	for _, dir := range runDirs {
		err := f.runBelow(dir)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// runBelow has functions run in a folder below dir.
func (f *folder) runBelow(dir string) error {
	if err := sandbox.OwnFolder(dir, 0o711); err != nil {
		return err
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	removeLost(dir)
	runs := filepath.Join(dir, f.id())
	if err := os.Symlink(f.path, runs+stateSuffix); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f.runs = runs
	return nil
}

// removeLost removes what is in dir and belongs to a state folder that is gone.
func removeLost(dir string) {
	links, _ := filepath.Glob(filepath.Join(dir, "*"+stateSuffix))
	for _, link := range links {
		state, err := os.Readlink(link)
		if err != nil {
			continue
		}
		if _, err := os.Lstat(state); errors.Is(err, fs.ErrNotExist) {
			runs := strings.TrimSuffix(link, stateSuffix)
			_ = removeAll(runs) // else the next tries
			_ = removeAll(runs + madeSuffix)
			_ = os.Remove(link)
		}
	}
}

// id is a short name for the state folder that no other on this machine has.
func (f *folder) id() string {
	sum := sha256.Sum256([]byte(f.path))
	return hex.EncodeToString(sum[:4])
}
