package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// securedDocument is a bundle whose operations require all kinds of credentials.
const securedDocument = `
swagger: "2.0"
info: {title: Secured, version: "1"}
basePath: /secured
produces: [application/json]
x-funcatron: {runtime: exec, command: [` + asFunction + `], concurrency: 16, timeout: 20s}
securityDefinitions:
  users: {type: basic}
  machines: {type: apiKey, in: header, name: X-Api-Key}
  links: {type: apiKey, in: query, name: key}
  login: {type: oauth2, flow: implicit, authorizationUrl: 'https://login.test', scopes: {read: reads, write: writes}}
security: [{users: []}]
paths:
  /users: {get: {operationId: version, responses: {"200": {description: ok}}}}
  /open: {get: {operationId: version, security: [], responses: {"200": {description: ok}}}}
  /machines: {get: {operationId: version, security: [{machines: []}], responses: {"200": {description: ok}}}}
  /links: {get: {operationId: version, security: [{links: []}], responses: {"200": {description: ok}}}}
  /read: {get: {operationId: version, security: [{login: [read]}], responses: {"200": {description: ok}}}}
  /write: {get: {operationId: version, security: [{login: [read, write]}], responses: {"200": {description: ok}}}}
  /either: {get: {operationId: version, security: [{users: []}, {machines: []}], responses: {"200": {description: ok}}}}
  /both: {get: {operationId: version, security: [{users: [], machines: []}], responses: {"200": {description: ok}}}}
`

// login signs tokens, as an issuer does.
type login struct {
	key *rsa.PrivateKey
}

func (l *login) jwks(t *testing.T) map[string]any {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: l.key, KeyID: "2026", Use: "sig", Algorithm: "RS256"}}})
	var set map[string]any
	if err == nil {
		err = json.Unmarshal(b, &set)
	}
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// token is an Authorization header's value.
func (l *login) token(t *testing.T, scope, audience string, ends time.Duration) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: l.key, KeyID: "2026"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign(fmt.Appendf(nil, `{"iss":"https://login.test","aud":%q,"exp":%d,"scope":%q}`, audience, time.Now().Add(ends).Unix(), scope))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + raw
}

// Operations are served to those who show the credentials in the deployment's props,
// and not at all where props have none.
func TestSecurityDefinitions(t *testing.T) {
	dir := t.TempDir()
	s := upSystem(t, dir, "--log-level=debug")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	issuer := &login{key: key}
	sha := s.add(zipOf(t, map[string]string{"funcatron.yaml": securedDocument}))
	const password, machine, link = "correct horse battery", "machine-key-4711", "link+key/0815"
	security := map[string]any{
		"users":    map[string]any{"users": map[string]string{"alice": password}},
		"machines": map[string]any{"keys": []string{machine}},
		"links":    map[string]any{"keys": map[string]string{"newsletter": link}},
		"login":    map[string]any{"jwks": issuer.jwks(t), "issuer": "https://login.test", "audience": "shop"},
	}

	// Nothing that requires credentials is enabled without them.
	for _, missing := range []string{"users", "machines", "links", "login"} {
		some := map[string]any{}
		for name, v := range security {
			if name != missing {
				some[name] = v
			}
		}
		a := s.tryEnable(sha, map[string]any{"security": some})
		if a.status != 400 || !strings.Contains(a.body, "props.security."+missing+" (") || !strings.Contains(a.body, "is missing") || strings.Count(a.body, "is missing") != 2 { // in error and in errors
			t.Errorf("enable without %s: %d %s", missing, a.status, a.body)
		}
		noneOf(t, "the answer", a.body, password, machine, link)
	}
	a := s.tryEnable(sha, nil)
	var refused struct{ Errors []string }
	if decode(t, a.body, &refused); a.status != 400 || len(refused.Errors) != 4 {
		t.Errorf("enable without props: %d %s, want 400 with all four", a.status, a.body)
	}
	if a := request(t, "GET", s.gateway+"/secured/open", ""); a.status != 404 {
		t.Errorf("after refused enables: %d %s, want 404", a.status, a.body)
	}

	props := map[string]any{"version": "7", "security": security}
	s.enable(sha, props)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+password))
	wrong := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:horse"))
	read, write := issuer.token(t, "read", "shop", time.Hour), issuer.token(t, "write read", "shop", time.Hour)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	forged := (&login{key: other}).token(t, "read write", "shop", time.Hour)
	check := func() {
		t.Helper()
		for _, tc := range []struct {
			path, authorization, apiKey string
			status                      int
			challenge                   string
		}{
			{"/open", "", "", 200, ""},
			{"/users", "", "", 401, `Basic realm="/secured", charset="UTF-8"`},
			{"/users", wrong, "", 401, `Basic realm="/secured", charset="UTF-8"`},
			{"/users", read, machine, 401, `Basic realm="/secured", charset="UTF-8"`},
			{"/users", basic, "", 200, ""},
			{"/machines", basic, "", 401, `ApiKey realm="/secured", in="header", name="X-Api-Key"`},
			{"/machines", "", machine + "x", 401, `ApiKey realm="/secured", in="header", name="X-Api-Key"`},
			{"/machines", "", machine, 200, ""},
			{"/links", "", machine, 401, `ApiKey realm="/secured", in="query", name="key"`},
			{"/links?key=link+key/0815", "", "", 401, `ApiKey realm="/secured", in="query", name="key"`},
			{"/links?key=link%2Bkey%2F0815", "", "", 200, ""},
			{"/read", "", "", 401, `Bearer realm="/secured"`},
			{"/read", forged, "", 401, `Bearer realm="/secured", error="invalid_token", error_description="The token is not valid."`},
			{"/read", issuer.token(t, "read", "another", time.Hour), "", 401, `Bearer realm="/secured", error="invalid_token", error_description="The token is not valid."`},
			{"/read", issuer.token(t, "read", "shop", -time.Hour), "", 401, `Bearer realm="/secured", error="invalid_token", error_description="The token has expired."`},
			{"/read", read, "", 200, ""},
			{"/read", read, "", 200, ""}, // remembered now
			{"/write", read, "", 403, `Bearer realm="/secured", error="insufficient_scope", scope="read write"`},
			{"/write", write, "", 200, ""},
			{"/either", "", machine, 200, ""},
			{"/either", basic, "", 200, ""},
			{"/either", "", "", 401, `Basic realm="/secured", charset="UTF-8", ApiKey realm="/secured", in="header", name="X-Api-Key"`},
			{"/both", basic, "", 401, `ApiKey realm="/secured", in="header", name="X-Api-Key", Basic realm="/secured", charset="UTF-8"`},
			{"/both", basic, machine, 200, ""},
		} {
			var header []string
			if tc.authorization != "" {
				header = append(header, "Authorization", tc.authorization)
			}
			if tc.apiKey != "" {
				header = append(header, "X-Api-Key", tc.apiKey)
			}
			a := request(t, "GET", s.gateway+"/secured"+tc.path, "", header...)
			if challenge := strings.Join(a.header.Values("WWW-Authenticate"), ", "); a.status != tc.status || challenge != tc.challenge {
				t.Errorf("GET %s, Authorization %.12q, key %q: %d %s %s; want %d %s", tc.path, tc.authorization, tc.apiKey, a.status, challenge, a.body, tc.status, tc.challenge)
			}
			if a.status == 200 && !strings.Contains(a.body, `"7"`) {
				t.Errorf("GET %s: %s", tc.path, a.body)
			}
		}
	}
	s.serves("/secured/open")
	check()

	// The same again, and without props, changes nothing; empty ones are refused.
	for body, want := range map[string]int{`{"sha":"` + sha + `"}`: 200, `{"sha":"` + sha + `","props":{}}`: 400} {
		if a := request(t, "POST", s.tron+"/api/v1/enable", body); a.status != want {
			t.Errorf("enable %s: %d %s, want %d", body, a.status, a.body, want)
		}
	}
	check()

	secrets := []string{password, machine, link, basic, read, base64.StdEncoding.EncodeToString(key.D.Bytes()), base64.RawURLEncoding.EncodeToString(key.D.Bytes()), "digests"}
	admin := regexp.MustCompile(`admin=(http://\S+)`)
	show := func() {
		t.Helper()
		output, _ := s.procs["up"].output()
		noneOf(t, "the log", output, secrets...)
		for _, url := range []string{s.tron + "/api/v1/routes", s.tron + "/api/v1/stats", s.tron + "/api/v1/known_funcs", s.tron + "/metrics", admin.FindStringSubmatch(output)[1] + "/__routes", admin.FindStringSubmatch(output)[1] + "/metrics"} {
			a := request(t, "GET", url, "")
			if a.status != 200 || !strings.Contains(a.body, "/secured") && !strings.HasSuffix(url, "/metrics") {
				t.Errorf("GET %s: %d %s", url, a.status, a.body)
			}
			noneOf(t, url, a.body, secrets...)
		}
		pid := s.procs["up"].cmd.Process.Pid
		for _, file := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
			if err != nil {
				t.Error(err)
			}
			noneOf(t, file, string(b), secrets...)
		}
	}
	show()

	// What is saved protects as well, while there is no Tron to ask.
	s.procs["up"].kill()
	files := 0
	err = filepath.WalkDir(filepath.Join(dir, "gateway"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		noneOf(t, path, string(b), secrets[:len(secrets)-1]...)
		if info, err := d.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
		return nil
	})
	if err != nil || files < 2 {
		t.Errorf("%d files of the gateway, %v", files, err)
	}
	s = upSystem(t, dir, "--log-level=debug")
	s.serves("/secured/open")
	check()
	show()
}

func noneOf(t *testing.T, what, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("%s shows %.30q: ...%.200q", what, secret, text[max(0, i-60):])
		}
	}
}

// A document that requires what it does not define is refused when it is uploaded.
func TestUndefinedSecurityIsRefused(t *testing.T) {
	s := upSystem(t, t.TempDir())
	bad := strings.Replace(securedDocument, "[{login: [read]}]", "[{logn: [read]}]", 1)
	b, err := os.ReadFile(zipOf(t, map[string]string{"funcatron.yaml": bad}))
	if err != nil {
		t.Fatal(err)
	}
	a := request(t, "POST", s.tron+"/api/v1/add_func", string(b))
	if a.status != 400 || !strings.Contains(a.body, `GET /read: security requires \"logn\", which securityDefinitions does not define`) {
		t.Errorf("%d %s", a.status, a.body)
	}
}
