package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/valyala/fasthttp"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/gateway/bind"
	"github.com/funcatron/funcatron/shared/envelope"
	"github.com/funcatron/funcatron/shared/reqid"
)

// problem is an error answer: RFC 9457, with the request's id and, for a bad
// request, everything that is wrong with it.
type problem struct {
	Title     string           `json:"title"`
	Status    int              `json:"status"`
	Detail    string           `json:"detail"`
	RequestID string           `json:"requestId"`
	Errors    []bind.Violation `json:"errors,omitempty"`
}

// retryAfter is what a refused client is asked to wait, in seconds.
const retryAfter = "1"

// fail answers with status in place of a function.
func fail(rc *fasthttp.RequestCtx, id reqid.ID, status int, detail string, bad ...bind.Violation) {
	title := http.StatusText(status)
	if title == "" {
		title = "Error"
	}
	body, err := json.Marshal(problem{Title: title, Status: status, Detail: detail, RequestID: id.String(), Errors: bad})
	if err != nil {
		panic("BUG: problem does not encode: " + err.Error())
	}
	rc.Response.ResetBody()
	rc.SetStatusCode(status)
	rc.SetContentType("application/problem+json")
	rc.Response.Header.SetBytesV("X-Request-Id", id[:])
	if status == fasthttp.StatusServiceUnavailable {
		rc.Response.Header.Set("Retry-After", retryAfter)
	}
	rc.SetBody(body)
}

// statusOf turns the error of a call into a status and what the client is told.
// Clients learn nothing of addresses or queues. repeatable tells whether the
// request may be sent again although it may have run.
func statusOf(err error, repeatable bool) (status int, detail string) {
	switch {
	case errors.Is(err, dispatch.ErrLost) && repeatable:
		return fasthttp.StatusServiceUnavailable, "The function's last runner is gone."
	case errors.Is(err, dispatch.ErrLost):
		return fasthttp.StatusBadGateway, "The function's last runner is gone; the request may have run."
	case errors.Is(err, dispatch.ErrUnroutable):
		return fasthttp.StatusServiceUnavailable, "No runner serves this function now."
	case errors.Is(err, dispatch.ErrTooLarge):
		return fasthttp.StatusRequestEntityTooLarge, "The request is larger than the message broker takes."
	case errors.Is(err, dispatch.ErrFull):
		return fasthttp.StatusServiceUnavailable, "Too many requests are waiting for this function."
	case errors.Is(err, dispatch.ErrDown):
		return fasthttp.StatusServiceUnavailable, "The message broker is not available."
	case errors.Is(err, dispatch.ErrDeadline):
		return fasthttp.StatusGatewayTimeout, "The function did not answer in time."
	}
	return fasthttp.StatusBadGateway, "The function could not be called."
}

// faultOf tells the status of a runner's own answer. repeatable is as statusOf's.
func faultOf(r *envelope.Response, repeatable bool) (status int, detail string) {
	detail = string(r.Body)
	switch r.Fault {
	case envelope.MaybeRan:
		if repeatable {
			return fasthttp.StatusBadGateway, fmt.Sprintf("%d runners had this request, and each is gone; it is not given to another.", maxRuns)
		}
		return fasthttp.StatusBadGateway, "The runner that had this request is gone; the request may have run, and is not run twice."
	case envelope.Expired:
		return fasthttp.StatusGatewayTimeout, "The function did not answer in time: " + detail
	case envelope.NotRun:
		return fasthttp.StatusServiceUnavailable, "The function cannot run now: " + detail
	}
	return fasthttp.StatusBadGateway, "The function failed: " + detail
}

// refuse answers what fasthttp could not read as a request.
func (g *Gateway) refuse(rc *fasthttp.RequestCtx, err error) {
	status := fasthttp.StatusBadRequest
	detail := "The request is malformed."
	var small *fasthttp.ErrSmallBuffer
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		status, detail = fasthttp.StatusRequestEntityTooLarge, g.tooLarge()
		lingerOn(rc.Conn())
	case errors.Is(err, fasthttp.ErrUnsupportedTransferEncoding):
		status, detail = fasthttp.StatusNotImplemented, "Of Transfer-Encoding only chunked is understood, once, in HTTP/1.1."
	case errors.As(err, &small):
		status, detail = fasthttp.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("The request line and headers are larger than %d bytes.", maxHeader)
	case errors.As(err, &timeout) && timeout.Timeout():
		status, detail = fasthttp.StatusRequestTimeout, "The request did not arrive in time."
	}
	fail(rc, reqid.New(), status, detail)
	rc.SetConnectionClose()
	g.measures.unrouted("other", status)
}
