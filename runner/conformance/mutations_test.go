package conformance

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// mutation makes a fake do one thing wrong, which one check must find, and no
// other.
type mutation struct {
	check string
	what  string
	set   func(*fake)
}

// on spoils the answers to requests of a form for which when, if it is there, is
// true.
func on(form string, spoil func(*call)) func(*fake) {
	return func(f *fake) {
		f.bend = func(c *call) {
			if c.is(form) {
				spoil(c)
			}
		}
	}
}

// replace spoils a body by putting one text in place of another.
func replace(old, new string) func(*call) {
	return func(c *call) { c.reply.body = bytes.ReplaceAll(c.reply.body, []byte(old), []byte(new)) }
}

// object spoils a body that is a JSON object.
func object(spoil func(c *call, v map[string]any)) func(*call) {
	return func(c *call) {
		v, err := parse(c.reply.body)
		m, ok := v.(map[string]any)
		if err != nil || !ok {
			return
		}
		spoil(c, m)
		if c.reply.body, err = json.Marshal(m); err != nil {
			panic(err)
		}
	}
}

// throughFloat is what becomes of an integer in JavaScript.
func throughFloat(v any) any {
	n, ok := v.(json.Number)
	if !ok {
		return v
	}
	f, err := n.Float64()
	if err != nil {
		return v
	}
	return json.Number(strconv.FormatFloat(f, 'f', 0, 64))
}

// line spoils lines of the log.
func lineOf(spoil func(f *fake, e *entryOfLog)) func(*fake) {
	return func(f *fake) { f.write = func(e *entryOfLog) { spoil(f, e) } }
}

// instead answers some requests in place of the API.
func instead(answer func(*call) *reply) func(*fake) {
	return func(f *fake) { f.before = answer }
}

var mutations = []mutation{
	{"announcement/simple", "num-param is null", on("GET /simple", object(func(c *call, v map[string]any) {
		if c.req.URL.RawQuery == "" {
			v["num-param"] = nil
		}
	}))},
	{"announcement/simple-number", "the number is a string", on("GET /simple/42", replace(":42,", `:"42",`))},
	{"announcement/simple-number", "the time is local", on("GET /simple/42", object(func(_ *call, v map[string]any) {
		v["time"] = time.Now().Add(time.Hour).Format("Mon Jan 02 15:04:05 UTC 2006")
	}))},
	{"announcement/simple-number", "the weekday is wrong", on("GET /simple/42", object(func(_ *call, v map[string]any) {
		at := v["time"].(string)
		v["time"] = map[bool]string{true: "Sun", false: "Mon"}[at[:3] == "Mon"] + at[3:]
	}))},
	{"announcement/simple-random", "the random number is not", on("GET /simple", object(func(_ *call, v map[string]any) { v["numero"] = 0.5 }))},
	{"announcement/post", "no number is added to the name", on("POST /change/3", replace("Ann2", "Ann"))},
	{"announcement/post-none", "no Data is null", on("POST /change/-1", replace("[]", "null"))},
	{"announcement/delete", "nothing is answered", on("DELETE /change/7", func(c *call) { c.status, c.reply.body = 204, nil })},
	{"announcement/get-refused", "it is HTML", on("GET /change/7", func(c *call) { c.header.Set("Content-Type", "text/html") })},
	{"announcement/get-refused", "it is JSON", on("GET /change/7", replace("Expecting a POST or DELETE, but got GET", `"Expecting"`))},
	{"announcement/head", "it has a body", on("HEAD /simple", func(c *call) { c.reply.body = []byte("{}") })},
	{"announcement/head", "it is another status", on("HEAD /change/7", func(c *call) { c.status = 405 })},

	{"parameters/int64", "integers are floats", on("GET /params/*/*", object(func(_ *call, v map[string]any) { v["id"] = throughFloat(v["id"]) }))},
	{"parameters/defaults", "there is no default", on("GET /params/1/Ann", object(func(c *call, v map[string]any) {
		if c.req.URL.RawQuery == "" {
			v["limit"] = 0
		}
	}))},
	{"parameters/given", "booleans are strings", on("GET /params/*/*", replace(`"on":true`, `"on":"true"`))},
	{"parameters/strings", "numbers in strings are read", on("GET /params/*/*", replace(`"007"`, `7`))},
	{"parameters/escaped", "the path is as it was sent", on("GET /params/*/*", object(func(c *call, v map[string]any) {
		if strings.Contains(c.path[2], "/") {
			v["name"] = strings.ReplaceAll(c.path[2], "/", "%2F")
		}
	}))},
	{"parameters/query", "a declared parameter hides the query's", on("GET /simple/7", replace(`{"num":"8"}`, `{}`))},
	{"parameters/query-empty", "what is empty is left out", on("GET /simple", replace(`"flag":""`, `"flag":null`))},
	{"parameters/query-repeated", "the last counts", on("GET /simple", replace(`["2","1","2"]`, `"2"`))},
	{"parameters/query-unicode", "a plus is one", on("GET /simple", replace("Grüße 世", "Grüße+世"))},
	{"parameters/refused", "errors have no names", on("GET /simple/*", replace(`"Name":"num"`, `"Name":""`))},

	{"bodies/change-int64", "ages are floats", on("POST /change/1", func(c *call) {
		var all []map[string]any
		dec := json.NewDecoder(bytes.NewReader(c.reply.body))
		dec.UseNumber()
		if dec.Decode(&all) == nil {
			all[0]["age"] = throughFloat(all[0]["age"])
			c.reply.body, _ = json.Marshal(all)
		}
	})},
	{"bodies/change-text", "astral characters are lost", on("POST /change/1", replace("🚀", "?"))},
	{"bodies/change-many", "the last is missing", on("POST /change/10000", replace(`,{"age":10000,"name":"Ann10000"}`, ""))},
	{"bodies/record-int64", "ids are floats", on("POST /record", object(func(_ *call, v map[string]any) {
		if v["text"] == "" {
			v["id"] = throughFloat(v["id"])
		}
	}))},
	{"bodies/record-text", "NUL ends a text", on("POST /record", replace(`\u0000`, ``))},
	{"bodies/record-text", "line separators are spaces", on("POST /record", replace(`\u2028`, ` `))},
	{"bodies/record-text", "texts are normalised", on("POST /record", replace("e\u0301", "é"))},
	{"bodies/record-ratio", "ratios are float32", on("POST /record", object(func(_ *call, v map[string]any) {
		if v["ratio"] == json.Number("0.1") {
			v["ratio"] = json.Number("0.10000000149011612")
		}
	}))},
	{"bodies/record-tags", "tags are a set", on("POST /record", replace(`"ü","a"`, `"ü"`))},
	{"bodies/record-chunked", "a length is needed", instead(func(c *call) *reply {
		if c.is("POST /record") && c.isChunked() {
			return c.problem(411)
		}
		return nil
	})},
	{"bodies/echo-binary", "bytes are text", on("POST /echo", func(c *call) {
		if len(c.reply.body) == 256 {
			c.reply.body = []byte(strings.ToValidUTF8(string(c.reply.body), "\ufffd"))
		}
	})},
	{"bodies/echo-text", "the charset is lost", on("POST /echo", func(c *call) {
		if c.header.Get("Content-Type") == "text/plain; charset=utf-8" {
			c.header.Set("Content-Type", "text/plain")
		}
	})},
	{"bodies/echo-empty", "no body has no length", on("POST /echo", func(c *call) {
		if len(c.reply.body) == 0 {
			c.header.Del("X-Sample-Length")
		}
	})},
	{"bodies/echo-big", "a byte of a big body is lost", on("POST /echo", func(c *call) {
		if n := len(c.reply.body); n > 1<<20 {
			c.reply.body = c.reply.body[:n-1]
		}
	})},
	{"bodies/echo-chunked", "chunks are not read", instead(func(c *call) *reply {
		if c.is("POST /echo") && c.isChunked() {
			c.body = nil
		}
		return nil
	})},
	{"bodies/at-once", "one gets another's", on("POST /echo", replace("7 of 3 ", "7 of 4 "))},

	{"answers/success", "all success is 200", on("GET /status/201", func(c *call) { c.status = 200 })},
	{"answers/no-body", "there is one", on("GET /status/204", func(c *call) { c.reply.body = []byte("status 204") })},
	{"answers/redirect", "it leads nowhere", on("GET /status/308", func(c *call) { c.header.Del("Location") })},
	{"answers/client-error", "an odd one is 400", on("GET /status/418", func(c *call) { c.status = 400 })},
	{"answers/client-error", "it is said twice", on("GET /status/404", func(c *call) { c.header.Add("X-Sample-Status", "404") })},
	{"answers/server-error", "the body is another", on("GET /status/502", replace("status 502", "Bad Gateway"))},
	{"answers/status-refused", "any number is a status", on("GET /status/600", func(c *call) { *c.reply = *c.reply.text(200) })},

	{"errors/no-path", "it is text", on("GET /nowhere", func(c *call) { c.header.Set("Content-Type", "text/plain") })},
	{"errors/no-path", "the id is another", on("GET /nowhere", replace(`"requestId":"`, `"requestId":"0`))},
	{"errors/no-method", "nothing is allowed", on("POST /simple", func(c *call) { c.header.Del("Allow") })},
	{"errors/bad-body", "fractions are cut off", instead(func(c *call) *reply {
		if c.is("POST /change/1") && bytes.Contains(c.body, []byte("1.5")) {
			return c.json(200, []int{})
		}
		return nil
	})},
	{"errors/content-type", "it is 400", on("POST /echo", func(c *call) {
		if c.status == 415 {
			*c.reply = *c.problem(400)
		}
	})},
	{"errors/accept", "it does not matter", on("GET /simple", func(c *call) {
		if c.status == 406 {
			*c.reply = *c.json(200, 1)
		}
	})},
	{"errors/error", "the text is told", on("GET /fail/error", object(func(_ *call, v map[string]any) { v["detail"] = onPurpose }))},
	{"errors/refuse", "it is any error", on("GET /fail/refuse", func(c *call) { c.status = 500 })},
	{"errors/refuse", "nobody says why", on("GET /fail/refuse", replace(refusal, "no"))},
	{"errors/many", "they use something up", on("GET /fail/error", func(c *call) {
		if c.f.nth("failures") == 60 {
			c.status = 503
		}
	})},

	{"ids/request-id", "the function does not know", on("GET /log", func(c *call) {
		if idForm.MatchString(c.req.Header.Get("X-Request-Id")) && c.req.Header.Get("Traceparent") == "" {
			replace(c.id, "")(c)
		}
	})},
	{"ids/traceparent", "it does not count", func(f *fake) {
		f.before = func(c *call) *reply {
			if c.req.Header.Get("Traceparent") != "" {
				c.id = c.req.Header.Get("X-Request-Id")
			}
			return nil
		}
	}},
	{"ids/drawn", "what is no id is one", instead(func(c *call) *reply {
		if c.req.Header.Get("X-Request-Id") == "not one" {
			c.id = "not one"
		}
		return nil
	})},
	{"ids/of-errors", "an error has another", on("GET /status/503", func(c *call) { c.header.Set("X-Request-Id", newID()) })},

	{"deadline/in-time", "it is a string", on("GET /sleep/100", replace("100", `"100"`))},
	{"deadline/late", "it is late", on("GET /sleep/10000", func(c *call) {
		if c.f.nth("sleepers") == 1 {
			c.pause(5000, time.Minute)
		}
	})},
	{"deadline/late", "it is early", instead(func(c *call) *reply {
		if c.is("GET /sleep/10000") && c.f.nth("sleepers") == 1 {
			return c.problem(504)
		}
		return nil
	})},
	{"deadline/sleepers", "others wait", on("GET /simple", func(c *call) {
		c.f.mu.Lock()
		asleep := c.f.asleep
		c.f.mu.Unlock()
		if asleep > 1 {
			c.pause(1000, time.Minute)
		}
	})},

	{"logs/simple", "it is a detail", lineOf(func(_ *fake, e *entryOfLog) {
		if e.op == "fake.SimpleGet" {
			e.level = "DEBUG"
		}
	})},
	{"logs/levels", "a warning is none", lineOf(spoilText("levels", func(e *entryOfLog) { e.level = "INFO" }))},
	{"logs/levels", "the operation is not known", lineOf(spoilText("levels", func(e *entryOfLog) { e.op = "-" }))},
	{"logs/levels", "a line is there twice", on("GET /log", func(c *call) {
		if text := c.query.Get("text"); strings.HasPrefix(text, "levels") {
			c.say("INFO", "Log", text)
		}
	})},
	{"logs/unicode", "it is ASCII", lineOf(spoilText("Grüße", func(e *entryOfLog) { e.msg = strings.ReplaceAll(e.msg, "世", "?") }))},
	{"logs/newline", "it ends the line", lineOf(spoilText("one line", func(e *entryOfLog) { e.msg = strings.ReplaceAll(e.msg, `\n`, "\n") }))},
	{"logs/error", "nothing is logged", lineOf(func(_ *fake, e *entryOfLog) {
		if e.op == "fake.Fail" {
			e.msg = "function failed"
		}
	})},
	{"logs/at-once", "ids are mixed up", lineOf(func(f *fake, e *entryOfLog) {
		if strings.HasPrefix(e.msg, "at once") {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.lastID == "" {
				f.lastID = e.req
			}
			e.req = f.lastID
		}
	})},

	{"database/commit", "the first is lost", on("GET /visits", func(c *call) {
		if v := listed(c); len(v) == 2 && v[1].ID == "1" {
			*c.reply = *c.json(200, []any{v[0].asMap()})
		}
	})},
	{"database/commit", "the first comes first", on("GET /visits", func(c *call) {
		if v := listed(c); len(v) == 2 && v[1].ID == "1" {
			*c.reply = *c.json(200, []any{v[1].asMap(), v[0].asMap()})
		}
	})},
	{"database/commit", "the time is local", on("POST /visits", func(c *call) {
		if visitOf(c.reply.body).ID == "2" {
			replace(`Z"`, `+01:00"`)(c)
		}
	})},
	{"database/refused", "it is kept", on("POST /visits", func(c *call) {
		if c.status == 409 && c.f.nth("refused") == 1 {
			c.f.keep(visitOf(c.body).Name)
		}
	})},
	{"database/refused", "nobody says why", on("POST /visits", func(c *call) {
		if c.status == 409 && c.f.nth("refused") == 1 {
			c.reply.body = nil
		}
	})},
	{"database/late", "it is kept in the end", on("POST /visits", func(c *call) {
		if c.status == 504 && c.f.nth("late") == 1 {
			time.AfterFunc(time.Second, func() { c.f.keep(visitOf(c.body).Name) })
		}
	})},
	{"database/in-time", "sleeping is always late", on("POST /visits", func(c *call) {
		if c.query.Get("sleep") == "100" {
			*c.reply = *c.problem(504)
		}
	})},
	{"database/at-once", "one too many is kept", on("POST /visits", func(c *call) {
		if c.status == 409 && c.f.nth("refused") == 3 {
			v, _ := c.f.keep(visitOf(c.body).Name)
			*c.reply = *c.json(201, v.asMap())
		}
	})},
	{"database/names", "SQL is run", on("POST /visits", func(c *call) {
		if strings.Contains(string(c.body), "DROP TABLE") {
			*c.reply = *c.problem(500)
		}
	})},
	{"database/names", "a name is a pattern", on("GET /visits", func(c *call) {
		if strings.HasPrefix(c.query.Get("name"), "no such") {
			*c.reply = *c.json(200, []any{entry{}.asMap()})
		}
	})},
	{"database/limit", "it does not count", on("GET /visits", func(c *call) {
		if c.query.Get("limit") == "1" {
			c.query.Del("limit")
			*c.reply = *c.listVisits()
		}
	})},
	{"database/many-refused", "it uses connections up", on("POST /visits", func(c *call) {
		if c.status == 409 && c.f.nth("refused") == 30 {
			*c.reply = *c.problem(503)
		}
	})},
	{"database/many-late", "it uses connections up", on("POST /visits", func(c *call) {
		switch {
		case c.status == 504:
			c.f.nth("late")
		case c.f.count("late") >= 10:
			*c.reply = *c.problem(503)
		}
	})},
	{"database/many-late", "one is kept in the end", on("POST /visits", func(c *call) {
		if c.status == 504 && c.f.nth("late") == 9 {
			c.f.keep(visitOf(c.body).Name)
		}
	})},
}

// isChunked tells whether net/http would not know the body's length.
func (c *call) isChunked() bool { return len(c.body) > 0 && c.req.ContentLength <= 0 }

// text is r as a text of that status.
func (r *reply) text(status int) *reply {
	return &reply{status, r.header, []byte("status")}
}

func spoilText(prefix string, spoil func(*entryOfLog)) func(*fake, *entryOfLog) {
	return func(_ *fake, e *entryOfLog) {
		if strings.HasPrefix(e.msg, prefix) {
			spoil(e)
		}
	}
}

// listed are the visits of an answer.
func listed(c *call) (all []entry) {
	_ = json.Unmarshal(c.reply.body, &all) // none
	return all
}
