package bench

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
)

// Of the bench's bundle: how many requests one process handles at once, and how
// long a slow one takes at most, in ms.
const (
	concurrency     = 256
	slowConcurrency = 32
	maxSlow         = 20_000
)

// document is the Swagger document of the bundle at basePath.
func document(basePath string, concurrency int) []byte {
	return fmt.Appendf(nil, `{
"swagger": "2.0", "info": {"title": "Bench", "version": "1"}, "basePath": %q,
"consumes": ["application/json"], "produces": ["application/json"],
"x-funcatron": {"runtime": "exec", "command": [%q], "concurrency": %d, "timeout": "60s"},
"paths": {
 "/hello": {"get": {"operationId": "hello", "responses": {"200": {"description": "a greeting"}}}},
 "/people": {"post": {"operationId": "people", "responses": {"200": {"description": "taken"}},
  "parameters": [{"name": "person", "in": "body", "required": true, "schema": {"$ref": "#/definitions/Person"}}]}},
 "/blob": {"post": {"operationId": "blob", "consumes": ["application/octet-stream"], "responses": {"200": {"description": "taken"}},
  "parameters": [{"name": "blob", "in": "body", "required": true, "schema": {"type": "string", "format": "binary"}}]}},
 "/slow/{ms}": {"get": {"operationId": "slow", "responses": {"200": {"description": "a greeting, later"}},
  "parameters": [{"name": "ms", "in": "path", "type": "integer", "format": "int32", "required": true, "minimum": 0, "maximum": %d}]}}
},
"definitions": {
 "Person": {"type": "object", "required": ["name", "age", "address"], "properties": {
  "name": {"type": "string", "minLength": 1, "maxLength": 100},
  "age": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 150},
  "email": {"type": "string", "pattern": "^[^@ ]+@[^@ ]+$"},
  "tags": {"type": "array", "maxItems": 20, "items": {"type": "string"}},
  "scores": {"type": "array", "items": {"type": "number"}},
  "active": {"type": "boolean"},
  "address": {"$ref": "#/definitions/Address"},
  "notes": {"type": "string", "maxLength": 4096}}},
 "Address": {"type": "object", "required": ["street", "city"], "properties": {
  "street": {"type": "string"}, "city": {"type": "string"}, "zip": {"type": "string", "pattern": "^[0-9]{5}$"}}}
}}`, basePath, childPrefix+functionChild, concurrency, maxSlow)
}

// manyOperations is a document of n operations at basePath, all of which the
// function serves.
func manyOperations(basePath string, n int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `{"swagger": "2.0", "info": {"title": "Many", "version": "1"}, "basePath": %q,
"x-funcatron": {"runtime": "exec", "command": [%q], "concurrency": %d, "timeout": "60s"},
"paths": {"/hello": {"get": {"operationId": "hello", "responses": {"200": {"description": "a greeting"}}}}`,
		basePath, childPrefix+functionChild, concurrency)
	for i := range n - 1 {
		fmt.Fprintf(&b, `,
"/group%d/resource%d/{id}": {"get": {"responses": {"200": {"description": "a greeting"}},
 "parameters": [{"name": "id", "in": "path", "type": "integer", "format": "int64", "required": true}]}}`, i%20, i)
	}
	b.WriteString("}}")
	return []byte(b.String())
}

// bundle packs a document as a Func Bundle. Its function is found in PATH.
func bundle(document []byte) ([]byte, error) {
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	w, err := zw.Create("funcatron.json")
	if err == nil {
		_, err = w.Write(document)
	}
	if err == nil {
		err = zw.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("pack bundle: %w", err)
	}
	return buf.Bytes(), nil
}
