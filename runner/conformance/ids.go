package conformance

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
)

// ids tell which lines of which logs belong to a request.
var ids = []check{
	{"ids/request-id", func(p *probe) {
		id := newID()
		p.ask(get("/log?text=hello", "X-Request-Id", id), status(200), header("X-Request-Id", id), value(`{"requestId":"`+id+`"}`))
	}},
	{"ids/traceparent", func(p *probe) {
		trace := newID()
		p.ask(get("/log?text=hello", "Traceparent", "00-"+trace+"-b7ad6b7169203331-01", "X-Request-Id", newID()), status(200),
			header("X-Request-Id", trace), value(`{"requestId":"`+trace+`"}`))
	}},
	{"ids/drawn", func(p *probe) {
		one, two := p.ask(get("/log?text=hello"), status(200), drawn), p.ask(get("/log?text=hello", "X-Request-Id", "not one"), status(200), drawn)
		if one != nil && two != nil && requestID(one) == requestID(two) {
			p.failf("GET /log?text=hello: want another id each time; came %s twice", requestID(one))
		}
	}},
	{"ids/of-errors", func(p *probe) {
		for _, path := range []string{"/nowhere", "/simple/x", "/fail/error", "/fail/refuse", "/status/503"} {
			id := newID()
			p.ask(get(path, "X-Request-Id", id), header("X-Request-Id", id))
		}
	}},
}

var idForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

// drawn is an id of the gateway's own, in the header and from the function.
var drawn = expectation{"an X-Request-Id of 32 hexadecimal digits, and the same as requestId", func(a *answer) string {
	id := a.header.Get("X-Request-Id")
	return unless(idForm.MatchString(id) && requestID(a) == id, "X-Request-Id is %q", id)
}}

func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	return hex.EncodeToString(id[:])
}
