package swagger_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/shared/swagger"
)

// get is a document with one operation of these parameters.
func get(path, params string) string {
	return head + fmt.Sprintf("paths: {%q: {get: {operationId: x, parameters: [%s], responses: {200: {description: ok}}}}}\n", path, params)
}

// post is a document with one operation of this body schema.
func post(schema, definitions string) string {
	return head + fmt.Sprintf("paths: {/a: {post: {operationId: x, parameters: [{name: b, in: body, schema: %s}]}}}\ndefinitions: {%s}\n", schema, definitions)
}

func TestParseRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"empty":          {"", []string{"is empty"}},
		"blank":          {" \n\t\n", []string{"is empty"}},
		"only a comment": {"# nothing", []string{"is empty"}},
		"a list":         {"[1]", []string{"an array, not an object"}},
		"a word":         {"swagger", []string{"a string, not an object"}},
		"bad JSON":       {"{\n\"swagger\": \"2.0\"\n\"info\": 1}", []string{"line 3", "not valid JSON"}},
		"half JSON":      {`{"swagger": "2.0"`, []string{"not valid JSON"}},
		"more JSON":      {`{"swagger": "2.0"} {}`, []string{"not valid JSON"}},
		"JSON not UTF-8": {"{\"swagger\": \"2.0\", \"a\": \"\xff\"}", []string{"not UTF-8"}},
		"bad YAML":       {"a: [1", []string{"not valid YAML"}},
		"YAML tabs":      {"a:\n\tb: c", []string{"not valid YAML", "line 2"}},
		"two documents":  {head + "---\n" + head, []string{"second YAML document"}},
		"no alias":       {"a: *b", []string{"unknown anchor"}},
		"a tag":          {head + "a: !ruby/object x", []string{"tag", "!ruby/object"}},
		"list as a key":  {head + "? [a]\n: b", []string{"line 4", "not a word"}},
		"null as a key":  {head + "~: b", []string{"not a word"}},
		"merge of words": {head + "a: {<<: b}", []string{"<< merges"}},
		"infinite":       {head + "a: .inf", []string{"line 4", "not a number that JSON has"}},
		"no number":      {head + "a: .NaN", []string{"not a number that JSON has"}},
		"huge in JSON":   {"{\"swagger\":\n 1e999}", []string{"line 2", "1e999"}},

		"OpenAPI 3":      {"openapi: 3.0.1\ninfo: {}", []string{"OpenAPI 3.0.1", "not supported"}},
		"Swagger 1.2":    {`{"swaggerVersion": "1.2"}`, []string{"Swagger 1.2", "not supported"}},
		"Swagger 3":      {`swagger: "3.0"`, []string{"Swagger 3.0", "not supported"}},
		"something else": {"kind: Deployment", []string{"not Swagger 2.0"}},

		"key twice":            {head + "info: {}", []string{"line 4", `"info"`, "twice"}},
		"key twice in JSON":    {"{\"swagger\":\"2.0\",\n\"swagger\":\"2.0\"}", []string{"line 2", `"swagger"`, "twice"}},
		"200 twice":            {head + `a: {200: x, "200": y}`, []string{`"200"`, "twice"}},
		"merge key twice":      {head + "a: {<<: {b: 1}, <<: {c: 1}}", []string{`"<<"`, "twice"}},
		"paths is a list":      {head + "paths: []", []string{"paths", "an array"}},
		"path item is a list":  {head + "paths: {/a: []}", []string{"path /a", "an array"}},
		"operation is null":    {head + "paths: {/a: {get: }}", []string{"GET /a", "null"}},
		"parameters an object": {head + "paths: {/a: {get: {parameters: {}}}}", []string{"GET /a", "parameters is an object"}},
		"parameter is a word":  {get("/a", "x"), []string{"GET /a", "parameter 1 is a string"}},
		"consumes is a word":   {head + "consumes: application/json\npaths: {}", []string{"consumes is a string"}},
		"produces holds null":  {head + "paths: {/a: {get: {produces: [null]}}}", []string{"GET /a", "produces holds null"}},

		"host with a scheme": {head + "host: http://a.test\npaths: {}", []string{"host"}},
		"host with a path":   {head + "host: a.test/x\npaths: {}", []string{"host", "a.test/x"}},
		"host template":      {head + "host: '{a}.test'\npaths: {}", []string{"host"}},
		"host bad port":      {head + "host: a.test:http\npaths: {}", []string{"host", "port"}},
		"host big port":      {head + "host: a.test:65536\npaths: {}", []string{"host", "port"}},
		"host a number":      {head + "host: 1\npaths: {}", []string{"host is a number"}},
		"basePath relative":  {head + "basePath: a/b\npaths: {}", []string{"basePath", "slash"}},
		"basePath template":  {head + "basePath: /{a}\npaths: {}", []string{"basePath", "template"}},
		"basePath query":     {head + "basePath: /a?b\npaths: {}", []string{"basePath", "? or #"}},
		"basePath empty seg": {head + "basePath: /a//b\npaths: {}", []string{"basePath", "empty segment"}},
		"basePath slashes":   {head + "basePath: //\npaths: {}", []string{"basePath", "empty segment"}},
		"basePath dots":      {head + "basePath: /a/../b\npaths: {}", []string{"basePath", "dot segment"}},
		"basePath hidden":    {head + "basePath: /a/%2e%2E/b\npaths: {}", []string{"basePath", "dot segment"}},
		"basePath space":     {head + "basePath: '/a b'\npaths: {}", []string{"basePath", "space"}},
		"basePath escape":    {head + "basePath: /a%zz\npaths: {}", []string{"basePath", "%"}},

		"path relative":       {get("a", ""), []string{"path a", "slash"}},
		"path open brace":     {get("/{a", ""), []string{"path /{a", "not closed"}},
		"path brace in brace": {get("/{a{b}}", ""), []string{"not closed"}},
		"path slash in brace": {get("/{a/b}", ""), []string{"not closed"}},
		"path closing brace":  {get("/a}", ""), []string{"closes nothing"}},
		"path no name":        {get("/{}", ""), []string{"without a name"}},
		"path name twice":     {get("/{a}/{a}", ""), []string{`two parameters of the name "a"`}},
		"path no gap":         {get("/{a}{b}", ""), []string{"nothing between"}},
		"path query":          {get("/a?b={c}", ""), []string{"? or #"}},
		"path control":        {get("/a\tb", ""), []string{"control"}},
		"path too long":       {`{"swagger":"2.0","paths":{"/` + strings.Repeat("a", 5000) + `":{}}}`, []string{"5001 bytes"}},
		"operation twice":     {head + "paths: {'/a/{x}': {get: {}}, '/a/{y}': {get: {}, put: {}}}", []string{"GET /a/{y}", `"/a/{x}"`, "two operations"}},
		"part of a segment":   {head + "paths: {'/{x}.json': {get: {}}, '/{y}.json': {get: {}}}", []string{"two operations"}},

		"no name":           {get("/a", "{in: query, type: string}"), []string{"GET /a", "parameter 1 has no name"}},
		"no place":          {get("/a", "{name: x, type: string}"), []string{`parameter "x"`, "where it is"}},
		"bad place":         {get("/a", "{name: x, in: cookie, type: string}"), []string{`in: "cookie"`}},
		"no type":           {get("/a", "{name: x, in: query}"), []string{`parameter "x"`, "has no type"}},
		"bad type":          {get("/a", "{name: x, in: query, type: int}"), []string{`"int"`, "not one of"}},
		"object type":       {get("/a", "{name: x, in: query, type: object}"), []string{`"object"`, "not one of"}},
		"list of types":     {get("/a", "{name: x, in: query, type: [string]}"), []string{"type is an array"}},
		"file in query":     {get("/a", "{name: x, in: query, type: file}"), []string{"type file"}},
		"no items":          {get("/a", "{name: x, in: query, type: array}"), []string{"array without items"}},
		"items a ref":       {get("/a", "{name: x, in: query, type: array, items: {$ref: '#/definitions/X'}}"), []string{"items are a $ref"}},
		"bad items":         {get("/a", "{name: x, in: query, type: array, items: {type: date}}"), []string{"items", `"date"`}},
		"collection":        {get("/a", "{name: x, in: query, type: array, items: {type: string}, collectionFormat: json}"), []string{`collectionFormat "json"`}},
		"multi in path":     {get("/{x}", "{name: x, in: path, required: true, type: array, items: {type: string}, collectionFormat: multi}"), []string{"collectionFormat multi"}},
		"multi in items":    {get("/a", "{name: x, in: query, type: array, items: {type: array, collectionFormat: multi, items: {type: string}}}"), []string{"multi is not for items"}},
		"bad pattern":       {get("/a", "{name: x, in: query, type: string, pattern: '^(?!a)'}"), []string{`parameter "x"`, `"^(?!a)"`, "cannot be used"}},
		"long pattern":      {get("/a", "{name: x, in: query, type: string, pattern: '"+strings.Repeat("a", 5000)+"'}"), []string{"pattern", "5000 bytes"}},
		"required a word":   {get("/a", "{name: x, in: query, type: string, required: 'yes'}"), []string{"required is a string"}},
		"parameter twice":   {get("/a", "{name: x, in: query, type: string}, {name: x, in: query, type: string}"), []string{"GET /a", `two parameters of the name "x"`}},
		"header twice":      {get("/a", "{name: X-A, in: header, type: string}, {name: x-a, in: header, type: string}"), []string{"two parameters"}},
		"two bodies":        {get("/a", "{name: x, in: body, schema: {}}, {name: y, in: body, schema: {}}"), []string{"GET /a", "2 parameters are in: body"}},
		"two bodies merged": {head + "paths: {/a: {parameters: [{name: x, in: body, schema: {}}], put: {parameters: [{name: y, in: body, schema: {}}]}}}", []string{"PUT /a", "in: body"}},
		"body and form":     {get("/a", "{name: x, in: body, schema: {}}, {name: y, in: formData, type: string}"), []string{"GET /a", "in: body and in: formData"}},

		"ref to nothing":      {get("/a", "{$ref: '#/parameters/x'}"), []string{"GET /a", `"#/parameters/x"`, "does not resolve"}},
		"ref to a file":       {get("/a", "{$ref: 'x.yaml'}"), []string{"GET /a", `"x.yaml"`, "never followed"}},
		"ref to a word":       {get("/a", "{$ref: '#/info/title'}"), []string{"leads to a string"}},
		"ref to all":          {get("/a", "{$ref: '#'}"), []string{"not a pointer"}},
		"ref to an anchor":    {get("/a", "{$ref: '#x'}"), []string{"not a pointer"}},
		"path ref missing":    {head + "paths: {/a: {$ref: '#/x-paths/a'}}", []string{"path /a", "does not resolve"}},
		"path ref to a URL":   {head + "paths: {/a: {$ref: 'http://127.0.0.1/a'}}", []string{"path /a", "never followed"}},
		"path ref in circles": {head + "paths: {/a: {$ref: '#/paths/~1b'}, /b: {$ref: '#/paths/~1a'}}", []string{"path /a", "back to itself"}},
		"parameter in circle": {get("/a", "{$ref: '#/parameters/x'}") + "parameters: {x: {$ref: '#/parameters/x'}}", []string{"back to itself"}},
		"broken in the pool":  {get("/a", "{$ref: '#/parameters/x'}") + "parameters: {x: {in: query}}", []string{"#/parameters/x", "no name"}},

		"schema missing":        {post("{$ref: '#/definitions/X'}", ""), []string{"POST /a", `"#/definitions/X"`, "does not resolve"}},
		"schema missing below":  {post("{$ref: '#/definitions/X'}", "X: {properties: {y: {items: {$ref: '#/definitions/Y'}}}}"), []string{"#/definitions/X/properties/y/items", "does not resolve"}},
		"schema file":           {post("{$ref: 'file:///etc/passwd'}", ""), []string{"POST /a", "never followed"}},
		"schema URL below":      {post("{allOf: [{$ref: 'http://x.test/y.json#/z'}]}", ""), []string{"POST /a", "allOf/0", "never followed"}},
		"schema by name":        {post("{$ref: Pet}", "Pet: {}"), []string{"did you mean #/definitions/Pet?"}},
		"schema circle of refs": {post("{$ref: '#/definitions/X'}", "X: {$ref: '#/definitions/Y'}, Y: {$ref: '#/definitions/X'}"), []string{"back to itself"}},
		"schema is a word":      {post("x", ""), []string{"POST /a", "a string, not a schema"}},
		"schema ref to a list":  {post("{$ref: '#/definitions/X'}", "X: []"), []string{"leads to an array"}},
		"schema bad type":       {post("{type: date}", ""), []string{`type "date"`}},
		"schema type a number":  {post("{type: 1}", ""), []string{"type is a number"}},
		"schema pattern":        {post("{properties: {x: {pattern: '(?<=a)'}}}", ""), []string{"properties/x", "(?<=a)"}},
		"schema pattern twice":  {post("{properties: {x: {pattern: '('}, y: {pattern: '('}}}", ""), []string{"properties/y", "cannot be used"}},
		"schema pattern props":  {post("{patternProperties: {'(': {}}}", ""), []string{"patternProperties", "cannot be used"}},
		"schema properties":     {post("{properties: [a]}", ""), []string{"properties is an array"}},
		"schema allOf":          {post("{allOf: {}}", ""), []string{"allOf is an object"}},
		"schema of itself":      {post("{$ref: '#/definitions/X'}", "X: {allOf: [{$ref: '#/definitions/X'}]}"), []string{"#/definitions/X", "made of itself"}},
		"schema of itself, two": {post("{$ref: '#/definitions/X'}", "X: {anyOf: [{$ref: '#/definitions/Y'}]}, Y: {not: {oneOf: [{$ref: '#/definitions/X'}]}}"), []string{"made of itself"}},
		"schema of too many":    {post("{$ref: '#/definitions/D0'}", doubling(12, "allOf: [%[2]s, %[2]s]")), []string{"#/definitions/D0", "more than 1000 schemas"}},

		"runtime unknown":   {head + "x-funcatron: {runtime: cobol}\npaths: {}", []string{"x-funcatron", `"cobol"`, "exec, jvm, python, node"}},
		"runtime a list":    {head + "x-funcatron: {runtime: [exec]}\npaths: {}", []string{"runtime is an array"}},
		"block a word":      {head + "x-funcatron: exec\npaths: {}", []string{"x-funcatron is a string"}},
		"listen unknown":    {head + "x-funcatron: {listen: udp}\npaths: {}", []string{`listen is "udp"`}},
		"command a word":    {head + "x-funcatron: {command: bin/app}\npaths: {}", []string{"command is a string", `["bin/app"`}},
		"command empty":     {head + "x-funcatron: {command: []}\npaths: {}", []string{"command is empty"}},
		"command number":    {head + "x-funcatron: {command: [a, 1]}\npaths: {}", []string{"word 2 of command is a number"}},
		"command no word":   {head + "x-funcatron: {command: ['']}\npaths: {}", []string{"first word"}},
		"command NUL":       {head + `x-funcatron: {command: ["a", "b\0"]}` + "\npaths: {}", []string{"word 2", "NUL"}},
		"concurrency zero":  {head + "x-funcatron: {concurrency: 0}\npaths: {}", []string{"concurrency is 0"}},
		"concurrency more":  {head + "x-funcatron: {concurrency: 10001}\npaths: {}", []string{"from 1 to 10000"}},
		"concurrency half":  {head + "x-funcatron: {concurrency: 1.5}\npaths: {}", []string{"concurrency is 1.5"}},
		"instances more":    {head + "x-funcatron: {instances: 1001}\npaths: {}", []string{"from 1 to 1000"}},
		"memory bare":       {head + "x-funcatron: {memory: 256}\npaths: {}", []string{"memory is 256", "16Mi"}},
		"memory in MB":      {head + "x-funcatron: {memory: 256MB}\npaths: {}", []string{"memory", `"256MB"`, `"256Mi"`}},
		"memory a list":     {head + "x-funcatron: {memory: [1]}\npaths: {}", []string{"memory is an array", "16Mi"}},
		"memory more":       {head + "x-funcatron: {memory: 1Pi}\npaths: {}", []string{"memory is 1Pi", "16Ti"}},
		"memory negative":   {head + "x-funcatron: {memory: -1Gi}\npaths: {}", []string{"memory", "not a quantity"}},
		"cpu zero":          {head + "x-funcatron: {cpu: 0}\npaths: {}", []string{"cpu is 0", "10m"}},
		"cpu fine":          {head + "x-funcatron: {cpu: 0.0155}\npaths: {}", []string{"cpu", "finer"}},
		"cpu null":          {head + "x-funcatron: {cpu: }\npaths: {}", []string{"cpu is null"}},
		"files few":         {head + "x-funcatron: {files: 3}\npaths: {}", []string{"files is 3", "from 16 to"}},
		"files a quantity":  {head + "x-funcatron: {files: 1k}\npaths: {}", []string{"files is a string"}},
		"processes zero":    {head + "x-funcatron: {processes: 0}\npaths: {}", []string{"processes is 0", "from 1 to"}},
		"instances a word":  {head + "x-funcatron: {instances: '2'}\npaths: {}", []string{"instances is a string"}},
		"timeout a number":  {head + "x-funcatron: {timeout: 30}\npaths: {}", []string{"timeout is a number", `"30s"`}},
		"timeout unitless":  {head + "x-funcatron: {timeout: '30'}\npaths: {}", []string{"not a duration"}},
		"timeout zero":      {head + "x-funcatron: {timeout: 0s}\npaths: {}", []string{"not between"}},
		"timeout negative":  {head + "x-funcatron: {timeout: -5s}\npaths: {}", []string{"not between"}},
		"timeout a day":     {head + "x-funcatron: {timeout: 24h}\npaths: {}", []string{"not between"}},
		"operation timeout": {head + "paths: {/a: {get: {x-funcatron: {timeout: 2h}}}}", []string{"GET /a", "not between"}},
		"operation retry":   {head + "paths: {/a: {get: {x-funcatron: {retry: 1}}}}", []string{"GET /a", "retry is a number"}},
		"operation block":   {head + "paths: {/a: {get: {x-funcatron: true}}}", []string{"GET /a", "x-funcatron is a boolean"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := swagger.Parse([]byte(tc.text))
			refused(t, err, tc.want...)
		})
	}
}

// doubling makes n definitions of which each uses the next twice.
func doubling(n int, shape string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "D%[1]d: {"+shape+"}, ", i, fmt.Sprintf("{$ref: '#/definitions/D%d'}", i+1))
	}
	fmt.Fprintf(&b, "D%d: {type: string}", n)
	return b.String()
}

// Everything that is wrong is said at once.
func TestParseNamesAll(t *testing.T) {
	_, err := swagger.Parse([]byte(head + `
basePath: pets
x-funcatron: {runtime: cobol, instances: 0}
paths:
  pets: {get: {}}
  /a/{x: {get: {}}
  /b: {get: {parameters: [{name: y, in: cookie}, {$ref: '#/parameters/z'}]}}
`))
	for _, want := range [][]string{
		{"basePath"}, {"cobol"}, {"instances"}, {"path pets"}, {"path /a/{x"}, {"GET /b", "cookie"}, {"GET /b", "#/parameters/z"},
	} {
		refused(t, err, want...)
	}
}

// A document with any number of mistakes has a readable number of messages.
func TestParseBoundsProblems(t *testing.T) {
	var b strings.Builder
	b.WriteString(head + "paths:\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "  p%d%s: {}\n", i, strings.Repeat("x", 1000))
	}
	_, err := swagger.Parse([]byte(b.String()))
	refused(t, err, "and more")
	if n := len(err.Error()); n > 500*1000 {
		t.Errorf("the message has %d bytes", n)
	}
}
