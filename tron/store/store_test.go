package store_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/funcatron/funcatron/shared/bundle"
	"github.com/funcatron/funcatron/shared/wire"
	"github.com/funcatron/funcatron/tron/store"
)

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // most tests have closed it before
	return s
}

func reopen(t *testing.T, s *store.Store, dir string) *store.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pack makes a bundle served at basePath, and its sha.
func pack(basePath string) (data []byte, sha string, err error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, text := range map[string]string{
		"funcatron.yaml": `{swagger: "2.0", info: {title: T, version: "1"}, basePath: ` + basePath + `,
			x-funcatron: {runtime: exec, command: ["bin/app"]}, paths: {/x: {get: {operationId: x, responses: {"200": {description: ok}}}}}}`,
		"bin/app": "#!/bin/sh\n",
	} {
		h := &zip.FileHeader{Name: name}
		h.SetMode(0o755)
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(f, text)
		}
		if err != nil {
			return nil, "", err
		}
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(b.Bytes())
	return b.Bytes(), hex.EncodeToString(sum[:]), nil
}

func zipped(t *testing.T, basePath string) (data []byte, sha string) {
	t.Helper()
	data, sha, err := pack(basePath)
	must(t, err)
	return data, sha
}

// add stores a bundle as the API does.
func add(t *testing.T, s *store.Store, data []byte) store.Bundle {
	t.Helper()
	file, err := s.Receive(bytes.NewReader(data))
	must(t, err)
	b, err := bundle.Open(file)
	must(t, err)
	record := store.RecordOf(b, time.Now().UTC(), []string{"odd"})
	must(t, s.Adopt(file, record, b.Document.JSON))
	return record
}

func deployment(id, sha, basePath string) *store.Deployment {
	return &store.Deployment{
		Deployment: wire.Deployment{ID: id, Sha: sha, BasePath: basePath, Queue: "q." + id, Props: json.RawMessage(`{"password":"p"}`)},
		Enabled:    time.Now().UTC(),
	}
}

func read(t *testing.T, s *store.Store, sha string) ([]byte, error) {
	t.Helper()
	f, err := s.OpenBundle(sha)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	must(t, errors.Join(err, f.Close()))
	return data, nil
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := store.Open(dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "--state-dir") {
		t.Errorf("a second Open: %v, want an error that names the flag", err)
	}
	reopen(t, s, dir)
}

func TestNamesOfTheState(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	epoch, token := s.Epoch(), s.Token()
	if len(epoch) != 32 || len(token) != 32 || epoch == token {
		t.Errorf("epoch %q, token %q", epoch, token)
	}
	s = reopen(t, s, dir)
	if s.Epoch() != epoch || s.Token() != token {
		t.Error("epoch or token changed with a restart")
	}
	renewed, err := s.RenewEpoch()
	must(t, err)
	if renewed == epoch || s.Epoch() != renewed {
		t.Errorf("renewed epoch %q, was %q, is %q", renewed, epoch, s.Epoch())
	}
	if s = reopen(t, s, dir); s.Epoch() != renewed {
		t.Error("the renewed epoch was lost")
	}
	if other := open(t, t.TempDir()); other.Epoch() == epoch || other.Token() == token {
		t.Error("two states have the same name")
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tron")
	s := open(t, dir)
	data, _ := zipped(t, "/a")
	add(t, s, data)
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v: its props are secrets", path, info.Mode())
		}
		return nil
	}))
}

func TestBundles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	data, sha := zipped(t, "/a")
	if _, err := s.Bundle(sha); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("before it is there: %v", err)
	}
	want := add(t, s, data)
	again := want
	again.Warnings = []string{"something else"}
	for round := range 3 {
		got, err := s.Bundle(sha)
		must(t, err)
		if got.Sha != sha || got.BasePath != "/a" || got.Size != int64(len(data)) || got.Title != "T" ||
			!got.Uploaded.Equal(want.Uploaded) || !slices.Equal(got.Warnings, []string{"odd"}) {
			t.Errorf("round %d: %+v, want %+v", round, got, want)
		}
		if b, err := read(t, s, sha); err != nil || !bytes.Equal(b, data) {
			t.Errorf("round %d: read %d bytes, %v", round, len(b), err)
		}
		doc, err := s.Document(sha)
		must(t, err)
		if !strings.Contains(string(doc), `"basePath"`) {
			t.Errorf("document %s", doc)
		}
		switch round {
		case 0:
			s = reopen(t, s, dir)
		case 1: // the same again: the record stays
			file, err := s.Receive(bytes.NewReader(data))
			must(t, err)
			must(t, s.Adopt(file, again, json.RawMessage(`{}`)))
		}
	}
	other, _ := zipped(t, "/b")
	later := add(t, s, other)
	all, err := s.Bundles()
	must(t, err)
	if len(all) != 2 || all[0].Sha != later.Sha || all[1].Sha != sha {
		t.Errorf("bundles %+v, want the latest first", all)
	}
}

func TestReceiveReturnsTheReadersError(t *testing.T) {
	s := open(t, t.TempDir())
	broken := errors.New("connection reset")
	_, err := s.Receive(io.MultiReader(strings.NewReader("half"), &failing{broken}))
	if !errors.Is(err, broken) {
		t.Errorf("Receive: %v", err)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	data, sha := zipped(t, "/a")
	add(t, s, data)
	file := filepath.Join(dir, "bundles", sha+".zip")
	if _, err := read(t, s, sha); err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(data)
	damaged[len(damaged)/2] ^= 1
	must(t, os.WriteFile(file, damaged, 0o600))
	must(t, os.Chtimes(file, time.Time{}, time.Now().Add(time.Hour)))
	if _, err := read(t, s, sha); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a changed file: %v, want ErrDamaged", err)
	}
	must(t, os.Remove(file))
	if _, err := read(t, s, sha); !errors.Is(err, store.ErrDamaged) || !s.Missing(sha) {
		t.Errorf("a removed file: %v, want ErrDamaged", err)
	}
	s = reopen(t, s, dir) // the record stays
	if _, err := read(t, s, sha); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("after a restart: %v, want ErrDamaged", err)
	}
	add(t, s, data)
	if b, err := read(t, s, sha); err != nil || !bytes.Equal(b, data) {
		t.Errorf("uploaded again: %v", err)
	}
}

func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	half, err := s.Receive(strings.NewReader("half an upload"))
	must(t, err)
	must(t, s.Close())

	whole, wholeSha := zipped(t, "/whole")
	named := func(sha string) string { return filepath.Join(dir, "bundles", sha+".zip") }
	wrongSha, noneSha := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	must(t, os.WriteFile(named(wholeSha), whole, 0o600)) // killed between the file and its record
	must(t, os.WriteFile(named(wrongSha), whole, 0o600)) // not what its name says
	must(t, os.WriteFile(named(noneSha), []byte("no zip"), 0o600))
	mine := filepath.Join(dir, "bundles", "README")
	must(t, os.WriteFile(mine, []byte("somebody's"), 0o600))

	s = open(t, dir)
	if b, err := s.Bundle(wholeSha); err != nil || b.BasePath != "/whole" {
		t.Errorf("the bundle without a record: %+v, %v", b, err)
	}
	if b, err := read(t, s, wholeSha); err != nil || !bytes.Equal(b, whole) {
		t.Errorf("the bundle without a record: %v", err)
	}
	for _, gone := range []string{half, named(wrongSha), named(noneSha)} {
		if _, err := os.Stat(gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", gone, err)
		}
	}
	if _, err := os.Stat(mine); err != nil {
		t.Errorf("a file that is none of the store's: %v", err)
	}
}

func TestDeployments(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	a, b := store.Place{BasePath: "/a"}, store.Place{Host: "h", BasePath: "/a"}
	for i, step := range []struct {
		place store.Place
		next  *store.Deployment
		want  string // ids, those that are draining in brackets
	}{
		{a, deployment("1", "s1", "/a"), "1"},
		{b, &store.Deployment{Deployment: wire.Deployment{ID: "2", Host: "h", BasePath: "/a"}}, "1 2"},
		{a, deployment("3", "s1", "/a"), "[1] 2 3"},
		{a, nil, "[1] 2 [3]"},
		{a, nil, "[1] 2 [3]"},
		{a, deployment("4", "s2", "/a"), "[1] 2 [3] 4"},
	} {
		version, err := s.SetCurrent(step.place, step.next)
		must(t, err)
		s = reopen(t, s, dir)
		all, stored, err := s.Deployments()
		must(t, err)
		if version != int64(i+1) || stored != version {
			t.Errorf("step %d: version %d, %d after a restart", i, version, stored)
		}
		if got := ids(all); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
	must(t, s.Forget("1"))
	must(t, s.Forget("never there"))
	all, _, err := s.Deployments()
	must(t, err)
	if got := ids(all); got != "2 [3] 4" {
		t.Errorf("after Forget: %s", got)
	}
	if d := all[2]; string(d.Props) != `{"password":"p"}` || d.Queue != "q.4" || d.Sha != "s2" || d.Enabled.IsZero() {
		t.Errorf("deployment 4: %+v", d)
	}
}

func ids(all []store.Deployment) string {
	var list []string
	for _, d := range all {
		if d.Draining {
			d.ID = "[" + d.ID + "]"
		}
		list = append(list, d.ID)
	}
	return strings.Join(list, " ")
}

func TestMembers(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if m, err := s.Members(); err != nil || len(m) != 0 {
		t.Errorf("members of a new state: %v, %v", m, err)
	}
	want := []store.Member{{Name: "g", Kind: "gateway", Queue: "FRNT-1"}, {Name: "r", Kind: "runner", Queue: "RU-1"}}
	must(t, s.SetMembers(want))
	s = reopen(t, s, dir)
	if got, err := s.Members(); err != nil || !slices.Equal(got, want) {
		t.Errorf("members %v, %v, want %v", got, err, want)
	}
}

func TestOpenRefusesALaterFormat(t *testing.T) {
	dir := t.TempDir()
	must(t, open(t, dir).Close())
	db, err := bolt.Open(filepath.Join(dir, "tron.db"), 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte{0, 0, 0, 0, 0, 0, 0, 9})
	}))
	must(t, db.Close())
	if _, err := store.Open(dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "format 9") {
		t.Errorf("Open: %v", err)
	}
}

func TestIsSha(t *testing.T) {
	for _, tc := range []struct {
		s    string
		want bool
	}{
		{strings.Repeat("0a", 32), true},
		{strings.Repeat("0A", 32), false},
		{strings.Repeat("0g", 32), false},
		{strings.Repeat("0", 63), false},
		{strings.Repeat("0", 65), false},
		{"../" + strings.Repeat("0", 61), false},
		{"", false},
	} {
		if got := store.IsSha(tc.s); got != tc.want {
			t.Errorf("IsSha(%q) = %v", tc.s, got)
		}
	}
}

func TestPlace(t *testing.T) {
	for _, tc := range []struct {
		p    store.Place
		want string
	}{
		{store.Place{}, "/"},
		{store.Place{BasePath: "/a"}, "/a"},
		{store.Place{Host: "h", BasePath: "/a"}, "h/a"},
		{store.Place{Host: "h"}, "h"},
	} {
		if got := tc.p.String(); got != tc.want {
			t.Errorf("%#v is %q, want %q", tc.p, got, tc.want)
		}
	}
}
