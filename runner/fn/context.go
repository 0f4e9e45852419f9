package fn

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// The headers by which the Runner tells the function about a request.
const (
	headerRequestID   = "X-Request-Id"
	headerTraceparent = "Traceparent"
	headerTracestate  = "Tracestate"
	headerOperation   = "X-Funcatron-Operation"
	headerParams      = "X-Funcatron-Params"
	headerTimeout     = "X-Funcatron-Timeout-Ms"
)

// Context is one request and what a function may use while it serves it. It is a
// context.Context: it ends at the request's deadline, when nobody waits for the
// answer any more, and when the request is over.
//
// Its methods may be called by several goroutines at once, and none of them
// after the function has returned. What they return is shared, and not to be
// changed.
type Context struct {
	context.Context

	handler   *Handler
	req       *http.Request
	requestID string
	operation string
	params    params
	session   session

	// Made when first asked for: most requests need few of them.
	queryOnce  sync.Once
	query      map[string]any // declared and undeclared
	bodyOnce   sync.Once
	body       []byte
	bodyErr    error
	loggerOnce sync.Once
	logger     *slog.Logger
	clientOnce sync.Once
	client     *http.Client
}

// newContext makes r's Context, which cancel ends. The Context of a request
// whose parameters cannot be read comes with the error.
func (h *Handler) newContext(r *http.Request) (c *Context, cancel context.CancelFunc, err error) {
	c = &Context{handler: h, req: r, operation: headerOf(r, headerOperation)}
	c.requestID = requestIDOf(r.Header)
	if left, ok := timeLeft(headerOf(r, headerTimeout)); ok {
		c.Context, cancel = context.WithTimeout(r.Context(), left)
	} else {
		c.Context, cancel = context.WithCancel(r.Context())
	}
	c.params, err = parseParams(headerOf(r, headerParams))
	return c, cancel, err
}

// headerOf is Header.Get for a name known to be canonical.
func headerOf(r *http.Request, name string) string {
	if v := r.Header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// maxTimeout keeps a deadline within what a time.Duration holds.
const maxTimeout = 24 * time.Hour

func timeLeft(ms string) (time.Duration, bool) {
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return 0, false
	}
	return time.Duration(min(max(n, 0), maxTimeout.Milliseconds())) * time.Millisecond, true
}

// readBody reads r's body whole. The gateway has bounded it (--max-body).
func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.ContentLength == 0 {
		return nil, nil
	}
	var (
		body []byte
		err  error
	)
	if n := r.ContentLength; n > 0 && n <= 1<<20 { // believed up to 1 MiB: more is allocated as it comes
		body = make([]byte, n)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(r.Body)
	}
	if err != nil {
		return nil, &Error{Status: http.StatusBadRequest, Message: "the body broke off", Err: err}
	}
	return body, nil
}

// Method is the HTTP method, upper case.
func (c *Context) Method() string { return c.req.Method }

// URI is the request target as the client sent it, path and query.
func (c *Context) URI() string { return c.req.RequestURI }

// Header holds the request's headers as the client sent them, and the Runner's.
func (c *Context) Header() http.Header { return c.req.Header }

// Request is the HTTP request itself, for what else one may want to know of it.
// Its body can be read here or with Body, not both.
func (c *Context) Request() *http.Request { return c.req }

// Body reads the request's body and keeps it: every call gives the same bytes,
// nil where there are none.
func (c *Context) Body() ([]byte, error) {
	c.bodyOnce.Do(func() { c.body, c.bodyErr = readBody(c.req) })
	return c.body, c.bodyErr
}

// RequestID is the REQ id: 32 lowercase hex digits, shared by all requests that
// came of one.
func (c *Context) RequestID() string { return c.requestID }

// Operation is the operationId that the request matched, or "METHOD path" where
// the document gives none.
func (c *Context) Operation() string { return c.operation }

// Logger writes log lines that carry the operation, the git revision and the REQ
// id.
func (c *Context) Logger() *slog.Logger {
	c.loggerOnce.Do(func() { c.logger = slog.New(c.handler.lines.request(c.operation, c.requestID)) })
	return c.logger
}

// Client makes HTTP requests that belong to this one: they carry its REQ id and
// its trace, so that they can be found together in the logs of every function
// they reach. A request made without a context of its own (Get, Post) ends with
// this one.
func (c *Context) Client() *http.Client {
	c.clientOnce.Do(func() { c.client = &http.Client{Transport: newTracer(c)} })
	return c.client
}

// Props are the Execution Properties that the bundle was enabled with, their
// numbers as json.Number.
func (c *Context) Props() map[string]any { return c.handler.props }

// DecodeProps decodes the Execution Properties into the struct that into points
// to, by the rules of encoding/json.
func (c *Context) DecodeProps(into any) error {
	if err := decodeJSON(c.handler.rawProps, into); err != nil {
		return fmt.Errorf("decode the properties: %w", err)
	}
	return nil
}

// Services are the names of the services that the properties describe, sorted.
func (c *Context) Services() []string { return c.handler.services.names() }
