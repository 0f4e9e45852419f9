package bundle_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/shared/bundle"
)

// item is one entry of a zip file under test.
type item struct {
	name string
	data string
	mode fs.FileMode // 0: a zip file made by a tool without modes
	// forge changes what the entry says of itself.
	forge func(*zip.FileHeader)
}

const document = `swagger: "2.0"
info: {title: Test, version: "1"}
basePath: /test
x-funcatron: {runtime: exec, command: ["bin/app"]}
paths:
  /x: {get: {operationId: x, responses: {"200": {description: ok}}}}
`

// good are the entries of the smallest bundle.
var good = []item{
	{name: "funcatron.yaml", data: document, mode: 0o644},
	{name: "bin/app", data: "#!/bin/sh\n", mode: 0o755},
}

func with(extra ...item) []item { return append(slices.Clone(good), extra...) }

// doc is a document with another x-funcatron block.
func doc(block string) item {
	lines := strings.Split(document, "\n")
	lines[3] = "x-funcatron: " + block
	return item{name: "funcatron.yaml", data: strings.Join(lines, "\n"), mode: 0o644}
}

func zipOf(t testing.TB, items []item) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, it := range items {
		h := &zip.FileHeader{Name: it.name, Method: zip.Deflate}
		if it.mode != 0 {
			h.SetMode(it.mode)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(it.name, "/") {
			if _, err := f.Write([]byte(it.data)); err != nil {
				t.Fatal(err)
			}
		}
		if it.forge != nil {
			it.forge(h) // after the data: what the central directory will say
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func write(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bundle.zip")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func bundleOf(t testing.TB, items []item) string {
	t.Helper()
	return write(t, zipOf(t, items))
}

// refused wants a *bundle.Error of which one problem holds all of parts.
func refused(t *testing.T, err error, parts ...string) {
	t.Helper()
	var e *bundle.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want a *bundle.Error", err)
	}
	for _, problem := range e.Problems {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(problem, p) }) {
			return
		}
	}
	t.Errorf("problems are %q, want one that says %q", e.Problems, parts)
}

// central gives the bytes of the central directory's record of name, so that a
// test can have it lie in ways that archive/zip would not write.
func central(t testing.TB, data []byte, name string) []byte {
	t.Helper()
	const header = 46 // APPNOTE.TXT, section 4.3.12
	for i := 0; i+header < len(data); i++ {
		if string(data[i:i+4]) != "PK\x01\x02" {
			continue
		}
		n := int(binary.LittleEndian.Uint16(data[i+28:]))
		if i+header+n <= len(data) && string(data[i+header:i+header+n]) == name {
			return data[i : i+header+n]
		}
	}
	t.Fatalf("no %s in the central directory", name)
	return nil
}
