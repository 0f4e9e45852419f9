package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// kernel is a folder that looks like cgroupfs, but for its behaviour: files keep the
// last word written to them.
func kernel(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	fill(t, dir, files)
	return dir
}

func fill(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// groupFiles are those that the kernel puts into a group.
var groupFiles = map[string]string{
	"memory.max": "max", "memory.swap.max": "max", "memory.oom.group": "0", "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n",
	"cpu.max": "max 100000", "pids.max": "max", "cgroup.procs": "", "cgroup.kill": "",
}

// tree is one over dir, whose groups have those controllers.
func tree(t *testing.T, dir string, has ...string) *Tree {
	return &Tree{
		dir: dir, name: "funcatron-x-", has: has,
		mkdir: func(path string) error {
			err := os.Mkdir(path, 0o700)
			if err == nil {
				fill(t, path, groupFiles)
			}
			return err
		},
		rmdir: func(path string) error { // cgroupfs's takes the files along
			entries, err := os.ReadDir(path)
			for _, e := range entries {
				if !e.IsDir() {
					err = errors.Join(err, os.Remove(filepath.Join(path, e.Name())))
				}
			}
			return errors.Join(err, os.Remove(path))
		},
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func TestOwn(t *testing.T) {
	const mounts = `22 1 0:21 / /proc rw - proc proc rw
30 22 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
31 22 0:27 / /sys/fs/cgroup/unified rw shared:10 master:2 - cgroup2 cgroup2 rw
`
	for _, tc := range []struct{ cgroup, mounts, want string }{
		{"4:memory:/a\n0::/\n", mounts, "/sys/fs/cgroup/unified"},
		{"0::/user.slice/a b\n", mounts, "/sys/fs/cgroup/unified/user.slice/a b"},
		{"0::/docker/abc\n", "1 2 0:3 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "/sys/fs/cgroup"},
		{"0::/docker/abc/d\n", "1 2 0:3 /docker/abc /sys/fs/cg\\040roup ro - cgroup2 cgroup rw\n", "/sys/fs/cg roup/d"},
		{"0::/docker/abcd\n", "1 2 0:3 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n", ""},
		{"0::/../b\n", mounts, ""},
		{"4:memory:/a\n", mounts, ""},
		{"0::/\n", "", ""},
		{"0::/\n", "garbage\n - cgroup2\n1 - cgroup2 x\n", ""},
		{"", "", ""},
	} {
		got, err := own(tc.cgroup, tc.mounts)
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("own(%q) = %q, %v, want %q", tc.cgroup, got, err, tc.want)
		}
	}
}

func TestLimitsAreWritten(t *testing.T) {
	dir := kernel(t, nil)
	g, err := tree(t, dir, Memory, CPU, Pids).New("a-1", Limits{Memory: 256 << 20, CPU: 500})
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "funcatron-x-a-1")
	for file, want := range map[string]string{"memory.max": "268435456", "memory.swap.max": "0x", "memory.oom.group": "1", "cpu.max": "50000 100000", "pids.max": "max"} {
		got := read(t, filepath.Join(at, file))
		if want == "0x" {
			want = "0ax" // a file, unlike the kernel, keeps what was longer
		}
		if got != want {
			t.Errorf("%s holds %q, want %q", file, got, want)
		}
	}
	if g.PidsFile() != filepath.Join(at, "pids.max") {
		t.Errorf("PidsFile() = %q", g.PidsFile())
	}
	if g.FD() < 3 {
		t.Errorf("FD() = %d", g.FD())
	}
	if g.OutOfMemory() {
		t.Error("out of memory from the start")
	}
	fill(t, at, map[string]string{"memory.events": "oom 3\noom_kill 2\noom_group_kill 1\n"})
	if !g.OutOfMemory() {
		t.Error("a kill for memory is not seen")
	}
	if err := g.Kill(); err != nil || read(t, filepath.Join(at, "cgroup.kill")) != "1" {
		t.Errorf("Kill = %v", err)
	}
	if err := os.Mkdir(filepath.Join(at, "below"), 0o700); err != nil { // by who was in it
		t.Fatal(err)
	}
	for range 2 {
		if err := g.Remove(); err != nil {
			t.Errorf("Remove = %v", err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// What there is no controller for is not written, and what cannot be written is no
// group.
func TestLimitsWithoutControllers(t *testing.T) {
	dir := kernel(t, nil)
	tr := tree(t, dir)
	g, err := tr.New("a", Limits{Memory: 1 << 30, CPU: 100})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(dir, "funcatron-x-a", "memory.max")); got != "max" || g.PidsFile() != "" {
		t.Errorf("memory.max holds %q, PidsFile() = %q", got, g.PidsFile())
	}
	if _, err := tr.New("a", Limits{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second of that name: %v", err)
	}
	tr = tree(t, dir, Memory)
	plain := tr.mkdir
	tr.mkdir = func(path string) error { return errors.Join(plain(path), os.Remove(filepath.Join(path, "memory.max"))) }
	if _, err := tr.New("b", Limits{Memory: 1 << 30}); err == nil {
		t.Error("a group without its limit")
	}
	if _, err := os.Stat(filepath.Join(dir, "funcatron-x-b")); err == nil {
		t.Error("half a group is left")
	}
}

// What an earlier life left is killed and removed, and nothing else.
func TestCleanSparesOthers(t *testing.T) {
	dir := kernel(t, map[string]string{"funcatron-x-file": ""})
	tr := tree(t, dir)
	for _, name := range []string{"funcatron-x-1", "funcatron-x-2", "funcatron-x-self", "funcatron-y-1", "session.scope"} {
		if err := tr.mkdir(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	tr.leaf = filepath.Join(dir, "funcatron-x-self")
	if n, err := tr.Clean(); n != 2 || err != nil {
		t.Errorf("Clean = %d, %v, want 2", n, err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	for i := range left {
		left[i] = filepath.Base(left[i])
	}
	if want := []string{"funcatron-x-file", "funcatron-x-self", "funcatron-y-1", "session.scope"}; !slices.Equal(left, want) || err != nil {
		t.Errorf("left: %v, %v, want %v", left, err, want)
	}
}

// Of other Runners, who may live, only what has long been empty goes.
func TestCleanRemovesLost(t *testing.T) {
	dir := kernel(t, nil)
	tr := tree(t, dir)
	tr.family = "funcatron-"
	long := time.Now().Add(-2 * lostAge)
	for name, events := range map[string]string{
		"funcatron-y-lost": "populated 0\nfrozen 0\n", "funcatron-y-busy": "populated 1\nfrozen 0\n", "funcatron-y-new": "populated 0\nfrozen 0\n",
		"funcatron-y-odd": "", "session.scope": "populated 0\n",
	} {
		path := filepath.Join(dir, name)
		if err := tr.mkdir(path); err != nil {
			t.Fatal(err)
		}
		fill(t, path, map[string]string{"cgroup.events": events})
		if name != "funcatron-y-new" {
			if err := os.Chtimes(path, long, long); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, err := tr.Clean(); n != 0 || err != nil {
		t.Errorf("Clean = %d, %v", n, err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	for i := range left {
		left[i] = filepath.Base(left[i])
	}
	if want := []string{"funcatron-y-busy", "funcatron-y-new", "funcatron-y-odd", "session.scope"}; !slices.Equal(left, want) || err != nil {
		t.Errorf("left: %v, %v, want %v", left, err, want)
	}
}

// The Runner makes room: it leaves the group whose children are to have
// controllers, where it is alone there, and comes back at the end.
func TestMoveDown(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	dir := kernel(t, map[string]string{"cgroup.controllers": "cpu io memory pids", "cgroup.subtree_control": "", "cgroup.type": "domain", "cgroup.procs": self})
	tr := tree(t, dir)
	if !tr.alone() {
		t.Error("not alone")
	}
	if got := enable(dir); len(got) > 0 {
		t.Errorf("%v enabled above processes", got)
	}
	if err := tr.moveDown(); err != nil {
		t.Fatal(err)
	}
	fill(t, dir, map[string]string{"cgroup.procs": ""})
	if got := read(t, filepath.Join(dir, "funcatron-x-self", "cgroup.procs")); got != self {
		t.Errorf("the leaf holds %q", got)
	}
	if tr.enabled = enable(dir); !slices.Equal(tr.enabled, []string{Memory, CPU, Pids}) {
		t.Errorf("enabled %v", tr.enabled)
	}
	if got := read(t, filepath.Join(dir, subtree)); !strings.HasPrefix(got, "+pids") {
		t.Errorf("the last word was %q", got)
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	if got := read(t, filepath.Join(dir, "cgroup.procs")); got != self {
		t.Errorf("it did not come back: %q", got)
	}
	if got := read(t, filepath.Join(dir, subtree)); !strings.HasPrefix(got, "-pids") {
		t.Errorf("the last word was %q", got)
	}

	fill(t, dir, map[string]string{"cgroup.procs": self + "\n1\n"})
	if tree(t, dir).alone() {
		t.Error("alone among others")
	}
	if err := os.Remove(filepath.Join(dir, "cgroup.type")); err != nil {
		t.Fatal(err)
	}
	fill(t, dir, map[string]string{"cgroup.procs": self})
	if tree(t, dir).alone() {
		t.Error("alone in the root of all")
	}
}

// A parent that is given has to be a control group.
func TestOpenGiven(t *testing.T) {
	dir := kernel(t, nil)
	if _, err := Open(Options{Parent: dir, Name: "funcatron-x-"}); err == nil || !strings.Contains(err.Error(), "no control group") {
		t.Errorf("Open = %v", err)
	}
	if _, err := Open(Options{Parent: filepath.Join(dir, "a"), Name: "funcatron-x-"}); err == nil {
		t.Error("a plain folder is taken")
	}
	if _, err := Open(Options{Parent: filepath.Join(dir, "a", "b"), Name: "funcatron-x-"}); err == nil {
		t.Error("a folder in nowhere is taken")
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
