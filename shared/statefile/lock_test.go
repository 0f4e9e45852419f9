package statefile_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/funcatron/funcatron/shared/statefile"
)

func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	f, err := statefile.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := statefile.Lock(dir); !errors.Is(err, statefile.ErrInUse) {
		t.Errorf("a second lock: %v, want ErrInUse", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := statefile.Lock(dir)
	if err != nil {
		t.Fatalf("after the first was given up: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
