package credentials

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/funcatron/funcatron/shared/keyset"
	"github.com/funcatron/funcatron/shared/swagger"
	"github.com/funcatron/funcatron/shared/wire"
)

// document is one whose only operation requires security.
func document(t *testing.T, security string) *swagger.Document {
	t.Helper()
	doc, err := swagger.Parse([]byte(`
swagger: "2.0"
info: {title: Test, version: "1"}
securityDefinitions:
  b: {type: basic}
  k: {type: apiKey, in: header, name: X-Key}
  q: {type: apiKey, in: query, name: key}
  o: {type: oauth2, flow: implicit, authorizationUrl: 'https://a.test', scopes: {read: r}}
paths: {/a: {get: {operationId: x, security: ` + security + `, responses: {"200": {description: ok}}}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// jwks is a set with a private key, as somebody may give it.
func jwks(t *testing.T) (set string, d string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k, KeyID: "1"}}})
	if err != nil {
		t.Fatal(err)
	}
	var raw struct{ Keys []struct{ D string } }
	if err := json.Unmarshal(b, &raw); err != nil || raw.Keys[0].D == "" {
		t.Fatal(err, "no private part")
	}
	return string(b), raw.Keys[0].D
}

func TestVerifiers(t *testing.T) {
	set, private := jwks(t)
	props := `{"db":"x","security":{
		"b":{"users":{"alice":"open sesame","bob":"b:c"}},
		"k":{"keys":["k1","k2 with space"]},
		"q":{"keys":{"ci":"käse"}},
		"o":{"jwks":` + set + `,"issuer":"https://i.test","audience":"me"},
		"other":{"users":{"x":"not asked for"}}}}`
	all, err := Verifiers(document(t, "[{b: []}, {k: [], q: []}, {o: [read]}]"), json.RawMessage(props))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 4 {
		t.Errorf("%d verifiers, want those of b, k, q and o", len(all))
	}
	for name, secrets := range map[string][]string{
		"b": {"alice:open sesame", "bob:b:c"}, "k": {"k1", "k2 with space"}, "q": {"käse"},
	} {
		v := all[name]
		if len(v.Digests) != len(secrets) || len(v.Salt) != 32 || !slices.IsSortedFunc(v.Digests, bytes.Compare) {
			t.Errorf("%s: %+v", name, v)
		}
		for _, s := range secrets {
			sum := v.Digest([]byte(s))
			if !slices.ContainsFunc(v.Digests, func(d []byte) bool { return bytes.Equal(d, sum[:]) }) {
				t.Errorf("%s does not take %q", name, s)
			}
		}
	}
	if o := all["o"]; o.Issuer != "https://i.test" || o.Audience != "me" || o.Type != swagger.OAuth2 {
		t.Errorf("o: %+v", o)
	} else if public, err := keyset.Parse(o.JWKS); err != nil || len(public) != 1 || public[0].ID != "1" {
		t.Errorf("keys of o: %+v, %v", public, err)
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"alice", "sesame", "bob", "k1", "k2", "käse", "ci", private, "not asked for"} {
		if bytes.Contains(b, []byte(`"`+secret)) || len(secret) > 4 && bytes.Contains(b, []byte(secret)) {
			t.Errorf("%q is in %s", secret, b)
		}
	}
	again, err := Verifiers(document(t, "[{b: []}]"), json.RawMessage(props))
	if err != nil || bytes.Equal(again["b"].Salt, all["b"].Salt) || bytes.Equal(again["b"].Digests[0], all["b"].Digests[0]) {
		t.Errorf("the same salt twice (%v)", err)
	}
}

func TestNothingRequired(t *testing.T) {
	for _, props := range []string{`{}`, ``, `{"security":7}`} {
		if all, err := Verifiers(document(t, "[]"), json.RawMessage(props)); all != nil || err != nil {
			t.Errorf("props %s: %v, %v", props, all, err)
		}
	}
}

// secret stands for what must not be in an answer.
const secret = "hush-hush"

func TestRefused(t *testing.T) {
	set, _ := jwks(t)
	for name, tc := range map[string]struct {
		security, given string // given: the value of props.security, "" where there is none
		want            []string
	}{
		"none":              {"[{b: []}, {o: [read]}]", "", []string{"props.security.b (basic) is missing", "props.security.o (oauth2) is missing"}},
		"empty":             {"[{b: []}]", "{}", []string{"props.security.b (basic) is missing", `{"users":`}},
		"null":              {"[{b: []}]", `{"b":null}`, []string{"props.security.b (basic) is missing"}},
		"one of two":        {"[{b: []}, {k: []}]", `{"b":{"users":{"a":"b"}}}`, []string{"props.security.k (apiKey) is missing", `{"keys":`}},
		"a word":            {"[{b: []}]", `"` + secret + `"`, []string{"props.security is not an object"}},
		"definition a word": {"[{b: []}]", `{"b":"` + secret + `"}`, []string{"props.security.b (basic) is not an object"}},
		"users missing":     {"[{b: []}]", `{"b":{"alice":"` + secret + `"}}`, []string{"no users"}},
		"users a list":      {"[{b: []}]", `{"b":{"users":["` + secret + `"]}}`, []string{"no users"}},
		"users null":        {"[{b: []}]", `{"b":{"users":null}}`, []string{"no users"}},
		"users empty":       {"[{b: []}]", `{"b":{"users":{}}}`, []string{"no users"}},
		"password a number": {"[{b: []}]", `{"b":{"users":{"` + secret + `":1234567}}}`, []string{"no users"}},
		"password empty":    {"[{b: []}]", `{"b":{"users":{"` + secret + `":""}}}`, []string{"without a name or without a password"}},
		"user empty":        {"[{b: []}]", `{"b":{"users":{"":"` + secret + `"}}}`, []string{"without a name or without a password"}},
		"user with colon":   {"[{b: []}]", `{"b":{"users":{"a:b":"` + secret + `"}}}`, []string{"colon"}},
		"user with newline": {"[{b: []}]", `{"b":{"users":{"a":"` + secret + `\n"}}}`, []string{"control"}},
		"more than users":   {"[{b: []}]", `{"b":{"users":{"a":"b"},"` + secret + `":1}}`, []string{"more than is known"}},
		"too many users":    {"[{b: []}]", `{"b":{"users":{` + many(maxSecrets+1) + `}}}`, []string{"has 1001 users, more than 1000"}},
		"too much":          {"[{b: []}, {q: []}]", `{"b":{"users":{` + many(maxSecrets) + `}},"q":{"keys":{` + many(maxSecrets) + `}}}`, []string{"more than 65536"}},
		"keys missing":      {"[{k: []}]", `{"k":{"key":"` + secret + `"}}`, []string{"no keys"}},
		"keys a word":       {"[{k: []}]", `{"k":{"keys":"` + secret + `"}}`, []string{"no keys"}},
		"keys empty":        {"[{k: []}]", `{"k":{"keys":[]}}`, []string{"no keys"}},
		"key a number":      {"[{k: []}]", `{"k":{"keys":["` + secret + `",1]}}`, []string{"no keys"}},
		"key empty":         {"[{q: []}]", `{"q":{"keys":["` + secret + `",""]}}`, []string{"an empty key"}},
		"key in space":      {"[{k: []}]", `{"k":{"keys":{"a":"` + secret + ` "}}}`, []string{"space"}},
		"key with newline":  {"[{k: []}]", `{"k":{"keys":["` + secret + `\r\nX: y"]}}`, []string{"control"}},
		"jwks missing":      {"[{o: [read]}]", `{"o":{"issuer":"` + secret + `"}}`, []string{"no jwks"}},
		"jwks a word":       {"[{o: [read]}]", `{"o":{"jwks":"` + secret + `"}}`, []string{"not a JWK Set"}},
		"jwks symmetric":    {"[{o: [read]}]", `{"o":{"jwks":{"keys":[{"kty":"oct","k":"` + secret + `"}]}}}`, []string{"symmetric"}},
		"jwks empty":        {"[{o: [read]}]", `{"o":{"jwks":{"keys":[]}}}`, []string{"no key"}},
		"issuer empty":      {"[{o: [read]}]", `{"o":{"jwks":` + set + `,"issuer":""}}`, []string{"issuer"}},
		"audience a list":   {"[{o: [read]}]", `{"o":{"jwks":` + set + `,"audience":["` + secret + `"]}}`, []string{"audience"}},
		"misspelt audience": {"[{o: [read]}]", `{"o":{"jwks":` + set + `,"audiense":"` + secret + `"}}`, []string{"more than is known"}},
	} {
		t.Run(name, func(t *testing.T) {
			props := `{}`
			if tc.given != "" {
				props = `{"security":` + tc.given + `}`
			}
			all, err := Verifiers(document(t, tc.security), json.RawMessage(props))
			var refusal *Error
			if !errors.As(err, &refusal) || all != nil {
				t.Fatalf("%v, %v; want an Error", all, err)
			}
			if len(refusal.Problems) != strings.Count(strings.Join(tc.want, " "), "props.") && strings.Contains(tc.want[0], "props.") {
				t.Errorf("problems %q, want one each", refusal.Problems)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v; want %q", err, want)
				}
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "1234567") {
				t.Errorf("the error shows what was given: %v", err)
			}
		})
	}
}

func many(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"n%d":"p%d"`, i, i))
	}
	return strings.Join(all, ",")
}

// Whatever is given: it is refused without being quoted, or every definition has a
// verifier that takes somebody.
func FuzzVerifiers(f *testing.F) {
	for _, seed := range []string{
		`{"b":{"users":{"a":"b"}},"k":{"keys":["x"]},"o":{"jwks":{"keys":[{"kty":"OKP","crv":"Ed25519","x":"O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik"}]}}}`,
		`{"b":{"users":{}},"k":{"keys":{"a":"x"}},"o":{}}`, `[]`, `{"b":1}`,
	} {
		f.Add([]byte(seed))
	}
	k := &swagger.Scheme{Name: "k", Type: swagger.APIKey, In: "header", Param: "X"}
	doc := &swagger.Document{Operations: []*swagger.Operation{{Security: []swagger.Requirement{
		{{Scheme: &swagger.Scheme{Name: "b", Type: swagger.Basic}}}, {{Scheme: k}}, {{Scheme: &swagger.Scheme{Name: "o", Type: swagger.OAuth2}}},
	}}}}
	f.Fuzz(func(t *testing.T, given []byte) {
		all, err := Verifiers(doc, slices.Concat([]byte(`{"security":`), given, []byte(`}`)))
		if err != nil {
			if all != nil {
				t.Errorf("%v with the error %v", all, err)
			}
			return
		}
		for _, name := range []string{"b", "k"} {
			if v := all[name]; len(v.Digests) == 0 || len(v.Salt) == 0 || len(v.Digests[0]) != 32 {
				t.Errorf("%s: %+v", name, v)
			}
		}
		if _, err := keyset.Parse(all["o"].JWKS); err != nil {
			t.Errorf("o: %v", err)
		}
		var same map[string]wire.Verifier
		if b, err := json.Marshal(all); err != nil || json.Unmarshal(b, &same) != nil {
			t.Errorf("does not travel: %v", err)
		}
	})
}
