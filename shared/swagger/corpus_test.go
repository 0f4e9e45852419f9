package swagger_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/swagger"
)

// reference is a folder of documents from elsewhere, which are not ours to
// publish. Where it is not, the tests that need it stand aside.
func reference(t *testing.T, pattern string) []string {
	t.Helper()
	dir := os.Getenv("FUNCATRON_REFERENCE")
	if dir == "" {
		t.Log("FUNCATRON_REFERENCE is not set: nothing to read")
		return nil
	}
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files at %s/%s: %v", dir, pattern, err)
	}
	return files
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestCorpus(t *testing.T) {
	for _, file := range reference(t, "swagger-corpus/*") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data := read(t, file)
			start := time.Now()
			doc, err := swagger.Parse(data)
			took := time.Since(start)
			t.Log(took, len(data))
			if err != nil {
				t.Log(err)
				return
			}
			t.Log(len(doc.Operations), doc.Warnings)
			again, err := swagger.Parse(doc.JSON)
			if err != nil {
				t.Fatal(err)
			}
			again.Warnings = doc.Warnings
			if !reflect.DeepEqual(doc, again) {
				t.Error("differs")
			}
			fs, ok := doc.Findings(t.Context())
			t.Log(time.Since(start), len(fs), ok)
		})
	}
}
