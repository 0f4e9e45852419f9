// Package keyset reads the public keys that tokens are signed with: JWK Sets (RFC
// 7517).
//
// Every Key is asymmetric, at least as strong as RFC 7518 asks for, and goes with
// algorithms of its own type only, so that no token can choose how it is checked.
// No error holds any part of a set.
package keyset

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// MaxKeys is how many keys a set may have. A token that does not name its key is
// held against all of them.
const MaxKeys = 16

// Sizes of RSA keys in bits: RFC 7518 section 3.3 asks for the least, and the most
// keeps one signature from taking milliseconds.
const (
	minRSA = 2048
	maxRSA = 8192
)

// Key is a public key.
type Key struct {
	ID         string // "" where it has none
	Public     crypto.PublicKey
	Algorithms []jose.SignatureAlgorithm // what it may have signed with; not empty
}

// Parse reads a JWK Set. Of private keys it takes the public half. It passes over
// keys that are not for signing and of kinds that it does not know (RFC 7517
// section 5); what is left is at least one.
func Parse(set []byte) ([]Key, error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(set, &raw); err != nil {
		return nil, errors.New(`is not a JWK Set like {"keys":[...]}`)
	}
	var keys []Key
	for i, data := range raw.Keys {
		key, ok, err := parse(data)
		if err != nil {
			return nil, fmt.Errorf("key %d of %d %w", i+1, len(raw.Keys), err)
		}
		if ok {
			keys = append(keys, key)
		}
	}
	switch {
	case len(keys) == 0:
		return nil, errors.New("has no key that signatures can be checked with (RSA, EC or Ed25519)")
	case len(keys) > MaxKeys:
		return nil, fmt.Errorf("has %d keys, more than %d", len(keys), MaxKeys)
	}
	return keys, nil
}

func parse(data []byte) (key Key, ok bool, err error) {
	var head struct {
		Type  string `json:"kty"`
		Curve string `json:"crv"`
		Use   string `json:"use"`
	}
	if err := json.Unmarshal(data, &head); err != nil || head.Type == "" {
		return Key{}, false, errors.New("is no JSON Web Key")
	}
	switch head.Type {
	case "oct":
		return Key{}, false, errors.New("is symmetric: whoever can check tokens with it can make them")
	case "RSA", "EC", "OKP":
	default:
		return Key{}, false, nil
	}
	if head.Use != "" && head.Use != "sig" || head.Type == "EC" && !slices.Contains(curves, head.Curve) {
		return Key{}, false, nil
	}
	var k jose.JSONWebKey
	switch err := k.UnmarshalJSON(data); {
	case errors.Is(err, jose.ErrUnsupportedKeyType):
		return Key{}, false, nil
	case err != nil: // its text may quote the key
		return Key{}, false, fmt.Errorf("is no %s key as RFC 7518 has it", head.Type)
	}
	if !k.IsPublic() {
		k = k.Public()
	}
	if !k.Valid() {
		return Key{}, false, fmt.Errorf("is no %s key as RFC 7518 has it", head.Type)
	}
	key = Key{ID: k.KeyID, Public: k.Key}
	if key.Algorithms, err = algorithms(k.Key); err != nil {
		return Key{}, false, err
	}
	if k.Algorithm != "" { // then it is for nothing else (RFC 7517 section 4.4)
		only := jose.SignatureAlgorithm(k.Algorithm)
		if !slices.Contains(key.Algorithms, only) {
			return Key{}, false, nil
		}
		key.Algorithms = []jose.SignatureAlgorithm{only}
	}
	return key, len(key.Algorithms) > 0, nil
}

// curves are those of ES256, ES384 and ES512.
var curves = []string{"P-256", "P-384", "P-521"}

// algorithms are those that go with a type of key (RFC 7518 section 3.1, RFC 8037);
// none where signatures cannot be checked with it.
func algorithms(public crypto.PublicKey) ([]jose.SignatureAlgorithm, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return nil, fmt.Errorf("is an RSA key of %d bits, not of %d to %d", n, minRSA, maxRSA)
		}
		return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}, nil
	case *ecdsa.PublicKey:
		switch k.Curve.Params().Name {
		case curves[0]:
			return []jose.SignatureAlgorithm{jose.ES256}, nil
		case curves[1]:
			return []jose.SignatureAlgorithm{jose.ES384}, nil
		case curves[2]:
			return []jose.SignatureAlgorithm{jose.ES512}, nil
		}
	case ed25519.PublicKey:
		return []jose.SignatureAlgorithm{jose.EdDSA}, nil
	}
	return nil, nil
}

// Encode is the JWK Set of keys that Parse gave, with nothing else in it.
func Encode(keys []Key) (json.RawMessage, error) {
	set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, len(keys))}
	for i, k := range keys {
		set.Keys[i] = jose.JSONWebKey{Key: k.Public, KeyID: k.ID, Use: "sig"}
		if len(k.Algorithms) == 1 {
			set.Keys[i].Algorithm = string(k.Algorithms[0])
		}
	}
	b, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("encode JWK Set: %w", err)
	}
	return b, nil
}
