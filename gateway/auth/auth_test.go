package auth

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/funcatron/funcatron/shared/swagger"
	"github.com/funcatron/funcatron/shared/wire"
)

var (
	basicDef  = &swagger.Scheme{Name: "b", Type: swagger.Basic}
	headerDef = &swagger.Scheme{Name: "k", Type: swagger.APIKey, In: "header", Param: "X-Key"}
	queryDef  = &swagger.Scheme{Name: "q", Type: swagger.APIKey, In: "query", Param: "api key"}
	tokenDef  = &swagger.Scheme{Name: "o", Type: swagger.OAuth2}
)

// secretsOf is a verifier that takes these.
func secretsOf(kind string, secrets ...string) wire.Verifier {
	v := wire.Verifier{Type: kind, Salt: wire.NewSalt()}
	for _, s := range secrets {
		sum := v.Digest([]byte(s))
		v.Digests = append(v.Digests, sum[:])
	}
	return v
}

func all() map[string]wire.Verifier {
	return map[string]wire.Verifier{
		"b": secretsOf(swagger.Basic, "alice:open sesame", "bob:b:c", "ü:ö"),
		"k": secretsOf(swagger.APIKey, "key one", "key-two"),
		"q": secretsOf(swagger.APIKey, "a+b/c=", "key-two"),
		"o": signed.verifier("", ""),
	}
}

// any of these lets in.
func one(defs ...*swagger.Scheme) []swagger.Requirement {
	var list []swagger.Requirement
	for _, d := range defs {
		list = append(list, swagger.Requirement{{Scheme: d}})
	}
	return list
}

func together(defs ...*swagger.Scheme) swagger.Requirement {
	var r swagger.Requirement
	for _, d := range defs {
		r = append(r, swagger.Need{Scheme: d})
	}
	return r
}

func scoped(scopes ...string) swagger.Requirement {
	return swagger.Requirement{{Scheme: tokenDef, Scopes: scopes}}
}

func compile(t testing.TB, verifiers map[string]wire.Verifier, security []swagger.Requirement) *Guard {
	t.Helper()
	guards, err := Compile([]*swagger.Operation{{Security: security}}, verifiers, "/app")
	if err != nil {
		t.Fatal(err)
	}
	return guards[0]
}

// get is a request as a server gets it. Each line is a header line.
func get(t testing.TB, target string, lines ...string) *fasthttp.Request {
	t.Helper()
	var req fasthttp.Request
	raw := "GET " + target + " HTTP/1.1\r\nHost: a.test\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n"
	if err := req.Read(reader(raw)); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	return &req
}

func basicLine(credentials string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
}

// status is what a request comes to; 200 is let in.
func status(g *Guard, req *fasthttp.Request) int {
	if no := g.Check(req, time.Now()); no != nil {
		return no.Status
	}
	return 200
}

func TestBasic(t *testing.T) {
	g := compile(t, all(), one(basicDef))
	for _, tc := range []struct {
		line string
		want int
	}{
		{basicLine("alice:open sesame"), 200},
		{basicLine("bob:b:c"), 200}, // the first colon ends the user
		{basicLine("ü:ö"), 200},
		{"aUTHORIZATION: bASIC   YWxpY2U6b3BlbiBzZXNhbWU=", 200},
		{"X: y", 401},
		{basicLine("alice:open sesamE"), 401},
		{basicLine("alice:"), 401},
		{basicLine(":open sesame"), 401},
		{basicLine("alice"), 401},
		{basicLine("bob:open sesame"), 401}, // another user's
		{basicLine("alice:open sesame\x00"), 401},
		{basicLine("alice:open sesame ") + "\r\nX: y", 401},
		{basicLine(""), 401},
		{"Authorization:", 401},
		{"Authorization: Basic", 401},
		{"Authorization: Basic YWxpY2U6b3BlbiBzZXNhbWU", 401},  // not padded
		{"Authorization: Basic YWxpY2U6b3BlbiBzZXNhbWV=", 401}, // bits behind the end
		{"Authorization: Basic YWxp Y2U6b3BlbiBzZXNhbWU=", 401},
		{"Authorization: Basic YWxpY2U6b3BlbiBzZXNhbWU=, Basic x", 401},
		{"Authorization: Basic alice:open sesame", 401},
		{"Authorization: BasicYWxpY2U6b3BlbiBzZXNhbWU=", 401},
		{"Authorization: Bearer YWxpY2U6b3BlbiBzZXNhbWU=", 401},
		{"Proxy-Authorization: Basic YWxpY2U6b3BlbiBzZXNhbWU=", 401},
		{basicLine("alice:open sesame") + "\r\n" + basicLine("alice:open sesame"), 401}, // twice
		{basicLine("alice:open sesame") + "\r\n" + basicLine("mallory:x"), 401},
	} {
		if got := status(g, get(t, "/", tc.line)); got != tc.want {
			t.Errorf("%q: %d, want %d", tc.line, got, tc.want)
		}
	}
}

func TestAPIKey(t *testing.T) {
	inHeader, inQuery := compile(t, all(), one(headerDef)), compile(t, all(), one(queryDef))
	for _, tc := range []struct {
		guard        *Guard
		target, line string
		want         int
	}{
		{inHeader, "/", "X-Key: key one", 200},
		{inHeader, "/", "x-kEY:  key-two ", 200}, // a field's value has no space around it
		{inHeader, "/", "A: b", 401},
		{inHeader, "/", "X-Key:", 401},
		{inHeader, "/", "X-Key: key", 401},
		{inHeader, "/", "X-Key: KEY-TWO", 401},
		{inHeader, "/", "X-Key: key one, key-two", 401},
		{inHeader, "/", "X-Key: key one\r\nX-Key: key one", 401},
		{inHeader, "/", "X_Key: key one", 401},
		{inHeader, "/?X-Key=key-two&api%20key=key-two", "A: b", 401},
		{inHeader, "/", "Authorization: Bearer key-two", 401},

		{inQuery, "/?api%20key=key-two", "A: b", 200},
		{inQuery, "/?a=b&api+key=a%2Bb%2fc%3D&c", "A: b", 200},
		{inQuery, "/?%61pi%20key=%6b%65%79-two", "A: b", 200},
		{inQuery, "http://a.test/?api+key=key-two", "A: b", 200},
		{inQuery, "/?api%20key=a+b/c=", "A: b", 401}, // decoded, the plus is a space
		{inQuery, "/", "A: b", 401},
		{inQuery, "/?", "A: b", 401},
		{inQuery, "/?api+key", "A: b", 401},
		{inQuery, "/?api+key=", "A: b", 401},
		{inQuery, "/?api+key=key-twO", "A: b", 401},
		{inQuery, "/?api+key=key%2", "A: b", 401},
		{inQuery, "/?Api+Key=key-two", "A: b", 401},
		{inQuery, "/?api+key=key-two&api+key=key-two", "A: b", 401}, // twice
		{inQuery, "/?api+key=key-two&api%20key=x", "A: b", 401},
		{inQuery, "/?api+key=x&api%20key=key-two", "A: b", 401},
		{inQuery, "/api+key=key-two", "Api-Key: key-two", 401},
	} {
		if got := status(tc.guard, get(t, tc.target, tc.line)); got != tc.want {
			t.Errorf("%q, %q: %d, want %d", tc.target, tc.line, got, tc.want)
		}
	}
}

// A list is one of, an object all of.
func TestAlternatives(t *testing.T) {
	const b, k, q = "b", "k", "q"
	for _, tc := range []struct {
		security []swagger.Requirement
		lets     []string // which combinations are let in
	}{
		{one(basicDef), []string{"b", "bk", "bq", "bkq"}},
		{one(basicDef, headerDef), []string{"b", "k", "bk", "bq", "kq", "bkq"}},
		{[]swagger.Requirement{together(basicDef, headerDef)}, []string{"bk", "bkq"}},
		{[]swagger.Requirement{together(basicDef, headerDef, queryDef)}, []string{"bkq"}},
		{[]swagger.Requirement{together(basicDef, headerDef), together(queryDef)}, []string{"q", "bk", "bq", "kq", "bkq"}},
	} {
		g := compile(t, all(), tc.security)
		var lets []string
		for _, shows := range []string{"", b, k, q, "bk", "bq", "kq", "bkq"} {
			target, lines := "/", []string{"A: b"}
			if strings.Contains(shows, b) {
				lines = append(lines, basicLine("bob:b:c"))
			}
			if strings.Contains(shows, k) {
				lines = append(lines, "X-Key: key-two")
			}
			if strings.Contains(shows, q) {
				target = "/?api+key=key-two"
			}
			if status(g, get(t, target, lines...)) == 200 {
				lets = append(lets, shows)
			}
		}
		if !reflect.DeepEqual(lets, tc.lets) {
			t.Errorf("%v lets in %q, want %q", tc.security, lets, tc.lets)
		}
	}
}

// More schemes than a request has room for without asking for memory.
func TestManyAlternatives(t *testing.T) {
	verifiers := map[string]wire.Verifier{}
	var defs []*swagger.Scheme
	for i := range swagger.MaxAlternatives {
		d := &swagger.Scheme{Name: fmt.Sprint(i), Type: swagger.APIKey, In: "header", Param: fmt.Sprintf("X-%d", i)}
		defs, verifiers[d.Name] = append(defs, d), secretsOf(swagger.APIKey, "s"+d.Name)
	}
	g := compile(t, verifiers, one(defs...))
	for i := range defs {
		if got := status(g, get(t, "/", fmt.Sprintf("X-%d: s%d", i, i))); got != 200 {
			t.Errorf("way %d: %d", i, got)
		}
	}
	if no := g.Check(get(t, "/"), time.Now()); no == nil || len(no.Challenges) != len(defs) {
		t.Errorf("nothing shown: %+v", no)
	}
}

func TestNothingRequired(t *testing.T) {
	guards, err := Compile([]*swagger.Operation{{}, {Security: one(basicDef)}, {Security: []swagger.Requirement{}}}, all(), "/")
	if err != nil || guards[0] != nil || guards[1] == nil || guards[2] != nil {
		t.Errorf("%v, %v", guards, err)
	}
}

// Operations that share a list of requirements share a guard, and all of one
// definition share its tokens.
func TestShared(t *testing.T) {
	list := []swagger.Requirement{scoped("read")}
	guards, err := Compile([]*swagger.Operation{{Security: list}, {Security: list}, {Security: []swagger.Requirement{scoped("write")}}}, all(), "/")
	if err != nil || guards[0] != guards[1] || guards[0] == guards[2] || guards[0].schemes[0] != guards[2].schemes[0] {
		t.Errorf("%v, %v", guards, err)
	}
}

// A guard that cannot check lets nobody in.
func TestFailsClosed(t *testing.T) {
	short := secretsOf(swagger.Basic, "a:b")
	short.Digests[0] = short.Digests[0][:31]
	unsalted := secretsOf(swagger.Basic, "a:b")
	unsalted.Salt = nil
	for name, tc := range map[string]struct {
		verifiers map[string]wire.Verifier
		def       *swagger.Scheme
	}{
		"old state":     {nil, basicDef},
		"another's":     {map[string]wire.Verifier{"other": secretsOf(swagger.Basic, "a:b")}, basicDef},
		"another type":  {map[string]wire.Verifier{"b": secretsOf(swagger.APIKey, "a:b")}, basicDef},
		"empty":         {map[string]wire.Verifier{"b": {}}, basicDef},
		"no digests":    {map[string]wire.Verifier{"b": {Type: swagger.Basic, Salt: wire.NewSalt()}}, basicDef},
		"short digest":  {map[string]wire.Verifier{"b": short}, basicDef},
		"no salt":       {map[string]wire.Verifier{"b": unsalted}, basicDef},
		"no keys":       {map[string]wire.Verifier{"o": {Type: swagger.OAuth2}}, tokenDef},
		"symmetric key": {map[string]wire.Verifier{"o": {Type: swagger.OAuth2, JWKS: []byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`)}}, tokenDef},
	} {
		t.Run(name, func(t *testing.T) {
			requests := []*fasthttp.Request{get(t, "/"), get(t, "/", basicLine("a:b")), get(t, "/", "Authorization: Bearer x")}
			guards, err := Compile([]*swagger.Operation{{Security: one(tc.def)}}, tc.verifiers, "/")
			if err == nil || !strings.Contains(err.Error(), `"`+tc.def.Name+`"`) {
				t.Errorf("error %v, want one that names %q", err, tc.def.Name)
			}
			for _, req := range requests {
				if got := status(guards[0], req); got != 503 {
					t.Errorf("%q: %d, want 503", req.Header.Peek("Authorization"), got)
				}
			}
			// A way that needs it is closed; another one is not.
			guards, err = Compile([]*swagger.Operation{{Security: append(one(tc.def), together(headerDef))}, {Security: []swagger.Requirement{together(tc.def, headerDef)}}},
				merge(tc.verifiers, map[string]wire.Verifier{"k": secretsOf(swagger.APIKey, "key")}), "/")
			if err == nil {
				t.Error("no error where one of two cannot be checked")
			}
			for _, req := range requests {
				req.Header.Set("X-Key", "key")
				if either, both := status(guards[0], req), status(guards[1], req); either != 200 || both != 503 {
					t.Errorf("with a key that is right: %d for one of two, %d for both; want 200 and 503", either, both)
				}
				req.Header.Set("X-Key", "other")
				if got := status(guards[0], req); got != 401 {
					t.Errorf("with a key that is wrong: %d", got)
				}
			}
		})
	}
}

func merge(maps ...map[string]wire.Verifier) map[string]wire.Verifier {
	merged := map[string]wire.Verifier{}
	for _, m := range maps {
		for name, v := range m {
			merged[name] = v
		}
	}
	return merged
}

func TestChallenges(t *testing.T) {
	for _, tc := range []struct {
		security []swagger.Requirement
		line     string
		want     Refusal
	}{
		{one(basicDef), "A: b", Refusal{401, "The operation requires credentials.", []string{`Basic realm="/app", charset="UTF-8"`}}},
		{one(basicDef), basicLine("a:b"), Refusal{401, "The credentials are not valid.", []string{`Basic realm="/app", charset="UTF-8"`}}},
		{one(headerDef, queryDef), "A: b", Refusal{401, "The operation requires credentials.", []string{
			`ApiKey realm="/app", in="header", name="X-Key"`, `ApiKey realm="/app", in="query", name="api key"`}}},
		{one(tokenDef), "A: b", Refusal{401, "The operation requires credentials.", []string{`Bearer realm="/app"`}}},
		{one(tokenDef), "Authorization: Bearer x", Refusal{401, "The token is not valid.", []string{
			`Bearer realm="/app", error="invalid_token", error_description="The token is not valid."`}}},
		{one(tokenDef), "Authorization: Bearer", Refusal{401, "The credentials are not valid.", []string{`Bearer realm="/app", error="invalid_token"`}}},
		{append(one(basicDef, tokenDef), together(basicDef, headerDef)), "A: b", Refusal{401, "The operation requires credentials.", []string{
			`Basic realm="/app", charset="UTF-8"`, `Bearer realm="/app"`, `ApiKey realm="/app", in="header", name="X-Key"`}}},
		{[]swagger.Requirement{scoped("read", "write")}, signed.line(t, claim{"scope": "read"}), Refusal{403, "The token does not have the scopes that the operation requires.", []string{
			`Bearer realm="/app", error="insufficient_scope", scope="read write"`}}},
		{append(one(basicDef), scoped(`a"b\`)), signed.line(t, nil), Refusal{403, "The token does not have the scopes that the operation requires.", []string{
			`Bearer realm="/app", error="insufficient_scope", scope="a\"b\\"`}}},
	} {
		g := compile(t, all(), tc.security)
		no := g.Check(get(t, "/", tc.line), time.Now())
		if no == nil || !reflect.DeepEqual(*no, tc.want) {
			t.Errorf("%q: %+v, want %+v", tc.line, no, tc.want)
		}
	}
}

// Two definitions that ask for the same are asked for once.
func TestChallengesOnce(t *testing.T) {
	other := &swagger.Scheme{Name: "b2", Type: swagger.Basic}
	g := compile(t, merge(all(), map[string]wire.Verifier{"b2": secretsOf(swagger.Basic, "carol:x")}), one(basicDef, other))
	if no := g.Check(get(t, "/"), time.Now()); no == nil || len(no.Challenges) != 1 {
		t.Errorf("%+v", no)
	}
	if got := status(g, get(t, "/", basicLine("carol:x"))); got != 200 {
		t.Errorf("the second definition's user: %d", got)
	}
}

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"/app":          `"/app"`,
		`a"b\c`:         `"a\"b\\c"`,
		"a\r\nX: y\x00": `"a??X: y?"`,
		"ü":             `"?"`,
		"":              `""`,
	} {
		if got := quote(text); string(got) != want {
			t.Errorf("quote(%q) = %s, want %s", text, got, want)
		}
	}
}

// Whatever a client sends: nothing panics, and nothing but the right credentials
// lets it in; what it is told holds nothing of what it sent, and no line end.
func FuzzCheck(f *testing.F) {
	for _, line := range []string{
		basicLine("alice:open sesame"), basicLine("alice:x"), "Authorization: Basic ====", "X-Key: key-two", "Authorization: Bearer a.b.c",
		signed.line(f, claim{"scope": "read write"}), signed.line(f, claim{"exp": 1}), "Authorization: Bearer eyJhbGciOiJub25lIn0.e30.",
	} {
		name, value, _ := strings.Cut(line, ": ")
		f.Add(name, value, "api+key=x")
	}
	g := compile(f, all(), append(one(basicDef, headerDef, queryDef), scoped("read")))
	f.Fuzz(func(t *testing.T, name, value, query string) {
		var req fasthttp.Request
		req.Header.Add(name, value)
		req.SetRequestURI("/?" + query)
		no := g.Check(&req, time.Now())
		if no == nil {
			if !rightly(&req) {
				t.Errorf("%q: %q, query %q was let in", name, value, query)
			}
			return
		}
		if no.Status != 401 && no.Status != 403 || len(no.Challenges) == 0 {
			t.Errorf("%+v", no)
		}
		for _, c := range append(no.Challenges, no.Detail) {
			if strings.ContainsAny(c, "\r\n\x00") || len(value) > 40 && strings.Contains(c, value) {
				t.Errorf("told %q", c)
			}
		}
	})
}

// rightly tells independently whether a request has one of the secrets of all().
func rightly(req *fasthttp.Request) bool {
	if key := string(req.Header.Peek("X-Key")); key == "key one" || key == "key-two" {
		return true
	}
	if key := string(req.URI().QueryArgs().Peek("api key")); key == "a+b/c=" || key == "key-two" {
		return true
	}
	scheme, credentials, _ := strings.Cut(string(req.Header.Peek("Authorization")), " ")
	credentials = strings.TrimLeft(credentials, " ")
	switch strings.ToLower(scheme) {
	case "basic":
		plain, err := base64.StdEncoding.DecodeString(credentials)
		return err == nil && (string(plain) == "alice:open sesame" || string(plain) == "bob:b:c" || string(plain) == "ü:ö")
	case "bearer": // nobody makes a signature by chance: the payload is one that a test signed
		return signed.made(credentials)
	}
	return false
}
