package runner

import (
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
}

// runtimes says how a bundle of each type is served: what to start in dir, the
// folder that it was unpacked into.
var runtimes = map[string]func(b *bundle.Bundle, dir string) (program, error){
	"exec": execProgram,
}

// programOf finds the program for b.
func programOf(b *bundle.Bundle, dir string) (program, error) {
	find, ok := runtimes[b.Type]
	if !ok {
		return program{}, fmt.Errorf("runtime %q is not one that this runner has (%s)", b.Type,
			strings.Join(slices.Sorted(maps.Keys(runtimes)), ", "))
	}
	return find(b, dir)
}

// execProgram takes the command as the document gives it. A first word with a slash
// is a file of the bundle, one without is looked up in PATH.
func execProgram(b *bundle.Bundle, dir string) (program, error) {
	var words []string
	for _, w := range b.Document.Runtime.Command {
		words = append(words, bundle.Fill(w, runtime.GOOS, runtime.GOARCH))
	}
	if len(words) == 0 {
		return program{}, errors.New("the bundle's x-funcatron has no command")
	}
	first := words[0]
	if !strings.Contains(first, "/") {
		path, err := exec.LookPath(first)
		if err != nil {
			return program{}, fmt.Errorf("find command in PATH: %w", err)
		}
		return program{path, words}, nil
	}
	path, err := fileOf(dir, first)
	if errors.Is(err, fs.ErrNotExist) && first != b.Document.Runtime.Command[0] {
		return program{}, fmt.Errorf("the bundle has no %s: it was not built for this runner's platform, %s/%s", first, runtime.GOOS, runtime.GOARCH)
	}
	if err != nil {
		return program{}, fmt.Errorf("find command %s in the bundle: %w", first, err)
	}
	return program{path, words}, nil
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
