package auth

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/valyala/fasthttp"

	"github.com/funcatron/funcatron/shared/keyset"
	"github.com/funcatron/funcatron/shared/wire"
)

// leeway is what the clocks of an issuer and of this machine may differ by.
const leeway = 60 // seconds

// token is a bearer token (RFC 6750) that is a signed JWT (RFC 7519).
//
// The key decides how a token is checked, never the token: its algorithms are those
// of the keys, all asymmetric (RFC 8725 section 3.1).
type token struct {
	keys       []keyset.Key
	algorithms []jose.SignatureAlgorithm // of all keys
	issuer     string
	audience   string
	scopes     []string // all that operations ask for; sorted
	verified   cache
}

func newToken(v wire.Verifier) (*token, error) {
	keys, err := keyset.Parse(v.JWKS)
	if err != nil {
		return nil, fmt.Errorf("the route's key set %w", err)
	}
	t := &token{keys: keys, issuer: v.Issuer, audience: v.Audience}
	for _, k := range keys {
		t.algorithms = append(t.algorithms, k.Algorithms...)
	}
	return t, nil
}

// know adds to the scopes that matter, before the first check.
func (t *token) know(scopes []string) {
	t.scopes = append(t.scopes, scopes...)
	slices.Sort(t.scopes)
	t.scopes = slices.Compact(t.scopes)
}

func (t *token) check(req *fasthttp.Request, now time.Time) evidence {
	raw, found := authorization(req, "Bearer")
	if found != right {
		return evidence{shown: found}
	}
	name := sha256.Sum256(raw)
	if scopes, ok := t.verified.get(name, now.Unix()); ok {
		return evidence{shown: right, scopes: scopes}
	}
	claims, fault := t.verify(string(raw), now.Unix())
	if fault != "" {
		return evidence{shown: wrong, fault: fault}
	}
	scopes := t.granted(claims)
	t.verified.put(name, grant{until: int64(*claims.Expiry) + leeway, scopes: scopes}, now.Unix())
	return evidence{shown: right, scopes: scopes}
}

func (*token) challenge(realm quoted, e evidence) string {
	line := "Bearer realm=" + string(realm)
	if e.shown == wrong {
		line += `, error="invalid_token"`
	}
	if e.fault != "" {
		line += `, error_description=` + string(quote(e.fault))
	}
	return line
}

// What is wrong with a token, as clients are told. No more is said of one that may
// be a forger's.
const (
	notValid = "The token is not valid."
	expired  = "The token has expired."
	tooEarly = "The token is not valid yet."
)

// claims are those of RFC 7519 section 4.1 that matter, and both ways to write
// scopes: RFC 8693 section 4.2, and an array or text as issuers have it.
type claims struct {
	Issuer    string           `json:"iss"`
	Audience  jwt.Audience     `json:"aud"`
	Expiry    *jwt.NumericDate `json:"exp"`
	NotBefore *jwt.NumericDate `json:"nbf"`
	Scope     any              `json:"scope"`
	Scp       any              `json:"scp"`
}

// verify checks the signature first: nothing else in a token means anything before.
func (t *token) verify(raw string, now int64) (*claims, string) {
	parsed, err := jwt.ParseSigned(raw, t.algorithms)
	if err != nil {
		return nil, notValid
	}
	c, ok := t.signed(parsed)
	switch {
	case !ok:
		return nil, notValid
	case t.issuer != "" && c.Issuer != t.issuer, t.audience != "" && !c.Audience.Contains(t.audience):
		return nil, notValid
	case c.Expiry == nil:
		return nil, notValid
	case now >= int64(*c.Expiry)+leeway:
		return nil, expired
	case c.NotBefore != nil && now < int64(*c.NotBefore)-leeway:
		return nil, tooEarly
	}
	return c, ""
}

// signed are the claims, where one of the keys has signed them: the one that the
// token names, or any where either has no name.
func (t *token) signed(parsed *jwt.JSONWebToken) (*claims, bool) {
	h := parsed.Headers[0]
	if h.ExtraHeaders["crit"] != nil { // extensions of JWS that the token cannot do without: we know none
		return nil, false
	}
	for _, k := range t.keys {
		if h.KeyID != "" && k.ID != "" && h.KeyID != k.ID || !slices.Contains(k.Algorithms, jose.SignatureAlgorithm(h.Algorithm)) {
			continue
		}
		c := new(claims)
		if err := parsed.Claims(k.Public, c); err == nil {
			return c, true
		}
	}
	return nil, false
}

// granted are the scopes of c that operations ask for. They are t's own strings, so
// that what is kept of a token does not grow with it.
func (t *token) granted(c *claims) []string {
	var all []string
	for _, claim := range []any{c.Scope, c.Scp} {
		switch v := claim.(type) {
		case string:
			all = append(all, strings.Split(v, " ")...)
		case []any:
			for _, s := range v {
				if s, ok := s.(string); ok {
					all = append(all, s)
				}
			}
		}
	}
	slices.Sort(all)
	var granted []string
	for _, s := range t.scopes {
		if _, ok := slices.BinarySearch(all, s); ok {
			granted = append(granted, s)
		}
	}
	return granted
}
