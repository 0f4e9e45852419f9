package fn

import (
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// params are a request's parameters as the gateway coerced them to their Swagger
// types: string, bool, json.Number, []any and nil.
type params struct {
	Path   map[string]any `json:"path"`
	Query  map[string]any `json:"query"`
	Header map[string]any `json:"header"`
	Form   map[string]any `json:"form"`
}

// parseParams reads an X-Funcatron-Params header. None at all is no parameters:
// a request made by hand need not have it.
func parseParams(header string) (params, error) {
	var p params
	if header == "" {
		return p, nil
	}
	dec := json.NewDecoder(strings.NewReader(header))
	dec.UseNumber()
	if err := dec.Decode(&p); err != nil {
		return params{}, fmt.Errorf("read %s: %w", headerParams, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return params{}, fmt.Errorf("read %s: more follows after the JSON object", headerParams)
	}
	return p, nil
}

// mergeQuery adds to the declared query parameters those that the document does
// not declare, as strings, or as []any of them where one is repeated.
func mergeQuery(declared map[string]any, u *url.URL) map[string]any {
	if u.RawQuery == "" {
		return orEmpty(declared)
	}
	all := map[string]any{}
	for name, values := range u.Query() {
		if len(values) == 1 {
			all[name] = values[0]
			continue
		}
		list := make([]any, len(values))
		for i, v := range values {
			list[i] = v
		}
		all[name] = list
	}
	maps.Copy(all, declared)
	return all
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// PathParams are the path parameters by name.
func (c *Context) PathParams() map[string]any { return orEmpty(c.params.Path) }

// QueryParams are the query parameters by name, defaults filled in. Those that
// the document does not declare are strings, or []any of strings where repeated.
func (c *Context) QueryParams() map[string]any {
	c.queryOnce.Do(func() { c.query = mergeQuery(c.params.Query, c.req.URL) })
	return c.query
}

// HeaderParams are the header parameters that the document declares, under the
// names it gives them, defaults filled in. Header has all headers.
func (c *Context) HeaderParams() map[string]any { return orEmpty(c.params.Header) }

// FormParams are the form parameters by name, defaults filled in.
func (c *Context) FormParams() map[string]any { return orEmpty(c.params.Form) }

// MergedParams are all parameters. Of those with one name that of the path
// counts, then the query's, the form's, the header's.
func (c *Context) MergedParams() map[string]any {
	all := maps.Clone(c.HeaderParams())
	maps.Copy(all, c.FormParams())
	maps.Copy(all, c.QueryParams())
	maps.Copy(all, c.PathParams())
	return all
}

// lookup finds one of the merged parameters.
func (c *Context) lookup(name string) (any, bool) {
	if v, ok := c.params.Path[name]; ok {
		return v, true
	}
	if v, ok := c.QueryParams()[name]; ok {
		return v, true
	}
	if v, ok := c.params.Form[name]; ok {
		return v, true
	}
	v, ok := c.params.Header[name]
	return v, ok
}

// Param gives the parameter of that name as a T: an integer, which must fit, a
// float, a bool, a string, a slice of these, anything that encoding/json decodes
// from such a value, or an encoding.TextUnmarshaler such as time.Time. Of several
// with one name it takes the one that MergedParams has.
//
// A parameter that was not given, or is no T, is an Error that is answered 400;
// where the document requires the parameter and its type, that cannot happen.
func Param[T any](ctx *Context, name string) (T, error) {
	var v T
	value, ok := ctx.lookup(name)
	if !ok {
		return v, Errorf(http.StatusBadRequest, "parameter %s is not given", name)
	}
	if err := convert(value, reflect.ValueOf(&v).Elem()); err != nil {
		return v, Errorf(http.StatusBadRequest, "parameter %s: %w", name, err)
	}
	return v, nil
}

// ParamOr is Param with a value for a parameter that was not given.
func ParamOr[T any](ctx *Context, name string, otherwise T) (T, error) {
	if _, ok := ctx.lookup(name); !ok {
		return otherwise, nil
	}
	return Param[T](ctx, name)
}

// convert sets into, which can be set, to value. Strings are read as numbers and
// bools where those are wanted, since a parameter that the document does not
// declare is a string.
func convert(value any, into reflect.Value) error {
	t := into.Type()
	if value != nil && reflect.TypeOf(value).AssignableTo(t) {
		into.Set(reflect.ValueOf(value))
		return nil
	}
	text, scalar := textOf(value)
	if u, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok && scalar {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return fmt.Errorf("%s is not a %s: %w", show(value), t, err)
		}
		return nil
	}
	if !scalar {
		return convertJSON(value, into)
	}
	wrong := fmt.Errorf("%s is not a %s", show(value), t)
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(integer(text), 10, t.Bits())
		if err != nil {
			return wrong
		}
		into.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		n, err := strconv.ParseUint(integer(text), 10, t.Bits())
		if err != nil {
			return wrong
		}
		into.SetUint(n)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(text, t.Bits())
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return wrong
		}
		into.SetFloat(f)
	case reflect.Bool:
		switch text {
		case "true", "false":
			into.SetBool(text == "true")
		default:
			return wrong
		}
	case reflect.String:
		into.SetString(text)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			into.SetBytes([]byte(text))
			return nil
		}
		// An undeclared parameter given once is a list of one.
		one := reflect.New(t.Elem()).Elem()
		if err := convert(value, one); err != nil {
			return err
		}
		into.Set(reflect.Append(reflect.Zero(t), one))
	case reflect.Pointer:
		into.Set(reflect.New(t.Elem()))
		return convert(value, into.Elem())
	default:
		return convertJSON(value, into)
	}
	return nil
}

// convertJSON is for lists, element by element, and for what only encoding/json
// knows how to make.
func convertJSON(value any, into reflect.Value) error {
	if list, ok := value.([]any); ok && into.Kind() == reflect.Slice && into.Type().Elem().Kind() != reflect.Uint8 {
		s := reflect.MakeSlice(into.Type(), len(list), len(list))
		for i, v := range list {
			if err := convert(v, s.Index(i)); err != nil {
				return fmt.Errorf("value %d: %w", i+1, err)
			}
		}
		into.Set(s)
		return nil
	}
	data, err := json.Marshal(value)
	if err == nil {
		err = decodeJSON(data, into.Addr().Interface())
	}
	if err != nil {
		return fmt.Errorf("%s is not a %s: %w", show(value), into.Type(), err)
	}
	return nil
}

func textOf(value any) (text string, scalar bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// integer writes 42.0 and 4.2e1 as 42, which JSON Schema takes for integers too.
// Whatever is none stays as it is. Beyond 2^53 a float no longer says which
// integer it was.
func integer(text string) string {
	if !strings.ContainsAny(text, ".eE") {
		return text
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return text
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}

// show is value as an error message can carry it.
func show(value any) string {
	text := fmt.Sprint(value)
	if s, ok := value.(string); ok {
		text = strconv.Quote(s)
	}
	if len(text) > 64 {
		text = text[:64] + "..."
	}
	return text
}
