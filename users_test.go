package main

import (
	"os"
	"path/filepath"
	"testing"
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
