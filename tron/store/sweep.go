package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/funcatron/funcatron/shared/bundle"
)

// sweep puts the folder right after a process that was killed: uploads that never
// ended go, and a bundle whose file is whole but whose record was not written any
// more (or was lost with an older database) is recorded. A record without a file
// stays, since its deployments may be running from the runners' caches; it is
// warned of here, and by ErrDamaged where it is asked for.
func (s *Store) sweep() error {
	left, err := os.ReadDir(s.incoming())
	if err != nil {
		return fmt.Errorf("clear uploads: %w", err)
	}
	for _, e := range left {
		if err := os.RemoveAll(filepath.Join(s.incoming(), e.Name())); err != nil {
			return fmt.Errorf("clear uploads: %w", err)
		}
	}

	records, err := s.Bundles()
	if err != nil {
		return err
	}
	recorded := make(map[string]bool, len(records))
	for _, b := range records {
		recorded[b.Sha] = true
		if s.Missing(b.Sha) {
			s.log.Warn("bundle file is missing; upload the bundle again", "sha", b.Sha, "path", b.Place())
		}
	}
	files, err := os.ReadDir(s.bundles())
	if err != nil {
		return fmt.Errorf("look through bundles: %w", err)
	}
	for _, e := range files {
		sha, ok := strings.CutSuffix(e.Name(), ".zip")
		if !ok || !IsSha(sha) || recorded[sha] {
			continue // what is not named like a bundle is not ours to judge
		}
		if err := s.claim(filepath.Join(s.bundles(), e.Name()), sha); err != nil {
			return err
		}
	}
	return nil
}

// claim records the bundle in a file that has no record, or removes the file.
func (s *Store) claim(path, sha string) error {
	b, err := bundle.Open(path)
	if err == nil && b.Sha != sha {
		err = &bundle.Error{Problems: []string{"its digest is " + b.Sha}}
	}
	var refused *bundle.Error
	if errors.As(err, &refused) {
		s.log.Warn("removing a file without a record that is no bundle", "file", path, "err", err)
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("clear bundles: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at bundle: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("look at bundle: %w", err)
	}
	s.log.Info("recording a bundle whose upload was cut short after its last byte", "sha", sha)
	return s.record(RecordOf(b, info.ModTime().UTC(), slices.Concat(b.Document.Warnings, b.Warnings)), b.Document.JSON)
}
