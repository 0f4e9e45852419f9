// Package made keeps what a Runner makes of a Func Bundle once: an environment with
// its packages, an archive of its classes.
//
// A thing that Get returned is complete, and nobody changes it any more but who
// may: it was made in a folder whose name nobody knew and is marked when it was.
// What was left half made is removed at the next start. While somebody uses a thing
// it stays; of the others the least recently used go when there are too many.
//
// The folder's own name is what keeps others out: functions may pass through the
// folder above and cannot list it, and only those that are told the name get in.
package made

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/funcatron/funcatron/runner/turns"
)

// Store is a folder of made things. Its methods may be called from any number of
// goroutines.
type Store struct {
	dir   string
	most  int
	turns turns.Turns // to look at, and make, the folder of a key
}

// okSuffix is the mark of a complete thing.
const okSuffix = ".ok"

// Open opens the store in dir, made with mode, of at most most things that nobody
// uses, and removes what is not complete. No other Store may have dir.
func Open(dir string, mode fs.FileMode, most int) (*Store, error) {
	if err := os.MkdirAll(dir, mode); err != nil {
		return nil, fmt.Errorf("open folder of made things: %w", err)
	}
	if err := os.Chmod(dir, mode); err != nil {
		return nil, fmt.Errorf("open folder of made things: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder of made things: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, strings.TrimSuffix(e.Name(), okSuffix))
		_, folder := os.Stat(path)
		_, mark := os.Stat(path + okSuffix)
		if folder != nil || mark != nil {
			if err := errors.Join(os.Remove(path+okSuffix), os.RemoveAll(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("clean folder of made things: %w", err)
			}
		}
	}
	return &Store{dir: dir, most: most}, nil
}

// Dir is the folder of all.
func (s *Store) Dir() string { return s.dir }

// Get gives the folder of what key names, which has no dash at its end and no
// slash. Where it is not there, make fills a new folder. It stays until release is
// called. One make of a thing runs at a time; who else wants it waits.
func (s *Store) Get(ctx context.Context, key string, make func(dir string) error) (dir string, release func(), err error) {
	done, release, err := s.turns.Take(ctx, key)
	if err != nil {
		return "", nil, err
	}
	defer done()
	dir = s.find(key)
	if dir == "" {
		dir, err = s.make(key, make)
	}
	if err != nil {
		release()
		return "", nil, err
	}
	now := time.Now()
	_ = os.Chtimes(dir+okSuffix, now, now) // what is least recently used is a matter of taste, no error
	s.evict()
	return dir, release, nil
}

// find gives the folder of what is there already, or "".
func (s *Store) find(key string) string {
	for _, dir := range s.complete() {
		if keyOf(dir) == key {
			return dir
		}
	}
	return ""
}

// complete are the folders of all complete things.
func (s *Store) complete() []string {
	marks, _ := filepath.Glob(filepath.Join(s.dir, "*"+okSuffix)) // the pattern is good
	for i := range marks {
		marks[i] = strings.TrimSuffix(marks[i], okSuffix)
	}
	return marks
}

// keyOf is the key of a folder, whose name ends in a dash and what nobody knows.
func keyOf(dir string) string {
	name := filepath.Base(dir)
	return name[:max(strings.LastIndexByte(name, '-'), 0)]
}

func (s *Store) make(key string, fill func(dir string) error) (dir string, err error) {
	var secret [16]byte
	_, _ = rand.Read(secret[:]) // never fails
	dir = filepath.Join(s.dir, key+"-"+hex.EncodeToString(secret[:]))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	err = fill(dir)
	if err == nil {
		err = os.WriteFile(dir+okSuffix, nil, 0o600)
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// evict removes the things used least recently, as many as are too many.
func (s *Store) evict() {
	type unused struct {
		dir  string
		last time.Time
	}
	s.turns.Hold(func(used func(string) bool) {
		var all []unused
		for _, dir := range s.complete() {
			info, err := os.Stat(dir + okSuffix)
			if err == nil && !used(keyOf(dir)) {
				all = append(all, unused{dir, info.ModTime()})
			}
		}
		slices.SortFunc(all, func(a, b unused) int { return cmp.Or(a.last.Compare(b.last), cmp.Compare(a.dir, b.dir)) })
		for _, u := range all[:max(len(all)-s.most, 0)] {
			_ = os.Remove(u.dir + okSuffix) // then what cannot be removed goes at the next start
			_ = os.RemoveAll(u.dir)
		}
	})
}
