// Package bind checks requests against the operation they were routed to, and
// gives their parameters the types that the Swagger document declares.
//
// A Binder never changes after New and is safe for use by any number of
// goroutines. Everything that can fail for the document's sake fails in New; a
// Binder that exists checks every request in time and memory bounded by the
// request's size, and says everything that is wrong with it (up to
// MaxViolations), not the first thing only.
//
// What is checked is what is there: the request itself goes on untouched, so a
// value that could be read in two ways (a parameter given twice) is refused
// rather than resolved.
package bind

import (
	"errors"
	"fmt"
	"sync"

	"github.com/valyala/fasthttp"

	"github.com/funcatron/funcatron/shared/swagger"
)

// Limits on what one request may cost.
const (
	MaxViolations = 100      // reported for one request; one more then says that there are more
	MaxDepth      = 1000     // nesting of objects and arrays in a JSON body
	MaxParts      = 1000     // of a multipart form
	MaxInflated   = 32 << 20 // bytes of a compressed body once it is unpacked for checking
)

// Violation is one way in which a request breaks the document. For a body, Name
// is the path of the offending member ("items[0].name"), or the parameter's
// name where it is the body as a whole.
type Violation struct {
	In      string `json:"in"` // path, query, header, formData or body
	Name    string `json:"name"`
	Message string `json:"message"`
}

// Binder checks the requests of one operation.
type Binder struct {
	path   []*param // one a parameter of the template, in its order
	query  group
	header []*param
	form   group
	body   *bodyRule // nil where the operation takes none

	idle     bool // no request without a query can break anything, and all get noParams
	warnings []string
}

// noParams is what an operation without parameters answers to a request without
// a query.
const noParams = `{"path":{},"query":{},"header":{},"form":{}}`

// New prepares the checks of op. pathNames are the names of the template's
// parameters in the order in which Bind will get their values; one that op does
// not declare is taken for a string. The operations of one document had better
// share schemas; nil will do for a single one.
//
// After an error schemas must not be used again.
func New(op *swagger.Operation, pathNames []string, schemas *Schemas) (b *Binder, err error) {
	defer func() {
		// The document's author must not be able to stop a gateway, so what
		// go-openapi panics about is an error like any other.
		if r := recover(); r != nil {
			b, err = nil, fmt.Errorf("prepare checks of %s %s: %v", op.Method, op.Path, r)
		}
	}()
	if schemas == nil {
		schemas = NewSchemas()
	}
	b = &Binder{}
	var problems []error
	warn := func(where, what string) { b.warnings = append(b.warnings, where+": "+what) }

	declared := make(map[string]*param)
	for i := range op.Params {
		p, err := newParam(&op.Params[i], warn)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		switch p.in {
		case "path":
			declared[p.name] = p
		case "query":
			b.query.add(p)
		case "header":
			b.header = append(b.header, p)
		case "formData":
			b.form.add(p)
		}
	}
	for _, name := range pathNames {
		p := declared[name]
		if p == nil {
			p = stringParam("path", name)
		}
		for j, earlier := range b.path {
			if earlier != nil && earlier.name == name { // the JSON object has room for one: the last
				b.path[j] = nil
			}
		}
		b.path = append(b.path, p)
	}
	if op.Body != nil {
		if b.body, err = newBodyRule(op, schemas, warn); err != nil {
			problems = append(problems, err)
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("prepare checks of %s %s: %w", op.Method, op.Path, err)
	}
	b.idle = len(b.path)+len(b.query.params)+len(b.header)+len(b.form.params) == 0 && b.body == nil
	return b, nil
}

// Warnings says what in the operation's description cannot be checked, such as
// a pattern that is no RE2 expression. Requests pass those checks.
func (b *Binder) Warnings() []string { return b.warnings }

// Bind checks req and appends its parameters to dst, as one JSON object on one
// line of visible ASCII, fit for a header:
//
//	{"path":{...},"query":{...},"header":{...},"form":{...}}
//
// Declared parameters have their declared types, defaults filled in; an absent
// one without a default is left out. Query parameters that are not declared
// follow as strings, or as arrays of strings where they are repeated. A file is
// {"filename":...,"size":...}, size in bytes.
//
// pathValues are the template's values as sent, still percent-encoded. body is
// the body of req as sent, still in its Content-Encoding. Bind keeps none of its
// arguments. Where there are violations, params is dst as it was.
func (b *Binder) Bind(dst []byte, req *fasthttp.Request, pathValues [][]byte, body []byte) (params []byte, bad []Violation) {
	query := req.URI().QueryString()
	if b.idle && len(query) == 0 {
		return append(dst, noParams...), nil
	}
	s := states.Get().(*state)
	before := len(dst)
	dst, bad = s.bind(dst, b, req, pathValues, query, body)
	s.release()
	states.Put(s)
	if bad != nil {
		return dst[:before], bad
	}
	return dst, nil
}

func (s *state) bind(dst []byte, b *Binder, req *fasthttp.Request, pathValues [][]byte, query, body []byte) ([]byte, []Violation) {
	dst = append(dst, `{"path":{`...)
	for i, p := range b.path {
		if p != nil && i < len(pathValues) {
			dst = s.pathParam(dst, p, pathValues[i])
		}
	}

	dst = append(dst, `},"query":{`...)
	s.parseForm(query, &b.query, true)
	dst = s.bindGroup(dst, &b.query)
	dst = s.appendUndeclared(dst)

	dst = append(dst, `},"header":{`...)
	for _, p := range b.header {
		dst = s.headerParam(dst, p, req.Header.PeekAll(p.name))
	}

	dst = append(dst, `},"form":{`...)
	if len(b.form.params) > 0 {
		s.parseFormBody(req, body, &b.form)
		dst = s.bindGroup(dst, &b.form)
	}
	dst = append(dst, `}}`...)

	if b.body != nil {
		s.checkBody(req, body, b.body)
	}
	return dst, s.found.take()
}

// state is what one Bind needs while it runs.
type state struct {
	found collector
	pairs []pair
	first []int32 // of each parameter of the group at hand: 1 + index of its first pair
	last  []int32
	rest  []int32 // the pairs that belong to no parameter
	text  []byte  // decoded names and values that pairs point into
	walk  walker
}

var states = sync.Pool{New: func() any { return new(state) }}

// release forgets the request, and buffers that a huge one has blown up.
func (s *state) release() {
	const keep = 64 << 10
	clear(s.pairs)
	s.text = s.text[:0]
	if cap(s.pairs) > keep/64 {
		s.pairs, s.rest = nil, nil
	}
	if cap(s.text) > keep {
		s.text = nil
	}
	s.walk.reset()
}
