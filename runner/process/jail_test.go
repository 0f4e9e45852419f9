package process

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/funcatron/funcatron/runner/cgroup"
	"github.com/funcatron/funcatron/runner/sandbox"
)

// run runs a program to its end and returns its lines.
func run(t *testing.T, j sandbox.Jail, path string, args ...string) ([]string, *Process) {
	t.Helper()
	var out lines
	p, err := Start(Spec{Path: path, Args: append([]string{path}, args...), Dir: "/", Env: []string{"PATH=/usr/bin:/bin"}, Jail: j, Output: out.add})
	if err != nil {
		t.Fatal(err)
	}
	done(t, p)
	return out.all(), p
}

// Even a file that is open for all children is not the function's.
func TestNoFilesAreInherited(t *testing.T) {
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
	got, _ := run(t, sandbox.Jail{}, "/bin/ls", "/proc/self/fd")
	if want := []string{"0", "1", "2", "3"}; !slices.Equal(got, want) { // 3 is what ls reads
		t.Errorf("open files %q, want %q; %d was left open", got, want, f.Fd())
	}
}

// Nothing is left of the program's beginnings as another one.
func TestBecomesTheProgram(t *testing.T) {
	got, p := run(t, sandbox.Jail{}, "/bin/sh", "-c", `echo "$0" "$@"; cat /proc/$$/cmdline | tr '\0' ' '; echo; umask; ulimit -c; exit 7`, "zero", "", "a b")
	want := []string{"zero  a b", "0077", "0"}
	if len(got) != 4 || got[0] != want[0] || !strings.HasPrefix(got[1], "/bin/sh -c ") || got[2] != want[1] || got[3] != want[2] {
		t.Errorf("lines %q", got)
	}
	if p.Exit() != "exit status 7" {
		t.Errorf("Exit() = %q", p.Exit())
	}
}

func TestLimitsAreSet(t *testing.T) {
	got, p := run(t, sandbox.Jail{Memory: 64 << 20, Files: 50}, "/bin/cat", "/proc/self/limits")
	text := strings.Join(got, "\n")
	for _, want := range []string{`Max data size +67108864 +67108864 `, `Max open files +50 +50 `, `Max core file size +0 +0 `} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("limits lack %q:\n%s", want, text)
		}
	}
	if p.Exit() != "exit status 0" {
		t.Errorf("Exit() = %q", p.Exit())
	}
	if _, p := run(t, sandbox.Jail{Memory: 64 << 20}, "/bin/sh", "-c", "exit 2"); p.Exit() != "exit status 2, with memory limited to 64Mi" {
		t.Errorf("Exit() = %q", p.Exit())
	}
}

// A jail that cannot be had is no process; the error says which part of it.
func TestJailFails(t *testing.T) {
	for want, s := range map[string]Spec{
		"/no/such/program":   {Path: "/no/such/program", Args: []string{"x"}},
		"permission denied":  {Path: "/etc/passwd", Args: []string{"x"}},
		"limit processes":    {Path: "/bin/true", Args: []string{"x"}, Jail: sandbox.Jail{PidsFile: "/no/such/file", Pids: 1}},
		"no such file":       {Path: "/bin/true", Args: []string{"x"}, Dir: "/no/such/folder"},
		"become user 300000": {Path: "/bin/true", Args: []string{"x"}, Jail: sandbox.Jail{User: 300000}},
	} {
		if s.Jail.User != 0 && os.Geteuid() == 0 {
			continue // root can
		}
		if s.Jail.User != 0 {
			want = "leave all groups"
		}
		_, err := Start(s)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Start = %v, want an error with %q", err, want)
		}
	}
	if err := Try(Spec{}); err != nil {
		t.Errorf("Try of nothing in particular = %v", err)
	}
	if err := Try(Spec{Jail: sandbox.Jail{PidsFile: "/no/such/file"}}); err == nil || !strings.Contains(err.Error(), "limit processes") {
		t.Errorf("Try = %v", err)
	}
}

// What got away from group, session and mark does not get away from its control
// group, and of that nothing is left. Where this machine lets us make none there is
// nothing to see.
func TestGroupIsTheEnd(t *testing.T) {
	tree, err := cgroup.Open(cgroup.Options{Name: "funcatron-test-" + strconv.Itoa(os.Getpid()) + "-"})
	if err != nil {
		if !strings.Contains(err.Error(), "control group") {
			t.Errorf("Open = %v", err)
		}
		t.Logf("no control groups here: %v", err)
		return
	}
	defer func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	}()
	g, err := tree.New("a", cgroup.Limits{Memory: 64 << 20, CPU: 500})
	if err != nil {
		t.Fatal(err)
	}
	if err := Try(Spec{Group: g}); err != nil {
		t.Logf("processes cannot be started in control groups here: %v", err)
		return
	}
	if g, err = tree.New("a", cgroup.Limits{Memory: 64 << 20, CPU: 500}); err != nil { // the first is gone by now
		t.Fatal(err)
	}
	var out lines
	j := sandbox.Jail{PidsFile: g.PidsFile(), Pids: 20}
	p, err := Start(Spec{Path: "/bin/sh", Args: []string{"sh", "-c", `setsid sleep 1000 >/dev/null 2>&1 & echo child $!; cat /proc/self/cgroup`}, Jail: j, Group: g, Output: out.add})
	if err != nil {
		t.Fatal(err)
	}
	done(t, p)
	pid := out.number(t, "child")
	eventually(t, "end of the grandchild", func() bool { return !alive(pid) })
	if text := strings.Join(out.all(), "\n"); !strings.Contains(text, "funcatron-test-") {
		t.Errorf("it was in no group of ours:\n%s", text)
	}
	if n, err := tree.Clean(); n != 0 || err != nil {
		t.Errorf("%d groups are left, %v", n, err)
	}

	if !tree.Has(cgroup.Memory) {
		return
	}
	if g, err = tree.New("b", cgroup.Limits{Memory: 32 << 20}); err != nil {
		t.Fatal(err)
	}
	p, err = Start(Spec{Path: "/bin/sh", Args: []string{"sh", "-c", `x=0123456789abcdef; while :; do x=$x$x; done`}, Group: g, Output: out.add})
	if err != nil {
		t.Fatal(err)
	}
	done(t, p)
	if !p.OutOfMemory() || p.Exit() != "signal: killed, out of memory" {
		t.Errorf("out of memory %t, Exit() = %q", p.OutOfMemory(), p.Exit())
	}
}
