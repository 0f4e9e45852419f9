package made

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func open(t *testing.T, dir string, most int) *Store {
	t.Helper()
	s, err := Open(dir, 0o711, most)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// get makes key where it is not there, with its own name as content.
func get(t *testing.T, s *Store, key string) (dir string, made bool) {
	t.Helper()
	dir, release, err := s.Get(t.Context(), key, func(dir string) error {
		made = true
		return os.WriteFile(filepath.Join(dir, "it"), []byte(key), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	release()
	if text, err := os.ReadFile(filepath.Join(dir, "it")); err != nil || string(text) != key {
		t.Fatalf("%s holds %q, %v", dir, text, err)
	}
	return dir, made
}

func TestMadeOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 10)
	first, made := get(t, s, "jvm-a-b")
	if !made || !strings.HasPrefix(filepath.Base(first), "jvm-a-b-") || len(filepath.Base(first)) != len("jvm-a-b-")+32 {
		t.Errorf("made %v at %s", made, first)
	}
	if again, made := get(t, s, "jvm-a-b"); made || again != first {
		t.Errorf("made %v at %s, was %s", made, again, first)
	}
	if other, made := get(t, s, "jvm-a"); !made || other == first {
		t.Errorf("another key: made %v at %s", made, other)
	}
	if again, made := get(t, open(t, dir, 10), "jvm-a-b"); made || again != first {
		t.Errorf("after a restart: made %v at %s, was %s", made, again, first)
	}
}

func TestFailureLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 10)
	want := errors.New("no network")
	_, _, err := s.Get(t.Context(), "k", func(dir string) error {
		return errors.Join(os.WriteFile(filepath.Join(dir, "half"), nil, 0o600), want)
	})
	if !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	if _, made := get(t, s, "k"); !made {
		t.Error("it is not tried again")
	}
}

// What a killed Runner left half made is gone at the next start, and what is
// complete stays.
func TestOpenCleans(t *testing.T) {
	dir := t.TempDir()
	kept, _ := get(t, open(t, dir, 10), "whole")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "half-00"), 0o700), os.WriteFile(filepath.Join(dir, "half-00", "x"), nil, 0o600),
		os.WriteFile(filepath.Join(dir, "mark-00.ok"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	open(t, dir, 10)
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 || left[0].Name() != filepath.Base(kept) {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestOneMakeAtATime(t *testing.T) {
	s := open(t, t.TempDir(), 10)
	var makes atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, release, err := s.Get(t.Context(), "k", func(string) error { makes.Add(1); return nil })
			if err != nil {
				t.Error(err)
				return
			}
			release()
		})
	}
	wg.Wait()
	if n := makes.Load(); n != 1 {
		t.Errorf("made %d times", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err := s.Get(t.Context(), "slow", func(string) error {
		cancel()
		_, _, err := s.Get(ctx, "slow", func(string) error { return nil })
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("who waits for a slow one got %v", err)
	}
}

func TestEvict(t *testing.T) {
	s := open(t, t.TempDir(), 1)
	used, release, err := s.Get(t.Context(), "used", func(string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	first, _ := get(t, s, "first")
	second, _ := get(t, s, "second")
	third, _ := get(t, s, "third") // is used while it is made: then first and second are too many by one
	for dir, want := range map[string]bool{used: true, first: false, second: true, third: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %v", keyOf(dir), err == nil)
		}
	}
	release()
}
