package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is a gateway with the sample API behind it, in memory: an
// http.RoundTripper, so that it lives in a synctest bubble.
type fake struct {
	t      *testing.T
	logAt  string
	noDB   string             // what /visits is answered with status 503, where it is not ""
	bend   func(*call)        // spoils an answer that is there
	before func(*call) *reply // answers in place of the API, where it is not nil
	write  func(*entryOfLog)  // spoils a line

	mu      sync.Mutex
	visits  []entry // guarded by mu, as all below
	nextID  int
	asleep  int
	lastID  string
	counted map[string]int // what a mutation counts
}

// call is one request and its answer.
type call struct {
	*reply
	f     *fake
	req   *http.Request
	id    string
	body  []byte
	path  []string // segments, unescaped
	query url.Values
	bad   []violation
}

type reply struct {
	status int
	header http.Header
	body   []byte
}

type entryOfLog struct{ level, op, req, msg string }

func newFake(t *testing.T) *fake {
	f := &fake{t: t, logAt: filepath.Join(t.TempDir(), "log"), counted: map[string]int{}}
	if err := os.WriteFile(f.logAt, []byte("what was there before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// nth counts how often a mutation was here.
func (f *fake) nth(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counted[what]++
	return f.counted[what]
}

// count is how often nth was.
func (f *fake) count(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counted[what]
}

func (f *fake) RoundTrip(req *http.Request) (*http.Response, error) {
	c := &call{f: f, req: req, query: req.URL.Query()}
	if req.Body != nil {
		var err error
		if c.body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	rest := strings.TrimPrefix(req.URL.EscapedPath(), "/sample/fake/")
	for _, s := range strings.Split(rest, "/") {
		s, err := url.PathUnescape(s)
		if err != nil {
			return nil, err
		}
		c.path = append(c.path, s)
	}
	c.identify()
	if f.before != nil {
		c.reply = f.before(c)
	}
	if c.reply == nil {
		c.reply = c.route()
	}
	if req.Method == http.MethodHead {
		c.reply.body = nil
	}
	c.header.Set("X-Request-Id", c.id)
	if f.bend != nil {
		f.bend(c)
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: c.status, Header: c.header, Body: io.NopCloser(bytes.NewReader(c.reply.body)), Request: req}, nil
}

func (c *call) identify() {
	if parts := strings.Split(c.req.Header.Get("Traceparent"), "-"); len(parts) == 4 {
		c.id = parts[1]
	} else if c.id = c.req.Header.Get("X-Request-Id"); !idForm.MatchString(c.id) {
		c.id = newID()
	}
}

// is tells whether the request is of that method and form, whose "*" is any segment.
func (c *call) is(form string) bool {
	method, path, _ := strings.Cut(form, " ")
	want := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if method != c.req.Method || len(want) != len(c.path) {
		return false
	}
	for i := range want {
		if want[i] != "*" && want[i] != c.path[i] {
			return false
		}
	}
	return true
}

type operation struct {
	consumes, produces []string
	run                func(*call) *reply
}

var (
	jsonOnly  = []string{"application/json"}
	textFirst = []string{"text/plain", "application/json"}
	bytesOnly = []string{"application/octet-stream", "text/plain"}
)

// api is by method and form.
var api = map[string]operation{
	"GET /simple":      {jsonOnly, jsonOnly, (*call).simple},
	"GET /simple/*":    {jsonOnly, jsonOnly, (*call).simple},
	"POST /change/*":   {jsonOnly, jsonOnly, (*call).change},
	"DELETE /change/*": {jsonOnly, jsonOnly, (*call).change},
	"GET /change/*":    {jsonOnly, textFirst, (*call).change},
	"POST /echo":       {bytesOnly, bytesOnly, (*call).echo},
	"POST /record":     {jsonOnly, jsonOnly, (*call).record},
	"GET /params/*/*":  {jsonOnly, jsonOnly, (*call).params},
	"GET /status/*":    {jsonOnly, textFirst, (*call).answer},
	"GET /fail/*":      {jsonOnly, jsonOnly, (*call).fail},
	"GET /log":         {jsonOnly, jsonOnly, (*call).log},
	"GET /sleep/*":     {jsonOnly, jsonOnly, (*call).sleep},
	"POST /visits":     {jsonOnly, jsonOnly, (*call).addVisit},
	"GET /visits":      {jsonOnly, jsonOnly, (*call).listVisits},
}

func (c *call) route() *reply {
	asked := c.req.Method
	if asked == http.MethodHead {
		c.req.Method = http.MethodGet
		defer func() { c.req.Method = asked }()
	}
	var allow []string
	for form, op := range api {
		if c.is(form) {
			return c.serve(op)
		}
		method, path, _ := strings.Cut(form, " ")
		if c.is(c.req.Method + " " + path) {
			allow = append(allow, method)
		}
	}
	if len(allow) == 0 {
		return c.problem(404)
	}
	r := c.problem(405)
	r.header.Set("Allow", strings.Join(allow, ", "))
	return r
}

func (c *call) serve(op operation) *reply {
	contentType, _, _ := strings.Cut(c.req.Header.Get("Content-Type"), ";")
	if len(c.body) > 0 && !slices.Contains(op.consumes, contentType) {
		return c.problem(415)
	}
	if accept := c.req.Header.Get("Accept"); accept != "" && !slices.Contains(op.produces, accept) {
		return c.problem(406)
	}
	r := op.run(c)
	if len(c.bad) > 0 {
		return c.problem(400, c.bad...)
	}
	return r
}

func (c *call) problem(status int, bad ...violation) *reply {
	r := c.json(status, map[string]any{"title": http.StatusText(status), "status": status, "requestId": c.id, "errors": bad})
	r.header.Set("Content-Type", "application/problem+json")
	return r
}

func (c *call) json(status int, v any) *reply {
	data, err := json.Marshal(v)
	if err != nil {
		c.f.t.Errorf("%T: %v", v, err)
	}
	return &reply{status, http.Header{"Content-Type": {"application/json"}}, data}
}

func (c *call) text(status int, body string) *reply {
	return &reply{status, http.Header{"Content-Type": {"text/plain"}}, []byte(body)}
}

// integer reads a parameter as the gateway does.
func (c *call) integer(in, name, value string, least, most int64) int64 {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < least || n > most {
		c.bad = append(c.bad, violation{in, name})
	}
	return n
}

const (
	least64 = -1 << 63
	most64  = 1<<63 - 1
)

func (c *call) say(level, op, msg string) {
	e := entryOfLog{level, "fake." + op, c.id, strings.ReplaceAll(msg, "\n", `\n`)}
	if c.f.write != nil {
		c.f.write(&e)
	}
	file, err := os.OpenFile(c.f.logAt, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintf(file, "16-12-09 20:31:31 host:/sample/fake %s [%s:GIT:-&REQ:%s] - %s\n", e.level, e.op, e.req, e.msg)
		_ = file.Close()
	}
	if err != nil {
		c.f.t.Error(err)
	}
}

func (c *call) simple() *reply {
	query := map[string]any{}
	for name, values := range c.query {
		if query[name] = values[0]; len(values) > 1 {
			query[name] = values
		}
	}
	v := map[string]any{"bools": true, "numero": rand.Float64(), "query-params": query, "time": time.Now().UTC().Format("Mon Jan 02 15:04:05 UTC 2006")}
	if len(c.path) > 1 {
		v["num-param"] = c.integer("path", "num", c.path[1], least64, most64)
	}
	c.say("INFO", "SimpleGet", "In Fake 'SimpleGet... yay!")
	return c.json(200, v)
}

func (c *call) change() *reply {
	most := int64(most64)
	if c.req.Method == http.MethodPost {
		most = 10000
	}
	cnt := c.integer("path", "cnt", c.path[1], least64, most)
	if len(c.bad) > 0 {
		return nil
	}
	switch c.req.Method {
	case http.MethodGet:
		return c.text(400, "Expecting a POST or DELETE, but got GET")
	case http.MethodDelete:
		return c.json(200, map[string]any{"name": fmt.Sprintf("Deleted %d", cnt), "age": cnt})
	}
	var data struct {
		Name *string
		Age  *int64
	}
	if err := json.Unmarshal(c.body, &data); err != nil || data.Name == nil || data.Age == nil {
		return c.problem(400)
	}
	all := []any{}
	for i := int64(1); i <= cnt; i++ {
		all = append(all, map[string]any{"name": fmt.Sprintf("%s%d", *data.Name, i), "age": *data.Age + i})
	}
	return c.json(200, all)
}

func (c *call) echo() *reply {
	h := http.Header{"X-Sample-Length": {strconv.Itoa(len(c.body))}}
	if kind := c.req.Header.Get("Content-Type"); kind != "" {
		h.Set("Content-Type", kind)
	}
	return &reply{200, h, c.body}
}

type fakeRecord struct {
	ID    int64    `json:"id"`
	Text  string   `json:"text"`
	Ratio float64  `json:"ratio"`
	Tags  []string `json:"tags"`
}

func (c *call) record() *reply {
	var v fakeRecord
	if err := json.Unmarshal(c.body, &v); err != nil {
		return c.problem(400)
	}
	return c.json(200, v)
}

func (c *call) params() *reply {
	v := map[string]any{"id": c.integer("path", "id", c.path[1], least64, most64), "name": c.path[2], "limit": 10, "on": false, "tags": []string{}}
	if c.query.Has("limit") {
		v["limit"] = c.integer("query", "limit", c.query.Get("limit"), -1<<31, 1<<31-1)
	}
	if c.query.Has("on") {
		on, err := strconv.ParseBool(c.query.Get("on"))
		if v["on"] = on; err != nil {
			c.bad = append(c.bad, violation{"query", "on"})
		}
	}
	if c.query.Has("tags") {
		v["tags"] = strings.Split(c.query.Get("tags"), ",")
	}
	return c.json(200, v)
}

func (c *call) answer() *reply {
	code := int(c.integer("path", "code", c.path[1], 200, 599))
	r := c.text(code, "status "+c.path[1])
	r.header.Set("X-Sample-Status", c.path[1])
	if code/100 == 3 {
		r.header.Set("Location", "/elsewhere")
	}
	if code == 204 || code == 304 {
		r.body = nil
		r.header.Del("Content-Type")
	}
	return r
}

func (c *call) fail() *reply {
	switch c.path[1] {
	case "error":
		c.say("ERROR", "Fail", `function failed error="`+onPurpose+`"`)
		return c.problem(500)
	case "refuse":
		return c.json(422, map[string]string{"detail": refusal})
	}
	c.bad = append(c.bad, violation{"path", "how"})
	return nil
}

func (c *call) log() *reply {
	if !c.query.Has("text") {
		c.bad = append(c.bad, violation{"query", "text"})
		return nil
	}
	c.say("INFO", "Log", c.query.Get("text"))
	c.say("WARN", "Log", c.query.Get("text"))
	return c.json(200, map[string]string{"requestId": c.id})
}

// pause waits so many milliseconds, and tells whether that was not too long.
func (c *call) pause(ms int64, most time.Duration) bool {
	c.f.mu.Lock()
	c.f.asleep++
	c.f.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.req.Context(), min(most, time.Duration(ms)*time.Millisecond))
	defer cancel()
	<-ctx.Done()
	c.f.mu.Lock()
	c.f.asleep--
	c.f.mu.Unlock()
	return time.Duration(ms)*time.Millisecond < most
}

func (c *call) sleep() *reply {
	ms := c.integer("path", "ms", c.path[1], 0, 10000)
	if !c.pause(ms, time.Second) {
		return c.problem(504)
	}
	return c.json(200, map[string]int64{"slept": ms})
}

func (c *call) addVisit() *reply {
	if c.f.noDB != "" {
		return c.text(503, c.f.noDB)
	}
	var visitor struct{ Name string }
	if err := json.Unmarshal(c.body, &visitor); err != nil || visitor.Name == "" {
		return c.problem(400)
	}
	if c.query.Has("sleep") && !c.pause(c.integer("query", "sleep", c.query.Get("sleep"), 0, 10000), 2*time.Second) {
		return c.problem(504)
	}
	v, n := c.f.keep(visitor.Name)
	if n > maxVisits {
		c.f.forget(v)
		return c.text(409, fmt.Sprintf("%s has visited %d times already", v.Name, maxVisits))
	}
	return c.json(201, v.asMap())
}

func (v entry) asMap() map[string]any {
	return map[string]any{"id": v.ID, "name": v.Name, "time": v.Time}
}

// keep adds a visit, and counts the name's; forget takes it back.
func (f *fake) keep(name string) (v entry, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nextID++
	v = entry{json.Number(strconv.Itoa(f.nextID)), name, time.Now().UTC().Format(time.RFC3339)}
	f.visits = append(f.visits, v)
	for _, one := range f.visits {
		if one.Name == name {
			n++
		}
	}
	return v, n
}

func (f *fake) forget(v entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.visits = slices.DeleteFunc(f.visits, func(one entry) bool { return one == v })
}

func (c *call) listVisits() *reply {
	if c.f.noDB != "" {
		return c.text(503, c.f.noDB)
	}
	limit := int64(100)
	if c.query.Has("limit") {
		limit = c.integer("query", "limit", c.query.Get("limit"), 1, 1000)
	}
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	all := []any{}
	for _, v := range slices.Backward(c.f.visits) {
		if int64(len(all)) < limit && (!c.query.Has("name") || v.Name == c.query.Get("name")) {
			all = append(all, v.asMap())
		}
	}
	return c.json(200, all)
}
