package bind

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-openapi/spec"
	"github.com/valyala/fasthttp"

	"github.com/funcatron/funcatron/shared/swagger"
)

// bodyBinder makes a binder of one required body with the schema, in YAML's
// flow style.
func bodyBinder(t testing.TB, schema, definitions string) *Binder {
	t.Helper()
	doc := document(t, "paths: {/x: {post: {parameters: [{name: data, in: body, required: true, schema: "+schema+"}]}}}\ndefinitions: {"+definitions+"}")
	b, err := New(doc.Operations[0], nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBody(t *testing.T) {
	const node = "Node: {type: object, required: [v], properties: {v: {type: integer}, next: {$ref: '#/definitions/Node'}, kids: {type: array, items: {$ref: '#/definitions/Node'}}}}"
	for _, tc := range []struct {
		schema, body, bad string
	}{
		{"{type: object}", ``, "data:is required"},
		{"{type: object}", `{"a":}`, "data:is not valid JSON: byte 6: invalid character '}' looking for beginning of value"},
		{"{type: object}", `{} x`, "data:is not valid JSON: byte 4: invalid character 'x' after top-level value"},
		{"{type: object}", "{\"a\":\"\xff\"}", "data:must be UTF-8"},
		{"{type: object}", " {\t\"a\" : [ 1 , { } ] }\r\n", ""},
		{"{type: object}", `[]`, "data:must be an object"},
		{"{}", `[1]`, ""},

		{"{type: integer}", `42.0`, ""}, // JSON Schema draft 6: a float without a fraction is an integer
		{"{type: integer}", `42.5`, "data:must be an integer"},
		{"{type: integer}", `9223372036854775808`, "data:must be an integer of 64 bits"},
		{"{type: integer, format: int32}", `2147483648`, "data:must be an integer of 32 bits"},
		{"{type: integer, minimum: 9007199254740992, exclusiveMinimum: true}", `9007199254740993`, ""}, // no float64 tells them apart
		{"{type: number}", `1e999`, "data:must be a number that a 64-bit float can hold"},
		{"{type: number, multipleOf: 0.1}", `0.3`, ""},
		{"{type: string}", `1`, "data:must be a string"},
		{"{type: [string, 'null']}", `null`, ""},
		{"{type: [string, 'null']}", `1`, "data:must be a string or null"},
		{"{type: string, x-nullable: true}", `null`, ""},
		{"{type: string}", `null`, "data:must be a string"},
		{"{type: string, maxLength: 2}", `"\u00e9\ud83d\udc38"`, ""},
		{"{type: string, maxLength: 2}", `"\u00e9\ud83d\udc38x"`, "data:must be at most 2 characters long"},
		{"{type: string, enum: ['a\"b']}", `"a\u0022b"`, ""},
		{"{type: string, format: date}", `"2026-02-30"`, "data:must be of the format date"},
		{"{type: boolean, enum: [true]}", `false`, "data:must be one of true"},
		{"{enum: [{a: 1, b: [x]}, 7]}", `{"b":["x"],"a":1.0}`, ""},
		{"{enum: [{a: 1, b: [x]}, 7]}", `7.0`, ""},
		{"{enum: [{a: 1, b: [x]}, 7]}", `{"a":1}`, `data:must be one of {"a":1,"b":["x"]}, 7`},

		{"{type: object, required: [a, b], properties: {a: {type: integer}}}", `{"a":"x"}`, "a:must be an integer|b:is required"},
		{"{type: object, required: [a], properties: {a: {type: integer, default: 1}}}", `{}`, ""},
		{"{type: object, properties: {a: {type: integer}}}", `{"a":1,"a":"x"}`, "a:must be an integer"}, // whoever reads it, whichever they take
		{"{type: object, properties: {\"a\\\"b\": {type: integer}}}", `{"a\u0022b":"x"}`, "a\"b:must be an integer"},
		{"{type: object, additionalProperties: false, properties: {a: {}}}", `{"a":1,"b":2,"id":3}`, "b:is not allowed|id:is not allowed"},
		{"{type: object, additionalProperties: {type: integer}, properties: {a: {}}}", `{"a":"x","b":"y"}`, "b:must be an integer"},
		{"{type: object, additionalProperties: false, patternProperties: {'^x-': {type: string}}}", `{"x-a":1,"y":1}`, "x-a:must be a string|y:is not allowed"},
		{"{type: object, minProperties: 1}", `{}`, "data:must have at least 1 members"},
		{"{type: object, maxProperties: 1}", `{"a":1,"b":2}`, "data:must have at most 1 members"},

		{"{type: array, minItems: 1}", `[]`, "data:must have at least 1 items"},
		{"{type: array, items: {type: object, properties: {n: {type: string}}}}", `[{"n":1},{"n":"x"},{"n":[{}]}]`, "[0].n:must be a string|[2].n:must be a string"},
		{"{type: object, properties: {list: {type: array, items: {type: integer}}}}", `{"list":[1,"2"]}`, "list[1]:must be an integer"},
		{"{type: array, uniqueItems: true}", `[1, 2, "1", {"a":1,"b":2}, [1]]`, ""},
		{"{type: array, uniqueItems: true}", `[{"a":1,"b":"\u0062"}, {"b":"b","a":1.0}]`, "data:must not hold the same item twice"},
		{"{type: array, uniqueItems: true}", `["b", "\u0062"]`, "data:must not hold the same item twice"},
		{"{type: array, items: [{type: integer}, {type: string}], additionalItems: false}", `["x","y",1]`, "[0]:must be an integer|[2]:is not allowed"},
		{"{type: array, items: [{type: integer}], additionalItems: {type: string}}", `[1,"y",1]`, "[2]:must be a string"},

		{"{allOf: [{required: [a]}, {required: [b]}]}", `{}`, "a:is required|b:is required"},
		{"{allOf: [{required: [a]}, {required: [a]}]}", `{}`, "a:is required"},
		{"{anyOf: [{type: string}, {type: object, required: [a]}]}", `{"a":1}`, ""},
		{"{anyOf: [{type: string}, {type: object, required: [a]}]}", `{}`, "data:fits none of the 2 forms it may have"},
		{"{oneOf: [{type: number}, {type: integer}, {type: string}]}", `1`, "data:fits 2 of the forms it may have, but must fit exactly one"},
		{"{oneOf: [{type: number}, {type: integer}, {type: string}]}", `"x"`, ""},
		{"{oneOf: [{type: number}, {type: integer}]}", `"x"`, "data:fits none of the 2 forms it may have"},
		{"{not: {type: string}}", `"x"`, "data:has a form that it must not have"},
		{"{not: {}}", `1`, "data:has a form that it must not have"},
		{"{type: object, properties: {a: {anyOf: [{type: array, items: {type: object, required: [x]}}, {type: integer}]}, z: {type: integer}}, required: [y]}",
			`{"a":[{"x":1},{"y":[]}],"z":""}`, "a:fits none of the 2 forms it may have|z:must be an integer|y:is required"},

		{"{$ref: '#/definitions/Node'}", `{"v":1,"next":{"v":2,"kids":[{"v":3},{"v":"x"},{}]}}`, "next.kids[1].v:must be an integer|next.kids[2].v:is required"},
		{"{type: array, items: {$ref: '#/definitions/Node'}}", `[{"v":1},{"kids":[]}]`, "[1].v:is required"},
	} {
		b := bodyBinder(t, tc.schema, node)
		_, bad := request{contentType: "application/json", body: tc.body}.bind(b)
		var list []string
		for _, v := range bad {
			if v.In != "body" {
				t.Errorf("%s: in %q", tc.schema, v.In)
			}
			list = append(list, v.Name+":"+v.Message)
		}
		if got := strings.Join(list, "|"); got != tc.bad {
			t.Errorf("%s\n     with %s\n     gives %s\n     want  %s", tc.schema, tc.body, got, tc.bad)
		}
	}
}

func TestBodyMediaTypes(t *testing.T) {
	for _, tc := range []struct {
		op, contentType string
		checked         bool
	}{
		{"schema: {type: object}}]", "application/json", true},
		{"schema: {type: object}}]", "Application/JSON ; charset=utf-8", true},
		{"schema: {type: object}}]", "text/json", true},
		{"schema: {type: object}}]", "application/vnd.api+json", true},
		{"schema: {type: object}}]", "", true},
		{"schema: {type: object}}], consumes: [application/xml]", "", false},
		{"schema: {type: object}}], consumes: [application/xml, application/json]", "", true},
		{"schema: {type: object}}]", "application/xml", false},
		{"schema: {type: object}}]", "text/plain", false},
		{"schema: {type: object}}]", "application/jsonp", false},
		{"schema: {type: object}}]", "application/x-www-form-urlencoded", false},
		{"schema: {type: string, format: binary}}]", "application/json", false},
	} {
		b := binder(t, "/x", "{parameters: [{name: data, in: body, "+tc.op+"}")
		if _, bad := (request{contentType: tc.contentType, body: "[]"}).bind(b); (bad != nil) != tc.checked {
			t.Errorf("%s with %q: violations %v, want checked %v", tc.op, tc.contentType, bad, tc.checked)
		}
		if _, bad := (request{contentType: tc.contentType}).bind(b); bad != nil {
			t.Errorf("%s without a body that is not required: %v", tc.op, bad)
		}
	}
	b := binder(t, "/x", "{}")
	if _, bad := (request{contentType: "application/json", body: "{"}).bind(b); bad != nil {
		t.Errorf("a body that nobody declared: %v", bad)
	}
}

// What costs go-openapi minutes, and what nests without end, is answered at once.
func TestBodyWorkIsBounded(t *testing.T) {
	const tree = "A: {anyOf: [{type: object, required: [x], properties: {n: {$ref: '#/definitions/A'}}}, {type: object, required: [y], properties: {n: {$ref: '#/definitions/A'}}}, {type: integer}]}"
	deep := strings.Repeat(`{"x":1,"y":1,"n":`, 900) + `"leaf"` + strings.Repeat("}", 900)
	many := "[" + strings.Repeat("1,", 500_000) + "1]"
	var distinct strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&distinct, "%d,", i)
	}
	for _, tc := range []struct {
		name, schema, body, first string
		count                     int
	}{
		{"wrong items", "{type: array, items: {type: string}}", many, "[0]:must be a string", MaxViolations + 1},
		{"distinct items", "{type: array, uniqueItems: true}", "[" + distinct.String() + "-1]", "", 0},
		{"equal items", "{type: array, uniqueItems: true}", many, "data:must not hold the same item twice", 1},
		{"deep, schema follows", "{$ref: '#/definitions/L'}", strings.Repeat("[", 1001) + strings.Repeat("]", 1001), strings.Repeat("[0]", 66) + "[0...:is nested more than 1000 levels deep", 1},
		{"deep, nobody looks", "{type: object}", `{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "}", "a:is nested more than 1000 levels deep", 1},
		{"as deep as may be", "{$ref: '#/definitions/L'}", strings.Repeat("[", 1000) + strings.Repeat("]", 1000), "", 0},
		{"deeper than anybody reads", "{$ref: '#/definitions/L'}", strings.Repeat("[", 20000) + strings.Repeat("]", 20000), "data:is not valid JSON: byte 10001: invalid character '[' exceeded max depth", 1},
		{"exponential", "{$ref: '#/definitions/A'}", deep, "", 1},
		{"long names", "{type: object, additionalProperties: {type: string}}", `{"` + strings.Repeat("é", 200) + `":1}`, strings.Repeat("é", 100) + "...:must be a string", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := bodyBinder(t, tc.schema, tree+", L: {type: array, items: {$ref: '#/definitions/L'}}")
			begin := time.Now()
			_, bad := request{contentType: "application/json", body: tc.body}.bind(b)
			if d := time.Since(begin); d > 10*time.Second {
				t.Errorf("took %v", d)
			}
			if len(bad) != tc.count {
				t.Fatalf("%d violations, want %d; the first: %.300s", len(bad), tc.count, lines(bad[:min(1, len(bad))]))
			}
			if tc.count > 0 && tc.first != "" && bad[0].Name+":"+bad[0].Message != tc.first {
				t.Errorf("first violation %.300q, want %.300q", bad[0], tc.first)
			}
			if tc.name == "exponential" && !strings.HasSuffix(bad[0].Message, "is too complex to be checked against its schema") {
				t.Errorf("violation %.300q", bad[0])
			}
		})
	}
}

// Schemas that swagger.Parse would not let through.
func TestBadSchemas(t *testing.T) {
	self := &spec.Swagger{}
	self.Definitions = spec.Definitions{
		"A": {SchemaProps: spec.SchemaProps{AllOf: []spec.Schema{*spec.RefSchema("#/definitions/B")}}},
		"B": {SchemaProps: spec.SchemaProps{Not: spec.RefSchema("#/definitions/A")}},
		"C": *spec.RefSchema("#/definitions/C"),
	}
	for _, tc := range []struct {
		schema *spec.Schema
		root   *spec.Swagger
		want   string
	}{
		{spec.RefSchema("#/definitions/A"), self, "a schema is one of its own alternatives"},
		{spec.RefSchema("#/definitions/C"), self, "a schema is one of its own alternatives"},
		{spec.RefSchema("#/definitions/Z"), self, `resolve "#/definitions/Z"`},
		{spec.RefSchema("#/definitions/Z"), nil, `resolve "#/definitions/Z": no document to look in`},
		{spec.RefSchema("other.json"), self, `resolve "other.json"`},
	} {
		op := &swagger.Operation{Method: "POST", Path: "/x", Body: &swagger.Body{Name: "b", Schema: tc.schema, Root: tc.root}}
		if _, err := New(op, nil, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error %v, want %s", err, tc.want)
		}
	}
}

func TestOperationsShareSchemas(t *testing.T) {
	doc := document(t, `
paths: {/x: {post: {parameters: [{name: b, in: body, schema: {$ref: '#/definitions/Pet'}}]}, put: {parameters: [{name: b, in: body, schema: {$ref: '#/definitions/Pet'}}]}}}
definitions: {Pet: {type: object, required: [name]}}`)
	shared := NewSchemas()
	var got []*schema
	for _, op := range doc.Operations {
		b, err := New(op, nil, shared)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b.body.schema)
	}
	if got[0] == nil || got[0] != got[1] {
		t.Errorf("schemas %p and %p", got[0], got[1])
	}
}

func BenchmarkBind(b *testing.B) {
	for _, tc := range []struct {
		name, path, object string
		req                request
	}{
		{"nothing", "/x", "{}", request{}},
		{"int64", "/{n}", params("{name: n, in: path, required: true, type: integer, format: int64}"), request{path: []string{"12345678901"}}},
		{"query", "/x", params("{name: limit, in: query, type: integer, maximum: 100}", "{name: tags, in: query, type: array, items: {type: string}}"), request{query: "limit=20&tags=a,b&debug=1"}},
		{"body", "/x", "{parameters: [{name: b, in: body, schema: {type: object, required: [name, age], properties: {name: {type: string, maxLength: 50}, age: {type: integer, minimum: 0}, tags: {type: array, items: {type: string}}}}}]}",
			request{contentType: "application/json", body: `{"name":"Funcmaster D","age":42,"tags":["a","b","c"],"address":{"street":"1 Main St","zip":"12345"}}`}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			binder := binder(b, tc.path, tc.object)
			var req fasthttp.Request
			values := tc.req.fill(&req)
			body := req.Body()
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				var bad []Violation
				if dst, bad = binder.Bind(dst[:0], &req, values, body); bad != nil {
					b.Fatal(bad)
				}
			}
		})
	}
}
