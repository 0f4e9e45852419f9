package route

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/funcatron/funcatron/gateway/bind"
	"github.com/funcatron/funcatron/shared/swagger"
)

// Bundle is a Swagger document prepared for matching: made once a sha, shared by
// all tables.
type Bundle struct {
	doc  *swagger.Document
	ops  []*Op
	root *node
}

// Op is an operation, prepared for matching and checking.
type Op struct {
	*swagger.Operation
	Binder *bind.Binder
	Index  int // of the operation, in the order of Ops

	consumes, produces []mediaRange
}

// Compile prepares doc. Two operations that the same request would be for, and
// schemas that no request could be checked against, are errors, all of them
// named; swagger.Parse lets neither through.
func Compile(doc *swagger.Document) (*Bundle, error) {
	b := &Bundle{doc: doc, root: &node{}}
	schemas := bind.NewSchemas()
	var problems []error
	for i, decl := range doc.Operations {
		segments, names, err := parseTemplate(decl.Path)
		if err != nil {
			problems = append(problems, fmt.Errorf("path %q %w", decl.Path, err))
			continue
		}
		op := &Op{Operation: decl, Index: i, consumes: parseRanges(decl.Consumes), produces: parseRanges(decl.Produces)}
		if err := b.root.add(segments, op); err != nil {
			problems = append(problems, err)
			continue
		}
		if op.Binder, err = bind.New(decl, names, schemas); err != nil {
			problems = append(problems, err)
			schemas = bind.NewSchemas()
		}
		b.ops = append(b.ops, op)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("prepare document for routing: %w", err)
	}
	b.root.finish()
	return b, nil
}

// Document is what b was made of.
func (b *Bundle) Document() *swagger.Document { return b.doc }

// Ops are the operations, in the order of the document.
func (b *Bundle) Ops() []*Op { return b.ops }

// node is a node of the tree of templates, one level a segment. Templates that
// differ in the names of parameters only share their nodes.
type node struct {
	literals map[string]*node // by decoded segment
	partial  []partial        // most particular first
	param    *node
	end      *endpoint // nil where no template ends
}

// partial is the way on by a segment that is a parameter in part.
type partial struct {
	around []string
	node   *node
}

// endpoint is the operations of one template.
type endpoint struct {
	ops   []*Op
	allow string // of an Allow header
}

// add puts op at the end of its template.
func (n *node) add(segments []segment, op *Op) error {
	for _, s := range segments {
		n = n.child(s)
	}
	if n.end == nil {
		n.end = &endpoint{}
	}
	for _, other := range n.end.ops {
		if other.Method == op.Method {
			return fmt.Errorf("%s %q and %q are the same requests", op.Method, other.Path, op.Path)
		}
	}
	n.end.ops = append(n.end.ops, op)
	return nil
}

// child is the node behind s, made where it is missing.
func (n *node) child(s segment) *node {
	switch {
	case s.around == nil:
		next := n.literals[s.literal]
		if next == nil {
			if n.literals == nil {
				n.literals = make(map[string]*node)
			}
			next = &node{}
			n.literals[s.literal] = next
		}
		return next
	case s.isParam():
		if n.param == nil {
			n.param = &node{}
		}
		return n.param
	}
	for _, p := range n.partial {
		if slices.Equal(p.around, s.around) {
			return p.node
		}
	}
	next := &node{}
	n.partial = append(n.partial, partial{s.around, next})
	return next
}

// finish puts what can be decided beforehand in order. More literal bytes make a
// segment more particular.
func (n *node) finish() {
	slices.SortStableFunc(n.partial, func(a, b partial) int {
		as, bs := strings.Join(a.around, ""), strings.Join(b.around, "")
		return cmp.Or(cmp.Compare(len(bs), len(as)), slices.Compare(a.around, b.around))
	})
	if n.end != nil {
		n.end.finish()
	}
	for _, next := range n.literals {
		next.finish()
	}
	for _, p := range n.partial {
		p.node.finish()
	}
	if n.param != nil {
		n.param.finish()
	}
}

func (e *endpoint) finish() {
	methods := []string{"OPTIONS"}
	for _, op := range e.ops {
		methods = append(methods, op.Method)
		if op.Method == "GET" {
			methods = append(methods, "HEAD")
		}
	}
	slices.Sort(methods)
	e.allow = strings.Join(slices.Compact(methods), ", ")
}

// find returns the end of the most particular template that fits path, which is
// empty or begins with a slash, and appends the values of its parameters to m's.
// Every node of the tree is at one depth behind one parent, so that trying one way
// after the other visits none twice.
func (n *node) find(path []byte, m *Match) *endpoint {
	if len(path) == 0 {
		return n.end
	}
	segment, rest := cutSegment(path)
	if n.literals != nil {
		if next := n.literals[string(m.plain(segment))]; next != nil {
			if e := next.find(rest, m); e != nil {
				return e
			}
		}
	}
	before := len(m.values)
	for i := range n.partial {
		values, ok := match(m.values, n.partial[i].around, segment)
		if !ok {
			continue
		}
		m.values = values
		if e := n.partial[i].node.find(rest, m); e != nil {
			return e
		}
		m.values = m.values[:before]
	}
	if n.param != nil && len(segment) > 0 {
		m.values = append(m.values, segment)
		if e := n.param.find(rest, m); e != nil {
			return e
		}
		m.values = m.values[:before]
	}
	return nil
}

// op is the operation for a method, GET's for HEAD (RFC 9110 section 9.3.2), or
// nil.
func (e *endpoint) op(method []byte) *Op {
	for _, op := range e.ops {
		if string(method) == op.Method {
			return op
		}
	}
	if string(method) == "HEAD" {
		return e.op([]byte("GET"))
	}
	return nil
}
