package route

import (
	"errors"
	"strings"
)

// segment is one level of a path template, its literals decoded: a literal; a
// parameter, {"", ""}; or parameters among literals: "{a}-{b}.json" is
// {"", "-", ".json"}.
type segment struct {
	literal string
	around  []string // the literals before, between and behind the parameters; nil for a literal
}

func (s segment) isParam() bool {
	return len(s.around) == 2 && s.around[0] == "" && s.around[1] == ""
}

// parseTemplate splits a template (Swagger 2.0, Paths Object) into its segments
// and the names of its parameters, in order. A name may hold anything but braces.
func parseTemplate(path string) (segments []segment, names []string, err error) {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return nil, nil, errors.New("does not begin with a slash")
	}
	var current segment
	literal := "" // since the last parameter of the segment
	end := func() {
		plain := string(decode(nil, []byte(literal)))
		if current.around == nil {
			current.literal = plain
		} else {
			current.around = append(current.around, plain)
		}
		segments = append(segments, current)
		current, literal = segment{}, ""
	}
	for rest != "" {
		i := strings.IndexAny(rest, "/{}")
		if i < 0 {
			literal += rest
			break
		}
		literal += rest[:i]
		c := rest[i]
		rest = rest[i+1:]
		switch c {
		case '/':
			end()
		case '}':
			return nil, nil, errors.New("has a } that closes nothing")
		case '{':
			name, after, closed := strings.Cut(rest, "}")
			if !closed || strings.Contains(name, "{") {
				return nil, nil, errors.New("has a { that is not closed")
			}
			if literal == "" && current.around != nil {
				return nil, nil, errors.New("has two parameters with nothing between them")
			}
			current.around = append(current.around, string(decode(nil, []byte(literal))))
			names = append(names, name)
			literal, rest = "", after
		}
	}
	end()
	return segments, names, nil
}

// match appends the values of the parameters in seg, as they are written there,
// if seg fits the literals around them. Where there is a choice, a parameter
// takes as little as possible, but never nothing; this finds a fit if there is
// one, since a literal found earlier leaves more to those behind it.
func match(values [][]byte, around []string, seg []byte) ([][]byte, bool) {
	before := len(values)
	n := prefix(seg, around[0])
	if n < 0 {
		return values, false
	}
	seg = seg[n:]
	for i, literal := range around[1:] {
		last := i == len(around)-2
		if len(seg) == 0 {
			return values[:before], false
		}
		_, at := first(seg)
		for ; ; at += step(seg[at:]) {
			if n = prefix(seg[at:], literal); n >= 0 && (!last || at+n == len(seg)) {
				break
			}
			if at == len(seg) {
				return values[:before], false
			}
		}
		values = append(values, seg[:at])
		seg = seg[at+n:]
	}
	return values, true
}

func step(s []byte) int {
	if len(s) == 0 {
		return 0
	}
	_, n := first(s)
	return n
}

// prefix is the number of bytes with which s begins by spelling literal, or -1.
func prefix(s []byte, literal string) int {
	at := 0
	for i := range len(literal) {
		if at == len(s) {
			return -1
		}
		c, n := first(s[at:])
		if c != literal[i] {
			return -1
		}
		at += n
	}
	return at
}
