package swagger

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/go-openapi/spec"
)

// Bounds on parameters: of one list, and of all operations together. Gateways prepare
// each for each operation that has it, also where many refer to one.
const (
	maxParams      = 1_000
	maxParamsGiven = 100_000
	maxValuesGiven = 1_000_000 // of their enums and defaults, a value of 64 bytes or a part of one
)

// parameter is a read parameter: a body, or one of the others.
type parameter struct {
	body   *Body
	spec   spec.Parameter
	values int // of its enums and defaults; see maxValuesGiven
}

// valuesOf counts what v is made of.
func valuesOf(v any) int {
	n := 1
	switch v := v.(type) {
	case nil:
		return 0
	case string:
		n += len(v) / 64
	case []any:
		for _, item := range v {
			n += valuesOf(item)
		}
	case map[string]any:
		for key, item := range v {
			n += 1 + len(key)/64 + valuesOf(item)
		}
	}
	return n
}

// same says whether two parameters are one: name and place decide (Swagger 2.0,
// Parameter Object), and header names are alike in any case (RFC 9110, section 5.1).
func (p *parameter) same(q *parameter) bool {
	if p.spec.In != q.spec.In {
		return false
	}
	return p.spec.Name == q.spec.Name || p.spec.In == "header" && strings.EqualFold(p.spec.Name, q.spec.Name)
}

// parameters reads the list of a path or an operation. What is wrong is refused,
// and left out of the result.
func (r *reader) parameters(where string, v any) []*parameter {
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		r.refuse(where, "parameters is %s, not an array", kind(v))
		return nil
	}
	if len(list) > maxParams {
		r.refuse(where, "has %d parameters, more than %d", len(list), maxParams)
		return nil
	}
	if len(list) == 0 {
		return nil
	}
	// A path item that many paths refer to is read once.
	if known, ok := r.lists[&list[0]]; ok {
		return known
	}
	var out []*parameter
	for i, item := range list {
		p := r.oneParameter(where, i, item)
		if p == nil {
			continue
		}
		if p.body == nil && slices.ContainsFunc(out, p.same) {
			r.refuse(where, "two parameters of the name %s are in: %s", quote(p.spec.Name), p.spec.In)
			continue
		}
		out = append(out, p)
	}
	r.lists[&list[0]] = out
	return out
}

func (r *reader) oneParameter(where string, i int, v any) *parameter {
	object, ok := v.(map[string]any)
	if !ok {
		r.refuse(where, "parameter %d is %s, not an object", i+1, kind(v))
		return nil
	}
	object, name := r.follow(where, object, "parameter")
	if object == nil {
		return nil
	}
	if name != "" {
		if p, known := r.params[name]; known {
			return p
		}
		where = clip(name)
	}
	p := r.readParameter(where, i, object, name != "")
	if name != "" {
		r.params[name] = p
	}
	return p
}

func (r *reader) readParameter(where string, i int, object map[string]any, named bool) *parameter {
	name, _ := object["name"].(string)
	if name == "" {
		r.refuse(where, "parameter %d has no name", i+1)
		return nil
	}
	if !named {
		where += ": parameter " + quote(name)
	}
	in, _ := object["in"].(string)
	p := &parameter{}
	p.spec.Name, p.spec.In = name, in
	p.spec.Required = r.flag(where, object, "required")
	switch in {
	case "body":
		p.body = &Body{Name: name, Required: p.spec.Required}
		schema, has := object["schema"]
		if !has {
			r.warn(where, "has no schema: any body is taken")
			schema = map[string]any{}
		}
		r.schemas.body(p.body, where, schema)
		return p
	case "path":
		if !p.spec.Required {
			r.warn(where, "is in: path and has to say required: true")
			p.spec.Required = true
		}
	case "query", "header", "formData":
	case "":
		r.refuse(where, "does not say where it is (in: path, query, header, formData or body)")
		return nil
	default:
		r.refuse(where, "is in: %s, which is not one of path, query, header, formData, body", quote(in))
		return nil
	}
	if object["schema"] != nil {
		r.warn(where, "has a schema, which only a parameter in: body has; it is passed over")
	}
	p.spec.AllowEmptyValue = r.flag(where, object, "allowEmptyValue")
	p.spec.SimpleSchema, p.spec.CommonValidations = r.simple(where, object, in)
	if p.spec.CollectionFormat == "multi" && in != "query" && in != "formData" {
		r.refuse(where, "collectionFormat multi is for parameters in: query and in: formData")
	}
	p.values = valuesOf(p.spec.Default) + valuesOf(p.spec.Enum)
	for items := p.spec.Items; items != nil; items = items.Items {
		p.values += valuesOf(items.Default) + valuesOf(items.Enum)
	}
	return p
}

// simple reads the type and the checks that parameters and their items have in
// common. in is "" for items.
func (r *reader) simple(where string, object map[string]any, in string) (s spec.SimpleSchema, v spec.CommonValidations) {
	s.Format = r.text(where, object, "format")
	s.CollectionFormat = r.text(where, object, "collectionFormat")
	s.Nullable = object["x-nullable"] == true
	switch t := object["type"].(type) {
	case string:
		s.Type = t
	case nil:
		r.refuse(where, "has no type")
		return s, v
	default:
		r.refuse(where, "type is %s, not a string", kind(t))
		return s, v
	}
	switch s.Type {
	case "string", "number", "integer", "boolean":
	case "file":
		if in != "formData" {
			r.refuse(where, "type file is for parameters in: formData")
		}
	case "array":
		items, ok := object["items"].(map[string]any)
		if !ok {
			r.refuse(where, "is an array without items")
			return s, v
		}
		if _, isRef := items["$ref"]; isRef {
			r.refuse(where, "its items are a $ref, which only a body has")
			return s, v
		}
		s.Items = spec.NewItems()
		s.Items.SimpleSchema, s.Items.CommonValidations = r.simple(where+": items", items, "")
		if s.Items.CollectionFormat == "multi" {
			r.refuse(where, "collectionFormat multi is not for items")
		}
	default:
		r.refuse(where, "type %s is not one of string, number, integer, boolean, array, file", quote(s.Type))
		return s, v
	}
	switch s.CollectionFormat {
	case "", "csv", "ssv", "tsv", "pipes", "multi":
	default:
		r.refuse(where, "collectionFormat %s is not one of csv, ssv, tsv, pipes, multi", quote(s.CollectionFormat))
	}

	v = r.checks(where, object)
	if value, has := object["default"]; has && value != nil {
		value = r.asText(where, "default", value, s.Type)
		if fitsSimple(value, &s) {
			s.Default = plain(value)
		} else {
			r.warn(where, "default is not of type %s, and is passed over", s.Type)
		}
	}
	if v.Enum != nil {
		kept := []any{}
		for i, value := range object["enum"].([]any) {
			value = r.asText(where, "enum", value, s.Type)
			if fitsSimple(value, &s) {
				kept = append(kept, plain(value))
			} else {
				r.warn(where, "value %d of enum is not of type %s, and is passed over", i+1, s.Type)
			}
		}
		v.Enum = kept
	}
	return s, v
}

// asText takes a number or boolean for the string that its author meant: in YAML
// it only lacks quotes.
func (r *reader) asText(where, key string, value any, typ string) any {
	if typ != "string" {
		return value
	}
	switch v := value.(type) {
	case json.Number:
		r.warn(where, "%s holds the number %s where a string belongs; it is taken as text", key, clip(string(v)))
		return string(v)
	case bool:
		r.warn(where, "%s holds %t where a string belongs; it is taken as text", key, v)
		return strconv.FormatBool(v)
	}
	return value
}

// fitsSimple says whether a value of the document has the type of a parameter.
func fitsSimple(value any, s *spec.SimpleSchema) bool {
	switch s.Type {
	case "string", "file":
		_, ok := value.(string)
		return ok
	case "boolean":
		_, ok := value.(bool)
		return ok
	case "number":
		return isNumber(value)
	case "integer":
		return isInteger(value)
	case "array":
		list, ok := value.([]any)
		return ok && s.Items != nil && !slices.ContainsFunc(list, func(item any) bool { return !fitsSimple(item, &s.Items.SimpleSchema) })
	}
	return false
}
