package swagger_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/shared/swagger"
)

const definitions = `
securityDefinitions:
  b: {type: basic}
  k: {type: apiKey, in: header, name: X-Key}
  q: {type: apiKey, in: query, name: 'api key'}
  o: {type: oauth2, flow: implicit, authorizationUrl: 'https://a.test', scopes: {read: r, write: w}}
`

// secured is a document whose security is top, with one operation whose own is own;
// "" leaves either out.
func secured(top, own string) string {
	if top != "" {
		top = "security: " + top + "\n"
	}
	if own != "" {
		own = ", security: " + own
	}
	return head + definitions + top + "paths: {/a: {get: {operationId: x" + own + "}}}\n"
}

// required writes requirements down: "b k | o(read,write)".
func required(list []swagger.Requirement) string {
	var all []string
	for _, r := range list {
		var needs []string
		for _, n := range r {
			s := n.Scheme.Name
			if len(n.Scopes) > 0 {
				s += "(" + strings.Join(n.Scopes, ",") + ")"
			}
			needs = append(needs, s)
		}
		all = append(all, strings.Join(needs, " "))
	}
	return strings.Join(all, " | ")
}

func TestSecurity(t *testing.T) {
	for _, tc := range []struct{ top, own, want string }{
		{"", "", ""},
		{"[{b: []}]", "", "b"},
		{"[{b: []}]", "[{k: []}]", "k"}, // an operation's own replaces the document's
		{"[{b: []}]", "[]", ""},         // and an empty one opens it
		{"[]", "", ""},
		{"[]", "[{b: []}]", "b"},
		{"[{b: []}, {k: []}]", "", "b | k"},
		{"[{k: [], b: []}]", "", "b k"},
		{"", "[{q: [], k: []}, {o: [write, read, read]}]", "k q | o(read,write)"},
		{"", "[{b: []}, {}]", ""},     // {} is met by everybody
		{"[{missing: []}]", "[]", ""}, // nobody inherits it
		{"[{b: [x]}]", "[{k: []}]", "k"},
	} {
		doc := mustParse(t, secured(tc.top, tc.own))
		if got := required(doc.Operations[0].Security); got != tc.want {
			t.Errorf("document %s, operation %s: %q, want %q", tc.top, tc.own, got, tc.want)
		}
		if tc.want == "" && doc.Operations[0].Security != nil {
			t.Errorf("document %s, operation %s: open, but not nil", tc.top, tc.own)
		}
		sameAgain(t, doc)
	}
}

func TestSecuritySchemes(t *testing.T) {
	doc := mustParse(t, secured("[{b: []}, {k: []}, {q: []}, {o: []}]", ""))
	want := []swagger.Scheme{
		{Name: "b", Type: swagger.Basic},
		{Name: "k", Type: swagger.APIKey, In: "header", Param: "X-Key"},
		{Name: "q", Type: swagger.APIKey, In: "query", Param: "api key"},
		{Name: "o", Type: swagger.OAuth2},
	}
	for i, r := range doc.Operations[0].Security {
		if len(r) != 1 || !reflect.DeepEqual(*r[0].Scheme, want[i]) {
			t.Errorf("requirement %d: %+v, want %+v", i, r, want[i])
		}
	}
}

// What cannot be checked must not be taken for what was met.
func TestSecurityRefused(t *testing.T) {
	broken := func(definition string) string {
		return head + "securityDefinitions: {x: " + definition + "}\npaths: {/a: {get: {operationId: x, security: [{x: []}]}}}\n"
	}
	many := strings.Repeat("{b: []}, ", swagger.MaxAlternatives+1)
	var together []string
	for i := range swagger.MaxTogether + 1 {
		together = append(together, fmt.Sprintf("d%d: []", i))
	}
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"undefined":            {secured("", "[{nobody: []}]"), []string{"GET /a", `"nobody"`, "does not define"}},
		"undefined, inherited": {secured("[{nobody: []}]", ""), []string{"document", `"nobody"`, "does not define"}},
		"undefined, of two":    {secured("", "[{b: []}, {nobody: []}]"), []string{"GET /a", `"nobody"`}},
		"no definitions":       {head + "paths: {/a: {get: {operationId: x, security: [{b: []}]}}}", []string{`"b"`, "does not define"}},
		"definitions a list":   {head + "securityDefinitions: []\npaths: {}", []string{"securityDefinitions", "an array"}},
		"null":                 {secured("[{b: []}]", "null"), []string{"GET /a", "security is null"}},
		"an object":            {secured("", "{b: []}"), []string{"GET /a", "security is an object"}},
		"of words":             {secured("", "[b]"), []string{"GET /a", "holds a string"}},
		"scopes null":          {secured("", "[{b: }]"), []string{"GET /a", `"b"`, "null"}},
		"scopes a word":        {secured("", "[{o: read}]"), []string{"GET /a", `"o"`, "a string"}},
		"scopes of numbers":    {secured("", "[{o: [1]}]"), []string{"GET /a", "a number"}},
		"scopes of basic":      {secured("", "[{b: [admin]}]"), []string{"GET /a", `"b"`, "type basic"}},
		"scopes of apiKey":     {secured("[{k: [admin]}]", ""), []string{"document", `"k"`, "type apiKey"}},
		"too many":             {secured("", "["+many+"]"), []string{"GET /a", "alternatives"}},
		"too many together":    {secured("", "[{"+strings.Join(together, ", ")+"}]"), []string{"GET /a", "in one requirement"}},
		"a list":               {broken("[]"), []string{`"x"`, "an array"}},
		"no type":              {broken("{}"), []string{`"x"`, "no type"}},
		"openIdConnect":        {broken("{type: openIdConnect}"), []string{`"x"`, `"openIdConnect"`}},
		"a long name":          {strings.ReplaceAll(secured("", "[{b: []}]"), "b:", strings.Repeat("b", 300)+":"), []string{"bbb", "too long"}},
		"apiKey nowhere":       {broken("{type: apiKey, name: k}"), []string{`"x"`, "header or query"}},
		"apiKey in a cookie":   {broken("{type: apiKey, in: cookie, name: k}"), []string{`"x"`, "header or query"}},
		"apiKey without name":  {broken("{type: apiKey, in: query}"), []string{`"x"`, "without a name"}},
		"apiKey no header":     {broken(`{type: apiKey, in: header, name: "a b"}`), []string{`"x"`, "no name of a header"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := swagger.Parse([]byte(tc.text))
			refused(t, err, tc.want...)
		})
	}
}

func TestSecurityWarnings(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []string
	}{
		{head + "securityDefinitions: {x: {type: digest}}\npaths: {}", []string{`"x"`, `"digest"`, "no operation requires it"}},
		{secured("", "[{b: []}, {}]"), []string{"GET /a", "empty requirement", "open"}},
		{secured("", "[{o: [admin]}]"), []string{"GET /a", `"admin"`, `"o"`, "does not list"}},
	} {
		if doc := mustParse(t, tc.text); !says(doc.Warnings, tc.want) {
			t.Errorf("warnings %q, want one that says %q", doc.Warnings, tc.want)
		}
	}
}

// Operations share what they inherit: a long list of the document's costs once.
func TestSecurityIsShared(t *testing.T) {
	doc := mustParse(t, head+definitions+"security: [{b: []}]\npaths: {/a: {get: {operationId: x}, put: {operationId: y}}}\n")
	if &doc.Operations[0].Security[0] != &doc.Operations[1].Security[0] {
		t.Error("two operations have lists of their own")
	}
}
