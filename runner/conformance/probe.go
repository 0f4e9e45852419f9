package conformance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// probe is one check while it is made. Several goroutines may ask at once.
type probe struct {
	*suite
	ctx    context.Context // ends with the check's time
	reason string          // why it is not checked; "" where it is
	asked  atomic.Int64    // requests

	mu     sync.Mutex
	faults []string // guarded by mu
}

// request is what a check asks.
type request struct {
	method, path string
	header       []string // name, value, name, value
	body         []byte
	chunked      bool // the body is sent without its length
}

func get(path string, header ...string) request {
	return request{method: http.MethodGet, path: path, header: header}
}

// post sends JSON.
func post(path, json string, header ...string) request {
	return request{method: http.MethodPost, path: path, body: []byte(json), header: append([]string{"Content-Type", "application/json"}, header...)}
}

// send posts a body of that type.
func send(path, contentType string, body []byte) request {
	return request{method: http.MethodPost, path: path, body: body, header: []string{"Content-Type", contentType}}
}

func method(method, path string, header ...string) request {
	return request{method: method, path: path, header: header}
}

// inChunks is r without the length of its body.
func (r request) inChunks() request {
	r.chunked = true
	return r
}

// String is the request as a failure names it.
func (r request) String() string {
	text := r.method + " " + r.path
	for i := 0; i+1 < len(r.header); i += 2 {
		text += fmt.Sprintf(" (%s: %s)", r.header[i], r.header[i+1])
	}
	if len(r.body) > 0 {
		text += " with " + show(r.body)
	}
	return text
}

// answer is what came.
type answer struct {
	status int
	header http.Header
	body   []byte
	took   time.Duration
}

// String is the answer as a failure shows it.
func (a *answer) String() string {
	text := strconv.Itoa(a.status)
	if kind := a.header.Get("Content-Type"); kind != "" {
		text += " " + kind
	}
	if len(a.body) == 0 {
		return text + " without a body"
	}
	return text + " " + show(a.body)
}

// maxShown is how many bytes of a body a failure shows.
const maxShown = 600

// show is a body for people.
func show(body []byte) string {
	cut := body[:min(len(body), maxShown)]
	text := strconv.Quote(string(cut))
	if utf8.Valid(cut) && !bytes.ContainsAny(cut, "\x00\n\r") {
		text = string(cut)
	}
	if len(body) > maxShown {
		text += fmt.Sprintf("... (%d bytes)", len(body))
	}
	return text
}

// ask sends r, and says what of want the answer is not. The answer is nil where
// none came, which has been said then.
func (p *probe) ask(r request, want ...expectation) *answer {
	a, err := p.exchange(r)
	if err != nil {
		p.failf("%s: want %s; no answer came: %v", r, all(want), err)
		return nil
	}
	var wrong []string
	for _, w := range want {
		if text := w.wrong(a); text != "" {
			wrong = append(wrong, text)
		}
	}
	if len(wrong) > 0 {
		p.failf("%s: want %s; came %s (%s)", r, all(want), a, strings.Join(wrong, "; "))
	}
	return a
}

// failf says what is wrong.
func (p *probe) failf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

// good tells whether nothing is wrong so far.
func (p *probe) good() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.faults) == 0
}

func (p *probe) exchange(r request) (*answer, error) {
	p.asked.Add(1)
	var body io.Reader = bytes.NewReader(r.body)
	if r.chunked {
		body = io.MultiReader(body) // net/http does not know its length
	}
	req, err := http.NewRequestWithContext(p.ctx, r.method, p.base+r.path, body)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(r.header); i += 2 {
		req.Header.Add(r.header[i], r.header[i+1])
	}
	start := time.Now()
	res, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("status %d, and then: %w", res.StatusCode, err)
	}
	return &answer{res.StatusCode, res.Header, data, time.Since(start)}, nil
}

// every calls f again and again, a quarter of a second apart, until it returns
// false, so much time has passed, or the check's time is up.
func (p *probe) every(atMost time.Duration, f func() bool) {
	ctx, cancel := context.WithTimeout(p.ctx, atMost)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
