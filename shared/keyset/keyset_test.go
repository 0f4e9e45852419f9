package keyset

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func edKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

// jwk is a key as JSON.
func jwk(t testing.TB, key any, id, alg, use string) string {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKey{Key: key, KeyID: id, Algorithm: alg, Use: use})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func set(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

func TestParse(t *testing.T) {
	r, e256, e384, e521 := rsaKey(t, 2048), ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384()), ecKey(t, elliptic.P521())
	ed := edKey()
	for name, tc := range map[string]struct {
		set    string
		public crypto.PublicKey
		algs   string
	}{
		"RSA":           {set(jwk(t, &r.PublicKey, "a", "", "")), &r.PublicKey, "RS256 RS384 RS512 PS256 PS384 PS512"},
		"RSA, for one":  {set(jwk(t, &r.PublicKey, "a", "PS256", "sig")), &r.PublicKey, "PS256"},
		"P-256":         {set(jwk(t, &e256.PublicKey, "a", "", "")), &e256.PublicKey, "ES256"},
		"P-384":         {set(jwk(t, &e384.PublicKey, "a", "ES384", "")), &e384.PublicKey, "ES384"},
		"P-521":         {set(jwk(t, &e521.PublicKey, "a", "", "")), &e521.PublicKey, "ES512"},
		"Ed25519":       {set(jwk(t, ed.Public(), "a", "", "")), ed.Public(), "EdDSA"},
		"private RSA":   {set(jwk(t, r, "a", "", "")), &r.PublicKey, "RS256 RS384 RS512 PS256 PS384 PS512"},
		"private EC":    {set(jwk(t, e256, "a", "", "")), &e256.PublicKey, "ES256"},
		"private Ed":    {set(jwk(t, ed, "a", "", "")), ed.Public(), "EdDSA"},
		"among others":  {set(jwk(t, &r.PublicKey, "e", "", "enc"), jwk(t, &r.PublicKey, "o", "RSA-OAEP", ""), jwk(t, &e256.PublicKey, "m", "ES384", ""), `{"kty":"new"}`, `{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}`, `{"kty":"OKP","crv":"X25519","x":"AA"}`, jwk(t, &e256.PublicKey, "a", "", "")), &e256.PublicKey, "ES256"},
		"more than set": {`{"keys":[` + jwk(t, ed.Public(), "a", "", "") + `],"issuer":"x"}`, ed.Public(), "EdDSA"},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := Parse([]byte(tc.set))
			if err != nil {
				t.Fatal(err)
			}
			var algs []string
			for _, a := range keys[0].Algorithms {
				algs = append(algs, string(a))
			}
			if len(keys) != 1 || keys[0].ID != "a" || !reflect.DeepEqual(keys[0].Public, tc.public) || strings.Join(algs, " ") != tc.algs {
				t.Errorf("got %+v, want one key %+v for %s", keys, tc.public, tc.algs)
			}
			encoded, err := Encode(keys)
			if err != nil {
				t.Fatal(err)
			}
			for _, private := range []string{`"d"`, `"p"`, `"q"`, `"dp"`, `"k"`} {
				if strings.Contains(string(encoded), private+":") {
					t.Errorf("%s is in %s", private, encoded)
				}
			}
			if again, err := Parse(encoded); err != nil || !reflect.DeepEqual(again, keys) {
				t.Errorf("encoded and read again: %+v, %v", again, err)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	good := jwk(t, edKey().Public(), "a", "", "")
	small := jwk(t, &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}, "s", "", "")
	const secret = "aHVzaC1odXNoLWh1c2gtaHVzaA"
	for name, tc := range map[string]struct{ set, want string }{
		"nothing":      {``, "not a JWK Set"},
		"null":         {`null`, "no key"},
		"a word":       {`"` + secret + `"`, "not a JWK Set"},
		"a list":       {`[` + good + `]`, "not a JWK Set"},
		"no keys":      {`{}`, "no key"},
		"empty":        {set(), "no key"},
		"keys a word":  {`{"keys":"` + secret + `"}`, "not a JWK Set"},
		"key a word":   {set(good, `"`+secret+`"`), "key 2 of 2 is no JSON Web Key"},
		"no kty":       {set(`{"k":"` + secret + `"}`), "key 1 of 1 is no JSON Web Key"},
		"symmetric":    {set(good, `{"kty":"oct","k":"`+secret+`"}`), "key 2 of 2 is symmetric"},
		"RSA small":    {set(small), "not of 2048 to 8192"},
		"RSA no N":     {set(`{"kty":"RSA","e":"AQAB"}`), "is no RSA key"},
		"EC off curve": {set(`{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"}`), "is no EC key"},
		"EC no curve":  {set(`{"kty":"EC","crv":"` + secret + `","x":"AA","y":"AA"}`), "no key"},
		"Ed short":     {set(`{"kty":"OKP","crv":"Ed25519","x":"` + secret + `"}`), "is no OKP key"},
		"only enc":     {set(strings.Replace(good, "{", `{"use":"enc",`, 1)), "no key"},
		"too many":     {set(strings.Split(strings.Repeat(good+" ", MaxKeys+1), " ")[:MaxKeys+1]...), "more than 16"},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := Parse([]byte(tc.set))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%+v, %v; want an error with %q", keys, err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows what was given: %v", err)
			}
		})
	}
}

// Whatever the bytes: Parse refuses them, or gives keys that can be used and say
// nothing else when they are encoded.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		set(jwk(f, edKey(), "a", "EdDSA", "sig")), set(jwk(f, ecKey(f, elliptic.P256()), "b", "", "")),
		set(jwk(f, &rsaKey(f, 2048).PublicKey, "", "RS256", "")), `{"keys":[{"kty":"oct","k":"AA"}]}`, `{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := Parse(data)
		if err != nil {
			return
		}
		for _, k := range keys {
			if len(k.Algorithms) == 0 || k.Public == nil {
				t.Errorf("key %+v", k)
			}
			for _, a := range k.Algorithms {
				if strings.HasPrefix(string(a), "HS") || a == "none" {
					t.Errorf("key for %s", a)
				}
			}
		}
		encoded, err := Encode(keys)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Parse(encoded); err != nil || !reflect.DeepEqual(again, keys) {
			t.Errorf("%s: %+v, %v; want %+v", encoded, again, err, keys)
		}
	})
}
