package swagger

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// pointer splits a `$ref` to this document into the tokens of its JSON pointer
// (RFC 6901, section 6); ok is false where it leads elsewhere or is no pointer.
func pointer(ref string) (tokens []string, ok bool) {
	fragment, local := strings.CutPrefix(ref, "#")
	if !local {
		return nil, false
	}
	if plain, err := url.PathUnescape(fragment); err == nil {
		fragment = plain
	}
	if fragment == "" {
		return nil, true
	}
	fragment, ok = strings.CutPrefix(fragment, "/")
	if !ok {
		return nil, false
	}
	tokens = strings.Split(fragment, "/")
	for i, t := range tokens {
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(t, "~1", "/"), "~0", "~")
	}
	return tokens, true
}

// join is the canonical `$ref` that tokens make, so that one place has one name
// however it was spelt.
func join(tokens []string) string {
	var b strings.Builder
	b.WriteByte('#')
	for _, t := range tokens {
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(t, "~", "~0"), "/", "~1"))
	}
	return b.String()
}

// lookup is the value at tokens.
func (r *reader) lookup(tokens []string) (any, bool) {
	var at any = r.root
	for _, token := range tokens {
		switch v := at.(type) {
		case map[string]any:
			next, ok := v[token]
			if !ok {
				return nil, false
			}
			at = next
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			at = v[i]
		default:
			return nil, false
		}
	}
	return at, true
}

// resolve is the object that a `$ref` in a request leads to, and its canonical
// name. Where there is none, it refuses the document.
func (r *reader) resolve(where, ref string) (object map[string]any, name string, ok bool) {
	if !strings.HasPrefix(ref, "#") {
		hint := ""
		if !strings.ContainsAny(ref, "./:#") {
			hint = "; did you mean #/definitions/" + clip(ref) + "?"
		}
		r.refuse(where, "$ref %s leads to a file or URL, which is never followed%s", quote(ref), hint)
		return nil, "", false
	}
	tokens, ok := pointer(ref)
	if !ok || len(tokens) == 0 {
		r.refuse(where, "$ref %s is not a pointer into the document", quote(ref))
		return nil, "", false
	}
	v, ok := r.lookup(tokens)
	if !ok {
		r.refuse(where, "$ref %s does not resolve", quote(ref))
		return nil, "", false
	}
	if object, ok = v.(map[string]any); !ok {
		r.refuse(where, "$ref %s leads to %s, not an object", quote(ref), kind(v))
		return nil, "", false
	}
	return object, join(tokens), true
}

// follow goes from an object that may be a `$ref` to what is meant in the end,
// and gives the last reference's canonical name, "" where there was none.
func (r *reader) follow(where string, object map[string]any, what string) (map[string]any, string) {
	var seen []string
	name := ""
	for {
		ref, ok := object["$ref"].(string)
		if !ok {
			return object, name
		}
		next, target, ok := r.resolve(where, ref)
		if !ok {
			return nil, ""
		}
		if slices.Contains(seen, target) || len(seen) == maxDepth {
			r.refuse(where, "$ref %s leads back to itself: there is no %s", quote(ref), what)
			return nil, ""
		}
		seen = append(seen, target)
		object, name = next, target
	}
}

// Below values a $ref is data that happens to look like one; below named, keys
// are names that somebody gave, which may be those of values.
var (
	values = map[string]bool{"default": true, "enum": true, "example": true, "examples": true}
	named  = map[string]bool{
		"definitions": true, "dependencies": true, "headers": true, "parameters": true,
		"patternProperties": true, "properties": true, "responses": true,
	}
)

// sweep takes every `$ref` to elsewhere out of the document and warns of those
// that do not resolve. Those in requests were refused before; here are the
// responses and whatever nothing uses.
func (r *reader) sweep() {
	var at []string
	var walk func(v any, names, data bool)
	walk = func(v any, names, data bool) {
		switch v := v.(type) {
		case []any:
			for i, item := range v {
				at = append(at, strconv.Itoa(i))
				walk(item, false, data)
				at = at[:len(at)-1]
			}
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				if !strings.HasPrefix(ref, "#") {
					delete(v, "$ref")
					r.warn(clip(join(at)), "$ref %s leads to a file or URL, which is never followed: it was taken out", quote(ref))
				} else if tokens, ok := pointer(ref); !data && !ok {
					r.warn(clip(join(at)), "$ref %s is not a pointer into the document", quote(ref))
				} else if _, ok := r.lookup(tokens); !data && !ok {
					r.warn(clip(join(at)), "$ref %s does not resolve", quote(ref))
				}
			}
			for key, item := range sorted(v) {
				at = append(at, key)
				walk(item, !names && named[key], data || !names && values[key])
				at = at[:len(at)-1]
			}
		}
	}
	walk(r.root, false, false)
}
