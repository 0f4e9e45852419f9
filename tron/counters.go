package tron

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// counters are the API's metrics. Their labels are routes and status classes,
// both few whatever clients send.
type counters struct {
	set *metrics.Set
}

func (c *counters) request(route string, status int) {
	c.set.GetOrCreateCounter(fmt.Sprintf("funcatron_tron_api_requests_total{route=%q,status=\"%dxx\"}", route, status/100)).Inc()
}

func (c *counters) token(result string) {
	c.set.GetOrCreateCounter(fmt.Sprintf("funcatron_tron_refused_tokens_total{result=%q}", result)).Inc()
}

func (c *counters) upload(result string) {
	c.set.GetOrCreateCounter(fmt.Sprintf("funcatron_tron_uploads_total{result=%q}", result)).Inc()
}

func (c *counters) uploaded(bytes int64) {
	c.set.GetOrCreateCounter("funcatron_tron_uploaded_bytes_total").Add(int(bytes))
}

func (c *counters) served(bytes int64) {
	c.set.GetOrCreateCounter("funcatron_tron_bundle_served_bytes_total").Add(int(bytes))
}

// counted counts h's answers.
func (t *Tron) counted(route string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		c := &counting{ResponseWriter: w, ctl: http.NewResponseController(w), piece: t.opts.times.piece}
		defer func() {
			if c.status == 0 {
				c.status = http.StatusOK
			}
			t.counts.request(route, c.status)
			t.log.Debug("admin request", "method", r.Method, "path", r.URL.Path, "status", c.status,
				"from", r.RemoteAddr, "took", time.Since(began))
		}()
		h(c, r)
	}
}

// counting notes the status and the size of an answer, and gives each piece of it a
// deadline: who takes it slowly is served, who takes nothing is not.
type counting struct {
	http.ResponseWriter
	ctl    *http.ResponseController
	piece  time.Duration
	status int
	bytes  int64
}

func (c *counting) WriteHeader(status int) {
	if c.status == 0 || c.status < 200 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *counting) Write(b []byte) (int, error) {
	c.allowPiece()
	n, err := c.ResponseWriter.Write(b)
	c.bytes += int64(n)
	return n, err
}

// pieceSize is how much of a bundle a client has to take in the time for a piece.
const pieceSize = 1 << 20

// ReadFrom keeps sendfile for bundles: net knows an io.LimitedReader of a file.
func (c *counting) ReadFrom(r io.Reader) (int64, error) {
	whole, ok := r.(*io.LimitedReader)
	if !ok {
		whole = &io.LimitedReader{R: r, N: math.MaxInt64}
	}
	var sum int64
	for whole.N > 0 {
		c.allowPiece()
		piece := &io.LimitedReader{R: whole.R, N: min(whole.N, pieceSize)}
		want := piece.N
		n, err := io.Copy(c.ResponseWriter, piece)
		sum, c.bytes, whole.N = sum+n, c.bytes+n, whole.N-n
		if err != nil || n < want {
			return sum, err
		}
	}
	return sum, nil
}

func (c *counting) allowPiece() {
	_ = c.ctl.SetWriteDeadline(time.Now().Add(c.piece)) // without one it is just as right
}

// Unwrap is for http.ResponseController.
func (c *counting) Unwrap() http.ResponseWriter { return c.ResponseWriter }
