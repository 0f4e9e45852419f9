package swagger

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Parse reads a Swagger 2.0 document, JSON or YAML. What makes it unusable for
// routing and for checking requests is an *Error that names all of it; what is
// merely not valid is in Document.Warnings.
//
// Parse reads the document itself and builds go-openapi's types from it, where
// go-openapi would give up at the first value of a wrong type anywhere.
func Parse(data []byte) (*Document, error) {
	root, err := decode(data)
	if err != nil {
		return nil, err
	}
	object, ok := root.(map[string]any)
	if !ok {
		return nil, refusal("the document is %s, not an object", kind(root))
	}
	if err := checkVersion(object); err != nil {
		return nil, err
	}

	r := &reader{root: object, params: map[string]*parameter{}, lists: map[*any][]*parameter{}, patterns: map[string]bool{}}
	r.schemas = newSchemas(r)
	doc := r.document()
	r.schemas.finish()
	r.sweep()
	if len(r.problems) > 0 {
		return nil, &Error{Problems: r.problems}
	}
	doc.Warnings = r.warnings

	if doc.JSON, err = encode(object); err != nil {
		return nil, refusal("%v", err)
	}
	if len(doc.JSON) > MaxDocument {
		return nil, refusal("as JSON the document has %d bytes, more than the %d that are read", len(doc.JSON), MaxDocument)
	}
	return doc, nil
}

// checkVersion refuses what is not Swagger 2.0 before anything else is said:
// every other message would only mislead.
func checkVersion(root map[string]any) error {
	switch v, has := root["swagger"]; {
	case v == "2.0":
		return nil
	case has && (fmt.Sprint(v) == "2.0" || fmt.Sprint(v) == "2"):
		return nil // a number: document() warns
	case root["openapi"] != nil:
		return refusal("the document is OpenAPI %s, which is not supported: it has to be Swagger 2.0", clip(fmt.Sprint(root["openapi"])))
	case root["swaggerVersion"] != nil:
		return refusal("the document is Swagger %s, which is not supported: it has to be Swagger 2.0", clip(fmt.Sprint(root["swaggerVersion"])))
	case !has:
		return refusal(`the document is not Swagger 2.0: it does not begin with swagger: "2.0"`)
	default:
		return refusal("the document is Swagger %s, which is not supported: it has to be Swagger 2.0", clip(fmt.Sprint(v)))
	}
}

// Bounds on what one document may make Parse say.
const (
	maxProblems = 500
	maxWarnings = 200
	maxMessage  = 600 // bytes
)

// reader holds what reading one document has found so far.
type reader struct {
	root     map[string]any
	problems []string
	warnings []string
	params   map[string]*parameter // by reference
	lists    map[*any][]*parameter // by the list's first element: one place, one reading
	given    int                   // parameters of all operations together
	values   int                   // of their enums and defaults
	patterns map[string]bool       // those seen, and whether they compile

	patternsSize int // instructions of all patterns together
	schemas      *schemas
	security     *security
}

// refuse notes a reason not to take the document. where is a place that its
// author recognises: "GET /pets", "#/definitions/Pet".
func (r *reader) refuse(where, format string, args ...any) {
	r.problems = note(r.problems, maxProblems, where, format, args)
}

// warn notes something that is not valid and was passed over.
func (r *reader) warn(where, format string, args ...any) {
	r.warnings = note(r.warnings, maxWarnings, where, format, args)
}

func note(list []string, most int, where, format string, args []any) []string {
	if len(list) > most {
		return list
	}
	if len(list) == most {
		return append(list, fmt.Sprintf("and more: only the first %d are listed", most))
	}
	message := where + ": " + fmt.Sprintf(format, args...)
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "..."
	}
	if slices.Contains(list, message) {
		return list
	}
	return append(list, message)
}

// document reads the top of the document and its operations.
func (r *reader) document() *Document {
	const where = "document"
	doc := &Document{}
	if _, text := r.root["swagger"].(string); !text {
		r.warn(where, `swagger is a number; it has to be the text "2.0"`)
		r.root["swagger"] = "2.0"
	}
	if info, ok := r.root["info"].(map[string]any); ok {
		doc.Title, _ = info["title"].(string)
		doc.Version, _ = info["version"].(string)
	} else {
		r.warn(where, "info is missing")
	}
	doc.Host = r.host()
	doc.BasePath = r.basePath()
	doc.Runtime = r.runtime()
	consumes := r.mediaTypes(where, r.root, "consumes")
	produces := r.mediaTypes(where, r.root, "produces")

	paths, ok := r.root["paths"].(map[string]any)
	if !ok && r.root["paths"] != nil {
		r.refuse("paths", "is %s, not an object", kind(r.root["paths"]))
	}
	r.security = r.newSecurity()
	doc.Operations = r.operations(paths, doc.Runtime.Timeout, consumes, produces)
	r.security.unused()
	doc.Runtime.Warmup = r.warmups(doc.Operations)
	if len(doc.Operations) == 0 {
		r.warn("paths", "no operation is described: nothing can be called")
	}
	slices.SortFunc(doc.Operations, func(a, b *Operation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
	return doc
}

// sorted walks an object in the order of its keys, so that what is found comes
// in the same order each time.
func sorted(object map[string]any) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for _, key := range slices.Sorted(maps.Keys(object)) {
			if !yield(key, object[key]) {
				return
			}
		}
	}
}

// kind names the JSON type of a decoded value, for messages.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case []any:
		return "an array"
	default:
		return "an object"
	}
}

// extension says whether a key is the document's own business (Swagger 2.0,
// Specification Extensions).
func extension(key string) bool { return strings.HasPrefix(key, "x-") }

// text reads an optional string of an object.
func (r *reader) text(where string, object map[string]any, key string) string {
	v, has := object[key]
	if !has || v == nil {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		r.refuse(where, "%s is %s, not a string", key, kind(v))
	}
	return s
}

// flag reads an optional boolean of an object.
func (r *reader) flag(where string, object map[string]any, key string) bool {
	v, has := object[key]
	if !has || v == nil {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		r.refuse(where, "%s is %s, not true or false", key, kind(v))
	}
	return b
}
