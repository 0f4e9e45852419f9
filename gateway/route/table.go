// Package route finds the operation that a request is for.
//
// A Table never changes after Build, nor a Bundle after Compile. The gateway
// swaps whole tables, so a request sees one table from first byte to last and
// readers take no lock. Everything that can fail happens in Compile and Build; a
// Table that exists is valid. A look-up allocates nothing and costs the length of
// the path, however many operations and bundles there are.
package route

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/funcatron/funcatron/shared/wire"
)

// Item is one row of the table: a host and base path, and the document that is
// served there. The row's host and base path count, not the document's.
type Item struct {
	wire.RouteItem
	Bundle *Bundle
}

// Table is a route table.
type Table struct {
	items []*Item
	hosts map[string]*base // lower case, with a port or without
	any   *base            // rows without a host
}

// base is a node of the tree of base paths, one level a segment.
type base struct {
	children map[string]*base // by decoded segment
	item     *Item            // nil where no base path ends
	row      int
}

// Build makes a table of items, which it does not change. Two of them with one
// host and base path are an error.
func Build(items []*Item) (*Table, error) {
	t := &Table{items: slices.Clone(items), hosts: make(map[string]*base), any: &base{}}
	slices.SortStableFunc(t.items, func(a, b *Item) int {
		return cmp.Or(cmp.Compare(len(b.BasePath), len(a.BasePath)), cmp.Compare(a.BasePath, b.BasePath), cmp.Compare(a.Host, b.Host))
	})
	for row, item := range t.items {
		if err := t.add(item, row); err != nil {
			return nil, fmt.Errorf("route %q to deployment %s: %w", item.Host+item.BasePath, item.Deployment, err)
		}
	}
	return t, nil
}

func (t *Table) add(item *Item, row int) error {
	if item.Bundle == nil {
		return fmt.Errorf("no document %s", item.Sha)
	}
	at := t.any
	if host := strings.ToLower(item.Host); host != "" {
		if at = t.hosts[host]; at == nil {
			at = &base{}
			t.hosts[host] = at
		}
	}
	if item.BasePath != "" {
		segments, ok := strings.CutPrefix(item.BasePath, "/")
		if !ok || strings.HasSuffix(segments, "/") || segments == "" {
			return fmt.Errorf("base path %q is not like /a/b", item.BasePath)
		}
		for segment := range strings.SplitSeq(segments, "/") {
			name := string(decode(nil, []byte(segment)))
			next := at.children[name]
			if next == nil {
				if at.children == nil {
					at.children = make(map[string]*base)
				}
				next = &base{}
				at.children[name] = next
			}
			at = next
		}
	}
	if at.item != nil {
		return fmt.Errorf("deployment %s has it", at.item.Deployment)
	}
	at.item, at.row = item, row
	return nil
}

// Items yields the rows, longest base path first.
func (t *Table) Items() iter.Seq[*Item] { return slices.Values(t.items) }

// Result is what a look-up comes to.
type Result uint8

// The results, and what a Match then holds.
const (
	NoRoute  Result = iota // nothing
	NoMethod               // Item, Row and Allow
	Options                // the same: the method is OPTIONS, and no operation of the path's
	Found                  // Item, Row, Op and the values
)

// Match is the result of a look-up, and its working memory: reused, it makes the
// next one free of allocations. Its zero value is ready.
type Match struct {
	Item  *Item
	Row   int // of Item, in the order of Items
	Op    *Op
	Allow string // of an Allow header: "DELETE, GET, HEAD, OPTIONS"

	values  [][]byte
	scratch []byte
}

// Values are the values of the template's parameters, in its order, still
// percent-encoded. They are parts of the path that was looked up.
func (m *Match) Values() [][]byte { return m.values }

// Reset drops everything that belongs to the last look-up.
func (m *Match) Reset() {
	clear(m.values)
	m.Item, m.Row, m.Op, m.Allow, m.values = nil, 0, nil, "", m.values[:0]
}

// Lookup finds the operation for a request. path is as the client sent it, still
// percent-encoded, without the query. Lookup keeps its arguments only in m.
//
// The host decides first, then the longest base path that ends at the end of a
// segment, then the path template. A row with a port in its host goes before one
// without, which takes every port, and that before rows without a host; if no
// base path under a host fits, the less particular ones are tried. But the row
// that has the longest base path has all that is below it: if none of its
// templates fits, there is no route, even where a shorter base path has one.
//
// Segment by segment, a literal goes before a template that has a literal part,
// and that before a parameter, and all fitting templates are tried in this order.
// The method is looked at last: GET /users/me leaves DELETE /users/me to be
// refused although DELETE /users/{id} exists.
//
// Literals are compared decoded. A parameter takes one byte or more, never a
// slash; %2F is no slash. Nothing is normalised: /x, /x/ and //x are three paths,
// and one with a dot segment, encoded or not, is no route at all, since whoever
// comes after us may resolve it to another path than the one we checked.
func (t *Table) Lookup(method, host, path []byte, m *Match) Result {
	m.Reset()
	if len(path) == 0 || path[0] != '/' || hasDotSegment(path) {
		return NoRoute
	}
	rest := t.find(host, path, m)
	if m.Item == nil {
		return NoRoute
	}
	e := m.Item.Bundle.root.find(rest, m)
	if e == nil {
		m.Reset()
		return NoRoute
	}
	if m.Op = e.op(method); m.Op != nil {
		return Found
	}
	m.Allow = e.allow
	if string(method) == "OPTIONS" {
		return Options
	}
	return NoMethod
}

// find sets m's row, if there is one, and returns what is left of the path.
func (t *Table) find(host, path []byte, m *Match) (rest []byte) {
	if len(t.hosts) > 0 && len(host) > 0 {
		m.scratch = appendLower(m.scratch[:0], host)
		exact := t.hosts[string(m.scratch)]
		var anyPort *base
		if i := portAt(m.scratch); i >= 0 {
			anyPort = t.hosts[string(m.scratch[:i])]
		}
		for _, b := range [...]*base{exact, anyPort} {
			if b == nil {
				continue
			}
			if rest = b.longest(path, m); m.Item != nil {
				return rest
			}
		}
	}
	return t.any.longest(path, m)
}

// longest sets m's row to that of the longest base path that fits.
func (b *base) longest(path []byte, m *Match) (rest []byte) {
	if b.item != nil {
		m.Item, m.Row = b.item, b.row
	}
	rest = path
	for len(path) > 0 && len(b.children) > 0 {
		var segment []byte
		segment, path = cutSegment(path)
		if b = b.children[string(m.plain(segment))]; b == nil {
			break
		}
		if b.item != nil {
			m.Item, m.Row, rest = b.item, b.row, path
		}
	}
	return rest
}

// plain is a segment decoded, in m's scratch space where it has to be.
func (m *Match) plain(segment []byte) []byte {
	if bytes.IndexByte(segment, '%') < 0 {
		return segment
	}
	m.scratch = decode(m.scratch[:0], segment)
	return m.scratch
}

// portAt is where the port of a host begins, colon included, or -1. The colons
// of an IPv6 address are in brackets.
func portAt(host []byte) int {
	i := bytes.LastIndexByte(host, ':')
	if i < 0 || bytes.IndexByte(host[i:], ']') >= 0 {
		return -1
	}
	return i
}

func appendLower(dst, s []byte) []byte {
	for _, c := range s {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
