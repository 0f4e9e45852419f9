package auth

import (
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

// Refusal is why a request is not let in, for its client.
type Refusal struct {
	Status int // 401, 403, or 503 where credentials cannot be checked
	Detail string
	// Challenges are the WWW-Authenticate lines.
	Challenges []string
}

// challenge refuses a request that none of the ways knows.
func (g *Guard) challenge(seen []evidence) *Refusal {
	r := &Refusal{Status: fasthttp.StatusUnauthorized, Detail: "The operation requires credentials."}
	for i, s := range g.schemes {
		if seen[i].shown == wrong {
			r.Detail = "The credentials are not valid."
			if seen[i].fault != "" {
				r.Detail = seen[i].fault
			}
		}
		if line := s.challenge(quote(g.realm), seen[i]); !slices.Contains(r.Challenges, line) {
			r.Challenges = append(r.Challenges, line)
		}
	}
	return r
}

// forbid refuses a request that w knows, but that has not its scopes (RFC 6750
// section 3.1).
func (g *Guard) forbid(w way) *Refusal {
	var scopes []string
	for _, n := range w {
		scopes = append(scopes, n.scopes...)
	}
	slices.Sort(scopes)
	scopes = slices.Compact(scopes)
	return &Refusal{
		Status: fasthttp.StatusForbidden,
		Detail: "The token does not have the scopes that the operation requires.",
		Challenges: []string{
			`Bearer realm=` + string(quote(g.realm)) + `, error="insufficient_scope", scope=` + string(quote(strings.Join(scopes, " "))),
		},
	}
}

// quoted is a quoted-string (RFC 9110 section 5.6.4).
type quoted string

// quote makes one of any text. What a header cannot hold becomes a question mark.
func quote(s string) quoted {
	b := []byte{'"'}
	for _, c := range s {
		switch {
		case c < ' ' || c > '~':
			c = '?'
		case c == '"' || c == '\\':
			b = append(b, '\\')
		}
		b = append(b, byte(c))
	}
	return quoted(append(b, '"'))
}
