package swagger

import (
	"slices"
	"strings"
	"time"
)

// methods are those of a path item (Swagger 2.0, Path Item Object).
var methods = []string{"delete", "get", "head", "options", "patch", "post", "put"}

// maxID is the longest operationId in bytes: it travels in a header and stands
// in every log line.
const maxID = 250

// operations reads all paths.
func (r *reader) operations(paths map[string]any, timeout time.Duration, consumes, produces []string) []*Operation {
	var all []*Operation
	taken := map[string]string{} // method and shape of the path, to the path that has them
	for path, v := range sorted(paths) {
		if extension(path) {
			continue
		}
		where := "path " + clip(path)
		names, shape, ok := r.template(where, path)
		if !ok {
			continue
		}
		item := r.pathItem(where, v)
		if item == nil {
			continue
		}
		shared := r.parameters(where, item["parameters"])
		for key, v := range sorted(item) {
			if !slices.Contains(methods, key) {
				if key != "parameters" && !extension(key) {
					r.warn(where, "%s is not a method that Swagger 2.0 knows, and is passed over", quote(key))
				}
				continue
			}
			method := strings.ToUpper(key)
			where := method + " " + clip(path)
			first, twice := taken[method+" "+shape]
			if twice { // what else is wrong with it is said, too
				r.refuse(where, "the same requests as %s %s: two operations on one path and method", method, quote(first))
			} else {
				taken[method+" "+shape] = path
			}
			object, ok := v.(map[string]any)
			if !ok {
				r.refuse(where, "is %s, not an object", kind(v))
				continue
			}
			op := &Operation{Method: method, Path: path, Timeout: timeout, Consumes: consumes, Produces: produces}
			r.operation(where, op, object, shared, names)
			all = append(all, op)
		}
	}
	return all
}

// pathItem is a path's object, with a reference to another one followed.
func (r *reader) pathItem(where string, v any) map[string]any {
	item, ok := v.(map[string]any)
	if !ok {
		r.refuse(where, "is %s, not an object", kind(v))
		return nil
	}
	if _, isRef := item["$ref"].(string); isRef && len(item) > 1 {
		r.warn(where, "what stands beside its $ref is passed over")
	}
	target, _ := r.follow(where, item, "path item")
	return target
}

// operation fills in op from its object, the parameters of its path, and the
// names in its template.
func (r *reader) operation(where string, op *Operation, object map[string]any, shared []*parameter, names []string) {
	op.ID = r.operationID(where, op, object)
	if list := r.mediaTypes(where, object, "consumes"); list != nil {
		op.Consumes = list
	}
	if list := r.mediaTypes(where, object, "produces"); list != nil {
		op.Produces = list
	}
	op.Security = r.security.of(where, object)
	for key, v := range sorted(r.vendorBlock(where, object)) {
		switch key {
		case "timeout":
			op.Timeout = r.timeout(where, v)
		case "retry":
			retry, ok := v.(bool)
			if !ok {
				r.refuse(where, "%s: retry is %s, not true or false", vendor, kind(v))
			}
			op.Retry = retry
		default:
			r.warn(where, "%s: %s is not known, and is passed over", vendor, quote(key))
		}
	}

	// An operation's parameter replaces the path's of the same name and place.
	merged := slices.Clone(shared)
	for _, p := range r.parameters(where, object["parameters"]) {
		if i := slices.IndexFunc(merged, p.same); i >= 0 {
			merged[i] = p
		} else {
			merged = append(merged, p)
		}
	}
	r.assign(where, op, merged, names)
}

// assign gives op its parameters and body, and holds them against the template.
func (r *reader) assign(where string, op *Operation, params []*parameter, names []string) {
	if r.given += len(params); r.given > maxParamsGiven {
		r.refuse("paths", "the operations have more than %d parameters together", maxParamsGiven)
		return
	}
	for _, p := range params {
		r.values += p.values
	}
	if r.values > maxValuesGiven {
		r.refuse("paths", "the parameters of the operations have more than %d values in their enums and defaults together", maxValuesGiven)
		return
	}
	form, file := false, false
	bodies := 0
	missing := slices.Clone(names)
	for _, p := range params {
		if p.body != nil {
			bodies++
			op.Body = p.body
			continue
		}
		switch p.spec.In {
		case "formData":
			form = true
			file = file || p.spec.Type == "file"
		case "path":
			i := slices.Index(missing, p.spec.Name)
			if i < 0 {
				r.warn(where, "parameter %s is in: path, but the path has no {%s}; it is passed over", quote(p.spec.Name), clip(p.spec.Name))
				continue
			}
			missing = slices.Delete(missing, i, i+1)
		}
		op.Params = append(op.Params, p.spec)
	}
	for _, name := range missing {
		r.warn(where, "the path has {%s}, but there is no parameter of that name in: path; it is taken for a string", clip(name))
	}
	if bodies > 1 {
		r.refuse(where, "%d parameters are in: body; there can be one", bodies)
	}
	if bodies > 0 && form {
		r.refuse(where, "has parameters in: body and in: formData; a request has one or the other")
	}
	if form && len(op.Consumes) > 0 {
		multipart := slices.ContainsFunc(op.Consumes, mediaPrefix("multipart/form-data"))
		if file && !multipart {
			r.warn(where, "has a file parameter but does not consume multipart/form-data")
		} else if !multipart && !slices.ContainsFunc(op.Consumes, mediaPrefix("application/x-www-form-urlencoded")) {
			r.warn(where, "has parameters in: formData but consumes no form")
		}
	}
}

func mediaPrefix(want string) func(string) bool {
	return func(s string) bool { return strings.HasPrefix(strings.ToLower(s), want) }
}

func (r *reader) operationID(where string, op *Operation, object map[string]any) string {
	byPath := op.Method + " " + op.Path
	v, has := object["operationId"]
	id, text := v.(string)
	switch {
	case !has || v == nil || id == "" && text:
		r.warn(where, "has no operationId, and goes by %s", quote(byPath))
	case !text:
		r.warn(where, "operationId is %s, not a string; it goes by %s", kind(v), quote(byPath))
	case len(id) > maxID || strings.ContainsFunc(id, func(c rune) bool { return c < ' ' || c == 0x7f }):
		r.warn(where, "operationId %s is too long or holds control characters; it goes by %s", quote(id), quote(byPath))
	default:
		return id
	}
	return byPath
}
