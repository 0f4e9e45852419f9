package swagger_test

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseWarns(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"nothing to call":    {head + "paths: {}", []string{"paths", "no operation"}},
		"no paths":           {head, []string{"paths", "no operation"}},
		"no info":            {"swagger: '2.0'\npaths: {}", []string{"info is missing"}},
		"number for version": {"swagger: 2.0\npaths: {}", []string{"swagger is a number"}},
		"no operationId":     {head + "paths: {/a: {get: {}}}", []string{"GET /a", "no operationId", `"GET /a"`}},
		"operationId number": {head + "paths: {/a: {get: {operationId: 7}}}", []string{"GET /a", "operationId is a number"}},
		"operationId lines":  {head + `paths: {/a: {get: {operationId: "a\r\nX-Evil: 1"}}}`, []string{"GET /a", "control characters"}},
		"method":             {head + "paths: {/a: {trace: {}}}", []string{"path /a", `"trace"`}},
		"media type":         {head + "consumes: [json]\npaths: {}", []string{"consumes", `"json"`}},
		"beside a ref":       {head + "paths: {/a: {$ref: '#/x-a', get: {}}}\nx-a: {put: {operationId: p}}", []string{"path /a", "beside its $ref"}},
		"unknown key":        {head + "x-funcatron: {colour: 1}\npaths: {}", []string{"x-funcatron", `"colour"`}},
		"unknown key below":  {head + "paths: {/a: {get: {x-funcatron: {cache: 1}}}}", []string{"GET /a", `"cache"`}},
		"undeclared":         {get("/{x}", ""), []string{"GET /{x}", "{x}", "taken for a string"}},
		"not in the path":    {get("/a", "{name: x, in: path, required: true, type: string}"), []string{"GET /a", `"x"`, "passed over"}},
		"path not required":  {get("/{x}", "{name: x, in: path, type: string}"), []string{`"x"`, "required: true"}},
		"schema in query":    {get("/a", "{name: x, in: query, type: string, schema: {type: string}}"), []string{"has a schema"}},
		"body, no schema":    {get("/a", "{name: x, in: body, type: string}"), []string{"no schema"}},
		"form not consumed":  {get("/a", "{name: x, in: formData, type: string}") + "consumes: [application/json]", []string{"consumes no form"}},
		"file not consumed":  {get("/a", "{name: x, in: formData, type: file}") + "consumes: [application/json]", []string{"multipart/form-data"}},
		"minimum a word":     {get("/a", "{name: x, in: query, type: integer, minimum: '1'}"), []string{"minimum is a string"}},
		"maxLength negative": {get("/a", "{name: x, in: query, type: string, maxLength: -1}"), []string{"maxLength is -1"}},
		"maxItems a word":    {get("/a", "{name: x, in: query, type: string, maxItems: a}"), []string{"maxItems is a string"}},
		"multipleOf zero":    {get("/a", "{name: x, in: query, type: integer, multipleOf: 0}"), []string{"multipleOf"}},
		"exclusive number":   {get("/a", "{name: x, in: query, type: integer, exclusiveMinimum: 1}"), []string{"exclusiveMinimum is a number"}},
		"default mismatched": {get("/a", "{name: x, in: query, type: integer, default: ten}"), []string{"default is not of type integer"}},
		"default half":       {get("/a", "{name: x, in: query, type: integer, default: 1.5}"), []string{"default is not of type integer"}},
		"enum mismatched":    {get("/a", "{name: x, in: query, type: integer, enum: [1, two]}"), []string{"value 2 of enum"}},
		"enum a word":        {get("/a", "{name: x, in: query, type: string, enum: a}"), []string{"enum is a string"}},
		"enum of numbers":    {get("/a", "{name: x, in: query, type: string, enum: [1.10, true]}"), []string{"1.10", "taken as text"}},
		"schema null":        {post("{properties: {x: }}", ""), []string{"properties/x", "null"}},
		"schema required":    {post("{properties: {x: {required: true}}}", ""), []string{"properties/x", "required is a boolean"}},
		"schema file":        {post("{type: file}", ""), []string{"type file"}},
		"response ref":       {head + "paths: {/a: {get: {responses: {200: {schema: {$ref: '#/definitions/Error'}}}}}}", []string{"#/paths/~1a/get/responses/200/schema", `"#/definitions/Error"`, "does not resolve"}},
		"response URL":       {head + "paths: {/a: {get: {responses: {200: {schema: {$ref: 'http://x.test/e.json'}}}}}}", []string{"never followed", "taken out"}},
		"unused file":        {head + "paths: {}\nparameters: {x: {$ref: 'x.yaml'}}", []string{"#/parameters/x", "taken out"}},
	} {
		t.Run(name, func(t *testing.T) {
			doc := mustParse(t, tc.text)
			if !says(doc.Warnings, tc.want) {
				t.Errorf("warnings %q, want one that says %q", doc.Warnings, tc.want)
			}
			for _, elsewhere := range []string{"x.test", "x.yaml"} {
				if strings.Contains(string(doc.JSON), elsewhere) {
					t.Errorf("%s is still in %s", elsewhere, doc.JSON)
				}
			}
		})
	}
}

// What has the wrong type is left out, the rest of the parameter stays.
func TestParsePassesOver(t *testing.T) {
	doc := mustParse(t, get("/a", `
		{name: n, in: query, type: integer, enum: [1, two, 3.0], default: x, minimum: a, maximum: 5},
		{name: s, in: query, type: string, enum: [1.10, yes, true, null], default: 010},
		{name: a, in: query, type: array, items: {type: integer}, default: [1, 2]},
		{name: b, in: query, type: array, items: {type: integer}, default: [1, b]}`))
	n, s, a, b := doc.Operations[0].Params[0], doc.Operations[0].Params[1], doc.Operations[0].Params[2], doc.Operations[0].Params[3]
	if !reflect.DeepEqual(n.Enum, []any{1.0, 3.0}) || n.Default != nil || n.Minimum != nil || *n.Maximum != 5 {
		t.Errorf("n is %+v", n)
	}
	if !reflect.DeepEqual(s.Enum, []any{"1.10", "yes", "true"}) || s.Default != "8" {
		t.Errorf("s is %v, default %v", s.Enum, s.Default)
	}
	if !reflect.DeepEqual(a.Default, []any{1.0, 2.0}) || b.Default != nil {
		t.Errorf("defaults %v and %v", a.Default, b.Default)
	}
}

func TestParseOperationIDs(t *testing.T) {
	doc := mustParse(t, head+`
paths:
  /a: {get: {operationId: same}, put: {operationId: same}, post: {operationId: "bad\nid"}, delete: {operationId: ""}}
`)
	var ids []string
	for _, op := range doc.Operations {
		ids = append(ids, op.ID)
	}
	if want := []string{"DELETE /a", "same", "POST /a", "same"}; !reflect.DeepEqual(ids, want) {
		t.Errorf("ids %q, want %q", ids, want)
	}
}
