package fn

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Response is an answer in full.
type Response struct {
	// Status is an HTTP status from 200 to 599; 0 is 200.
	Status int
	// Header is sent as it is, repeated values in their order, but for
	// Connection, Keep-Alive, Transfer-Encoding and Content-Length, which
	// belong to the connection and are fn's.
	Header http.Header
	// ContentType is the Content-Type where Header has none; "" is
	// application/octet-stream.
	ContentType string
	// Body is the body. It must not change until the request is over.
	Body []byte
	// BodyReader, where it is not nil, is the body instead of Body. It is read
	// when the function has returned and its services have been given back, and
	// closed, where it is an io.Closer, whether it was read or not.
	BodyReader io.Reader
}

// JSON answers v as JSON, in which <, > and & stand for themselves.
func JSON(status int, v any) (*Response, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode %T as JSON: %w", v, err)
	}
	return &Response{Status: status, ContentType: "application/json", Body: bytes.TrimSuffix(b.Bytes(), []byte("\n"))}, nil
}

// Error is an error that says how it is to be answered.
type Error struct {
	Status  int    // 400 to 599; anything else is taken for 500
	Message string // told to the client; "" tells it the status alone
	Err     error  // the cause, for the log; may be nil
}

// Errorf makes an Error whose message the client is told. As in fmt.Errorf, %w
// names the cause.
func Errorf(status int, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Status: status, Message: err.Error(), Err: err}
}

// Error gives the message, and the cause where the message does not already
// name it.
func (e *Error) Error() string {
	msg := e.Message
	if msg == "" {
		msg = http.StatusText(e.status())
	}
	if e.Err == nil || strings.Contains(msg, e.Err.Error()) {
		return msg
	}
	return msg + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

func (e *Error) status() int {
	if e.Status < 400 || e.Status > 599 {
		return http.StatusInternalServerError
	}
	return e.Status
}

// problem is an answer of application/problem+json (RFC 9457), of the members
// that the gateway's own errors have.
type problem struct {
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail,omitempty"`
	RequestID string `json:"requestId"`
}

// failure turns what a function returned into its answer. Only an Error's
// message is the client's to read.
func failure(ctx *Context, err error) *Response {
	p := problem{Status: http.StatusInternalServerError, RequestID: ctx.requestID}
	var e *Error
	switch {
	case errors.As(err, &e):
		p.Status, p.Detail = e.status(), e.Message
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		p.Status, p.Detail = http.StatusGatewayTimeout, "the function ran out of time"
	default:
		p.Detail = "the function failed; its log says why, under this requestId"
	}
	p.Title = http.StatusText(p.Status)
	if p.Title == "" {
		p.Title = "Error " + strconv.Itoa(p.Status)
	}
	r, jsonErr := JSON(p.Status, p)
	if jsonErr != nil {
		panic("BUG: a problem is not JSON: " + jsonErr.Error())
	}
	r.ContentType = "application/problem+json"
	return r
}

// check says what of r cannot be sent.
func (r *Response) check() error {
	if r.Status != 0 && (r.Status < 200 || r.Status > 599) {
		return fmt.Errorf("answer with status %d: it must be from 200 to 599", r.Status)
	}
	return nil
}

// close ends the body reader, read or not. Calling it again is harmless, and so
// is calling it on nil.
func (r *Response) close() error {
	if r == nil {
		return nil
	}
	c, ok := r.BodyReader.(io.Closer)
	r.BodyReader = nil
	if !ok {
		return nil
	}
	return c.Close()
}

// firstRead is how much of a body reader is read before the status leaves: an
// error up to there still becomes a 500, and a body that ends there goes out
// with its length.
const firstRead = 32 << 10

// prefetch reads the beginning of r's body reader. A body that ends within it
// becomes Body.
func (r *Response) prefetch() error {
	if r.BodyReader == nil {
		return nil
	}
	buf := make([]byte, firstRead)
	n, err := 0, error(nil)
	for n < len(buf) && err == nil { // not io.ReadFull, whose io.ErrUnexpectedEOF may be the reader's own
		var k int
		k, err = r.BodyReader.Read(buf[n:])
		n += k
	}
	r.Body = buf[:n]
	if err == io.EOF {
		err = r.close()
	}
	if err != nil {
		return fmt.Errorf("read the answer's body: %w", err)
	}
	return nil
}

// writeTo sends r. An error means that its body broke off after the status had
// left.
func (r *Response) writeTo(w http.ResponseWriter, method string) error {
	h := w.Header()
	for name, values := range r.Header {
		switch name = http.CanonicalHeaderKey(name); name {
		case "Connection", "Keep-Alive", "Transfer-Encoding":
			continue
		case "Content-Length":
			// To HEAD, a function may name a length without making the body.
			if method != http.MethodHead || len(r.Body) > 0 || r.BodyReader != nil {
				continue
			}
		}
		h[name] = append(h[name], values...)
	}
	status := r.Status
	if status == 0 {
		status = http.StatusOK
	}
	if status == http.StatusNoContent || status == http.StatusNotModified { // RFC 9110, 15.3.5 and 15.4.5: no body
		w.WriteHeader(status)
		return nil
	}
	if _, has := h["Content-Type"]; !has && (len(r.Body) > 0 || r.ContentType != "") {
		ct := r.ContentType
		if ct == "" {
			ct = "application/octet-stream"
		}
		h["Content-Type"] = []string{ct}
	}
	if _, has := h["Content-Length"]; !has && r.BodyReader == nil {
		h["Content-Length"] = []string{strconv.Itoa(len(r.Body))}
	}
	w.WriteHeader(status)
	if method == http.MethodHead {
		return nil
	}
	if _, err := w.Write(r.Body); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	if r.BodyReader == nil {
		return nil
	}
	if _, err := io.Copy(w, r.BodyReader); err != nil {
		return fmt.Errorf("send the rest of the answer's body: %w", err)
	}
	return nil
}
