package bind

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"unicode/utf8"

	"github.com/valyala/fasthttp"
)

// pair is one name and value of a query or a form, decoded.
type pair struct {
	name, value []byte
	malformed   bool  // value holds a percent sign that begins no escape
	next        int32 // 1 + index of the next pair of the same parameter

	file     bool // value is empty, these tell of it
	filename string
	size     int64 // bytes
}

// clear forgets the pairs and makes room for those of g.
func (s *state) clear(g *group) {
	clear(s.pairs)
	s.pairs, s.rest = s.pairs[:0], s.rest[:0]
	n := len(g.params)
	if cap(s.first) < n {
		s.first, s.last = make([]int32, n), make([]int32, n)
	}
	s.first, s.last = s.first[:n], s.last[:n]
	clear(s.first)
}

// parseForm reads application/x-www-form-urlencoded text, as queries are, too:
// into chains of pairs for the parameters of g, and the rest, where wanted.
func (s *state) parseForm(raw []byte, g *group, wantRest bool) {
	s.clear(g)
	for len(raw) > 0 {
		var piece []byte
		piece, raw, _ = bytes.Cut(raw, []byte{'&'})
		if len(piece) == 0 {
			continue
		}
		rawName, rawValue, _ := bytes.Cut(piece, []byte{'='})
		name, _ := s.decode(rawName, true)
		at, declared := g.index[string(name)]
		if !declared && !wantRest {
			continue
		}
		value, ok := s.decode(rawValue, true)
		s.pairs = append(s.pairs, pair{name: name, value: value, malformed: !ok})
		if declared {
			s.link(at)
		} else {
			s.rest = append(s.rest, int32(len(s.pairs)-1))
		}
	}
}

// link puts the last pair at the end of a parameter's chain.
func (s *state) link(param int32) {
	n := int32(len(s.pairs))
	if s.first[param] == 0 {
		s.first[param] = n
	} else {
		s.pairs[s.last[param]-1].next = n
	}
	s.last[param] = n
}

// decode undoes percent-encoding (RFC 3986 section 2.1) and, in forms, the plus
// sign for a space. A percent sign that begins no escape stays as it is, and the
// result is not ok.
func (s *state) decode(raw []byte, form bool) (text []byte, ok bool) {
	if bytes.IndexByte(raw, '%') < 0 && (!form || bytes.IndexByte(raw, '+') < 0) {
		return raw, true
	}
	ok = true
	start := len(s.text) // earlier results stay where they are, whatever append does
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == '+' && form:
			c = ' '
		case c == '%':
			if i+2 < len(raw) && isHex(raw[i+1]) && isHex(raw[i+2]) {
				c = unhex(raw[i+1])<<4 | unhex(raw[i+2])
				i += 2
			} else {
				ok = false
			}
		}
		s.text = append(s.text, c)
	}
	return s.text[start:len(s.text):len(s.text)], ok
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// readable reports whether text can be a declared parameter's value.
func (s *state) readable(text []byte, wellFormed bool) bool {
	switch {
	case !wellFormed:
		s.found.fail("has a percent sign without two hexadecimal digits behind it")
	case !utf8.Valid(text):
		s.found.fail("must be UTF-8")
	default:
		return true
	}
	return false
}

// parseFormBody reads the form in body, if there is one; a body of another
// media type has no parameters.
func (s *state) parseFormBody(req *fasthttp.Request, body []byte, g *group) {
	s.clear(g)
	contentType := req.Header.ContentType()
	urlencoded := isMediaType(contentType, "application/x-www-form-urlencoded")
	if len(body) == 0 || !urlencoded && !isMediaType(contentType, "multipart/form-data") {
		return
	}
	s.found.at("formData", "")
	body, ok := s.inflate(req, body)
	switch {
	case !ok:
	case urlencoded:
		s.parseForm(body, g, false)
	default:
		s.parseMultipart(contentType, body, g)
	}
}

// parseMultipart reads multipart/form-data (RFC 7578). Of a file it keeps the
// name and the size.
func (s *state) parseMultipart(contentType, body []byte, g *group) {
	_, params, err := mime.ParseMediaType(string(contentType))
	if err != nil || params["boundary"] == "" {
		s.found.fail("has a Content-Type without a boundary")
		return
	}
	r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for n := 0; ; n++ {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			s.found.fail("is not valid multipart/form-data")
			return
		}
		if n == MaxParts {
			s.found.fail("has more than " + itoa(MaxParts) + " parts")
			return
		}
		at, declared := g.index[part.FormName()]
		if !declared {
			continue // NextPart skips what is left of it
		}
		p := pair{filename: part.FileName()}
		if g.params[at].value.kinds == fileKind {
			p.file = p.filename != ""
			p.size, err = io.Copy(io.Discard, part)
		} else {
			p.value, err = io.ReadAll(part)
		}
		if err != nil {
			s.found.fail("is not valid multipart/form-data")
			return
		}
		s.pairs = append(s.pairs, p)
		s.link(at)
	}
}
