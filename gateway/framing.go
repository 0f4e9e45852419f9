package gateway

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// suspicious marks a request that another server on the way may read otherwise
// than fasthttp did, or that costs more than it may. Clients cannot make use of
// it: whoever sends it is refused.
const suspicious = "X-Funcatron-Suspicious"

// Bounds on a header that its size in bytes does not give.
const (
	maxLines = 256 // lines: what runs once a line, or once a pair of them, stays cheap
	maxNamed = 512 // bytes of a Connection line, each name in which is looked for
)

// mark looks at a request's header before its body is read: afterwards fasthttp has
// forgotten how it was framed.
func mark(h *fasthttp.RequestHeader) (same fasthttp.RequestConfig) {
	if why := suspect(h); why != "" {
		h.Set(suspicious, why)
	}
	return same
}

// The reasons of suspect, each one byte: what h.Set keeps.
const (
	badFraming = "f" // its length can be read in two ways
	badLine    = "l" // a line of its header is not what RFC 9112 section 5 has
	badVersion = "v" // not HTTP/1.x
	tooMany    = "m" // lines, or names in Connection
)

// suspect is what is wrong with h and fasthttp takes, or "".
//
// fasthttp takes a LF alone for the end of a line, joins folded lines, and takes
// names with spaces; RFC 9112 (sections 2.2, 5.1 and 5.2) lets it or is against it,
// and a server in front of us that does otherwise sees other requests than we do.
// So it is with a length that is given twice: by Content-Length and by
// Transfer-Encoding, or by a coding other than chunked (section 6.1).
func suspect(h *fasthttp.RequestHeader) string {
	if !h.IsHTTP11() && !isVersion1(h.Protocol()) {
		return badVersion
	}
	length, coding := false, false
	lines := 0
	for rest := h.RawHeaders(); len(rest) > 0; lines++ {
		end := bytes.IndexByte(rest, '\n')
		if end < 1 || rest[end-1] != '\r' {
			return badLine
		}
		line := rest[:end-1]
		rest = rest[end+1:]
		if len(line) == 0 {
			break
		}
		name := line[:max(bytes.IndexByte(line, ':'), 0)]
		if len(name) == 0 || name[0] == '\t' || bytes.IndexByte(name, ' ') >= 0 {
			return badLine
		}
		switch len(name) {
		case len(fasthttp.HeaderConnection):
			if len(line) > maxNamed && isName(name, fasthttp.HeaderConnection) {
				return tooMany
			}
		case len(fasthttp.HeaderContentLength):
			length = length || isName(name, fasthttp.HeaderContentLength)
		case len(fasthttp.HeaderTransferEncoding):
			coding = coding || isName(name, fasthttp.HeaderTransferEncoding)
		}
	}
	switch {
	case lines > maxLines:
		return tooMany
	case coding && (length || !h.IsHTTP11() || h.ContentLength() != -1): // -1 is chunked
		return badFraming
	}
	return ""
}

// isVersion1 tells whether protocol is of HTTP's major version 1.
func isVersion1(protocol []byte) bool { return bytes.HasPrefix(protocol, []byte("HTTP/1.")) }

func isName(name []byte, want string) bool {
	return name[0]|0x20 == want[0]|0x20 && bytes.EqualFold(name, []byte(want))
}

// refuseSuspicious answers what mark has marked, and closes: where the next request
// begins is not known either.
func (x *exchange) refuseSuspicious(why []byte) {
	status, detail := fasthttp.StatusBadRequest, "The request's length is ambiguous."
	switch string(why) {
	case badLine:
		detail = "A header line is malformed."
	case badVersion:
		status, detail = fasthttp.StatusHTTPVersionNotSupported, "The request is not HTTP/1.1 or HTTP/1.0."
	case tooMany:
		status, detail = fasthttp.StatusRequestHeaderFieldsTooLarge, "There are too many header lines, or too many names in Connection."
	}
	fail(x.rc, x.id, status, detail)
	x.rc.SetConnectionClose()
}
