package call

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Bounds of an answer that are the same for every function.
const (
	maxHead    = 64 << 10 // bytes of first line and header, of each interim answer and of the trailer too
	maxInterim = 100      // 1xx answers before the real one
	bodyStep   = 64 << 10 // bytes that room is made for at a time: a promised length costs nothing yet
)

// ErrTooLarge means that the answer has more bytes than may be.
var ErrTooLarge = errors.New("answer is too large")

// ProtocolError says how the function broke HTTP/1.1.
type ProtocolError string

func (e ProtocolError) Error() string { return string(e) }

func broken(format string, args ...any) error { return ProtocolError(fmt.Sprintf(format, args...)) }

// Answer is a function's answer. Its slices are valid until Release.
type Answer struct {
	Status int
	// Header is the header lines as the function wrote them and in its order, each
	// with its CRLF: without the hop-by-hop ones (RFC 9110, section 7.6.1), and
	// without Content-Length, but for answers that have one and no body (to HEAD,
	// and 304).
	Header []byte
	Body   []byte
	Ran    time.Duration // from the request's first byte to the answer's last

	drop   []byte // names that Connection lists, each between commas, lower case
	length int64  // Content-Length, -1 without
	chunks bool   // Transfer-Encoding: chunked
	begun  bool   // a byte of it arrived
	keep   bool   // the connection can be used again
}

var answers = sync.Pool{New: func() any { return new(Answer) }}

// NewAnswer takes an Answer from the pool. Release gives it back.
func NewAnswer() *Answer { return answers.Get().(*Answer) }

// keptSize is the largest buffer that the pool holds on to, in bytes.
const keptSize = 256 << 10

// Release gives a and its slices back.
func (a *Answer) Release() {
	if cap(a.Body) > keptSize {
		a.Body = nil
	}
	a.reset()
	answers.Put(a)
}

func (a *Answer) reset() {
	*a = Answer{Header: a.Header[:0], Body: a.Body[:0], drop: a.drop[:0], length: -1}
}

// read reads one answer: head says that the request's method was HEAD, limit how
// many bytes of body there may be (RFC 9112, sections 4 to 7).
func (a *Answer) read(r *bufio.Reader, head bool, limit int) error {
	a.reset()
	_, err := r.Peek(1)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	a.begun = true
	for n := 0; ; n++ {
		if n > maxInterim {
			return broken("more than %d interim answers", maxInterim)
		}
		if err := a.readHead(r, head); err != nil {
			return fmt.Errorf("read head of answer: %w", unexpected(err))
		}
		if a.Status == 101 {
			return broken("switches protocols, which nobody asked for")
		}
		if a.Status >= 200 {
			break
		}
	}
	switch {
	case head || a.Status == 204 || a.Status == 304:
	case a.chunks:
		err = a.readChunks(r, limit)
	case a.length >= 0:
		if a.length > int64(limit) {
			return ErrTooLarge
		}
		err = a.readBody(r, int(a.length))
	default: // until the function closes; a reset is an error, an end is the end
		a.keep = false
		err = a.readAll(r, limit)
	}
	if err != nil {
		return fmt.Errorf("read body of answer: %w", unexpected(err))
	}
	a.keep = a.keep && r.Buffered() == 0
	return nil
}

// unexpected is err, where an end in the middle of an answer is not just an end.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readHead reads first line and header of one answer, interim ones too.
func (a *Answer) readHead(r *bufio.Reader, head bool) error {
	a.Header, a.drop = a.Header[:0], a.drop[:0]
	a.length, a.chunks = -1, false
	room := maxHead
	line, err := a.scratch(r, &room)
	if err != nil {
		return err
	}
	minor, ok := a.firstLine(line)
	if !ok {
		return broken("first line %.80q", line)
	}
	a.keep = minor == '1'
	for {
		start := len(a.Header)
		line, err := a.line(r, &room)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		stays, err := a.field(line, minor, head)
		if err != nil {
			return err
		}
		if stays {
			a.Header = append(a.Header, "\r\n"...)
		} else {
			a.Header = a.Header[:start]
		}
	}
	if a.chunks && a.length >= 0 {
		return broken("both Transfer-Encoding and Content-Length")
	}
	if len(a.drop) > 0 {
		a.dropListed()
	}
	return nil
}

// firstLine reads "HTTP/1.1 200 OK". The reason is for people, and HTTP/2 has
// none: it goes no further.
func (a *Answer) firstLine(line []byte) (minor byte, ok bool) {
	if len(line) < len("HTTP/1.1 200") || string(line[:7]) != "HTTP/1." || line[8] != ' ' {
		return 0, false
	}
	if len(line) > 12 && line[12] != ' ' {
		return 0, false
	}
	a.Status = 0
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return 0, false
		}
		a.Status = a.Status*10 + int(c-'0')
	}
	minor = line[7]
	return minor, a.Status >= 100 && (minor == '0' || minor == '1')
}

// field reads the header line at the end of a.Header, and says whether it stays.
func (a *Answer) field(line []byte, minor byte, head bool) (stays bool, err error) {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return false, broken("header line %.80q has no colon", line)
	}
	name := bytes.TrimRight(line[:colon], " \t") // RFC 9112, section 5.1
	if !isToken(name) {
		return false, broken("header line %.80q has no proper name", line) // a folded line too
	}
	value := bytes.Trim(line[colon+1:], " \t")
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false, broken("header %.80s has a control character in its value", name)
		}
	}
	switch len(name) {
	case 2:
		stays = !is(name, "te")
	case 7:
		stays = !is(name, "trailer") && !is(name, "upgrade")
	case 10:
		if is(name, "connection") {
			a.connection(value)
			return false, nil
		}
		stays = !is(name, "keep-alive")
	case 14:
		if !is(name, "content-length") {
			stays = true
			break
		}
		first := a.length < 0
		if err := a.contentLength(value); err != nil {
			return false, err
		}
		stays = first && (head || a.Status == 304)
	case 16:
		stays = !is(name, "proxy-connection")
	case 17:
		if !is(name, "transfer-encoding") {
			stays = true
			break
		}
		if minor != '1' || a.chunks || !is(value, "chunked") {
			return false, broken("Transfer-Encoding %.80q", value)
		}
		a.chunks = true
		return false, nil
	default:
		stays = true
	}
	if stays && len(name) != colon { // white space before the colon is taken out
		rest := line[colon:]
		a.Header = append(a.Header[:len(a.Header)-len(line)+len(name)], rest...)
	}
	return stays, nil
}

// contentLength takes the same length twice, and no other second one.
func (a *Answer) contentLength(value []byte) error {
	var n int64
	if len(value) == 0 || len(value) > 18 {
		return broken("Content-Length %.80q", value)
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return broken("Content-Length %.80q", value)
		}
		n = n*10 + int64(c-'0')
	}
	if a.length >= 0 && a.length != n {
		return broken("Content-Length %d and %d", a.length, n)
	}
	a.length = n
	return nil
}

// connection reads a Connection line: close, and the names of lines that are for
// this hop only.
func (a *Answer) connection(value []byte) {
	for option := range bytes.SplitSeq(value, []byte(",")) {
		option = bytes.Trim(option, " \t")
		switch {
		case len(option) == 0 || is(option, "keep-alive"):
		case is(option, "close"):
			a.keep = false
		default:
			a.drop = append(a.drop, ',')
			for _, c := range option {
				a.drop = append(a.drop, lower(c))
			}
			a.drop = append(a.drop, ',')
		}
	}
}

// dropListed takes out the lines that Connection named.
func (a *Answer) dropListed() {
	kept := a.Header[:0]
	var name []byte
	for line := range bytes.SplitAfterSeq(a.Header, []byte("\r\n")) {
		name = append(name[:0], ',')
		for _, c := range line[:max(bytes.IndexByte(line, ':'), 0)] {
			name = append(name, lower(c))
		}
		name = append(name, ',')
		if !bytes.Contains(a.drop, name) {
			kept = append(kept, line...)
		}
	}
	a.Header = kept
}

// readBody reads n bytes of body.
func (a *Answer) readBody(r *bufio.Reader, n int) error {
	for n > 0 {
		step := min(n, bodyStep)
		a.Body = slices.Grow(a.Body, step)
		got, err := io.ReadFull(r, a.Body[len(a.Body):len(a.Body)+step])
		a.Body = a.Body[:len(a.Body)+got]
		n -= got
		if err != nil {
			return err
		}
	}
	return nil
}

// readAll reads the body up to the connection's end.
func (a *Answer) readAll(r *bufio.Reader, limit int) error {
	for {
		if len(a.Body) > limit {
			return ErrTooLarge
		}
		a.Body = slices.Grow(a.Body, 4<<10)
		n, err := r.Read(a.Body[len(a.Body):cap(a.Body)])
		a.Body = a.Body[:len(a.Body)+n]
		if errors.Is(err, io.EOF) {
			if len(a.Body) > limit {
				return ErrTooLarge
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readChunks reads a chunked body and drops its trailer.
func (a *Answer) readChunks(r *bufio.Reader, limit int) error {
	for {
		room := 4 << 10
		line, err := a.scratch(r, &room)
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(line, []byte(";")) // extensions say nothing that we know
		n, ok := parseHex(bytes.TrimRight(size, " \t"))
		if !ok {
			return broken("chunk of size %.40q", line)
		}
		if n == 0 {
			break
		}
		if n > int64(limit-len(a.Body)) {
			return ErrTooLarge
		}
		if err := a.readBody(r, int(n)); err != nil {
			return err
		}
		if line, err = a.scratch(r, &room); err != nil { // the chunk's end
			return err
		}
		if len(line) != 0 {
			return broken("chunk is longer than it says")
		}
	}
	for room := maxHead; ; {
		line, err := a.scratch(r, &room)
		if err != nil || len(line) == 0 {
			return err
		}
	}
}

// scratch reads a line that is not kept. It is valid until the next read.
func (a *Answer) scratch(r *bufio.Reader, room *int) ([]byte, error) {
	start := len(a.Header)
	line, err := a.line(r, room)
	a.Header = a.Header[:start]
	return line, err
}

// line appends the next line to a.Header, without its end (CRLF, or LF alone: RFC
// 9112, section 2.2), and returns it. It takes the line's length off room.
func (a *Answer) line(r *bufio.Reader, room *int) ([]byte, error) {
	start := len(a.Header)
	for {
		part, err := r.ReadSlice('\n')
		if *room -= len(part); *room < 0 {
			return nil, ErrTooLarge
		}
		a.Header = append(a.Header, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
	a.Header = a.Header[:len(a.Header)-1]
	if n := len(a.Header); n > start && a.Header[n-1] == '\r' {
		a.Header = a.Header[:n-1]
	}
	return a.Header[start:], nil
}

func parseHex(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 15 {
		return 0, false
	}
	for _, c := range b {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | int64(c-'0')
		case 'a' <= lower(c) && lower(c) <= 'f':
			n = n<<4 | int64(lower(c)-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// is compares b with s, which is lower case, whatever the case of b.
func is(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if lower(c) != s[i] {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// isToken: RFC 9110, section 5.6.2.
func isToken(b []byte) bool {
	for _, c := range b {
		if !tokenBytes[c] {
			return false
		}
	}
	return len(b) > 0
}

var tokenBytes = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = true
	}
	return t
}()
