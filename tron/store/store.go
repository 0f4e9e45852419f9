// Package store keeps what the Tron must not forget: bundles, deployments with
// their props, the route table's version, and who was connected.
//
// What a method has confirmed by returning nil is on disk and survives kill -9
// and a power cut. A bundle's file is there before its record is, so a record
// never names half a bundle; every change of deployments is one transaction, so
// the route table on disk is always one that was decided on.
//
// The folder belongs to one Store at a time: Open takes a lock that ends with
// the process. The props in it are secrets, hence the modes 0700 and 0600.
package store

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/funcatron/funcatron/shared/wire"
)

// What callers branch on.
var (
	// ErrNotFound means that there is no such bundle.
	ErrNotFound = errors.New("no such bundle")
	// ErrDamaged means that a bundle's file is missing or is not what it was.
	// Uploading the bundle again mends it.
	ErrDamaged = errors.New("bundle file is missing or damaged; upload it again")
	// ErrNoRoom means that the disk is full, or the quota or file size limit that
	// the Tron has to keep to. Nothing was changed.
	ErrNoRoom = errors.New("no room is left for the Tron's state; make some where --state-dir is")
)

// format is the layout of the database. A higher one is refused.
const format = 1

// lockWait is how long Open waits for a Store that is just being closed.
const lockWait = time.Second

var (
	metaBucket       = []byte("meta")
	bundleBucket     = []byte("bundles")     // sha -> Bundle
	documentBucket   = []byte("documents")   // sha -> Swagger document, JSON
	deploymentBucket = []byte("deployments") // id -> Deployment

	formatKey  = []byte("format")
	epochKey   = []byte("epoch")
	tokenKey   = []byte("bundle-token")
	versionKey = []byte("route-version")
	membersKey = []byte("members")
)

// Store is an open state folder. Its methods may be called from any goroutine.
type Store struct {
	dir string
	db  *bolt.DB
	log *slog.Logger

	// mu guards epoch and checked, and is held only for as long as it takes to
	// read or change them.
	mu      sync.Mutex
	epoch   string
	checked map[string]stamp // bundle files whose digest was found right, by sha

	// adopting is held from a bundle file's arrival until its record is written
	// or the file is gone again. It is taken before mu.
	adopting sync.Mutex

	token string
}

// Open opens the state folder dir, makes it where there is none, and clears away
// what a killed process left half done. Close ends it.
func Open(dir string, log *slog.Logger) (*Store, error) {
	s := &Store{dir: dir, log: log, checked: make(map[string]stamp)}
	for _, d := range []string{dir, s.bundles(), s.incoming()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("make state folder: %w", err)
		}
	}
	path := filepath.Join(dir, "tron.db")
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("lock %s: another Tron uses this folder; stop it or choose another with --state-dir", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	s.db = db
	if err := s.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	if err := s.sweep(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// Close gives the folder up.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close state of %s: %w", s.dir, err)
	}
	return nil
}

// begin makes the buckets, the epoch and the token where they do not exist, and
// reads them where they do. It then writes nothing: a Tron starts on a full disk.
func (s *Store) begin() error {
	fresh := false
	err := s.db.View(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{metaBucket, bundleBucket, documentBucket, deploymentBucket} {
			if tx.Bucket(name) == nil {
				fresh = true
				return nil
			}
		}
		meta := tx.Bucket(metaBucket)
		if v := meta.Get(formatKey); v != nil && number(v) != format {
			return fmt.Errorf("format %d, this version reads %d", number(v), format)
		}
		s.epoch, s.token = string(meta.Get(epochKey)), string(meta.Get(tokenKey))
		fresh = meta.Get(formatKey) == nil || s.epoch == "" || s.token == ""
		return nil
	})
	if err != nil || !fresh {
		return err
	}
	return s.update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{metaBucket, bundleBucket, documentBucket, deploymentBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("create bucket %s: %w", name, err)
			}
		}
		meta := tx.Bucket(metaBucket)
		if v := meta.Get(formatKey); v == nil {
			if err := putNumber(meta, formatKey, format); err != nil {
				return err
			}
		}
		var err error
		if s.epoch, err = secret(meta, epochKey); err != nil {
			return err
		}
		s.token, err = secret(meta, tokenKey)
		return err
	})
}

// update is a transaction that changes something.
func (s *Store) update(f func(*bolt.Tx) error) error { return roomOf(s.db.Update(f)) }

// roomOf makes ErrNoRoom of an error that means it: the disk's, the quota's, or
// RLIMIT_FSIZE's (write(2)).
func roomOf(err error) error {
	if err == nil {
		return nil
	}
	for _, cause := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		// bbolt passes on in words only why its file does not grow.
		if errors.Is(err, cause) || strings.HasSuffix(err.Error(), ": "+cause.Error()) {
			return fmt.Errorf("%w: %w", ErrNoRoom, err)
		}
	}
	return err
}

// Epoch names this state. It is drawn at random together with the database.
func (s *Store) Epoch() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// Token is what a runner shows to fetch a bundle.
func (s *Store) Token() string { return s.token }

// RenewEpoch gives the state a new name, for when route versions were given out
// that it does not know of: it was restored from an older copy.
func (s *Store) RenewEpoch() (string, error) {
	next := draw()
	err := s.update(func(tx *bolt.Tx) error {
		return tx.Bucket(metaBucket).Put(epochKey, []byte(next))
	})
	if err != nil {
		return "", fmt.Errorf("store new epoch: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch = next
	return next, nil
}

// Member is somebody who was connected, and where to reach them.
type Member struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Queue string `json:"queue"`
}

// SetMembers replaces the list of those who are connected.
func (s *Store) SetMembers(members []Member) error {
	b, err := json.Marshal(members)
	if err != nil {
		return fmt.Errorf("encode members: %w", err)
	}
	err = s.update(func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Put(membersKey, b) })
	if err != nil {
		return fmt.Errorf("store members: %w", err)
	}
	return nil
}

// Members is the list that SetMembers kept.
func (s *Store) Members() ([]Member, error) {
	var members []Member
	err := s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(metaBucket).Get(membersKey)
		if b == nil {
			return nil
		}
		return json.Unmarshal(b, &members)
	})
	if err != nil {
		return nil, fmt.Errorf("read members: %w", err)
	}
	return members, nil
}

func (s *Store) bundles() string  { return filepath.Join(s.dir, "bundles") }
func (s *Store) incoming() string { return filepath.Join(s.dir, "incoming") }

// secret reads the string at key, drawing it first where there is none.
func secret(b *bolt.Bucket, key []byte) (string, error) {
	if v := b.Get(key); v != nil {
		return string(v), nil
	}
	v := draw()
	return v, b.Put(key, []byte(v))
}

func draw() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails (Go 1.24)
	return hex.EncodeToString(b[:])
}

func putNumber(b *bolt.Bucket, key []byte, n uint64) error {
	return b.Put(key, binary.BigEndian.AppendUint64(nil, n))
}

// number is 0 where nothing was put.
func number(v []byte) uint64 {
	if len(v) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}

// Place is where a deployment is served: at most one is current for each.
type Place struct {
	Host     string
	BasePath string
}

func (p Place) String() string {
	if p.Host == "" && p.BasePath == "" {
		return "/"
	}
	return p.Host + p.BasePath
}

// PlaceOf is the place of a deployment.
func PlaceOf(d *wire.Deployment) Place { return Place{Host: d.Host, BasePath: d.BasePath} }
