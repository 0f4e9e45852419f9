package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// announcement is what Funcatron's announcement showed: the first thing that
// people try.
var announcement = []check{
	{"announcement/simple", func(p *probe) {
		p.ask(get("/simple"), simple("", `{}`))
	}},
	{"announcement/simple-number", func(p *probe) {
		p.ask(get("/simple/42?cool=yes"), simple("42", `{"cool":"yes"}`))
	}},
	{"announcement/simple-random", func(p *probe) {
		one, two := p.ask(get("/simple"), status(200)), p.ask(get("/simple"), status(200))
		if one != nil && two != nil && numero(one) == numero(two) {
			p.failf("GET /simple: want another random numero each time; came %s twice", numero(one))
		}
	}},
	{"announcement/post", func(p *probe) {
		p.ask(post("/change/3", `{"name":"Ann","age":30}`), status(200), value(`[{"name":"Ann1","age":31},{"name":"Ann2","age":32},{"name":"Ann3","age":33}]`))
	}},
	{"announcement/post-none", func(p *probe) {
		p.ask(post("/change/0", `{"name":"Ann","age":30}`), status(200), value(`[]`))
		p.ask(post("/change/-1", `{"name":"Ann","age":30}`), status(200), value(`[]`))
	}},
	{"announcement/delete", func(p *probe) {
		p.ask(method(http.MethodDelete, "/change/7"), status(200), value(`{"name":"Deleted 7","age":7}`))
	}},
	{"announcement/get-refused", func(p *probe) {
		p.ask(get("/change/7"), status(400), refusedMethod)
	}},
	{"announcement/head", func(p *probe) {
		p.ask(method(http.MethodHead, "/simple"), status(200), kind("application/json"), exactly(nil))
		p.ask(method(http.MethodHead, "/change/7"), status(400), kind("text/plain"), exactly(nil))
		p.ask(get("/simple"), status(200)) // its answer is not taken for a body
	}},
}

// refusedMethod is the answer to a method that PostOrDelete does not want. On the
// JVM, methods are written small.
var refusedMethod = expectation{`text/plain "Expecting a POST or DELETE, but got GET"`, func(a *answer) string {
	if wrong := kind("text/plain").wrong(a); wrong != "" {
		return wrong
	}
	got, ok := strings.CutPrefix(string(a.body), "Expecting a POST or DELETE, but got ")
	return unless(ok && (got == "GET" || got == "get"), "the body is another")
}}

// clockSkew is how far this clock and the function's may be apart: less than the
// time zones are.
const clockSkew = 10 * time.Minute

// simple is the answer of SimpleGet with that num-param ("" is none) and those
// query-params, as JSON.
func simple(num, query string) expectation {
	says := "SimpleGet's JSON with query-params " + query
	if num == "" {
		says += " and no num-param"
	} else {
		says += " and num-param " + num
	}
	return expectation{"status 200, " + says, func(a *answer) string {
		if wrong := status(200).wrong(a); wrong != "" {
			return wrong
		}
		want := map[string]any{"bools": true}
		if num != "" {
			want["num-param"] = json.Number(num)
		}
		var err error
		if want["query-params"], err = parse([]byte(query)); err != nil {
			panic("BUG: " + query + ": " + err.Error())
		}
		return wrongSimple(a, want)
	}}
}

func wrongSimple(a *answer, want map[string]any) string {
	if wrong := kind("application/json").wrong(a); wrong != "" {
		return wrong
	}
	v, err := parse(a.body)
	got, ok := v.(map[string]any)
	if err != nil || !ok {
		return "the body is no JSON object"
	}
	n, _ := got["numero"].(json.Number)
	if f, err := strconv.ParseFloat(n.String(), 64); err != nil || f < 0 || f >= 1 {
		return fmt.Sprintf("numero is %s, not a number from 0 up to 1", compact(got["numero"]))
	}
	// As a java.util.Date prints, in UTC.
	at, _ := got["time"].(string)
	t, err := time.Parse("Mon Jan 02 15:04:05 UTC 2006", at)
	if err != nil || t.Format("Mon") != at[:3] {
		return fmt.Sprintf("time is %q, not one like Fri Dec 09 20:31:31 UTC 2016", at)
	}
	if off := time.Since(t); off.Abs() > clockSkew {
		return fmt.Sprintf("time is %s, which is %v off", at, off.Abs().Round(time.Second))
	}
	delete(got, "numero")
	delete(got, "time")
	return difference("the body", want, got)
}

// numero is SimpleGet's random number as it is written.
func numero(a *answer) string {
	var v struct{ Numero json.Number }
	_ = json.Unmarshal(a.body, &v) // "" then, twice
	return v.Numero.String()
}
