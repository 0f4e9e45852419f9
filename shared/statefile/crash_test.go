package statefile_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/funcatron/funcatron/shared/statefile"
)

// The tests here need a process that can be broken: this binary, run again with
// childVar set to the child's part and pathVar to the file.
const (
	childVar = "STATEFILE_TEST_CHILD"
	pathVar  = "STATEFILE_TEST_PATH"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childVar) {
	case "full":
		os.Exit(writeOnFullDisk(os.Getenv(pathVar)))
	case "loop":
		os.Exit(writeForEver(os.Getenv(pathVar)))
	}
	os.Exit(m.Run())
}

func child(t *testing.T, part, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childVar+"="+part, pathVar+"="+path)
	return cmd
}

// A disk that takes no more leaves the old file, and no temporary one.
func TestWriteWithoutRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := statefile.Write(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := child(t, "full", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := read(t, path); got != "old" {
		t.Errorf("the file holds %d bytes", len(got))
	}
	onlyFile(t, path)
}

// writeOnFullDisk sets a bound on what files of this process can hold, which the
// kernel enforces where it also finds that a disk is full: in the middle of write.
func writeOnFullDisk(path string) int {
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 4096, Max: 4096}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fmt.Println("set limit:", err)
		return 1
	}
	err := statefile.Write(path, make([]byte, 1<<20), 0o600)
	if !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), path) {
		fmt.Println("Write:", err)
		return 1
	}
	return 0
}

// A process killed in the middle leaves a whole content, and what Clean removes.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	for range 10 {
		cmd := child(t, "loop", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n') // after its first write it is always in the middle of one
		if err != nil || line != "written\n" {
			t.Errorf("child says %q, %v", line, err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // says that it was killed
		got := read(t, path)
		if len(got) != contentSize || strings.Count(got, got[:1]) != contentSize {
			t.Fatalf("%d bytes that nobody wrote whole", len(got))
		}
	}
	if err := statefile.Clean(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	onlyFile(t, path)
}

const contentSize = 1 << 20

func writeForEver(path string) int {
	for i := 0; ; i++ {
		content := bytes.Repeat([]byte{'a' + byte(i%26)}, contentSize)
		if err := statefile.Write(path, content, 0o600); err != nil {
			fmt.Println(err)
			return 1
		}
		if i == 0 {
			fmt.Println("written")
		}
	}
}
