package bind

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"reflect"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/funcatron/funcatron/shared/swagger"
)

// operation reads the one operation of a document: its template, and what stands
// in it, in YAML's flow style.
func operation(t testing.TB, path, object string) *swagger.Operation {
	t.Helper()
	return document(t, fmt.Sprintf("paths: {%q: {post: %s}}", path, object)).Operations[0]
}

func document(t testing.TB, rest string) *swagger.Document {
	t.Helper()
	doc, err := swagger.Parse([]byte("swagger: '2.0'\ninfo: {title: t, version: '1'}\nx-funcatron: {runtime: exec, command: [app]}\n" + rest))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// pathNames are the names in a template.
func pathNames(path string) (names []string) {
	for {
		_, rest, ok := strings.Cut(path, "{")
		if !ok {
			return names
		}
		name, rest, _ := strings.Cut(rest, "}")
		names, path = append(names, name), rest
	}
}

func binder(t testing.TB, path, object string) *Binder {
	t.Helper()
	b, err := New(operation(t, path, object), pathNames(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	if w := b.Warnings(); len(w) > 0 {
		t.Fatalf("warnings: %q", w)
	}
	return b
}

// params makes an operation of parameters alone.
func params(list ...string) string {
	return "{parameters: [" + strings.Join(list, ", ") + "]}"
}

// request is what a test sends.
type request struct {
	path        []string // values
	query       string
	header      []string // name, value, ...
	contentType string
	encoding    string
	body        string
}

func (r request) fill(req *fasthttp.Request) (values [][]byte) {
	req.SetRequestURI("http://h.test/?" + r.query)
	req.Header.SetMethod("POST")
	for i := 0; i+1 < len(r.header); i += 2 {
		req.Header.Add(r.header[i], r.header[i+1])
	}
	if r.contentType != "" {
		req.Header.SetContentType(r.contentType)
	}
	if r.encoding != "" {
		req.Header.SetContentEncoding(r.encoding)
	}
	req.SetBodyString(r.body)
	for _, v := range r.path {
		values = append(values, []byte(v))
	}
	return values
}

func (r request) bind(b *Binder) (string, []Violation) {
	req := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(req)
	values := r.fill(req)
	out, bad := b.Bind([]byte("X"), req, values, req.Body())
	return strings.TrimPrefix(string(out), "X"), bad
}

func TestParameters(t *testing.T) {
	for _, tc := range []struct {
		name   string
		path   string
		params string
		req    request
		want   string // the JSON, without its empty groups
		bad    string // violations as in:name:message, one a line
	}{
		{name: "nothing declared, nothing sent", want: `{}`},
		{name: "undeclared query", req: request{query: "cool=yes&a=1&a=2&=x&&b"},
			want: `{"query":{"":"x","a":["1","2"],"b":"","cool":"yes"}}`},
		{name: "undeclared query that is no proper encoding", req: request{query: "a=%zz&b=%ff&c=%&d=x+y%2Bz"},
			want: `{"query":{"a":"%zz","b":"\ufffd","c":"%","d":"x y+z"}}`},

		{name: "int64 keeps its digits", path: "/{n}", params: "{name: n, in: path, required: true, type: integer, format: int64}",
			req: request{path: []string{"9223372036854775807"}}, want: `{"path":{"n":9223372036854775807}}`},
		{name: "int64 range", path: "/{n}", params: "{name: n, in: path, required: true, type: integer, format: int64}",
			req: request{path: []string{"9223372036854775808"}}, bad: "path:n:must be an integer of 64 bits"},
		{name: "int32 range", path: "/{n}", params: "{name: n, in: path, required: true, type: integer, format: int32}",
			req: request{path: []string{"2147483648"}}, bad: "path:n:must be an integer of 32 bits"},
		{name: "int32 at its end", path: "/{n}", params: "{name: n, in: path, required: true, type: integer, format: int32}",
			req: request{path: []string{"-2147483648"}}, want: `{"path":{"n":-2147483648}}`},
		{name: "not an integer", path: "/{n}", params: "{name: n, in: path, required: true, type: integer}",
			req: request{path: []string{"frog"}}, bad: "path:n:must be an integer"},
		{name: "a fraction is no integer", path: "/{n}", params: "{name: n, in: path, required: true, type: integer}",
			req: request{path: []string{"42.0"}}, bad: "path:n:must be an integer"},
		{name: "leading zeros are not JSON", path: "/{n}", params: "{name: n, in: path, required: true, type: integer}",
			req: request{path: []string{"-007"}}, want: `{"path":{"n":-7}}`},
		{name: "percent-encoded path", path: "/{s}", params: "{name: s, in: path, required: true, type: string}",
			req: request{path: []string{"a%2Fb+c%C3%A9%F0%9F%90%B8%22"}}, want: `{"path":{"s":"a/b+c\u00e9\ud83d\udc38\""}}`},
		{name: "bad escape in the path", path: "/{s}", params: "{name: s, in: path, required: true, type: string}",
			req: request{path: []string{"a%2"}}, bad: "path:s:has a percent sign without two hexadecimal digits behind it"},
		{name: "bad UTF-8 in the path", path: "/{s}", params: "{name: s, in: path, required: true, type: string}",
			req: request{path: []string{"%ff"}}, bad: "path:s:must be UTF-8"},
		{name: "path array", path: "/{s}", params: "{name: s, in: path, required: true, type: array, collectionFormat: pipes, items: {type: integer}}",
			req: request{path: []string{"1|2%7C3"}}, want: `{"path":{"s":[1,2,3]}}`},

		{name: "number", params: "{name: n, in: query, type: number}", req: request{query: "n=0.10"}, want: `{"query":{"n":0.10}}`},
		{name: "number with exponent", params: "{name: n, in: query, type: number}", req: request{query: "n=-1.5e%2B3"}, want: `{"query":{"n":-1.5e+3}}`},
		{name: "not JSON's numbers", params: "{name: n, in: query, type: array, items: {type: number}}",
			req: request{query: "n=NaN,Inf,0x10,1_0,.5,1.,01,1e999,,-"},
			bad: "query:n:item 0 must be a number\nquery:n:item 1 must be a number\nquery:n:item 2 must be a number\nquery:n:item 3 must be a number\n" +
				"query:n:item 4 must be a number\nquery:n:item 5 must be a number\nquery:n:item 6 must be a number\n" +
				"query:n:item 7 must be a number that a 64-bit float can hold\nquery:n:item 8 must be a number\nquery:n:item 9 must be a number"},
		{name: "float range", params: "{name: n, in: query, type: number, format: float}", req: request{query: "n=1e39"},
			bad: "query:n:must be a number that a 32-bit float can hold"},
		{name: "booleans", params: "{name: b, in: query, type: array, items: {type: boolean}}", req: request{query: "b=true,false,1,0"},
			want: `{"query":{"b":[true,false,true,false]}}`},
		{name: "not booleans", params: "{name: b, in: query, type: array, items: {type: boolean}}", req: request{query: "b=True,yes"},
			bad: "query:b:item 0 must be true or false\nquery:b:item 1 must be true or false"},

		{name: "csv", params: "{name: a, in: query, type: array, items: {type: string}}", req: request{query: "a=x,%20y+,z%2Cw,"},
			want: `{"query":{"a":["x","y","z","w",""]}}`},
		{name: "ssv", params: "{name: a, in: query, type: array, collectionFormat: ssv, items: {type: string}}", req: request{query: "a=x+y%20z"},
			want: `{"query":{"a":["x","y","z"]}}`},
		{name: "tsv", params: "{name: a, in: query, type: array, collectionFormat: tsv, items: {type: string}}", req: request{query: "a=x%09y"},
			want: `{"query":{"a":["x","y"]}}`},
		{name: "multi", params: "{name: a, in: query, type: array, collectionFormat: multi, items: {type: integer}}", req: request{query: "a=1&b=2&a=3"},
			want: `{"query":{"a":[1,3],"b":"2"}}`},
		{name: "nested arrays", params: "{name: a, in: query, type: array, collectionFormat: multi, items: {type: array, collectionFormat: pipes, items: {type: integer, maximum: 3}}}",
			req: request{query: "a=1|2&a=3"}, want: `{"query":{"a":[[1,2],[3]]}}`},
		{name: "nested arrays, wrong", params: "{name: a, in: query, type: array, items: {type: array, collectionFormat: pipes, maxItems: 1, items: {type: integer, maximum: 3}}}",
			req: request{query: "a=1|2,4"}, bad: "query:a:item 0 must have at most 1 items\nquery:a:item 1 must be at most 3"},
		{name: "item counts", params: "{name: a, in: query, type: array, minItems: 2, maxItems: 3, items: {type: string}},{name: b, in: query, type: array, maxItems: 1, items: {type: string}}",
			req: request{query: "a=x&b=1,2"}, bad: "query:a:must have at least 2 items\nquery:b:must have at most 1 items"},
		{name: "unique", params: "{name: a, in: query, type: array, uniqueItems: true, items: {type: number}}", req: request{query: "a=1,2,1.0"},
			bad: "query:a:must not hold the same item twice"},

		{name: "given twice", params: "{name: a, in: query, type: string},{name: b, in: query, type: array, items: {type: string}}",
			req: request{query: "a=1&a=1&b=1&b=2"}, bad: "query:a:is given more than once\nquery:b:is given more than once"},
		{name: "required and default", params: "{name: a, in: query, type: string, required: true},{name: b, in: query, type: integer, default: 7},{name: c, in: query, type: string, default: 'é'}",
			req: request{query: "a=x"}, want: `{"query":{"a":"x","b":7,"c":"\u00e9"}}`},
		{name: "required and absent", params: "{name: a, in: query, type: string, required: true},{name: A, in: header, type: string, required: true},{name: f, in: formData, type: string, required: true}",
			bad: "query:a:is required\nheader:A:is required\nformData:f:is required"},
		{name: "empty", params: "{name: s, in: query, type: string},{name: a, in: query, type: array, items: {type: string}},{name: d, in: query, type: integer, default: 3}",
			req: request{query: "s=&a=&d"}, want: `{"query":{"s":"","a":[],"d":3}}`},
		{name: "empty and wrong", params: "{name: s, in: query, type: string, required: true},{name: i, in: query, type: integer}",
			req: request{query: "s=&i="}, bad: "query:s:must not be empty\nquery:i:must be an integer"},
		{name: "allowEmptyValue", params: "{name: s, in: query, type: string, required: true, allowEmptyValue: true},{name: i, in: query, type: integer, allowEmptyValue: true},{name: a, in: query, type: array, allowEmptyValue: true, required: true, items: {type: string}}",
			req: request{query: "s&i=&a"}, want: `{"query":{"s":"","i":null,"a":[]}}`},

		{name: "enum", params: "{name: a, in: query, type: string, enum: [red, green]},{name: b, in: query, type: integer, enum: [1, 2]},{name: c, in: query, type: boolean, enum: [true]},{name: d, in: query, type: string, enum: [1, 2]}",
			req: request{query: "a=red&b=2&c=1&d=1"}, want: `{"query":{"a":"red","b":2,"c":true,"d":"1"}}`},
		{name: "enum, wrong", params: "{name: a, in: query, type: string, enum: [red, green]},{name: b, in: query, type: integer, enum: [1, 2]},{name: c, in: query, type: boolean, enum: [true]},{name: d, in: query, type: array, items: {type: integer}, enum: [[1, 2]]}",
			req: request{query: "a=blue&b=3&c=0&d=2,1"},
			bad: "query:a:must be one of red, green\nquery:b:must be one of 1, 2\nquery:c:must be one of true\nquery:d:must be one of [1,2]"},
		{name: "ranges", params: "{name: a, in: query, type: integer, minimum: 1, maximum: 3},{name: b, in: query, type: number, minimum: 1, exclusiveMinimum: true},{name: c, in: query, type: integer, maximum: 9007199254740993},{name: d, in: query, type: integer, multipleOf: 3},{name: e, in: query, type: number, multipleOf: 0.1}",
			req: request{query: "a=0&b=1&c=9007199254740994&d=4&e=0.35"},
			bad: "query:a:must be at least 1\nquery:b:must be more than 1\nquery:c:must be at most 9007199254740992\nquery:d:must be a multiple of 3\nquery:e:must be a multiple of 0.1"},
		{name: "lengths in code points", params: "{name: a, in: query, type: string, minLength: 2, maxLength: 3, pattern: '^[a-zé]+$'}",
			req: request{query: "a=%C3%A9%C3%A9%C3%A9"}, want: `{"query":{"a":"\u00e9\u00e9\u00e9"}}`},
		{name: "every violation of one value", params: "{name: a, in: query, type: string, minLength: 2, pattern: '^[a-z]+$', enum: [xx]}",
			req: request{query: "a=1"}, bad: "query:a:must be at least 2 characters long\nquery:a:must match ^[a-z]+$\nquery:a:must be one of xx"},
		{name: "formats", params: "{name: a, in: query, type: string, format: date},{name: b, in: query, type: string, format: date-time},{name: c, in: query, type: string, format: uuid},{name: d, in: query, type: string, format: email},{name: e, in: query, type: string, format: byte},{name: f, in: query, type: string, format: ipv4},{name: g, in: query, type: string, format: frog},{name: h, in: query, type: string, format: password}",
			req: request{query: "a=2026-02-30&b=x&c=x&d=x&e=*&f=1.2.3&g=x&h=x"},
			bad: "query:a:must be of the format date\nquery:b:must be of the format date-time\nquery:c:must be of the format uuid\nquery:d:must be of the format email\nquery:e:must be of the format byte\nquery:f:must be of the format ipv4"},
		{name: "formats, right", params: "{name: a, in: query, type: string, format: date},{name: b, in: query, type: string, format: date-time},{name: c, in: query, type: string, format: uuid}",
			req:  request{query: "a=2026-02-28&b=2026-02-28T10:00:00Z&c=6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
			want: `{"query":{"a":"2026-02-28","b":"2026-02-28T10:00:00Z","c":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"}}`},

		{name: "header", params: "{name: X-Rate, in: header, type: integer},{name: x-tags, in: header, type: array, items: {type: string}}",
			req: request{header: []string{"x-rate", "5", "X-Tags", "a, b", "X-Tags", "c", "X-Other", "z"}}, want: `{"header":{"X-Rate":5,"x-tags":["a","b","c"]}}`},
		{name: "header twice", params: "{name: X-Rate, in: header, type: integer}",
			req: request{header: []string{"X-Rate", "5", "X-Rate", "6"}}, bad: "header:X-Rate:is given more than once"},
		{name: "header in Latin-1", params: "{name: X-Name, in: header, type: string}",
			req: request{header: []string{"X-Name", "\xe9"}}, bad: "header:X-Name:must be UTF-8"},
		{name: "a header's percent sign is one", params: "{name: X-Name, in: header, type: string}",
			req: request{header: []string{"X-Name", "100%+1"}}, want: `{"header":{"X-Name":"100%+1"}}`},

		{name: "form", params: "{name: a, in: formData, type: integer},{name: b, in: formData, type: array, collectionFormat: multi, items: {type: string}},{name: c, in: formData, type: string, default: z}",
			req:  request{contentType: "application/x-www-form-urlencoded; charset=utf-8", body: "a=1&b=x+y&other=1&b=%26"},
			want: `{"form":{"a":1,"b":["x y","&"],"c":"z"}}`},
		{name: "form of another type", params: "{name: a, in: formData, type: integer}",
			req: request{contentType: "application/json", body: "a=1"}, want: `{}`},
		{name: "file in a plain form", params: "{name: a, in: formData, type: file, required: true}",
			req: request{contentType: "application/x-www-form-urlencoded", body: "a=1"}, bad: "formData:a:must be sent as a file (multipart/form-data with a filename)"},
		{name: "multipart without boundary", params: "{name: a, in: formData, type: string}",
			req: request{contentType: "multipart/form-data", body: "--x"}, bad: "formData::has a Content-Type without a boundary"},
		{name: "multipart cut short", params: "{name: a, in: formData, type: string}",
			req: request{contentType: "multipart/form-data; boundary=x", body: "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1"}, bad: "formData::is not valid multipart/form-data"},

		{name: "undeclared path value", path: "/{a}/{b}", params: "{name: b, in: path, required: true, type: integer}",
			req: request{path: []string{"x", "1"}}, want: `{"path":{"a":"x","b":1}}`},
		{name: "odd names", params: `{name: "a b\"é", in: query, type: string}`, req: request{query: "a+b%22%c3%a9=1"}, want: `{"query":{"a b\"\u00e9":"1"}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := tc.path
			if path == "" {
				path = "/x"
			}
			doc := operation(t, path, params(tc.params))
			b, err := New(doc, pathNames(path), nil)
			if err != nil {
				t.Fatal(err)
			}
			got, bad := tc.req.bind(b)
			if tc.bad != "" || bad != nil {
				if got != "" {
					t.Errorf("with violations, params = %q, want none", got)
				}
				if list := lines(bad); list != tc.bad {
					t.Fatalf("violations:\n%s\nwant:\n%s", list, tc.bad)
				}
				return
			}
			for _, empty := range []string{`"path":{},`, `"query":{},`, `"header":{},`, `"form":{}`} {
				got = strings.Replace(got, empty, "", 1)
			}
			if got = strings.Replace(got, `},}`, `}}`, 1); got != tc.want {
				t.Errorf("params = %s\nwant     %s", got, tc.want)
			}
		})
	}
}

func lines(bad []Violation) string {
	var list []string
	for _, v := range bad {
		list = append(list, v.In+":"+v.Name+":"+v.Message)
	}
	return strings.Join(list, "\n")
}

func TestMultipart(t *testing.T) {
	b := binder(t, "/x", "{consumes: [multipart/form-data], parameters: [{name: f, in: formData, type: file, required: true}, {name: n, in: formData, type: integer}]}")
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, _ := w.CreateFormFile("f", "é.txt")
	_, _ = part.Write([]byte("hello"))
	_ = w.WriteField("n", "12")
	_ = w.WriteField("other", "x")
	_ = w.Close()

	got, bad := request{contentType: w.FormDataContentType(), body: body.String()}.bind(b)
	if want := `{"path":{},"query":{},"header":{},"form":{"f":{"filename":"\u00e9.txt","size":5},"n":12}}`; got != want || bad != nil {
		t.Errorf("params = %s %v, want %s", got, bad, want)
	}
	if _, bad := (request{contentType: w.FormDataContentType(), body: "--" + w.Boundary() + "--\r\n"}).bind(b); lines(bad) != "formData:f:is required" {
		t.Errorf("violations = %v", bad)
	}

	body.Reset()
	w = multipart.NewWriter(&body)
	for range MaxParts + 1 {
		_ = w.WriteField("other", "x")
	}
	_ = w.Close()
	if _, bad := (request{contentType: w.FormDataContentType(), body: body.String()}).bind(b); !strings.Contains(lines(bad), "more than 1000 parts") {
		t.Errorf("violations = %v", bad)
	}
}

func TestViolationsAreCapped(t *testing.T) {
	b := binder(t, "/x", params("{name: a, in: query, type: array, items: {type: integer}}"))
	_, bad := request{query: "a=" + strings.Repeat("x,", 5000)}.bind(b)
	if len(bad) != MaxViolations+1 || bad[MaxViolations].Message != "there are more violations than the 100 listed" {
		t.Errorf("%d violations, the last %v", len(bad), bad[len(bad)-1])
	}
}

// A value bound to a header goes on one line of visible ASCII, whatever it holds.
func TestParamsAreVisibleASCII(t *testing.T) {
	b := binder(t, "/x", params("{name: a, in: query, type: string}"))
	var all []byte
	for c := range 256 {
		all = append(all, fmt.Sprintf("%%%02x", c)...)
	}
	got, bad := request{query: "b" + string(all) + "=" + string(all) + "&a=%00%0d%0a%7f%e2%80%a8"}.bind(b)
	if bad != nil {
		t.Fatal(bad)
	}
	checkParams(t, got)
	if !strings.Contains(got, `"a":"\u0000\u000d\u000a\u007f\u2028"`) {
		t.Errorf("params = %s", got)
	}
}

// checkParams fails unless params can be a header's value and is JSON of the
// promised shape.
func checkParams(t testing.TB, params string) {
	t.Helper()
	for i := range len(params) {
		if c := params[i]; c < ' ' || c > '~' {
			t.Fatalf("byte %d of the params is %#x: %q", i, c, params)
		}
	}
	var groups map[string]map[string]any
	if err := json.Unmarshal([]byte(params), &groups); err != nil {
		t.Fatalf("params are not JSON: %v: %s", err, params)
	}
	if len(groups) != 4 || groups["path"] == nil || groups["query"] == nil || groups["header"] == nil || groups["form"] == nil {
		t.Fatalf("params = %s", params)
	}
}

func TestContentEncoding(t *testing.T) {
	b := binder(t, "/x", "{parameters: [{name: data, in: body, schema: {type: object, required: [a]}}]}")
	zip := func(s string) string {
		var buf bytes.Buffer
		w := gzip.NewWriter(&buf)
		_, _ = w.Write([]byte(s))
		_ = w.Close()
		return buf.String()
	}
	for _, tc := range []struct {
		encoding, body, bad string
	}{
		{"identity", `{"a":1}`, ""},
		{"gzip", zip(`{"a":1}`), ""},
		{"gzip", zip(`{}`), "body:a:is required"},
		{"gzip", `{"a":1}`, "body:data:is not valid in its Content-Encoding"},
		{"gzip", zip(strings.Repeat(" ", MaxInflated+1)), "body:data:is larger than 32 MiB once unpacked"},
		{"frog", `{"a":1}`, "body:data:has a Content-Encoding that cannot be checked; gzip, deflate, br and zstd can"},
	} {
		_, bad := request{contentType: "application/json", encoding: tc.encoding, body: tc.body}.bind(b)
		if got := lines(bad); got != tc.bad {
			t.Errorf("%s: %s, want %s", tc.encoding, got, tc.bad)
		}
	}
}

func TestWarnings(t *testing.T) {
	op := operation(t, "/x", params("{name: a, in: query, type: string}"))
	op.Params[0].Pattern = "(?!x)"
	op.Params[0].Type = "object"
	op.Params[0].CollectionFormat = "multi"
	b, err := New(op, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`query parameter a: type "object" is none of a parameter's and is taken for string`,
		`query parameter a: pattern "(?!x)" is not an RE2 expression and is not checked`}
	if got := b.Warnings(); !reflect.DeepEqual(got, want) {
		t.Errorf("warnings = %q", got)
	}
	if _, bad := (request{query: "a=x"}).bind(b); bad != nil {
		t.Errorf("violations = %v", bad)
	}
}

func TestConcurrentUse(t *testing.T) {
	doc := document(t, `
paths: {'/{n}': {post: {parameters: [{name: n, in: path, required: true, type: integer}, {name: b, in: body, schema: {$ref: '#/definitions/Node'}}]}}}
definitions: {Node: {type: object, required: [v], properties: {v: {type: integer}, kids: {type: array, items: {$ref: '#/definitions/Node'}}}}}`)
	b, err := New(doc.Operations[0], []string{"n"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				r := request{path: []string{"1"}, contentType: "application/json", body: `{"v":1,"kids":[{"v":2,"kids":[{"v":"x"}]}]}`}
				if _, bad := r.bind(b); lines(bad) != "body:kids[0].kids[0].v:must be an integer" {
					t.Errorf("violations = %v", bad)
				}
			}
		})
	}
	wg.Wait()
}

func TestNoAllocation(t *testing.T) {
	for _, tc := range []struct {
		name, path, object string
		req                request
	}{
		{"nothing to do", "/x", "{}", request{}},
		{"int64 in the path", "/{n}", params("{name: n, in: path, required: true, type: integer, format: int64}"), request{path: []string{"12345678901"}}},
		{"query and header", "/x", params("{name: a, in: query, type: string, pattern: '^x+$'}", "{name: X-B, in: header, type: boolean}"), request{query: "a=xx%78&b=%20", header: []string{"X-B", "true"}}},
		{"body", "/x", "{parameters: [{name: b, in: body, schema: {type: object, required: [a], properties: {a: {type: integer, minimum: 1}, b: {type: array, items: {type: string, maxLength: 3}}}}}]}",
			request{contentType: "application/json", body: `{"a": 17, "b": ["x", "\u00e9"], "c": {"d": null}}`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := binder(t, tc.path, tc.object)
			var req fasthttp.Request
			values := tc.req.fill(&req)
			dst := make([]byte, 0, 4096)
			body := req.Body()
			var bad []Violation
			s := new(state) // not the pool's: under the race detector that one forgets at random
			n := testing.AllocsPerRun(200, func() {
				dst, bad = s.bind(dst[:0], b, &req, values, req.URI().QueryString(), body)
				s.release()
			})
			if n != 0 || bad != nil {
				t.Errorf("%v allocations, violations %v", n, bad)
			}
		})
	}
}

func FuzzBind(f *testing.F) {
	types := []string{"type: string, minLength: 1, pattern: '^[a-z]'", "type: integer, format: int32", "type: number, multipleOf: 0.5", "type: boolean",
		"type: array, uniqueItems: true, items: {type: number}", "type: array, collectionFormat: pipes, items: {type: array, items: {type: integer}}", "type: string, format: date"}
	var list []string
	for i, typ := range types {
		list = append(list, fmt.Sprintf("{name: p%d, in: path, required: true, %s}", i, typ))
		list = append(list, fmt.Sprintf("{name: q%d, in: query, %s}", i, typ))
		list = append(list, fmt.Sprintf("{name: h%d, in: header, %s}", i, typ))
		list = append(list, fmt.Sprintf("{name: f%d, in: formData, %s}", i, typ))
	}
	list = append(list, "{name: m, in: query, type: array, collectionFormat: multi, items: {type: string}}", "{name: file, in: formData, type: file}")
	path := "/{p0}/{p1}/{p2}/{p3}/{p4}/{p5}/{p6}"
	b := binder(f, path, params(list...))
	lax := binder(f, "/{a}", params("{name: a, in: path, required: true, type: string}", "{name: q, in: query, type: array, items: {type: string}}", "{name: x-h, in: header, type: string}", "{name: f, in: formData, type: string}"))

	f.Add("a", "q0=x&q1=1&m=1&m=2&u=%zz", "1.5", "f0=x&f2=2", "application/x-www-form-urlencoded")
	f.Add("%C3%A9", "q4=1,2,1.0&q5=1,2|3", "true", "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b")
	f.Add("%", "&&=&q6=2026-01-01", "\xff", "", "")
	f.Fuzz(func(t *testing.T, value, query, header, body, contentType string) {
		var req fasthttp.Request
		req.SetRequestURI("/")
		req.URI().SetQueryString(query)
		req.Header.SetContentType(contentType)
		values := make([][]byte, len(types))
		for i := range types {
			values[i] = []byte(value)
			req.Header.Set(fmt.Sprintf("h%d", i), header)
		}
		req.Header.Set("x-h", header)
		req.SetBodyString(body)
		for _, b := range []*Binder{b, lax} {
			out, bad := b.Bind(nil, &req, values[:len(b.path)], req.Body())
			if bad == nil {
				checkParams(t, string(out))
				continue
			}
			if len(out) > 0 || len(bad) > MaxViolations+1 {
				t.Fatalf("%d violations, params %q", len(bad), out)
			}
			for _, v := range bad {
				if v.Message == "" || !utf8.ValidString(v.Message) || !utf8.ValidString(v.Name) {
					t.Fatalf("violation %q", v)
				}
			}
		}
	})
}
