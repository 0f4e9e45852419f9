package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/funcatron/funcatron/shared/bundle"
	"github.com/funcatron/funcatron/shared/statefile"
	"github.com/funcatron/funcatron/shared/wire"
)

// Bundle is the record of an accepted bundle.
type Bundle struct {
	Sha      string    `json:"sha"`
	Type     string    `json:"type"`
	Size     int64     `json:"size"` // bytes
	Git      string    `json:"git,omitempty"`
	Title    string    `json:"title,omitempty"`
	Version  string    `json:"version,omitempty"` // of the document's info
	Host     string    `json:"host,omitempty"`
	BasePath string    `json:"base-path"`
	DocName  string    `json:"document"`
	Uploaded time.Time `json:"uploaded"`
	Warnings []string  `json:"warnings,omitempty"`
}

// Place is where the bundle asks to be served.
func (b *Bundle) Place() Place { return Place{Host: b.Host, BasePath: b.BasePath} }

// IsSha tells whether s is a bundle's identity: 64 lowercase hex digits.
func IsSha(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// RecordOf is the record of a bundle that was just read.
func RecordOf(b *bundle.Bundle, uploaded time.Time, warnings []string) Bundle {
	return Bundle{
		Sha: b.Sha, Type: b.Type, Size: b.Size, Git: b.GitSha, DocName: b.DocName,
		Title: b.Document.Title, Version: b.Document.Version,
		Host: b.Document.Host, BasePath: b.Document.BasePath,
		Uploaded: uploaded, Warnings: warnings,
	}
}

// Receive writes what comes from r to a file of the store's that is not a bundle
// yet. Its path goes to Adopt, or to Discard. An error of r's is returned as it is.
func (s *Store) Receive(r io.Reader) (path string, err error) {
	path = filepath.Join(s.incoming(), wire.NewID()+".zip")
	p, err := statefile.Create(path, 0o600)
	if err != nil {
		return "", fmt.Errorf("receive bundle: %w", roomOf(err))
	}
	defer p.Abort()
	if _, err := io.Copy(p, r); err != nil {
		return "", roomOf(err)
	}
	if err := p.Commit(); err != nil {
		return "", fmt.Errorf("receive bundle: %w", roomOf(err))
	}
	return path, nil
}

// Discard removes a file that Receive made.
func (s *Store) Discard(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("discard upload: %w", err)
	}
	return nil
}

// Adopt makes the file that Receive wrote the bundle b, whose Swagger document is
// doc. A bundle that is there already is replaced by the same bytes, which mends
// a damaged file; its record stays as it was. On an error the bundle is as known
// as it was before, and a file that has no record takes no room.
func (s *Store) Adopt(path string, b Bundle, doc json.RawMessage) error {
	s.adopting.Lock()
	defer s.adopting.Unlock()
	if err := os.Rename(path, s.file(b.Sha)); err != nil {
		return fmt.Errorf("keep bundle: %w", roomOf(err))
	}
	if err := syncDir(s.bundles()); err != nil {
		return errors.Join(fmt.Errorf("keep bundle: %w", roomOf(err)), s.forsake(b.Sha))
	}
	s.mu.Lock()
	delete(s.checked, b.Sha)
	s.mu.Unlock()
	if err := s.record(b, doc); err != nil {
		return errors.Join(err, s.forsake(b.Sha))
	}
	return nil
}

// forsake removes a bundle's file, unless there is a record of it.
func (s *Store) forsake(sha string) error {
	if _, err := s.Bundle(sha); !errors.Is(err, ErrNotFound) {
		return nil // it was there before, or is there after all
	}
	return s.Discard(s.file(sha))
}

func (s *Store) record(b Bundle, doc json.RawMessage) error {
	if _, err := s.Bundle(b.Sha); err == nil {
		return nil
	}
	v, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("encode record of bundle %s: %w", b.Sha, err)
	}
	err = s.update(func(tx *bolt.Tx) error {
		if tx.Bucket(bundleBucket).Get([]byte(b.Sha)) != nil {
			return nil
		}
		if err := tx.Bucket(documentBucket).Put([]byte(b.Sha), doc); err != nil {
			return err
		}
		return tx.Bucket(bundleBucket).Put([]byte(b.Sha), v)
	})
	if err != nil {
		return fmt.Errorf("record bundle %s: %w", b.Sha, err)
	}
	return nil
}

// Bundle is the record of one bundle, or ErrNotFound.
func (s *Store) Bundle(sha string) (Bundle, error) {
	var b Bundle
	err := s.db.View(func(tx *bolt.Tx) error {
		v := tx.Bucket(bundleBucket).Get([]byte(sha))
		if v == nil {
			return ErrNotFound
		}
		return json.Unmarshal(v, &b)
	})
	if err != nil {
		return Bundle{}, fmt.Errorf("bundle %s: %w", sha, err)
	}
	return b, nil
}

// Bundles are the records of all bundles, the latest upload first.
func (s *Store) Bundles() ([]Bundle, error) {
	var all []Bundle
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bundleBucket).ForEach(func(k, v []byte) error {
			var b Bundle
			if err := json.Unmarshal(v, &b); err != nil {
				return fmt.Errorf("decode %s: %w", k, err)
			}
			all = append(all, b)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read bundles: %w", err)
	}
	slices.SortStableFunc(all, func(a, b Bundle) int {
		if c := b.Uploaded.Compare(a.Uploaded); c != 0 {
			return c
		}
		return strings.Compare(a.Sha, b.Sha)
	})
	return all, nil
}

// Document is a bundle's Swagger document, or ErrNotFound.
func (s *Store) Document(sha string) (json.RawMessage, error) {
	var doc json.RawMessage
	err := s.db.View(func(tx *bolt.Tx) error {
		v := tx.Bucket(documentBucket).Get([]byte(sha))
		if v == nil {
			return ErrNotFound
		}
		doc = slices.Clone(v) // v is the database's, and only for this transaction
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("document of bundle %s: %w", sha, err)
	}
	return doc, nil
}

// stamp tells whether a file is still the one that was looked at.
type stamp struct {
	size     int64
	modified time.Time
}

// OpenBundle opens a bundle's file for reading; the caller closes it. The first
// time, and whenever the file has changed, it reads the file through and compares
// its digest; ErrDamaged is what it finds where they differ.
func (s *Store) OpenBundle(sha string) (*os.File, error) {
	if _, err := s.Bundle(sha); err != nil {
		return nil, err
	}
	f, err := os.Open(s.file(sha))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("bundle %s: %w", sha, ErrDamaged)
	}
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	if err := s.check(sha, f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// check leaves f at its beginning.
func (s *Store) check(sha string, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at bundle %s: %w", sha, err)
	}
	now := stamp{size: info.Size(), modified: info.ModTime()}
	s.mu.Lock()
	known, ok := s.checked[sha]
	s.mu.Unlock()
	if ok && known == now {
		return nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("read bundle %s: %w", sha, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != sha {
		return fmt.Errorf("bundle %s has the digest %s: %w", sha, got, ErrDamaged)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read bundle %s: %w", sha, err)
	}
	s.mu.Lock()
	s.checked[sha] = now
	s.mu.Unlock()
	return nil
}

// Missing tells whether a bundle's file is not there.
func (s *Store) Missing(sha string) bool {
	_, err := os.Stat(s.file(sha))
	return errors.Is(err, fs.ErrNotExist)
}

func (s *Store) file(sha string) string { return filepath.Join(s.bundles(), sha+".zip") }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}
