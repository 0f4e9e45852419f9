package tron

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-openapi/loads"
	"github.com/go-openapi/strfmt"
	"github.com/go-openapi/validate"

	"github.com/funcatron/funcatron/shared/swagger"
)

// The API's own document is valid, is read by the reader that reads everybody's,
// and describes exactly the calls that there are.
func TestSwaggerDocument(t *testing.T) {
	doc, err := swagger.Parse(describing)
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Warnings) > 0 {
		t.Errorf("warnings: %q", doc.Warnings)
	}
	analyzed, err := loads.Analyzed(json.RawMessage(describing), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Spec(analyzed, strfmt.Default); err != nil {
		t.Errorf("go-openapi: %v", err)
	}
	described := make(map[string]bool)
	for _, op := range doc.Operations {
		described[op.Method+" "+op.Path] = true
	}
	built := make(map[string]bool)
	for _, rt := range new(Tron).routes(t.Context()) {
		built[rt.method+" "+strings.TrimSuffix(rt.path, "{$}")] = true
	}
	if !maps.Equal(described, built) {
		t.Errorf("described: %q\nbuilt:     %q", slices.Sorted(maps.Keys(described)), slices.Sorted(maps.Keys(built)))
	}
}

// answers are what the API says, one of each kind.
func TestSwaggerDefinitionsNameEveryField(t *testing.T) {
	var doc struct {
		Definitions map[string]struct {
			Required   []string
			Properties map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal(describing, &doc); err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]any{
		"Refusal":    refusal{Error: "e", Errors: []string{"e"}, Logs: []string{"l"}},
		"Accepted":   accepted{Swagger: json.RawMessage(`{}`)},
		"Rejected":   rejected{},
		"Ordered":    ordered{State: "s", Deployment: "d", Replaced: "r", Warnings: []string{"w"}},
		"FuncBundle": funcBundle{Git: "g", Version: "v", State: "s", Deployment: "d", Missing: true},
		"Route":      mapped{},
		"Tron":       tronPart{},
		"Operation":  operationTotal{},
		"Deployment": deployed{Reason: "r"},
		"Stats":      statistics{},
	} {
		b, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(b, &fields); err != nil {
			t.Fatal(err)
		}
		def := doc.Definitions[name]
		got, want := slices.Sorted(maps.Keys(fields)), slices.Sorted(maps.Keys(def.Properties))
		if !slices.Equal(got, want) {
			t.Errorf("%s has the fields %q, described are %q", name, got, want)
		}
		for _, r := range def.Required {
			if fields[r] == nil {
				t.Errorf("%s: %s is required and not there", name, r)
			}
		}
	}
}

// A body that is taken is an order that makes sense, and says the same when it is
// read again.
func FuzzParseOrder(f *testing.F) {
	sha := strings.Repeat("0a", 32)
	for _, body := range []string{
		``, `{}`, `null`, `[]`, `{"sha":"` + sha + `"}`, `{"sha":"` + sha + `","props":{"a":{"b":[1,2.50,"<&>"]}}}`,
		`{"sha":"` + strings.ToUpper(sha) + `","props":null,"more":1}`, `{"sha":"` + sha + `","sha":"x"}`, "{\"sha\":\"\xff\"}",
		`{"sha":"` + sha + `","props":[]}`, ` { "sha" : " ` + sha + `" } `,
	} {
		f.Add([]byte(body), true)
		f.Add([]byte(body), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, withProps bool) {
		fields := []string{"sha"}
		if withProps {
			fields = append(fields, "props")
		}
		o, err := parseOrder(body, fields...)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("refused without a reason")
			}
			return
		}
		var props map[string]any
		if len(o.sha) != 64 || o.props != nil && (json.Unmarshal(o.props, &props) != nil || props == nil) {
			t.Fatalf("taken: %+v", o)
		}
		if !withProps && o.props != nil {
			t.Fatalf("props where none belong: %s", o.props)
		}
		if o.props == nil {
			return
		}
		again, err := parseOrder(fmt.Appendf(nil, `{"sha":%q,"props":%s}`, o.sha, o.props), fields...)
		if err != nil || again.sha != o.sha || string(again.props) != string(o.props) || again.warnings != nil {
			t.Fatalf("%+v became %+v, %v", o, again, err)
		}
		if names := hidden(o.props); len(names) != len(props) {
			t.Fatalf("hidden: %v of %s", names, o.props)
		}
	})
}
