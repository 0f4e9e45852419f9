package load

import (
	"bytes"
	"errors"
	"fmt"
)

// maxHead bounds the head of a response, and each line of a chunked body.
const maxHead = 64 << 10

// response reads one HTTP/1.1 response (RFC 9112) from pieces of a stream. It keeps
// the status and drops the body.
type response struct {
	status  int
	closing bool // the connection ends with this response
	state   state
	left    int64  // bytes of the body, or of the chunk
	line    []byte // what has come of a head or line that is not whole
}

type state uint8

const (
	inHead      state = iota
	inBody            // left bytes of it
	inSize            // the line before a chunk
	inChunk           // left bytes of it, and its CRLF
	inTrailer         // lines up to an empty one
	untilClosed       // a body that the connection's end ends
)

// errResponse is a response that is none.
var errResponse = errors.New("not an HTTP/1.1 response")

// reset makes it ready for the next response.
func (r *response) reset() {
	r.status, r.closing, r.state, r.left, r.line = 0, false, inHead, 0, r.line[:0]
}

// feed reads b, which follows what was read before, and tells how much of it
// belongs to the response and whether that is whole now.
func (r *response) feed(b []byte) (n int, whole bool, err error) {
	for {
		rest := b[n:]
		switch r.state {
		case inHead:
			head, used, err := r.until(rest, crlfcrlf)
			n += used
			if head == nil || err != nil {
				return n, false, err
			}
			if err := r.readHead(head); err != nil {
				return n, false, err
			}
			r.line = r.line[:0]
			if r.state == inBody && r.left == 0 {
				return n, true, nil
			}
		case inBody, inChunk:
			used := int(min(int64(len(rest)), r.left))
			n += used
			r.left -= int64(used)
			if r.left > 0 {
				return n, false, nil
			}
			if r.state == inBody {
				return n, true, nil
			}
			r.state = inSize
		case inSize, inTrailer:
			line, used, err := r.until(rest, crlf)
			n += used
			if line == nil || err != nil {
				return n, false, err
			}
			line = line[:len(line)-len(crlf)]
			if r.state == inSize {
				size, err := chunkSize(line)
				if err != nil {
					return n, false, err
				}
				if r.state, r.left = inChunk, size+int64(len(crlf)); size == 0 {
					r.state = inTrailer
				}
			} else if len(line) == 0 {
				return n, true, nil
			}
			r.line = r.line[:0]
		case untilClosed:
			return len(b), false, nil
		}
	}
}

var (
	crlf     = []byte("\r\n")
	crlfcrlf = []byte("\r\n\r\n")
)

// until returns what ends with end, nil where that has not come yet, and how much
// of b it took. The result is b's, or r.line's.
func (r *response) until(b, end []byte) (found []byte, used int, err error) {
	if len(r.line) == 0 {
		if i := bytes.Index(b, end); i >= 0 && i <= maxHead {
			return b[:i+len(end)], i + len(end), nil // nothing is copied
		}
	}
	// The end may be in two pieces, so it is looked for in what both make.
	from := max(0, len(r.line)-len(end)+1)
	kept := len(r.line)
	r.line = append(r.line, b...)
	i := bytes.Index(r.line[from:], end)
	if i < 0 && len(r.line) >= maxHead+len(end) || from+i > maxHead {
		return nil, len(b), fmt.Errorf("%w: a head or line of more than %d bytes", errResponse, maxHead)
	}
	if i < 0 {
		return nil, len(b), nil
	}
	total := from + i + len(end)
	r.line = r.line[:total]
	return r.line, total - kept, nil
}

// readHead reads status and framing (RFC 9112 section 6.3).
func (r *response) readHead(head []byte) error {
	status, ok := statusOf(head)
	if !ok {
		return fmt.Errorf("%w: it begins %q", errResponse, head[:min(len(head), 32)])
	}
	if status < 200 { // interim: the response follows
		return nil
	}
	r.status = status
	length, chunked := int64(-1), false
	lines := head[bytes.Index(head, crlf)+len(crlf):]
	for {
		i := bytes.Index(lines, crlf)
		if i <= 0 {
			break
		}
		name, value, _ := bytes.Cut(lines[:i], []byte{':'})
		value = bytes.TrimSpace(value)
		switch {
		case equalFold(name, "content-length"):
			n, ok := decimal(value)
			if !ok || length >= 0 && n != length {
				return fmt.Errorf("%w: content length %q", errResponse, value)
			}
			length = n
		case equalFold(name, "transfer-encoding"):
			chunked = equalFold(value, "chunked")
		case equalFold(name, "connection"):
			r.closing = r.closing || equalFold(value, "close")
		}
		lines = lines[i+len(crlf):]
	}
	if head[7] == '0' { // HTTP/1.0 closes
		r.closing = true
	}
	switch {
	case status == 204 || status == 304:
		r.state, r.left = inBody, 0
	case chunked:
		r.state = inSize
	case length >= 0:
		r.state, r.left = inBody, length
	default:
		r.state, r.closing = untilClosed, true
	}
	return nil
}

// ended tells whether the connection's end makes the response whole.
func (r *response) ended() bool { return r.state == untilClosed }

// statusOf reads "HTTP/1.1 200".
func statusOf(head []byte) (int, bool) {
	if len(head) < 13 || string(head[:7]) != "HTTP/1." || head[7] != '1' && head[7] != '0' || head[8] != ' ' {
		return 0, false
	}
	n := 0
	for _, c := range head[9:12] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, n >= 100 && (head[12] == ' ' || head[12] == '\r')
}

func decimal(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// chunkSize reads the line before a chunk; extensions are ignored.
func chunkSize(line []byte) (int64, error) {
	digits, _, _ := bytes.Cut(line, []byte{';'})
	digits = bytes.TrimSpace(digits)
	if len(digits) == 0 || len(digits) > 12 {
		return 0, fmt.Errorf("%w: chunk size %q", errResponse, line[:min(len(line), 32)])
	}
	var n int64
	for _, c := range digits {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | int64(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | int64(c|0x20-'a'+10)
		default:
			return 0, fmt.Errorf("%w: chunk size %q", errResponse, line[:min(len(line), 32)])
		}
	}
	return n, nil
}

// equalFold compares with an all-lower-case ASCII word.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
