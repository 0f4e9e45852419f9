package bind

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-openapi/spec"

	"github.com/funcatron/funcatron/shared/swagger"
)

// param is one declared parameter outside the body.
type param struct {
	in, name   string
	member     []byte // `"name":`
	value      value
	multi      bool // collectionFormat multi: an array of the values of its repetitions
	required   bool
	allowEmpty bool
	def        []byte // JSON of the default, nil where there is none
}

// value is a parameter's type, or that of the items of an array.
type value struct {
	keywords
	separator byte // arrays: between items
	items     *value
}

// group is the parameters of one place, in the order of the document.
type group struct {
	params []*param
	index  map[string]int32
}

func (g *group) add(p *param) {
	if g.index == nil {
		g.index = make(map[string]int32)
	}
	g.index[p.name] = int32(len(g.params))
	g.params = append(g.params, p)
}

// stringParam is what a parameter that nobody declared is taken for.
func stringParam(in, name string) *param {
	p := &param{in: in, name: name}
	p.member = append(appendString(nil, []byte(name)), ':')
	p.value.kinds = stringKind
	return p
}

func newParam(decl *swagger.Parameter, warn func(where, what string)) (*param, error) {
	p := stringParam(decl.In, decl.Name)
	p.required = decl.Required
	p.allowEmpty = decl.AllowEmptyValue && (decl.In == "query" || decl.In == "formData")
	p.multi = decl.CollectionFormat == "multi" && decl.Type == "array" && (decl.In == "query" || decl.In == "formData")
	v, err := newValue(&decl.SimpleSchema, &decl.CommonValidations, decl.In, func(what string) {
		warn(decl.In+" parameter "+decl.Name, what)
	})
	if err != nil {
		return nil, fmt.Errorf("%s parameter %q: %w", decl.In, decl.Name, err)
	}
	p.value = *v
	if decl.Default != nil && p.value.kinds != fileKind {
		if p.def, err = asciiJSON(decl.Default); err != nil {
			return nil, fmt.Errorf("%s parameter %q: encode default: %w", decl.In, decl.Name, err)
		}
	}
	return p, nil
}

func newValue(s *spec.SimpleSchema, v *spec.CommonValidations, in string, warn func(string)) (*value, error) {
	k := kindOf(s.Type)
	switch {
	case k == 0 || k == objectKind || k == nullKind:
		warn(fmt.Sprintf("type %q is none of a parameter's and is taken for string", s.Type))
		k = stringKind
	case k == fileKind && in != "formData":
		warn("type file outside a form is taken for string")
		k = stringKind
	}
	out := &value{keywords: newKeywords(v, k, s.Format, warn)}
	if k == stringKind && out.enum != nil {
		out.enum.addText()
	}
	if k != arrayKind {
		return out, nil
	}
	switch s.CollectionFormat {
	case "", "csv", "multi":
		out.separator = ','
		if s.CollectionFormat == "multi" && in != "query" && in != "formData" {
			warn("collectionFormat multi outside query and form is taken for csv")
		}
	case "ssv":
		out.separator = ' '
	case "tsv":
		out.separator = '\t'
	case "pipes":
		out.separator = '|'
	default:
		warn(fmt.Sprintf("collectionFormat %q is taken for csv", s.CollectionFormat))
		out.separator = ','
	}
	if s.Items == nil {
		warn("array without items: taken for strings")
		out.items = &value{keywords: keywords{kinds: stringKind}}
		return out, nil
	}
	var err error
	// Inside an array there is nothing to repeat: multi is not an Items Object's.
	out.items, err = newValue(&s.Items.SimpleSchema, &s.Items.CommonValidations, "items", warn)
	return out, err
}

// append appends text, decoded, as JSON of v's type, and reports what is wrong
// with it. It appends valid JSON in any case.
func (v *value) append(dst, text []byte, c *collector) []byte {
	switch v.kinds {
	case integerKind:
		if !isInteger(text) {
			c.fail(v.mismatch)
			return append(dst, "null"...)
		}
		n, _ := parseNumber(text)
		if !n.isInt {
			c.fail(tooLongMsg)
			return append(dst, "null"...)
		}
		v.checkNumber(n, c)
		return strconv.AppendInt(dst, n.i, 10)

	case numberKind:
		if !isNumber(text) {
			c.fail(v.mismatch)
			return append(dst, "null"...)
		}
		n, ok := parseNumber(text)
		if !ok {
			c.fail(tooLargeMsg)
			return append(dst, "null"...)
		}
		v.checkNumber(n, c)
		return append(dst, text...) // all its digits

	case booleanKind:
		start := len(dst)
		switch string(text) {
		case "true", "1":
			dst = append(dst, "true"...)
		case "false", "0":
			dst = append(dst, "false"...)
		default:
			c.fail(v.mismatch)
			return append(dst, "null"...)
		}
		if v.enum != nil && !v.enum.hasJSON(dst[start:]) {
			c.fail(v.enum.message)
		}
		return dst

	case arrayKind:
		a := arrayWriter{v: v, c: c, start: len(dst)}
		dst = append(dst, '[')
		dst = a.split(dst, text)
		return a.end(dst)
	}
	v.checkText(text, c)
	if v.enum != nil && !v.enum.text[string(text)] {
		c.fail(v.enum.message)
	}
	return appendString(dst, text)
}

// arrayWriter appends the items of one array.
type arrayWriter struct {
	v     *value
	c     *collector
	start int // of the array in dst
	n     int64
	seen  *distinct
}

// split appends the items that text holds between separators. Spaces around an
// item do not belong to it: "a, b" is how people write lists into headers.
func (a *arrayWriter) split(dst, text []byte) []byte {
	for len(text) > 0 {
		item, rest, more := bytes.Cut(text, []byte{a.v.separator})
		if a.v.separator != ' ' && a.v.separator != '\t' {
			item = bytes.TrimSpace(item)
		}
		dst = a.item(dst, item)
		if !more {
			break
		}
		if len(rest) == 0 { // "a," has two items
			dst = a.item(dst, nil)
		}
		text = rest
	}
	return dst
}

func (a *arrayWriter) item(dst, text []byte) []byte {
	if a.n > 0 {
		dst = append(dst, ',')
	}
	a.n++
	outer := a.c.item
	if outer == 0 {
		a.c.item = int(a.n)
	}
	start := len(dst)
	dst = a.v.items.append(dst, text, a.c)
	a.c.item = outer
	if a.v.unique {
		if a.seen == nil {
			a.seen = newDistinct()
		}
		if !a.seen.add(dst[start:]) {
			a.c.fail(duplicateMsg)
		}
	}
	return dst
}

func (a *arrayWriter) end(dst []byte) []byte {
	dst = append(dst, ']')
	a.v.checkCount(a.n, a.c)
	if a.v.enum != nil && !a.v.enum.hasJSON(dst[a.start:]) {
		a.c.fail(a.v.enum.message)
	}
	return dst
}

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
