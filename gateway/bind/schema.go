package bind

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"

	"github.com/go-openapi/spec"
)

// schema is a Schema Object (Swagger 2.0; with JSON Schema draft 4's anyOf,
// oneOf, not and patternProperties, which go-openapi takes, too) prepared for
// the walker. Where the document refers back to itself, so do the pointers.
// A nil *schema lets everything pass.
//
// go-openapi's own validator does not stand on this path. It expands circular
// references in the validator that all requests share, while they run, which is
// a data race; and it compares each finding with all before it and each item of
// an array with all others, so that 16,000 wrong items, a body of 32 KiB, cost it
// seconds. TestSchemaAgreesWithGoOpenAPI holds the two to the same verdicts.
type schema struct {
	keywords
	nullable bool

	props     map[string]property
	required  []string // those that the walker has to look for
	patterns  []patternProperty
	rest      *schema // additionalProperties
	closed    bool    // additionalProperties: false
	minProps  *size
	maxProps  *size
	items     *schema
	tuple     []*schema
	restItems *schema // additionalItems
	shut      bool    // additionalItems: false

	allOf, anyOf, oneOf []*schema
	not                 *schema
}

type property struct {
	schema   *schema
	declared bool // by properties; else it is only required
	required int  // 1 + index in required, 0 where it may be absent
}

type patternProperty struct {
	re     *regexp.Regexp
	schema *schema
}

// Schemas holds the schemas prepared so far, so that the operations of one
// document share what they all refer to. It is not safe for concurrent use; what
// it has prepared is.
type Schemas struct {
	byRef map[schemaRef]*schema
	ends  map[*schema]bool // known not to be a part of themselves
}

type schemaRef struct {
	root *spec.Swagger
	ref  string
}

// NewSchemas makes an empty collection.
func NewSchemas() *Schemas {
	return &Schemas{byRef: make(map[schemaRef]*schema), ends: make(map[*schema]bool)}
}

// compiler prepares the schema of one body.
type compiler struct {
	shared *Schemas
	root   *spec.Swagger
	all    []*schema // made by this compiler
	warn   func(string)
}

// compile prepares s and everything it leads to.
func (c *compiler) compile(s *spec.Schema) (*schema, error) {
	out, err := c.schema(s)
	if err != nil {
		return nil, err
	}
	// A schema that is a part of itself (A: {allOf: [A]}) says nothing, and the
	// walker would never come to its end.
	for _, s := range c.all {
		if circular(s, c.shared.ends) {
			return nil, errors.New("a schema is one of its own alternatives")
		}
	}
	return out, nil
}

// circular reports whether s is a part of itself. ends holds false for the
// schemas on the way, true for those that are done with.
func circular(s *schema, ends map[*schema]bool) bool {
	if s == nil {
		return false
	}
	if done, known := ends[s]; known {
		return !done
	}
	ends[s] = false
	for part := range s.parts() {
		if circular(part, ends) {
			return true
		}
	}
	ends[s] = true
	return false
}

// parts are the schemas that apply to the same value as s.
func (s *schema) parts() iter.Seq[*schema] {
	return func(yield func(*schema) bool) {
		for _, list := range [][]*schema{s.allOf, s.anyOf, s.oneOf, {s.not}} {
			for _, part := range list {
				if !yield(part) {
					return
				}
			}
		}
	}
}

func (c *compiler) schema(s *spec.Schema) (*schema, error) {
	if s == nil {
		return nil, nil
	}
	if s.Ref.String() != "" {
		return c.ref(s.Ref)
	}
	out := &schema{}
	if err := c.fill(out, s); err != nil {
		return nil, err
	}
	if out.trivial() {
		return nil, nil
	}
	c.all = append(c.all, out)
	return out, nil
}

// ref prepares what ref leads to, once.
func (c *compiler) ref(ref spec.Ref) (*schema, error) {
	name := ref.String()
	key := schemaRef{c.root, name}
	if known, ok := c.shared.byRef[key]; ok {
		return known, nil
	}
	if c.root == nil {
		return nil, fmt.Errorf("resolve %q: no document to look in", name)
	}
	target, err := spec.ResolveRef(c.root, &ref)
	if err != nil {
		return nil, fmt.Errorf("resolve %q: %w", name, err)
	}
	out := &schema{}
	c.shared.byRef[key] = out
	c.all = append(c.all, out)
	if target.Ref.String() == "" {
		return out, c.fill(out, target)
	}
	next, err := c.ref(target.Ref)
	if err != nil {
		return nil, err
	}
	out.allOf = []*schema{next}
	return out, nil
}

func (c *compiler) fill(out *schema, s *spec.Schema) error {
	var k kinds
	for _, name := range s.Type {
		one := kindOf(name)
		if one == 0 || one == fileKind {
			c.warn(fmt.Sprintf("type %q is none of JSON's and is not checked", name))
			k = 0
			break
		}
		k |= one
	}
	out.keywords = newKeywords(&spec.CommonValidations{
		Maximum: s.Maximum, ExclusiveMaximum: s.ExclusiveMaximum,
		Minimum: s.Minimum, ExclusiveMinimum: s.ExclusiveMinimum,
		MaxLength: s.MaxLength, MinLength: s.MinLength, Pattern: s.Pattern,
		MaxItems: s.MaxItems, MinItems: s.MinItems, UniqueItems: s.UniqueItems,
		MultipleOf: s.MultipleOf, Enum: s.Enum,
	}, k, s.Format, c.warn)
	xNullable, _ := s.Extensions.GetBool("x-nullable")
	out.nullable = s.Nullable || xNullable
	out.minProps = newSize(s.MinProperties, "must have at least %d members")
	out.maxProps = newSize(s.MaxProperties, "must have at most %d members")
	if len(s.Dependencies) > 0 {
		c.warn("dependencies are not Swagger 2.0's and are not checked")
	}

	if err := c.members(out, s); err != nil {
		return err
	}
	var err error
	if s.Items != nil {
		if out.items, err = c.schema(s.Items.Schema); err != nil {
			return err
		}
		if out.tuple, err = c.list(s.Items.Schemas); err != nil {
			return err
		}
	}
	if a := s.AdditionalItems; a != nil && len(out.tuple) > 0 {
		out.shut = !a.Allows && a.Schema == nil
		if out.restItems, err = c.schema(a.Schema); err != nil {
			return err
		}
	}

	if out.allOf, err = c.list(s.AllOf); err != nil {
		return err
	}
	out.allOf = slices.DeleteFunc(out.allOf, func(part *schema) bool { return part == nil })
	if out.anyOf, err = c.list(s.AnyOf); err != nil {
		return err
	}
	if out.oneOf, err = c.list(s.OneOf); err != nil {
		return err
	}
	if s.Not != nil {
		if out.not, err = c.schema(s.Not); err != nil {
			return err
		}
		if out.not == nil { // not: {}, which nothing satisfies
			out.not = &schema{}
		}
	}
	return nil
}

// members prepares the keywords about an object's members.
func (c *compiler) members(out *schema, s *spec.Schema) error {
	if len(s.Properties)+len(s.Required) > 0 {
		out.props = make(map[string]property, len(s.Properties))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		compiled, err := c.schema(&p)
		if err != nil {
			return fmt.Errorf("property %q: %w", name, err)
		}
		out.props[name] = property{schema: compiled, declared: true}
	}
	for _, name := range s.Required {
		p := out.props[name]
		if p.required > 0 || s.Properties[name].Default != nil {
			continue // a member with a default may be left out, as go-openapi has it
		}
		out.required = append(out.required, name)
		p.required = len(out.required)
		out.props[name] = p
	}
	for _, pattern := range slices.Sorted(maps.Keys(s.PatternProperties)) {
		p := s.PatternProperties[pattern]
		re, err := compilePattern(pattern)
		if err != nil {
			c.warn(fmt.Sprintf("pattern %q is not an RE2 expression and is not checked", pattern))
			continue
		}
		compiled, err := c.schema(&p)
		if err != nil {
			return fmt.Errorf("members that match %q: %w", pattern, err)
		}
		out.patterns = append(out.patterns, patternProperty{re, compiled})
	}
	if a := s.AdditionalProperties; a != nil {
		var err error
		out.closed = !a.Allows && a.Schema == nil
		if out.rest, err = c.schema(a.Schema); err != nil {
			return fmt.Errorf("additional members: %w", err)
		}
	}
	return nil
}

func (c *compiler) list(in []spec.Schema) ([]*schema, error) {
	out := make([]*schema, 0, len(in))
	for i := range in {
		s, err := c.schema(&in[i])
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// trivial reports whether every value passes.
func (s *schema) trivial() bool {
	return s.keywords.trivial() && len(s.props)+len(s.patterns)+len(s.tuple) == 0 && s.rest == nil && !s.closed &&
		s.minProps == nil && s.maxProps == nil && s.items == nil &&
		len(s.allOf)+len(s.anyOf)+len(s.oneOf) == 0 && s.not == nil
}
