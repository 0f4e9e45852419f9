package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/funcatron/funcatron/shared/bundle"
)

// program is what serves a bundle: a file to execute and its argv.
type program struct {
	path string
	args []string
	env  []string // beyond what every function gets
	// more gives further arguments to a process, whose folder is home; nil gives none.
	more func(home string) ([]string, error)
	// classes is the archive that a jvm starts faster with; nil where there can be none.
	classes *classArchive
}

// runtimes says how a bundle of each type is served.
var runtimes = map[string]func(r *Runner, ctx context.Context, n *run) (program, error){
	"exec": func(_ *Runner, _ context.Context, n *run) (program, error) {
		return execProgram(n.bundle, n.files, n.user != nil)
	},
	"jvm":    (*Runner).jvmProgram,
	"python": (*Runner).pythonProgram,
	"node":   (*Runner).nodeProgram,
}

// programOf finds the program for what n runs, and makes what it needs once a
// bundle.
func (r *Runner) programOf(ctx context.Context, n *run) (program, error) {
	find, ok := runtimes[n.bundle.Type]
	if !ok {
		return program{}, fmt.Errorf("runtime %q is not one that this runner has (%s)", n.bundle.Type,
			strings.Join(slices.Sorted(maps.Keys(runtimes)), ", "))
	}
	return find(r, ctx, n)
}

// available are the runtimes that this machine has what it takes for.
func (r *Runner) available() []string {
	list := []string{"exec"}
	for name, find := range map[string]func() error{
		"jvm":    func() error { return errors.Join(second(r.java()), second(r.jvmHost())) },
		"python": func() error { return second(r.interpreter("python", "python", r.opts.Python)) },
		"node":   func() error { return second(r.interpreter("node", "node", r.opts.Node)) },
	} {
		if find() == nil {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

func second(_ string, err error) error { return err }

// interpreter finds what runs bundles of a runtime: a path, or a name in PATH, that
// flag gave.
func (r *Runner) interpreter(runtime, flag, name string) (string, error) {
	if strings.Contains(name, "/") {
		info, err := os.Stat(name)
		switch {
		case err != nil:
			return "", fmt.Errorf("runtime %s: %w (--%s)", runtime, err, flag)
		case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
			return "", fmt.Errorf("runtime %s: %s is no program (--%s)", runtime, name, flag)
		case r.jails.users != nil && !reachable(name):
			return "", fmt.Errorf("runtime %s: %s may not be executed by functions, which run as users of their own (--%s)", runtime, name, flag)
		}
		return name, nil
	}
	path, err := lookPath(name, r.jails.users != nil)
	if err != nil {
		return "", fmt.Errorf("runtime %s: this runner's machine has no %s: %w (--%s names another)", runtime, name, err, flag)
	}
	return filepath.Abs(path)
}

// execProgram takes the command as the document gives it. A first word with a slash
// is a file of the bundle, one without is looked up in PATH.
func execProgram(b *bundle.Bundle, dir string, anybody bool) (program, error) {
	var words []string
	for _, w := range b.Document.Runtime.Command {
		words = append(words, bundle.Fill(w, runtime.GOOS, runtime.GOARCH))
	}
	if len(words) == 0 {
		return program{}, errors.New("the bundle's x-funcatron has no command")
	}
	first := words[0]
	if !strings.Contains(first, "/") {
		path, err := lookPath(first, anybody)
		if err != nil {
			return program{}, fmt.Errorf("find command in PATH: %w", err)
		}
		return program{path: path, args: words}, nil
	}
	path, err := fileOf(dir, first)
	if errors.Is(err, fs.ErrNotExist) && first != b.Document.Runtime.Command[0] {
		return program{}, fmt.Errorf("the bundle has no %s: it was not built for this runner's platform, %s/%s", first, runtime.GOOS, runtime.GOARCH)
	}
	if err != nil {
		return program{}, fmt.Errorf("find command %s in the bundle: %w", first, err)
	}
	return program{path: path, args: words}, nil
}

// lookPath finds a program in PATH; with anybody, the first that every user may
// execute: what root finds in folders of its own is of no use to others.
func lookPath(name string, anybody bool) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil || !anybody || reachable(path) {
		return path, err
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		other := filepath.Join(dir, name)
		info, err := os.Stat(other)
		if err == nil && info.Mode().IsRegular() && filepath.IsAbs(other) && reachable(other) {
			return other, nil
		}
	}
	return "", fmt.Errorf("%s may not be executed by functions, which run as users of their own", path)
}

// fileOf is the path of the file name in dir, which neither it nor a link on the
// way may leave.
func fileOf(dir, name string) (string, error) {
	if !filepath.IsLocal(name) {
		return "", errors.New("not inside the bundle; a program of this machine is named without a slash and looked up in PATH")
	}
	path := filepath.Join(dir, name)
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(root, target); err != nil || !filepath.IsLocal(rel) {
		return "", errors.New("a link leads out of the bundle")
	}
	info, err := os.Stat(target)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("not a file")
	}
	return path, nil // and not target: some programs go by the name they are called
}
