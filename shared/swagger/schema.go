package swagger

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/go-openapi/spec"
)

// Bounds on the schemas of request bodies.
const (
	maxSchemas = 100_000 // all together

	// What is under allOf, anyOf, oneOf and not of one schema, through their
	// references, is all checked against one value.
	maxComposed      = 1_000
	maxComposedDepth = 64
)

// schemas reads the schemas of request bodies and all that they refer to. Each
// place of the document is read once, and every reference becomes one to a
// definition of root: nothing is expanded, so what a document refers to twice,
// or in a circle, costs no more than its text.
type schemas struct {
	r     *reader
	root  *spec.Swagger
	names map[string]string // canonical pointer to name in root.Definitions
	queue []pending
	sites []site
	count int
}

// pending is a referenced schema that was not read yet.
type pending struct {
	name, where string
	raw         map[string]any
}

// site is a schema that composes others, and where it stands.
type site struct {
	schema *spec.Schema
	where  string
}

func newSchemas(r *reader) *schemas {
	root := &spec.Swagger{}
	root.Swagger = "2.0"
	root.Definitions = spec.Definitions{}
	return &schemas{r: r, root: root, names: map[string]string{}}
}

// body reads the schema of a body parameter.
func (s *schemas) body(b *Body, where string, raw any) {
	schema := s.read(where, raw)
	b.Schema, b.Root = &schema, s.root
	for len(s.queue) > 0 {
		next := s.queue[0]
		s.queue = s.queue[1:]
		s.root.Definitions[next.name] = s.read(next.where, next.raw)
	}
}

// read reads one schema and those within it.
func (s *schemas) read(where string, v any) spec.Schema {
	var out spec.Schema
	if s.count++; s.count > maxSchemas {
		s.r.refuse("document", "the bodies of its requests have more than %d schemas", maxSchemas)
		return out
	}
	raw, ok := v.(map[string]any)
	if !ok {
		if v == nil {
			s.r.warn(where, "is null where a schema belongs: any value is taken")
		} else {
			s.r.refuse(where, "is %s, not a schema", kind(v))
		}
		return out
	}
	if ref, ok := raw["$ref"].(string); ok {
		if name := s.reference(where, ref); name != "" {
			out.Ref = definitionRef(name)
		}
		return out
	}

	s.types(where, raw, &out)
	checks := s.r.checks(where, raw)
	out.Maximum, out.ExclusiveMaximum = checks.Maximum, checks.ExclusiveMaximum
	out.Minimum, out.ExclusiveMinimum = checks.Minimum, checks.ExclusiveMinimum
	out.MaxLength, out.MinLength, out.Pattern = checks.MaxLength, checks.MinLength, checks.Pattern
	out.MaxItems, out.MinItems, out.UniqueItems = checks.MaxItems, checks.MinItems, checks.UniqueItems
	out.MultipleOf, out.Enum = checks.MultipleOf, checks.Enum
	out.MaxProperties = s.r.size(where, raw, "maxProperties")
	out.MinProperties = s.r.size(where, raw, "minProperties")
	out.Default = plain(raw["default"])
	out.Required = s.required(where, raw)

	switch items := raw["items"].(type) {
	case nil:
	case []any:
		out.Items = &spec.SchemaOrArray{Schemas: s.list(below(where, "items"), items)}
	default:
		item := s.read(below(where, "items"), items)
		out.Items = &spec.SchemaOrArray{Schema: &item}
	}
	out.AdditionalItems = s.orBool(where, raw, "additionalItems")
	out.AdditionalProperties = s.orBool(where, raw, "additionalProperties")
	out.Properties = s.members(where, raw, "properties")
	out.PatternProperties = s.members(where, raw, "patternProperties")
	out.Dependencies = s.dependencies(where, raw)
	out.AllOf = s.composed(where, raw, "allOf")
	out.AnyOf = s.composed(where, raw, "anyOf")
	out.OneOf = s.composed(where, raw, "oneOf")
	if not, has := raw["not"]; has && not != nil {
		schema := s.read(below(where, "not"), not)
		out.Not = &schema
	}
	if len(out.AllOf)+len(out.AnyOf)+len(out.OneOf) > 0 || out.Not != nil {
		s.sites = append(s.sites, site{schema: &out, where: where})
	}
	return out
}

// below is a place within another one. It names as much of what is nested deep as
// anybody reads.
func below(where, token string) string {
	if len(where) > maxMessage/2 {
		return where
	}
	return where + "/" + clip(token)
}

// reference gives the name of the definition that a `$ref` leads to, read now or
// later, or "" where it leads nowhere.
func (s *schemas) reference(where, ref string) string {
	object, first, ok := s.r.resolve(where, ref)
	if !ok {
		return ""
	}
	if name, known := s.names[first]; known {
		return name
	}
	// A definition that is nothing but another reference is that other one.
	target := first
	if end, last := s.r.follow(where, object, "schema"); end == nil {
		return ""
	} else if last != "" {
		object, target = end, last
	}
	name, known := s.names[target]
	if !known {
		name = definitionName(target)
		s.names[target] = name
		s.queue = append(s.queue, pending{name: name, where: clip(target), raw: object})
	}
	s.names[first] = name
	return name
}

// definitionName is what a place goes by among the definitions: a definition
// keeps its name, anything else goes by its pointer.
func definitionName(target string) string {
	tokens, _ := pointer(target)
	if len(tokens) == 2 && tokens[0] == "definitions" && !strings.HasPrefix(tokens[1], "#") {
		return tokens[1]
	}
	return target
}

// definitionRef is the reference to a definition of Root.
func definitionRef(name string) spec.Ref {
	token := strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
	return spec.MustCreateRef("#/definitions/" + url.PathEscape(token))
}

// definition is the schema that a reference made by definitionRef leads to, and
// its name.
func (s *schemas) definition(ref spec.Ref) (*spec.Schema, string) {
	token := strings.TrimPrefix(ref.GetURL().Fragment, "/definitions/")
	name := strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
	schema := s.root.Definitions[name]
	return &schema, name
}

func (s *schemas) types(where string, raw map[string]any, out *spec.Schema) {
	switch t := raw["type"].(type) {
	case nil:
	case string:
		out.Type = spec.StringOrArray{t}
	case []any:
		for _, item := range t {
			name, _ := item.(string)
			out.Type = append(out.Type, name)
		}
	default:
		s.r.refuse(where, "type is %s, not a string", kind(t))
	}
	for _, name := range out.Type {
		switch name {
		case "string", "number", "integer", "boolean", "array", "object", "null":
		case "file":
			s.r.warn(where, "type file is for responses and for parameters in: formData")
		default:
			s.r.refuse(where, "type %s is not one of string, number, integer, boolean, array, object", quote(name))
		}
	}
	out.Nullable = raw["x-nullable"] == true || raw["nullable"] == true
	// go-openapi takes a format without a type for a type that nothing has.
	if format := s.r.text(where, raw, "format"); len(out.Type) > 0 {
		out.Format = format
	}
}

// required reads the names that an object has to have. Draft 3 of JSON Schema
// had a boolean here, and many documents still do.
func (s *schemas) required(where string, raw map[string]any) []string {
	v, has := raw["required"]
	if !has || v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		s.r.warn(where, "required is %s, not an array of names, and is passed over", kind(v))
		return nil
	}
	names := make([]string, 0, len(list))
	for _, item := range list {
		name, ok := item.(string)
		if !ok {
			s.r.warn(where, "required holds %s, not a name, which is passed over", kind(item))
			continue
		}
		names = append(names, name)
	}
	return names
}

func (s *schemas) list(where string, items []any) []spec.Schema {
	out := make([]spec.Schema, 0, min(len(items), maxSchemas))
	for i, item := range items {
		if s.count > maxSchemas {
			break
		}
		out = append(out, s.read(below(where, strconv.Itoa(i)), item))
	}
	return out
}

func (s *schemas) composed(where string, raw map[string]any, key string) []spec.Schema {
	v, has := raw[key]
	if !has || v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		s.r.refuse(where, "%s is %s, not an array", key, kind(v))
		return nil
	}
	return s.list(below(where, key), list)
}

func (s *schemas) members(where string, raw map[string]any, key string) spec.SchemaProperties {
	v, has := raw[key]
	if !has || v == nil {
		return nil
	}
	object, ok := v.(map[string]any)
	if !ok {
		s.r.refuse(where, "%s is %s, not an object", key, kind(v))
		return nil
	}
	out := make(spec.SchemaProperties, len(object))
	for name, item := range sorted(object) {
		if s.count > maxSchemas {
			break
		}
		at := below(below(where, key), name)
		if key == "patternProperties" && !s.r.compiles(at, name) {
			continue
		}
		out[name] = s.read(at, item)
	}
	return out
}

func (s *schemas) orBool(where string, raw map[string]any, key string) *spec.SchemaOrBool {
	switch v := raw[key].(type) {
	case nil:
		return nil
	case bool:
		return &spec.SchemaOrBool{Allows: v}
	default:
		schema := s.read(below(where, key), v)
		return &spec.SchemaOrBool{Allows: true, Schema: &schema}
	}
}

func (s *schemas) dependencies(where string, raw map[string]any) spec.Dependencies {
	v, has := raw["dependencies"]
	if !has || v == nil {
		return nil
	}
	object, ok := v.(map[string]any)
	if !ok {
		s.r.refuse(where, "dependencies is %s, not an object", kind(v))
		return nil
	}
	out := make(spec.Dependencies, len(object))
	for name, item := range sorted(object) {
		if list, ok := item.([]any); ok {
			out[name] = spec.SchemaOrStringArray{Property: s.required(where, map[string]any{"required": list})}
			continue
		}
		schema := s.read(below(where, "dependencies/"+name), item)
		out[name] = spec.SchemaOrStringArray{Schema: &schema}
	}
	return out
}
