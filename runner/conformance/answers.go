package conformance

import "strconv"

// answers have the status, headers and body that the function gives them.
var answers = []check{
	{"answers/success", func(p *probe) { p.statuses(200, 201, 202) }},
	{"answers/no-body", func(p *probe) {
		for _, code := range []int{204, 304} {
			p.ask(get(statusPath(code)), status(code), header("X-Sample-Status", strconv.Itoa(code)), exactly(nil))
		}
		p.ask(get(statusPath(304)), header("Location", "/elsewhere"))
		p.ask(get("/simple"), status(200)) // the connection still is in order
	}},
	{"answers/redirect", func(p *probe) {
		for _, code := range []int{301, 302, 303, 307, 308} {
			p.ask(get(statusPath(code)), status(code), header("X-Sample-Status", strconv.Itoa(code)), header("Location", "/elsewhere"), text("status "+strconv.Itoa(code)))
		}
	}},
	{"answers/client-error", func(p *probe) { p.statuses(400, 401, 403, 404, 405, 409, 410, 418, 422, 429) }},
	{"answers/server-error", func(p *probe) { p.statuses(500, 501, 502, 503, 504, 599) }},
	{"answers/status-refused", func(p *probe) {
		p.ask(get("/status/99"), problem(400, violation{"path", "code"}))
		p.ask(get("/status/600"), problem(400, violation{"path", "code"}))
	}},
}

func statusPath(code int) string { return "/status/" + strconv.Itoa(code) }

// statuses asks for each, with its body.
func (p *probe) statuses(codes ...int) {
	for _, code := range codes {
		p.ask(get(statusPath(code)), status(code), header("X-Sample-Status", strconv.Itoa(code)), noHeader("Location"), text("status "+strconv.Itoa(code)))
	}
}
