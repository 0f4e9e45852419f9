package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/funcatron/funcatron/dispatch/brokertest"
	"github.com/funcatron/funcatron/runner/conformance"
	"github.com/funcatron/funcatron/runner/pack"
)

// language is a sample, and how its bundle comes about.
type language struct {
	name  string // of its base path, too
	needs []string
	// bundle is the file to upload; errNotBuilt where that is not there.
	bundle func(t *testing.T) (string, error)
	// db are the properties of a database in file.
	db func(file string) map[string]any
}

var languages = []language{
	{"go", nil, func(*testing.T) (string, error) { return goSample() }, goDatabase},
	{"java", []string{"java"}, built("java.jar", jvmHost), jdbc},
	{"scala", []string{"java"}, built("scala.jar", jvmHost), jdbc},
	{"spring-boot", []string{"java"}, built("spring-boot.jar"), func(file string) map[string]any {
		return map[string]any{"url": "jdbc:sqlite:" + file}
	}},
	{"python", []string{"python3"}, packed("python"), func(file string) map[string]any {
		return map[string]any{"url": "sqlite://" + file}
	}},
	{"node", []string{"node"}, built("node.zip"), func(file string) map[string]any {
		return map[string]any{"url": "file:" + file}
	}},
}

const jvmHost = "bin/funcatron-jvm-host.jar"

func goDatabase(file string) map[string]any {
	return map[string]any{"driver": "sqlite", "url": "file:" + file + "?_pragma=busy_timeout(5000)&_txlock=immediate"}
}

func jdbc(file string) map[string]any {
	return map[string]any{"url": "jdbc:sqlite:" + file + "?busy_timeout=5000&transaction_mode=IMMEDIATE"}
}

var errNotBuilt = errors.New("not built: run make samples")

// built is a bundle that make samples puts there, and what it needs besides.
func built(name string, more ...string) func(*testing.T) (string, error) {
	file := filepath.Join("bin", "samples", name)
	return func(*testing.T) (string, error) {
		for _, f := range append(more, file) {
			if _, err := os.Stat(f); err != nil {
				return "", fmt.Errorf("%s: %w", f, errNotBuilt)
			}
		}
		return file, nil
	}
}

// packed is a bundle that is its folder.
func packed(name string) func(*testing.T) (string, error) {
	return func(t *testing.T) (string, error) {
		out := filepath.Join(t.TempDir(), name+".zip")
		_, err := pack.Dir(bg, pack.Options{Dir: filepath.Join("runner", "samples", name), Out: out})
		return out, err
	}
}

// sample is the language's bundle. Without it the test is skipped, and fails in CI.
func (l language) sample(t *testing.T) string {
	t.Helper()
	var file string
	var err error
	for _, program := range l.needs {
		if _, missing := exec.LookPath(program); missing != nil {
			err = errors.Join(err, missing)
		}
	}
	if err == nil {
		file, err = l.bundle(t)
		if err != nil && !errors.Is(err, errNotBuilt) {
			t.Fatal(err)
		}
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return file
}

// props are those that README.md of runner/conformance names.
func (l language) props(t *testing.T) map[string]any {
	t.Helper()
	db := l.db(openFile(t, "visits.db"))
	db["type"] = "database"
	return map[string]any{"maxVisits": 2, "key": "value", "db": db}
}

// Every language's sample does all that functions must be able to do. A few at a
// time: much of it is waiting for deadlines.
func TestConformance(t *testing.T) {
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			file := l.sample(t)
			s := upSystem(t, t.TempDir(), "--jvm-host", jvmHost)
			conforms(t, s, l, file, s.procs["up"])
		})
	}
}

// The same over RabbitMQ, with two Runners.
func TestConformanceOverRabbitMQ(t *testing.T) {
	s := cluster(t, brokertest.RabbitURL(t))
	l := languages[0]
	conforms(t, s, l, l.sample(t), s.procs["runner1"], s.procs["runner2"])
}

// conforms runs the suite on a bundle, before and after it is given a database.
func conforms(t *testing.T, s *system, l language, file string, runners ...*process) {
	t.Helper()
	o := conformance.Options{URL: s.gateway + "/sample/" + l.name, LogFile: logOf(t, runners...), Only: []string{"database"}}
	sha := s.add(file)
	s.enable(sha, map[string]any{"key": "value"})
	s.serves("/sample/" + l.name + "/simple")
	for _, r := range suite(t, o) {
		if r.Outcome != conformance.NotChecked {
			t.Errorf("without a database: %s: %s\n%s", r.Name, r.Outcome, strings.Join(r.Details, "\n"))
		}
	}

	s.enable(sha, l.props(t))
	o.Only = nil
	results := suite(t, o)
	for _, r := range results {
		if r.Outcome != conformance.Passed {
			t.Errorf("%s: %s\n%s", r.Name, r.Outcome, strings.Join(r.Details, "\n"))
		}
	}
	if len(results) != len(conformance.Names()) {
		t.Errorf("%d results, want %d", len(results), len(conformance.Names()))
	}
}

func suite(t *testing.T, o conformance.Options) []conformance.Result {
	t.Helper()
	report, err := conformance.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report.Results
}

// logOf is a file into which the output of the processes goes until the test ends.
func logOf(t *testing.T, procs ...*process) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for _, p := range procs {
		wg.Go(func() {
			if err := p.copyTo(f, stop); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		close(stop)
		wg.Wait()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f.Name()
}

// copyTo writes the process's output to w, as it comes, until stop is closed.
func (p *process) copyTo(w io.Writer, stop <-chan struct{}) error {
	for written := 0; ; {
		text, changed := p.output()
		if _, err := io.WriteString(w, text[written:]); err != nil {
			return err
		}
		written = len(text)
		select {
		case <-changed:
		case <-stop:
			return nil
		}
	}
}

// The command's exit code is what scripts go by.
func TestConformanceCommand(t *testing.T) {
	s := upSystem(t, t.TempDir())
	l := languages[0]
	s.enable(s.add(l.sample(t)), nil)
	s.serves("/sample/go/simple")
	log := logOf(t, s.procs["up"])
	for _, tc := range []struct {
		args []string // after the URL
		path string   // added to it
		code int
		want []string
	}{
		{[]string{"--only=answers,logs", "--log", log}, "", 0, []string{"ok          answers/success (", "ok          logs/levels (", " ok, 0 failed, 0 not checked\n"}},
		{[]string{"--only=logs,answers/success"}, "", 0, []string{"not checked logs/levels (", "            no log", "1 ok, 0 failed, "}},
		{[]string{"--only=logs,answers/success", "--require-all"}, "", 1, []string{"error: ", "could not be made"}},
		{[]string{"--only=answers", "--skip=answers/no-body"}, "/elsewhere", 1, []string{"FAILED      answers/success (", "GET /status/200: want status 200, ", "; came 404 ", "0 ok, 5 failed, 0 not checked\n"}},
		{[]string{"--only=nothing"}, "", 1, []string{`there is no check or group "nothing"`}},
	} {
		var out bytes.Buffer
		code := run(slices.Concat([]string{"conformance", s.gateway + "/sample/go" + tc.path}, tc.args), &out, &out)
		if code != tc.code {
			t.Errorf("%v: exit code %d, want %d\n%s", tc.args, code, tc.code, &out)
		}
		for _, want := range tc.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%v: %q is missing in\n%s", tc.args, want, &out)
			}
		}
	}
}
