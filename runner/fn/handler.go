package fn

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"time"
)

// Options say where Run listens and what the functions are given. FromEnv makes
// them of what the Runner sets.
type Options struct {
	// Socket is the Unix socket to listen on; Addr is the TCP address, where
	// Socket is "".
	Socket, Addr string
	// Grace is how long Run lets running requests finish at its end; 0 is 9 s,
	// since the Runner kills after 10.
	Grace time.Duration

	// Props are the Execution Properties, a JSON object; nil is an empty one.
	Props []byte
	// Document is the bundle's Swagger document as JSON. Where there is one, each
	// of its operations needs a function.
	Document []byte
	// Output takes the log lines, one whole line a Write; nil is os.Stdout.
	Output io.Writer
	// Level is the least level that is logged; nil is slog.LevelInfo.
	Level slog.Leveler
	// Transport is what Context.Client sends through; nil is http.DefaultTransport.
	Transport http.RoundTripper
}

// Handler serves a bundle's operations to the Runner, or to a test.
type Handler struct {
	ops       Operations
	props     map[string]any
	rawProps  []byte
	lines     *lineHandler
	log       *slog.Logger // of what is no request's
	transport http.RoundTripper
	services  *services
}

// NewHandler makes the handler of ops. Of o it ignores where to listen. It starts
// nothing; whoever made it closes it.
func NewHandler(ops Operations, o Options) (*Handler, error) {
	if len(ops) == 0 {
		return nil, errors.New("serve no operations: name at least one function by its operationId")
	}
	for id, f := range ops {
		if f == nil {
			return nil, fmt.Errorf("serve operation %q: its function is nil", id)
		}
	}
	if o.Document != nil {
		if err := ops.serveAll(o.Document); err != nil {
			return nil, err
		}
	}
	h := &Handler{ops: ops, rawProps: o.Props, transport: o.Transport}
	if len(h.rawProps) == 0 {
		h.rawProps = []byte("{}")
	}
	if err := decodeJSON(h.rawProps, &h.props); err != nil {
		return nil, fmt.Errorf("read the execution properties: %w", withoutContent(err))
	}
	if h.props == nil {
		return nil, errors.New("read the execution properties: they are null, not a JSON object")
	}
	if h.transport == nil {
		h.transport = http.DefaultTransport
	}
	out, level := o.Output, o.Level
	if out == nil {
		out = os.Stdout
	}
	if level == nil {
		level = slog.LevelInfo
	}
	h.lines = newLines(out, level)
	h.log = slog.New(h.lines)
	h.services = newServices(h.props, h.log)
	return h, nil
}

// withoutContent keeps what the properties hold out of an error: they may be
// secrets.
func withoutContent(err error) error {
	var t *json.UnmarshalTypeError
	if errors.As(err, &t) {
		return fmt.Errorf("they are a JSON %s, not an object", t.Value)
	}
	return err
}

// Close ends the services. No request may be running.
func (h *Handler) Close() error { return h.services.close() }

// ServeHTTP runs the operation that X-Funcatron-Operation names. It neither
// panics on a function's account nor keeps a request's services longer than the
// function runs.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel, err := h.newContext(r)
	defer cancel()
	// Reached with the session still open only where the function ended its
	// goroutine (runtime.Goexit); net/http then closes the connection.
	defer func() { _ = ctx.session.end(false) }()

	var res *Response
	if err != nil {
		err = &Error{Status: http.StatusBadRequest, Message: err.Error(), Err: err}
	} else {
		res, err = h.run(ctx)
	}
	if err == nil {
		err = guard(res.prefetch)
	}
	if err != nil {
		_ = guard(res.close) // it is not sent, and what counts is err
		ctx.report(err)
		res = failure(ctx, err)
	}
	// A body that was not read must be taken off the connection, or the Runner
	// would find it closed while it still writes.
	_, _ = io.Copy(io.Discard, r.Body)

	err = guard(func() error { return res.writeTo(w, r.Method) })
	if closeErr := guard(res.close); err == nil {
		err = closeErr
	}
	if err != nil {
		if r.Context().Err() == nil { // else nobody waits for it any more
			ctx.Logger().Error("answer broken off", "error", err.Error())
		}
		panic(http.ErrAbortHandler) // the connection closes, so that half an answer is not taken for a whole one
	}
}

// run calls the operation's function and settles what it vended. Without an
// error there is a Response; with one there may be, for the caller to close.
func (h *Handler) run(ctx *Context) (res *Response, err error) {
	f, ok := h.ops[ctx.operation]
	if !ok {
		return nil, Errorf(http.StatusNotImplemented, "this function bundle does not serve operation %q", ctx.operation)
	}
	err = guard(func() error {
		made, err := f(ctx)
		res = &Response{Status: http.StatusNoContent}
		if made != nil {
			*res = *made // it is the function's, and may serve other requests too
		}
		if err != nil {
			return err
		}
		return res.check()
	})
	if err == nil && ctx.Err() != nil && ctx.session.used() {
		// Nobody hears the answer any more, and who asks again must not find
		// the work done already.
		err = fmt.Errorf("keep what was done: the request was over: %w", ctx.Err())
	}
	if endErr := ctx.session.end(err == nil); endErr != nil {
		if err == nil {
			err = endErr
		} else {
			ctx.Logger().Error("give back services", "error", endErr.Error())
		}
	}
	return res, err
}

// report logs a failure that is the function's; what the client did wrong is for
// those who ask (slog.LevelDebug).
func (c *Context) report(err error) {
	var p *panicked
	if errors.As(err, &p) {
		c.Logger().Error(p.Error(), "stack", p.stack)
		return
	}
	level := slog.LevelError
	var e *Error
	if errors.As(err, &e) && e.status() < 500 {
		level = slog.LevelDebug
	}
	c.Logger().Log(c, level, "function failed", "error", err.Error())
}

// panicked is a panic as an error.
type panicked struct {
	value any
	stack string
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// maxStack is how much of a panic's stack in bytes a log line carries.
const maxStack = 16 << 10

// guard calls f and makes its panic an error.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			stack := debug.Stack()
			err = &panicked{v, string(stack[:min(len(stack), maxStack)])}
		}
	}()
	return f()
}
