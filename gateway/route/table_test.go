package route

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/shared/swagger"
	"github.com/funcatron/funcatron/shared/wire"
)

// compile makes a bundle of operations written as "GET /a/{b}".
func compile(t testing.TB, ops ...string) *Bundle {
	t.Helper()
	b, err := Compile(document(ops...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func document(ops ...string) *swagger.Document {
	doc := &swagger.Document{}
	for _, s := range ops {
		method, path, _ := strings.Cut(s, " ")
		doc.Operations = append(doc.Operations, &swagger.Operation{ID: s, Method: method, Path: path})
	}
	return doc
}

func item(host, basePath string, b *Bundle) *Item {
	return &Item{RouteItem: wire.RouteItem{Deployment: host + basePath, Host: host, BasePath: basePath}, Bundle: b}
}

func build(t testing.TB, items ...*Item) *Table {
	t.Helper()
	tab, err := Build(items)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// describe is the outcome of a look-up in one line.
func describe(res Result, m *Match) string {
	switch res {
	case Found:
		s := m.Item.Deployment + " " + m.Op.ID
		for _, v := range m.Values() {
			s += fmt.Sprintf(" %s", v)
		}
		return s
	case NoMethod:
		return "405 " + m.Allow
	case Options:
		return "OPTIONS " + m.Allow
	}
	return "404"
}

func TestLookup(t *testing.T) {
	api := compile(t, "GET /x", "GET /", "DELETE /only", "POST /only", "GET /only/", "OPTIONS /own", "HEAD /own", "GET /own", "PATCH /p")
	short := compile(t, "GET /v2/only-here", "GET /v2")
	any := compile(t, "GET /any", "GET /a/x")
	tab := build(t,
		item("", "", any), item("", "/a", api), item("", "/a/b", api), item("", "/java", api), item("", "/caf%C3%A9", api),
		item("one.test", "/a", short), item("one.test", "/a/v2", api), item("one.test:8080", "/p", short), item("One.Test:80", "/p", any), item("[::1]", "/p", any),
	)
	for _, tc := range []struct{ method, host, path, want string }{
		{"GET", "", "/any", " GET /any"},
		{"GET", "h", "/a/x", "/a GET /x"},
		{"GET", "h", "/a/b/x", "/a/b GET /x"}, // longest wins
		{"GET", "h", "/a/b/any", "404"},       // and has all below it
		{"GET", "h", "/a", "404"},             // the template is "/"
		{"GET", "h", "/a/", "/a GET /"},
		{"GET", "h", "/ab/x", "404"}, // a base path ends at the end of a segment
		{"GET", "h", "/java_gradle/x", "404"},
		{"GET", "h", "/java/x", "/java GET /x"},
		{"GET", "h", "/JAVA/x", "404"},
		{"GET", "h", "/j%61va/%78", "/java GET /x"},
		{"GET", "h", "/caf%c3%a9/x", "/caf%C3%A9 GET /x"},
		{"GET", "h", "/a/x/", "404"},
		{"GET", "h", "//a/x", "404"},
		{"GET", "h", "/a//x", "404"},
		{"GET", "h", "/a/./x", "404"},
		{"GET", "h", "/a/b/../x", "404"},
		{"GET", "h", "/a/b/%2e%2E/x", "404"},
		{"GET", "h", "/a/b/.%2e", "404"},
		{"GET", "h", "/a/x%", "404"},
		{"GET", "h", "a/x", "404"},
		{"GET", "h", "", "404"},
		{"OPTIONS", "h", "*", "404"},

		{"HEAD", "h", "/a/x", "/a GET /x"},
		{"HEAD", "h", "/a/own", "/a HEAD /own"},
		{"OPTIONS", "h", "/a/own", "/a OPTIONS /own"},
		{"OPTIONS", "h", "/a/only", "OPTIONS DELETE, OPTIONS, POST"},
		{"OPTIONS", "h", "/a/nowhere", "404"},
		{"PUT", "h", "/a/only", "405 DELETE, OPTIONS, POST"},
		{"POST", "h", "/a/only/", "405 GET, HEAD, OPTIONS"},
		{"get", "h", "/a/x", "405 GET, HEAD, OPTIONS"}, // methods are case-sensitive
		{"HEAD", "h", "/a/p", "405 OPTIONS, PATCH"},

		{"GET", "one.test", "/a/v2/only-here", "404"},
		{"GET", "one.test", "/a/v2/x", "one.test/a/v2 GET /x"},
		{"GET", "one.test", "/a/v2", "404"},
		{"GET", "ONE.TEST:99", "/a/v2/x", "one.test/a/v2 GET /x"}, // no port in the document: any in the request
		{"GET", "one.test:8080", "/p/v2", "one.test:8080/p GET /v2"},
		{"GET", "one.test:80", "/p/any", "One.Test:80/p GET /any"},
		{"GET", "one.test", "/p/any", "404"},
		{"GET", "one.test:8080", "/a/v2/x", "one.test/a/v2 GET /x"}, // no such base path under host and port
		{"GET", "one.test:8080", "/any", " GET /any"},               // nor under the host
		{"GET", "one.test", "/a/x", "404"},                          // but here is one
		{"GET", "[::1]:8080", "/p/any", "[::1]/p GET /any"},
		{"GET", "[::1]", "/p/any", "[::1]/p GET /any"},
		{"GET", "one.test.evil", "/a/v2/x", "404"},
	} {
		var m Match
		if got := describe(tab.Lookup([]byte(tc.method), []byte(tc.host), []byte(tc.path), &m), &m); got != tc.want {
			t.Errorf("%s %s%s: %q, want %q", tc.method, tc.host, tc.path, got, tc.want)
		}
	}
}

func TestTemplates(t *testing.T) {
	for _, tc := range []struct {
		ops  []string
		path string
		want string
	}{
		{[]string{"GET /a/{x}/b", "GET /a/lit/c"}, "/a/lit/b", "GET /a/{x}/b lit"},
		{[]string{"GET /a/{x}/b", "GET /a/lit/c"}, "/a/lit/c", "GET /a/lit/c"},
		{[]string{"GET /{a}/{b}/c/{d}", "GET /x/{b}/c/e", "GET /x/y/{c}/f"}, "/x/y/c/g", "GET /{a}/{b}/c/{d} x y g"},
		{[]string{"GET /{a}/{b}/c/{d}", "GET /x/{b}/c/e", "GET /x/y/{c}/f"}, "/x/y/c/e", "GET /x/{b}/c/e y"},
		{[]string{"GET /users/me", "DELETE /users/{id}"}, "/users/me", "GET /users/me"},
		{[]string{"DELETE /users/me", "GET /users/{id}"}, "/users/me", "405 DELETE, OPTIONS"},
		{[]string{"GET /a/{x}", "POST /a/{y}"}, "/a/1", "GET /a/{x} 1"},
		{[]string{"GET /a/{x}"}, "/a/", "404"}, // a parameter is not empty
		{[]string{"GET /a/{x}/"}, "/a/1/", "GET /a/{x}/ 1"},
		{[]string{"GET /a/{x}"}, "/a/b%2Fc", "GET /a/{x} b%2Fc"}, // and undecoded
		{[]string{"GET /a/{x}"}, "/a/...", "GET /a/{x} ..."},
		{[]string{"GET /a/{x}"}, "/a/.b", "GET /a/{x} .b"},
		{[]string{"GET /a/{x}"}, "/a/%", "GET /a/{x} %"},
		{[]string{"GET /a/{x:[0-9]+}", "GET /b/{y?}", "GET /c/{z:*}"}, "/a/q", "GET /a/{x:[0-9]+} q"}, // names are names
		{[]string{"GET /a/{x:[0-9]+}", "GET /b/{y?}", "GET /c/{z:*}"}, "/b", "404"},
		{[]string{"GET /a/{x:[0-9]+}", "GET /b/{y?}", "GET /c/{z:*}"}, "/c/d/e", "404"},
		{[]string{"GET /a/{x/y}"}, "/a/q", "GET /a/{x/y} q"},
		{[]string{"GET /a?b/*"}, "/a%3Fb/%2A", "GET /a?b/*"},
		{[]string{"GET /a%2Fb"}, "/a%2fb", "GET /a%2Fb"},
		{[]string{"GET /a%2Fb"}, "/a/b", "404"},
		{[]string{"GET /café"}, "/caf%C3%A9", "GET /café"},
		{[]string{"GET //x", "GET /x"}, "//x", "GET //x"},

		{[]string{"GET /f/{name}.json", "GET /f/{name}"}, "/f/a.json", "GET /f/{name}.json a"},
		{[]string{"GET /f/{name}.json", "GET /f/{name}"}, "/f/a.xml", "GET /f/{name} a.xml"},
		{[]string{"GET /f/{name}.json"}, "/f/.json", "404"},
		{[]string{"GET /f/{name}.json"}, "/f/.json.json", "GET /f/{name}.json .json"},
		{[]string{"GET /f/{name}.json"}, "/f/a%2Ejso%6e", "GET /f/{name}.json a"},
		{[]string{"GET /f/v{n}"}, "/f/v1", "GET /f/v{n} 1"},
		{[]string{"GET /f/{a}-{b}"}, "/f/1-2-3", "GET /f/{a}-{b} 1 2-3"},
		{[]string{"GET /f/{a}-{b}"}, "/f/-2-3", "GET /f/{a}-{b} -2 3"},
		{[]string{"GET /f/{a}-{b}"}, "/f/1-", "404"},
		{[]string{"GET /f/{a}-{b}.{c}"}, "/f/1-2.3-4.5", "GET /f/{a}-{b}.{c} 1 2 3-4.5"},
		{[]string{"GET /f/{a}--{b}"}, "/f/x---y", "GET /f/{a}--{b} x -y"},
		{[]string{"GET /f/{a}-{b}-x"}, "/f/1-2-3-x", "GET /f/{a}-{b}-x 1 2-3"},
		{[]string{"GET /f/{a}-{b}", "GET /f/{a}-{b}-x", "GET /f/lit-x"}, "/f/lit-x", "GET /f/lit-x"},
		{[]string{"GET /f/{a}-{b}", "GET /f/{a}-{b}-x"}, "/f/1-2-x", "GET /f/{a}-{b}-x 1 2"},
		{[]string{"GET /f/{a}.x/1", "GET /f/{a}/2"}, "/f/q.x/2", "GET /f/{a}/2 q.x"},
		{[]string{"GET /v1/{name}:cancel", "GET /v1/{name}"}, "/v1/op:cancel", "GET /v1/{name}:cancel op"},
	} {
		tab := build(t, item("", "", compile(t, tc.ops...)))
		var m Match
		if got := strings.TrimPrefix(describe(tab.Lookup([]byte("GET"), nil, []byte(tc.path), &m), &m), " "); got != tc.want {
			t.Errorf("%q: %s: %q, want %q", tc.ops, tc.path, got, tc.want)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, tc := range []struct{ op, want string }{
		{"GET x", "does not begin with a slash"},
		{"GET /{x", "has a { that is not closed"},
		{"GET /{x{y}", "has a { that is not closed"},
		{"GET /x}", "has a } that closes nothing"},
		{"GET /{a}{b}", "two parameters with nothing between them"},
		{"GET /other/{name}", `GET "/other/{id}" and "/other/{name}" are the same requests`},
	} {
		_, err := Compile(document("GET /other/{id}", tc.op, "GET /{also wrong"))
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "also wrong") {
			t.Errorf("%s: %v, want %q", tc.op, err, tc.want)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	b := compile(t, "GET /")
	for _, tc := range []struct {
		items []*Item
		want  string
	}{
		{[]*Item{item("h", "/a", nil)}, "no document"},
		{[]*Item{item("h", "/a", b), item("H", "/a", b)}, `has it`},
		{[]*Item{item("", "/a", b), item("", "/%61", b)}, `has it`},
		{[]*Item{item("", "a", b)}, "is not like"},
		{[]*Item{item("", "/a/", b)}, "is not like"},
		{[]*Item{item("", "/", b)}, "is not like"},
	} {
		if _, err := Build(tc.items); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, want %q", err, tc.want)
		}
	}
}

func TestItems(t *testing.T) {
	b := compile(t, "GET /x")
	items := []*Item{item("", "", b), item("", "/a", b), item("z", "/a/b", b), item("y", "/a/b", b)}
	tab := build(t, items...)
	var got []string
	for it := range tab.Items() {
		got = append(got, it.Deployment)
	}
	if want := []string{"y/a/b", "z/a/b", "/a", ""}; !slices.Equal(got, want) {
		t.Errorf("items %q, want %q", got, want)
	}
	if items[0].Deployment != "" {
		t.Error("Build has changed the order of its argument")
	}
	var m Match
	if res := tab.Lookup([]byte("GET"), []byte("z"), []byte("/a/b/x"), &m); res != Found || m.Row != 1 {
		t.Errorf("result %d, row %d", res, m.Row)
	}
}

// A match is reused: nothing of one look-up may show in the next.
func TestMatchIsReusable(t *testing.T) {
	tab := build(t, item("", "", compile(t, "GET /a/{x}/{y}", "PUT /b")))
	var m Match
	for range 2 {
		for _, tc := range []struct{ method, path, want string }{
			{"GET", "/a/1/2", " GET /a/{x}/{y} 1 2"},
			{"GET", "/b", "405 OPTIONS, PUT"},
			{"GET", "/a/1", "404"},
		} {
			if got := describe(tab.Lookup([]byte(tc.method), nil, []byte(tc.path), &m), &m); got != tc.want {
				t.Errorf("%s: %q, want %q", tc.path, got, tc.want)
			}
			if tc.want == "404" && (m.Item != nil || m.Op != nil || m.Allow != "" || len(m.Values()) > 0) {
				t.Errorf("match after 404: %+v", m)
			}
		}
	}
}

// The documents of FUNCATRON_REFERENCE, a folder: each operation is found by a
// path made of its template.
func TestCorpus(t *testing.T) {
	dir := os.Getenv("FUNCATRON_REFERENCE")
	if dir == "" {
		t.Log("FUNCATRON_REFERENCE is not set: nothing to check")
		return
	}
	var files []string
	for _, pattern := range []string{"swagger-corpus/*", "samples/*"} {
		list, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, list...)
	}
	found := 0
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := swagger.Parse(data)
		if err != nil {
			t.Logf("%s: %v", filepath.Base(name), err)
			continue
		}
		b, err := Compile(doc)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(name), err)
			continue
		}
		for _, op := range b.Ops() {
			if w := op.Binder.Warnings(); len(w) > 0 {
				t.Logf("%s: %s %s: %q", filepath.Base(name), op.Method, op.Path, w)
			}
		}
		tab := build(t, item(doc.Host, doc.BasePath, b))
		for _, op := range b.Ops() {
			path := fill(op.Path)
			var m Match
			res := tab.Lookup([]byte(op.Method), []byte(doc.Host), []byte(doc.BasePath+path), &m)
			if res != Found || m.Op != op {
				t.Errorf("%s: %s %s by %s: %s", filepath.Base(name), op.Method, op.Path, path, describe(res, &m))
			}
			found++
		}
	}
	if found < 100 {
		t.Errorf("%d operations in %s: is it the reference folder?", found, dir)
	}
}

// fill replaces a template's parameters by values that no literal has.
func fill(path string) string {
	for {
		before, rest, ok := strings.Cut(path, "{")
		if !ok {
			return path
		}
		_, after, _ := strings.Cut(rest, "}")
		path = before + "~7%C3%A9" + after
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	tab := build(t, item("h.test", "/base", compile(t, "GET /a/{x}/b", "GET /a/lit/{y}-{z}.json", "DELETE /only")), item("", "", compile(t, "GET /x")))
	var m Match
	for _, path := range []string{"/base/a/lit/b", "/base/a/lit/1-2.json", "/b%61se/a/%6Cit/1-%32.json", "/base/only", "/x", "/nowhere"} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			method, host, path := []byte(method), []byte("H.test:80"), []byte(path)
			if n := testing.AllocsPerRun(100, func() { tab.Lookup(method, host, path, &m) }); n != 0 {
				t.Errorf("%s %s: %v allocations", method, path, n)
			}
		}
	}
}

// many makes a document of n operations, three a resource.
func many(t testing.TB, n int) *Bundle {
	var ops []string
	for i := range n / 3 {
		r := fmt.Sprintf("/group%d/resource%d", i%20, i)
		ops = append(ops, "GET "+r, "GET "+r+"/{id}", "PUT "+r+"/{id}/parts/{part}")
	}
	return compile(t, ops...)
}

func BenchmarkLookup(b *testing.B) {
	for _, operations := range []int{10, 10_000} {
		for _, bundles := range []int{1, 1000} {
			b.Run(fmt.Sprintf("%d-operations/%d-bundles", operations, bundles), func(b *testing.B) {
				bundle := many(b, operations)
				var items []*Item
				for i := range bundles {
					items = append(items, item("", fmt.Sprintf("/api/service%d", i), bundle))
				}
				tab := build(b, items...)
				r := operations/3 - 1
				path := fmt.Appendf(nil, "/api/service%d/group%d/resource%d/12345/parts/left", bundles-1, r%20, r)
				method, host := []byte("PUT"), []byte("gateway.test:8080")
				var m Match
				b.ReportAllocs()
				for b.Loop() {
					if tab.Lookup(method, host, path, &m) != Found {
						b.Fatal("not found")
					}
				}
			})
		}
	}
}
