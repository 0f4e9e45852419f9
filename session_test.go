package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/rabbit"
	"github.com/funcatron/funcatron/runner/pack"
)

// goSample is the Go sample's bundle, built once.
var goSample = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "funcatron-test-")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "sample-go.zip")
	_, err = pack.Dir(bg, pack.Options{Dir: "runner/samples/go", Out: out, Platforms: []string{pack.Host()}, Stderr: os.Stderr})
	return out, err
})

// shell runs one command line as an operator does, and returns what it prints.
func shell(t *testing.T, line string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// The announcement's session, command for command: the Tron's own printed lines,
// the sha noted, props, the call, and the log line.
func TestSession(t *testing.T) {
	sample, err := goSample()
	if err != nil {
		t.Fatal(err)
	}
	overBrokers(t, func(t *testing.T, s *system) {
		tron, runners := s.procs["tron"], []*process{s.procs["runner1"], s.procs["runner2"]}
		if tron == nil {
			tron, runners = s.procs["up"], []*process{s.procs["up"]}
		}
		upload := tron.waitFor(`Upload a Func Bundle: (.+)\n`)[1]
		list := tron.waitFor(`List known Func Bundles: (.+)\n`)[1]
		enable := tron.waitFor(`Enable a Func Bundle: (.+)\n`)[1]
		frontend := tron.waitFor(`Frontend at (http://\S+)`)[1]

		var added struct {
			Accepted          bool
			Type, Host, Route string
			Swagger           json.RawMessage
			Sha               string
		}
		decode(t, shell(t, strings.Replace(upload, "THE_UBERJAR", sample, 1)), &added)
		if !added.Accepted || len(added.Sha) != 64 || added.Route != "/sample/go" || added.Type != "exec" || len(added.Swagger) == 0 {
			t.Fatalf("add_func answered %+v", added)
		}
		if known := shell(t, strings.Replace(list, "curl -v", "curl -sS", 1)); !strings.Contains(known, `"func-bundles"`) || !strings.Contains(known, added.Sha) {
			t.Errorf("known_funcs answered %s", known)
		}
		enable = strings.Replace(enable, "curl -v", "curl -sS", 1)
		props := fmt.Sprintf(`{"key":"value","db":{"type":"database","driver":"sqlite","url":"file:%s"}}`, openFile(t, "v.db"))
		enable = strings.Replace(strings.Replace(enable, "THE-SHA-HERE", added.Sha, 1), `{"key": "value"}`, props, 1)
		var enabled struct {
			Success bool
			State   string
		}
		decode(t, shell(t, enable), &enabled)
		if !enabled.Success || enabled.State != "live" {
			t.Fatalf("enable answered %+v", enabled)
		}

		var simple struct {
			Num    int            `json:"num-param"`
			Bools  *bool          `json:"bools"`
			Numero float64        `json:"numero"`
			Query  map[string]any `json:"query-params"`
			Time   string         `json:"time"`
		}
		decode(t, shell(t, "curl -sS '"+frontend+"/sample/go/simple/42?cool=yes'"), &simple)
		if simple.Num != 42 || simple.Bools == nil || simple.Time == "" || !reflect.DeepEqual(simple.Query, map[string]any{"cool": "yes"}) {
			t.Errorf("simple answered %+v", simple)
		}
		a := request(t, "GET", frontend+"/sample/go/simple", "", "X-Request-Id", "db9d00abf61d9c67f4f0e755e96b8d0e")
		if a.status != 200 || a.header.Get("X-Request-Id") != "db9d00abf61d9c67f4f0e755e96b8d0e" {
			t.Errorf("simple: %d, X-Request-Id %q", a.status, a.header.Get("X-Request-Id"))
		}
		line := regexp.MustCompile(`(?m)^\d\d-\d\d-\d\d \d\d:\d\d:\d\d /sample/go INFO \[funcatron\.go_sample\.SimpleGet:GIT:[0-9a-f]{40}\S*&REQ:db9d00abf61d9c67f4f0e755e96b8d0e\] - In Go 'SimpleGet`)
		s.eventually("the log line", func() error {
			for _, r := range runners {
				if text, _ := r.output(); line.MatchString(text) {
					return nil
				}
			}
			return fmt.Errorf("no line like %s", line)
		})

		for _, tc := range []struct {
			method, path, body string
			status             int
			want               string
		}{
			{"POST", "/change/3", `{"name":"Ann","age":30}`, 200, `[{"name":"Ann1","age":31},{"name":"Ann2","age":32},{"name":"Ann3","age":33}]`},
			{"DELETE", "/change/7", "", 200, `{"name":"Deleted 7","age":7}`},
			{"GET", "/change/7", "", 400, "Expecting a POST or DELETE, but got GET"},
			{"POST", "/visits", `{"name":"Ann"}`, 200, ""},
		} {
			a := request(t, tc.method, frontend+"/sample/go"+tc.path, tc.body)
			if a.status != tc.status && !(tc.want == "" && a.status == 201) {
				t.Errorf("%s %s: status %d %s, want %d", tc.method, tc.path, a.status, a.body, tc.status)
			}
			if tc.want != "" && strings.TrimSpace(a.body) != tc.want {
				t.Errorf("%s %s: %s, want %s", tc.method, tc.path, a.body, tc.want)
			}
		}
		if a := request(t, "GET", frontend+"/sample/go/visits", ""); !strings.Contains(a.body, "Ann") {
			t.Errorf("visits: %d %s, want what was written", a.status, a.body)
		}
		if st := request(t, "GET", s.tron+"/api/v1/stats", ""); !strings.Contains(st.body, "GET /simple/{num}") {
			t.Errorf("stats do not count the operation: %s", st.body)
		}
		if routes := request(t, "GET", s.tron+"/api/v1/routes", ""); strings.Contains(routes.body, "v.db") {
			t.Errorf("routes show a property's value: %s", routes.body)
		}
	})
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// What is enabled serves again after kill -9 of everything.
func TestUpSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	s := upSystem(t, dir)
	sha := s.add(testBundle(t, "/kept", "1"))
	s.enable(sha, map[string]any{"version": "one"})
	s.serves("/kept/version")
	s.procs["up"].kill()

	s = upSystem(t, dir)
	if a := s.serves("/kept/version"); !strings.Contains(a.body, `"one"`) {
		t.Errorf("after the restart: %s", a.body)
	}
	s.procs["up"].terminate()
	leftNothing(t, dir)
}

// Enabling without props keeps those that are there; {} takes them away.
func TestPropsStay(t *testing.T) {
	s := upSystem(t, t.TempDir())
	one, two := s.add(testBundle(t, "/props", "1")), s.add(testBundle(t, "/props", "2"))
	for _, step := range []struct{ body, want string }{
		{`{"sha":"` + one + `"}`, `"version":""`},
		{`{"sha":"` + one + `","props":{"version":"kept"}}`, `"version":"kept"`},
		{`{"sha":"` + one + `"}`, `"version":"kept"`},
		{`{"sha":"` + two + `"}`, `"version":"kept"`},
		{`{"sha":"` + one + `"}`, `"version":"kept"`},
		{`{"sha":"` + one + `","props":{}}`, `"version":""`},
	} {
		if a := request(t, "POST", s.tron+"/api/v1/enable", step.body); a.status != 200 {
			t.Fatalf("enable: %d %s", a.status, a.body)
		}
		if a := s.serves("/props/version"); !strings.Contains(a.body, step.want) {
			t.Errorf("after %s: %s, want %s", step.body, a.body, step.want)
		}
	}
}

// leftNothing checks that a system which ended in order left no process, no
// temporary file and no unpacked bundle.
func leftNothing(t *testing.T, stateDir string) {
	t.Helper()
	err := filepath.WalkDir(stateDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.Contains(d.Name(), ".tmp-") || d.Type()&fs.ModeSocket != 0 {
			t.Errorf("left behind: %s", path)
		}
		if filepath.Base(filepath.Dir(path)) == "run" && d.IsDir() {
			t.Errorf("left behind: %s", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	cmdlines, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Error(err)
	}
	for _, f := range cmdlines {
		env, err := os.ReadFile(f)
		if err == nil && strings.Contains(string(env), stateDir) {
			t.Errorf("a process is left: %s", filepath.Dir(f))
		}
	}
}

func TestNothingIsLeftAfterTerm(t *testing.T) {
	overBrokers(t, func(t *testing.T, s *system) {
		s.enable(s.add(testBundle(t, "/left", "1")), nil)
		s.serves("/left/version")
		queues := privateQueues(t, s)
		for _, name := range []string{"gateway", "runner1", "runner2", "tron", "up"} {
			if p := s.procs[name]; p != nil {
				p.terminate()
			}
		}
		leftNothing(t, s.stateDir)
		if s.rabbit != "" {
			areGone(t, s.rabbit, queues)
		}
	})
}

// privateQueues lists the control queues of a system's members.
func privateQueues(t *testing.T, s *system) []string {
	t.Helper()
	var queues []string
	st := s.stats()
	for _, m := range append(st.Network.Gateways, st.Network.Runners...) {
		q, ok := m["queue"].(string)
		if !ok || q == "" {
			t.Fatalf("stats name no queue of %v", m)
		}
		queues = append(queues, q)
	}
	return queues
}

// areGone checks that RabbitMQ has none of the queues.
func areGone(t *testing.T, url string, queues []string) {
	t.Helper()
	b, err := rabbit.New(rabbit.Options{URL: url, Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(bg)
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	for _, q := range queues {
		eventually(t, "queue "+q+" is gone", func() error {
			if st, err := b.Inspect(ctx, q); !errors.Is(err, dispatch.ErrUnroutable) {
				return fmt.Errorf("%+v, %v", st, err)
			}
			return nil
		})
	}
}

func TestUploadsThatAreRefused(t *testing.T) {
	s := upSystem(t, t.TempDir())
	before := request(t, "GET", s.tron+"/api/v1/known_funcs", "").body
	for name, tc := range map[string]struct{ file, want string }{
		"no zip":       {plainFile(t, "hello"), "zip"},
		"no Swagger":   {zipOf(t, map[string]string{"readme.txt": "hi"}), "funcatron.yaml"},
		"broken":       {zipOf(t, map[string]string{"funcatron.yaml": "swagger: '2.0'\n  x: ["}), "funcatron.yaml"},
		"OpenAPI 3":    {zipOf(t, map[string]string{"funcatron.yaml": "openapi: 3.0.0\ninfo: {title: x, version: '1'}\npaths: {}\n"}), "2.0"},
		"escapes":      {zipOf(t, map[string]string{"funcatron.yaml": fmt.Sprintf(testDocument, "1", "/x", "x"), "../evil": "x"}), "evil"},
		"a URL as ref": {zipOf(t, map[string]string{"funcatron.yaml": strings.Replace(fmt.Sprintf(testDocument, "1", "/x", "x"), "{name: mark, in: query, type: string}", "{$ref: 'http://127.0.0.1/p'}", 1)}), "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(tc.file)
			if err != nil {
				t.Fatal(err)
			}
			a := request(t, "POST", s.tron+"/api/v1/add_func", string(b))
			if a.status != 400 || !strings.Contains(a.body, `"accepted":false`) || !strings.Contains(a.body, tc.want) {
				t.Errorf("%d %s, want 400 with %q", a.status, a.body, tc.want)
			}
		})
	}
	if after := request(t, "GET", s.tron+"/api/v1/known_funcs", "").body; after != before {
		t.Errorf("refused uploads are known: %s", after)
	}
}

func plainFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
