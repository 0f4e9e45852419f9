package runner

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/shared/wire"
)

func TestFolderName(t *testing.T) {
	for id, want := range map[string]string{
		"0515d6e3fff7d6c5032a1110": "0515d6e3fff7d6c5032a1110",
		"Dep_1-a":                  "Dep_1-a",
		"../../etc":                "2e2e2f2e2e2f657463",
		"a/b":                      "612f62",
		"a*":                       "612a", // os.MkdirTemp reads a star
		".":                        "2e",
	} {
		if got := folderName(id); got != want {
			t.Errorf("folderName(%q) = %q, want %q", id, got, want)
		}
	}
	if got := folderName(strings.Repeat("x", 1000)); len(got) > 61 {
		t.Errorf("a long id gives a name of %d bytes", len(got))
	}
}

// What an earlier life left is removed, however it is locked up, and nothing that
// a link names elsewhere.
func TestClean(t *testing.T) {
	tmp, err := os.MkdirTemp("", "t") // not t.TempDir, whose paths are long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	t.Setenv("TMPDIR", tmp)
	f, err := openFolder(t.TempDir(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	run := filepath.Join(f.runs, "d-1")
	locked := filepath.Join(run, "files", "locked")
	if err := os.MkdirAll(filepath.Join(locked, "in"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(locked, 0); err != nil {
		t.Fatal(err)
	}
	short, err := os.MkdirTemp("", shortPrefix)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(short, filepath.Join(run, socketsName)); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if err := os.Mkdir(filepath.Join(f.runs, "d-2"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, filepath.Join(f.runs, "d-2", socketsName)); err != nil {
		t.Fatal(err)
	}
	owned := func(run string) string {
		dir, err := socketFolder(run, 40, nil)
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	lost := filepath.Join(t.TempDir(), strings.Repeat("d", 60))
	kept := filepath.Join(t.TempDir(), strings.Repeat("d", 60))
	if err := errors.Join(os.Mkdir(lost, 0o700), os.Mkdir(kept, 0o700)); err != nil {
		t.Fatal(err)
	}
	orphan, elsewhere := owned(lost), owned(kept)
	if err := os.RemoveAll(lost); err != nil {
		t.Fatal(err)
	}
	if _, err := f.clean(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(orphan); err == nil {
		t.Error("the sockets of a run that is gone are left")
	}
	if _, err := os.Stat(elsewhere); err != nil {
		t.Error("the sockets of another Runner are gone")
	}
	if left, err := os.ReadDir(f.runs); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := os.Stat(short); err == nil {
		t.Error("the folder of sockets is left")
	}
	if _, err := os.Stat(other); err != nil {
		t.Error("a folder that is not ours is gone")
	}
}

func TestSaved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deployments.json")
	if got, err := readSaved(path); got != nil || err != nil {
		t.Errorf("no file: %v, %v", got, err)
	}
	want := []wire.Deployment{{ID: "a", Queue: "q", Sha: "s", Props: []byte(`{"k":1}`)}}
	if err := writeSaved(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := readSaved(path)
	if err != nil || len(got) != 1 || got[0].ID != "a" || string(got[0].Props) != `{"k":1}` {
		t.Errorf("read back: %+v, %v", got, err)
	}
	for _, bad := range []string{"", "{", `{"version":2}`, `{"version":1,"deployments":[{"id":"a"}]}`, `{"version":1,"deployments":[{"queue":"q"}]}`} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readSaved(path); err == nil {
			t.Errorf("%q reads as %v", bad, got)
		}
	}
}

func TestPorts(t *testing.T) {
	p := ports{taken: make(map[int]bool)}
	seen := map[int]bool{}
	for range 20 {
		n, err := p.take()
		if err != nil || seen[n] {
			t.Fatalf("port %d, %v", n, err)
		}
		seen[n] = true
	}
	for n := range seen {
		p.give(n)
	}
	if len(p.taken) != 0 {
		t.Errorf("taken: %v", p.taken)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if free(port) {
		t.Error("a port that is listened on is free")
	}
	_ = ln.Close()
	if !free(port) {
		t.Error("a port that nobody listens on is not free")
	}
}
