package bind

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"testing"

	"github.com/go-openapi/spec"
	"github.com/go-openapi/strfmt"
	"github.com/go-openapi/validate"
	"github.com/valyala/fasthttp"

	"github.com/funcatron/funcatron/shared/swagger"
)

// The checks here are this package's own; go-openapi/validate is the judge of
// what they have to say. The documents and values are drawn from where both mean
// the same. Left out is where go-openapi is known to be wrong or does not look:
//
//   - int32, float and integers beyond 64 bits in bodies (it has no range check);
//   - bounds and factors with a fraction against integers (it cuts them off);
//   - a null that meets allOf, anyOf, oneOf or enum (it looks at the type only);
//   - members "id" and "$schema" under additionalProperties: false (it lets them
//     pass), and additionalItems (it looks at the wrong ones);
//   - an array where the type is a string with a format (it lets it pass);
//   - enums of different types than the value's, or of objects with numbers in
//     them (it converts 65 to "A", and tells 1 from 1.0);
//   - the format of a parameter's items (it looks at the parameter's own);
//   - an empty value that allowEmptyValue allows (it applies minLength).

type gen struct{ *rand.Rand }

func newGen(seed uint64) gen { return gen{rand.New(rand.NewPCG(seed, 1))} }

func (g gen) one(of ...string) string { return of[g.IntN(len(of))] }
func (g gen) maybe() bool             { return g.IntN(3) == 0 }
func (g gen) word() string            { return g.one("", "a", "b", "ab", "abc", "é", "2026-01-01", "x y") }
func (g gen) integer() int64          { return g.Int64N(13) - 4 }

func ptr[T any](v T) *T { return &v }

// common draws the keywords for a type.
func (g gen) common(typ string) (v spec.CommonValidations, format string) {
	switch typ {
	case "integer", "number":
		if g.maybe() {
			v.Minimum, v.ExclusiveMinimum = ptr(float64(g.integer())), g.maybe()
		}
		if g.maybe() {
			v.Maximum, v.ExclusiveMaximum = ptr(float64(g.integer())), g.maybe()
		}
		if g.maybe() {
			v.MultipleOf = ptr(float64(g.IntN(3) + 1))
		}
		if g.maybe() {
			v.Enum = []any{float64(g.integer()), float64(g.integer())}
		}
	case "string":
		if g.maybe() {
			v.MinLength = ptr(int64(g.IntN(3)))
		}
		if g.maybe() {
			v.MaxLength = ptr(int64(g.IntN(4)))
		}
		if g.maybe() {
			v.Pattern = g.one("^a", "b$", "^[a-zé]*$")
		}
		if g.maybe() {
			v.Enum = []any{g.word(), g.word()}
		}
		if g.IntN(6) == 0 {
			format = g.one("date", "date-time", "uuid", "email", "byte", "hostname", "ipv4", "password", "duration")
		}
	case "array":
		if g.maybe() {
			v.MinItems = ptr(int64(g.IntN(3)))
		}
		if g.maybe() {
			v.MaxItems = ptr(int64(g.IntN(4)))
		}
		v.UniqueItems = g.maybe()
	case "boolean":
		if g.maybe() {
			v.Enum = []any{g.maybe()}
		}
	}
	return v, format
}

func (g gen) items(depth int) *spec.Items {
	typ := g.one("string", "integer", "number", "boolean", "array")
	if depth == 0 && typ == "array" {
		typ = "integer"
	}
	it := spec.NewItems()
	it.Type = typ
	it.CommonValidations, _ = g.common(typ)
	if typ == "array" {
		it.Items = g.items(depth - 1)
	}
	return it
}

// value draws a value of a parameter's type, and how it is written.
func (g gen) value(typ string, items *spec.Items, depth int) (v any, text string) {
	switch typ {
	case "integer":
		n := g.integer()
		return n, strconv.FormatInt(n, 10)
	case "number":
		f := float64(g.integer()) / float64(g.IntN(2)+1)
		return f, strconv.FormatFloat(f, 'f', -1, 64)
	case "boolean":
		b := g.maybe()
		return b, strconv.FormatBool(b)
	case "array":
		list := []any{}
		for i := range g.IntN(4) {
			v, s := g.value(items.Type, items.Items, depth+1)
			if i > 0 {
				text += []string{",", "|", " "}[depth]
			}
			list, text = append(list, v), text+s
		}
		return list, text
	}
	s := g.word()
	if depth > 0 { // nothing that reads as a separator, or as no items at all
		s = g.one("a", "b", "abc", "é")
	}
	return s, s
}

func agreeOnParameter(t *testing.T, seed uint64) {
	g := newGen(seed)
	p := spec.QueryParam("q")
	p.Type = g.one("string", "integer", "number", "boolean", "array")
	p.CommonValidations, p.Format = g.common(p.Type)
	p.Required = g.maybe()
	if p.Type == "array" {
		p.Items = g.items(1)
		p.CollectionFormat = "csv"
		if p.Items.Type == "array" {
			p.Items.CollectionFormat = "pipes"
			p.Items.Items = spec.NewItems()
			p.Items.Items.Type = g.one("integer", "string")
			p.Items.Items.CommonValidations, _ = g.common(p.Items.Items.Type)
		}
	}
	value, text := g.value(p.Type, p.Items, 0)
	if list, ok := value.([]any); ok && text == "" && (len(list) > 0 || p.Required) {
		return // one empty item is written like none
	}

	want := validate.NewParamValidator(p, strfmt.Default).Validate(value)
	b, err := New(&swagger.Operation{Method: "GET", Path: "/", Params: []spec.Parameter{*p}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, bad := request{query: "q=" + url.QueryEscape(text)}.bind(b)
	if (bad == nil) != want.IsValid() {
		decl, _ := json.Marshal(p)
		t.Fatalf("seed %d: %s\n%q: violations %v, go-openapi %v", seed, decl, text, bad, want.Errors)
	}
}

var memberNames = []string{"a", "b", "x-c"}

// schema draws a schema; plain is whether it is without allOf and the like.
func (g gen) schema(depth int, plain *bool) spec.Schema {
	var s spec.Schema
	if depth > 0 && g.IntN(8) == 0 {
		return *spec.RefSchema("#/definitions/" + g.one("P", "Q"))
	}
	typ := g.one("string", "integer", "number", "boolean", "array", "object", "object", "")
	if depth == 0 && (typ == "array" || typ == "object") {
		typ = "integer"
	}
	if typ != "" {
		s.Type = spec.StringOrArray{typ}
		if g.IntN(6) == 0 {
			s.Type = append(s.Type, "null")
		}
		s.Nullable = g.IntN(8) == 0
	}
	v, format := g.common(typ)
	s.Format = format
	s.Minimum, s.ExclusiveMinimum, s.Maximum, s.ExclusiveMaximum, s.MultipleOf = v.Minimum, v.ExclusiveMinimum, v.Maximum, v.ExclusiveMaximum, v.MultipleOf
	s.MinLength, s.MaxLength, s.Pattern, s.Enum = v.MinLength, v.MaxLength, v.Pattern, v.Enum
	s.MinItems, s.MaxItems, s.UniqueItems = v.MinItems, v.MaxItems, v.UniqueItems
	if len(s.Enum) > 0 {
		*plain = false
	}
	switch typ {
	case "array":
		if g.maybe() {
			item := g.schema(depth-1, plain)
			s.Items = &spec.SchemaOrArray{Schema: &item}
		} else if g.maybe() {
			s.Items = &spec.SchemaOrArray{Schemas: []spec.Schema{g.schema(depth-1, plain), g.schema(depth-1, plain)}}
		}
	case "object":
		s.Properties = spec.SchemaProperties{}
		for _, name := range memberNames {
			if g.maybe() {
				p := g.schema(depth-1, plain)
				if g.IntN(6) == 0 {
					p.Default = "d"
				}
				s.Properties[name] = p
			}
			if g.IntN(4) == 0 {
				s.Required = append(s.Required, name)
			}
		}
		if g.IntN(4) == 0 {
			s.AdditionalProperties = &spec.SchemaOrBool{}
		} else if g.IntN(4) == 0 {
			rest := g.schema(depth-1, plain)
			s.AdditionalProperties = &spec.SchemaOrBool{Allows: true, Schema: &rest}
		}
		if g.IntN(6) == 0 {
			s.PatternProperties = spec.SchemaProperties{"^x-": g.schema(depth-1, plain)}
		}
		if g.IntN(6) == 0 {
			s.MinProperties = ptr(int64(g.IntN(3)))
		}
		if g.IntN(6) == 0 {
			s.MaxProperties = ptr(int64(g.IntN(3)))
		}
	}
	if depth > 0 && g.IntN(5) == 0 {
		*plain = false
		list := []spec.Schema{g.schema(depth-1, plain), g.schema(depth-1, plain)}
		switch g.IntN(4) {
		case 0:
			s.AllOf = list
		case 1:
			s.AnyOf = list
		case 2:
			s.OneOf = list
		case 3:
			s.Not = &list[0]
		}
	}
	return s
}

// data draws any value; what it holds is noted.
func (g gen) data(depth int, has *struct{ null, array bool }) any {
	n := 7
	if depth == 0 {
		n = 5
	}
	switch g.IntN(n) {
	case 0:
		return g.word()
	case 1:
		return g.integer()
	case 2:
		if f := float64(g.integer()) / 2; f != float64(int64(f)) {
			return f
		}
		return g.integer()
	case 3:
		return g.maybe()
	case 4:
		if g.maybe() {
			has.null = true
			return nil
		}
		return g.integer()
	case 5:
		has.array = true
		list := []any{}
		for range g.IntN(4) {
			list = append(list, g.data(depth-1, has))
		}
		return list
	}
	object := map[string]any{}
	for _, name := range memberNames {
		if g.IntN(2) == 0 {
			object[name] = g.data(depth-1, has)
		}
	}
	return object
}

func hasFormat(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["format"]; ok {
			return true
		}
		for _, e := range v {
			if hasFormat(e) {
				return true
			}
		}
	case []any:
		for _, e := range v {
			if hasFormat(e) {
				return true
			}
		}
	}
	return false
}

func agreeOnSchema(t *testing.T, seed uint64) (valid, compared bool) {
	g := newGen(seed)
	plain := true
	// P and Q may refer to themselves, but only through a member or an item.
	root := &spec.Swagger{}
	root.Definitions = spec.Definitions{}
	for _, name := range []string{"P", "Q"} {
		member := g.schema(2, &plain)
		root.Definitions[name] = spec.Schema{SchemaProps: spec.SchemaProps{
			Type: spec.StringOrArray{"object"}, Properties: spec.SchemaProperties{"a": member, "b": *spec.RefSchema("#/definitions/" + name)},
		}}
	}
	s := g.schema(3, &plain)
	var has struct{ null, array bool }
	data := g.data(4, &has)
	text, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	decl, err := json.Marshal(map[string]any{"schema": s, "definitions": root.Definitions})
	if err != nil {
		t.Fatal(err)
	}
	var any map[string]any
	_ = json.Unmarshal(decl, &any)
	if has.null && !plain || has.array && hasFormat(any) {
		return false, false
	}

	op := &swagger.Operation{Method: "POST", Path: "/", Body: &swagger.Body{Name: "data", Schema: &s, Root: root}}
	b, err := New(op, nil, nil)
	if err != nil {
		t.Fatalf("seed %d: %s: %v", seed, decl, err)
	}
	_, bad := request{contentType: "application/json", body: string(text)}.bind(b)
	want := validate.NewSchemaValidator(&s, root, "", strfmt.Default).Validate(data)
	if (bad == nil) != want.IsValid() {
		t.Fatalf("seed %d: %s\n%s: violations %v, go-openapi %v", seed, decl, text, bad, want.Errors)
	}
	return bad == nil, true
}

func TestParameterAgreesWithGoOpenAPI(t *testing.T) {
	for seed := range uint64(3000) {
		agreeOnParameter(t, seed)
	}
}

func TestSchemaAgreesWithGoOpenAPI(t *testing.T) {
	valid, compared := 0, 0
	for seed := range uint64(2500) {
		ok, done := agreeOnSchema(t, seed)
		if done {
			compared++
		}
		if ok {
			valid++
		}
	}
	if compared < 1000 || valid < 200 || compared-valid < 200 {
		t.Errorf("compared %d, %d of them valid: the values drawn prove little", compared, valid)
	}
}

func FuzzParameterAgreesWithGoOpenAPI(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(agreeOnParameter)
}

func FuzzSchemaAgreesWithGoOpenAPI(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { agreeOnSchema(t, seed) })
}

// FuzzBody sends anything to a schema that uses everything.
func FuzzBody(f *testing.F) {
	b := bodyBinder(f, "{$ref: '#/definitions/T'}", `T: {anyOf: [{type: integer, minimum: 3}, {type: array, uniqueItems: true, maxItems: 20, items: {$ref: '#/definitions/T'}}, {$ref: '#/definitions/O'}, {type: string, pattern: a, minLength: 2}]},
		O: {type: object, required: [a], properties: {a: {$ref: '#/definitions/T'}, b: {enum: [1, x, {a: 1}]}, c: {not: {type: string}}}, additionalProperties: {oneOf: [{type: number}, {type: integer}, {type: 'null'}]}}`)
	strict := bodyBinder(f, "{type: object, required: [a], additionalProperties: false, properties: {a: {type: array, items: {type: array, uniqueItems: true}}, b: {type: string, maxLength: 3}}}", "")
	for _, s := range []string{`{"a":[3,[],"ab",{"a":4}]}`, `[[[1,2],[1,2.0]]]`, `{"a":[[{"x":1},{"x":1.0}]],"b":"\ud83d\udc38\ud800\u0000"}`, `{"\u0061":[[1e400]]}`, `[`, `-0.0e-5`, ` "\\" `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var req fasthttp.Request
		req.Header.SetContentType("application/json")
		for _, b := range []*Binder{b, strict} {
			_, bad := b.Bind(nil, &req, nil, body)
			if bad == nil && len(body) > 0 && !json.Valid(body) {
				t.Fatalf("%q passed", body)
			}
			if len(bad) > MaxViolations+1 {
				t.Fatalf("%d violations", len(bad))
			}
			if _, err := json.Marshal(bad); err != nil {
				t.Fatal(fmt.Errorf("violations do not encode: %w", err))
			}
		}
	})
}
