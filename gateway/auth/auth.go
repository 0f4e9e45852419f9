// Package auth decides whether a request shows the credentials that its operation
// requires.
//
// It fails closed: a Guard that lacks what it needs to check credentials lets
// nobody in. A Guard never changes after Compile but for its cache of tokens, which
// is bounded and holds only what was verified; any number of goroutines may use it.
// What a client sent is compared in constant time, and is in no answer, log or error.
package auth

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/funcatron/funcatron/shared/swagger"
	"github.com/funcatron/funcatron/shared/wire"
)

// Guard decides on the requests of one operation.
type Guard struct {
	realm   string
	schemes []scheme // each once, whatever the number of ways it is part of
	ways    []way    // one of them is to be met; none: closed
}

// way is a requirement: all of it is to be met.
type way []need

type need struct {
	scheme int // in Guard.schemes
	scopes []string
}

// scheme is one security definition, ready to check requests.
type scheme interface {
	check(req *fasthttp.Request, now time.Time) evidence
	// challenge is what a client that was not let in is told (RFC 9110 section 11.6.1).
	challenge(realm quoted, e evidence) string
}

// evidence is what a request shows for one scheme.
type evidence struct {
	looked bool
	shown  shown
	scopes []string // of a token: those that it was given and the document knows
	fault  string   // of a token: what is wrong with it
}

type shown uint8

const (
	nothing shown = iota
	wrong
	right
)

// Compile makes the guards of ops, nil for those that require nothing, out of what a
// route carries. realm names what they protect (RFC 9110 section 11.5). The error
// tells which definitions cannot be checked; the guards are as they should be even
// then: the ways that need those are closed.
func Compile(ops []*swagger.Operation, verifiers map[string]wire.Verifier, realm string) ([]*Guard, error) {
	c := &compiler{verifiers: verifiers, realm: realm, schemes: make(map[*swagger.Scheme]scheme), shared: make(map[*swagger.Requirement]*Guard)}
	guards := make([]*Guard, len(ops))
	for i, op := range ops {
		if len(op.Security) > 0 {
			guards[i] = c.guard(op.Security)
		}
	}
	return guards, errors.Join(c.problems...)
}

type compiler struct {
	verifiers map[string]wire.Verifier
	realm     string
	schemes   map[*swagger.Scheme]scheme // nil: cannot be checked
	shared    map[*swagger.Requirement]*Guard
	problems  []error
}

// guard is that of a list of requirements, which operations may share.
func (c *compiler) guard(list []swagger.Requirement) *Guard {
	if g := c.shared[&list[0]]; g != nil {
		return g
	}
	g := &Guard{realm: c.realm}
	for _, r := range list {
		if w, ok := c.way(g, r); ok {
			g.ways = append(g.ways, w)
		}
	}
	c.shared[&list[0]] = g
	return g
}

// way adds a requirement's schemes to g; ok is false where one cannot be checked.
func (c *compiler) way(g *Guard, r swagger.Requirement) (w way, ok bool) {
	ok = len(r) > 0
	for _, n := range r {
		s := c.scheme(n.Scheme)
		if s == nil {
			ok = false
			continue
		}
		if t, isToken := s.(*token); isToken {
			t.know(n.Scopes)
		}
		at := slices.Index(g.schemes, s)
		if at < 0 {
			at = len(g.schemes)
			g.schemes = append(g.schemes, s)
		}
		w = append(w, need{scheme: at, scopes: n.Scopes})
	}
	return w, ok
}

func (c *compiler) scheme(def *swagger.Scheme) scheme {
	s, known := c.schemes[def]
	if known {
		return s
	}
	v, given := c.verifiers[def.Name]
	var err error
	if given {
		s, err = newScheme(def, v)
	} else {
		err = errors.New("the route does not say how")
	}
	if err != nil {
		s = nil
		c.problems = append(c.problems, fmt.Errorf("check credentials of %q: %w", def.Name, err))
	}
	c.schemes[def] = s
	return s
}

func newScheme(def *swagger.Scheme, v wire.Verifier) (scheme, error) {
	if v.Type != def.Type {
		return nil, fmt.Errorf("the route says how for type %q, the document has %q", v.Type, def.Type)
	}
	if def.Type == swagger.OAuth2 {
		t, err := newToken(v)
		if err != nil {
			return nil, err
		}
		return t, nil
	}
	secrets, err := newSecrets(v)
	if err != nil {
		return nil, err
	}
	if def.Type == swagger.Basic {
		return &basic{secrets}, nil
	}
	return &apiKey{secrets: secrets, header: def.In == "header", name: def.Param}, nil
}

// Check decides on a request: nil lets it in.
func (g *Guard) Check(req *fasthttp.Request, now time.Time) *Refusal {
	var few [4]evidence
	seen := few[:]
	if len(g.schemes) > len(few) {
		seen = make([]evidence, len(g.schemes))
	}
	var short way // the first that only scopes are missing for
	for _, w := range g.ways {
		switch known, scopes := g.meets(w, req, now, seen); {
		case known && scopes:
			return nil
		case known && short == nil:
			short = w
		}
	}
	switch {
	case len(g.ways) == 0:
		return &Refusal{Status: fasthttp.StatusServiceUnavailable, Detail: "The operation requires credentials that the gateway cannot check now."}
	case short != nil:
		return g.forbid(short)
	}
	return g.challenge(seen)
}

// meets looks at what w needs, each scheme once a request, and tells whether it is
// all shown, and with the scopes.
func (g *Guard) meets(w way, req *fasthttp.Request, now time.Time, seen []evidence) (known, scopes bool) {
	known, scopes = true, true
	for _, n := range w {
		e := &seen[n.scheme]
		if !e.looked {
			*e = g.schemes[n.scheme].check(req, now)
			e.looked = true
		}
		known = known && e.shown == right
		for _, s := range n.scopes {
			scopes = scopes && slices.Contains(e.scopes, s)
		}
	}
	return known, scopes
}
