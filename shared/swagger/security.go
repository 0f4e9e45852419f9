package swagger

import (
	"slices"
	"strings"
)

// The types of security definitions (Swagger 2.0, Security Scheme Object).
const (
	Basic  = "basic"
	APIKey = "apiKey"
	OAuth2 = "oauth2"
)

// Scheme is a security definition that an operation refers to.
type Scheme struct {
	Name  string // in securityDefinitions
	Type  string // Basic, APIKey or OAuth2
	In    string // APIKey: "header" or "query"
	Param string // APIKey: the name of that header or query parameter
}

// Requirement is one way to be let in: everything in it together. It is never empty.
type Requirement []Need

// Need is one scheme of a Requirement.
type Need struct {
	Scheme *Scheme  // one of the document's, shared by all that refer to it
	Scopes []string // OAuth2: all of them; sorted
}

// Bounds on security requirements. An operation's are gone through for every
// request that is turned away.
const (
	MaxAlternatives = 32 // requirements of an operation
	MaxTogether     = 8  // schemes of a requirement
	maxScopes       = 64 // scopes of a need
)

// security reads the document's definitions, and the requirements of operations
// that have none of their own.
//
// What no operation uses is warned of only. What one does use has to be whole: a
// requirement that cannot be checked must not be taken for one that was met.
type security struct {
	r         *reader
	object    map[string]any     // securityDefinitions
	schemes   map[string]*Scheme // by name; nil: one that cannot be used
	inherited []Requirement
	read      bool // inherited is
}

func (r *reader) newSecurity() *security {
	s := &security{r: r, schemes: map[string]*Scheme{}}
	switch v := r.root["securityDefinitions"].(type) {
	case map[string]any:
		s.object = v
	case nil:
	default:
		r.refuse("securityDefinitions", "is %s, not an object", kind(v))
	}
	return s
}

// of is what an operation requires: its own requirements, an empty list too, else
// the document's.
func (s *security) of(where string, operation map[string]any) []Requirement {
	if v, own := operation["security"]; own {
		return s.requirements(where, v)
	}
	if !s.read {
		s.read = true
		if v, has := s.r.root["security"]; has {
			s.inherited = s.requirements("document", v)
		}
	}
	return s.inherited
}

// unused warns of what no operation refers to and is not right.
func (s *security) unused() {
	for name, v := range sorted(s.object) {
		if _, used := s.schemes[name]; used {
			continue
		}
		if _, fault := scheme(name, v); fault != "" {
			s.r.warn("securityDefinitions", "%s %s; no operation requires it", quote(name), fault)
		}
	}
}

// requirements reads a list of alternatives; nil lets everybody in.
func (s *security) requirements(where string, v any) []Requirement {
	list, ok := v.([]any)
	if !ok {
		s.r.refuse(where, "security is %s, not an array", kind(v))
		return nil
	}
	if len(list) > MaxAlternatives {
		s.r.refuse(where, "security has %d alternatives, more than %d", len(list), MaxAlternatives)
		return nil
	}
	var all []Requirement
	open := false
	for _, item := range list {
		object, ok := item.(map[string]any)
		switch {
		case !ok:
			s.r.refuse(where, "security holds %s, not an object", kind(item))
		case len(object) > MaxTogether:
			s.r.refuse(where, "security has %d definitions in one requirement, more than %d", len(object), MaxTogether)
		case len(object) == 0:
			open = true
		default:
			all = append(all, s.requirement(where, object))
		}
	}
	if open {
		s.r.warn(where, "security has an empty requirement {}, which everybody meets: the operation is open")
		return nil
	}
	return all
}

func (s *security) requirement(where string, object map[string]any) Requirement {
	var needs Requirement
	for name, v := range sorted(object) {
		scheme := s.scheme(where, name)
		if scheme == nil {
			continue // and the document is refused
		}
		scopes := s.scopes(where, name, v)
		switch {
		case scheme.Type == OAuth2:
			s.declared(where, name, scopes)
		case len(scopes) > 0:
			s.r.refuse(where, "security requires scopes of %s, which is of type %s and has none", quote(name), scheme.Type)
		}
		needs = append(needs, Need{Scheme: scheme, Scopes: scopes})
	}
	return needs
}

// scheme is the definition that a requirement names.
func (s *security) scheme(where, name string) *Scheme {
	if found, known := s.schemes[name]; known && found != nil {
		return found
	}
	v, defined := s.object[name]
	if !defined {
		s.r.refuse(where, "security requires %s, which securityDefinitions does not define", quote(name))
		return nil
	}
	found, fault := scheme(name, v)
	if fault != "" {
		s.r.refuse("securityDefinitions", "%s %s", quote(name), fault)
	}
	s.schemes[name] = found
	return found
}

// scheme reads one definition, or says what is wrong with it.
func scheme(name string, v any) (found *Scheme, fault string) {
	object, ok := v.(map[string]any)
	if !ok {
		return nil, "is " + kind(v) + ", not an object"
	}
	if len(name) > maxID {
		return nil, "has a name that is too long"
	}
	s := &Scheme{Name: name}
	if s.Type, ok = object["type"].(string); !ok {
		return nil, "has no type: basic, apiKey or oauth2"
	}
	switch s.Type {
	case Basic, OAuth2:
		return s, ""
	case APIKey:
	default:
		return nil, "has the type " + quote(s.Type) + ", which is not basic, apiKey or oauth2"
	}
	s.In, _ = object["in"].(string)
	s.Param, _ = object["name"].(string)
	switch {
	case s.In != "header" && s.In != "query":
		return nil, "is an apiKey whose in is not header or query"
	case s.Param == "":
		return nil, "is an apiKey without a name"
	case s.In == "header" && strings.ContainsFunc(s.Param, notToken):
		return nil, "is an apiKey in the header " + quote(s.Param) + ", which is no name of a header"
	}
	return s, ""
}

// scopes reads what stands beside a definition's name in a requirement.
func (s *security) scopes(where, name string, v any) []string {
	list, ok := v.([]any)
	if !ok {
		s.r.refuse(where, "security: the scopes of %s are %s, not an array", quote(name), kind(v))
		return nil
	}
	if len(list) > maxScopes {
		s.r.refuse(where, "security: %d scopes of %s, more than %d", len(list), quote(name), maxScopes)
		return nil
	}
	var scopes []string
	for _, item := range list {
		scope, ok := item.(string)
		if !ok || scope == "" {
			s.r.refuse(where, "security: a scope of %s is not a name but %s", quote(name), kind(item))
			continue
		}
		scopes = append(scopes, scope)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// declared warns of scopes that the definition does not list.
func (s *security) declared(where, name string, scopes []string) {
	object, _ := s.object[name].(map[string]any)
	known, _ := object["scopes"].(map[string]any)
	for _, scope := range scopes {
		if _, ok := known[scope]; !ok {
			s.r.warn(where, "security requires the scope %s, which %s does not list", quote(scope), quote(name))
		}
	}
}

// notToken tells what cannot stand in the name of a header (RFC 9110 section 5.6.2).
func notToken(c rune) bool {
	return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}
