package sandbox

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseRange(t *testing.T) {
	if first, last, err := ParseRange("200000-265535"); first != 200000 || last != 265535 || err != nil {
		t.Errorf("%d, %d, %v", first, last, err)
	}
	for _, text := range []string{"", "-", "1000", "2000-1000", "1000-1000", "999-2000", "0-65535", "a-b", "1000-2000-3000", "1000-99999999999", "1000-4294967295", "-5-2000", "1000 - 2000"} {
		if first, last, err := ParseRange(text); err == nil {
			t.Errorf("ParseRange(%q) = %d, %d", text, first, last)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("200000-265535")
	f.Add("1-")
	f.Fuzz(func(t *testing.T, text string) {
		if first, last, err := ParseRange(text); err == nil && (first < MinUser || last <= first || uint64(last) >= 1<<32-1) {
			t.Errorf("ParseRange(%q) = %d, %d", text, first, last)
		}
	})
}

// Nobody gets a user that another has, in this process or elsewhere on the machine.
func TestUsers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "locks")
	open := func() *Users {
		u, err := OpenUsers(3000000, 3000003, dir) // three, and nobody's
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	here, there := open(), open() // two Runners: flock counts opens, not processes
	seen := map[int]bool{}
	var last *User
	for i, u := range []*Users{here, there, here} {
		user, err := u.Take("a deployment")
		if err != nil {
			t.Fatal(err)
		}
		if seen[user.ID] || !u.Contains(user.ID) {
			t.Errorf("user %d: %d, after %v", i, user.ID, seen)
		}
		seen[user.ID] = true
		last = user
	}
	if user, err := there.Take("another"); err == nil {
		t.Errorf("a fourth of three: %d", user.ID)
	} else if !strings.Contains(err.Error(), "--function-uids") {
		t.Errorf("%v does not say what would help", err)
	}
	if _, err := there.TakeID(last.ID); err == nil {
		t.Error("one that another has")
	}
	if killed, err := last.Release(); killed != 0 || err != nil {
		t.Errorf("Release = %d, %v", killed, err)
	}
	again, err := there.Take("a deployment")
	if err != nil || again.ID != last.ID {
		t.Errorf("after its release: %+v, %v, want %d", again, err, last.ID)
	}
	for _, id := range []int{0, 2999999, 3000000, 3000004} {
		if _, err := here.TakeID(id); err == nil {
			t.Errorf("user %d is not ours to give", id)
		}
	}
}

func TestOwnFolder(t *testing.T) {
	parent := t.TempDir()
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	dir := filepath.Join(parent, "a")
	for range 2 {
		if err := OwnFolder(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Symlink(dir, filepath.Join(parent, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(parent, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(parent, "open"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(parent, "open"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "file", "open", "no/where"} {
		if err := OwnFolder(filepath.Join(parent, name), 0o700); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := OpenUsers(3000000, 3000003, filepath.Join(parent, "open"), filepath.Join(parent, "b")); err != nil {
		t.Errorf("the second folder is not tried: %v", err)
	}
}

// A user's processes end with it, whatever they made themselves, also while they
// fork; one that has some is not given away.
func TestReleaseKillsAll(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	users, err := OpenUsers(3100000, 3100002, filepath.Join(t.TempDir(), "locks"))
	if err != nil {
		t.Fatal(err)
	}
	user, err := users.Take("a")
	if err != nil {
		t.Fatal(err)
	}
	// A stranger of another user, and of nobody's, has to stay.
	stranger := exec.Command("/bin/sleep", "1000")
	stranger.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 3100005, Gid: 3100005}}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("a stranger was killed: %v", err)
		}
		_ = stranger.Process.Kill()
		_ = stranger.Wait()
	}()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// It goes on forking, each in a session of its own, for as long as it lives.
	cmd := exec.Cmd{
		Path: Self, Stdout: w, Dir: "/", Env: []string{"PATH=/usr/bin:/bin"}, ExtraFiles: []*os.File{w},
		Args: Jail{User: user.ID, Processes: 60}.Args(os.Getpid(), "/bin/sh",
			[]string{"sh", "-c", `trap '' TERM; while :; do setsid sleep 5 & echo x; wait %1; done & wait; sleep 1000`}),
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	other, err := OpenUsers(3100000, 3100002, filepath.Join(t.TempDir(), "locks")) // who locks elsewhere still sees the processes
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := other.Take("a"); err == nil && got.ID == user.ID {
			t.Error("a user with processes was given away")
		}
	}
	reaped := make(chan struct{})
	go func() { _ = cmd.Wait(); close(reaped) }()
	killed, err := user.Release()
	if err != nil || killed < 2 {
		t.Errorf("Release = %d, %v", killed, err)
	}
	select {
	case <-reaped:
	case <-time.After(20 * time.Second):
		t.Fatal("it lives")
	}
	if left, err := running(user.ID); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// The killer refuses to be anything but what it is for.
func TestKillAllRefuses(t *testing.T) {
	for _, tc := range [][2]int{{0, 200000}, {200000, 0}, {999, 200000}, {-1, 200000}} {
		if err := killAll(strconv.Itoa(tc[0]), strconv.Itoa(tc[1])); err == nil || !strings.Contains(err.Error(), "BUG") {
			t.Errorf("killAll%v = %v", tc, err)
		}
	}
}
