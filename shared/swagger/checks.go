package swagger

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/go-openapi/spec"
)

// checks reads the keywords that parameters, items and schemas have in common.
// One that has a value of the wrong type is passed over with a warning.
func (r *reader) checks(where string, object map[string]any) spec.CommonValidations {
	v := spec.CommonValidations{
		Maximum:          r.number(where, object, "maximum"),
		ExclusiveMaximum: r.loose(where, object, "exclusiveMaximum"),
		Minimum:          r.number(where, object, "minimum"),
		ExclusiveMinimum: r.loose(where, object, "exclusiveMinimum"),
		MaxLength:        r.size(where, object, "maxLength"),
		MinLength:        r.size(where, object, "minLength"),
		MaxItems:         r.size(where, object, "maxItems"),
		MinItems:         r.size(where, object, "minItems"),
		UniqueItems:      r.loose(where, object, "uniqueItems"),
		MultipleOf:       r.number(where, object, "multipleOf"),
	}
	if v.MultipleOf != nil && *v.MultipleOf <= 0 {
		r.warn(where, "multipleOf is not above zero, and is passed over")
		v.MultipleOf = nil
	}
	if pattern := r.text(where, object, "pattern"); pattern != "" && r.compiles(where, pattern) {
		v.Pattern = pattern
	}
	switch list := object["enum"].(type) {
	case nil:
	case []any:
		v.Enum = make([]any, len(list))
		for i, item := range list {
			v.Enum[i] = plain(item)
		}
	default:
		r.warn(where, "enum is %s, not an array, and is passed over", kind(list))
	}
	return v
}

func (r *reader) number(where string, object map[string]any, key string) *float64 {
	v, has := object[key]
	if !has || v == nil {
		return nil
	}
	number, ok := v.(json.Number)
	if !ok {
		r.warn(where, "%s is %s, not a number, and is passed over", key, kind(v))
		return nil
	}
	f := float(number)
	return &f
}

func (r *reader) size(where string, object map[string]any, key string) *int64 {
	v, has := object[key]
	if !has || v == nil {
		return nil
	}
	number, ok := v.(json.Number)
	if !ok {
		r.warn(where, "%s is %s, not a number, and is passed over", key, kind(v))
		return nil
	}
	n, ok := integer(number)
	if !ok || n < 0 {
		r.warn(where, "%s is %s, not a size, and is passed over", key, clip(string(number)))
		return nil
	}
	return &n
}

// loose reads a boolean that qualifies a check.
func (r *reader) loose(where string, object map[string]any, key string) bool {
	v, has := object[key]
	if !has || v == nil {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		r.warn(where, "%s is %s, not true or false, and is passed over", key, kind(v))
	}
	return b
}

// plain gives a value the types that go-openapi compares with: its own decoding
// makes every number a float64.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		return float(v)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = plain(item)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = plain(item)
		}
		return out
	}
	return v
}

// float is the value of a number that decode let through: it fits.
func float(number json.Number) float64 {
	f, err := strconv.ParseFloat(string(number), 64)
	if err != nil {
		panic("BUG: swagger: number " + string(number) + " was not checked")
	}
	return f
}

// integer is the value of a whole number of at most 64 bits; 3.0 and 1e3 are whole.
func integer(number json.Number) (int64, bool) {
	if n, err := strconv.ParseInt(string(number), 10, 64); err == nil {
		return n, true
	}
	f := float(number)
	if f != math.Trunc(f) || math.Abs(f) >= 1<<63 {
		return 0, false
	}
	return int64(f), true
}

func isNumber(v any) bool {
	_, ok := v.(json.Number)
	return ok
}

func isInteger(v any) bool {
	number, ok := v.(json.Number)
	if !ok {
		return false
	}
	_, ok = integer(number)
	return ok
}
