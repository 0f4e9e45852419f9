package conformance

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
)

// bodies keep what they hold, in both directions.
var bodies = []check{
	{"bodies/change-int64", func(p *probe) {
		for age, next := range map[string]string{
			beyond53:              "9007199254740994",
			"9223372036854775806": maxInt64,
			minInt64:              "-9223372036854775807",
		} {
			p.ask(post("/change/1", `{"name":"Ann","age":`+age+`}`), status(200), value(`[{"name":"Ann1","age":`+next+`}]`))
		}
		p.ask(method("DELETE", "/change/"+maxInt64), status(200), value(`{"name":"Deleted `+maxInt64+`","age":`+maxInt64+`}`))
	}},
	{"bodies/change-text", func(p *probe) {
		p.ask(post("/change/1", `{"name":"Änn \"世\" \ud83d\ude80 <&>","age":0}`), status(200), value(`[{"name":"Änn \"世\" 🚀 <&>1","age":1}]`))
	}},
	{"bodies/change-many", func(p *probe) {
		var want strings.Builder
		for i := range 10000 {
			fmt.Fprintf(&want, `,{"name":"Ann%d","age":%d}`, i+1, i+1)
		}
		p.ask(post("/change/10000", `{"name":"Ann","age":0}`), status(200), value("["+want.String()[1:]+"]"))
	}},
	{"bodies/record-int64", func(p *probe) {
		for _, n := range []string{maxInt64, minInt64, beyond53, "-9007199254740993", "0", "2147483648"} {
			p.same(`{"id":` + n + `,"text":"","ratio":0.5,"tags":[]}`)
		}
	}},
	{"bodies/record-text", func(p *probe) {
		for _, text := range []string{
			`Grüße 世界 🚀`, `\u0047r\u00fc\u00dfe \ud83d\ude80`, `👩‍👩‍👧 e` + "\u0301" + ` \ue000 \uffff`,
			`\u0000 \u001f \u007f`, "line\u2028 paragraph\u2029", `\"quotes\" 'single' \\ \/ \b\f\n\r\t`,
			`<script>&amp;</script>`, ` `, ``, strings.Repeat("世", 100_000),
		} {
			p.same(`{"id":1,"text":"` + text + `","ratio":0.5,"tags":[]}`)
		}
	}},
	{"bodies/record-ratio", func(p *probe) {
		for _, n := range []string{"0.1", "-0.000001", "1e-7", "1.7976931348623157e308", "5e-324", "3.141592653589793", "100000000000000000000.0"} {
			p.same(`{"id":1,"text":"","ratio":` + n + `,"tags":[]}`)
		}
		p.ask(post("/record", `{"id":1,"text":"","ratio":7,"tags":[]}`), status(200), value(`{"id":1,"text":"","ratio":7.0,"tags":[]}`))
	}},
	{"bodies/record-tags", func(p *probe) {
		p.same(`{"id":1,"text":"","ratio":0.5,"tags":["a","","ü","a","1","null"]}`)
		p.ask(post("/record", " {\"tags\" : [ ] ,\r\n\t\"ratio\":0.5, \"text\":\"\", \"id\":1}\n"), status(200), value(`{"id":1,"text":"","ratio":0.5,"tags":[]}`))
	}},
	{"bodies/record-chunked", func(p *probe) {
		const record = `{"id":1,"text":"in chunks","ratio":0.5,"tags":[]}`
		p.ask(post("/record", record).inChunks(), status(200), value(record))
	}},
	{"bodies/echo-binary", func(p *probe) {
		p.echo("application/octet-stream", everyByte(), false)
	}},
	{"bodies/echo-text", func(p *probe) {
		p.echo("text/plain; charset=utf-8", []byte("\ufeffGrüße 世界 🚀\r\n\x00 <&>"), false)
		p.echo("text/plain", []byte(`{"no":"json"}`), false)
	}},
	{"bodies/echo-empty", func(p *probe) {
		p.ask(method("POST", "/echo"), status(200), header("X-Sample-Length", "0"), exactly(nil))
	}},
	{"bodies/echo-big", func(p *probe) {
		p.echo("application/octet-stream", bytes.Repeat(everyByte(), 7<<20/256), false)
	}},
	{"bodies/echo-chunked", func(p *probe) {
		p.echo("application/octet-stream", bytes.Repeat(everyByte(), 1<<10), true)
	}},
	{"bodies/at-once", func(p *probe) { // none gets another's
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				for j := range 8 {
					p.echo("text/plain", fmt.Appendf(nil, "%d of %d %s", j, i, strings.Repeat("x", 1000*i)), false)
					p.same(fmt.Sprintf(`{"id":%d,"text":"%d","ratio":0.5,"tags":[]}`, i, j))
				}
			})
		}
		wg.Wait()
	}},
}

// same sends a record, and wants it back.
func (p *probe) same(record string) { p.ask(post("/record", record), status(200), value(record)) }

// echo sends bytes, and wants them back.
func (p *probe) echo(contentType string, body []byte, chunked bool) {
	r := send("/echo", contentType, body)
	r.chunked = chunked
	p.ask(r, status(200), sameKind(contentType), header("X-Sample-Length", fmt.Sprint(len(body))), exactly(body))
}

// everyByte is each byte once, those that are no UTF-8 among them.
func everyByte() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}
