// Package envelope reads and writes what travels in a message of type
// application/http: HTTP/1.1 requests or responses, whole, one after the other
// (RFC 9112).
//
// Each begins with its first line and then a fixed block of lines that are for
// the other side of the bus only; the rest is passed on untouched. The reader
// is strict, since only this package writes envelopes: it allocates nothing, and
// what it returns are slices of the message.
package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// The lines of the block, in this order. Values are decimal numbers.
const (
	callLine    = "X-Funcatron-Call: "       // the call's id, unique within its gateway
	leftLine    = "X-Funcatron-Timeout-Ms: " // requests: time left of the deadline
	retryLine   = "X-Funcatron-Retry: "      // requests: 1 where the call may be run twice
	heldLine    = "X-Funcatron-Held-Us: "    // responses: from receipt to reply, at the runner
	ranLine     = "X-Funcatron-Ran-Us: "     // responses: in the function
	faultLine   = "X-Funcatron-Fault: "      // responses: a Fault, where the runner and not the function answers
	lengthLine  = "Content-Length: "         // of the body that follows; always the block's last line
	protocol    = "HTTP/1.1"
	maxHeadSize = 1 << 20
)

// Fault is why a runner answers in place of the function.
type Fault uint8

// The faults. The text that goes with one is the response's body.
const (
	NoFault  Fault = iota
	Died           // the function died, could not be reached or broke the protocol
	Expired        // the deadline passed before the function answered
	MaybeRan       // the request was delivered before, and may have run; it did not run now
	TooLarge       // the function's answer is larger than a reply may be
	NotRun         // no process could take it; it may be sent again
	Held           // no answer yet: the runner takes nothing more, but works this request off
)

// Request is one request of a message. Its slices are the message's, cut to their
// length: appending to one copies it.
type Request struct {
	Call   uint64
	Left   time.Duration // of the deadline, when the message was written
	Retry  bool
	Method []byte
	URI    []byte // as the client sent it
	// Header is the header lines after the block, each with its CRLF, without
	// the empty line at the end. It holds no Content-Length.
	Header []byte
	Body   []byte
}

// Response is one response of a message. Its slices are as a Request's.
type Response struct {
	Call   uint64
	Held   time.Duration // from the request's receipt to this answer, by the runner's clock
	Ran    time.Duration // of that, in the function
	Fault  Fault
	Status int
	Header []byte // as in Request
	Body   []byte
}

// AppendRequest appends a request's first line and block. The caller appends
// header lines, each with its CRLF, then the empty line, then bodyLen bytes.
func AppendRequest(dst []byte, call uint64, left time.Duration, retry bool, method, uri []byte, bodyLen int) []byte {
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = append(dst, uri...)
	dst = append(dst, ' ')
	dst = append(dst, protocol...)
	dst = append(dst, "\r\n"...)
	dst = appendNumber(dst, callLine, call)
	dst = appendNumber(dst, leftLine, uint64(min(max(left.Milliseconds(), 0), maxMillis)))
	if retry {
		dst = appendNumber(dst, retryLine, 1)
	}
	return appendNumber(dst, lengthLine, uint64(bodyLen))
}

// AppendResponse appends a response's first line and block, as AppendRequest does
// a request's. r.Status must be from 100 to 999.
func AppendResponse(dst []byte, r *Response, bodyLen int) []byte {
	dst = append(dst, protocol...)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, " \r\n"...)
	dst = appendNumber(dst, callLine, r.Call)
	dst = appendNumber(dst, heldLine, uint64(min(max(r.Held.Microseconds(), 0), maxMicros)))
	dst = appendNumber(dst, ranLine, uint64(min(max(r.Ran.Microseconds(), 0), maxMicros)))
	if r.Fault != NoFault {
		dst = appendNumber(dst, faultLine, uint64(r.Fault))
	}
	return appendNumber(dst, lengthLine, uint64(bodyLen))
}

func appendNumber(dst []byte, name string, v uint64) []byte {
	dst = append(dst, name...)
	dst = strconv.AppendUint(dst, v, 10)
	return append(dst, "\r\n"...)
}

// NextRequest reads the first request of msg into r and returns what follows it.
func NextRequest(msg []byte, r *Request) (rest []byte, err error) {
	*r = Request{}
	line, b, ok := cutLine(msg)
	if !ok {
		return nil, errors.New("read request: no first line")
	}
	method, target, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(method) == 0 {
		return nil, fmt.Errorf("read request: first line %.80q", line)
	}
	uri, found := bytes.CutSuffix(target, []byte(" "+protocol))
	// A space in the URI would end it early where the runner hands the line on.
	if !found || len(uri) == 0 || bytes.IndexByte(uri, ' ') >= 0 {
		return nil, fmt.Errorf("read request: first line %.80q", line)
	}
	r.Method, r.URI = slices.Clip(method), slices.Clip(uri)

	block := reader{b: b}
	r.Call = block.number(callLine)
	r.Left = time.Duration(block.bounded(leftLine, maxMillis)) * time.Millisecond
	r.Retry = block.optional(retryLine) == 1
	r.Header, r.Body, rest, err = block.finish()
	if err != nil {
		return nil, fmt.Errorf("read request %s %.80q: %w", method, uri, err)
	}
	return rest, nil
}

// NextResponse reads the first response of msg into r and returns what follows it.
func NextResponse(msg []byte, r *Response) (rest []byte, err error) {
	*r = Response{}
	line, b, ok := cutLine(msg)
	if !ok || len(line) < len(protocol)+5 || string(line[:len(protocol)+1]) != protocol+" " || line[len(protocol)+4] != ' ' {
		return nil, fmt.Errorf("read response: first line %.80q", line)
	}
	status, err := strconv.Atoi(string(line[len(protocol)+1 : len(protocol)+4]))
	if err != nil || status < 100 || status > 999 {
		return nil, fmt.Errorf("read response: first line %.80q", line)
	}
	r.Status = status

	block := reader{b: b}
	r.Call = block.number(callLine)
	r.Held = time.Duration(block.bounded(heldLine, maxMicros)) * time.Microsecond
	r.Ran = time.Duration(block.bounded(ranLine, maxMicros)) * time.Microsecond
	fault := block.optional(faultLine)
	if fault > uint64(Held) {
		return nil, fmt.Errorf("read response: fault %d", fault)
	}
	r.Fault = Fault(fault)
	r.Header, r.Body, rest, err = block.finish()
	if err != nil {
		return nil, fmt.Errorf("read response: %w", err)
	}
	return rest, nil
}

// Times beyond a year are written as a year, and refused where they are read, so
// that none overflows a Duration.
const (
	maxMillis = 365 * 24 * 3600 * 1000
	maxMicros = maxMillis * 1000
)

// reader takes the lines of a block one by one. After an error it returns zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) number(name string) uint64 {
	if r.err != nil {
		return 0
	}
	if !bytes.HasPrefix(r.b, []byte(name)) {
		r.err = fmt.Errorf("%.40q where %q belongs", r.b, name)
		return 0
	}
	line, rest, ok := cutLine(r.b)
	if !ok {
		r.err = errors.New("block is cut off")
		return 0
	}
	v, ok := parseNumber(line[len(name):])
	if !ok {
		r.err = fmt.Errorf("%.60q is no number", line)
		return 0
	}
	r.b = rest
	return v
}

func (r *reader) bounded(name string, limit uint64) uint64 {
	v := r.number(name)
	if v > limit {
		r.err = fmt.Errorf("%s%d is over %d", name, v, limit)
		return 0
	}
	return v
}

func (r *reader) optional(name string) uint64 {
	if r.err != nil || !bytes.HasPrefix(r.b, []byte(name)) {
		return 0
	}
	return r.number(name)
}

// finish reads the last line of the block, the header lines and the body.
func (r *reader) finish() (header, body, rest []byte, err error) {
	n := r.number(lengthLine)
	if r.err != nil {
		return nil, nil, nil, r.err
	}
	if bytes.HasPrefix(r.b, []byte("\r\n")) {
		header, rest = nil, r.b[2:]
	} else {
		head := r.b[:min(len(r.b), maxHeadSize)]
		end := bytes.Index(head, []byte("\r\n\r\n"))
		if end < 0 {
			return nil, nil, nil, errors.New("header is cut off or too large")
		}
		header, rest = r.b[:end+2:end+2], r.b[end+4:]
	}
	if n > uint64(len(rest)) {
		return nil, nil, nil, fmt.Errorf("body is cut off: %d of %d bytes", len(rest), n)
	}
	return header, rest[:n:n], rest[n:], nil
}

// cutLine cuts the first line off b, at its CRLF.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 1 || b[i-1] != '\r' {
		return nil, nil, false
	}
	return b[:i-1], b[i+1:], true
}

func parseNumber(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > len("18446744073709551615") {
		return 0, false
	}
	var v uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		digit := uint64(c - '0')
		if v > (math.MaxUint64-digit)/10 {
			return 0, false
		}
		v = v*10 + digit
	}
	return v, true
}

// Lines iterates over the lines of a Header: name and value, the value without
// the white space around it. Lines without a colon are passed over.
func Lines(header []byte) func(yield func(name, value []byte) bool) {
	return func(yield func(name, value []byte) bool) {
		for len(header) > 0 {
			line, rest, ok := cutLine(header)
			if !ok {
				return
			}
			header = rest
			name, value, ok := bytes.Cut(line, []byte(":"))
			if ok && !yield(name, bytes.Trim(value, " \t")) {
				return
			}
		}
	}
}
