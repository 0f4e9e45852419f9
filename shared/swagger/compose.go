package swagger

import "github.com/go-openapi/spec"

// weight is what a schema is made of by allOf, anyOf, oneOf and not: so many
// schemas, nested so deep.
type weight struct{ schemas, depth int }

// finish refuses schemas against which a single value could be checked for ever,
// or for too long, when a request comes.
func (s *schemas) finish() {
	w := weigher{s: s, known: map[string]weight{}, open: map[string]bool{}}
	for _, site := range s.sites {
		switch got, ok := w.weigh(site.schema, 0); {
		case !ok:
			s.r.refuse(site.where, "is made of itself by allOf, anyOf, oneOf or not: no value can be checked against it")
		case got.schemas > maxComposed || got.depth > maxComposedDepth:
			s.r.refuse(site.where, "is made of more than %d schemas by allOf, anyOf, oneOf and not, or nested deeper than %d", maxComposed, maxComposedDepth)
		}
	}
}

// weigher sums up each definition once, however often it is referred to.
type weigher struct {
	s     *schemas
	known map[string]weight
	open  map[string]bool // definitions on the way to the one being weighed
}

func (w *weigher) weigh(schema *spec.Schema, depth int) (sum weight, ok bool) {
	if depth > 2*maxDepth { // through more definitions than that it is too deep anyway
		return weight{maxComposed + 1, maxComposedDepth + 1}, true
	}
	if schema.Ref.String() != "" {
		target, name := w.s.definition(schema.Ref)
		if got, done := w.known[name]; done {
			return got, true
		}
		if w.open[name] {
			return weight{}, false
		}
		w.open[name] = true
		sum, ok = w.weigh(target, depth+1)
		delete(w.open, name)
		if ok {
			w.known[name] = sum
		}
		return sum, ok
	}
	add := func(child *spec.Schema) bool {
		got, ok := w.weigh(child, depth+1)
		sum.schemas = min(sum.schemas+1+got.schemas, maxComposed+1)
		sum.depth = max(sum.depth, 1+got.depth)
		return ok
	}
	for _, list := range [][]spec.Schema{schema.AllOf, schema.AnyOf, schema.OneOf} {
		for i := range list {
			if !add(&list[i]) {
				return weight{}, false
			}
		}
	}
	if schema.Not != nil && !add(schema.Not) {
		return weight{}, false
	}
	return sum, true
}
