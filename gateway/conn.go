package gateway

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// listener accepts clientConns.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nc, nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("accept: %w", err)
	}
	c := &clientConn{Conn: nc, raw: raw}
	c.fill = c.fillFrom
	return c, nil
}

// clientConn is a client's connection that holds no memory while it waits. fasthttp,
// told to reduce memory, waits for one byte without any buffer, and then reads the
// rest, which would be two system calls a request. Here the first takes all there
// is into a buffer that is taken when there is something for it.
//
// Only the connection's goroutine reads.
type clientConn struct {
	net.Conn
	raw  syscall.RawConn
	fill func(fd uintptr) bool // made once: a closure a call would be garbage

	buf  *[]byte // holds rest; nil while rest is empty
	rest []byte  // read, and not handed over
	err  error   // of the last fill

	readBy, writeBy coarse
	lingers         atomic.Bool
}

var firstReads = sync.Pool{New: func() any { b := make([]byte, maxHeader); return &b }}

// Read implements net.Conn.
func (c *clientConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		if len(p) != 1 {
			return c.Conn.Read(p)
		}
		if err := c.raw.Read(c.fill); err != nil {
			return 0, err
		}
		if c.err != nil {
			return 0, c.err
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	if len(c.rest) == 0 {
		firstReads.Put(c.buf)
		c.buf, c.rest = nil, nil
	}
	return n, nil
}

// fillFrom reads what there is, and says whether there was anything or will never be.
func (c *clientConn) fillFrom(fd uintptr) bool {
	b := firstReads.Get().(*[]byte)
	for {
		n, err := syscall.Read(int(fd), *b)
		switch {
		case err == syscall.EINTR:
			continue
		case err == nil && n > 0:
			c.buf, c.rest, c.err = b, (*b)[:n], nil
			return true
		case err == nil:
			c.err = io.EOF
		default:
			c.err = &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
		}
		firstReads.Put(b)
		return err != syscall.EAGAIN
	}
}

// SetReadDeadline implements net.Conn, as exactly as coarse is.
func (c *clientConn) SetReadDeadline(t time.Time) error {
	return c.readBy.set(t, c.Conn.SetReadDeadline)
}

// SetWriteDeadline implements net.Conn, as exactly as coarse is.
func (c *clientConn) SetWriteDeadline(t time.Time) error {
	return c.writeBy.set(t, c.Conn.SetWriteDeadline)
}

// SetDeadline implements net.Conn.
func (c *clientConn) SetDeadline(t time.Time) error {
	c.readBy.at.Store(0)
	c.writeBy.at.Store(0)
	return c.Conn.SetDeadline(t)
}

// lateBy is how much later than it was set a deadline of coarse may be.
const lateBy = 5 * time.Second

// coarse is a deadline that is moved a few seconds at a time, since requests follow
// each other faster than that: to move it with each costs a fortieth of the gateway's
// processor time.
type coarse struct{ at atomic.Int64 } // in ns since epoch; 0 is not known

// epoch makes deadlines numbers, by the monotonic clock.
var epoch = time.Now()

func (d *coarse) set(t time.Time, set func(time.Time) error) error {
	if t.IsZero() {
		d.at.Store(0)
		return set(t)
	}
	if late := time.Duration(d.at.Load()) - t.Sub(epoch); late >= 0 && late <= lateBy {
		return nil
	}
	late := t
	if time.Until(t) > lateBy { // what is soon, or past, is meant exactly
		late = t.Add(lateBy)
	}
	d.at.Store(int64(late.Sub(epoch)))
	return set(late)
}
