package dispatch

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/funcatron/funcatron/shared/envelope"
)

// replyRetry is how long a reply waits before it is tried again, when the broker
// took nothing: it may be back before the deadline.
const replyRetry = 50 * time.Millisecond

// maxReplyHeader bounds a reply's header lines in bytes, well below what an
// envelope may hold.
const maxReplyHeader = 256 << 10

// Call is one request on its way through a Responder. The slices of its Request
// stay valid for as long as anybody holds them.
type Call struct {
	envelope.Request
	Received time.Time // by this side's monotonic clock
	Deadline time.Time // likewise

	in      *serving
	replies *lane
	replied bool
	from    *delivered

	index int          // in in.calls; guarded by in.mu
	again []*delivered // the same call, delivered again; guarded by in.mu
}

// Reply answers the call. Of resp it takes Status, Header, Body, Ran and Fault, and
// is finished with them when it returns. It is called once. What no envelope can
// hold is answered as a fault: it would take the other replies of its message
// with it.
func (c *Call) Reply(resp *envelope.Response) {
	c.replied = true
	switch h := resp.Header; {
	case resp.Status < 100 || resp.Status > 999:
		resp = &envelope.Response{Status: 502, Fault: envelope.Died, Body: fmt.Appendf(nil, "it answered with status %d", resp.Status)}
	case len(h) > maxReplyHeader:
		resp = &envelope.Response{Status: 502, Fault: envelope.TooLarge, Body: fmt.Appendf(nil, "its header is %d bytes, at most %d are passed on", len(h), maxReplyHeader)}
	case len(h) > 0 && (!bytes.HasSuffix(h, []byte("\r\n")) || bytes.HasPrefix(h, []byte("\r\n")) || bytes.Contains(h, []byte("\r\n\r\n"))):
		resp = &envelope.Response{Status: 502, Fault: envelope.Died, Body: []byte("its header is malformed")}
	}
	c.replies.send(item{body: c.encode(resp), call: c.Call, deadline: c.Deadline, owner: c})
}

func (c *Call) encode(resp *envelope.Response) []byte {
	resp.Call = c.Call
	resp.Held = time.Since(c.Received)
	b := make([]byte, 0, len(resp.Header)+len(resp.Body)+256)
	b = envelope.AppendResponse(b, resp, len(resp.Body))
	b = append(b, resp.Header...)
	b = append(b, "\r\n"...)
	return append(b, resp.Body...)
}

// hold tells whoever waits for the reply that it is being worked on.
func (c *Call) hold() {
	note := envelope.Response{Status: 102, Fault: envelope.Held}
	c.replies.send(item{body: c.encode(&note), call: c.Call, deadline: c.Deadline, owner: unowned{}})
}

// unowned owns what hold sends, and does not care what becomes of it: it only
// spares its reader a wrong guess.
type unowned struct{}

func (unowned) wanted(it item, now time.Time) bool { return now.Before(it.deadline) }
func (unowned) settled(item, error)                {}

func (c *Call) wanted(it item, now time.Time) bool { return now.Before(it.deadline) }

// settled learns what became of the reply. A broker that took nothing gets it
// again until the deadline: to lose it would leave its caller waiting.
func (c *Call) settled(it item, err error) {
	if (errors.Is(err, ErrDown) || errors.Is(err, ErrFull)) && time.Until(it.deadline) > replyRetry {
		time.AfterFunc(replyRetry, func() { c.replies.send(it) })
		return
	}
	if err != nil {
		c.in.responder.lost.Inc()
	}
	c.finish()
}

// finish is the end of the call: each message that brought it has one less to wait for.
func (c *Call) finish() {
	s := c.in
	s.mu.Lock()
	last := len(s.calls) - 1
	s.calls[c.index] = s.calls[last]
	s.calls[c.index].index = c.index
	s.calls[last] = nil
	s.calls = s.calls[:last]
	again := c.again
	s.mu.Unlock()
	c.from.done()
	for _, d := range again {
		d.done()
	}
}
