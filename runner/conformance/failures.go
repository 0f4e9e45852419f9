package conformance

import (
	"encoding/json"
	"net/http"
	"strings"
)

const (
	onPurpose = "the sample fails on purpose"
	refusal   = "the sample refuses on purpose"
)

// failures are requests that do not fit the document, which the gateway answers,
// and functions that fail.
var failures = []check{
	{"errors/no-path", func(p *probe) {
		p.ask(get("/nowhere"), problem(404))
		p.ask(get("/simple/1/2"), problem(404))
	}},
	{"errors/no-method", func(p *probe) {
		p.ask(post("/simple", `{}`), problem(405), allows(http.MethodGet))
		p.ask(method(http.MethodPut, "/change/1"), problem(405), allows(http.MethodGet, http.MethodPost, http.MethodDelete))
	}},
	{"errors/bad-body", func(p *probe) {
		for _, body := range []string{`{"name":"Ann"}`, `{"name":7,"age":1}`, `{"name":"Ann","age":1.5}`, `{"name":"Ann","age":9223372036854775808}`, `{"name":`, `[]`} {
			p.ask(post("/change/1", body), problem(400))
		}
		p.ask(method(http.MethodPost, "/change/1"), problem(400))
		p.ask(post("/change/10001", `{"name":"Ann","age":1}`), problem(400, violation{"path", "cnt"}))
		p.ask(post("/record", `{"id":1,"text":"","ratio":0.5,"tags":[1]}`), problem(400))
	}},
	{"errors/content-type", func(p *probe) {
		p.ask(send("/change/1", "text/plain", []byte(`{"name":"Ann","age":1}`)), problem(415))
		p.ask(send("/echo", "application/json", []byte(`{}`)), problem(415))
	}},
	{"errors/accept", func(p *probe) {
		p.ask(get("/simple", "Accept", "image/png"), problem(406))
		p.ask(get("/status/200", "Accept", "text/plain"), status(200))
	}},
	{"errors/error", func(p *probe) {
		p.ask(get("/fail/error"), status(500), toldNothing)
		p.ask(get("/simple"), status(200))
	}},
	{"errors/refuse", func(p *probe) {
		p.ask(get("/fail/refuse"), status(422), contains(refusal))
		p.ask(get("/fail/otherwise"), problem(400, violation{"path", "how"}))
	}},
	{"errors/many", func(p *probe) { // errors use nothing up
		for range 100 {
			if p.ask(get("/fail/error"), status(500)); !p.good() {
				return
			}
		}
		p.ask(get("/simple"), status(200))
	}},
}

// allows is an Allow header with all of these.
func allows(methods ...string) expectation {
	return expectation{"Allow: " + strings.Join(methods, ", "), func(a *answer) string {
		got := a.header.Get("Allow")
		for _, m := range methods {
			if !strings.Contains(", "+got+",", ", "+m+",") {
				return "Allow is " + got
			}
		}
		return ""
	}}
}

// toldNothing is the answer to an error that nobody expected: its text is for the
// log. The JVM's contract, which is older, answers with the text and the stack, as
// text/plain.
var toldNothing = expectation{"a problem that says nothing of the error, or on the JVM the error as text/plain", func(a *answer) string {
	if kind("text/plain").wrong(a) == "" {
		return contains(onPurpose).wrong(a)
	}
	if wrong := wrongProblem(a, nil); wrong != "" {
		return wrong
	}
	return lacks(onPurpose).wrong(a)
}}

// requestID is the REQ id that Log answers with.
func requestID(a *answer) string {
	var v struct {
		RequestID string `json:"requestId"`
	}
	_ = json.Unmarshal(a.body, &v) // "" is none
	return v.RequestID
}
