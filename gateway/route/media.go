package route

import (
	"bytes"
	"strings"
)

// mediaRange is a media type or range in lower case, without parameters:
// "application/json", "text/*", "*/*".
type mediaRange struct{ typ, sub string }

func parseRanges(list []string) []mediaRange {
	var out []mediaRange
	for _, s := range list {
		s, _, _ = strings.Cut(s, ";")
		typ, sub, _ := strings.Cut(strings.ToLower(strings.TrimSpace(s)), "/")
		out = append(out, mediaRange{typ, sub})
	}
	return out
}

// Consumes reports whether the operation takes a body of this Content-Type; if
// not, the answer is 415. An operation that does not say what it consumes takes
// everything. Parameters such as charset do not count.
//
// RFC 9110 section 8.3 lets us assume a type for a body that comes without one:
// we assume that it is what the operation wants, if that is JSON, which is then
// checked, or octets, or anything; a form or XML has to be called so.
func (o *Op) Consumes(contentType []byte) bool {
	if len(o.consumes) == 0 {
		return true
	}
	typ, sub, _ := cutRange(contentType)
	for _, c := range o.consumes {
		if len(typ) == 0 {
			if c.isGuessable() {
				return true
			}
		} else if c.takes(typ, sub) {
			return true
		}
	}
	return false
}

// Accepts reports whether something that the operation produces is acceptable
// by this Accept header (RFC 9110 section 12.5.1); if not, the answer is 406. The
// most specific range that fits a type decides on it, and q=0 forbids it.
// Parameters other than q are not compared: which ones the function will send is
// not known here. A header that cannot be read is taken for none.
func (o *Op) Accepts(accept []byte) bool {
	if len(o.produces) == 0 || len(accept) == 0 {
		return true
	}
	readable := false
	for _, p := range o.produces {
		best, acceptable := 0, false // how specific the deciding range is, from 1 to 3
		for rest := accept; len(rest) > 0; {
			var element []byte
			element, rest = cutElement(rest)
			typ, sub, params := cutRange(element)
			if string(typ) == "*" && len(sub) == 0 {
				sub = typ // what old Java clients mean by "*"
			}
			if len(typ) == 0 || len(sub) == 0 {
				continue
			}
			readable = true
			specific := 3
			if string(typ) == "*" {
				specific = 1
			} else if string(sub) == "*" {
				specific = 2
			}
			if specific < best || !p.overlaps(typ, sub) {
				continue
			}
			if specific > best {
				best, acceptable = specific, false
			}
			acceptable = acceptable || !isZeroQ(params)
		}
		if acceptable {
			return true
		}
	}
	return !readable
}

// isGuessable reports whether a body without a type can be taken for r.
func (r mediaRange) isGuessable() bool {
	return r.sub == "json" || strings.HasSuffix(r.sub, "+json") || r.typ == "*" ||
		r.typ == "application" && (r.sub == "octet-stream" || r.sub == "*")
}

// takes reports whether a type falls into r.
func (r mediaRange) takes(typ, sub []byte) bool {
	return (r.typ == "*" || equalFold(typ, r.typ)) && (r.sub == "*" || r.typ == "*" || equalFold(sub, r.sub))
}

// overlaps reports whether a type may fall into r as well as into the range
// typ/sub.
func (r mediaRange) overlaps(typ, sub []byte) bool {
	return (string(typ) == "*" || r.typ == "*" || equalFold(typ, r.typ)) &&
		(string(sub) == "*" || r.sub == "*" || r.typ == "*" || equalFold(sub, r.sub))
}

// equalFold compares with a string in lower case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// cutRange splits a media type or range and what follows its first semicolon.
func cutRange(s []byte) (typ, sub, params []byte) {
	s, params, _ = bytes.Cut(s, []byte{';'})
	typ, sub, _ = bytes.Cut(bytes.TrimSpace(s), []byte{'/'})
	return typ, sub, params
}

// cutElement splits a list at its first comma outside of a quoted string.
func cutElement(list []byte) (element, rest []byte) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			return list[:i], list[i+1:]
		}
	}
	return list, nil
}

// isZeroQ reports whether params give the weight 0 (RFC 9110 section 12.4.2).
func isZeroQ(params []byte) bool {
	for len(params) > 0 {
		var p []byte
		p, params, _ = bytes.Cut(params, []byte{';'})
		name, value, ok := bytes.Cut(bytes.TrimSpace(p), []byte{'='})
		if ok && equalFold(bytes.TrimSpace(name), "q") {
			value = bytes.TrimSpace(value)
			return len(value) > 0 && value[0] == '0' && len(bytes.Trim(value, "0.")) == 0
		}
	}
	return false
}
