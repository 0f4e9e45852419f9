package tron_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/shared/wire"
	"github.com/funcatron/funcatron/tron"
)

const token = "correct-horse-battery-staple"

func TestToken(t *testing.T) {
	o := options(t, t.TempDir())
	o.AdminToken = token
	r := start(t, o)
	run := r.runner("r")
	data := funcBundle(t, "/a", "1")
	sha := r.upload(data)
	bundleToken := run.Seen(wire.TronInfo)[0].Info.Token

	admin := []string{"POST /api/v1/add_func", "POST /api/v1/enable", "POST /api/v1/disable",
		"GET /api/v1/known_funcs", "GET /api/v1/routes", "GET /api/v1/stats"}
	bundle := []string{"GET /api/v1/bundle/" + sha}
	open := []string{"GET /healthz", "GET /readyz", "GET /metrics", "GET /api/v1/swagger.json", "GET /"}
	for _, tc := range []struct {
		name, authorization string
		allowed, refused    [][]string
	}{
		{"nothing", "", [][]string{open}, [][]string{admin, bundle}},
		{"a wrong token", "Bearer wrong", [][]string{open}, [][]string{admin, bundle}},
		{"half the token", "Bearer " + token[:10], nil, [][]string{admin, bundle}},
		{"another scheme", "Basic " + token, nil, [][]string{admin, bundle}},
		{"the bare token", token, nil, [][]string{admin, bundle}},
		{"an empty token", "Bearer ", nil, [][]string{admin, bundle}},
		{"the bundle token", "Bearer " + bundleToken, [][]string{open, bundle}, [][]string{admin}},
		{"the admin token", "Bearer " + token, [][]string{open, bundle, admin}, nil},
		{"a scheme in lower case", "bearer " + token, [][]string{admin}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			check := func(lists [][]string, refused bool) {
				for _, list := range lists {
					for _, call := range list {
						method, path, _ := strings.Cut(call, " ")
						a := r.do(method, path, nil, "Authorization", tc.authorization)
						if (a.status == 401) != refused {
							t.Errorf("%s: %d", call, a.status)
						}
						if refused && (!strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") || a.field(t, "success") != false) {
							t.Errorf("%s: %v %s", call, a.header, a.body)
						}
					}
				}
			}
			check(tc.allowed, false)
			check(tc.refused, true)
		})
	}
}

// Where there is no token, whoever is on this machine may; a web page that their
// browser shows may not.
func TestBrowsersOfOthers(t *testing.T) {
	data := funcBundle(t, "/a", "1")
	sha := digest(data)
	r := start(t, options(t, t.TempDir(), data))
	body := fmt.Sprintf(`{"sha":%q}`, sha)
	for _, tc := range []struct {
		name   string
		header []string
		want   int
	}{
		{"curl", nil, 200},
		{"by name", []string{"Host", "localhost:3000"}, 200},
		{"by another address", []string{"Host", "[::1]:3000"}, 200},
		{"another site's page", []string{"Origin", "http://evil.test", "Content-Type", "text/plain"}, 403},
		{"another site's form", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a name made to resolve here", []string{"Host", "evil.test", "Origin", "http://evil.test"}, 403},
	} {
		if a := r.do("POST", "/api/v1/enable", strings.NewReader(body), tc.header...); a.status != tc.want {
			t.Errorf("%s: %d %s, want %d", tc.name, a.status, a.body, tc.want)
		}
	}
	if a := r.do("GET", "/api/v1/known_funcs", nil, "Host", "evil.test"); a.status != 403 {
		t.Errorf("reading by a name made to resolve here: %d", a.status)
	}
}

func TestListenBeyondLoopback(t *testing.T) {
	o := options(t, t.TempDir())
	o.Listen = "0.0.0.0:0"
	if _, err := tron.New(o); err == nil || !strings.Contains(err.Error(), "--admin-token") || !strings.Contains(err.Error(), "--no-admin-auth") {
		t.Fatalf("New: %v, want an error that names the flags", err)
	}
	o.NoAdminAuth = true
	r := start(t, o) // and the folder and address were given back
	_, port, _ := strings.Cut(strings.TrimPrefix(r.url, "http://"), "]:")
	r.url = "http://127.0.0.1:" + port
	a := r.do("GET", "/api/v1/known_funcs", nil, "Host", "tron.cluster.test")
	if a.status != 200 {
		t.Errorf("by a name: %d %s", a.status, a.body)
	}
	if help := r.get("/").body; strings.Contains(help, "0.0.0.0") || strings.Contains(help, "[::]") {
		t.Errorf("nobody can reach the advertised address:\n%s", help)
	}
}

func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*tron.Options)
		want   []string
	}{
		{"no broker", func(o *tron.Options) { o.Broker = nil }, []string{"Broker"}},
		{"no queue", func(o *tron.Options) { o.Queue = "" }, []string{"Queue", "--tron-queue"}},
		{"no state folder", func(o *tron.Options) { o.StateDir = "" }, []string{"StateDir", "--state-dir"}},
		{"no address", func(o *tron.Options) { o.Listen = "here" }, []string{"Listen", "--tron-listen"}},
		{"a URL that is none", func(o *tron.Options) { o.URL = "tron:3000" }, []string{"--tron-url"}},
		{"a token of two lines", func(o *tron.Options) { o.AdminToken = "a\nb" }, []string{"AdminToken", "--admin-token"}},
		{"no time to enable", func(o *tron.Options) { o.EnableTimeout = 0 }, []string{"EnableTimeout"}},
		{"no time to acknowledge", func(o *tron.Options) { o.AckTimeout = -1 }, []string{"AckTimeout"}},
		{"a state folder that is a file", func(o *tron.Options) {
			if err := os.WriteFile(o.StateDir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"state folder"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options(t, filepath.Join(t.TempDir(), "tron"))
			tc.change(&o)
			_, err := tron.New(o)
			for _, want := range tc.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("New: %v, want an error with %q", err, want)
				}
			}
		})
	}
}

// The lines that are printed at the start do what they say, typed as they are.
func TestPrintedCommands(t *testing.T) {
	for _, tool := range []string{"wget", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("this test types the commands of the announcement: %v", err)
		}
	}
	for name, admin := range map[string]string{"open": "", "with a token": token} {
		t.Run(name, func(t *testing.T) {
			o := options(t, t.TempDir())
			o.AdminToken = admin
			r := start(t, o)
			r.runner("r")
			r.gateway("g")
			if strings.Contains(r.logs.String(), token) {
				t.Error("the token is in the log")
			}
			if !strings.Contains(r.logs.String(), "Frontend at http://g.test:8080") {
				t.Errorf("no line about the gateway in\n%s", r.logs)
			}
			file := filepath.Join(t.TempDir(), "bundle.zip")
			data := funcBundle(t, "/a", "1")
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			printed := func(what string) string {
				m := regexp.MustCompile(`msg="` + what + `: (.+)"( component|\n)`).FindStringSubmatch(r.logs.String())
				if m == nil {
					t.Fatalf("no line %q in\n%s", what, r.logs)
				}
				return strings.ReplaceAll(m[1], `\"`, `"`)
			}
			shell := func(line string) string {
				cmd := exec.Command("sh", "-c", line)
				cmd.Env = append(os.Environ(), "FUNCATRON_ADMIN_TOKEN="+admin)
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				return string(out)
			}
			upload := printed("Upload a Func Bundle")
			if admin == "" && upload != "wget -q -O - --post-file=THE_UBERJAR "+r.url+"/api/v1/add_func" {
				t.Errorf("printed: %s", upload)
			}
			if out := shell(strings.Replace(upload, "THE_UBERJAR", file, 1)); !strings.Contains(out, digest(data)) {
				t.Errorf("upload: %s", out)
			}
			list := printed("List known Func Bundles")
			if admin == "" && list != "curl -v "+r.url+"/api/v1/known_funcs" {
				t.Errorf("printed: %s", list)
			}
			if out := shell(list); !strings.Contains(out, digest(data)) {
				t.Errorf("list: %s", out)
			}
			enable := printed("Enable a Func Bundle")
			if want := `curl -v -H "Content-Type: application/json" -d '{"sha":"THE-SHA-HERE", "props": {"key": "value"}}' -X POST ` + r.url + `/api/v1/enable`; admin == "" && enable != want {
				t.Errorf("printed: %s", enable)
			}
			if out := shell(strings.Replace(enable, "THE-SHA-HERE", digest(data), 1)); !strings.Contains(out, `"state":"live"`) {
				t.Errorf("enable: %s", out)
			}
			help := r.do(http.MethodGet, "/", nil, "Authorization", "")
			for _, line := range []string{upload, list, enable} {
				if !strings.Contains(help.body, line) {
					t.Errorf("the help page does not have %s", line)
				}
			}
		})
	}
}
