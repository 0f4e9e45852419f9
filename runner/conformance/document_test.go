package conformance

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/funcatron/funcatron/shared/swagger"
)

// The template is a document that can be uploaded as it is.
func TestTemplateIsADocument(t *testing.T) {
	data, err := os.ReadFile("funcatron.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := swagger.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	findings, complete := doc.Findings(t.Context())
	findings = slices.DeleteFunc(findings, func(f string) bool { return strings.Contains(f, "is defined") }) // one function, several operations
	if len(doc.Warnings) > 0 || len(findings) > 0 || !complete {
		t.Errorf("%q, %q", doc.Warnings, findings)
	}
}

// Each sample serves the template's API: it has its own title, basePath, way to be
// run and functions, and nothing else.
func TestSamplesHaveTheTemplatesAPI(t *testing.T) {
	want := apiOf(t, "funcatron.yaml")
	found, err := filepath.Glob("../samples/*")
	if err != nil || len(found) == 0 {
		t.Fatalf("%v, %v", found, err)
	}
	for _, dir := range found {
		name := documentOf(t, dir)
		got := apiOf(t, name)
		for path := range want["paths"].(map[string]any) {
			if !reflect.DeepEqual(got["paths"].(map[string]any)[path], want["paths"].(map[string]any)[path]) {
				t.Errorf("%s differs from the template in %s", name, path)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is not the template's API", name)
		}
	}
}

// documentOf is a sample's document, wherever its build takes it from.
func documentOf(t *testing.T, dir string) string {
	t.Helper()
	for _, place := range []string{"", "src/main/resources"} {
		name := filepath.Join(dir, place, "funcatron.yaml")
		if _, err := os.Stat(name); err == nil {
			return name
		}
	}
	t.Fatalf("%s has no funcatron.yaml", dir)
	return ""
}

// apiOf is a document without what is each language's own.
func apiOf(t *testing.T, name string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, own := range []string{"info", "basePath", "x-funcatron"} {
		if doc[own] == nil {
			t.Errorf("%s has no %s", name, own)
		}
		delete(doc, own)
	}
	ids := map[string]string{}
	for path, item := range doc["paths"].(map[string]any) {
		for _, op := range item.(map[string]any) {
			op := op.(map[string]any)
			id, ok := op["operationId"].(string)
			if !ok {
				t.Errorf("%s: an operation of %s has no operationId", name, path)
			}
			delete(op, "operationId")
			first, _, _ := strings.Cut(path[1:], "/") // operations below one name are one function's, but for /visits
			if was := ids[first]; was != "" && was != id && first != "visits" {
				t.Errorf("%s: %s and %s are to be one function", name, was, id)
			}
			ids[first] = id
		}
	}
	all := slices.Sorted(maps.Values(ids))
	if n := len(all); len(slices.Compact(all)) != n {
		t.Errorf("%s: a function serves two operations: %v", name, all)
	}
	return doc
}
