package statefile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/shared/statefile"
)

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	for _, tc := range []struct {
		data string
		perm fs.FileMode
	}{
		{"first", 0o600},
		{"second, which is longer", 0o640}, // replaces content and mode
		{"", 0o600},                        // empty is a content too
	} {
		if err := statefile.Write(path, []byte(tc.data), tc.perm); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != tc.data {
			t.Errorf("content %q, want %q", got, tc.data)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != tc.perm {
			t.Errorf("mode %v, want %v", info.Mode(), tc.perm)
		}
		onlyFile(t, path)
	}
}

func TestWriteReplacesALinkAndNotWhatItNames(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(t.TempDir(), "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := statefile.Write(link, []byte("ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := read(t, target); got != "theirs" {
		t.Errorf("the link's target holds %q", got)
	}
	if got := read(t, link); got != "ours" {
		t.Errorf("the file holds %q", got)
	}
}

func TestPending(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bundle")
	if err := statefile.Write(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := statefile.Create(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Abort()
	temps, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".bundle.tmp-*"))
	if err != nil || len(temps) != 1 {
		t.Fatalf("temporary files %v, %v", temps, err)
	}
	if info, err := os.Stat(temps[0]); err != nil || info.Mode() != 0o600 {
		t.Errorf("before the first byte the mode is %v, %v", info.Mode(), err)
	}
	for _, part := range []string{"new ", "content"} {
		if n, err := p.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if got := read(t, path); got != "old" {
		t.Errorf("before Commit the file holds %q", got)
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "new content" {
		t.Errorf("after Commit the file holds %q", got)
	}

	// It has ended: nothing more can happen to the file.
	p.Abort()
	if err := p.Commit(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second Commit: %v", err)
	}
	if _, err := p.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write after Commit: %v", err)
	}
	if got := read(t, path); got != "new content" {
		t.Errorf("after Abort the file holds %q", got)
	}
	onlyFile(t, path)
}

func TestAbortKeepsTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bundle")
	if err := statefile.Write(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := statefile.Create(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("half of the n")); err != nil {
		t.Fatal(err)
	}
	p.Abort()
	p.Abort()
	if got := read(t, path); got != "old" {
		t.Errorf("the file holds %q", got)
	}
	onlyFile(t, path)
}

func TestErrorsNameThePath(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(taken, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, path string
		is         error
	}{
		{"no folder", filepath.Join(dir, "missing", "state"), fs.ErrNotExist},
		{"a folder stands there", taken, nil},
		{"a file as folder", "/dev/null/state", nil},
		{"a folder's path", dir + "/", nil},
		{"no path", "", nil},
		{"the folder itself", dir + "/.", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := statefile.Write(tc.path, []byte("x"), 0o600)
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tc.path) {
				t.Errorf("%v does not name %s", err, tc.path)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("%v is not %v", err, tc.is)
			}
			onlyFile(t, taken)
		})
	}
}

// Readers see one content or the other, from first byte to last.
func TestReadersSeeWholeContents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	contents := [][]byte{bytes.Repeat([]byte("a"), 100_000), bytes.Repeat([]byte("b"), 50_000)}
	if err := statefile.Write(path, contents[0], 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() {
		for i := range 100 {
			if err := statefile.Write(path, contents[i%2], 0o600); err != nil {
				written <- fmt.Errorf("write %d: %w", i, err)
				return
			}
		}
		written <- nil
	}()
	for {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(contents, func(c []byte) bool { return bytes.Equal(c, got) }) {
			t.Fatalf("read %d bytes that nobody wrote whole", len(got))
		}
		select {
		case err := <-written:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}

func TestClean(t *testing.T) {
	dir := t.TempDir()
	kept := []string{
		"state",
		"state.tmp-1a",   // no dot: somebody's own
		".state",         // no mark
		".state.tmp-",    // no number
		".state.tmp-a.b", // no number either
		".tmp-1a",        // no name
	}
	for _, name := range append(slices.Clone(kept), ".state.tmp-0", ".state.tmp-3w5e11264sgsf", ".a.tmp-b.tmp-c") {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder, link := ".folder.tmp-1", ".link.tmp-1"
	if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("state", filepath.Join(dir, link)); err != nil {
		t.Fatal(err)
	}
	if err := statefile.Clean(dir); err != nil {
		t.Fatal(err)
	}
	want := append(slices.Clone(kept), folder, link)
	slices.Sort(want)
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
}

func TestCleanOfAFolderThatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	if err := statefile.Clean(filepath.Join(dir, "missing")); err != nil {
		t.Error(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := statefile.Clean(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Clean of a file: %v", err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	slices.Sort(out)
	return out
}

// onlyFile fails where path's folder holds anything else.
func onlyFile(t *testing.T, path string) {
	t.Helper()
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{filepath.Base(path)}) {
		t.Errorf("the folder holds %q", got)
	}
}
