// Package pack makes Func Bundles of folders.
//
// The same folder gives the same bytes, and so the same sha, on every machine
// with the same Go: entries are sorted and carry no times, and the compiler is
// told nothing of where it runs. What Dir leaves behind the Tron would accept: a
// bundle that is refused is not written, and what was in its place stays.
package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/funcatron/funcatron/shared/bundle"
	"github.com/funcatron/funcatron/shared/swagger"
)

// Options say what Dir makes of what.
type Options struct {
	// Dir is the folder: a Swagger document and what it describes.
	Dir string
	// Out is the file to write, replaced where it exists.
	Out string
	// Platforms are what a Go folder is compiled for, each GOOS/GOARCH; none is
	// linux/amd64, linux/arm64 and that of Host.
	Platforms []string
	// Stderr takes what is done and what is found, a line each; nil is nowhere.
	Stderr io.Writer
}

// Host is this machine's platform.
func Host() string { return runtime.GOOS + "/" + runtime.GOARCH }

// Error is why a folder cannot be packed: everything that was found, each a
// sentence.
type Error struct {
	Dir      string
	Problems []string
}

func (e *Error) Error() string {
	return fmt.Sprintf("pack %s:\n  %s", e.Dir, strings.Join(e.Problems, "\n  "))
}

// maxFindings is how long the full validation of the document, which only warns,
// may take: as long as at the Tron.
const maxFindings = 10 * time.Second

// Dir packs the folder o.Dir into the Func Bundle o.Out. A folder whose root
// holds a Go main package is compiled, and its other files are carried along;
// any other folder is carried as it is. The error is an *Error where the folder
// is at fault.
func Dir(ctx context.Context, o Options) (*bundle.Bundle, error) {
	if o.Dir == "" || o.Out == "" {
		return nil, errors.New("pack: name the folder and the file to make of it")
	}
	if info, err := os.Stat(filepath.Dir(o.Out)); err != nil || !info.IsDir() { // said before minutes of compiling
		return nil, fmt.Errorf("make the bundle %s: its folder does not exist", o.Out)
	}
	platforms, err := o.platforms()
	if err != nil {
		return nil, err
	}
	out := o.Stderr
	if out == nil {
		out = io.Discard
	}
	doc, err := readDocument(o.Dir)
	if err != nil {
		return nil, err
	}

	work, err := os.MkdirTemp("", "funcatron-pack-")
	if err != nil {
		return nil, fmt.Errorf("make a folder to compile in: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()

	compiled, err := isGo(ctx, o.Dir, doc)
	if err != nil {
		return nil, err
	}
	files, err := carried(o.Dir, compiled, o.Out)
	if err != nil {
		return nil, err
	}
	if compiled {
		if err := startsProgram(o.Dir, doc, files); err != nil {
			return nil, err
		}
		programs, err := compile(ctx, o.Dir, work, platforms, out)
		if err != nil {
			return nil, err
		}
		files = replace(files, programs)
	}
	if !slices.ContainsFunc(files, func(f file) bool { return f.name == gitSha }) {
		git, note := revision(ctx, o.Dir, o.Out)
		say(out, "%s", note)
		if git != "" {
			files = append(files, file{name: gitSha, mode: 0o644, text: git + "\n"})
		}
	}

	// The bundle is made beside its place, so that it can be moved there whole.
	pending, err := os.CreateTemp(filepath.Dir(o.Out), "."+filepath.Base(o.Out)+"-*")
	if err != nil {
		return nil, fmt.Errorf("make the bundle: %w", err)
	}
	defer func() { _ = os.Remove(pending.Name()) }() // harmless once it was moved
	err = archive(ctx, pending, o.Dir, files)
	if err := errors.Join(err, pending.Close()); err != nil {
		return nil, err
	}
	b, err := check(o.Dir, pending.Name())
	if err != nil {
		return nil, err
	}
	warn(ctx, out, b)
	if err := os.Rename(pending.Name(), o.Out); err != nil {
		return nil, fmt.Errorf("put the bundle in its place: %w", err)
	}
	say(out, "%s: %d files, %.1f MiB, sha %s", o.Out, len(files), float64(b.Size)/(1<<20), b.Sha)
	return b, nil
}

// check opens the bundle as the Tron does.
func check(dir, path string) (*bundle.Bundle, error) {
	if err := os.Chmod(path, 0o644); err != nil { // os.CreateTemp makes it private
		return nil, fmt.Errorf("make the bundle readable: %w", err)
	}
	b, err := bundle.Open(path)
	if refused := (*bundle.Error)(nil); errors.As(err, &refused) {
		return nil, &Error{dir, refused.Problems}
	}
	if err != nil {
		return nil, fmt.Errorf("check the bundle: %w", err)
	}
	return b, nil
}

// warn says what the Tron would warn of.
func warn(ctx context.Context, out io.Writer, b *bundle.Bundle) {
	for _, w := range slices.Concat(b.Warnings, b.Document.Warnings) {
		say(out, "warning: %s", w)
	}
	ctx, cancel := context.WithTimeout(ctx, maxFindings)
	defer cancel()
	findings, complete := b.Document.Findings(ctx)
	for _, f := range findings {
		say(out, "warning: %s", f)
	}
	if !complete {
		say(out, "warning: the document was not validated completely")
	}
}

func (o Options) platforms() ([]string, error) {
	if len(o.Platforms) == 0 {
		o.Platforms = []string{"linux/amd64", "linux/arm64", Host()}
	}
	list := slices.Compact(slices.Sorted(slices.Values(o.Platforms)))
	for _, p := range list {
		goos, goarch, ok := strings.Cut(p, "/")
		if !ok || !isWord(goos) || !isWord(goarch) {
			return nil, fmt.Errorf("read the platform %q: it is GOOS/GOARCH, as in linux/amd64", p)
		}
	}
	return list, nil
}

// isWord reports whether s is what GOOS and GOARCH are made of: a platform also
// names a folder.
func isWord(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// documents are the names of the Swagger document, in the order of preference.
var documents = []string{"funcatron.yaml", "funcatron.yml", "funcatron.json"}

// readDocument refuses a folder without a usable document before anything is
// compiled.
func readDocument(dir string) (*swagger.Document, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("pack a folder: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("pack %s: it is not a folder", dir)
	}
	for _, name := range documents {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the Swagger document: %w", err)
		}
		doc, err := swagger.Parse(data)
		if refused := (*swagger.Error)(nil); errors.As(err, &refused) {
			problems := make([]string, len(refused.Problems))
			for i, p := range refused.Problems {
				problems[i] = name + ": " + p
			}
			return nil, &Error{dir, problems}
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		return doc, nil
	}
	return nil, &Error{dir, []string{"it has no " + strings.Join(documents, ", ") + ": a Func Bundle needs a Swagger 2.0 document"}}
}

// say writes one line. That nobody reads it does not keep the bundle from being
// made.
func say(out io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(out, format+"\n", args...)
}
