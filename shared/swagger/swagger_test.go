package swagger_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/swagger"
)

const head = `
swagger: "2.0"
info: {title: Test, version: "1.2"}
`

// mustParse also holds every document to the round trip that gateways rely on.
func mustParse(t *testing.T, text string) *swagger.Document {
	t.Helper()
	doc, err := swagger.Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, text)
	}
	sameAgain(t, doc)
	return doc
}

// sameAgain: what Parse gives as JSON parses to an equal document, but for
// warnings of what is not in it any more.
func sameAgain(t *testing.T, doc *swagger.Document) {
	t.Helper()
	again, err := swagger.Parse(doc.JSON)
	if err != nil {
		t.Fatalf("Parse of Document.JSON: %v\n%s", err, doc.JSON)
	}
	for _, w := range again.Warnings {
		if !slices.Contains(doc.Warnings, w) {
			t.Errorf("the second time there is a new warning: %s", w)
		}
	}
	again.Warnings = doc.Warnings
	if !reflect.DeepEqual(doc, again) {
		t.Errorf("the second document differs from the first\n%+v\n%+v", doc, again)
	}
}

// refused wants a *swagger.Error of which one problem holds all of parts.
func refused(t *testing.T, err error, parts ...string) {
	t.Helper()
	var e *swagger.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want a *swagger.Error", err)
	}
	if !says(e.Problems, parts) {
		t.Errorf("problems are %q, want one that says %q", e.Problems, parts)
	}
}

func says(list, parts []string) bool {
	return slices.ContainsFunc(list, func(line string) bool {
		return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) })
	})
}

func TestParse(t *testing.T) {
	doc := mustParse(t, `
swagger: "2.0"
info: {title: Pets, version: 2016-12-09}
host: API.Example.com:8080
basePath: /pets/v1/
consumes: [application/json]
produces: [application/json, text/plain]
x-funcatron:
  runtime: exec
  command: ["bin/$GOOS-$GOARCH/app", "-v"]
  listen: tcp
  concurrency: 7
  instances: 3
  timeout: 1m30s
parameters:
  limit: {name: limit, in: query, type: integer, format: int32, default: 10, maximum: 100, minimum: 1}
paths:
  /{id}/toys:
    parameters:
      - {name: id, in: path, required: true, type: integer, format: int64}
      - {name: verbose, in: query, type: boolean}
    post:
      operationId: addToy
      consumes: [application/xml]
      produces: []
      x-funcatron: {timeout: 5s, retry: true}
      parameters:
        - $ref: '#/parameters/limit'
        - {name: verbose, in: query, type: string, enum: [a, b]}
        - {name: toy, in: body, required: true, schema: {$ref: '#/definitions/Toy'}}
      responses: {200: {description: ok}}
    get:
      operationId: toys
      responses: {default: {description: ok, schema: {$ref: '#/definitions/Toy'}}}
definitions:
  Toy:
    type: object
    required: [name]
    properties:
      name: {type: string, pattern: "^[a-z]+$"}
      parts: {type: array, items: {$ref: '#/definitions/Toy'}}
`)
	if len(doc.Warnings) > 0 {
		t.Errorf("warnings %q", doc.Warnings)
	}
	if doc.Title != "Pets" || doc.Version != "2016-12-09" || doc.Host != "api.example.com:8080" || doc.BasePath != "/pets/v1" {
		t.Errorf("top of the document: %q %q %q %q", doc.Title, doc.Version, doc.Host, doc.BasePath)
	}
	wantRuntime := swagger.Runtime{
		Kind: "exec", Command: []string{"bin/$GOOS-$GOARCH/app", "-v"}, Listen: "tcp",
		Concurrency: 7, Instances: 3, Timeout: 90 * time.Second,
	}
	if !reflect.DeepEqual(doc.Runtime, wantRuntime) {
		t.Errorf("runtime %+v", doc.Runtime)
	}
	if len(doc.Operations) != 2 {
		t.Fatalf("%d operations", len(doc.Operations))
	}

	get, post := doc.Operations[0], doc.Operations[1]
	if get.ID != "toys" || get.Method != "GET" || get.Path != "/{id}/toys" || get.Timeout != 90*time.Second || get.Retry || get.Body != nil {
		t.Errorf("GET %+v", get)
	}
	if !slices.Equal(get.Consumes, []string{"application/json"}) || len(get.Produces) != 2 {
		t.Errorf("GET inherits %q and %q", get.Consumes, get.Produces)
	}
	if len(get.Params) != 2 || get.Params[0].Name != "id" || get.Params[0].Format != "int64" || get.Params[1].Type != "boolean" {
		t.Errorf("GET has the path's parameters: %+v", get.Params)
	}

	if post.ID != "addToy" || post.Timeout != 5*time.Second || !post.Retry {
		t.Errorf("POST %+v", post)
	}
	if !slices.Equal(post.Consumes, []string{"application/xml"}) || post.Produces == nil || len(post.Produces) != 0 {
		t.Errorf("POST overrides, also by nothing: %q and %#v", post.Consumes, post.Produces)
	}
	names := make([]string, 0, len(post.Params))
	for _, p := range post.Params {
		names = append(names, p.In+" "+p.Name+" "+p.Type)
	}
	if want := []string{"path id integer", "query verbose string", "query limit integer"}; !slices.Equal(names, want) {
		t.Errorf("POST merges %q, want %q", names, want)
	}
	if limit := post.Params[2]; limit.Default != 10.0 || *limit.Maximum != 100 || *limit.Minimum != 1 {
		t.Errorf("limit %+v", limit)
	}

	body := post.Body
	if body == nil || body.Name != "toy" || !body.Required || body.Schema.Ref.String() != "#/definitions/Toy" {
		t.Fatalf("body %+v", body)
	}
	toy := body.Root.Definitions["Toy"]
	if len(body.Root.Definitions) != 1 || !toy.Type.Contains("object") || toy.Properties["name"].Pattern != "^[a-z]+$" {
		t.Errorf("definitions %+v", body.Root.Definitions)
	}
	if ref := toy.Properties["parts"].Items.Schema.Ref.String(); ref != "#/definitions/Toy" {
		t.Errorf("the circle is closed by %q", ref)
	}
}

func TestParseLimits(t *testing.T) {
	for text, want := range map[string]swagger.Runtime{
		"memory: 256Mi, cpu: 1, files: 1024, processes: 64": {Memory: 256 << 20, CPU: 1000, Files: 1024, Processes: 64},
		"memory: 1.5Gi, cpu: 0.5":                           {Memory: 3 << 29, CPU: 500},
		"memory: '0.5Gi', cpu: 250m":                        {Memory: 1 << 29, CPU: 250},
		"memory: 128974848, cpu: '2'":                       {Memory: 128974848, CPU: 2000},
		"memory: 1e9, processes: 1":                         {Memory: 1e9, Processes: 1},
	} {
		doc := mustParse(t, head+"x-funcatron: {"+text+"}\npaths: {}")
		got := swagger.Runtime{Memory: doc.Runtime.Memory, CPU: doc.Runtime.CPU, Files: doc.Runtime.Files, Processes: doc.Runtime.Processes}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

func TestParseDefaults(t *testing.T) {
	doc := mustParse(t, head+"basePath: /\npaths: {/a: {get: {responses: {200: {description: ok}}}}}")
	want := swagger.Runtime{Listen: "unix", Concurrency: 64, Instances: 1, Timeout: 30 * time.Second}
	if !reflect.DeepEqual(doc.Runtime, want) {
		t.Errorf("runtime %+v, want %+v", doc.Runtime, want)
	}
	if doc.BasePath != "" || doc.Host != "" {
		t.Errorf("basePath %q, host %q", doc.BasePath, doc.Host)
	}
	op := doc.Operations[0]
	if op.ID != "GET /a" || op.Timeout != 30*time.Second || op.Consumes != nil || op.Produces != nil {
		t.Errorf("operation %+v", op)
	}
	if !says(doc.Warnings, []string{"GET /a", "no operationId"}) {
		t.Errorf("warnings %q", doc.Warnings)
	}
}

// JSON is not only YAML: it has escapes and numbers of its own.
func TestParseJSON(t *testing.T) {
	doc := mustParse(t, `{"swagger":"2.0","info":{"title":"\u0041\t<&>","version":"1"},
		"paths":{"/a":{"get":{"operationId":"a","parameters":[
			{"name":"n","in":"query","type":"integer","maximum":9007199254740993,"default":1e2}]}}}}`)
	if doc.Title != "A\t<&>" {
		t.Errorf("title %q", doc.Title)
	}
	for _, part := range []string{`"maximum":9007199254740993`, `"default":1e2`, `<&>`} {
		if !strings.Contains(string(doc.JSON), part) {
			t.Errorf("%s is not kept in %s", part, doc.JSON)
		}
	}
	if p := doc.Operations[0].Params[0]; p.Default != 100.0 {
		t.Errorf("default %v", p.Default)
	}
}

// TestParseOrder: the same document gives the same JSON and the same order,
// however it was written down.
func TestParseOrder(t *testing.T) {
	one := mustParse(t, head+`
paths:
  /b: {put: {operationId: 1p}, get: {operationId: g}}
  /a: {post: {operationId: p}}
`)
	other := mustParse(t, `{"paths":{"/a":{"post":{"operationId":"p"}},"/b":{"get":{"operationId":"g"},"put":{"operationId":"1p"}}},
		"info":{"version":"1.2","title":"Test"},"swagger":"2.0"}`)
	if !reflect.DeepEqual(one, other) {
		t.Errorf("%s\n%s", one.JSON, other.JSON)
	}
	var got []string
	for _, op := range one.Operations {
		got = append(got, op.Method+" "+op.Path)
	}
	if want := []string{"POST /a", "GET /b", "PUT /b"}; !slices.Equal(got, want) {
		t.Errorf("operations %q, want %q", got, want)
	}
	if !json.Valid(one.JSON) {
		t.Error("JSON is not valid")
	}
}
