package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/funcatron/funcatron/shared/bundle"
	"github.com/funcatron/funcatron/shared/swagger"
)

// isGo reports whether the folder's root is a Go program to compile. A document
// of another runtime than exec says that it is not.
func isGo(ctx context.Context, dir string, doc *swagger.Document) (bool, error) {
	if kind := doc.Runtime.Kind; kind != "" && kind != "exec" {
		return false, nil
	}
	sources, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.go"))
	if err != nil {
		return false, fmt.Errorf("look for Go files: %w", err)
	}
	found := false
	for _, s := range sources {
		found = found || !strings.HasSuffix(s, "_test.go")
	}
	if !found {
		return false, nil
	}
	name, err := goCommand(ctx, dir, nil, "list", "-e", "-f", "{{.Name}}", ".")
	if err != nil {
		return false, err
	}
	// An empty name is a package that cannot be read: the compiler says why.
	if name = strings.TrimSpace(name); name != "main" && name != "" {
		return false, &Error{dir, []string{fmt.Sprintf("its Go package is %s: what is packed is a program, of package main", name)}}
	}
	return true, nil
}

// program is where the compiled program lies in the bundle.
const program = "bin/$GOOS-$GOARCH/app"

// startsProgram refuses a document that does not start what is compiled, before
// it is. A document may start a file of the folder, or of PATH, instead.
func startsProgram(dir string, doc *swagger.Document, carried []file) error {
	rt := doc.Runtime
	if rt.Kind == "" || len(rt.Command) == 0 {
		return &Error{dir, []string{fmt.Sprintf("the document does not say how the program runs: add x-funcatron: {runtime: exec, command: [%q]}", program)}}
	}
	first := path.Clean(rt.Command[0])
	if first == program || !strings.Contains(rt.Command[0], "/") ||
		slices.ContainsFunc(carried, func(f file) bool { return f.name == first }) {
		return nil
	}
	return &Error{dir, []string{fmt.Sprintf("x-funcatron.command starts %q, which is no file of the folder; the program that is compiled is %q", rt.Command[0], program)}}
}

// escapeGlob makes path stand for itself in a pattern.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// compile builds the program of dir for each platform, into work.
func compile(ctx context.Context, dir, work string, platforms []string, out io.Writer) ([]file, error) {
	programs := make([]file, len(platforms))
	g, ctx := errgroup.WithContext(ctx)
	// The go command itself compiles packages in parallel; two of them fill the
	// gaps that linking leaves.
	g.SetLimit(min(2, runtime.NumCPU()))
	var mu sync.Mutex // guards out
	for i, p := range platforms {
		g.Go(func() error {
			goos, goarch, _ := strings.Cut(p, "/")
			name := bundle.Fill(program, goos, goarch)
			binary := filepath.Join(work, filepath.FromSlash(name))
			began := time.Now()
			_, err := goCommand(ctx, dir, []string{"CGO_ENABLED=0", "GOOS=" + goos, "GOARCH=" + goarch},
				"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, ".")
			if err != nil {
				return fmt.Errorf("compile for %s: %w", p, err)
			}
			mu.Lock()
			say(out, "compiled for %s in %.1f s", p, time.Since(began).Seconds())
			mu.Unlock()
			programs[i] = file{name: name, mode: 0o755, path: binary}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return programs, nil
}

// goCommand runs the go command in dir. Its error carries what the command
// printed.
func goCommand(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends its compilers then
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	switch err := cmd.Run(); {
	case err == nil:
		return stdout.String(), nil
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("the folder is Go source, and there is no go command in PATH: install Go from https://go.dev/dl/")
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	default:
		return "", fmt.Errorf("go %s: %w:\n%s", args[0], err, strings.TrimSpace(stderr.String()))
	}
}
