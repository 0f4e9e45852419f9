package bind

import (
	"bytes"
	"slices"
	"strconv"
)

// appendMember appends the name of p's member of a JSON object.
func appendMember(dst []byte, p *param) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(dst, p.member...)
}

// absent appends the default of a parameter that the request does not carry.
func (s *state) absent(dst []byte, p *param) []byte {
	switch {
	case p.def != nil:
		return append(appendMember(dst, p), p.def...)
	case p.required:
		s.found.fail("is required")
	}
	return dst
}

// present appends a parameter that came once, as the decoded text.
func (s *state) present(dst []byte, p *param, text []byte) []byte {
	if len(text) == 0 {
		switch k := p.value.kinds; {
		case p.allowEmpty && k == stringKind:
			return append(appendMember(dst, p), `""`...)
		case p.allowEmpty && k == arrayKind:
			return append(appendMember(dst, p), `[]`...)
		case p.allowEmpty:
			return append(appendMember(dst, p), `null`...)
		case p.def != nil:
			return s.absent(dst, p)
		case p.required:
			s.found.fail("must not be empty")
			return dst
		}
	}
	return p.value.append(appendMember(dst, p), text, &s.found)
}

// pathParam appends a value of the path template, as sent.
func (s *state) pathParam(dst []byte, p *param, raw []byte) []byte {
	s.found.at(p.in, p.name)
	text, ok := s.decode(raw, false)
	if !s.readable(text, ok) {
		return dst
	}
	return s.present(dst, p, text)
}

// headerParam appends a header, given by the values of its lines.
func (s *state) headerParam(dst []byte, p *param, lines [][]byte) []byte {
	s.found.at(p.in, p.name)
	switch {
	case len(lines) == 0:
		return s.absent(dst, p)
	case len(lines) > 1 && p.value.kinds == arrayKind && p.value.separator == ',':
		// Lines of a list are one list (RFC 9110 section 5.3).
		lines[0] = bytes.Join(lines, []byte{','})
	case len(lines) > 1:
		s.found.fail("is given more than once")
		return dst
	}
	if !s.readable(lines[0], true) {
		return dst
	}
	return s.present(dst, p, lines[0])
}

// bindGroup appends the parameters of g from the pairs parsed last.
func (s *state) bindGroup(dst []byte, g *group) []byte {
	for i, p := range g.params {
		s.found.at(p.in, p.name)
		first := s.first[i]
		if first == 0 {
			dst = s.absent(dst, p)
			continue
		}
		one := &s.pairs[first-1]
		switch {
		case p.multi:
			dst = s.bindMulti(dst, p, first)
		case one.next != 0:
			s.found.fail("is given more than once")
		case p.value.kinds == fileKind:
			dst = s.bindFile(dst, p, one)
		case s.readable(one.value, !one.malformed):
			dst = s.present(dst, p, one.value)
		}
	}
	return dst
}

// bindMulti appends the array of all values of p.
func (s *state) bindMulti(dst []byte, p *param, first int32) []byte {
	if one := &s.pairs[first-1]; one.next == 0 && len(one.value) == 0 {
		return s.present(dst, p, nil)
	}
	dst = appendMember(dst, p)
	a := arrayWriter{v: &p.value, c: &s.found, start: len(dst)}
	dst = append(dst, '[')
	for next := first; next != 0; next = s.pairs[next-1].next {
		one := &s.pairs[next-1]
		if !s.readable(one.value, !one.malformed) {
			continue
		}
		dst = a.item(dst, one.value)
	}
	return a.end(dst)
}

// bindFile appends what there is to say of an uploaded file.
func (s *state) bindFile(dst []byte, p *param, f *pair) []byte {
	if !f.file {
		s.found.fail("must be sent as a file (multipart/form-data with a filename)")
		return dst
	}
	dst = append(appendMember(dst, p), `{"filename":`...)
	dst = appendString(dst, []byte(f.filename))
	dst = append(dst, `,"size":`...)
	return append(strconv.AppendInt(dst, f.size, 10), '}')
}

// appendUndeclared appends the pairs that no parameter has claimed, as strings,
// those that share a name as an array of them.
func (s *state) appendUndeclared(dst []byte) []byte {
	if len(s.rest) > 1 {
		slices.SortStableFunc(s.rest, func(a, b int32) int {
			return bytes.Compare(s.pairs[a].name, s.pairs[b].name)
		})
	}
	for rest := s.rest; len(rest) > 0; {
		name := s.pairs[rest[0]].name
		n := 1
		for n < len(rest) && bytes.Equal(s.pairs[rest[n]].name, name) {
			n++
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, name), ':')
		if n == 1 {
			dst = appendString(dst, s.pairs[rest[0]].value)
		} else {
			for i, at := range rest[:n] {
				dst = append(dst, "[,"[min(i, 1)])
				dst = appendString(dst, s.pairs[at].value)
			}
			dst = append(dst, ']')
		}
		rest = rest[n:]
	}
	return dst
}
