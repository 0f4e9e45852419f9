package swagger_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/swagger"
)

// reference gives files of a folder of documents that are not ours to publish.
// Without it the tests that need them stand aside, and say so.
func reference(t *testing.T, pattern string) []string {
	t.Helper()
	dir := os.Getenv("FUNCATRON_REFERENCE")
	if dir == "" {
		t.Log("FUNCATRON_REFERENCE is not set: no documents to read")
		return nil
	}
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files at %s/%s: %v", dir, pattern, err)
	}
	return files
}

// The announcement's samples are not valid in several ways, and are taken.
func TestSamples(t *testing.T) {
	for _, file := range reference(t, "samples/*.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		doc := mustParse(t, string(data))
		if len(doc.Operations) != 5 || doc.BasePath == "" || doc.Runtime.Kind != "" {
			t.Errorf("%s: %d operations at %q", file, len(doc.Operations), doc.BasePath)
		}
		if !says(doc.Warnings, []string{"#/definitions/Error", "does not resolve"}) {
			t.Errorf("%s: warnings %q", file, doc.Warnings)
		}
		findings, complete := doc.Findings(t.Context())
		if !complete || !says(findings, []string{"type"}) {
			t.Errorf("%s: findings %q, complete %t", file, findings, complete)
		}
	}
}

// Documents of the wild, and those made to be bad ones.
func TestCorpus(t *testing.T) {
	bad := map[string][]string{
		"empty-path-param-name.json":        {"/pets/{}", "without a name"},
		"fixture-collisions.yaml":           {"two operations"},
		"invalid-formdata-body-params.json": {"in: body and in: formData"},
		"petstore-with-external-docs.json":  {`$ref "pet"`, "never followed"},
		"valid-referenced-variants.yaml":    {"pattern", "cannot be used"},
	}
	operations := map[string]int{"bitbucket.json": 136, "docker.json": 55, "gitea.json": 159, "petstore.json": 20, "quay.json": 95}
	for _, file := range reference(t, "swagger-corpus/*") {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			doc, err := swagger.Parse(data)
			took := time.Since(start)
			t.Logf("%d bytes took %v", len(data), took.Round(time.Millisecond))
			if took > 2*time.Second {
				t.Error("too long")
			}
			if want := bad[name]; want != nil {
				refused(t, err, want...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			sameAgain(t, doc)
			if want, known := operations[name]; known && len(doc.Operations) != want {
				t.Errorf("%d operations, want %d", len(doc.Operations), want)
			}
		})
	}
}
