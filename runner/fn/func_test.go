package fn_test

import (
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/runner/fn"
)

type data struct {
	Name string `json:"name"`
	Age  int64  `json:"age"`
}

func returns(out any, err error) fn.Func {
	return fn.Typed(func(*fn.Context, fn.None) (any, error) { return out, err })
}

func TestTypedAnswers(t *testing.T) {
	var noData *data
	var noResponse *fn.Response
	for name, tc := range map[string]struct {
		f           fn.Func
		status      int
		contentType string
		body        string
	}{
		"struct":         {returns(data{"a<b>&c", math.MaxInt64}, nil), 200, "application/json", `{"name":"a<b>&c","age":9223372036854775807}`},
		"pointer":        {returns(&data{"x", 1}, nil), 200, "application/json", `{"name":"x","age":1}`},
		"slice":          {returns([]data{}, nil), 200, "application/json", `[]`},
		"number":         {returns(42, nil), 200, "application/json", `42`},
		"nil slice":      {returns([]data(nil), nil), 200, "application/json", `null`},
		"bytes":          {returns([]byte{1, 2}, nil), 200, "application/octet-stream", "\x01\x02"},
		"string":         {returns("hello", nil), 200, "text/plain; charset=utf-8", "hello"},
		"reader":         {returns(strings.NewReader("streamed"), nil), 200, "application/octet-stream", "streamed"},
		"nil":            {returns(nil, nil), 204, "", ""},
		"nil pointer":    {returns(noData, nil), 204, "", ""},
		"nil response":   {returns(noResponse, nil), 204, "", ""},
		"none":           {returns(fn.None{}, nil), 204, "", ""},
		"response":       {returns(&fn.Response{Status: 201, ContentType: "text/x", Body: []byte("made")}, nil), 201, "text/x", "made"},
		"response value": {returns(fn.Response{Body: []byte("v")}, nil), 200, "application/octet-stream", "v"},
		"static Out": {fn.Typed(func(*fn.Context, fn.None) (data, error) { return data{"s", 2}, nil }),
			200, "application/json", `{"name":"s","age":2}`},
		"raw": {fn.Raw(func(*fn.Context) (*fn.Response, error) {
			return &fn.Response{Status: 418, Header: http.Header{"content-type": {"a/b"}}, Body: []byte("tea")}, nil
		}), 418, "a/b", "tea"},
		"raw nil": {fn.Raw(func(*fn.Context) (*fn.Response, error) { return nil, nil }), 204, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			srv, _ := serveOne(t, tc.f, fn.Options{})
			got := call(t, srv, "GET", "/", "")
			if got.status != tc.status || got.header.Get("Content-Type") != tc.contentType || got.body != tc.body {
				t.Errorf("got %d %q %q, want %d %q %q", got.status, got.header.Get("Content-Type"), got.body, tc.status, tc.contentType, tc.body)
			}
			if tc.status != 204 && got.length != int64(len(tc.body)) {
				t.Errorf("Content-Length is %d for %d bytes", got.length, len(tc.body))
			}
		})
	}
}

func TestTypedBodies(t *testing.T) {
	type big struct {
		N int64 `json:"n"`
	}
	echo := map[string]fn.Func{
		"struct": fn.Typed(func(_ *fn.Context, in data) (data, error) { return in, nil }),
		"any":    fn.Typed(func(_ *fn.Context, in any) (any, error) { return in, nil }),
		"map":    fn.Typed(func(_ *fn.Context, in map[string]any) (map[string]any, error) { return in, nil }),
		"ptr":    fn.Typed(func(_ *fn.Context, in *big) (*big, error) { return in, nil }),
		"bytes":  fn.Typed(func(_ *fn.Context, in []byte) ([]byte, error) { return in, nil }),
		"string": fn.Typed(func(_ *fn.Context, in string) (string, error) { return in, nil }),
		"reader": fn.Typed(func(_ *fn.Context, in io.Reader) (string, error) {
			b, err := io.ReadAll(in)
			return string(b), err
		}),
		"none": fn.Typed(func(*fn.Context, fn.None) (string, error) { return "not read", nil }),
	}
	for _, tc := range []struct {
		in, body string
		status   int
		want     string
	}{
		{"struct", `{"name":"a","age":9007199254740993}`, 200, `{"name":"a","age":9007199254740993}`},
		{"struct", ``, 200, `{"name":"","age":0}`},
		{"struct", `{"name":`, 400, "ends too early"},
		{"struct", `{"name":"a"} x`, 400, "more follows"},
		{"struct", `{"name":"a"}{}`, 400, "more follows"},
		{"struct", `{"name":7}`, 400, "name"},
		{"struct", `nonsense`, 400, "invalid character"},
		{"any", `{"n":9007199254740993,"f":1.50}`, 200, `{"f":1.50,"n":9007199254740993}`},
		{"map", `{"n":18446744073709551616}`, 200, `{"n":18446744073709551616}`},
		{"ptr", `{"n":-9223372036854775808}`, 200, `{"n":-9223372036854775808}`},
		{"ptr", ``, 204, ``},
		{"ptr", `null`, 204, ``},
		{"bytes", "\x00\xff", 200, "\x00\xff"},
		{"string", `{"as":"it is"`, 200, `{"as":"it is"`},
		{"reader", "some text", 200, "some text"},
		{"none", `{"ignored":`, 200, "not read"},
	} {
		t.Run(tc.in+"/"+tc.body, func(t *testing.T) {
			srv, out := serveOne(t, echo[tc.in], fn.Options{})
			got := call(t, srv, "POST", "/", tc.body, "Content-Type: application/json")
			if got.status != tc.status || tc.status < 400 && got.body != tc.want || !strings.Contains(got.body, tc.want) {
				t.Errorf("got %d %q, want %d %q", got.status, got.body, tc.status, tc.want)
			}
			if out.String() != "" { // a client's mistake is no event in the log
				t.Errorf("logged %q", out)
			}
		})
	}
}

// A chunked body has no length that could be believed.
func TestBodyOfUnknownLength(t *testing.T) {
	srv, _ := serveOne(t, fn.Typed(func(ctx *fn.Context, in []byte) (string, error) {
		again, err := ctx.Body()
		if err != nil || string(again) != string(in) {
			return "", errors.New("the body is another the second time")
		}
		return string(in), nil
	}), fn.Options{})
	req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL, io.MultiReader(strings.NewReader("one, "), strings.NewReader("two")))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Funcatron-Operation", "op")
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if got, err := io.ReadAll(res.Body); err != nil || string(got) != "one, two" {
		t.Errorf("got %q, %v", got, err)
	}
}

// The Runner keeps its connections: an answer to a body that nobody read must
// not close one under it.
func TestUnreadBodyKeepsTheConnection(t *testing.T) {
	srv, _ := serveOne(t, returns("ok", nil), fn.Options{})
	body := strings.Repeat("x", 4<<20)
	for range 3 {
		if got := call(t, srv, "POST", "/", body); got.status != 200 || got.header.Get("Connection") == "close" {
			t.Fatalf("got %d, Connection: %q", got.status, got.header.Get("Connection"))
		}
	}
}
