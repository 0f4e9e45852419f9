package swagger_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/swagger"
)

func TestFindings(t *testing.T) {
	doc := mustParse(t, head+`
paths:
  /a:
    get:
      operationId: same
      responses:
        200: {description: ok, type: array, items: {$ref: '#/definitions/X'}}
        400: {description: no, schema: {$ref: '#/definitions/Error'}}
    put: {operationId: same}
definitions:
  X: {type: object, required: [nowhere]}
`)
	findings, complete := doc.Findings(t.Context())
	if !complete {
		t.Error("incomplete")
	}
	for _, want := range [][]string{{"type"}, {"Error"}, {"nowhere"}, {"same"}} {
		if !says(findings, want) {
			t.Errorf("findings %q, want one that says %q", findings, want)
		}
	}
	seen := map[string]bool{}
	for _, f := range findings {
		if seen[f] {
			t.Errorf("twice: %s", f)
		}
		seen[f] = true
	}
	if doc := mustParse(t, head+"paths: {/a: {get: {operationId: a, responses: {200: {description: ok}}}}}"); doc != nil {
		if findings, complete := doc.Findings(t.Context()); len(findings) > 0 || !complete {
			t.Errorf("a valid document has findings %q, complete %t", findings, complete)
		}
	}
}

func TestFindingsAreBounded(t *testing.T) {
	text := head + "paths:\n"
	for i := range 150 {
		text += "  /" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ": {get: {operationId: x, bad: 1}}\n"
	}
	findings, complete := mustParse(t, text).Findings(t.Context())
	if len(findings) != 101 || !complete {
		t.Errorf("%d findings, complete %t", len(findings), complete)
	}
}

// go-openapi would expand a document to more than fits, or panic over it.
func TestFindingsOfHostileDocuments(t *testing.T) {
	for name, tc := range map[string]struct {
		text     string
		want     string
		complete bool
	}{
		"exponential": {head + "paths: {}\ndefinitions: {" + doubling(40, "properties: {a: %[2]s, b: %[2]s}") + "}", "more than", false},
		"of itself":   {head + "paths: {}\ndefinitions: {X: {default: 1, allOf: [{$ref: '#/definitions/X'}, {$ref: '#/definitions/X'}]}}", "", true},
		"no pattern":  {head + "paths: {}\ndefinitions: {X: {type: string, pattern: '(', default: a}}", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			findings, complete := mustParse(t, tc.text).Findings(t.Context())
			if complete != tc.complete || !says(findings, []string{tc.want}) {
				t.Errorf("findings %q, complete %t", findings, complete)
			}
		})
	}
}

// Findings returns when its context ends, and one that was abandoned holds up nobody.
func TestFindingsGivesUp(t *testing.T) {
	doc := mustParse(t, head+"paths: {/a: {get: {operationId: a, responses: {200: {description: ok}}}}}")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if findings, complete := doc.Findings(ended); complete || findings != nil {
		t.Errorf("after the end: %q, complete %t", findings, complete)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, complete := doc.Findings(short); complete {
		t.Log("validated within a millisecond")
	}
	for limit := time.Now().Add(time.Minute); ; {
		findings, complete := doc.Findings(t.Context())
		if complete {
			if len(findings) > 0 {
				t.Errorf("after one that was abandoned: %q", findings)
			}
			return
		}
		if !says(findings, []string{"another document's"}) || time.Now().After(limit) {
			t.Fatalf("while one that was abandoned runs: %q", findings)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestFindingsOfLargeDocuments(t *testing.T) {
	var schemas strings.Builder
	for i := range 30_000 {
		fmt.Fprintf(&schemas, `"D%d":{},`, i)
	}
	for want, text := range map[string]string{
		"bytes":   `{"swagger":"2.0","paths":{},"x":"` + strings.Repeat("a", 2<<20) + `"}`,
		"objects": `{"swagger":"2.0","paths":{},"definitions":{` + schemas.String() + `"D":{}}}`,
	} {
		doc, err := swagger.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if findings, complete := doc.Findings(t.Context()); complete || !says(findings, []string{"not fully validated", want}) {
			t.Errorf("%s: findings %q, complete %t", want, findings, complete)
		}
	}
}

// The error lists what it holds.
func TestError(t *testing.T) {
	for want, e := range map[string]*swagger.Error{
		"swagger document refused":                     {},
		"swagger document refused: a":                  {Problems: []string{"a"}},
		"swagger document refused for 2 reasons: a; b": {Problems: []string{"a", "b"}},
	} {
		if got := e.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
