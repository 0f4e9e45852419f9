package swagger

import (
	"maps"

	"github.com/go-openapi/spec"
	"github.com/go-openapi/strfmt"
	"github.com/go-openapi/validate"
)

// Validator makes a validator for the decoded body. It may be used by several
// goroutines at once, unless options recycle it. It panics only where
// validate.NewSchemaValidator does, which Parse made sure it does not.
//
// Left to itself go-openapi would expand the schema's references: wholly when
// the validator is made, which a small document can make exponential, and again
// for every value that it meets at a reference leading back to itself, which a
// client can make as many as fit into a body. This validator's schemas have no
// references: where there was one, the referenced schema itself hangs.
func (b *Body) Validator(formats strfmt.Registry, options ...validate.Option) *validate.SchemaValidator {
	outline := outline(b.tied)
	v := validate.NewSchemaValidator(&outline, nil, "", formats, options...)
	graft(v.Schema, b.tied)
	return v
}

// A tied schema is a graph. It can be neither copied nor written as JSON, both
// of which NewSchemaValidator does to what it is given; hence the outline, which
// has every container that the schema has but nothing in them. go-openapi makes
// the validators within containers only when it meets a value for them, from the
// very maps and pointers of its copy, so they can be filled afterwards. What is
// under allOf, anyOf, oneOf and not it makes at once; so the outline holds that
// in full, which finish bounds.

func outline(s *spec.Schema) spec.Schema {
	out := container(s)
	for i := range s.AllOf {
		out.AllOf[i] = outline(&s.AllOf[i])
	}
	for i := range s.AnyOf {
		out.AnyOf[i] = outline(&s.AnyOf[i])
	}
	for i := range s.OneOf {
		out.OneOf[i] = outline(&s.OneOf[i])
	}
	if s.Not != nil {
		*out.Not = outline(s.Not)
	}
	return out
}

// graft fills the containers of dst, made from src's outline, from src.
func graft(dst, src *spec.Schema) {
	maps.Copy(dst.Properties, src.Properties)
	maps.Copy(dst.PatternProperties, src.PatternProperties)
	maps.Copy(dst.Dependencies, src.Dependencies)
	if src.Items != nil {
		*dst.Items = *src.Items
	}
	if src.AdditionalItems != nil {
		*dst.AdditionalItems = *src.AdditionalItems
	}
	if src.AdditionalProperties != nil {
		*dst.AdditionalProperties = *src.AdditionalProperties
	}
	for i := range src.AllOf {
		graft(&dst.AllOf[i], &src.AllOf[i])
	}
	for i := range src.AnyOf {
		graft(&dst.AnyOf[i], &src.AnyOf[i])
	}
	for i := range src.OneOf {
		graft(&dst.OneOf[i], &src.OneOf[i])
	}
	if src.Not != nil {
		graft(dst.Not, src.Not)
	}
}

// container is a copy of s whose maps, slices and pointers to schemas are its
// own, of the same shape, and hold empty schemas.
func container(s *spec.Schema) spec.Schema {
	out := *s
	out.Properties = emptied(s.Properties)
	out.PatternProperties = emptied(s.PatternProperties)
	if s.Dependencies != nil {
		out.Dependencies = make(spec.Dependencies, len(s.Dependencies))
		for name, d := range s.Dependencies {
			if d.Schema != nil {
				d.Schema = new(spec.Schema)
			}
			out.Dependencies[name] = d
		}
	}
	if s.Items != nil {
		out.Items = &spec.SchemaOrArray{Schemas: blank(s.Items.Schemas)}
		if s.Items.Schema != nil {
			out.Items.Schema = new(spec.Schema)
		}
	}
	out.AdditionalItems = unfilled(s.AdditionalItems)
	out.AdditionalProperties = unfilled(s.AdditionalProperties)
	out.AllOf, out.AnyOf, out.OneOf = blank(s.AllOf), blank(s.AnyOf), blank(s.OneOf)
	if s.Not != nil {
		out.Not = new(spec.Schema)
	}
	return out
}

func emptied(m spec.SchemaProperties) spec.SchemaProperties {
	if m == nil {
		return nil
	}
	out := make(spec.SchemaProperties, len(m))
	for name := range m {
		out[name] = spec.Schema{}
	}
	return out
}

func blank(list []spec.Schema) []spec.Schema {
	if list == nil {
		return nil
	}
	return make([]spec.Schema, len(list))
}

func unfilled(s *spec.SchemaOrBool) *spec.SchemaOrBool {
	if s == nil {
		return nil
	}
	out := &spec.SchemaOrBool{Allows: s.Allows}
	if s.Schema != nil {
		out.Schema = new(spec.Schema)
	}
	return out
}

// tie makes the tied schema of every body. First every definition gets its
// containers; then these are filled, and a reference becomes a copy of the
// definition's outermost struct, which shares them.
func (s *schemas) tie() {
	t := tier{s: s, tied: make(map[string]*spec.Schema, len(s.root.Definitions))}
	for name, schema := range s.root.Definitions {
		c := container(&schema)
		t.tied[name] = &c
	}
	for name, schema := range s.root.Definitions {
		t.fill(t.tied[name], &schema)
	}
	for _, b := range s.bodies {
		tied := t.schema(b.Schema)
		b.tied = &tied
	}
}

type tier struct {
	s    *schemas
	tied map[string]*spec.Schema
}

func (t *tier) schema(src *spec.Schema) spec.Schema {
	if src.Ref.String() != "" {
		_, name := t.s.definition(src.Ref)
		return *t.tied[name]
	}
	out := container(src)
	t.fill(&out, src)
	return out
}

func (t *tier) fill(dst, src *spec.Schema) {
	for name, schema := range src.Properties {
		dst.Properties[name] = t.schema(&schema)
	}
	for name, schema := range src.PatternProperties {
		dst.PatternProperties[name] = t.schema(&schema)
	}
	for name, d := range src.Dependencies {
		if d.Schema != nil {
			*dst.Dependencies[name].Schema = t.schema(d.Schema)
		}
	}
	if src.Items != nil {
		if src.Items.Schema != nil {
			*dst.Items.Schema = t.schema(src.Items.Schema)
		}
		for i := range src.Items.Schemas {
			dst.Items.Schemas[i] = t.schema(&src.Items.Schemas[i])
		}
	}
	if src.AdditionalItems != nil && src.AdditionalItems.Schema != nil {
		*dst.AdditionalItems.Schema = t.schema(src.AdditionalItems.Schema)
	}
	if src.AdditionalProperties != nil && src.AdditionalProperties.Schema != nil {
		*dst.AdditionalProperties.Schema = t.schema(src.AdditionalProperties.Schema)
	}
	for i := range src.AllOf {
		dst.AllOf[i] = t.schema(&src.AllOf[i])
	}
	for i := range src.AnyOf {
		dst.AnyOf[i] = t.schema(&src.AnyOf[i])
	}
	for i := range src.OneOf {
		dst.OneOf[i] = t.schema(&src.OneOf[i])
	}
	if src.Not != nil {
		*dst.Not = t.schema(src.Not)
	}
}
