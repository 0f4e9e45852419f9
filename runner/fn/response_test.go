package fn_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/funcatron/funcatron/runner/fn"
)

func TestErrors(t *testing.T) {
	secret := errors.New("dial tcp 10.0.0.7: password hunter2")
	for name, tc := range map[string]struct {
		err    error
		status int
		detail string
		logged string // "" is not at all
	}{
		"plain":        {secret, 500, "the function failed; its log says why, under this requestId", "hunter2"},
		"chosen":       {fn.Errorf(404, "no user %d", 7), 404, "no user 7", ""},
		"chosen 503":   {fn.Errorf(503, "later"), 503, "later", "later"},
		"wrapped":      {fmt.Errorf("look up: %w", fn.Errorf(409, "taken")), 409, "taken", ""},
		"with a cause": {&fn.Error{Status: 502, Message: "the bank is away", Err: secret}, 502, "the bank is away", "hunter2"},
		"no message":   {&fn.Error{Status: 403}, 403, "", ""},
		"odd status":   {&fn.Error{Status: 42, Message: "m"}, 500, "m", "m"},
		"not standard": {fn.Errorf(499, "gone"), 499, "gone", ""},
	} {
		t.Run(name, func(t *testing.T) {
			srv, out := serveOne(t, returns(nil, tc.err), fn.Options{})
			got := call(t, srv, "GET", "/", "")
			var p struct {
				Title, Detail, RequestID string
				Status                   int
			}
			if err := json.Unmarshal([]byte(got.body), &p); err != nil {
				t.Fatalf("%q: %v", got.body, err)
			}
			if got.status != tc.status || p.Status != tc.status || p.Detail != tc.detail || p.RequestID != reqID || p.Title == "" {
				t.Errorf("got %d %s", got.status, got.body)
			}
			if ct := got.header.Get("Content-Type"); ct != "application/problem+json" {
				t.Errorf("Content-Type is %q", ct)
			}
			if log := out.String(); tc.logged == "" && log != "" || !strings.Contains(log, tc.logged) {
				t.Errorf("logged %q, want %q", log, tc.logged)
			}
		})
	}
}

func TestErrorfKeepsTheCause(t *testing.T) {
	cause := errors.New("cause")
	err := fn.Errorf(400, "read it: %w", cause)
	if !errors.Is(err, cause) || err.Error() != "read it: cause" {
		t.Errorf("got %v, whose cause is lost: %t", err, !errors.Is(err, cause))
	}
	err = &fn.Error{Status: 400, Err: cause}
	if got := err.Error(); got != "Bad Request: cause" {
		t.Errorf("got %q", got)
	}
}

func TestDeadlinePassed(t *testing.T) {
	srv, _ := serveOne(t, fn.Raw(func(ctx *fn.Context) (*fn.Response, error) {
		<-ctx.Done()
		return nil, fmt.Errorf("wait: %w", context.Cause(ctx))
	}), fn.Options{})
	if got := call(t, srv, "GET", "/", "", "X-Funcatron-Timeout-Ms: 20"); got.status != 504 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestResponseHeaders(t *testing.T) {
	shared := &fn.Response{ // one for all requests: fn must not change it
		Header: http.Header{
			"Set-Cookie":        {"a=1", "b=2"},
			"Connection":        {"close"},
			"Transfer-Encoding": {"chunked"},
			"Content-Length":    {"999"},
			"Content-Encoding":  {"gzip"},
		},
		Body: []byte("body"),
	}
	srv, _ := serveOne(t, fn.Raw(func(*fn.Context) (*fn.Response, error) { return shared, nil }), fn.Options{})
	for range 2 {
		got := call(t, srv, "GET", "/", "", "Accept-Encoding: identity")
		if got.body != "body" || got.length != 4 {
			t.Errorf("got %q of length %d", got.body, got.length)
		}
		if c := got.header.Values("Set-Cookie"); !slices.Equal(c, []string{"a=1", "b=2"}) {
			t.Errorf("cookies are %q", c)
		}
		if got.header.Get("Connection") != "" || got.header.Get("Content-Encoding") != "gzip" {
			t.Errorf("headers are %v", got.header)
		}
	}
}

func TestHead(t *testing.T) {
	for name, tc := range map[string]struct {
		res  fn.Response
		want int64
	}{
		"body made":    {fn.Response{Body: []byte("12345")}, 5},
		"length named": {fn.Response{Header: http.Header{"Content-Length": {"77"}}}, 77},
		"short reader": {fn.Response{BodyReader: strings.NewReader("123")}, 3},
		"nothing":      {fn.Response{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			srv, _ := serveOne(t, returns(tc.res, nil), fn.Options{})
			if got := call(t, srv, "HEAD", "/", ""); got.status != 200 || got.length != tc.want || got.body != "" {
				t.Errorf("got %d, length %d, %q", got.status, got.length, got.body)
			}
		})
	}
}

func TestBadStatus(t *testing.T) {
	for _, status := range []int{-1, 1, 100, 101, 199, 600, 1000} {
		srv, out := serveOne(t, returns(&fn.Response{Status: status}, nil), fn.Options{})
		if got := call(t, srv, "GET", "/", ""); got.status != 500 {
			t.Errorf("status %d was answered %d", status, got.status)
		}
		if want := fmt.Sprintf("status %d", status); !strings.Contains(out.String(), want) {
			t.Errorf("logged %q, want %q", out, want)
		}
	}
}

func TestNoBodyWith304(t *testing.T) {
	srv, out := serveOne(t, returns(&fn.Response{Status: 304, Body: []byte("must not be sent")}, nil), fn.Options{})
	if got := call(t, srv, "GET", "/", ""); got.status != 304 || got.body != "" || out.String() != "" {
		t.Errorf("got %d %q, logged %q", got.status, got.body, out)
	}
}

// closer tells whether it was closed.
type closer struct {
	io.Reader
	closed chan struct{}
}

func (c *closer) Close() error {
	close(c.closed)
	return nil
}

func TestBodyReader(t *testing.T) {
	long := strings.Repeat("0123456789", 20_000)
	broken := errors.New("the disk is gone")
	for name, tc := range map[string]struct {
		from   io.Reader
		status int
		body   string // "" with 200 is broken off
	}{
		"short":            {strings.NewReader("short"), 200, "short"},
		"byte by byte":     {iotest.OneByteReader(strings.NewReader("slowly")), 200, "slowly"},
		"empty":            {strings.NewReader(""), 200, ""},
		"long":             {strings.NewReader(long), 200, long},
		"broken early":     {io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)), 500, "requestId"},
		"truncated source": {io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF)), 500, "requestId"},
		"panics":           {readerFunc(func([]byte) (int, error) { panic("in Read") }), 500, "requestId"},
	} {
		t.Run(name, func(t *testing.T) {
			from := &closer{tc.from, make(chan struct{})}
			srv, _ := serveOne(t, returns(&fn.Response{BodyReader: from}, nil), fn.Options{})
			got := call(t, srv, "GET", "/", "")
			if got.status != tc.status || tc.status == 200 && got.body != tc.body || !strings.Contains(got.body, tc.body) {
				t.Errorf("got %d, %d bytes", got.status, len(got.body))
			}
			<-from.closed
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Half an answer must not look like a whole one.
func TestBodyReaderBreaksLate(t *testing.T) {
	from := &closer{io.MultiReader(strings.NewReader(strings.Repeat("x", 100_000)), iotest.ErrReader(errors.New("the disk is gone"))), make(chan struct{})}
	srv, out := serveOne(t, returns(&fn.Response{BodyReader: from}, nil), fn.Options{})
	req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Funcatron-Operation", "op")
	res, err := srv.Client().Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Error("the client took it for a whole answer")
	}
	<-from.closed
	eventually(t, "the log", func() bool { return strings.Contains(out.String(), "the disk is gone") })
}

// A reader made along with an error is nobody else's to close.
func TestBodyReaderClosedOnError(t *testing.T) {
	from := &closer{strings.NewReader("x"), make(chan struct{})}
	srv, _ := serveOne(t, fn.Raw(func(*fn.Context) (*fn.Response, error) {
		return &fn.Response{BodyReader: from}, fn.Errorf(400, "no")
	}), fn.Options{})
	if got := call(t, srv, "GET", "/", ""); got.status != 400 {
		t.Errorf("got %d", got.status)
	}
	<-from.closed
}
