package runner

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/funcatron/funcatron/runner/process"
	"github.com/funcatron/funcatron/runner/sandbox"
	"github.com/funcatron/funcatron/shared/swagger"
)

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// closedDir is a temporary folder that is for us alone.
func closedDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func testUsers(t *testing.T) *sandbox.Users {
	t.Helper()
	users, err := sandbox.OpenUsers(3200000, 3200010, filepath.Join(t.TempDir(), "locks"))
	if err != nil {
		t.Fatal(err)
	}
	return users
}

// Functions run in the state folder where their users get there, by nothing but its
// name; else elsewhere, and nothing of that stays.
func TestRunDir(t *testing.T) {
	old := runDirs
	t.Cleanup(func() { runDirs = old })
	elsewhere := filepath.Join(openDir(t), "runs")
	runDirs = []string{"/no/such/folder/runs", elsewhere}
	users := testUsers(t)

	f, err := openFolder(filepath.Join(openDir(t), "state"), "", users)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if _, err := f.clean(users); err != nil {
		t.Fatal(err)
	}
	if f.runs != filepath.Join(f.path, "run") || mode(t, f.path) != 0o711 || mode(t, f.runs) != 0o711 || mode(t, f.bundles()) != 0o700 {
		t.Errorf("functions run in %s: %v, %v, %v", f.runs, mode(t, f.path), mode(t, f.runs), mode(t, f.bundles()))
	}

	closed := filepath.Join(closedDir(t), "state") // below a folder for us alone
	g, err := openFolder(closed, "", users)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	if err := os.MkdirAll(filepath.Join(g.path, "run", "old"), 0o700); err != nil { // of a life that was not root's
		t.Fatal(err)
	}
	if _, err := g.clean(users); err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(g.runs) != elsewhere || mode(t, g.path) != 0o700 || mode(t, elsewhere) != 0o711 || mode(t, g.runs) != 0o711 {
		t.Errorf("functions run in %s: %v, %v", g.runs, mode(t, g.path), mode(t, g.runs))
	}
	if _, err := os.Stat(filepath.Join(g.path, "run")); err == nil {
		t.Error("what ran in the state folder is left")
	}
	// One whose state folder is gone goes with the next that comes; others stay.
	lost := filepath.Join(elsewhere, "lost")
	if err := os.MkdirAll(filepath.Join(lost, "run-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/no/such/state", lost+stateSuffix); err != nil {
		t.Fatal(err)
	}
	h, err := openFolder(filepath.Join(closedDir(t), "state"), "", users)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	if _, err := os.Stat(lost); err == nil {
		t.Error("the lost one is left")
	}
	if _, err := os.Stat(g.runs); err != nil {
		t.Error("another Runner's is gone")
	}
	for _, f := range []*folder{g, h} {
		if err := f.removeRuns(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(elsewhere); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}

	for name, dir := range map[string]string{"somebody else's": "/dev/shm", "unreachable": filepath.Join(closedDir(t), "runs"), "nowhere": "/no/such/folder/runs"} {
		if f, err := openFolder(filepath.Join(closedDir(t), "state"), dir, users); err == nil {
			t.Errorf("%s: functions run in %s", name, f.runs)
			f.close()
		} else if !strings.Contains(err.Error(), "--run-dir") {
			t.Errorf("%s: %v does not say what would help", name, err)
		}
	}
	given, err := openFolder(filepath.Join(closedDir(t), "state"), filepath.Join(closedDir(t), "runs"), nil)
	if err != nil {
		t.Fatal(err)
	}
	given.close()
}

// What an earlier life's function left is found by the user that its folder names.
func TestCleanKillsByUser(t *testing.T) {
	needRoot(t)
	users := testUsers(t)
	user, err := users.Take("a")
	if err != nil {
		t.Fatal(err)
	}
	f, err := openFolder(filepath.Join(openDir(t), "state"), "", users)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	run := filepath.Join(f.runs, "d-1")
	if err := os.MkdirAll(run, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(run, 0, user.ID); err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(process.Spec{Path: "/bin/sleep", Args: []string{"sleep", "1000"}, Dir: "/", Jail: sandbox.Jail{User: user.ID}})
	if err != nil {
		t.Fatal(err)
	}
	if killed, err := f.clean(users); killed != 0 || err != nil { // it is in use: by this very life
		t.Errorf("clean = %d, %v", killed, err)
	}
	if err := os.MkdirAll(run, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(run, 0, user.ID); err != nil {
		t.Fatal(err)
	}
	later, err := sandbox.OpenUsers(3200000, 3200010, filepath.Join(t.TempDir(), "locks"))
	if err != nil {
		t.Fatal(err)
	}
	if killed, err := f.clean(later); killed != 1 || err != nil {
		t.Errorf("clean = %d, %v, want 1 that was killed", killed, err)
	}
	<-p.Done()
}

// A program that root alone gets at is none for functions.
func TestLookPathForAnybody(t *testing.T) {
	closed, open := closedDir(t), openDir(t)
	for _, dir := range []string{closed, open} {
		if err := os.WriteFile(filepath.Join(dir, "program"), []byte("#!/bin/sh\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, "program"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", closed+":"+open)
	for anybody, want := range map[bool]string{false: closed, true: open} {
		if got, err := lookPath("program", anybody); err != nil || got != filepath.Join(want, "program") {
			t.Errorf("lookPath(%t) = %q, %v, want that in %s", anybody, got, err, want)
		}
	}
	t.Setenv("PATH", closed)
	if got, err := lookPath("program", true); err == nil || !strings.Contains(err.Error(), "users of their own") {
		t.Errorf("lookPath = %q, %v", got, err)
	}
}

func TestJailOfProcess(t *testing.T) {
	rt := swagger.Runtime{Memory: 64 << 20, CPU: 100, Files: 100, Processes: 10, Instances: 3}
	j := &jails{}
	var s process.Spec
	if err := j.confine(&s, "a", nil, rt); err != nil || s.Jail != (sandbox.Jail{Memory: 64 << 20, Files: 100}) || s.Group != nil {
		t.Errorf("without a user: %+v, %v", s.Jail, err)
	}
	if got := j.unenforced(rt); got != "cpu, processes" {
		t.Errorf("not enforced: %q", got)
	}
	users := testUsers(t)
	user, err := users.Take("a")
	if err != nil {
		t.Fatal(err)
	}
	j.users = users
	if err := j.confine(&s, "a", user, rt); err != nil || s.Jail != (sandbox.Jail{User: user.ID, Memory: 64 << 20, Files: 100, Processes: 30}) {
		t.Errorf("with a user: %+v, %v", s.Jail, err)
	}
	if got := j.unenforced(rt); got != "cpu" {
		t.Errorf("not enforced: %q", got)
	}
	if got := j.unenforced(swagger.Runtime{Memory: 1, Files: 1}); got != "" {
		t.Errorf("not enforced: %q", got)
	}
}

// Files are handed over, links are not followed on the way.
func TestOwnReadOnly(t *testing.T) {
	needRoot(t)
	dir, outside := openDir(t), openDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o777); err != nil {
		t.Fatal(err)
	}
	for path, perm := range map[string]os.FileMode{dir + "/a/b/program": 0o777, dir + "/a/text": 0o606, outside + "/other": 0o606} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, perm); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside+"/other", dir+"/a/link"); err != nil {
		t.Fatal(err)
	}
	user := &sandbox.User{ID: 3200001}
	if err := ownReadOnly(dir, user); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o750, dir + "/a/b": 0o750, dir + "/a/b/program": 0o750, dir + "/a/text": 0o640, outside + "/other": 0o606} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		gid := user.ID
		if strings.HasPrefix(path, outside) {
			gid = os.Getegid()
		}
		if st := info.Sys().(*syscall.Stat_t); info.Mode().Perm() != want || int(st.Uid) != 0 || int(st.Gid) != gid {
			t.Errorf("%s is %v, %d:%d, want %v, 0:%d", path, info.Mode(), st.Uid, st.Gid, want, gid)
		}
	}
}
