package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/runner/sandbox"
)

// Functions run as users of their own where the tests run as root: what they are to
// use has to be open to them.

// openDir is a temporary folder that everybody may write to.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// openFile is an empty temporary file that everybody may write to.
func openFile(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(openDir(t), name)
	err := os.WriteFile(path, nil, 0o600)
	if err == nil {
		err = os.Chmod(path, 0o666) // whatever the umask
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// linkProgram makes this program one that everybody may execute, by that path.
func linkProgram(path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if os.Link(self, path) == nil {
		return os.Chmod(path, 0o755)
	}
	content, err := os.ReadFile(self) // it is on another file system
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o755)
}

// A process that is to become a function goes to its sandbox before packages begin
// that take time to, or write to what is its output.
func TestNothingRunsBeforeTheSandbox(t *testing.T) {
	cmd := exec.Cmd{
		Path: sandbox.Self, Args: sandbox.Jail{}.Args(os.Getpid(), "/bin/echo", []string{"echo", "became"}),
		Env: []string{"GODEBUG=inittrace=1"},
	}
	var out, trace strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &trace
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.ExtraFiles = []*os.File{w}
	runtime.LockOSThread() // it dies with the thread that starts it
	defer runtime.UnlockOSThread()
	if err := errors.Join(cmd.Run(), w.Close()); err != nil || out.String() != "became\n" {
		t.Fatalf("%v, %q, %q", err, out.String(), trace.String())
	}
	if !strings.Contains(trace.String(), "init os ") {
		t.Fatalf("no trace: %q", trace.String())
	}
	for line := range strings.Lines(trace.String()) {
		name, ok := strings.CutPrefix(line, "init ")
		if !ok || strings.Contains(name, "VictoriaMetrics") || strings.Contains(name, "fasthttp") || strings.Contains(name, "net/http") {
			t.Errorf("before the sandbox: %s", line)
		}
	}
}
