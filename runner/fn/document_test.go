package fn_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/runner/fn"
)

func TestDocument(t *testing.T) {
	ops := fn.Operations{"one": returns("", nil), "two": returns("", nil), "GET /three/{x}": returns("", nil), "more": returns("", nil)}
	for name, tc := range map[string]struct{ document, want string }{
		"all are there":     {`{"paths":{"/a":{"get":{"operationId":"one"},"post":{"operationId":"two"}},"/three/{x}":{"get":{}},"/b":{"put":{"operationId":"one"}}}}`, ""},
		"no operations":     {`{"swagger":"2.0"}`, ""},
		"no operations too": {`{"paths":{"/a":{"parameters":[{"name":"get"}],"$ref":"#/x","x-more":7}}}`, ""},
		"several missing":   {`{"paths":{"/a":{"get":{"operationId":"One"},"head":{"operationId":"two"}},"/b":{"delete":{"operationId":"pkg.Absent"},"patch":{"operationId":"One"},"options":{}}}}`, "fn.Operations: OPTIONS /b, One, pkg.Absent"},
		"no JSON":           {`swagger: "2.0"`, "read the Swagger document"},
		"no document":       {`{"paths":{"/a":{"get":7}}}`, "get of /a"},
		"nothing":           {``, "read the Swagger document"},
	} {
		h, err := fn.NewHandler(ops, fn.Options{Document: []byte(tc.document)})
		if err == nil {
			err = h.Close()
		}
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
}

// A process without all functions does not listen, and says which are missing.
func TestServeWithoutAllFunctions(t *testing.T) {
	dir := shortDir(t)
	socket, document := filepath.Join(dir, "s"), filepath.Join(dir, "swagger.json")
	if err := os.WriteFile(document, []byte(`{"paths":{"/a":{"get":{"operationId":"hello"},"put":{"operationId":"goodbye"},"post":{"operationId":"bow"}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = []string{envChild + "=1", "FUNCATRON_SOCKET=" + socket, "FUNCATRON_SWAGGER_FILE=" + document}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "bow, goodbye\n") {
		t.Errorf("it ended with %v: %s", err, out)
	}
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("it listened: %v", err)
	}
}
