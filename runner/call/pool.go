// Package call carries a request to a function's process, and the function's
// answer back.
//
// A Pool holds the kept-alive connections to one process. A connection is with
// one call at a time, and goes back to the pool only when its answer was read to
// the last byte and both sides want to go on; whatever else happened, it is
// closed. The request goes out as it came in, and the answer comes back as the
// function wrote it, header lines in its order and spelling; only what belongs to
// the hop itself is taken off.
package call

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// inlineBody is the largest body, in bytes, that is sent before the answer is
// read: it fits into the socket's buffer. A function that answers while it still
// reads a larger one would otherwise wait for us, and we for it.
const inlineBody = 64 << 10

// lateSend is how long a request may go on being sent when its answer is read.
const lateSend = 20 * time.Millisecond

// Request is one request. Do reads its slices and keeps none.
type Request struct {
	Method, URI []byte
	Header      []byte // lines, each with its CRLF; no Content-Length, nothing hop-by-hop
	Body        []byte
	Deadline    time.Time
	Repeatable  bool // may run twice: sent again where a kept-alive connection turns out dead
	MaxReply    int  // bytes of the answer's body
}

// Pool is the connections to one process. It opens as many as there are calls at
// once, and keeps those.
type Pool struct {
	network, address string

	check bool   // that the peer is uid's
	uid   uint32 // set before the first connection

	mu     sync.Mutex
	idle   []*conn // under mu; the last used one is the next
	closed bool    // under mu
}

// NewPool makes a Pool of connections to address; network is "unix" or "tcp".
func NewPool(network, address string) *Pool {
	return &Pool{network: network, address: address}
}

// ErrUnsent means that no byte of the request was sent: it may be sent elsewhere.
var ErrUnsent = errors.New("request was not sent")

// errClosed is what calls see after Close.
var errClosed = fmt.Errorf("the process has ended: %w", ErrUnsent)

// conn is one connection. Only the call that has it touches it, but for close.
type conn struct {
	net.Conn
	raw syscall.RawConn
	r   *bufio.Reader
	out []byte // the last request's head

	used  time.Time // when its last answer was complete
	until time.Time // its deadline

	// Closures are made once: one a call would be garbage.
	peek   func(fd uintptr) bool
	peeked error // what peek found

	turn    func(fd uintptr) bool // what ask does
	asking  bool                  // turn has yet to write
	sent    int                   // of out, by turn
	sendErr error                 // likewise
	in      [4096]byte            // what turn read
	rest    []byte                // of in, and not handed over
	readErr error                 // by turn
}

// ask writes c.out and waits for the first bytes of the answer. A connection that is
// written to and then read has nothing to read yet: the attempt would be a system
// call for nothing. So both are done as one operation of the poller, which says when
// there is something. That is safe since the function has nothing to say before
// it was asked: readiness can only come after the write.
//
// It returns how much of out was sent; err is of sending, or of waiting when all was.
func (c *conn) ask() (sent int, err error) {
	c.asking, c.sent, c.sendErr, c.readErr = true, 0, nil, nil
	err = c.raw.Read(c.turn)
	if c.sendErr != nil {
		err = c.sendErr
	}
	if c.sent == len(c.out) || err != nil && !errors.Is(err, syscall.EAGAIN) {
		return c.sent, err
	}
	n, err := c.Write(c.out[c.sent:]) // the socket's buffer is full
	return c.sent + n, err
}

// take is one turn of ask: it writes, the first time, and then reads.
func (c *conn) take(fd uintptr) (done bool) {
	for c.asking {
		n, err := syscall.Write(int(fd), c.out)
		if err == syscall.EINTR {
			continue
		}
		c.asking, c.sent, c.sendErr = false, max(n, 0), err
		return err != nil || c.sent < len(c.out)
	}
	for {
		n, err := syscall.Read(int(fd), c.in[:])
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		case nil:
			if n == 0 {
				err = io.EOF
			}
		default:
			n = 0
		}
		c.rest, c.readErr = c.in[:n], err
		return true
	}
}

// Read hands over what ask read, and then reads.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	if err := c.readErr; err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// idleUse is how long after its last use a Unix socket is taken as it is: each look
// at it is a system call. To write to one that the function has closed fails before
// a byte is sent, unlike over TCP, so nothing is lost by it.
const idleUse = 100 * time.Millisecond

// spare is how much later than a far deadline a connection may give up. Calls that
// follow each other then mostly find it right, and a deadline is costly to set.
const spare = 250 * time.Millisecond

// giveUpAt has reads and writes fail at the deadline, or a bit later.
func (c *conn) giveUpAt(deadline, now time.Time) error {
	if late := c.until.Sub(deadline); late >= 0 && late <= min(spare, deadline.Sub(now)/8) {
		return nil
	}
	c.until = deadline.Add(min(spare, max(deadline.Sub(now)/8, 0)))
	return c.SetDeadline(c.until)
}

// Connect opens a connection and keeps it: the process accepts.
func (p *Pool) Connect(ctx context.Context) error {
	c, err := p.dial(ctx)
	if err != nil {
		return err
	}
	p.put(c)
	return nil
}

// Close closes the idle connections and refuses new calls. Those that run go on:
// what a process wrote before it ended can still be read, and then the kernel
// ends the connection.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		_ = c.Close()
	}
	p.idle = nil
}

// Do sends r and reads the answer into a. The error is ErrTooLarge, ErrUnsent, a
// ProtocolError, os.ErrDeadlineExceeded, or what became of the connection, as
// errors.Is and As tell them.
func (p *Pool) Do(r *Request, a *Answer) error {
	began := time.Now()
	c := p.take(began)
	kept := c != nil
	var first error // of a kept connection that the request was written to
	for {
		if c == nil {
			ctx, cancel := context.WithDeadline(context.Background(), r.Deadline)
			var err error
			c, err = p.dial(ctx)
			cancel()
			if err != nil {
				return cmp.Or(first, err) // it was sent, once
			}
		}
		written, err := c.exchange(r, a)
		if err == nil {
			c.used = time.Now()
			a.Ran = c.used.Sub(began)
			if a.keep {
				p.put(c)
			} else {
				_ = c.Close()
			}
			return nil
		}
		_ = c.Close()
		// A connection that was kept may have been closed by the function at the
		// very moment we used it. That is no failure of the call.
		if !kept || a.begun || written && !r.Repeatable || time.Now().After(r.Deadline) {
			if first != nil && errors.Is(err, ErrUnsent) {
				return first // it was sent, once
			}
			return err
		}
		if written {
			first = err
		}
		c, kept = nil, false
	}
}

// take gives an idle connection that is still good, or nil.
func (p *Pool) take(now time.Time) *conn {
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return nil
		}
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if p.network == "unix" && now.Sub(c.used) < idleUse || c.quiet() {
			return c
		}
		_ = c.Close()
	}
}

func (p *Pool) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return
	}
	p.idle = append(p.idle, c)
}

func (p *Pool) dial(ctx context.Context) (*conn, error) {
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return nil, errClosed
	}
	nc, err := connect(ctx, p.network, p.address)
	if err != nil {
		return nil, fmt.Errorf("connect to function: %w: %w", ErrUnsent, err)
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err == nil {
		err = p.checkPeer(raw)
	}
	if err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("connect to function: %w: %w", ErrUnsent, err)
	}
	c := &conn{Conn: nc, raw: raw}
	c.r, c.turn = bufio.NewReader(c), c.take
	var b [1]byte
	c.peek = func(fd uintptr) bool {
		_, _, c.peeked = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return true
	}
	return c, nil
}

// connect dials, and again where a Unix socket's backlog is full: unlike TCP's, it
// refuses then (EAGAIN, connect(2)), and many servers have one of five.
func connect(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	var full error
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		nc, err := d.DialContext(ctx, network, address)
		switch {
		case errors.Is(err, syscall.EAGAIN):
			full = err
		case err != nil && full != nil && ctx.Err() != nil:
			return nil, full // says more than that time is over
		default:
			return nc, err
		}
		select {
		case <-ctx.Done():
			return nil, full
		case <-time.After(pause):
		}
	}
}

// quiet says that the function has neither closed an idle connection nor sent
// anything on it, which nobody asked for.
func (c *conn) quiet() bool {
	c.until = time.Time{}
	if err := c.SetDeadline(c.until); err != nil {
		return false
	}
	return c.raw.Read(c.peek) == nil && errors.Is(c.peeked, unix.EAGAIN)
}

// exchange sends r and reads the answer. written says that the function may have
// seen something of the request.
func (c *conn) exchange(r *Request, a *Answer) (written bool, err error) {
	a.reset()
	if err := c.giveUpAt(r.Deadline, time.Now()); err != nil {
		return false, fmt.Errorf("send request: %w: %w", ErrUnsent, err)
	}
	c.out = appendHead(c.out[:0], r)
	if len(r.Body) <= inlineBody {
		c.out = append(c.out, r.Body...)
		n, sendErr := c.ask()
		if n == len(c.out) && sendErr != nil { // all was sent, and nothing came back
			return true, fmt.Errorf("read answer: %w", sendErr)
		}
		if sendErr != nil && n == 0 {
			return false, fmt.Errorf("send request: %w: %w", ErrUnsent, sendErr)
		}
		// A function may answer and close before it read everything.
		err := a.read(c.r, string(r.Method) == "HEAD", r.MaxReply)
		if err != nil && !a.begun && sendErr != nil {
			return true, fmt.Errorf("send request: %w", sendErr)
		}
		a.keep = a.keep && sendErr == nil
		return true, err
	}

	sent := make(chan error, 1)
	buffers := net.Buffers{c.out, r.Body}
	go func() {
		_, err := buffers.WriteTo(c.Conn)
		sent <- err
	}()
	err = a.read(c.r, string(r.Method) == "HEAD", r.MaxReply)
	var sendErr error
	select {
	case sendErr = <-sent:
	case <-time.After(lateSend): // the answer is complete, or will not come: the rest is not wanted
		a.keep = false
		_ = c.Close()
		<-sent
	}
	if err != nil && !a.begun && sendErr != nil {
		return true, fmt.Errorf("send request: %w", sendErr)
	}
	a.keep = a.keep && sendErr == nil
	return true, err
}

// appendHead appends the request's first line and header.
func appendHead(dst []byte, r *Request) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, r.URI...)
	dst = append(dst, " HTTP/1.1\r\nX-Funcatron-Timeout-Ms: "...)
	dst = strconv.AppendInt(dst, max(time.Until(r.Deadline).Milliseconds(), 0), 10)
	dst = append(dst, "\r\n"...)
	if len(r.Body) > 0 || wantsLength(r.Method) {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(r.Body)), 10)
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, r.Header...)
	return append(dst, "\r\n"...)
}

// wantsLength tells the methods whose requests say that they have no body (RFC
// 9110, section 8.6).
func wantsLength(method []byte) bool {
	switch string(method) {
	case "POST", "PUT", "PATCH":
		return true
	}
	return false
}
