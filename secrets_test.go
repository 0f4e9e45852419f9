package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch/brokertest"
	"github.com/funcatron/funcatron/shared/certs/certstest"
	"github.com/funcatron/funcatron/shared/wire"
	"github.com/funcatron/funcatron/tron/store"
)

// vault is a system with secrets, and everything that it has said.
type vault struct {
	*system
	client  *http.Client
	token   string
	admins  []string // where metrics are
	secrets map[string]string
	told    map[string]string // what was told, by where
}

func newVault(t *testing.T, client *http.Client) *vault {
	v := &vault{
		system: &system{t: t, procs: map[string]*process{}, stateDir: t.TempDir(), queue: "for_tron_test_" + wire.NewID()},
		client: client, secrets: map[string]string{}, told: map[string]string{},
	}
	v.token = v.secret("admin token")
	return v
}

// secret makes up one.
func (v *vault) secret(what string) string {
	s := "s3cr3t" + wire.NewID()
	v.secrets[what] = s
	return s
}

// file writes a secret to a file.
func (v *vault) file(secret string) string { return plainFile(v.t, secret+"\n") }

// ask sends a request to the Tron with the token, and notes what it answers.
func (v *vault) ask(method, path, body string) answer {
	v.t.Helper()
	return v.askWith(method, v.tron+path, body, "Bearer "+v.token)
}

func (v *vault) askWith(method, url, body, authorization string) answer {
	v.t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	a := answer{resp.StatusCode, resp.Header, string(text)}
	v.told[fmt.Sprintf("answer %d: %s %s", len(v.told), method, url)] = fmt.Sprint(a.header) + a.body
	return a
}

// learn finds out where everything listens.
func (v *vault) learn(tron, gateway string, runners ...string) {
	v.t.Helper()
	v.tron = v.procs[tron].waitFor(`List known Func Bundles: .* (https?://\S+)/api`)[1]
	v.admins = []string{v.tron}
	m := v.procs[gateway].waitFor(`serving url=(https?://\S+) admin=(http://\S+)`)
	v.gateway, v.admins = m[1], append(v.admins, m[2])
	for _, r := range runners {
		v.admins = append(v.admins, "http://"+v.procs[r].waitFor(`runner is ready .*admin=(\S+)`)[1])
	}
	v.eventually("all know of each other", func() error {
		var st stats
		decode(v.t, v.ask("GET", "/api/v1/stats", "").body, &st)
		if len(st.Network.Runners) < len(runners) || len(st.Network.Gateways) < 1 {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
}

// upVault is everything in one process.
func upVault(t *testing.T) *vault {
	v := newVault(t, client)
	t.Setenv("FUNCATRON_ADMIN_TOKEN", v.token) // start hands it on
	v.procs["up"] = start(t, append([]string{"up", "--state-dir", v.stateDir, "--drain-delay=0s", "--log-level=debug"}, anyPorts...)...)
	v.learn("up", "up", "up")
	return v
}

// clusterVault is a Tron, a gateway and two runners, all of them over TLS with
// certificates on both sides, and a RabbitMQ of their own whose password is secret.
func clusterVault(t *testing.T) *vault {
	ca := certstest.NewCA(t)
	server, member := ca.Issue("127.0.0.1"), ca.Issue("member")
	tr := &http.Transport{TLSClientConfig: ca.Client(ca.Issue("operator"))}
	t.Cleanup(tr.CloseIdleConnections)
	v := newVault(t, &http.Client{Transport: tr, Timeout: time.Minute})

	node := brokertest.StartTLSNode(t, ca.Issue("127.0.0.1"))
	password := v.secret("RabbitMQ password")
	node.Ctl("add_user", "funcatron", password)
	node.Ctl("set_permissions", "funcatron", ".*", ".*", ".*")
	at, err := url.Parse(node.TLSURL())
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.User("funcatron")
	v.rabbit = at.String()
	common := []string{"--log-level=debug", "--rabbit-password-file", v.file(password), "--rabbit-ca", ca.File, "--rabbit-cert", member.Cert, "--rabbit-key", member.Key}
	secure := append([]string{"--tls-cert", server.Cert, "--tls-key", server.Key, "--tls-client-ca", ca.File}, common...)
	v.start("tron", "tron", append([]string{"--tron-listen=127.0.0.1:0", "--admin-token-file", v.file(v.token)}, secure...)...)
	v.start("gateway", "gateway", append([]string{"--gateway-listen=127.0.0.1:0", "--gateway-admin-listen=127.0.0.1:0", "--drain-delay=100ms"}, secure...)...)
	for _, name := range []string{"runner1", "runner2"} {
		v.start(name, "runner", append([]string{"--runner-admin-listen=127.0.0.1:0", "--tron-ca", ca.File, "--tron-cert", member.Cert, "--tron-key", member.Key}, common...)...)
	}
	v.learn("tron", "gateway", "runner1", "runner2")
	return v
}

// upload adds a bundle.
func (v *vault) upload(file string) (sha string) {
	v.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		v.t.Fatal(err)
	}
	var r struct{ Sha string }
	a := v.ask("POST", "/api/v1/add_func", string(b))
	decode(v.t, a.body, &r)
	if a.status != 200 || r.Sha == "" {
		v.t.Fatalf("add_func: %d %s", a.status, a.body)
	}
	return r.Sha
}

// enable sends props to be enabled, and expects a status.
func (v *vault) enable(sha string, props any, want int) {
	v.t.Helper()
	body, err := json.Marshal(map[string]any{"sha": sha, "props": props})
	if err != nil {
		v.t.Fatal(err)
	}
	if a := v.ask("POST", "/api/v1/enable", string(body)); a.status != want {
		v.t.Fatalf("enable: %d %s, want %d", a.status, a.body, want)
	}
}

// What is secret is nowhere but where it has to be: not in what any part prints or
// answers, whatever goes wrong, not in arguments or environments, and on disk only in
// files for one user alone.
func TestSecretsAreKept(t *testing.T) {
	for name, begin := range map[string]func(*testing.T) *vault{"up": upVault, "parts": clusterVault} {
		t.Run(name, func(t *testing.T) {
			v := begin(t)
			id := wire.NewID() // tells these bundles from all others
			sha := v.upload(testBundle(t, "/vault", id+" 1"))
			next := v.upload(testBundle(t, "/vault", id+" 2"))
			bad := v.upload(zipOf(t, map[string]string{
				"funcatron.yaml": fmt.Sprintf(testDocument, id+" bad", "/bad", `"sh", "-c", "echo no such luck; exit 7"`),
			}))

			v.enable(sha, map[string]any{
				"version": "handed over", "password": v.secret("a value"),
				"nested": map[string]any{"deep": []any{v.secret("a value in a list"), map[string]any{"er": v.secret("a value in an object in a list")}}},
			}, 200)
			serves := func(path, want string) {
				t.Helper()
				v.eventually("GET "+path, func() error {
					if a := v.askWith("GET", v.gateway+path, "", ""); a.status != 200 || !strings.Contains(a.body, want) {
						return fmt.Errorf("%d %s", a.status, a.body)
					}
					return nil
				})
			}
			serves("/vault/version", "handed over")
			v.inFiles(sha)

			// Everything goes wrong that can.
			for path, want := range map[string]int{"/vault/die": 502, "/vault/slow/x": 400, "/nowhere": 404, "/vault/version": 200} {
				if a := v.askWith("POST", v.gateway+path, "", "Bearer "+v.secret("a client's token for "+path)); a.status != want {
					t.Errorf("POST %s: %d %s, want %d", path, a.status, a.body, want)
				}
			}
			v.enable(bad, map[string]any{"password": v.secret("a value of what does not start")}, 422)
			v.enable(strings.Repeat("0", 64), map[string]any{"password": v.secret("a value of what is not known")}, 404)
			for what, body := range map[string]string{
				"cut off":       `{"sha":"` + sha + `","props":{"password":"%s"`,
				"no object":     `{"sha":"` + sha + `","props":"%s"}`,
				"a list":        `{"sha":"` + sha + `","props":["%s"]}`,
				"no JSON":       `{"sha":"` + sha + `","props":{"password":%s}}`,
				"no sha":        `{"props":{"password":"%s"}}`,
				"sha's a list":  `{"sha":["` + sha + `"],"props":{"password":"%s"}}`,
				"not UTF-8":     `{"sha":"` + sha + `","props":{"password":"%s` + "\xff" + `"}}`,
				"too large":     `{"sha":"` + sha + `","props":{"password":"%s` + strings.Repeat("x", 1<<20) + `"}}`,
				"another field": `{"sha":"` + strings.Repeat("1", 64) + `","porps":{"password":"%s"}}`,
			} {
				for _, call := range []string{"enable", "disable"} {
					secret := v.secret("a value of a body, " + what + ", to " + call)
					if a := v.ask("POST", "/api/v1/"+call, fmt.Sprintf(body, secret)); a.status < 400 && call == "enable" {
						t.Errorf("%s, %s: %d %s", call, what, a.status, a.body)
					}
				}
			}
			v.ask("POST", "/api/v1/add_func", v.secret("what is no bundle"))
			for _, authorization := range []string{"Bearer " + v.token + "x", "Bearer " + v.token[:20], "Basic " + v.token, v.token} {
				if a := v.askWith("GET", v.tron+"/api/v1/routes", "", authorization); a.status != 401 {
					t.Errorf("routes with a wrong token: %d", a.status)
				}
			}
			if a := v.askWith("GET", v.tron+"/api/v1/bundle/"+sha, "", ""); a.status != 401 {
				t.Errorf("a bundle for everybody: %d", a.status)
			}
			v.enable(sha, map[string]any{"version": "changed", "password": v.secret("a value that replaced another")}, 200)
			serves("/vault/version", "changed")
			v.enable(next, map[string]any{"version": "next", "password": v.secret("a value of a second version")}, 200)
			serves("/vault/version", "next")

			// While it runs, and once more when it has ended.
			for _, path := range []string{"/api/v1/routes", "/api/v1/stats", "/api/v1/known_funcs", "/api/v1/swagger.json", "/"} {
				if a := v.ask("GET", path, ""); a.status != 200 {
					t.Errorf("%s: %d", path, a.status)
				}
			}
			if a := v.ask("GET", "/api/v1/routes", ""); !strings.Contains(a.body, `"password":"***"`) {
				t.Errorf("routes: %s", a.body)
			}
			for i, at := range v.admins {
				for _, path := range []string{"/metrics", "/healthz", "/readyz", "/__routes"} {
					a := v.askWith("GET", at+path, "", "")
					if a.status != 200 && (path != "/__routes" || i == 1) { // those are the gateway's
						t.Errorf("%s%s: %d", at, path, a.status)
					}
				}
			}
			v.inFiles(next)
			v.inProcesses(next)
			for _, name := range slices.Sorted(maps.Keys(v.procs)) {
				if name != "tron" && name != "up" {
					v.procs[name].terminate()
				}
			}
			for _, name := range []string{"tron", "up"} {
				if p := v.procs[name]; p != nil {
					p.terminate()
				}
			}
			v.secrets["bundle token"] = v.bundleToken()
			v.inFiles("")
			for name, p := range v.procs {
				v.told["the output of "+name], _ = p.output()
			}
			for where, text := range v.told {
				for what, secret := range v.secrets {
					if strings.Contains(text, secret) {
						t.Errorf("%s is in %s: %.2000s", what, where, regexp.MustCompile(`.{0,200}`+secret+`.{0,50}`).FindString(text))
					}
				}
			}
			if out := v.told["the output of "+slices.Sorted(maps.Keys(v.procs))[0]]; !strings.Contains(out, "DEBUG") {
				t.Errorf("the logs are not those of debug: %.500s", out)
			}
		})
	}
}

// bundleToken is the token that the Tron, which has ended, told its runners.
func (v *vault) bundleToken() string {
	v.t.Helper()
	dir := filepath.Join(v.stateDir, "tron")
	if v.procs["tron"] != nil {
		dir = filepath.Join(dir, "tron") // each process has a state folder of its own
	}
	st, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = st.Close() }() // nothing was written
	return st.Token()
}

// inFiles checks every file below the state folders, and the props files of the
// functions of a bundle that runs.
func (v *vault) inFiles(sha string) {
	v.t.Helper()
	var holding []string
	check := func(path string) {
		b, err := os.ReadFile(path)
		if err != nil {
			return // a file of the moment
		}
		for what, secret := range v.secrets {
			if !bytes.Contains(b, []byte(secret)) {
				continue
			}
			holding = append(holding, filepath.Base(path))
			info, err := os.Stat(path)
			if err != nil {
				continue
			}
			if info.Mode().Perm()&0o077 != 0 {
				v.t.Errorf("%s is in %s, which is for others, too: %v", what, path, info.Mode())
			}
			if !strings.HasPrefix(what, "a value") && what != "bundle token" || strings.Contains(path, "/gateway/") {
				v.t.Errorf("%s is in %s", what, path)
			}
		}
	}
	err := filepath.WalkDir(v.stateDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			check(path)
		}
		return nil // what is gone since does not matter
	})
	if err != nil {
		v.t.Error(err)
	}
	for _, name := range []string{"tron.db", "deployments.json"} {
		if !slices.Contains(holding, name) {
			v.t.Errorf("no secret was found in %s, where some have to be: this test does not see them", name)
		}
	}
	if sha == "" {
		return
	}
	props := 0
	for _, env := range environments(v.t) {
		if !strings.Contains(env, "\x00FUNCATRON_SHA="+sha) && !strings.HasPrefix(env, "FUNCATRON_SHA="+sha) {
			continue
		}
		if m := regexp.MustCompile(`FUNCATRON_PROPS_FILE=([^\x00]+)`).FindStringSubmatch(env); m != nil {
			props++
			holding = nil
			check(m[1])
			if len(holding) == 0 {
				v.t.Errorf("props are not in %s", m[1])
			}
		}
	}
	if props == 0 {
		v.t.Errorf("no function of %s runs", sha)
	}
}

// environments are those of all processes, by pid.
func environments(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(files) == 0 {
		t.Fatalf("no processes: %v", err)
	}
	all := make(map[string]string)
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil { // it may have ended
			all[filepath.Base(filepath.Dir(f))] = string(b)
		}
	}
	return all
}

// inProcesses checks the arguments and environments of all processes, among which are
// the functions of sha.
func (v *vault) inProcesses(sha string) {
	v.t.Helper()
	functions := 0
	for pid, env := range environments(v.t) {
		if strings.Contains(env, "FUNCATRON_SHA="+sha) {
			functions++
		}
		args, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline")) // it may have ended
		for what, secret := range v.secrets {
			if bytes.Contains(args, []byte(secret)) {
				v.t.Errorf("%s is in the arguments of process %s: %q", what, pid, args)
			}
			// Whoever gives it in the environment has it there, in that process.
			if p := v.procs["up"]; p != nil && what == "admin token" && pid == fmt.Sprint(p.cmd.Process.Pid) {
				continue
			}
			if strings.Contains(env, secret) {
				v.t.Errorf("%s is in the environment of process %s: %q", what, pid, args)
			}
		}
	}
	if functions == 0 {
		v.t.Errorf("no function of %s runs", sha)
	}
}
