package main_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/funcatron/funcatron/runner/pack"
	"github.com/funcatron/funcatron/shared/bundle"
)

const reqID = "db9d00abf61d9c67f4f0e755e96b8d0e"

// unpacked is the folder of the sample's bundle, packed once for this machine.
var unpacked string

func TestMain(m *testing.M) {
	code, err := withBundle(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withBundle(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "fn")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	zip := filepath.Join(dir, "sample.zip")
	if _, err := pack.Dir(context.Background(), pack.Options{Dir: ".", Out: zip, Platforms: []string{pack.Host()}, Stderr: os.Stderr}); err != nil {
		return 1, err
	}
	unpacked = filepath.Join(dir, "unpacked")
	if err := os.Mkdir(unpacked, 0o700); err != nil {
		return 1, err
	}
	if err := bundle.Unpack(zip, unpacked); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// sample is a process of the bundle, started as the Runner starts one.
type sample struct {
	*testing.T
	client *http.Client
	cmd    *exec.Cmd
	stdout lines
}

// lines collects what the process writes.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func start(t *testing.T, props string) *sample {
	t.Helper()
	dir, err := os.MkdirTemp("", "fn") // t.TempDir's names are too long for a socket's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket, propsFile := filepath.Join(dir, "s"), filepath.Join(dir, "props.json")
	if err := os.WriteFile(propsFile, []byte(props), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &sample{T: t}
	s.cmd = exec.Command(filepath.Join(unpacked, "bin", strings.Replace(pack.Host(), "/", "-", 1), "app"))
	s.cmd.Dir = unpacked
	s.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8", "TMPDIR=" + dir,
		"FUNCATRON_SOCKET=" + socket, "FUNCATRON_PROPS_FILE=" + propsFile,
		"FUNCATRON_SHA=" + strings.Repeat("0", 64), "FUNCATRON_GIT_SHA=", "FUNCATRON_BASE_PATH=/sample/go",
	}
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stdout
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() }) // an error says that it has ended, as it should
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	s.client = &http.Client{Transport: transport}

	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
			return s
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("the process does not accept: %v\n%s", err, &s.stdout)
		}
	}
}

// stop ends the process as the Runner does; it ends in good order.
func (s *sample) stop() {
	s.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.Error(err)
	}
	if err := s.cmd.Wait(); err != nil {
		s.Errorf("the process ended with %v:\n%s", err, &s.stdout)
	}
}

type answer struct {
	status int
	kind   string // Content-Type
	body   string
}

// call sends what the Runner would for a request that the document let through.
func (s *sample) call(method, target, operation, params, body string) answer {
	s.Helper()
	res, data := s.send(method, target, operation, params, body, "Content-Type", "application/json")
	return answer{res.StatusCode, res.Header.Get("Content-Type"), data}
}

// send is call with headers, which replace its own.
func (s *sample) send(method, target, operation, params, body string, header ...string) (*http.Response, string) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method, "http://function/sample/go"+target, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("X-Request-Id", reqID)
	req.Header.Set("Traceparent", "00-"+reqID+"-b7ad6b7169203331-01")
	req.Header.Set("X-Funcatron-Operation", "funcatron.go_sample."+operation)
	req.Header.Set("X-Funcatron-Params", params)
	req.Header.Set("X-Funcatron-Timeout-Ms", "30000")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	return res, string(data)
}

func TestSimpleGet(t *testing.T) {
	s := start(t, `{"key":"value"}`)
	const rest = `"bools":true,"numero":0(\.\d+(e-\d+)?)?,"query-params":%s,"time":"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d UTC \d{4}"}$`
	for _, tc := range []struct{ target, params, want string }{
		{"/simple/42?cool=yes", `{"path":{"num":42},"query":{},"header":{},"form":{}}`, `^{"num-param":42,` + fmt.Sprintf(rest, `{"cool":"yes"}`)},
		{"/simple/9223372036854775807", `{"path":{"num":9223372036854775807}}`, `^{"num-param":9223372036854775807,` + fmt.Sprintf(rest, `{}`)},
		{"/simple?a=1&a=2&b=%3C", `{"path":{},"query":{}}`, `^{` + fmt.Sprintf(rest, `{"a":\["1","2"\],"b":"<"}`)},
	} {
		got := s.call("GET", tc.target, "SimpleGet", tc.params, "")
		if got.status != 200 || got.kind != "application/json" || !regexp.MustCompile(tc.want).MatchString(got.body) {
			t.Errorf("%s: got %v, want %s", tc.target, got, tc.want)
		}
	}
	s.stop()

	first, _, _ := strings.Cut(s.stdout.String(), "\n")
	var line struct{ Level, Msg, Op, Req string }
	if err := json.Unmarshal([]byte(first), &line); err != nil {
		t.Fatalf("%q: %v", first, err)
	}
	if line.Level != "INFO" || line.Msg != "In Go 'SimpleGet... yay!" || line.Op != "funcatron.go_sample.SimpleGet" || line.Req != reqID {
		t.Errorf("logged %q", first)
	}
}

func TestPostOrDelete(t *testing.T) {
	s := start(t, `{}`)
	for _, tc := range []struct {
		method, cnt, body string
		want              answer
	}{
		{"POST", "3", `{"name":"Ann","age":30}`, answer{200, "application/json", `[{"name":"Ann1","age":31},{"name":"Ann2","age":32},{"name":"Ann3","age":33}]`}},
		{"POST", "0", `{"name":"Ann","age":30}`, answer{200, "application/json", `[]`}},
		{"POST", "-1", `{"name":"Ann","age":30}`, answer{200, "application/json", `[]`}},
		{"DELETE", "7", "", answer{200, "application/json", `{"name":"Deleted 7","age":7}`}},
		{"GET", "7", "", answer{400, "text/plain", "Expecting a POST or DELETE, but got GET"}},
		{"HEAD", "7", "", answer{400, "text/plain", ""}},
	} {
		if got := s.call(tc.method, "/change/"+tc.cnt, "PostOrDelete", `{"path":{"cnt":`+tc.cnt+`}}`, tc.body); got != tc.want {
			t.Errorf("%s %s: got %v, want %v", tc.method, tc.cnt, got, tc.want)
		}
	}
	if got := s.call("POST", "/change/2", "PostOrDelete", `{"path":{"cnt":2}}`, `{"name":`); got.status != 400 || !strings.Contains(got.body, reqID) {
		t.Errorf("got %v", got)
	}
	s.stop()
}

// count asks the database itself.
func count(t *testing.T, url, name string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM visits WHERE name = ?`, name).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestVisits(t *testing.T) {
	url := "file:" + filepath.Join(t.TempDir(), "visits.db") + "?_pragma=busy_timeout(10000)&_txlock=immediate"
	props, err := json.Marshal(map[string]any{
		"maxVisits": 2,
		"db":        map[string]any{"type": "database", "driver": "sqlite", "url": url},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, string(props))
	list := func() string {
		return s.call("GET", "/visits", "ListVisits", `{"query":{"limit":100}}`, "").body
	}
	post := func(name string) answer {
		return s.call("POST", "/visits", "AddVisit", `{}`, `{"name":"`+name+`"}`)
	}
	if got := list(); got != "[]" {
		t.Errorf("the guest book begins with %s", got)
	}
	form := regexp.MustCompile(`^{"id":\d+,"name":"Ann","time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"}$`)
	for range 2 {
		if got := post("Ann"); got.status != 201 || !form.MatchString(got.body) {
			t.Errorf("got %v", got)
		}
	}
	if n := count(t, url, "Ann"); n != 2 {
		t.Errorf("%d visits are committed, want 2", n)
	}
	if got := post("Ann"); got.status != 409 || !strings.Contains(got.body, "Ann has visited 2 times already") || !strings.Contains(got.body, reqID) {
		t.Errorf("one visit too many got %v", got)
	}
	if n := count(t, url, "Ann"); n != 2 {
		t.Errorf("%d visits are there after the rollback, want 2", n)
	}

	// Many at once: none is lost, none too many is kept.
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 16 {
		wg.Go(func() {
			got := post("Bea")
			mu.Lock()
			defer mu.Unlock()
			statuses[got.status]++
		})
	}
	wg.Wait()
	if n := count(t, url, "Bea"); n != 2 || statuses[201] != 2 || statuses[409] != 14 {
		t.Errorf("%d visits are committed, answered %v", n, statuses)
	}
	if got := s.call("GET", "/visits?name=Ann", "ListVisits", `{"query":{"name":"Ann","limit":100}}`, "").body; strings.Count(got, `"Ann"`) != 2 || strings.Contains(got, "Bea") {
		t.Errorf("Ann's visits are %s", got)
	}
	if got := s.call("GET", "/visits", "ListVisits", `{"query":{"limit":1}}`, "").body; strings.Count(got, `"id"`) != 1 || !strings.Contains(got, "Bea") {
		t.Errorf("the latest visit is %s", got)
	}
	// Who stays longer than the request may take has not been there.
	if res, body := s.send("POST", "/visits?sleep=10000", "AddVisit", `{"query":{"sleep":10000}}`, `{"name":"Cal"}`, "X-Funcatron-Timeout-Ms", "100"); res.StatusCode != 504 {
		t.Errorf("one that came too late got %d %s", res.StatusCode, body)
	}
	if n := count(t, url, "Cal"); n != 0 {
		t.Errorf("%d visits of one that came too late are committed", n)
	}
	if got := s.call("POST", "/visits?sleep=1", "AddVisit", `{"query":{"sleep":1}}`, `{"name":"Cal"}`); got.status != 201 {
		t.Errorf("one that came in time got %v", got)
	}
	s.stop()

	s = start(t, string(props)) // another process finds them
	if got := list(); strings.Count(got, `"Ann"`) != 2 || strings.Count(got, `"Bea"`) != 2 {
		t.Errorf("after a restart the guest book is %s", got)
	}
	s.stop()
}

func TestVisitsWithoutDatabase(t *testing.T) {
	for props, want := range map[string]string{
		`{}`: `enable the bundle with props`,
		`{"db":{"type":"database","driver":"pgx","url":"postgres://db/x"}}`:            `service \"db\" is not available`,
		`{"db":{"type":"database","driver":"sqlite","url":"file:/nowhere/at/all.db"}}`: ``,
	} {
		s := start(t, props)
		for _, got := range []answer{
			s.call("POST", "/visits", "AddVisit", `{}`, `{"name":"Ann"}`),
			s.call("GET", "/visits", "ListVisits", `{"query":{"limit":100}}`, ""),
		} {
			if got.status < 500 || want != "" && got.status != 503 || got.kind != "application/problem+json" || !strings.Contains(got.body, want) {
				t.Errorf("%s: got %v", props, got)
			}
		}
		s.stop()
	}
}
