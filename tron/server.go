package tron

import (
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	headerTime = 10 * time.Second // for a TLS handshake, too
	// bodyTime is how long a request may take to arrive, but for an upload.
	bodyTime = 30 * time.Second
	idleTime = 2 * time.Minute
	// answerTime is how long the Tron may take to begin its answer: longer than
	// anything it waits for.
	answerTime = 10 * time.Minute
)

// times bound how long a client may hold a connection.
type times struct {
	header time.Duration // for the request's first line and headers
	body   time.Duration // for those and the body, unless it is an upload
	piece  time.Duration // for the client to take a piece of the answer
}

func (t *Tron) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: t.opts.times.header,
		ReadTimeout:       t.opts.times.body,
		WriteTimeout:      answerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(t.log.Handler(), slog.LevelDebug),
		ConnState:         t.count,
	}
}

// listeners are all that the API is served on.
func (t *Tron) listeners() []net.Listener {
	if t.opts.TLS != nil {
		return []net.Listener{t.opts.TLS.Listen(t.ln), t.inside}
	}
	return []net.Listener{t.ln, t.inside}
}

func (o Options) scheme() string {
	if o.TLS != nil {
		return "https"
	}
	return "http"
}

// count keeps conns. StateNew comes from Serve's goroutine, before it starts the
// connection's; the others are the last that a connection's goroutine says.
func (t *Tron) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		t.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		t.conns.Done()
	}
}

// refusedToken tells the operator that somebody may be guessing.
func (t *Tron) refusedToken(wrong bool, from string) {
	result := "unseen"
	if wrong {
		result = "wrong"
	}
	t.counts.token(result)
	if skipped, ok := t.strangers.Pass(); ok {
		t.log.Warn("a token was refused", "from", from, "unsaid", skipped)
	}
}
