package main_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/funcatron/funcatron"

// Folders that hold packages of the module are named from its root ("gateway/route");
// the root itself is ".".

// TestDirectionOfImports holds every file to what forbidden says.
func TestDirectionOfImports(t *testing.T) {
	libraries := make(map[string]map[string]string) // shared package to library to a file that imports it
	eachGoFile(t, parser.ImportsOnly, func(name string, f *ast.File) {
		dir, test := path.Dir(name), strings.HasSuffix(name, "_test.go")
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if why := forbidden(dir, imp, test); why != "" {
				t.Errorf("%s imports %s: %s", name, imp, why)
			}
			if within(dir, "shared") && !test && isLibrary(imp) {
				if libraries[dir] == nil {
					libraries[dir] = make(map[string]string)
				}
				libraries[dir][libraryOf(imp)] = name
			}
		}
	})
	for dir, libs := range libraries {
		if len(libs) > 1 && dir != "shared/swagger" { // YAML, and the JSON that go-openapi reads
			t.Errorf("%s uses %v: shared packages are what everybody carries, so at most one library each", dir, libs)
		}
	}
}

// forbidden says why a file of folder dir may not import imp; "" where it may. test
// says that the file is a test.
func forbidden(dir, imp string, test bool) string {
	if !inModule(imp) {
		if within(dir, "runner/fn") && !test && isLibrary(imp) {
			return "runner/fn is compiled into users' functions and must not bring a library with it"
		}
		return ""
	}
	to := strings.TrimPrefix(strings.TrimPrefix(imp, module), "/")
	if to == "" {
		return "main is nobody's library"
	}
	if within(to, "dispatch/memory", "dispatch/rabbit") && !test && dir != "." && !within(dir, to) {
		return "which broker it is, only main and tests know: the rest is to work with either"
	}
	if within(to, "dispatch/brokertest", "shared/certs/certstest") && !test && !within(dir, to, "dispatch/brokertest") {
		return "it is for tests"
	}
	switch {
	case dir == ".":
		return ""
	case within(dir, "shared"):
		if !within(to, "shared") {
			return "shared packages serve every part and know none"
		}
	case within(dir, "dispatch"):
		if !within(to, "dispatch", "shared") {
			return "dispatch moves bytes and knows none of those that talk through it"
		}
	case within(dir, "runner/fn"):
		if !within(to, "runner/fn") && !test {
			return "runner/fn is compiled into users' functions and must stand alone"
		}
	case within(dir, "runner/samples"):
		if !within(to, "runner/fn", "runner/samples") && !test {
			return "samples show what a user can write, who has only runner/fn"
		}
	case within(dir, "deploy"):
		if !test {
			return "deploy describes the parts from outside"
		}
	case within(dir, "gateway", "tron", "runner", "bench"):
		part, _, _ := strings.Cut(dir, "/")
		if !within(to, part, "dispatch", "shared") {
			return "parts meet on the bus, not in imports; a test of several belongs to the root"
		}
	default:
		return "no rule says what " + dir + " may import: add one"
	}
	return ""
}

func TestForbidden(t *testing.T) {
	for _, tc := range []struct {
		dir, imp string
		test, ok bool
	}{
		{".", "gateway", false, true},
		{".", "dispatch/rabbit", false, true},
		{"gateway", "gateway/route", false, true},
		{"gateway/route", "shared/swagger", false, true},
		{"gateway", "dispatch", false, true},
		{"gateway", "dispatch/memory", false, false},
		{"gateway", "dispatch/memory", true, true},
		{"gateway", "dispatch/brokertest", false, false},
		{"gateway", "shared/certs/certstest", false, false},
		{"dispatch/brokertest", "shared/certs/certstest", false, true},
		{"gateway", "tron", false, false},
		{"gateway", "tron", true, false},
		{"gateway", "runner/fn", false, false},
		{"gateway", "gatewayish", false, false}, // a prefix ends at a slash
		{"tron", "bench", false, false},
		{"bench", "runner", false, false},
		{"runner/pack", "runner/process", false, true},
		{"runner", "", false, false},
		{"dispatch", "shared/envelope", false, true},
		{"dispatch/rabbit", "dispatch", false, true},
		{"dispatch/rabbit", "dispatch/memory", false, false},
		{"dispatch", "gateway", true, false},
		{"shared/swagger", "shared/bundle", false, true},
		{"shared/swagger", "dispatch", false, false},
		{"runner/fn", "runner/fn/internal/x", false, true},
		{"runner/fn", "shared/logline", false, false},
		{"runner/fn", "shared/logline", true, true},
		{"runner/samples/go", "runner/fn", false, true},
		{"runner/samples/go", "runner/process", false, false},
		{"elsewhere", "shared/wire", false, false},
	} {
		imp := strings.TrimSuffix(module+"/"+tc.imp, "/")
		if why := forbidden(tc.dir, imp, tc.test); (why == "") != tc.ok {
			t.Errorf("%s importing %s (test: %v): %q", tc.dir, imp, tc.test, why)
		}
	}
	for _, tc := range []struct {
		dir, imp string
		test, ok bool
	}{
		{"runner/fn", "net/http", false, true},
		{"runner/fn", "golang.org/x/sync/errgroup", false, false},
		{"runner/fn", "modernc.org/sqlite", true, true},
		{"runner/samples/go", "modernc.org/sqlite", false, true},
		{"gateway", "github.com/valyala/fasthttp", false, true},
	} {
		if why := forbidden(tc.dir, tc.imp, tc.test); (why == "") != tc.ok {
			t.Errorf("%s importing %s (test: %v): %q", tc.dir, tc.imp, tc.test, why)
		}
	}
}

// A bare sleep makes a test slow where it is too long and flaky where it is too
// short: wait for a condition instead, or use testing/synctest.
func TestNoTestSleeps(t *testing.T) {
	eachGoFile(t, parser.SkipObjectResolution, func(name string, f *ast.File) {
		if !strings.HasSuffix(name, "_test.go") {
			return
		}
		var timePackage string
		for _, spec := range f.Imports {
			if spec.Path.Value == `"time"` {
				timePackage = "time"
				if spec.Name != nil {
					timePackage = spec.Name.Name
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == timePackage {
					t.Errorf("%s sleeps", name)
				}
			}
			return true
		})
	})
}

// Every package says what it is for, and holds true, before anything else.
func TestEveryPackageHasADocComment(t *testing.T) {
	documented := make(map[string]bool)
	eachGoFile(t, parser.ImportsOnly|parser.ParseComments, func(name string, f *ast.File) {
		if !strings.HasSuffix(name, "_test.go") {
			dir := path.Dir(name)
			documented[dir] = documented[dir] || f.Doc != nil
		}
	})
	for dir, ok := range documented {
		if !ok {
			t.Errorf("no file of %s has a doc comment before its package clause", dir)
		}
	}
}

// The top level is the table of contents: a folder a part, and nothing that a
// reader has to open to know that it is not one.
func TestTopLevel(t *testing.T) {
	allowed := []string{
		"gateway", "dispatch", "tron", "runner", "shared", "bench", "deploy",
		"go.mod", "go.sum", "Dockerfile", "README.md", "main.go", "conformance.go", "*_test.go",
		"ARCHITECTURE.md", "SECURITY.md", "LICENSE", "Makefile", ".*",
	}
	ignored, err := os.ReadFile(".gitignore")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.FieldsSeq(string(ignored)) {
		allowed = append(allowed, strings.Trim(line, "/"))
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.ContainsFunc(allowed, func(pattern string) bool {
			ok, err := path.Match(pattern, e.Name())
			return ok && err == nil
		}) {
			t.Errorf("%s does not belong to the top level", e.Name())
		}
	}
}

// eachGoFile parses every Go file of the module but those in testdata, and calls f
// with its path from the module's root.
func eachGoFile(t *testing.T, mode parser.Mode, f func(name string, file *ast.File)) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, mode)
		if err != nil {
			return err
		}
		files++
		f(filepath.ToSlash(name), file)
		return nil
	})
	if err == nil && files == 0 {
		err = errors.New("no Go file")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// within tells whether dir is one of tops, or below it.
func within(dir string, tops ...string) bool {
	return slices.ContainsFunc(tops, func(top string) bool {
		rest, ok := strings.CutPrefix(dir, top)
		return ok && (rest == "" || rest[0] == '/')
	})
}

func inModule(imp string) bool { return within(imp, module) }

// isLibrary tells what is neither ours nor the standard library's, whose import
// paths have no dot in their first element.
func isLibrary(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return strings.Contains(first, ".") && !inModule(imp)
}

// libraryOf takes the packages of one organisation for one library, such as those
// of github.com/go-openapi.
func libraryOf(imp string) string {
	parts := strings.SplitN(imp, "/", 3)
	return path.Join(parts[:min(2, len(parts))]...)
}
