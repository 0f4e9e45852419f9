package store_test

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/bundle"
	"github.com/funcatron/funcatron/tron/store"
)

// crashDir names the folder that this test binary is to fill until it is killed.
const crashDir = "FUNCATRON_TEST_STORE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		fmt.Println("error:", fill(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// fill adds bundles and makes each current, and prints what is confirmed.
func fill(dir string) error {
	s, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	run := rand.Uint64()
	for i := 0; ; i++ {
		data, sha, err := pack(fmt.Sprintf("/p%d/%d/%d", i%3, run, i))
		if err != nil {
			return err
		}
		file, err := s.Receive(bytes.NewReader(data))
		if err != nil {
			return err
		}
		b, err := bundle.Open(file)
		if err != nil {
			return err
		}
		if err := s.Adopt(file, store.RecordOf(b, time.Now(), nil), b.Document.JSON); err != nil {
			return err
		}
		fmt.Println("bundle", sha)
		place := fmt.Sprintf("/p%d", i%3)
		d := deployment(fmt.Sprintf("%d-%d", run, i), sha, place)
		version, err := s.SetCurrent(store.Place{BasePath: place}, d)
		if err != nil {
			return err
		}
		fmt.Println("current", place, d.ID, version)
		if i%2 == 0 {
			continue
		}
		old, _, err := s.Deployments()
		if err != nil {
			return err
		}
		for _, o := range old {
			if o.Draining {
				if err := s.Forget(o.ID); err != nil {
					return err
				}
			}
		}
	}
}

// Whatever was confirmed before kill -9 is there after it, and whatever is there
// is whole.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var bundles []string
	current := make(map[string]string)
	var version int64
	confirmed := 0
	for range 12 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		timer := (*time.Timer)(nil)
		for lines.Scan() {
			if timer == nil {
				timer = time.AfterFunc(rand.N(40*time.Millisecond), func() { _ = cmd.Process.Kill() })
			}
			confirmed++
			switch words := strings.Fields(lines.Text()); words[0] {
			case "bundle":
				bundles = append(bundles, words[1])
			case "current":
				current[words[1]] = words[2]
				_, err := fmt.Sscan(words[3], &version)
				must(t, err)
			default:
				t.Fatal(lines.Text())
			}
		}
		must(t, lines.Err())
		_ = cmd.Wait() // it was killed, and says so

		s := open(t, dir)
		all, stored, err := s.Deployments()
		must(t, err)
		if stored != version && stored != version+1 { // the last one may have gone unsaid
			t.Fatalf("version %d, %d was confirmed", stored, version)
		}
		at := make(map[string]string)
		for _, d := range all {
			if d.Draining {
				continue
			}
			if at[d.BasePath] != "" {
				t.Errorf("%s has two deployments", d.BasePath)
			}
			at[d.BasePath] = d.ID
			if _, err := s.Bundle(d.Sha); err != nil {
				t.Errorf("deployment %s: %v", d.ID, err)
			}
		}
		unsaid := 0
		for place, id := range current {
			if at[place] != id {
				unsaid++
			}
			current[place] = at[place]
		}
		if unsaid > int(stored-version) {
			t.Errorf("%d places are not what was confirmed", unsaid)
		}
		version = stored
		for _, sha := range bundles {
			if data, err := read(t, s, sha); err != nil || len(data) == 0 {
				t.Errorf("bundle %s was confirmed: %v", sha, err)
			}
			if _, err := s.Document(sha); err != nil {
				t.Errorf("bundle %s was confirmed: %v", sha, err)
			}
		}
		known, err := s.Bundles()
		must(t, err)
		for _, b := range known {
			if _, err := read(t, s, b.Sha); err != nil {
				t.Errorf("bundle %s is known: %v", b.Sha, err)
			}
		}
		must(t, s.Close())
	}
	if confirmed < 24 {
		t.Errorf("only %d steps were confirmed: the test shows little", confirmed)
	}
}
