package runner

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/funcatron/funcatron/runner/call"
	"github.com/funcatron/funcatron/shared/reqid"
	"github.com/funcatron/funcatron/shared/swagger"
)

// A process is warmed up with warmupRequests requests, on warmupLanes connections, or
// for warmupTime: whichever ends first. Just-in-time compilers think little of what
// ran a hundred times.
const (
	warmupRequests = 4000
	warmupTime     = 3 * time.Second
	warmupLanes    = 4
)

// exitTime is how long a process may take to be gone after it cut a connection.
const exitTime = time.Second

// archiveTime is how long a process may take to make its class-data archive.
const archiveTime = 30 * time.Second

// warmUp runs the document's warm-up requests in a process that nobody else uses yet,
// and then has it make its class-data archive, where that is still to be made. The
// error is that the process did not survive it: what it answers is only logged.
func (t *team) warmUp(ctx context.Context, i *instance) error {
	if requests := t.run.runtime.Warmup; len(requests) > 0 && t.warm(ctx, i, requests) {
		select {
		case <-i.proc.Exited():
		case <-time.After(exitTime):
		}
	}
	if c := t.run.program.classes; c != nil && !c.there() && c.making.CompareAndSwap(false, true) {
		if err := t.archive(i, c); err != nil {
			t.log.Warn("class-data archive was not made, later starts take longer", "err", err)
		}
		c.making.Store(false)
	}
	select {
	case <-i.proc.Exited():
		return fmt.Errorf("the process ended while it was warmed up: %s", i.proc.Exit())
	default:
		return nil
	}
}

// warm sends each request once, as any client's, and then all of them again and
// again, with a REQ id whose lines are not written. It says whether the process cut
// a connection.
func (t *team) warm(ctx context.Context, i *instance, requests []swagger.Warmup) (cut bool) {
	ctx, cancel := context.WithTimeout(ctx, warmupTime)
	defer cancel()
	began := time.Now()
	for k := range requests {
		status, err := t.warmWith(ctx, i, &requests[k], reqid.New())
		cut = cut || err != nil && ctx.Err() == nil
		if err != nil || status >= http.StatusBadRequest {
			t.log.Warn("warm-up failed", "request", requests[k].Method+" "+requests[k].Target, "status", status, "err", err)
		}
	}
	var sent atomic.Int64
	var lanes sync.WaitGroup
	for range min(warmupLanes, max(t.run.runtime.Concurrency, 1)) {
		lanes.Go(func() {
			for {
				n := sent.Add(1)
				if n > warmupRequests || ctx.Err() != nil {
					return
				}
				if _, err := t.warmWith(ctx, i, &requests[int(n)%len(requests)], t.muted); err != nil {
					return // it is gone, or slow: of either there was a word already
				}
			}
		})
	}
	lanes.Wait()
	t.log.Info("process is warm", "requests", min(sent.Load(), warmupRequests), "after", time.Since(began).Round(time.Millisecond))
	return cut
}

// warmWith sends one request.
func (t *team) warmWith(ctx context.Context, i *instance, w *swagger.Warmup, id reqid.ID) (status int, err error) {
	method := w.Method
	r := call.Request{
		Method: []byte(method), URI: []byte(t.run.want.BasePath + w.Target), Deadline: time.Now().Add(w.Operation.Timeout),
		Header: fmt.Appendf(nil, "Host: %s\r\nX-Request-Id: %s\r\nX-Funcatron-Operation: %s\r\nX-Funcatron-Params: %s\r\n",
			warmHost(t.run.want.Host), id, w.Operation.ID, ascii(w.Params)),
		Repeatable: true, MaxReply: maxWarmReply,
	}
	if end, ok := ctx.Deadline(); ok && end.Before(r.Deadline) {
		r.Deadline = end
	}
	a := call.NewAnswer()
	defer a.Release()
	if err := i.pool.Do(&r, a); err != nil {
		return 0, err
	}
	return a.Status, nil
}

// maxWarmReply bounds an answer, in bytes, as that of any request.
const maxWarmReply = 8 << 20

// warmHost is the host that the request names: the document's, or nobody's.
func warmHost(host string) string {
	if host == "" {
		return "localhost"
	}
	return host
}

// ascii writes what of JSON is beyond ASCII, which a header cannot carry, as escapes.
func ascii(json []byte) []byte {
	out := make([]byte, 0, len(json))
	for _, c := range string(json) {
		switch {
		case c < 0x80:
			out = append(out, byte(c))
		case c < 0x10000:
			out = fmt.Appendf(out, `\u%04x`, c)
		default:
			c -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+c>>10, 0xdc00+c&0x3ff)
		}
	}
	return out
}

// archive has the process make its class-data archive, and takes it. The header is
// ours alone: gateways let no X-Funcatron header of a client's through.
func (t *team) archive(i *instance, c *classArchive) error {
	began := time.Now()
	r := call.Request{
		Method: []byte(http.MethodPost), URI: []byte("/"), Deadline: began.Add(archiveTime), MaxReply: 64 << 10,
		Header: []byte("Host: localhost\r\nX-Funcatron-Control: archive\r\n"),
	}
	a := call.NewAnswer()
	defer a.Release()
	if err := i.pool.Do(&r, a); err != nil {
		return err
	}
	if a.Status != http.StatusNoContent {
		return fmt.Errorf("the process answered %d: %.300s", a.Status, a.Body)
	}
	if err := c.take(i.home); err != nil {
		return err
	}
	size := int64(0)
	if info, err := os.Stat(c.path); err == nil {
		size = info.Size()
	}
	t.log.Info("class-data archive is made", "bytes", strconv.FormatInt(size, 10), "after", time.Since(began).Round(time.Millisecond))
	return nil
}
