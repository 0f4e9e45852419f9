package fn

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
)

// requestIDOf is the REQ id of a request: the Runner's X-Request-Id, else the
// trace's id, else, where somebody calls the function by hand, a new one.
func requestIDOf(h http.Header) string {
	if id := h.Get(headerRequestID); id != "" && len(id) <= 128 {
		return id
	}
	if id, _, ok := parseTraceparent(h.Get(headerTraceparent)); ok {
		return id
	}
	return randomHex(16)
}

// randomHex is n random bytes in hex. crypto/rand never fails.
func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// parseTraceparent reads a traceparent header (W3C Trace Context, section 3.2).
// Of a version later than 00 it takes the part that every version begins with.
func parseTraceparent(v string) (traceID, flags string, ok bool) {
	const size = 2 + 1 + 32 + 1 + 16 + 1 + 2
	if len(v) < size || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return "", "", false
	}
	version, traceID, parent, flags := v[:2], v[3:35], v[36:52], v[53:55]
	switch {
	case !isHex(version), !isHex(traceID), !isHex(parent), !isHex(flags), version == "ff":
		return "", "", false
	case version == "00" && len(v) != size, len(v) > size && v[size] != '-':
		return "", "", false
	case strings.Trim(traceID, "0") == "", strings.Trim(parent, "0") == "":
		return "", "", false
	}
	return traceID, flags, true
}

// isHex reports whether s is lowercase hex digits only.
func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// tracer sends a request's outgoing requests as parts of it.
type tracer struct {
	ctx                context.Context
	base               http.RoundTripper
	requestID, traceID string
	flags, tracestate  string
}

func newTracer(c *Context) *tracer {
	t := &tracer{ctx: c, base: c.handler.transport, requestID: c.requestID}
	id, flags, ok := parseTraceparent(headerOf(c.req, headerTraceparent))
	switch {
	case ok:
		t.traceID, t.flags, t.tracestate = id, flags, strings.Join(c.req.Header[headerTracestate], ",")
	case len(c.requestID) == 32 && isHex(c.requestID) && strings.Trim(c.requestID, "0") != "":
		t.traceID, t.flags = c.requestID, "00"
	}
	return t
}

// RoundTrip adds what is not there already to a copy of r.
func (t *tracer) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if ctx == context.Background() { // as http.Client.Get and Post have it
		ctx = t.ctx
	}
	r = r.Clone(ctx)
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if _, own := r.Header[headerRequestID]; !own {
		r.Header[headerRequestID] = []string{t.requestID}
	}
	if _, own := r.Header[headerTraceparent]; !own && t.traceID != "" {
		r.Header[headerTraceparent] = []string{"00-" + t.traceID + "-" + parentID() + "-" + t.flags}
		if t.tracestate != "" {
			r.Header[headerTracestate] = []string{t.tracestate}
		}
	}
	return t.base.RoundTrip(r)
}

// parentID draws the id of one outgoing request; all zeros is not one.
func parentID() string {
	for {
		if id := randomHex(8); strings.Trim(id, "0") != "" {
			return id
		}
	}
}
