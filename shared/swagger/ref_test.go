package swagger_test

import (
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-openapi/loads"
	"github.com/go-openapi/spec"

	"github.com/funcatron/funcatron/shared/swagger"
)

// A reference may be spelt in several ways and go through several hands; all
// that lead to one place become one definition.
func TestReferences(t *testing.T) {
	doc := mustParse(t, head+`
paths:
  /a:
    $ref: '#/x-paths/a'
  /b:
    post:
      operationId: b
      parameters:
        - $ref: '#/parameters/again'
        - {name: inline, in: query, type: string}
x-paths:
  a:
    put:
      operationId: a
      parameters:
        - $ref: '#/parameters/thing'
parameters:
  again: {$ref: '#/parameters/thing'}
  thing:
    name: thing
    in: body
    schema:
      properties:
        one: {$ref: '#/definitions/A thing~1~0%25'}
        two: {$ref: '#/definitions/A%20thing~1~0%25'}
        three: {$ref: '#/definitions/alias'}
        item: {$ref: '#/x-list/1'}
        named: {$ref: '#/definitions/%23~1x-list~11'}
        other: {$ref: '#/definitions/other/properties/~1deep'}
x-list: [{}, {type: boolean}]
definitions:
  A thing/~%: {type: integer}
  alias: {$ref: '#/definitions/alias2'}
  alias2: {$ref: '#/definitions/A thing~1~0%25'}
  other: {properties: {/deep: {type: number}}}
  '#/x-list/1': {type: string}
`)
	if len(doc.Operations) != 2 {
		t.Fatalf("operations %+v", doc.Operations)
	}
	a, b := doc.Operations[0], doc.Operations[1]
	if a.Method != "PUT" || a.Path != "/a" || b.Body == nil || a.Body != b.Body || len(b.Params) != 1 {
		t.Errorf("PUT %+v, POST %+v", a, b)
	}
	props, root := a.Body.Schema.Properties, a.Body.Root
	for name, want := range map[string]string{"one": "integer", "two": "integer", "three": "integer", "item": "boolean", "named": "string", "other": "number"} {
		ref := props[name].Ref
		schema, err := spec.ResolveRef(root, &ref)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !schema.Type.Contains(want) {
			t.Errorf("%s is of type %q, want %q", name, schema.Type, want)
		}
	}
	if one, three := props["one"].Ref, props["three"].Ref; one.String() != three.String() {
		t.Errorf("%s and %s are one", one.String(), three.String())
	}
	if len(root.Definitions) != 4 {
		t.Errorf("definitions %v", slices.Collect(maps.Keys(root.Definitions)))
	}
}

// Circles of every kind stay as they are, and end.
func TestCircularDefinitions(t *testing.T) {
	doc := mustParse(t, post("{$ref: '#/definitions/A'}", `
		A: {properties: {b: {$ref: '#/definitions/B'}, self: {$ref: '#/definitions/A'}}},
		B: {type: array, items: {allOf: [{$ref: '#/definitions/A'}]}},
		C: {additionalProperties: {$ref: '#/definitions/C'}}`))
	root := doc.Operations[0].Body.Root
	self := root.Definitions["A"].Properties["self"].Ref
	if len(root.Definitions) != 2 || self.String() != "#/definitions/A" {
		t.Errorf("definitions %+v", root.Definitions)
	}
}

// What only responses and unused parts refer to is taken out of the document,
// what looks like a reference in an example is, too, and names stay.
func TestOutsideReferences(t *testing.T) {
	doc := mustParse(t, head+`
paths:
  /a:
    get:
      operationId: x
      responses:
        200:
          description: ok
          schema: {$ref: 'http://x.test/a.json', type: object}
          examples: {application/json: {$ref: ../x, b: 1}}
        400: {$ref: '/etc/passwd'}
definitions:
  Named: {properties: {$ref: {type: string}}}
`)
	text := string(doc.JSON)
	for _, gone := range []string{"x.test", "/etc/passwd", "../x"} {
		if strings.Contains(text, gone) {
			t.Errorf("%s is still in %s", gone, text)
		}
	}
	for _, kept := range []string{`"schema":{"type":"object"}`, `{"b":1}`, `"$ref":{"type":"string"}`} {
		if !strings.Contains(text, kept) {
			t.Errorf("%s is not in %s any more", kept, text)
		}
	}
}

// No part of a document makes this process open a file or a connection, neither
// Parse nor go-openapi's validation, nor go-openapi by itself.
func TestNothingIsLoaded(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(`{"type":"string"}`))
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "secret.json")
	if err := os.WriteFile(file, []byte(`{"type":"string"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{server.URL + "/a.json", file, "file://" + file} {
		_, err := swagger.Parse([]byte(post("{$ref: '"+target+"'}", "")))
		refused(t, err, "never followed")

		doc := mustParse(t, head+`
paths: {/a: {get: {operationId: x, responses: {200: {description: ok, schema: {$ref: '`+target+`'}}}}}}
definitions:
  X: {id: '`+target+`', properties: {y: {$ref: '#/definitions/Y'}}}
  Y: {id: '`+strings.TrimSuffix(target, "json")+`', items: {$ref: '#/type'}}
`)
		doc.Findings(t.Context())

		ref := spec.MustCreateRef(target)
		if err := spec.ExpandSchema(&spec.Schema{SchemaProps: spec.SchemaProps{Ref: ref}}, nil, nil); err == nil {
			t.Errorf("go-openapi follows %s", target)
		}
		if _, err := loads.Spec(target); err == nil {
			t.Errorf("go-openapi reads %s", target)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("%d requests were made", n)
	}
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatalf("the server, which proves nothing unless it is up: %v", err)
	}
	_ = conn.Close()
}
