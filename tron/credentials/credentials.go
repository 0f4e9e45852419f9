// Package credentials turns the secrets in a deployment's props into what gateways
// check requests with.
//
// What leaves it lets nobody in: passwords and keys as salted digests, signing keys
// as their public half. Every definition that an operation requires is in the
// result, or there is none. No error holds any part of what was given.
package credentials

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/funcatron/funcatron/shared/keyset"
	"github.com/funcatron/funcatron/shared/swagger"
	"github.com/funcatron/funcatron/shared/wire"
)

// Prop is the property that holds credentials, an object by the names of the
// document's security definitions.
const Prop = "security"

// Bounds: every gateway holds all of it, and a request is held against each secret.
const (
	maxSecrets = 1_000    // of one definition
	MaxSize    = 64 << 10 // of a deployment's verifiers as JSON, in bytes
)

// Error is why a deployment's operations cannot be protected: all of it.
type Error struct {
	Problems []string
}

func (e *Error) Error() string {
	return "the credentials that the bundle's operations require cannot be checked: " + strings.Join(e.Problems, "; ")
}

// Verifiers is what the operations of doc require, made of props, a JSON object; nil
// where they require nothing. Each call draws salts anew. The error is an *Error.
func Verifiers(doc *swagger.Document, props json.RawMessage) (map[string]wire.Verifier, error) {
	schemes := required(doc)
	if len(schemes) == 0 {
		return nil, nil
	}
	given, err := fields(member(props, Prop))
	if err != nil {
		return nil, &Error{Problems: []string{"props." + Prop + " " + err.Error()}}
	}
	var problems []string
	all := make(map[string]wire.Verifier, len(schemes))
	for _, s := range schemes {
		v, err := verifier(s, given[s.Name])
		if err != nil {
			problems = append(problems, fmt.Sprintf("props.%s.%s (%s) %v", Prop, s.Name, s.Type, err))
			continue
		}
		all[s.Name] = v
	}
	if problems != nil {
		return nil, &Error{Problems: problems}
	}
	if b, err := json.Marshal(all); err != nil || len(b) > MaxSize {
		return nil, &Error{Problems: []string{fmt.Sprintf("props.%s makes %d bytes for each gateway to hold, more than %d: fewer users or keys", Prop, len(b), MaxSize)}}
	}
	return all, nil
}

// required are the schemes that operations refer to, by name.
func required(doc *swagger.Document) []*swagger.Scheme {
	var all []*swagger.Scheme
	for _, op := range doc.Operations {
		for _, r := range op.Security {
			for _, n := range r {
				if !slices.Contains(all, n.Scheme) {
					all = append(all, n.Scheme)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b *swagger.Scheme) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// examples are what credentials look like.
var examples = map[string]string{
	swagger.Basic:  `{"users":{"NAME":"PASSWORD"}}`,
	swagger.APIKey: `{"keys":["KEY"]} or {"keys":{"NAME":"KEY"}}`,
	swagger.OAuth2: `{"jwks":{"keys":[...]},"issuer":"...","audience":"..."}`,
}

func verifier(s *swagger.Scheme, given json.RawMessage) (v wire.Verifier, err error) {
	if given == nil || string(given) == "null" {
		return v, errors.New("is missing; it is like " + examples[s.Type])
	}
	object, err := fields(given)
	if err != nil {
		return v, fmt.Errorf("%w; it is like %s", err, examples[s.Type])
	}
	v.Type = s.Type
	switch s.Type {
	case swagger.Basic:
		err = users(&v, object)
	case swagger.APIKey:
		err = keys(&v, object, s.In == "header")
	case swagger.OAuth2:
		err = issuer(&v, object)
	}
	if err == nil && len(object) > 0 { // a misspelt restriction would be none
		err = errors.New("holds more than is known; it is like " + examples[s.Type])
	}
	return v, err
}

// users takes the users of basic credentials (RFC 7617 section 2).
func users(v *wire.Verifier, object map[string]json.RawMessage) error {
	var given map[string]string
	if err := take(object, "users", &given); err != nil {
		return errors.New("has no users like " + examples[swagger.Basic])
	}
	secrets := make([]string, 0, len(given))
	for name, password := range given {
		switch {
		case name == "" || password == "":
			return errors.New("has a user without a name or without a password")
		case strings.Contains(name, ":"):
			return errors.New("has a user whose name holds a colon, which cannot be sent")
		case strings.ContainsFunc(name+password, control):
			return errors.New("has a user with control characters in name or password, which cannot be sent")
		}
		secrets = append(secrets, name+":"+password)
	}
	return digest(v, secrets, "users")
}

// keys takes the keys of apiKey credentials.
func keys(v *wire.Verifier, object map[string]json.RawMessage, header bool) error {
	var secrets []string
	if given, ok := object["keys"]; ok && bytes.HasPrefix(given, []byte("{")) {
		var named map[string]string
		if err := take(object, "keys", &named); err != nil {
			return errors.New("has no keys like " + examples[swagger.APIKey])
		}
		for _, key := range named {
			secrets = append(secrets, key)
		}
	} else if err := take(object, "keys", &secrets); err != nil {
		return errors.New("has no keys like " + examples[swagger.APIKey])
	}
	for _, key := range secrets {
		switch {
		case key == "":
			return errors.New("has an empty key")
		case header && (strings.ContainsFunc(key, control) || strings.Trim(key, " ") != key):
			return errors.New("has a key with control characters, or with space around it, which cannot be sent in a header")
		}
	}
	return digest(v, secrets, "keys")
}

// digest puts secrets into v.
func digest(v *wire.Verifier, secrets []string, what string) error {
	switch {
	case len(secrets) == 0:
		return errors.New("has no " + what)
	case len(secrets) > maxSecrets:
		return fmt.Errorf("has %d %s, more than %d", len(secrets), what, maxSecrets)
	}
	v.Salt = wire.NewSalt()
	for _, s := range secrets {
		sum := v.Digest([]byte(s))
		v.Digests = append(v.Digests, sum[:])
	}
	slices.SortFunc(v.Digests, bytes.Compare) // their order is not to tell of the names
	return nil
}

// issuer takes what tokens are checked against.
func issuer(v *wire.Verifier, object map[string]json.RawMessage) error {
	var set json.RawMessage
	if err := take(object, "jwks", &set); err != nil {
		return errors.New("has no jwks; it is like " + examples[swagger.OAuth2])
	}
	public, err := keyset.Parse(set)
	if err == nil {
		v.JWKS, err = keyset.Encode(public)
	}
	if err != nil {
		return fmt.Errorf("jwks %w", err)
	}
	for name, into := range map[string]*string{"issuer": &v.Issuer, "audience": &v.Audience} {
		if _, given := object[name]; !given {
			continue
		}
		if err := take(object, name, into); err != nil || *into == "" {
			return errors.New("has an " + name + " that is no text")
		}
	}
	return nil
}

// take moves a member of object to into. What is wrong with it, the caller says: an
// error of encoding/json may quote it.
func take(object map[string]json.RawMessage, name string, into any) error {
	v, ok := object[name]
	delete(object, name)
	if !ok || string(v) == "null" {
		return errors.New("missing")
	}
	return json.Unmarshal(v, into)
}

// member is one member of a JSON object; nil where there is none.
func member(object json.RawMessage, name string) json.RawMessage {
	all, err := fields(object)
	if err != nil {
		return nil
	}
	return all[name]
}

// fields are the members of a JSON object. Nothing has none.
func fields(object json.RawMessage) (map[string]json.RawMessage, error) {
	var all map[string]json.RawMessage
	if len(object) == 0 || string(object) == "null" {
		return nil, nil
	}
	if err := json.Unmarshal(object, &all); err != nil {
		return nil, errors.New("is not an object")
	}
	return all, nil
}

func control(c rune) bool { return c < ' ' || c == 0x7f }
