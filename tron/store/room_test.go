package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/funcatron/funcatron/shared/bundle"
	"github.com/funcatron/funcatron/tron/store"
)

// limitFiles lets this process write no file beyond n bytes, until lift or the
// test's end: a full disk that needs no privileges.
func limitFiles(t *testing.T, n uint64) (lift func()) {
	t.Helper()
	var was unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &was))
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: was.Max}))
	lift = func() { must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &was)) }
	t.Cleanup(lift)
	return lift
}

// Where there is no room, nothing is half written and nothing is lost; where there
// is some again, all goes on.
func TestNoRoom(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	data, sha := zipped(t, "/kept")
	kept := add(t, s, data)
	place := store.Place{BasePath: "/kept"}
	version, err := s.SetCurrent(place, deployment("one", sha, "/kept"))
	must(t, err)
	other, otherSha := zipped(t, "/other")
	arrived, err := s.Receive(bytes.NewReader(other))
	must(t, err)
	b, err := bundle.Open(arrived)
	must(t, err)

	lift := limitFiles(t, 1)
	_, err = s.Receive(bytes.NewReader(other))
	wantNoRoom(t, "Receive", err)
	wantNoRoom(t, "Adopt", s.Adopt(arrived, store.RecordOf(b, kept.Uploaded, nil), b.Document.JSON))
	_, err = s.SetCurrent(place, deployment("two", sha, "/kept"))
	wantNoRoom(t, "SetCurrent", err)
	wantNoRoom(t, "Forget", s.Forget("one"))
	wantNoRoom(t, "SetMembers", s.SetMembers([]store.Member{{Name: "m"}}))
	epoch := s.Epoch()
	if _, err := s.RenewEpoch(); s.Epoch() != epoch {
		t.Error("RenewEpoch changed the epoch in memory only")
	} else {
		wantNoRoom(t, "RenewEpoch", err)
	}

	s = reopen(t, s, dir) // a Tron that starts meanwhile
	if s.Epoch() != epoch {
		t.Errorf("epoch is %q, was %q", s.Epoch(), epoch)
	}
	all, now, err := s.Deployments()
	must(t, err)
	if now != version || len(all) != 1 || all[0].ID != "one" || all[0].Draining {
		t.Errorf("deployments are %+v of version %d, want one of version %d", all, now, version)
	}
	if got, err := read(t, s, sha); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the bundle that was there: %v", err)
	}
	if _, err := s.Bundle(otherSha); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the bundle that there was no room for: %v, want ErrNotFound", err)
	}
	if files := filesIn(t, dir); fmt.Sprint(files) != fmt.Sprintf("[bundles/%s.zip tron.db]", sha) {
		t.Errorf("the folder holds %v", files)
	}

	lift()
	add(t, s, other)
	if _, err := s.SetCurrent(place, deployment("two", otherSha, "/kept")); err != nil {
		t.Error(err)
	}
}

// A bundle that is known takes no room when it is uploaded again.
func TestNoRoomForWhatIsKnown(t *testing.T) {
	s := open(t, t.TempDir())
	data, sha := zipped(t, "/x")
	first := add(t, s, data)
	again, err := s.Receive(bytes.NewReader(data))
	must(t, err)
	b, err := bundle.Open(again)
	must(t, err)
	limitFiles(t, 1)
	must(t, s.Adopt(again, store.RecordOf(b, first.Uploaded, nil), b.Document.JSON))
	if _, err := read(t, s, sha); err != nil {
		t.Error(err)
	}
}

func wantNoRoom(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrNoRoom) {
		t.Errorf("%s: %v, want ErrNoRoom", what, err)
	}
}

// filesIn lists the files of a folder and those below.
func filesIn(t *testing.T, dir string) (files []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			path, err = filepath.Rel(dir, path)
			files = append(files, path)
		}
		return err
	}))
	return files
}

// The database grows by a step that says in words only why it fails.
func TestNoRoomToGrow(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	info, err := os.Stat(filepath.Join(dir, "tron.db"))
	must(t, err)
	limitFiles(t, uint64(info.Size()))
	members := make([]store.Member, 1)
	members[0].Name = strings.Repeat("m", 4*int(info.Size()))
	wantNoRoom(t, "SetMembers", s.SetMembers(members))
	if got, err := s.Members(); err != nil || len(got) != 0 {
		t.Errorf("members are %v, %v; want none", got, err)
	}
}
