package route

import (
	"strings"
	"testing"

	"github.com/funcatron/funcatron/shared/swagger"
)

func mediaOp(t testing.TB, consumes, produces string) *Op {
	t.Helper()
	b, err := Compile(&swagger.Document{Operations: []*swagger.Operation{{
		Method: "POST", Path: "/", Consumes: strings.Fields(consumes), Produces: strings.Fields(produces)}}})
	if err != nil {
		t.Fatal(err)
	}
	return b.Ops()[0]
}

func TestConsumes(t *testing.T) {
	for _, tc := range []struct {
		consumes, contentType string
		want                  bool
	}{
		{"", "anything at all", true},
		{"", "", true},
		{"application/json", "application/json", true},
		{"application/json", "Application/JSON; charset=utf-8", true},
		{"application/json;charset=utf-8", "application/json", true},
		{"application/json", "text/json", false},
		{"application/json", "application/vnd.api+json", false},
		{"application/json", "application", false},
		{"application/json", "nonsense", false},
		{"application/xml application/json", "application/json", true},
		{"application/*", "application/json", true},
		{"application/*", "text/json", false},
		{"*/*", "text/json", true},
		{"*/*", "nonsense", true},
		{"application/json", "", true}, // no type: it is JSON, and checked as such
		{"application/json", " ; charset=utf-8", true},
		{"application/vnd.api+json", "", true},
		{"application/octet-stream", "", true},
		{"*/*", "", true},
		{"application/xml", "", false},
		{"multipart/form-data application/x-www-form-urlencoded", "", false},
		{"multipart/form-data application/x-www-form-urlencoded", "multipart/form-data; boundary=x", true},
	} {
		if got := mediaOp(t, tc.consumes, "").Consumes([]byte(tc.contentType)); got != tc.want {
			t.Errorf("%q consumes %q: %v", tc.consumes, tc.contentType, got)
		}
	}
}

func TestAccepts(t *testing.T) {
	for _, tc := range []struct {
		produces, accept string
		want             bool
	}{
		{"", "text/html", true},
		{"application/json", "", true},
		{"application/json", "application/json", true},
		{"application/json", "APPLICATION/JSON", true},
		{"application/json", "text/html", false},
		{"application/json", "text/html, application/json;q=0.5", true},
		{"application/json", "text/html, */*;q=0.1", true},
		{"application/json", "application/*", true},
		{"application/json", "text/*", false},
		{"application/json", "*/*, application/json;q=0", false}, // the most specific decides
		{"application/json", "application/json;q=0, */*", false},
		{"application/json", "application/json;q=0.0, application/*", false},
		{"application/json", "application/json ; Q = 0.001", true},
		{"application/json", "application/json;q=0.000", false},
		{"application/json", "application/*;q=0, */*", false},
		{"application/json text/html", "application/json;q=0, */*", true},
		{"application/json", "text/html;q=0", false},
		{"application/json", "application/json;version=1", true},
		{"application/json", "application/json;q=0;ext=1", false},
		{"application/json", "application/json;q=0;version=1, application/json", true},
		{"application/json", `text/html;a=", application/json, ", text/plain`, false},
		{"application/json", `text/html;a="\", application/json`, false},
		{"application/json;charset=utf-8", "application/json", true},
		{"*/*", "text/html", true},
		{"*/*", "text/html;q=0", false},
		{"text/*", "text/html", true},
		{"text/*", "image/png", false},
		{"application/json", "*; q=.2", true}, // Java's HttpURLConnection
		{"application/json", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", true},
		{"application/json", "nonsense", true},
		{"application/json", ",,", true},
	} {
		if got := mediaOp(t, "", tc.produces).Accepts([]byte(tc.accept)); got != tc.want {
			t.Errorf("%q accepts %q: %v", tc.produces, tc.accept, got)
		}
	}
}

func TestMediaAllocatesNothing(t *testing.T) {
	op := mediaOp(t, "application/xml application/json", "text/html application/json")
	contentType, accept := []byte("Application/JSON; charset=utf-8"), []byte("text/plain, image/*;q=0.3, Application/JSON;q=0.5")
	if n := testing.AllocsPerRun(100, func() {
		if !op.Consumes(contentType) || !op.Accepts(accept) {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzAccepts(f *testing.F) {
	op := mediaOp(f, "application/json text/*", "application/json text/*")
	f.Add([]byte("a/b;q=0, */*"))
	f.Add([]byte(`x;"\`))
	f.Fuzz(func(t *testing.T, header []byte) {
		op.Consumes(header)
		if list := append(header, ",*/*;q=1,application/*;q=1,application/json;q=1"...); strings.Count(string(header), `"`)%2 == 0 &&
			!strings.Contains(string(header), `\`) && !op.Accepts(list) {
			t.Errorf("%q is refused", list)
		}
	})
}
