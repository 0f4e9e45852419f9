package main_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// clockReaders are the files that read the wall clock, or a time that was written
// down, and why that may be: the clock steps, and nothing else may notice. All other
// times are those of time.Now, which are compared by the monotonic clock.
var clockReaders = map[string]string{
	"shared/logline/text.go":     "when a line was written, for people",
	"shared/logline/json.go":     "when a line was written, for people",
	"shared/wire/wire.go":        "when a message was sent, for people",
	"shared/certs/certs.go":      "a certificate is valid by the wall clock (RFC 5280); a file's time is compared for equality",
	"gateway/auth/token.go":      "a token is valid by the wall clock (RFC 7519), and nothing but the token",
	"runner/output/output.go":    "when a function wrote a line, for people",
	"runner/cgroup/tree.go":      "how old an empty group of a lost Runner is: after a step one that is just being made may go, and that start fails",
	"runner/cache/cache.go":      "which bundle was used last: another order costs a fetch",
	"runner/made/made.go":        "which thing was used last: another order costs the making of it",
	"runner/hosts.go":            "a file's time is compared for equality",
	"tron/store/sweep.go":        "when a bundle was uploaded, for people",
	"tron/store/bundles.go":      "when a bundle was uploaded, for people; the order of a list",
	"tron/store/deployments.go":  "when a bundle was enabled, for people",
	"tron/upload.go":             "when a bundle was uploaded, for people",
	"tron/cluster/deployment.go": "when a bundle was enabled, for people",
	"tron/list.go":               "when a bundle was uploaded, for people",
	"tron/stats.go":              "when a bundle was enabled, for people",
	"tron/fetch.go":              "Last-Modified of a bundle, for HTTP caches",
}

// A time loses its monotonic reading when it is written down or converted.
func TestOnlyPeopleReadTheClock(t *testing.T) {
	used := make(map[string]bool)
	eachGoFile(t, parser.SkipObjectResolution, func(name string, f *ast.File) {
		top, _, _ := strings.Cut(name, "/")
		if strings.HasSuffix(name, "_test.go") || !slices.Contains([]string{"main.go", "dispatch", "gateway", "runner", "shared", "tron"}, top) ||
			within(name, "runner/samples", "runner/fn", "runner/pack", "runner/demo", "runner/conformance", "dispatch/brokertest", "tron/membertest") {
			return
		}
		for _, what := range clockReads(f) {
			if used[name] = true; clockReaders[name] == "" {
				t.Errorf("%s: %s: a time that is compared must be of time.Now, and never converted; else say why it may be in clockReaders", name, what)
			}
		}
	})
	for name := range clockReaders {
		if !used[name] {
			t.Errorf("%s is in clockReaders, and does not read the clock", name)
		}
	}
}

// clockReads is what a file does with times by which they lose their monotonic reading.
func clockReads(f *ast.File) []string {
	var found []string
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			if !ok {
				break
			}
			pkg, _ := sel.X.(*ast.Ident)
			switch name := sel.Sel.Name; name {
			case "UTC", "Local", "ModTime", "Unix", "UnixNano", "UnixMilli", "UnixMicro", "Date", "Gettimeofday", "ClockGettime":
				found = append(found, name)
			case "Parse", "ParseInLocation":
				if pkg != nil && pkg.Name == "time" {
					found = append(found, "time."+name)
				}
			case "Round", "Truncate":
				if lit, ok := first(n.Args).(*ast.BasicLit); ok && lit.Value == "0" {
					found = append(found, name+"(0)")
				}
			}
		case *ast.Field: // of a struct that is written down
			if sel, ok := n.Type.(*ast.SelectorExpr); ok && n.Tag != nil && sel.Sel.Name == "Time" {
				found = append(found, fmt.Sprintf("a field %v that is encoded", n.Names))
			}
		}
		return true
	})
	return found
}

func first(args []ast.Expr) ast.Expr {
	if len(args) == 0 {
		return nil
	}
	return args[0]
}

func TestClockReads(t *testing.T) {
	for text, want := range map[string]int{
		"t.UnixNano()":            1,
		"time.Unix(1, 0)":         1,
		"time.Now().Round(0)":     1,
		"time.Parse(layout, s)":   1,
		"time.Now().UTC()":        1,
		"time.Since(t).Round(10)": 0,
		"url.Parse(s)":            0,
		"time.Now().Sub(t)":       0,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nvar _ = "+text+"\ntype T struct { At time.Time }", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := clockReads(f); len(got) != want {
			t.Errorf("%s: found %v, want %d", text, got, want)
		}
	}
	f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\ntype T struct { At time.Time `json:\"at\"` }", 0)
	if err != nil || len(clockReads(f)) != 1 {
		t.Errorf("an encoded time: found %v, %v", clockReads(f), err)
	}
}
