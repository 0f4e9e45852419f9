package conformance

const (
	maxInt64 = "9223372036854775807"
	minInt64 = "-9223372036854775808"
	beyond53 = "9007199254740993" // no float64 is that number
)

// parameters come as the types that the document gives them.
var parameters = []check{
	{"parameters/int64", func(p *probe) {
		for _, n := range []string{maxInt64, minInt64, beyond53, "0"} {
			p.ask(get("/simple/"+n), simple(n, `{}`))
			p.ask(get("/params/"+n+"/x"), status(200), value(`{"id":`+n+`,"name":"x","limit":10,"on":false,"tags":[]}`))
		}
	}},
	{"parameters/defaults", func(p *probe) {
		p.ask(get("/params/1/Ann"), status(200), value(`{"id":1,"name":"Ann","limit":10,"on":false,"tags":[]}`))
	}},
	{"parameters/given", func(p *probe) {
		p.ask(get("/params/1/Ann?limit=-3&on=true&tags=a,b"), status(200), value(`{"id":1,"name":"Ann","limit":-3,"on":true,"tags":["a","b"]}`))
		p.ask(get("/params/1/Ann?tags=one&other=x"), status(200), value(`{"id":1,"name":"Ann","limit":10,"on":false,"tags":["one"]}`))
	}},
	{"parameters/strings", func(p *probe) { // what looks like another type is none
		p.ask(get("/params/1/007?tags=1,true"), status(200), value(`{"id":1,"name":"007","limit":10,"on":false,"tags":["1","true"]}`))
		p.ask(get("/params/1/null"), status(200), value(`{"id":1,"name":"null","limit":10,"on":false,"tags":[]}`))
	}},
	{"parameters/escaped", func(p *probe) {
		p.ask(get("/params/1/Gr%C3%BC%C3%9Fe%20%F0%9F%9A%80%2F%22+%25?tags=%E4%B8%96,e%CC%81"), status(200),
			value(`{"id":1,"name":"Grüße 🚀/\"+%","limit":10,"on":false,"tags":["世","e\u0301"]}`))
	}},
	{"parameters/query", func(p *probe) {
		p.ask(get("/simple?a=1&true=false&q=x%3Dy%26z&sum=1=1"), simple("", `{"a":"1","true":"false","q":"x=y&z","sum":"1=1"}`))
		p.ask(get("/simple/7?num=8"), simple("7", `{"num":"8"}`))
	}},
	{"parameters/query-empty", func(p *probe) {
		p.ask(get("/simple?empty=&flag"), simple("", `{"empty":"","flag":""}`))
	}},
	{"parameters/query-repeated", func(p *probe) {
		p.ask(get("/simple?a=2&b=x&a=1&a=2"), simple("", `{"a":["2","1","2"],"b":"x"}`))
	}},
	{"parameters/query-unicode", func(p *probe) {
		p.ask(get("/simple?n%C3%A4me=Gr%C3%BC%C3%9Fe+%E4%B8%96%20%F0%9F%9A%80&plus=%2B"), simple("", `{"näme":"Grüße 世 🚀","plus":"+"}`))
	}},
	{"parameters/refused", func(p *probe) {
		p.ask(get("/simple/x"), problem(400, violation{"path", "num"}))
		p.ask(get("/simple/9223372036854775808"), problem(400, violation{"path", "num"}))
		p.ask(get("/params/1.5/x?limit=many&on=perhaps"), problem(400, violation{"path", "id"}, violation{"query", "limit"}, violation{"query", "on"}))
		p.ask(get("/log"), problem(400, violation{"query", "text"}))
	}},
}
