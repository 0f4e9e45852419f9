package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/memory"
	"github.com/funcatron/funcatron/shared/envelope"
	"github.com/funcatron/funcatron/shared/statefile"
	"github.com/funcatron/funcatron/shared/swagger"
	"github.com/funcatron/funcatron/shared/wire"
)

const testDoc = `
swagger: "2.0"
info: {title: Test, version: "1"}
basePath: /t
consumes: [application/json]
produces: [application/json]
x-funcatron: {runtime: exec, command: [x], timeout: 5s, concurrency: 64}
paths:
  /plain:
    get: {operationId: plain, responses: {"200": {description: ok}}}
    post: {operationId: plain, consumes: [], responses: {"200": {description: ok}}}
  /both:
    get: {operationId: both.get, responses: {"200": {description: ok}}}
    head: {operationId: both.head, responses: {"200": {description: ok}}}
  /num/{n}:
    get:
      operationId: num
      parameters:
        - {name: n, in: path, type: integer, format: int64, required: true, maximum: 100}
        - {name: b, in: query, type: boolean, required: true}
        - {name: X-Level, in: header, type: string, enum: [low, high]}
      responses: {"200": {description: ok}}
  /data:
    post:
      operationId: data
      parameters:
        - {name: d, in: body, required: true, schema: {type: object, required: [name], properties: {name: {type: string}, age: {type: integer}}}}
      responses: {"200": {description: ok}}
  /hasty:
    get: {operationId: hasty, x-funcatron: {timeout: 50ms}, responses: {"200": {description: ok}}}
`

// fakeTron sends one route table, and the documents it is asked for.
type fakeTron struct {
	broker dispatch.Broker
	docs   map[string]json.RawMessage

	mu     sync.Mutex
	routes wire.Routes
	acks   []wire.Ack
	awake  []string // queues of gateways
}

func (f *fakeTron) run(ctx context.Context) error {
	return f.broker.Consume(ctx, dispatch.Queue{Name: wire.TronQueue}, 10, func(d *dispatch.Delivery) {
		defer d.Settle(dispatch.Ack)
		m, err := wire.Decode(d.Body)
		if err != nil {
			panic(err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		switch m.Action {
		case wire.Awake:
			f.awake = append(f.awake, m.From)
			f.say(m.From, wire.Message{Action: wire.Route, Routes: &f.routes})
		case wire.Want:
			for _, sha := range m.Wants.Documents {
				doc := wire.Document{Sha: sha, Swagger: f.docs[sha]}
				if doc.Swagger == nil {
					doc.Error = "unknown"
				}
				f.say(m.From, wire.Message{Action: wire.Swagger, Document: &doc})
			}
		case wire.AckAction:
			f.acks = append(f.acks, *m.Ack)
		}
	})
}

func (f *fakeTron) say(to string, m wire.Message) {
	m.From = wire.TronQueue
	f.broker.Publish(to, dispatch.Message{Body: wire.Encode(m), ContentType: dispatch.TypeControl}, nil)
}

// change sends a new table to every gateway and waits until one has acknowledged it.
func (f *fakeTron) change(t *testing.T, rows ...wire.RouteItem) {
	t.Helper()
	id := wire.NewID()
	f.mu.Lock()
	f.routes.Version++
	f.routes.Routes = rows
	next := f.routes
	for _, q := range f.awake {
		f.say(q, wire.Message{Action: wire.Route, ID: id, Routes: &next})
	}
	f.mu.Unlock()
	until(t, "the table is acknowledged", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, a := range f.acks {
			if a.Re == id {
				return true
			}
		}
		return false
	})
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("not within 10s: " + what)
		}
	}
}

func sha(n int) string { return fmt.Sprintf("%064x", n) }

func row(id string, n int) wire.RouteItem {
	return wire.RouteItem{Deployment: id, Sha: sha(n), BasePath: "/t", Queue: "req." + id}
}

func document(t *testing.T, text string) json.RawMessage {
	t.Helper()
	d, err := swagger.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d.JSON
}

// rig is a gateway with a Tron that routes /t to queue req.d1.
type rig struct {
	t      *testing.T
	broker *memory.Broker
	tron   *fakeTron
	g      *Gateway
	url    string
}

func newRig(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	b := memory.New()
	r := &rig{t: t, broker: b, tron: &fakeTron{broker: b, docs: map[string]json.RawMessage{sha(1): document(t, testDoc)}}}
	r.tron.routes = wire.Routes{Epoch: "e", Version: 1, Routes: []wire.RouteItem{row("d1", 1)}}
	o := DefaultOptions()
	o.Broker, o.Listen, o.AdminListen, o.StateDir, o.DrainDelay = b, "127.0.0.1:0", "127.0.0.1:0", t.TempDir(), 0
	o.DrainTime = 5 * time.Second
	if change != nil {
		change(&o)
	}
	var err error
	if r.g, err = New(o); err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + r.g.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	tronCtx, stopTron := context.WithCancel(context.Background())
	wg.Go(func() {
		if err := r.tron.run(tronCtx); err != nil {
			t.Error(err)
		}
	})
	var gw sync.WaitGroup
	gw.Go(func() {
		if err := r.g.Run(ctx); err != nil {
			t.Errorf("gateway: %v", err)
		}
	})
	t.Cleanup(func() { stop(); gw.Wait(); stopTron(); wg.Wait() })
	until(t, "the gateway is ready", func() bool { return r.g.Ready() == nil })
	return r
}

// serve answers queue with h until the test ends, or until stop is called.
func (r *rig) serve(queue string, h func(*dispatch.Call)) (stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- dispatch.NewResponder(r.broker, dispatch.ResponderOptions{}).Serve(ctx, dispatch.Queue{Name: queue}, 64, h)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(stop)
	until(r.t, "the queue has a consumer", func() bool {
		st, err := r.broker.Inspect(ctx, queue)
		return err == nil && st.Consumers > 0
	})
	return stop
}

// ready is how many messages wait in a queue.
func (r *rig) ready(queue string) int {
	r.t.Helper()
	st, err := r.broker.Inspect(r.t.Context(), queue)
	if err != nil {
		r.t.Fatal(err)
	}
	return st.Ready
}

func ok(c *dispatch.Call) { c.Reply(&envelope.Response{Status: 200, Body: []byte("ok")}) }

// mirror answers with the request as the function got it.
func mirror(c *dispatch.Call) {
	body := fmt.Appendf(nil, "%s %s\n%s\n%s", c.Method, c.URI, c.Header, c.Body)
	c.Reply(&envelope.Response{Status: 200, Header: []byte("Content-Type: text/plain\r\n"), Body: body})
}

func (r *rig) do(method, path, body string, header ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(b))
	return resp
}

func text(resp *http.Response) string {
	b, _ := io.ReadAll(resp.Body) // it is in memory
	return string(b)
}

// The gateway's own answers, row by row.
func TestAnswers(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxBody = 1000; o.MaxPending = 4 })
	hold := make(chan struct{})
	stop := r.serve("req.d1", func(c *dispatch.Call) {
		switch {
		case bytes.Contains(c.Header, []byte("X-Test: hold")):
			<-hold
			ok(c)
		case bytes.Contains(c.Header, []byte("X-Test: died")):
			c.Reply(&envelope.Response{Status: 502, Fault: envelope.Died, Body: []byte("exit status 3")})
		case bytes.Contains(c.Header, []byte("X-Test: expired")):
			c.Reply(&envelope.Response{Status: 504, Fault: envelope.Expired, Body: []byte("too late")})
		case bytes.HasPrefix(c.URI, []byte("/t/hasty")):
			<-time.After(200 * time.Millisecond)
			ok(c)
		default:
			ok(c)
		}
	})
	json := "application/json"
	for _, tc := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		want                     string // in the body
		headers                  string // of the answer: "Name: value"
	}{
		{name: "served", method: "GET", path: "/t/plain", status: 200, want: "ok"},
		{name: "no path", method: "GET", path: "/t/nothing", status: 404},
		{name: "no base path", method: "GET", path: "/tt/plain", status: 404},
		{name: "dot segment", method: "GET", path: "/t/x/../plain", status: 404},
		{name: "no method", method: "DELETE", path: "/t/plain", status: 405, headers: "Allow: GET, HEAD, OPTIONS, POST"},
		{name: "options", method: "OPTIONS", path: "/t/plain", status: 204, headers: "Allow: GET, HEAD, OPTIONS, POST"},
		{name: "bad parameters, all of them", method: "GET", path: "/t/num/500?b=maybe", header: []string{"X-Level", "middle"}, status: 400, want: `"in":"path","name":"n"`},
		{name: "missing parameter", method: "GET", path: "/t/num/5", status: 400, want: `"in":"query","name":"b"`},
		{name: "good parameters", method: "GET", path: "/t/num/5?b=true", status: 200},
		{name: "bad body", method: "POST", path: "/t/data", body: `{"age":"x"}`, header: []string{"Content-Type", json}, status: 400, want: `"in":"body"`},
		{name: "no JSON", method: "POST", path: "/t/data", body: `{`, header: []string{"Content-Type", json}, status: 400, want: `"in":"body"`},
		{name: "no body", method: "POST", path: "/t/data", header: []string{"Content-Type", json}, status: 400, want: `"in":"body"`},
		{name: "good body", method: "POST", path: "/t/data", body: `{"name":"x"}`, header: []string{"Content-Type", json + "; charset=utf-8"}, status: 200},
		{name: "wrong content type", method: "POST", path: "/t/data", body: `<x/>`, header: []string{"Content-Type", "text/xml"}, status: 415},
		{name: "nothing acceptable", method: "GET", path: "/t/plain", header: []string{"Accept", "text/html"}, status: 406},
		{name: "refused type", method: "GET", path: "/t/plain", header: []string{"Accept", "*/*, application/json;q=0"}, status: 406},
		{name: "acceptable", method: "GET", path: "/t/plain", header: []string{"Accept", "text/html, */*;q=0.1"}, status: 200},
		{name: "body too large", method: "POST", path: "/t/plain", body: strings.Repeat("x", 1001), status: 413},
		{name: "function died", method: "GET", path: "/t/plain", header: []string{"X-Test", "died"}, status: 502, want: "exit status 3"},
		{name: "expired at the runner", method: "GET", path: "/t/plain", header: []string{"X-Test", "expired"}, status: 504},
		{name: "deadline", method: "GET", path: "/t/hasty", status: 504},
		{name: "the page", method: "GET", path: "/", status: 200, want: "<html"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp := r.do(tc.method, tc.path, tc.body, tc.header...)
			body := text(resp)
			if resp.StatusCode != tc.status || !strings.Contains(body, tc.want) {
				t.Errorf("%s %s: %d %s, want %d with %q", tc.method, tc.path, resp.StatusCode, body, tc.status, tc.want)
			}
			if name, value, found := strings.Cut(tc.headers, ": "); found && resp.Header.Get(name) != value {
				t.Errorf("%s is %q, want %q", name, resp.Header.Get(name), value)
			}
			id := resp.Header.Get("X-Request-Id")
			if len(id) != 32 {
				t.Errorf("X-Request-Id is %q", id)
			}
			if tc.status >= 400 {
				checkProblem(t, resp, body, id)
			}
		})
	}
	t.Run("pending table full", func(t *testing.T) {
		var wg sync.WaitGroup
		for range 3 { // of one deployment, three quarters of the table
			wg.Go(func() { r.do("GET", "/t/plain", "", "X-Test", "hold") })
		}
		until(t, "three requests are pending", func() bool { return r.g.calls.Pending() == 3 })
		resp := r.do("GET", "/t/plain", "")
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
		}
		checkProblem(t, resp, text(resp), resp.Header.Get("X-Request-Id"))
		close(hold)
		wg.Wait()
	})
	t.Run("no live runner", func(t *testing.T) {
		stop()
		until(t, "503", func() bool { return r.do("GET", "/t/plain", "").StatusCode == 503 })
		start := time.Now()
		resp := r.do("GET", "/t/plain", "")
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || time.Since(start) > time.Second {
			t.Errorf("%d after %v", resp.StatusCode, time.Since(start))
		}
		r.serve("req.d1", ok)
		until(t, "served again", func() bool { return r.do("GET", "/t/plain", "").StatusCode == 200 })
	})
}

// What waits when the last runner dies is told within two seconds, not at its deadline.
func TestLastRunnerDies(t *testing.T) {
	r := newRig(t, nil)
	ctx, die := context.WithCancel(context.Background())
	died := make(chan error, 1)
	go func() { // a consumer that takes requests and dies with them
		died <- r.broker.Consume(ctx, dispatch.Queue{Name: "req.d1"}, 1, func(d *dispatch.Delivery) {
			die()
			d.Settle(dispatch.Requeue)
		})
	}()
	until(t, "the queue has a consumer", func() bool {
		st, err := r.broker.Inspect(t.Context(), "req.d1")
		return err == nil && st.Consumers > 0
	})
	var wg sync.WaitGroup
	for method, want := range map[string]int{"GET": 503, "POST": 502} {
		wg.Go(func() {
			start := time.Now()
			resp := r.do(method, "/t/plain", "")
			if resp.StatusCode != want || time.Since(start) > 4*time.Second {
				t.Errorf("%s: %d after %v, want %d", method, resp.StatusCode, time.Since(start), want)
			}
		})
	}
	wg.Wait()
	if err := <-died; err != nil {
		t.Error(err)
	}
}

// A request that kills every runner it is given to is not given to runners for
// ever, and to one only where it must not run twice.
func TestEveryRunnerDiesOfIt(t *testing.T) {
	r := newRig(t, nil)
	var runs atomic.Int32
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- r.broker.Consume(ctx, dispatch.Queue{Name: "req.d1"}, 1, func(d *dispatch.Delivery) {
			if !d.Redelivered { // this runner dies with it
				runs.Add(1)
				d.Settle(dispatch.Requeue)
				return
			}
			defer d.Settle(dispatch.Ack) // and the next one gets it
			var q envelope.Request
			if _, err := envelope.NextRequest(d.Body, &q); err != nil {
				panic(err)
			}
			again := envelope.Response{Call: q.Call, Status: 502, Fault: envelope.MaybeRan}
			r.broker.Publish(d.ReplyTo, dispatch.Message{Body: append(envelope.AppendResponse(nil, &again, 0), "\r\n"...), ContentType: dispatch.TypeHTTP}, nil)
		})
	}()
	until(t, "the queue has a consumer", func() bool {
		st, err := r.broker.Inspect(t.Context(), "req.d1")
		return err == nil && st.Consumers > 0
	})
	for method, want := range map[string]int32{"GET": maxRuns, "POST": 1} {
		runs.Store(0)
		if resp := r.do(method, "/t/plain", ""); resp.StatusCode != 502 || runs.Load() != want {
			t.Errorf("%s: %d %s after %d runs, want 502 after %d", method, resp.StatusCode, text(resp), runs.Load(), want)
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// What a runner could not run, another runs, whatever its method.
func TestAnotherRunnerRunsIt(t *testing.T) {
	r := newRig(t, nil)
	var n atomic.Int32
	r.serve("req.d1", func(c *dispatch.Call) {
		if n.Add(1)%2 == 1 {
			c.Reply(&envelope.Response{Status: 503, Fault: envelope.NotRun})
			return
		}
		ok(c)
	})
	until(t, "the queue has a consumer", func() bool {
		st, err := r.broker.Inspect(t.Context(), "req.d1")
		return err == nil && st.Consumers > 0
	})
	for _, method := range []string{"GET", "POST"} {
		if resp := r.do(method, "/t/plain", ""); resp.StatusCode != 200 {
			t.Errorf("%s: %d %s", method, resp.StatusCode, text(resp))
		}
	}
	if n.Load() != 4 {
		t.Errorf("offered %d times, want 4", n.Load())
	}
}

func checkProblem(t *testing.T, resp *http.Response, body, id string) {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if resp.Header.Get("Content-Type") != "application/problem+json" || p.Status != resp.StatusCode || p.Title == "" || p.Detail == "" || p.RequestID != id {
		t.Errorf("Content-Type %q, problem %+v, id %q", resp.Header.Get("Content-Type"), p, id)
	}
}

func TestAllViolationsAreReported(t *testing.T) {
	r := newRig(t, nil)
	resp := r.do("GET", "/t/num/500?b=maybe", "", "X-Level", "middle")
	var p problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, v := range p.Errors {
		got[v.In+"/"+v.Name] = true
	}
	for _, want := range []string{"path/n", "query/b", "header/X-Level"} {
		if !got[want] {
			t.Errorf("violations %+v lack %s", p.Errors, want)
		}
	}
}

// What the function gets.
func TestRequestAsTheFunctionGetsIt(t *testing.T) {
	r := newRig(t, nil)
	r.serve("req.d1", mirror)
	got := text(r.do("GET", "/t/num/7?b=true&cool=yes&cool=very", "",
		"Host", "api.example.com", "X-Mine", "1", "X-Mine", "2", "Te", "trailers", "X-Named", "gone", "X-Other", "gone", "Connection", "X-Named", "Connection", "close, x-other",
		"X_Request_Id", "evil", "X_Funcatron-Params", "evil", "x_forwarded_for", "6.6.6.6", "X_Mine", "kept",
		"X-Funcatron-Operation", "evil", "x-funcatron-params", "evil", "Cookie", "a=b; c=d", "Accept", "application/json",
		"X-Forwarded-For", "6.6.6.6", "Forwarded", "for=6.6.6.6", "X-Request-Id", "0123456789abcdef0123456789abcdef"))
	for _, want := range []string{
		"GET /t/num/7?b=true&cool=yes&cool=very\n", "Host: api.example.com\r\n", "X-Mine: 1\r\n", "X-Mine: 2\r\n", ": kept\r\n", "Cookie: a=b; c=d\r\n",
		"X-Request-Id: 0123456789abcdef0123456789abcdef\r\n", "traceparent: 00-0123456789abcdef0123456789abcdef-",
		"X-Funcatron-Operation: num\r\n", `"path":{"n":7}`, `"b":true`, `"cool":["yes","very"]`,
		"X-Forwarded-For: 127.0.0.1\r\n", "X-Forwarded-Host: api.example.com\r\n", "X-Forwarded-Proto: http\r\n",
		`Forwarded: for=127.0.0.1;host="api.example.com";proto=http` + "\r\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the function does not get %q:\n%s", want, got)
		}
	}
	for _, gone := range []string{"evil", "6.6.6.6", "Te:", "Connection:", "X-Named", "X-Other", "gone", "Content-Length"} {
		if strings.Contains(got, gone) {
			t.Errorf("the function gets %q:\n%s", gone, got)
		}
	}
}

func TestTraceGivesTheRequestID(t *testing.T) {
	r := newRig(t, nil)
	r.serve("req.d1", mirror)
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	resp := r.do("GET", "/t/plain", "", "traceparent", "00-"+id+"-00f067aa0ba902b7-01", "tracestate", "a=1", "X-Request-Id", strings.Repeat("a", 32))
	body := text(resp)
	if resp.Header.Get("X-Request-Id") != id || !strings.Contains(body, "traceparent: 00-"+id+"-") || strings.Contains(body, "00f067aa0ba902b7") || !strings.Contains(body, "-01\r\n") {
		t.Errorf("X-Request-Id %q\n%s", resp.Header.Get("X-Request-Id"), body)
	}
	if !strings.Contains(body, "Tracestate: a=1") {
		t.Errorf("tracestate is lost:\n%s", body)
	}
}

func TestTrustedProxy(t *testing.T) {
	r := newRig(t, func(o *Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	r.serve("req.d1", mirror)
	got := text(r.do("GET", "/t/plain", "", "X-Forwarded-For", "9.9.9.9", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "shop.example", "Forwarded", "for=9.9.9.9"))
	for _, want := range []string{"X-Forwarded-For: 9.9.9.9, 127.0.0.1\r\n", "X-Forwarded-Proto: https\r\n", "X-Forwarded-Host: shop.example\r\n", "Forwarded: for=9.9.9.9, for=127.0.0.1;"} {
		if !strings.Contains(got, want) {
			t.Errorf("the function does not get %q:\n%s", want, got)
		}
	}
}

// What the client gets.
func TestResponseAsTheClientGetsIt(t *testing.T) {
	r := newRig(t, nil)
	r.serve("req.d1", func(c *dispatch.Call) {
		c.Reply(&envelope.Response{
			Status: 299, Body: []byte{0, 1, 2, 0xff},
			Header: []byte("Content-Type: application/x-thing\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: a=2; Path=/x\r\nContent-Encoding: gzip\r\nX-Many: 1\r\nX-Many: 2\r\nX-Request-Id: mine\r\nServer: fn\r\n"),
		})
	})
	req, err := http.NewRequest("GET", r.url+"/t/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip") // so that the transport leaves the body alone
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body := text(resp); body != "\x00\x01\x02\xff" {
		t.Errorf("body %q", body)
	}
	h := resp.Header
	if resp.StatusCode != 299 || h.Get("Content-Type") != "application/x-thing" || h.Get("Content-Encoding") != "gzip" || h.Get("Server") != "fn" {
		t.Errorf("%d %v", resp.StatusCode, h)
	}
	if c := h["Set-Cookie"]; len(c) != 2 || c[0] != "a=1; Path=/" || c[1] != "a=2; Path=/x" {
		t.Errorf("Set-Cookie %q", c)
	}
	if m := h["X-Many"]; len(m) != 2 {
		t.Errorf("X-Many %q", m)
	}
	if id := h["X-Request-Id"]; len(id) != 1 || len(id[0]) != 32 {
		t.Errorf("X-Request-Id %q", id)
	}
}

func TestHead(t *testing.T) {
	r := newRig(t, nil)
	r.serve("req.d1", func(c *dispatch.Call) {
		if string(c.Method) == "HEAD" {
			c.Reply(&envelope.Response{Status: 200, Header: []byte("X-Method: HEAD\r\nContent-Length: 77\r\n")})
			return
		}
		c.Reply(&envelope.Response{Status: 200, Header: []byte("X-Method: " + string(c.Method) + "\r\n"), Body: []byte("12345")})
	})
	for path, want := range map[string]string{"/t/plain": "GET 5", "/t/both": "HEAD 77"} {
		resp := r.do("HEAD", path, "")
		if got := fmt.Sprint(resp.Header.Get("X-Method"), " ", resp.ContentLength); resp.StatusCode != 200 || got != want || text(resp) != "" {
			t.Errorf("HEAD %s: %d, asked as %s, want %s", path, resp.StatusCode, got, want)
		}
	}
}

// raw sends bytes on a connection of its own and returns what comes back.
func (r *rig) raw(send string) (*bufio.Reader, net.Conn) {
	r.t.Helper()
	c, err := net.Dial("tcp", r.g.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.WriteString(c, send); err != nil {
		r.t.Fatal(err)
	}
	return bufio.NewReader(c), c
}

func readResponse(t *testing.T, br *bufio.Reader) (int, string) {
	t.Helper()
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestChunkedExpectAndKeepAlive(t *testing.T) {
	r := newRig(t, nil)
	r.serve("req.d1", mirror)
	br, c := r.raw("POST /t/data HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"name\"\r\n5\r\n:\"x\"}\r\n0\r\n\r\n")
	if status, body := readResponse(t, br); status != 200 || !strings.HasSuffix(body, `{"name":"x"}`) || strings.Contains(body, "Transfer-Encoding") {
		t.Errorf("chunked: %d %s", status, body)
	}
	// The same connection, with a body announced first.
	if _, err := io.WriteString(c, "POST /t/data HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	line, err := br.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("Expect: 100-continue is answered %q (%v)", line, err)
	}
	if _, err := br.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, `{"name":"y"}`); err != nil {
		t.Fatal(err)
	}
	if status, body := readResponse(t, br); status != 200 || !strings.HasSuffix(body, `{"name":"y"}`) || strings.Contains(body, "Expect") {
		t.Errorf("after 100: %d %s", status, body)
	}
}

func TestMalformed(t *testing.T) {
	r := newRig(t, nil)
	r.serve("req.d1", ok)
	for name, tc := range map[string]struct {
		send string
		want int
	}{
		"no HTTP":          {"hello\r\n\r\n", 400},
		"large header":     {"GET /t/plain HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n", 431},
		"NUL in target":    {"GET /t/pl\x00ain HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"raw UTF-8":        {"GET /t/\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"path like a host": {"GET //evil/t/plain HTTP/1.0\r\n\r\n", 400},
		"user in Host":     {"GET /t/plain HTTP/1.1\r\nHost: u@x\r\n\r\n", 400},
		"chunked on 1.0":   {"POST /t/plain HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501},
		"CL and chunked":   {"POST /t/plain HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	} {
		t.Run(name, func(t *testing.T) {
			br, _ := r.raw(tc.send)
			if status, body := readResponse(t, br); status != tc.want || !strings.Contains(body, `"requestId"`) {
				t.Errorf("%d %s, want %d", status, body, tc.want)
			}
		})
	}
}

// A request that looked its route up just before it was replaced goes to the
// deployment that replaced it.
func TestReplacedRouteLosesNothing(t *testing.T) {
	r := newRig(t, nil)
	r.tron.docs[sha(2)] = document(t, strings.Replace(testDoc, `version: "1"`, `version: "2"`, 1))
	stop := r.serve("req.d1", ok)
	until(t, "served", func() bool { return r.do("GET", "/t/plain", "").StatusCode == 200 })
	var wg sync.WaitGroup
	quit := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
					if resp := r.do("GET", "/t/plain", ""); resp.StatusCode != 200 {
						t.Errorf("%d %s", resp.StatusCode, text(resp))
						return
					}
				}
			}
		})
	}
	for i := range 10 {
		id := fmt.Sprintf("d%d", i+2)
		next := r.serve("req."+id, ok)
		r.tron.change(t, row(id, 1+i%2))
		// As a Runner drains: what was published while it stopped is not deleted with
		// its queue.
		queue := fmt.Sprintf("req.d%d", i+1)
		for stop(); r.ready(queue) > 0; stop() {
			stop = r.serve(queue, ok)
			until(t, "the queue is empty", func() bool { return r.ready(queue) == 0 })
		}
		if err := r.broker.Delete(t.Context(), queue); err != nil {
			t.Error(err)
		}
		stop = next
	}
	close(quit)
	wg.Wait()
}

// A gateway starts from what it saved, with no Tron there.
func TestStartsWithoutATron(t *testing.T) {
	var saved Options
	first := newRig(t, func(o *Options) { saved = *o })
	first.tron.change(t, row("d1", 1))

	o := saved
	o.Broker = memory.New()
	if _, err := New(o); !errors.Is(err, statefile.ErrInUse) {
		t.Errorf("a second gateway in the folder: %v, want ErrInUse", err)
	}
	o.StateDir = filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(o.StateDir, os.DirFS(saved.StateDir)); err != nil {
		t.Fatal(err)
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	defer func() {
		if err := g.Run(ended); err != nil {
			t.Error(err)
		}
	}()
	state := g.routes.current.Load()
	if state.epoch != "e" || state.version != 2 || len(state.deployments) != 1 || len(state.deployments[0].ops) == 0 {
		t.Errorf("loaded epoch %q, version %d, %d deployments", state.epoch, state.version, len(state.deployments))
	}
}

// A document that cannot be used costs its own route, until the Tron has it.
func TestPartialTable(t *testing.T) {
	r := newRig(t, nil)
	r.serve("req.d1", ok)
	other := wire.RouteItem{Deployment: "d2", Sha: sha(2), BasePath: "/u", Queue: "req.d1"}
	r.tron.change(t, row("d1", 1), other) // the Tron does not know document 2
	if a, b := r.do("GET", "/t/plain", "").StatusCode, r.do("GET", "/u/plain", "").StatusCode; a != 200 || b != 404 {
		t.Errorf("with a document missing: %d and %d, want 200 and 404", a, b)
	}
	if got := r.g.describe().Table; got != 1 {
		t.Errorf("tells the Tron that it has table %d, want 1: it lacks a row of 2", got)
	}
	r.tron.mu.Lock()
	r.tron.docs[sha(2)] = document(t, strings.Replace(testDoc, "/t", "/u", 1))
	r.tron.routes.Version-- // the very same version again
	r.tron.mu.Unlock()
	r.tron.change(t, row("d1", 1), other)
	if a := r.do("GET", "/u/plain", "").StatusCode; a != 200 || r.g.describe().Table != 2 {
		t.Errorf("with all documents: %d, table %d", a, r.g.describe().Table)
	}
}

func TestNoTableYet(t *testing.T) {
	o := DefaultOptions()
	o.Broker, o.Listen, o.AdminListen, o.StateDir, o.DrainDelay = memory.New(), "127.0.0.1:0", "127.0.0.1:0", t.TempDir(), 0
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	resp, err := http.Get("http://" + g.Addr().String() + "/t/plain")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 503 || g.Ready() == nil {
		t.Errorf("%d, ready: %v", resp.StatusCode, g.Ready())
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Labels come from the table and from fixed lists, and go with the table.
func TestMetricsAreBounded(t *testing.T) {
	r := newRig(t, nil)
	r.serve("req.d1", ok)
	for i := range 20 {
		r.do("GET", fmt.Sprintf("/t/num/%d?b=true", i), "")
		r.do("GET", fmt.Sprintf("/random/%d", i), "")
		r.do(fmt.Sprintf("VERB%d", i), "/t/plain", "")
	}
	scrape := func() string {
		resp, err := http.Get("http://" + r.g.AdminAddr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return text(resp)
	}
	got := scrape()
	for _, want := range []string{
		`funcatron_gateway_requests_total{deployment="/t",operation="num",method="GET",status="200"} 20`,
		`funcatron_gateway_requests_total{deployment="",operation="",method="GET",status="404"} 20`,
		`funcatron_gateway_requests_total{deployment="",operation="",method="other",status=`,
		`funcatron_gateway_request_duration_seconds_bucket{deployment="/t",operation="num",method="GET",le="`,
		`funcatron_gateway_queue_wait_seconds_count{`, `funcatron_gateway_function_duration_seconds_count{`, `funcatron_gateway_pending_requests 0`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(got, "VERB") || strings.Contains(got, "random") {
		t.Error("clients make labels")
	}
	r.tron.change(t)
	if got := scrape(); strings.Contains(got, `deployment="/t"`) {
		t.Error("the series of a route that is gone are still there")
	}
}
