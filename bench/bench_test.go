package bench

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/funcatron/funcatron/bench/report"
	"github.com/funcatron/funcatron/dispatch/brokertest"
)

func TestMain(m *testing.M) {
	if Child() {
		return
	}
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built) // of the temporary folder
	}
	os.Exit(code)
}

// built is where funcatron built it.
var built string

// funcatron is the program that is measured, built once.
var funcatron = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "funcatron-bench-test-")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "funcatron")
	cmd := exec.Command("go", "build", "-o", path, "..")
	cmd.Stderr = os.Stderr
	return path, cmd.Run()
})

// small is a bench that takes no time, and what it writes.
func small(t *testing.T, o Options) (*Bench, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	o.Quick, o.Time, o.Out = true, 60*time.Millisecond, &out
	if o.URL == "" {
		var err error
		if o.Binary, err = funcatron(); err != nil {
			t.Fatal(err)
		}
	}
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return b, &out
}

// running are the processes that this one has started, directly or not.
func running(t *testing.T) []int {
	t.Helper()
	found, err := descendants(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// nothingLeft sees to it that a run leaves neither process nor folder.
func nothingLeft(t *testing.T, b *Bench) {
	t.Helper()
	if left := running(t); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if _, err := os.Stat(b.dir); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
}

// Every scenario, from the start of the processes to the last row of the table.
func TestScenarios(t *testing.T) {
	rabbit := brokertest.RabbitURL(t)
	dir := t.TempDir()
	corpus := filepath.Join(dir, "corpus")
	if err := os.Mkdir(corpus, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(corpus, "a.json"), document("/anything", 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(corpus, "README"), []byte("not: a [document"), 0o600); err != nil {
		t.Fatal(err)
	}
	saved, page := filepath.Join(dir, "r.json"), filepath.Join(dir, "p.html")
	b, out := small(t, Options{RabbitURL: rabbit, JSON: saved, Plot: page, Source: "..", Corpus: corpus})
	if err := b.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	nothingLeft(t, b)
	data, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	// A measurement of a few milliseconds may meet a moment in which others have the
	// processors: most of the rows must be sound, all must be there.
	keys := []report.Key{
		{Scenario: report.Gateway, Subject: report.Memory, Shape: report.Get, Connections: 64},
		{Scenario: report.Gateway, Subject: report.RabbitMQ, Shape: report.Post, Connections: 64},
		{Scenario: report.Gateway, Subject: report.RabbitMQ, Shape: report.Get, Connections: report.OpenConnections, Load: 0.8},
		{Scenario: report.Limits, Subject: report.AMQP, Shape: report.Get, Connections: 1},
		{Scenario: report.Limits, Subject: report.SafeAMQP, Shape: report.Get, Connections: 256},
		{Scenario: report.Limits, Subject: report.Proxy, Shape: report.Get, Connections: 64},
		report.SlowKey(10, 3, true),
		{Scenario: report.Routes, Subject: "1 bundle of 10000 operations", Shape: report.Get, Connections: 64},
		{Scenario: report.Routes, Subject: "1 real document of 4 operations", Shape: report.Get, Connections: 64},
		{Scenario: report.Routes, Subject: report.SwappedSubject, Shape: report.Get, Connections: report.OpenConnections, Load: 0.5},
		{Scenario: report.Scale, Subject: "2 gateways, 1 runner", Shape: report.Get, Connections: 256},
	}
	sound := 0
	for _, k := range keys {
		row := r.Row(k)
		if row == nil {
			t.Errorf("no row %+v", k)
			continue
		}
		s := row.Samples[0]
		if s.Requests > 0 && s.Errors == 0 && s.P50 > 0 && s.P99 >= s.P50 && len(s.Curve) > 0 && s.Cores["generator"] > 0 {
			sound++
		} else {
			t.Logf("not sound: %+v: %+v", k, s)
		}
	}
	if sound <= len(keys)/2 {
		t.Errorf("%d of %d rows are sound", sound, len(keys))
	}
	for _, f := range [][2]string{
		{report.Footprint, report.PendingMemory}, {report.Footprint, "gateway with 10,000 idle connections"}, {report.Footprint, "binary"},
		{report.Micro, report.LookupGrowth}, {report.Micro, report.PendingAllocs}, {report.Routes, "swap under load"},
	} {
		if _, ok := r.Fact(f[0], f[1]); !ok {
			t.Errorf("no fact %v", f)
		}
	}
	if s := r.Row(report.Key{Scenario: report.Gateway, Subject: report.RabbitMQ, Shape: report.Get, Connections: 64}).Samples[0]; s.Allocs < 1 || s.Allocs > 500 {
		t.Errorf("%v allocations a request in the gateway", s.Allocs)
	}
	if r.Machine.RabbitMQ == "" || r.Machine.Cores == 0 || r.Machine.Kernel == "" {
		t.Errorf("machine: %+v", r.Machine)
	}
	if text := out.String(); !strings.Contains(text, "floors") || !strings.Contains(text, "RabbitMQ "+r.Machine.RabbitMQ) {
		t.Errorf("the table:\n%s", text)
	}
	if html, err := os.ReadFile(page); err != nil || !bytes.Contains(html, []byte("latency")) {
		t.Errorf("the page: %v", err)
	}
}

// What can be measured without RabbitMQ is, and what cannot is said.
func TestWithoutRabbitMQ(t *testing.T) {
	b, out := small(t, Options{RabbitURL: "amqp://guest:guest@127.0.0.1:1/", Scenarios: []string{report.Gateway, report.Slow, report.Routes, report.Scale}})
	if err := b.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, b)
	text := out.String()
	for _, want := range []string{report.Memory, report.Proxy, "nothing is measured with RabbitMQ", "slow needs", "routes needs", "scale needs"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table does not say %q:\n%s", want, text)
		}
	}
}

func TestURL(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "PUT" || r.Header.Get("X-Key") != "a, b" || r.RequestURI != "/x?y=1" || r.ContentLength != 5 {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer srv.Close()
	body := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(body, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, rate := range []float64{0, 200} {
		b, out := small(t, Options{URL: srv.URL + "/x?y=1", Method: "PUT", Header: []string{"X-Key: a, b"}, Body: body, Connections: []int{2}, Rate: rate})
		if err := b.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		nothingLeft(t, b)
		if len(b.report.Rows) != 1 || b.report.Rows[0].Samples[0].Requests == 0 || b.report.Rows[0].Samples[0].Errors != 0 {
			t.Errorf("rate %v: %s", rate, out)
		}
	}
}

// A run whose generator had no time to spare is not called valid: here it measures
// what measures it.
func TestGeneratorIsTheBottleneck(t *testing.T) {
	b, out := small(t, Options{URL: "http://127.0.0.1:1/", Connections: []int{16}, Check: true})
	bare, err := b.child(bareChild)
	if err != nil {
		t.Fatal(err)
	}
	defer bare.stop()
	target, err := bare.target(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.opts.URL, b.opts.Time = "http://"+target.Address+"/bench/hello", 300*time.Millisecond
	b.ceilings[16] = 1 // as a machine would have it on which the generator gets no processor
	if err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "not valid") {
		t.Errorf("error %v", err)
	}
	if b.report.Valid() || !strings.Contains(out.String(), "INVALID: 1 of 1") {
		t.Errorf("it is called valid:\n%s", out)
	}
}

// The samples that are there are measured, beside a bare server of their language.
func TestLanguages(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	dir := t.TempDir()
	sample, err := bundle(bytes.Replace(document("/sample/python", 8), []byte(`"/hello"`), []byte(`"/simple/42"`), 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "python.zip"), sample, 0o600); err != nil {
		t.Fatal(err)
	}
	b, out := small(t, Options{Scenarios: []string{report.Languages}, RabbitURL: "amqp://127.0.0.1:1/", Samples: dir})
	if err := b.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	nothingLeft(t, b)
	for _, subject := range []string{"python on funcatron up", "bare server beside python"} {
		row := b.report.Row(report.Key{Scenario: report.Languages, Subject: subject, Shape: report.Get, Connections: 16})
		if row == nil || row.Samples[0].Requests == 0 || row.Samples[0].Errors > 0 {
			t.Errorf("%s: %+v", subject, row)
		}
	}
	if _, ok := b.report.Fact(report.Languages, "python: requests/s against the bare server, 64 connections"); !ok {
		t.Errorf("no ratio:\n%s", out)
	}
	if !strings.Contains(out.String(), "the sample in node was not measured") {
		t.Errorf("what was not measured is not said:\n%s", out)
	}
}

func TestWithWarmup(t *testing.T) {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for name, text := range map[string]string{"funcatron.yaml": "swagger: '2.0'\nx-funcatron:\n  warmup: [\"GET /x\"]\n  runtime: jvm\n", "A.class": "code"} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for warmup, want := range map[bool]string{
		false: "swagger: '2.0'\nx-funcatron:\n  runtime: jvm\n",
		true:  "swagger: '2.0'\nx-funcatron:\n  warmup: [\"GET /simple/42?cool=yes\"]\n  runtime: jvm\n",
	} {
		out, err := withWarmup(buf.Bytes(), warmup)
		if err != nil {
			t.Fatal(err)
		}
		r, err := zip.NewReader(bytes.NewReader(out), int64(len(out)))
		if err != nil || len(r.File) != 2 {
			t.Fatalf("%d files, %v", len(r.File), err)
		}
		for _, f := range r.File {
			text, err := read(f)
			if err != nil || f.Name == "funcatron.yaml" && text != want || f.Name == "A.class" && text != "code" {
				t.Errorf("%s holds %q, %v", f.Name, text, err)
			}
		}
	}
}

// What fails is said, costs nothing else, and leaves nothing behind.
func TestScenarioFails(t *testing.T) {
	b, out := small(t, Options{Scenarios: []string{report.Footprint, report.Micro}, RabbitURL: "amqp://127.0.0.1:1/", Source: "."})
	b.opts.Binary = "/bin/false"
	err := b.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "measure footprint") {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(out.String(), "footprint was not measured to its end") || !strings.Contains(out.String(), "micro needs Funcatron's source") {
		t.Errorf("the table:\n%s", out)
	}
	nothingLeft(t, b)
}

func TestContextEndsRun(t *testing.T) {
	b, _ := small(t, Options{Scenarios: []string{report.Gateway}, RabbitURL: "amqp://127.0.0.1:1/"})
	b.opts.Time = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	began := time.Now()
	if err := b.Run(ctx); err == nil {
		t.Error("no error")
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	nothingLeft(t, b)
}

func TestNewRefuses(t *testing.T) {
	for _, tc := range []struct {
		o    Options
		want string
	}{
		{Options{Scenarios: []string{"gatway"}}, `no scenario "gatway"`},
		{Options{Scenarios: []string{"gateway"}, URL: "http://x/"}, "give one"},
		{Options{Time: time.Millisecond}, "--time"},
		{Options{Rounds: 1000}, "--rounds"},
	} {
		if _, err := New(tc.o); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want an error that says %q", tc.o, err, tc.want)
		}
	}
}
