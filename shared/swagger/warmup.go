package swagger

import (
	"cmp"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/go-openapi/spec"
)

// maxWarmups is how many requests a document may name to warm up with.
const maxWarmups = 32

// maxWarmupParams bounds the parameters of one, in bytes.
const maxWarmupParams = 16 << 10

// Warmup is a request by which a process is warmed up before it gets any client's.
// It is one that the document describes.
type Warmup struct {
	Method    string // GET or HEAD: it is run many times
	Target    string // path below BasePath, and query
	Operation *Operation
	Params    json.RawMessage // as X-Funcatron-Params has them
}

// warmups reads x-funcatron's warmup, for which the operations have to be known.
func (r *reader) warmups(operations []*Operation) []Warmup {
	v := r.vendorBlock(vendor, r.root)["warmup"]
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		r.refuse(vendor, `warmup is %s, not an array of requests like ["GET /simple"]`, kind(v))
		return nil
	}
	if len(list) > maxWarmups {
		r.refuse(vendor, "warmup has %d requests, more than %d", len(list), maxWarmups)
		return nil
	}
	all := make([]Warmup, 0, len(list))
	for i, item := range list {
		text, ok := item.(string)
		if !ok {
			r.refuse(vendor, `request %d of warmup is %s, not a string like "GET /simple"`, i+1, kind(item))
			continue
		}
		w, why := newWarmup(text, operations)
		if why != "" {
			r.refuse(vendor, "warmup %s: %s", quote(text), why)
			continue
		}
		all = append(all, w)
	}
	return all
}

// newWarmup reads one request, or says why it is none.
func newWarmup(text string, operations []*Operation) (w Warmup, why string) {
	method, target, _ := strings.Cut(text, " ")
	if method != "GET" && method != "HEAD" {
		return w, `only GET and HEAD warm up, as in "GET /simple": a request is run many times`
	}
	if !strings.HasPrefix(target, "/") || strings.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' }) {
		return w, "what follows the method is not a path below basePath, percent-encoded, perhaps with a query"
	}
	path, rawQuery, _ := strings.Cut(target, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return w, "its query cannot be read"
	}
	op, values := match(method, path, operations)
	if op == nil && method == "HEAD" {
		op, values = match("GET", path, operations)
	}
	if op == nil {
		return w, "the document has no such operation"
	}
	params, why := warmupParams(op, values, query)
	return Warmup{Method: method, Target: target, Operation: op, Params: params}, why
}

// match finds the operation that a gateway would, and the values of its path. Of
// two templates that fit, the one whose first difference is a literal counts.
func match(method, path string, operations []*Operation) (best *Operation, values map[string]string) {
	segments := strings.Split(path, "/")
	for _, op := range operations {
		if op.Method != method || strings.Count(op.Path, "/") != len(segments)-1 || best != nil && !moreLiteral(op.Path, best.Path) {
			continue
		}
		if v, ok := matchTemplate(op.Path, segments); ok {
			best, values = op, v
		}
	}
	return best, values
}

func matchTemplate(template string, segments []string) (map[string]string, bool) {
	values := map[string]string{}
	i := 0
	for part := range strings.SplitSeq(template, "/") {
		if !matchSegment(part, segments[i], values) {
			return nil, false
		}
		i++
	}
	return values, true
}

var templateParam = regexp.MustCompile(`\{([^{}]*)\}`)

// matchSegment adds the parameters in one segment of a template to values.
func matchSegment(part, segment string, values map[string]string) bool {
	if !strings.Contains(part, "{") {
		return part == segment
	}
	pattern, rest := "^", part
	for _, at := range templateParam.FindAllStringIndex(part, -1) {
		begin := len(part) - len(rest)
		pattern += regexp.QuoteMeta(part[begin:at[0]]) + "(.+?)"
		rest = part[at[1]:]
	}
	re, err := regexp.Compile(pattern + regexp.QuoteMeta(rest) + "$")
	if err != nil {
		return false // too large; no request has such a path
	}
	found := re.FindStringSubmatch(segment)
	if found == nil {
		return false
	}
	for i, name := range templateParam.FindAllStringSubmatch(part, -1) {
		value, err := url.PathUnescape(found[i+1])
		if err != nil {
			return false
		}
		values[name[1]] = value
	}
	return true
}

func moreLiteral(a, b string) bool {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	for i := range min(len(x), len(y)) {
		p, q := strings.Contains(x[i], "{"), strings.Contains(y[i], "{")
		if p != q {
			return q
		}
	}
	return false
}

// warmupParams gives op's parameters as a function gets them.
func warmupParams(op *Operation, path map[string]string, query url.Values) (params json.RawMessage, why string) {
	all := map[string]map[string]any{"path": {}, "query": {}, "header": {}, "form": {}}
	for name, value := range path {
		all["path"][name] = value // a string, unless it is declared otherwise
	}
	if op.Body != nil && op.Body.Required {
		return nil, "its operation requires a body"
	}
	for i := range op.Params {
		p := &op.Params[i]
		into, given := all[p.In], []string(nil)
		switch p.In {
		case "path":
			given = []string{path[p.Name]}
		case "query":
			given = query[p.Name]
		case "formData":
			into = all["form"]
		}
		if len(given) == 0 {
			if p.Required {
				return nil, "its operation requires the parameter " + quote(p.Name) + " in: " + p.In
			}
			if p.Default != nil {
				into[p.Name] = p.Default
			}
			continue
		}
		value, ok := typed(given, &p.SimpleSchema)
		if !ok {
			return nil, "parameter " + quote(p.Name) + " is not of type " + p.Type
		}
		into[p.Name] = value
	}
	params, err := encode(all)
	if err != nil {
		return nil, err.Error()
	}
	if len(params) > maxWarmupParams {
		return nil, "its parameters are too large"
	}
	return params, ""
}

// separators are those of the collection formats (Swagger 2.0, Parameter Object).
var separators = map[string]string{"ssv": " ", "tsv": "\t", "pipes": "|"}

// typed gives the values of a parameter the type that it declares.
func typed(given []string, s *spec.SimpleSchema) (any, bool) {
	if s.Type != "array" {
		if len(given) != 1 {
			return nil, false
		}
		value := scalar(given[0], s.Type)
		return value, fitsSimple(value, s)
	}
	if s.CollectionFormat != "multi" {
		if len(given) != 1 {
			return nil, false
		}
		given = strings.Split(given[0], cmp.Or(separators[s.CollectionFormat], ","))
		given = slices.DeleteFunc(given, func(v string) bool { return v == "" && len(given) == 1 })
	}
	list := make([]any, 0, len(given))
	for _, v := range given {
		item, ok := typed([]string{v}, &s.Items.SimpleSchema)
		if !ok {
			return nil, false
		}
		list = append(list, item)
	}
	return list, true
}

func scalar(text, typ string) any {
	switch typ {
	case "boolean":
		switch text {
		case "true", "false":
			return text == "true"
		}
	case "integer", "number":
		if json.Valid([]byte(text)) {
			return json.Number(text)
		}
	}
	return text
}
