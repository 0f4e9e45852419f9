package tron_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/tron/membertest"
)

// Documents made to take time or memory, through the endpoint that takes them: each
// is refused with a reason, or taken, and the Tron is none the worse.
func TestHostileDocuments(t *testing.T) {
	r := start(t, options(t, t.TempDir()))
	const head = "swagger: '2.0'\ninfo: {title: T, version: '1'}\nbasePath: /h\nx-funcatron: {runtime: exec, command: [bin/app]}\n"
	get := func(path, param string) string {
		return head + fmt.Sprintf("paths: {%q: {get: {operationId: x, parameters: [%s], responses: {200: {description: ok}}}}}\n", path, param)
	}
	query := func(pattern string) string {
		return get("/a", fmt.Sprintf("{name: q, in: query, type: string, pattern: '%s'}", pattern))
	}
	body := func(schema, definitions string) string {
		return head + fmt.Sprintf("paths: {/a: {post: {operationId: x, parameters: [{name: b, in: body, schema: %s}], responses: {200: {description: ok}}}}}\ndefinitions: {%s}\n", schema, definitions)
	}
	var laughs, patterns, operations, expansion strings.Builder
	laughs.WriteString(head + "paths: {}\nx-l0: &l0 lol\n")
	for i := range 9 {
		fmt.Fprintf(&laughs, "x-l%d: &l%d [%s*l%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*l%d,", i), 9), i)
	}
	for i := range 1000 {
		fmt.Fprintf(&patterns, "p%d: {type: string, pattern: 'x%d%s'}, ", i, i, strings.Repeat("a{999}", 600))
	}
	operations.WriteString(head + "paths:\n")
	for i := range 10_000 {
		fmt.Fprintf(&operations, "  /r%d/{id}: {get: {operationId: o%d, parameters: [{name: id, in: path, required: true, type: integer}], responses: {200: {description: ok}}}}\n", i, i)
	}
	for i := range 60 {
		fmt.Fprintf(&expansion, "D%d: {properties: {a: {$ref: '#/definitions/D%d'}, b: {$ref: '#/definitions/D%[2]d'}}}, ", i, i+1)
	}
	expansion.WriteString("D60: {type: string}")
	deep := func(open, end string) string {
		return `{"swagger":"2.0","info":{"title":"T","version":"1"},"paths":{},"x":` + strings.Repeat(open, 10_000) + "1" + strings.Repeat(end, 10_000) + "}"
	}
	long := func(path string) string { // YAML has no keys of more than 1,024 bytes
		return fmt.Sprintf(`{"swagger":"2.0","info":{"title":"T","version":"1"},"x-funcatron":{"runtime":"exec","command":["bin/app"]},"paths":{%q:{"get":{"operationId":"x","responses":{"200":{"description":"ok"}}}}}}`, path)
	}
	routers := head + "paths:\n"
	for i, path := range []string{"/{a:.*}", "/b/{*}", "/c/{a:*}", "/:a", "/*a", "/d/{a?}", "/e/(.*)", "/f/{a:[0-9]+}", "/**"} {
		routers += fmt.Sprintf("  %q: {get: {operationId: o%d, responses: {200: {description: ok}}}}\n", path, i)
	}
	shared := func(values, paths int) string {
		var b strings.Builder
		b.WriteString(head + "parameters: {p: {name: q, in: query, type: string, enum: [" + strings.Repeat("abcdefgh, ", values) + "x]}}\npaths:\n")
		for i := range paths {
			fmt.Fprintf(&b, "  /p%d: {get: {operationId: o%d, parameters: [{$ref: '#/parameters/p'}], responses: {200: {description: ok}}}}\n", i, i)
		}
		return b.String()
	}

	for _, tc := range []struct {
		name, doc string
		want      string // in the errors; "" is taken
	}{
		{"$ref to a file", body("{$ref: '../../../../etc/passwd'}", ""), "never followed"},
		{"$ref to a file URL", body("{$ref: 'file:///etc/passwd#/a'}", ""), "never followed"},
		{"$ref to a URL", body("{$ref: 'http://127.0.0.1:1/x.json#/definitions/X'}", ""), "never followed"},
		{"$ref to a host", body("{$ref: '//127.0.0.1:1/x.json'}", ""), "never followed"},
		{"$ref of a parameter to a file", get("/a", "{$ref: '/etc/passwd'}"), "never followed"},
		{"$ref to itself", body("{$ref: '#/definitions/A'}", "A: {$ref: '#/definitions/A'}"), "leads back to itself"},
		{"$ref in a cycle", body("{$ref: '#/definitions/A'}", "A: {$ref: '#/definitions/B'}, B: {$ref: '#/definitions/A'}"), "leads back to itself"},
		{"allOf in a cycle", body("{$ref: '#/definitions/A'}", "A: {allOf: [{$ref: '#/definitions/B'}]}, B: {allOf: [{$ref: '#/definitions/A'}]}"), "made of itself"},
		{"a tree that holds itself", body("{$ref: '#/definitions/A'}", "A: {properties: {a: {$ref: '#/definitions/A'}}}"), ""},
		{"2^60 schemas by $ref", body("{$ref: '#/definitions/D0'}", expansion.String()), ""},
		{"2^60 schemas by allOf", body("{$ref: '#/definitions/D0'}", strings.NewReplacer("properties: {a: ", "allOf: [", ", b: ", ", ", "}}}", "}]}").Replace(expansion.String())), "more than 1000 schemas"},
		{"aliases that explode", laughs.String(), "aliases expanded"},
		{"an alias of itself", head + "paths: {}\nx: &x {a: *x}", "nested deeper"},
		{"10,000 operations", operations.String(), ""},
		{"10,000 objects deep", deep(`{"a":`, "}"), "max depth"},
		{"10,000 arrays deep", deep("[", "]"), "max depth"},
		{"10,000 YAML objects deep", head + "paths: {}\nx: " + strings.Repeat("{a: ", 10_000) + strings.Repeat("}", 10_000), "nested deeper"},
		{"a key twice", `{"swagger":"2.0","info":{"title":"T","version":"1"},"paths":{},"paths":{}}`, "twice"},
		{"a huge number", `{"swagger":"2.0","paths":{},"x":1e400}`, "64-bit float"},
		{"a number of a million digits", `{"swagger":"2.0","paths":{},"x":` + strings.Repeat("9", 1_000_000) + `}`, "64-bit float"},
		{"a string of 3 MiB", head + "paths: {}\nx: '" + strings.Repeat("a", 3<<20) + "'", ""},
		{"9 MiB", head + "paths: {}\nx: '" + strings.Repeat("a", 9<<20) + "'", "more than 4194304 bytes"},
		{"9 MiB of JSON", `{"swagger":"2.0","paths":{"/a":` + strings.Repeat(" ", 9<<20) + `{}}}`, "more than 4194304 bytes"},

		{"a lookahead", query("(?=a)b"), "cannot be used"},
		{"a lookbehind", query("(?<=a)b"), "cannot be used"},
		{"a backreference", query(`(a)\1`), "cannot be used"},
		{"an expression that backtracks", query("^(a+)+$"), ""},
		{"nested repetition", query("((a{1000}){1000}){1000}"), "cannot be used"},
		{"long repetition", query(strings.Repeat("a{1000}", 400)), "more than 20000 instructions"},
		{"long repetition of letters", query(strings.Repeat(`[\pL\pN\pS]{1000}`, 30)), "more than 20000 instructions"},
		{"deep expression", query(strings.Repeat("(", 1500) + strings.Repeat(")", 1500)), "cannot be used"},
		{"long expression", query(strings.Repeat("a", 5000)), "more than 4096"},
		{"1,000 large expressions", body("{properties: {"+patterns.String()+"}}", ""), "more than 20000 instructions"},
		{"one large enum for all", shared(50_000, 1_000), "values in their enums"},
		{"one small enum for all", shared(50, 1_000), ""},
		{"many media types for all", strings.Replace(shared(1, 1_000), "paths:", "consumes: ["+strings.Repeat("a/b, ", 10_000)+"a/b]\npaths:", 1), "media types"},

		{"paths that mean something to routers", routers, ""},
		{"path with a ?", get("/a?b", ""), "holds a ? or #"},
		{"path with a #", get("/a#b", ""), "holds a ? or #"},
		{"path with no end of a name", get("/{a", ""), "not closed"},
		{"path with nested names", get("/{a{b}}", ""), "not closed"},
		{"path with an empty name", get("/{}", ""), "without a name"},
		{"path with dot segments", get("/a/%2e%2e/b", ""), "dot segment"},
		{"path with a line end", get("/a\r\nX: y", ""), "control character"},
		{"path of 5,000 bytes", long(strings.Repeat("/aaaaaaaaa", 500)), "more than 4096"},
		{"path of 2,000 segments", long(strings.Repeat("/a", 2_000)), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var before, after runtime.MemStats
			bundle := zipped(t, "funcatron.yaml", tc.doc, "bin/app", "#!/bin/sh\n")
			runtime.ReadMemStats(&before)
			began := time.Now()
			a := r.do("POST", "/api/v1/add_func", bytes.NewReader(bundle))
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
			t.Logf("%d bytes: %d after %v and %d MiB", len(tc.doc), a.status, took.Round(time.Millisecond), allocated)
			if took > time.Minute || allocated > 2048 {
				t.Errorf("took %v and %d MiB", took, allocated)
			}
			if tc.want == "" {
				if a.status != 200 {
					t.Errorf("%d %.500s, want it to be taken", a.status, a.body)
				}
				return
			}
			problems, _ := a.field(t, "errors").([]any)
			if a.status != 400 || !strings.Contains(fmt.Sprint(problems...), tc.want) {
				t.Errorf("%d %.500s, want 400 about %q", a.status, a.body, tc.want)
			}
		})
	}
	if a := r.get("/readyz"); a.status != 200 {
		t.Errorf("afterwards: %d %s", a.status, a.body)
	}
}

// Real documents, of a folder that is not ours to publish, in bundles: taken, or
// refused with reasons.
func TestCorpusUploads(t *testing.T) {
	dir := os.Getenv("FUNCATRON_REFERENCE")
	if dir == "" {
		t.Log("FUNCATRON_REFERENCE is not set: no documents to upload")
		return
	}
	files, err := filepath.Glob(filepath.Join(dir, "swagger-corpus", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s/swagger-corpus: %v", dir, err)
	}
	r := start(t, options(t, t.TempDir()))
	accepted := 0
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// What such a file makes a bundle of a known type, since these documents say none.
		bundle := zipped(t, "funcatron"+filepath.Ext(name), string(data), "funcatron/intf/impl/ContextImpl.class", "x")
		began := time.Now()
		a := r.do("POST", "/api/v1/add_func", bytes.NewReader(bundle))
		t.Logf("%s: %d after %v", filepath.Base(name), a.status, time.Since(began).Round(time.Millisecond))
		switch a.status {
		case 200:
			accepted++
		case 400:
			if problems, _ := a.field(t, "errors").([]any); len(problems) == 0 {
				t.Errorf("%s: refused without a reason: %s", filepath.Base(name), a.body)
			}
		default:
			t.Errorf("%s: %d %.500s", filepath.Base(name), a.status, a.body)
		}
	}
	if accepted < len(files)/2 {
		t.Errorf("only %d of %d are taken", accepted, len(files))
	}
}

// An upload that no connected runner can run says so, and nothing where nobody knows.
func TestUploadNobodyRuns(t *testing.T) {
	r := start(t, options(t, t.TempDir()))
	bundle := zipped(t, "funcatron.yaml", "swagger: '2.0'\ninfo: {title: T, version: '1'}\nx-funcatron: {runtime: jvm}\npaths: {}\n")
	warns := func() bool {
		t.Helper()
		a := r.do("POST", "/api/v1/add_func", bytes.NewReader(bundle))
		warnings, _ := a.field(t, "warnings").([]any)
		if a.status != 200 {
			t.Errorf("%d %s", a.status, a.body)
		}
		return strings.Contains(fmt.Sprint(warnings...), "type jvm (they run exec)")
	}
	if warns() {
		t.Error("warned of while no runner is connected")
	}
	r.runner("RU-1", func(m *membertest.Runner) { m.Runtimes = []string{"exec"} })
	if !warns() {
		t.Error("not warned of")
	}
	r.runner("RU-2", func(m *membertest.Runner) { m.Runtimes = []string{"exec", "jvm"} })
	if warns() {
		t.Error("warned of, although one runs it")
	}
}
