package auth

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/valyala/fasthttp"

	"github.com/funcatron/funcatron/shared/swagger"
	"github.com/funcatron/funcatron/shared/wire"
)

func reader(s string) *bufio.Reader { return bufio.NewReader(strings.NewReader(s)) }

type claim map[string]any

// signer makes tokens.
type signer struct {
	key *ecdsa.PrivateKey

	mu     sync.Mutex
	tokens map[string]bool // that were made; guarded by mu
}

// signed is the issuer of most tests.
var signed = func() *signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return &signer{key: k, tokens: map[string]bool{}}
}()

func (s *signer) verifier(issuer, audience string) wire.Verifier {
	return verifierOf(issuer, audience, jose.JSONWebKey{Key: &s.key.PublicKey, KeyID: "1"})
}

func verifierOf(issuer, audience string, keys ...jose.JSONWebKey) wire.Verifier {
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		panic(err)
	}
	return wire.Verifier{Type: swagger.OAuth2, JWKS: set, Issuer: issuer, Audience: audience}
}

// token is one that ends in an hour, with these claims more; nil takes one away.
func (s *signer) token(t testing.TB, more claim) string {
	t.Helper()
	raw := sign(t, jose.ES256, s.key, map[jose.HeaderKey]any{"kid": "1"}, more)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[raw] = true
	return raw
}

func (s *signer) made(raw string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens[raw]
}

func (s *signer) line(t testing.TB, more claim) string {
	return "Authorization: Bearer " + s.token(t, more)
}

func payload(t testing.TB, more claim) []byte {
	t.Helper()
	c := claim{"iss": "https://i.test", "aud": "me", "exp": time.Now().Unix() + 3600, "sub": "somebody"}
	maps.Copy(c, more)
	for name, v := range more {
		if v == nil {
			delete(c, name)
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, header map[jose.HeaderKey]any, more claim) string {
	t.Helper()
	o := &jose.SignerOptions{ExtraHeaders: header}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign(payload(t, more))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func bearer(t testing.TB, raw string) *fasthttp.Request {
	return get(t, "/", "Authorization: Bearer "+raw)
}

// fault is what a client with this token is told; "" where it is let in.
func fault(t testing.TB, g *Guard, raw string) string {
	t.Helper()
	no := g.Check(bearer(t, raw), time.Now())
	switch {
	case no == nil:
		return ""
	case no.Status != 401:
		t.Errorf("status %d, want 401", no.Status)
	}
	return no.Detail
}

func TestClaims(t *testing.T) {
	g := compile(t, map[string]wire.Verifier{"o": signed.verifier("https://i.test", "me")}, one(tokenDef))
	free := compile(t, map[string]wire.Verifier{"o": signed.verifier("", "")}, one(tokenDef))
	now := time.Now().Unix()
	for name, tc := range map[string]struct {
		more claim
		want string
		free string // where neither issuer nor audience matters
	}{
		"as it should be":     {nil, "", ""},
		"audience among some": {claim{"aud": []string{"you", "me"}}, "", ""},
		"exp just over":       {claim{"exp": now - 30}, "", ""},
		"exp a fraction":      {claim{"exp": float64(now) + 10.5}, "", ""},
		"nbf just to come":    {claim{"nbf": now + 30}, "", ""},
		"nbf long ago":        {claim{"nbf": 0}, "", ""},

		"expired":             {claim{"exp": now - 61}, expired, expired},
		"expired long ago":    {claim{"exp": 0}, expired, expired},
		"to come":             {claim{"nbf": now + 90}, tooEarly, tooEarly},
		"no exp":              {claim{"exp": nil}, notValid, notValid},
		"exp a word":          {claim{"exp": "tomorrow"}, notValid, notValid},
		"exp in quotes":       {claim{"exp": fmt.Sprint(now + 100)}, notValid, notValid},
		"exp beyond time":     {claim{"exp": 1e300}, notValid, notValid},
		"exp in capitals":     {claim{"exp": nil, "EXP": now + 100}, notValid, notValid},
		"nbf a word":          {claim{"nbf": "never"}, notValid, notValid},
		"nbf beyond time":     {claim{"nbf": 1e300}, notValid, notValid},
		"another issuer":      {claim{"iss": "https://j.test"}, notValid, ""},
		"no issuer":           {claim{"iss": nil}, notValid, ""},
		"issuer a list":       {claim{"iss": []string{"https://i.test"}}, notValid, notValid},
		"another audience":    {claim{"aud": "you"}, notValid, ""},
		"no audience":         {claim{"aud": nil}, notValid, ""},
		"audience of nobody":  {claim{"aud": []string{}}, notValid, ""},
		"audience an object":  {claim{"aud": claim{"me": 1}}, notValid, notValid},
		"expired and another": {claim{"exp": now - 100, "iss": "x"}, notValid, expired},
	} {
		t.Run(name, func(t *testing.T) {
			raw := signed.token(t, tc.more)
			if got := fault(t, g, raw); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
			if got := fault(t, free, raw); got != tc.free {
				t.Errorf("without issuer and audience %q, want %q", got, tc.free)
			}
		})
	}
}

// Each algorithm that there is with a key of its own type.
func TestAlgorithms(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]crypto.Signer{"RSA": rsaKey, "Ed25519": ed25519.NewKeyFromSeed(make([]byte, 32))}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		if keys[curve.Params().Name], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	own := map[jose.SignatureAlgorithm]string{
		jose.RS256: "RSA", jose.RS384: "RSA", jose.RS512: "RSA", jose.PS256: "RSA", jose.PS384: "RSA", jose.PS512: "RSA",
		jose.ES256: "P-256", jose.ES384: "P-384", jose.ES512: "P-521", jose.EdDSA: "Ed25519",
	}
	var set []jose.JSONWebKey
	for name, k := range keys {
		set = append(set, jose.JSONWebKey{Key: k.Public(), KeyID: name})
	}
	everybody := compile(t, map[string]wire.Verifier{"o": verifierOf("", "", set...)}, one(tokenDef))
	for alg, name := range own {
		named := sign(t, alg, keys[name], map[jose.HeaderKey]any{"kid": name}, nil)
		nameless := sign(t, alg, keys[name], nil, nil)
		other := sign(t, alg, keys[name], map[jose.HeaderKey]any{"kid": "other"}, nil)
		for i, raw := range []string{named, nameless, other} {
			if got := fault(t, everybody, raw); (got == "") != (i < 2) {
				t.Errorf("%s, token %d: %q", alg, i, got)
			}
		}
		alone := compile(t, map[string]wire.Verifier{"o": verifierOf("", "", jose.JSONWebKey{Key: keys[name].Public()})}, one(tokenDef))
		for _, raw := range []string{named, nameless, other} { // a key without a name is tried for all
			if got := fault(t, alone, raw); got != "" {
				t.Errorf("%s, a key without a name: %q", alg, got)
			}
		}
		for otherName, k := range keys {
			if otherName == name {
				continue
			}
			stranger := compile(t, map[string]wire.Verifier{"o": verifierOf("", "", jose.JSONWebKey{Key: k.Public()})}, one(tokenDef))
			if got := fault(t, stranger, nameless); got != notValid {
				t.Errorf("%s against a key of %s: %q", alg, otherName, got)
			}
		}
	}
	only := compile(t, map[string]wire.Verifier{"o": verifierOf("", "", jose.JSONWebKey{Key: rsaKey.Public(), Algorithm: "PS256"})}, one(tokenDef))
	if a, b := fault(t, only, sign(t, jose.PS256, rsaKey, nil, nil)), fault(t, only, sign(t, jose.RS256, rsaKey, nil, nil)); a != "" || b != notValid {
		t.Errorf("a key for PS256 only: PS256 %q, RS256 %q", a, b)
	}
}

// What forgers send (RFC 8725 section 2).
func TestForged(t *testing.T) {
	g := compile(t, map[string]wire.Verifier{"o": signed.verifier("", "")}, one(tokenDef))
	enc := base64.RawURLEncoding.EncodeToString
	good := signed.token(t, nil)
	parts := strings.Split(good, ".")
	header := func(h string) string { return enc([]byte(h)) }
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := signed.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	set := signed.verifier("", "").JWKS
	flipped := []byte(parts[2])
	flipped[10] = "AB"[btoi(flipped[10] == 'A')]
	for name, raw := range map[string]string{
		"a word":              "x",
		"dots":                "..",
		"two parts":           parts[0] + "." + parts[1],
		"four parts":          good + "." + parts[2],
		"five parts":          good + "." + parts[1] + "." + parts[2],
		"no signature":        parts[0] + "." + parts[1] + ".",
		"another signature":   parts[0] + "." + parts[1] + "." + string(flipped),
		"half a signature":    parts[0] + "." + parts[1] + "." + parts[2][:43],
		"zero signature":      parts[0] + "." + parts[1] + "." + enc(make([]byte, 64)),
		"another payload":     parts[0] + "." + enc(payload(t, claim{"scope": "admin"})) + "." + parts[2],
		"padded":              parts[0] + "." + parts[1] + "." + parts[2] + "==",
		"none":                header(`{"alg":"none"}`) + "." + parts[1] + ".",
		"None":                header(`{"alg":"None"}`) + "." + parts[1] + ".",
		"none, signed":        header(`{"alg":"none"}`) + "." + parts[1] + "." + parts[2],
		"no alg":              header(`{}`) + "." + parts[1] + "." + parts[2],
		"alg twice":           header(`{"alg":"ES256","alg":"none"}`) + "." + parts[1] + "." + parts[2],
		"header no object":    header(`7`) + "." + parts[1] + "." + parts[2],
		"HMAC by the point":   sign(t, jose.HS256, point, nil, nil),
		"HMAC by the set":     sign(t, jose.HS256, []byte(set), nil, nil),
		"a stranger's":        sign(t, jose.ES256, stranger, nil, nil),
		"a stranger's, by id": sign(t, jose.ES256, stranger, map[jose.HeaderKey]any{"kid": "1"}, nil),
		"brings its own key":  embedded(t, stranger),
		"critical":            critical(t),
		"payload not encoded": sign(t, jose.ES256, signed.key, map[jose.HeaderKey]any{"b64": false, "crit": []string{"b64"}}, nil),
		"JSON serialization":  `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"encrypted":           header(`{"alg":"dir","enc":"A128GCM"}`) + ".." + enc(make([]byte, 12)) + "." + parts[1] + "." + enc(make([]byte, 16)),
		"payload no object":   raw(t, `"x"`),
		"payload no JSON":     raw(t, `x`),
		"payload empty":       raw(t, ``),
		"claim twice":         raw(t, fmt.Sprintf(`{"exp":1,"exp":%d}`, time.Now().Unix()+100)),
	} {
		t.Run(name, func(t *testing.T) {
			no := g.Check(bearer(t, raw), time.Now())
			if no == nil || no.Status != 401 || no.Detail != notValid {
				t.Errorf("%+v, want 401: %s", no, notValid)
			}
		})
	}
	if got := fault(t, g, good); got != "" {
		t.Errorf("the token that they are made of: %q", got)
	}
	if n := len(g.schemes[0].(*token).verified.grants); n != 1 {
		t.Errorf("%d tokens are remembered, want the one that was right", n)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// embedded brings the key to check it with along.
func embedded(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	return serialize(t, s, payload(t, nil))
}

// critical has an extension that who reads it has to understand.
func critical(t *testing.T) string {
	t.Helper()
	return sign(t, jose.ES256, signed.key, map[jose.HeaderKey]any{"crit": []string{"x"}, "x": 1}, nil)
}

// raw signs any payload.
func raw(t *testing.T, payload string) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: signed.key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return serialize(t, s, []byte(payload))
}

func serialize(t *testing.T, s jose.Signer, payload []byte) string {
	t.Helper()
	jws, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestScopes(t *testing.T) {
	guards, err := Compile([]*swagger.Operation{
		{Security: []swagger.Requirement{scoped("read")}},
		{Security: []swagger.Requirement{scoped("read", "write")}},
		{Security: []swagger.Requirement{scoped("read"), scoped("admin")}},
		{Security: []swagger.Requirement{scoped()}},
	}, all(), "/app")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		more claim
		want []int // of read; of read and write; of read or admin; of none
	}{
		{claim{"scope": "read write"}, []int{200, 200, 200, 200}},
		{claim{"scope": "write read admin"}, []int{200, 200, 200, 200}},
		{claim{"scope": "read"}, []int{200, 403, 200, 200}},
		{claim{"scope": "admin"}, []int{403, 403, 200, 200}},
		{claim{"scope": "reader READ read:all"}, []int{403, 403, 403, 200}},
		{claim{"scope": "read,write"}, []int{403, 403, 403, 200}},
		{claim{"scope": ""}, []int{403, 403, 403, 200}},
		{nil, []int{403, 403, 403, 200}},
		{claim{"scp": []string{"write", "read"}}, []int{200, 200, 200, 200}},
		{claim{"scp": "read write"}, []int{200, 200, 200, 200}},
		{claim{"scp": []any{"read", 7, nil}}, []int{200, 403, 200, 200}},
		{claim{"scope": "read", "scp": []string{"write"}}, []int{200, 200, 200, 200}},
		{claim{"scope": []string{"read"}}, []int{200, 403, 200, 200}},
		{claim{"scope": claim{"read": true}, "scp": 7}, []int{403, 403, 403, 200}},
		{claim{"scope": nil, "scopes": "read", "Scope": "read"}, []int{403, 403, 403, 200}},
	} {
		req := bearer(t, signed.token(t, tc.more))
		for range 2 { // verified, then remembered
			for i, g := range guards {
				if got := status(g, req); got != tc.want[i] {
					t.Errorf("%v, operation %d: %d, want %d", tc.more, i, got, tc.want[i])
				}
			}
		}
	}
}

// A token is remembered until it ends, to the second.
func TestTokenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := compile(t, map[string]wire.Verifier{"o": signed.verifier("", "")}, one(tokenDef))
		raw := signed.token(t, claim{"exp": time.Now().Unix() + 100})
		for _, step := range []struct {
			wait time.Duration
			want string
		}{{0, ""}, {159 * time.Second, ""}, {time.Second, expired}, {time.Hour, expired}} {
			<-time.After(step.wait)
			if got := fault(t, g, raw); got != step.want {
				t.Errorf("after %v more: %q, want %q", step.wait, got, step.want)
			}
		}
	})
}

// A remembered token costs no signature.
func TestRememberedTokenIsNotVerifiedAgain(t *testing.T) {
	g := compile(t, map[string]wire.Verifier{"o": signed.verifier("", "")}, []swagger.Requirement{scoped("read")})
	req := bearer(t, signed.token(t, claim{"scope": "read"}))
	now := time.Now()
	if no := g.Check(req, now); no != nil {
		t.Fatal(no)
	}
	g.schemes[0].(*token).keys = nil // nothing could be verified any more
	if no := g.Check(req, now); no != nil {
		t.Errorf("the second time: %+v", no)
	}
	if n := testing.AllocsPerRun(100, func() { g.Check(req, now) }); n > 0 {
		t.Errorf("%v allocations for a token that is known", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	var c cache
	name := func(i int) (sum [sha256.Size]byte) {
		binary.BigEndian.PutUint32(sum[:], uint32(i))
		return sum
	}
	for i := range maxVerified {
		c.put(name(i), grant{until: 100}, 0)
	}
	for i := range 2 * maxVerified { // all still good: one goes for each that comes
		c.put(name(maxVerified+i), grant{until: 200}, 0)
		if _, ok := c.get(name(maxVerified+i), 0); !ok || len(c.grants) > maxVerified {
			t.Fatalf("token %d: remembered %t, of %d", i, ok, len(c.grants))
		}
	}
	for i := range 4 * maxVerified { // those that have ended make room by and by
		c.put(name(10*maxVerified+i), grant{until: 300}, 200)
	}
	ended := 0
	for _, g := range c.grants {
		if g.until != 300 {
			ended++
		}
	}
	if ended > maxVerified/10 || len(c.grants) > maxVerified || len(c.grants) < maxVerified/2 {
		t.Errorf("%d tokens are remembered, of which %d have ended", len(c.grants), ended)
	}
}

// Many clients at once.
func TestConcurrent(t *testing.T) {
	g := compile(t, all(), append(one(basicDef), scoped("read")))
	var wg sync.WaitGroup
	for i := range 8 {
		raw := signed.token(t, claim{"scope": "read", "n": i % 4})
		wg.Go(func() {
			for range 50 {
				if got := status(g, bearer(t, raw)); got != 200 {
					t.Errorf("token %d: %d", i, got)
				}
				if got := status(g, get(t, "/", basicLine("bob:b:c"))); got != 200 {
					t.Errorf("bob: %d", got)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkCheck(b *testing.B) {
	for name, tc := range map[string]struct {
		def *swagger.Scheme
		req *fasthttp.Request
	}{
		"basic":  {basicDef, get(b, "/", basicLine("bob:b:c"))},
		"apiKey": {headerDef, get(b, "/", "X-Key: key-two")},
		"token":  {tokenDef, bearer(b, signed.token(b, nil))},
	} {
		b.Run(name, func(b *testing.B) {
			g, now := compile(b, all(), one(tc.def)), time.Now()
			b.ReportAllocs()
			for b.Loop() {
				if no := g.Check(tc.req, now); no != nil {
					b.Fatal(no)
				}
			}
		})
	}
}
