package swagger_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/go-openapi/spec"

	"github.com/funcatron/funcatron/shared/swagger"
)

// Whatever the bytes: Parse refuses them with reasons, or gives a document that
// holds what the package promises of one.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		get("/a/{x}.json", "{name: x, in: path, required: true, type: string, pattern: 'a+', enum: [a, aa]}"),
		get("/a", "{name: x, in: query, type: array, items: {type: integer, maximum: 5}, collectionFormat: multi, default: [1]}"),
		post("{$ref: '#/definitions/A'}", "A: {properties: {x: {$ref: '#/definitions/A'}}, allOf: [{$ref: '#/definitions/B'}]}, B: {not: {type: 'null'}}"),
		head + "x-a: &a {get: {operationId: x}}\npaths: {/a: {<<: *a}, /b: *a, /c: {$ref: '#/x-a'}}",
		secured("[{b: []}, {o: [read]}]", "[{k: [], q: []}, {}]"),
		head + "host: A.test:80\nbasePath: /b/\nx-funcatron: {runtime: exec, command: [a], timeout: 1s, instances: 0x2}\npaths: {}",
		head + "x-funcatron: {memory: 256Mi, cpu: 0.5, files: 1024, processes: 64}\npaths: {}",
		`{"swagger":"2.0","paths":{"/a":{"post":{"parameters":[{"name":"f","in":"formData","type":"file"}],"responses":{"200":{"schema":{"$ref":"x.json"}}}}}}}`,
		"openapi: 3.0.0",
		"a: &a [*a, .inf, 2016-01-01, 0x1, !!binary x, ~]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := swagger.Parse(data)
		if err != nil {
			var refusal *swagger.Error
			if !errors.As(err, &refusal) || len(refusal.Problems) == 0 {
				t.Fatalf("refused without a reason: %v", err)
			}
			return
		}
		if !json.Valid(doc.JSON) {
			t.Fatalf("not JSON: %s", doc.JSON)
		}
		if doc.BasePath != "" && (doc.BasePath[0] != '/' || strings.HasSuffix(doc.BasePath, "/")) || doc.Host != strings.ToLower(doc.Host) {
			t.Errorf("host %q, basePath %q", doc.Host, doc.BasePath)
		}
		taken := map[string]bool{}
		for _, op := range doc.Operations {
			if op.ID == "" || op.Method != strings.ToUpper(op.Method) || !strings.HasPrefix(op.Path, "/") || op.Timeout <= 0 || taken[op.Method+op.Path] {
				t.Errorf("operation %+v", op)
			}
			if strings.ContainsAny(op.ID, "\r\n\x00") {
				t.Errorf("operation id %q", op.ID)
			}
			taken[op.Method+op.Path] = true
			if op.Body != nil {
				checkReferences(t, op.Body)
			}
		}
		sameDocument(t, doc)
	})
}

// checkReferences: all lead to definitions, which are no references themselves.
func checkReferences(t *testing.T, b *swagger.Body) {
	t.Helper()
	var check func(s *spec.Schema)
	check = func(s *spec.Schema) {
		if s.Ref.String() != "" {
			target, err := spec.ResolveRef(b.Root, &s.Ref)
			if err != nil || target.Ref.String() != "" {
				t.Errorf("%s leads to %+v, %v", s.Ref.String(), target, err)
			}
			return
		}
		for _, p := range s.Properties {
			check(&p)
		}
		for i := range s.AllOf {
			check(&s.AllOf[i])
		}
		if s.Items != nil && s.Items.Schema != nil {
			check(s.Items.Schema)
		}
	}
	check(b.Schema)
	for _, d := range b.Root.Definitions {
		check(&d)
	}
}

func sameDocument(t *testing.T, doc *swagger.Document) {
	t.Helper()
	again, err := swagger.Parse(doc.JSON)
	if err != nil {
		t.Fatalf("Parse of Document.JSON: %v\n%s", err, doc.JSON)
	}
	again.Warnings = doc.Warnings
	if !reflect.DeepEqual(doc, again) {
		t.Errorf("differs the second time: %s\n%s", doc.JSON, again.JSON)
	}
}
