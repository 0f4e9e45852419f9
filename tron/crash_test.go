package tron_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch/memory"
	"github.com/funcatron/funcatron/tron"
	"github.com/funcatron/funcatron/tron/membertest"
)

// crashDir names the state folder of a Tron that this test binary is to be.
const crashDir = "FUNCATRON_TEST_TRON_STATE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		fmt.Println(child(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// child is a Tron with a runner and a gateway, until it is killed. It prints its
// URL on a line of its own.
func child(dir string) error {
	o := tron.DefaultOptions()
	o.Broker, o.Listen, o.StateDir = memory.New(), "127.0.0.1:0", dir
	o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	t, err := tron.New(o)
	if err != nil {
		return err
	}
	ctx := context.Background()
	ended := make(chan error, 3)
	go func() { ended <- t.Run(ctx) }()
	go func() { ended <- membertest.NewGateway(o.Broker, o.Queue, "g", "http://g.test").Run(ctx) }()
	go func() { ended <- membertest.NewRunner(o.Broker, o.Queue, "r").Run(ctx) }()
	fmt.Println("http://" + t.Addr().String())
	return <-ended
}

// spawn starts a child on dir. kill ends it at once, and may be called twice.
func spawn(t *testing.T, dir string) (url string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was killed, and says so
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "http://") {
		t.Fatalf("the Tron does not start: %q %v", line, err)
	}
	return strings.TrimSpace(line), kill
}

// Whatever was acknowledged before kill -9 is there after it, and nothing that was
// not asked for.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acked := make(map[string]bool)    // shas that add_func accepted
	bundles := make(map[string]bool)  // all that were ever sent
	served := make(map[string]string) // path to the sha that it answered to enable last
	trying := make(map[string]string) // path to the sha whose enable was not answered
	for round := range 3 {
		url, kill := spawn(t, dir)
		r := &rig{t: t, url: url}
		check(t, r, acked, bundles, served, trying)
		var deadline *time.Timer
		for i := 0; ; i++ {
			if i == 1 {
				deadline = time.AfterFunc(time.Duration(rand.IntN(2000))*time.Millisecond, kill)
			}
			path := fmt.Sprintf("/p%d", i%3)
			data := funcBundle(t, path, fmt.Sprintf("%d-%d", round, i))
			sha := digest(data)
			bundles[sha] = true
			if ok := call(r, "/api/v1/add_func", string(data)); !ok {
				break
			}
			acked[sha] = true
			trying[path] = sha
			if ok := call(r, "/api/v1/enable", fmt.Sprintf(`{"sha":%q,"props":{"round":%d}}`, sha, round)); !ok {
				break
			}
			served[path] = sha
			delete(trying, path)
		}
		if deadline == nil {
			t.Fatal("the first bundle was not enabled")
		}
		deadline.Stop()
		kill()
	}
	url, _ := spawn(t, dir)
	check(t, &rig{t: t, url: url}, acked, bundles, served, trying)
}

// call tells whether the answer was 200; it is not when the Tron was killed.
func call(r *rig, path, body string) bool {
	req, err := http.NewRequest("POST", r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := try(req)
	if err == nil && a.status != 200 {
		r.t.Errorf("%s: %d %s", path, a.status, a.body)
	}
	return err == nil && a.status == 200
}

func check(t *testing.T, r *rig, acked, sent map[string]bool, served, trying map[string]string) {
	t.Helper()
	var known struct {
		Bundles []struct {
			Sha     string
			Missing bool
		} `json:"func-bundles"`
	}
	if err := json.Unmarshal([]byte(r.get("/api/v1/known_funcs").body), &known); err != nil {
		t.Fatal(err)
	}
	have := make(map[string]bool)
	for _, b := range known.Bundles {
		have[b.Sha] = true
		if !sent[b.Sha] || b.Missing {
			t.Errorf("bundle %+v is known", b)
		}
		if a := r.get("/api/v1/bundle/" + b.Sha); a.status != 200 || digest([]byte(a.body)) != b.Sha {
			t.Errorf("bundle %s: %d", b.Sha, a.status)
		}
	}
	for sha := range acked {
		if !have[sha] {
			t.Errorf("bundle %s was accepted and is lost", sha)
		}
	}
	for path, sha := range trying { // it was not answered, but may have been done
		if m := r.routed(path); m != nil && m["sha"] == sha {
			served[path] = sha
		}
		delete(trying, path)
	}
	for path, sha := range served {
		if m := r.routed(path); m["sha"] != sha {
			t.Errorf("%s was enabled with %s, and is %v", path, sha, m)
		}
		eventually(t, path+" is live again", func() bool { return r.routed(path)["state"] == "live" })
	}
}
