package bundle_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/funcatron/funcatron/shared/bundle"
)

// tree lists a folder: files as mode and content, links as their target.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			found[name+"/"] = info.Mode().String()
		case info.Mode()&fs.ModeSymlink != 0:
			found[name], err = os.Readlink(path)
		default:
			data, readErr := os.ReadFile(path)
			found[name], err = info.Mode().String()+" "+string(data), readErr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestUnpack(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077)) // the modes do not depend on it
	path := bundleOf(t, with(
		item{name: "empty/"},
		item{name: "a/b/c.txt", data: "c", mode: 0o666},
		item{name: "./d//e.sh", data: "e", mode: fs.ModeSetuid | fs.ModeSetgid | 0o777},
		item{name: "secret", data: "s", mode: 0o400},
		item{name: "bin/data", data: "no mode"},
		item{name: "plain", data: "no mode"},
		item{name: "a/link", data: "../bin/app", mode: fs.ModeSymlink | 0o777},
		item{name: "loop", data: "loop", mode: fs.ModeSymlink | 0o777},
	))
	dir := t.TempDir()
	if err := bundle.Unpack(path, dir); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"funcatron.yaml": "-rw-r--r-- " + document,
		"bin/":           "drwx------",
		"bin/app":        "-rwxr-xr-x #!/bin/sh\n",
		"bin/data":       "-rwxr-xr-x no mode", // beside the command, and who made the zip file knew no modes
		"plain":          "-rw-r--r-- no mode",
		"empty/":         "drwx------",
		"a/":             "drwx------",
		"a/b/":           "drwx------",
		"a/b/c.txt":      "-rw-r--r-- c",
		"d/":             "drwx------",
		"d/e.sh":         "-rwxr-xr-x e",
		"secret":         "-rw-r--r-- s",
		"a/link":         "../bin/app",
		"loop":           "loop",
	}
	if got := tree(t, dir); !maps.Equal(got, want) {
		t.Errorf("unpacked %v\nwant %v", got, want)
	}
}

// The command can be executed even where the zip file says otherwise.
func TestUnpackCommandExecutable(t *testing.T) {
	path := bundleOf(t, []item{
		doc(`{runtime: exec, command: ["./$GOOS-app"]}`),
		{name: "linux-app", data: "x", mode: 0o644},
		{name: "darwin-app", data: "x"},
		{name: "other", data: "x"},
	})
	dir := t.TempDir()
	if err := bundle.Unpack(path, dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"linux-app": 0o755, "darwin-app": 0o755, "other": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, error %v, want %v", name, info.Mode(), err, want)
		}
	}
}

// The declared sizes are what the limits were held against, so no file may hold
// more than it declared.
func TestUnpackLies(t *testing.T) {
	bomb := strings.Repeat("\x00", 8<<20)
	for name, tc := range map[string]struct {
		size uint32
		want string
	}{
		"more than declared": {10, "bomb"},
		"nothing declared":   {0, "bomb"},
		"less than declared": {16 << 20, "bomb"},
	} {
		t.Run(name, func(t *testing.T) {
			data := zipOf(t, with(item{name: "bomb", data: bomb}))
			binary.LittleEndian.PutUint32(central(t, data, "bomb")[24:], tc.size)
			path := write(t, data)
			if _, err := bundle.Open(path); err != nil {
				t.Fatalf("Open, which does not read the file, says %v", err)
			}
			dir := t.TempDir()
			refused(t, bundle.Unpack(path, dir), tc.want)
			if info, err := os.Stat(filepath.Join(dir, "bomb")); err == nil && info.Size() > int64(tc.size) {
				t.Errorf("%d bytes were written of %d declared", info.Size(), tc.size)
			}
		})
	}
	t.Run("checksum", func(t *testing.T) {
		data := zipOf(t, with(item{name: "bomb", data: bomb}))
		central(t, data, "bomb")[16]++
		refused(t, bundle.Unpack(write(t, data), t.TempDir()), "bomb", "checksum")
	})
	t.Run("document", func(t *testing.T) {
		data := zipOf(t, good)
		binary.LittleEndian.PutUint32(central(t, data, "funcatron.yaml")[24:], 10)
		_, err := bundle.Open(write(t, data))
		refused(t, err, "funcatron.yaml", "cannot be read")
	})
}

// A thousandfold compression is fine as long as the whole is bounded; entries
// that share their bytes count each for itself.
func TestUnpackBomb(t *testing.T) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	f, err := w.Create("zeros")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 32<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// One stream of 32 KiB, listed 40 times: 1.25 GiB.
	r, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var bomb bytes.Buffer
	w = zip.NewWriter(&bomb)
	for _, it := range good {
		f, err := w.Create(it.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(it.data)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 {
		h := r.File[0].FileHeader
		h.Name = "zeros" + string(rune('A'+i))
		raw, err := r.File[0].OpenRaw()
		if err != nil {
			t.Fatal(err)
		}
		f, err := w.CreateRaw(&h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(f, raw); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := write(t, bomb.Bytes())
	t.Logf("%d bytes that unpack to %d", bomb.Len(), 40*32<<20)
	dir := t.TempDir()
	refused(t, bundle.Unpack(path, dir), "the zip file", "unpacked")
	if left := tree(t, dir); len(left) > 0 {
		t.Errorf("wrote %v", left)
	}
}

func TestUnpackInto(t *testing.T) {
	path := bundleOf(t, good)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "there"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var refusal *bundle.Error
	if err := bundle.Unpack(path, full); err == nil || errors.As(err, &refusal) || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a folder that is not empty: %v", err)
	}
	if err := bundle.Unpack(path, filepath.Join(full, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is missing: %v", err)
	}
	if err := bundle.Unpack(filepath.Join(full, "missing"), t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a bundle that is missing: %v", err)
	}
}

// Links may lead to links, and still none leads out.
func TestUnpackLinks(t *testing.T) {
	link := func(name, target string) item { return item{name: name, data: target, mode: fs.ModeSymlink | 0o777} }
	path := bundleOf(t, with(
		item{name: "top/one/file", data: "x", mode: 0o644},
		link("deep/a/b/c", "../../../top"),
		link("deep/d", "a/b/c/one"),
		link("deep/e", "d/file"),
		link("here", "."),
	))
	dir := t.TempDir()
	if err := bundle.Unpack(path, dir); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "deep/e")); string(data) != "x" {
		t.Errorf("through three links: %q, %v", data, err)
	}
	real, err := filepath.EvalSymlinks(filepath.Join(dir, "here/here"))
	if root, _ := filepath.EvalSymlinks(dir); err != nil || real != root {
		t.Errorf("here leads to %q, %v", real, err)
	}
}
