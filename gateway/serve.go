package gateway

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/gateway/route"
	"github.com/funcatron/funcatron/shared/envelope"
	"github.com/funcatron/funcatron/shared/reqid"
)

// maxParams bounds X-Funcatron-Params in bytes: it travels as a header line, and
// HTTP servers bound those.
const maxParams = 256 << 10

// exchange is one request on its way through the gateway. Nothing of it, nor of
// the RequestCtx, outlives serve.
type exchange struct {
	g      *Gateway
	rc     *fasthttp.RequestCtx
	id     reqid.ID
	flags  byte // of the trace
	match  route.Match
	d      *deployment
	op     *operation
	method []byte // what the function is asked, GET for a HEAD that falls back to it
	params []byte // X-Funcatron-Params

	continues bool // it is only asked whether to send the body: serve is still to come
	resp      envelope.Response
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// serve is the life of a request: identify, route, check, call, answer.
func (g *Gateway) serve(rc *fasthttp.RequestCtx) {
	x := g.begin(rc)
	start := time.Now()
	defer x.done(start)

	// A trailer is dropped, and with it the connection: how its lines end, and so where
	// the next request begins, fasthttp does not tell.
	if g.draining.Load() || len(rc.Request.Header.PeekTrailerKeys()) > 0 {
		rc.SetConnectionClose()
	}
	if !x.admit() {
		return
	}
	body := rc.Request.Body()
	if !x.check(body) {
		return
	}
	x.call(start)
}

func (g *Gateway) begin(rc *fasthttp.RequestCtx) *exchange {
	x := exchanges.Get().(*exchange)
	x.g, x.rc, x.d, x.op, x.params, x.continues = g, rc, nil, nil, x.params[:0], false
	x.identify()
	return x
}

// admit decides what can be decided without the body, or answers.
func (x *exchange) admit() bool {
	if why := x.rc.Request.Header.Peek(suspicious); why != nil {
		x.refuseSuspicious(why)
		return false
	}
	if x.g.routes.current.Load().epoch == "" {
		fail(x.rc, x.id, fasthttp.StatusServiceUnavailable, "The gateway has no route table yet.")
		return false
	}
	return x.route()
}

// done counts the request, and survives what went wrong in it: a panic costs one
// request, not the server.
func (x *exchange) done(start time.Time) {
	rc := x.rc
	if cause := recover(); cause != nil {
		x.g.log.Error("BUG: panic while serving", "req", x.id.String(), "panic", cause, "stack", string(debug.Stack()))
		fail(rc, x.id, fasthttp.StatusInternalServerError, "The gateway failed.")
	}
	status := rc.Response.StatusCode()
	if x.continues {
		x.release()
		return
	}
	if x.op != nil {
		x.op.measure(status, time.Since(start))
	} else {
		x.g.measures.unrouted(string(rc.Method()), status)
	}
	switch {
	case status == fasthttp.StatusBadGateway || status == fasthttp.StatusGatewayTimeout || status == fasthttp.StatusInternalServerError:
		if skipped, ok := x.g.failures.Pass(); ok {
			x.g.log.Warn("request failed", x.attrs(status, start, "unsaid", skipped)...)
		}
	case x.g.log.Enabled(context.Background(), slog.LevelDebug):
		x.g.log.Debug("request", x.attrs(status, start)...)
	}
	x.release()
}

// release forgets the request.
func (x *exchange) release() {
	x.rc, x.d, x.op, x.method, x.resp = nil, nil, nil, nil, envelope.Response{}
	x.match.Reset()
	if cap(x.params) > maxParams {
		x.params = nil
	}
	exchanges.Put(x)
}

// attrs is what a log line says of the request.
func (x *exchange) attrs(status int, start time.Time, more ...any) []any {
	return append([]any{"req", x.id.String(), "method", string(x.rc.Method()), "path", string(x.rc.Path()),
		"status", status, "took", time.Since(start).Round(time.Microsecond)}, more...)
}

// identify gives the request its REQ id: the trace's it belongs to, the one it
// came with, or a new one.
func (x *exchange) identify() {
	h := &x.rc.Request.Header
	var ok bool
	if x.id, x.flags, ok = reqid.FromTraceparent(h.Peek("Traceparent")); !ok {
		x.flags = 0
		if x.id, ok = reqid.Parse(h.Peek("X-Request-Id")); !ok {
			x.id = reqid.New()
		}
	}
	x.rc.Response.Header.SetBytesV("X-Request-Id", x.id[:])
}

// route finds the operation, or answers.
func (x *exchange) route() bool {
	rc := x.rc
	switch formOf(rc) {
	case resource:
	case server:
		rc.Response.Header.Set("Allow", allMethods)
		rc.SetStatusCode(fasthttp.StatusNoContent)
		return false
	case tunnel:
		fail(rc, x.id, fasthttp.StatusNotImplemented, "Nothing is tunnelled here.")
		rc.SetConnectionClose()
		return false
	default:
		fail(rc, x.id, fasthttp.StatusBadRequest, "The request target or the Host is malformed.")
		return false
	}
	switch x.lookup() {
	case route.Found:
		return true
	case route.Options:
		rc.Response.Header.Set("Allow", x.match.Allow)
		rc.SetStatusCode(fasthttp.StatusNoContent)
	case route.NoMethod:
		fail(rc, x.id, fasthttp.StatusMethodNotAllowed, "The path allows "+x.match.Allow+".")
		rc.Response.Header.Set("Allow", x.match.Allow)
	default:
		if string(rc.URI().PathOriginal()) == "/" && (rc.IsGet() || rc.IsHead()) {
			showPage(rc)
			break
		}
		fail(rc, x.id, fasthttp.StatusNotFound, "No function is enabled at this host and path.")
	}
	return false
}

// lookup looks the request up in the table of this moment.
func (x *exchange) lookup() route.Result {
	rc, state := x.rc, x.g.routes.current.Load()
	found := state.table.Lookup(rc.Method(), rc.Host(), rc.URI().PathOriginal(), &x.match)
	if found == route.Found {
		x.d = state.deployments[x.match.Row]
		x.op = &x.d.ops[x.match.Op.Index]
		x.method = rc.Method()
		if rc.IsHead() && x.op.Method == fasthttp.MethodGet {
			x.method = []byte(fasthttp.MethodGet)
		}
	}
	return found
}

// check holds the request against the Swagger document, or answers.
func (x *exchange) check(body []byte) bool {
	if !x.negotiate(len(body) > 0) {
		return false
	}
	params, bad := x.op.Binder.Bind(x.params, &x.rc.Request, x.match.Values(), body)
	x.params = params
	if len(bad) > 0 {
		fail(x.rc, x.id, fasthttp.StatusBadRequest, "The request does not match the function's Swagger document.", bad...)
		return false
	}
	if len(params) > maxParams {
		fail(x.rc, x.id, fasthttp.StatusRequestEntityTooLarge, "The parameters, the text fields of a form among them, are larger than "+strconv.Itoa(maxParams)+
			" bytes as JSON; large values belong in files of a form or in a body of another type.")
		return false
	}
	return true
}

// negotiate looks at who sends the request, what it brings, if it has a body, and
// what it asks for, or answers.
func (x *exchange) negotiate(hasBody bool) bool {
	if x.op.guard != nil && !x.authorize() {
		return false
	}
	h := &x.rc.Request.Header
	if hasBody && !x.op.Consumes(h.ContentType()) {
		fail(x.rc, x.id, fasthttp.StatusUnsupportedMediaType, "The operation consumes "+join(x.op.Operation.Consumes)+".")
		return false
	}
	if !x.op.Accepts(accept(h)) {
		fail(x.rc, x.id, fasthttp.StatusNotAcceptable, "The operation produces "+join(x.op.Operation.Produces)+".")
		return false
	}
	return true
}

// accept is the Accept header: several lines are one list (RFC 9110 section 5.3).
func accept(h *fasthttp.RequestHeader) []byte {
	lines := h.PeekAll(fasthttp.HeaderAccept)
	switch len(lines) {
	case 0:
		return nil
	case 1:
		return lines[0]
	}
	return bytes.Join(lines, []byte(", "))
}

// call sends the request to a runner, and answers with what comes back.
func (x *exchange) call(start time.Time) {
	deadline := start.Add(x.op.Timeout)
	answered, err := x.offer(deadline)
	for runs := 1; err == nil && !answered && x.anotherMay() && runs < maxRuns; runs++ {
		x.g.again(runs, deadline)
		answered, err = x.offer(deadline)
	}
	switch {
	case answered:
		return
	case err != nil:
		status, detail := statusOf(err, x.repeatable())
		fail(x.rc, x.id, status, detail)
		return
	case x.resp.Fault != envelope.NoFault:
		status, detail := faultOf(&x.resp, x.repeatable())
		fail(x.rc, x.id, status, detail)
		return
	}
	x.op.ran(time.Since(start), x.resp.Held, x.resp.Ran)
	x.answer()
}

// repeatable tells whether the request may run twice.
func (x *exchange) repeatable() bool { return x.op.Retry || dispatch.Idempotent(x.method) }

// anotherMay tells whether the request may go to another runner, after one that
// died with it or could not run it.
func (x *exchange) anotherMay() bool {
	return x.resp.Fault == envelope.NotRun || x.resp.Fault == envelope.MaybeRan && x.repeatable()
}

// offer sends the request once, where it goes now. It may turn out to break another
// document than it was checked against, and is answered then.
func (x *exchange) offer(deadline time.Time) (answered bool, err error) {
	err = x.send(deadline)
	if !errors.Is(err, dispatch.ErrUnroutable) {
		return false, err
	}
	// Nobody has seen it. Its deployment may have been replaced since the look-up,
	// and the one that replaced it has a document of its own.
	if was := x.d; x.lookup() != route.Found || x.d == was {
		return false, err
	}
	if x.params = x.params[:0]; !x.check(x.rc.Request.Body()) {
		return true, nil
	}
	return false, x.send(deadline)
}

func (x *exchange) send(deadline time.Time) error {
	x.d.used.Store(true)
	if x.d.dead.Load() {
		return dispatch.ErrUnroutable
	}
	err := x.g.calls.Call(x.d.item.Queue, x.d.batch, deadline, x, &x.resp)
	if errors.Is(err, dispatch.ErrUnroutable) {
		x.d.dead.Store(true)
	}
	return err
}

// AppendTo writes the request as the function gets it.
func (x *exchange) AppendTo(dst []byte, call uint64, left time.Duration) []byte {
	body := x.rc.Request.Body()
	target := x.rc.RequestURI()
	if target[0] != '/' { // absolute-form: RFC 9112 section 3.2.2
		uri := x.rc.URI()
		target = append([]byte(nil), uri.PathOriginal()...)
		if query := uri.QueryString(); len(query) > 0 {
			target = append(append(target, '?'), query...)
		}
	}
	dst = envelope.AppendRequest(dst, call, left, x.op.Retry, x.method, target, len(body))
	dst = x.g.appendHeader(dst, x.rc, x)
	dst = append(dst, "\r\n"...)
	return append(dst, body...)
}

// answer writes the function's response.
func (x *exchange) answer() {
	rc, r := x.rc, &x.resp
	rc.SetStatusCode(r.Status)
	h := &rc.Response.Header
	for name, value := range envelope.Lines(r.Header) {
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")): // of an answer to HEAD
			if n, err := strconv.Atoi(string(value)); err == nil && n >= 0 && rc.IsHead() {
				h.SetContentLength(n)
			}
		case bytes.EqualFold(name, []byte("X-Request-Id")), bytes.EqualFold(name, []byte("Date")):
		default:
			h.AddBytesKV(name, value)
		}
	}
	rc.Response.SetBodyRaw(r.Body)
}

func join(types []string) string {
	switch len(types) {
	case 0:
		return "nothing"
	case 1:
		return types[0]
	}
	b := []byte(types[0])
	for _, t := range types[1:] {
		b = append(append(b, ", "...), t...)
	}
	return string(b)
}
