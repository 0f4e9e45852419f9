package conformance

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// maxVisits is the property of that name with which the bundle is enabled.
const maxVisits = 2

// database is a transaction a request: kept when the function succeeded in time.
var database = []check{
	{"database/commit", stored(func(p *probe, name string) {
		p.visits(name)
		one := p.visit(name)
		two := p.visit(name)
		p.visits(name, two, one) // the latest first
	})},
	{"database/refused", stored(func(p *probe, name string) {
		one, two := p.visit(name), p.visit(name)
		for range 2 {
			p.ask(newVisit(name, ""), status(409), contains(fmt.Sprintf("%s has visited %d times already", name, maxVisits)))
			p.visits(name, two, one)
		}
	})},
	{"database/late", stored(func(p *probe, name string) {
		kept := p.visit(name)
		p.ask(newVisit(name, "?sleep=3000"), problem(504), within(1800*time.Millisecond, 2*time.Second+grace))
		p.every(4*time.Second, func() bool { // it would be written when it has slept
			p.visits(name, kept)
			return p.good()
		})
	})},
	{"database/in-time", stored(func(p *probe, name string) {
		p.ask(newVisit(name, "?sleep=100"), status(201), visited(name))
		p.ask(listVisits(name, ""), status(200), entries(1))
	})},
	{"database/at-once", stored(atOnce)},
	{"database/names", stored(func(p *probe, name string) {
		for _, odd := range []string{`O'Neil "Bobby"; DROP TABLE visits; --`, "Zoë 世界 🚀", `a%b_c\`} {
			odd += " " + name
			p.visits(odd, p.visit(odd))
		}
		p.visits("no such " + name)
	})},
	{"database/limit", stored(func(p *probe, name string) {
		p.visit(name)
		latest := p.visit(name)
		if a := p.ask(listVisits(name, "&limit=1"), status(200), entries(1)); a != nil && p.good() && idsOf(a)[0] != latest {
			p.failf("%s: want the latest visit, %s; came %s", listVisits(name, "&limit=1"), latest, a)
		}
		p.ask(get("/visits?limit=1000"), status(200), contains(name)) // everybody's
		p.ask(get("/visits?limit=0"), problem(400, violation{"query", "limit"}))
		p.ask(get("/visits?limit=1001"), problem(400, violation{"query", "limit"}))
	})},
	{"database/many-refused", stored(func(p *probe, name string) { // more than a pool has connections
		p.visit(name)
		p.visit(name)
		for range 40 {
			if p.ask(newVisit(name, ""), status(409)); !p.good() {
				return
			}
		}
		p.visit("other " + name)
	})},
	{"database/many-late", stored(manyLate)},
}

// recovery is how long it may take until what came too late is out of the way: it
// waits for the database one after the other.
const recovery = 30 * time.Second

// manyLate has more stay too long than a pool has connections, all at once, and
// wants the database to be of use again.
func manyLate(p *probe, name string) {
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			p.ask(newVisit(name, "?sleep=3000"), problem(504), within(1800*time.Millisecond, 2*time.Second+grace))
		})
	}
	wg.Wait()
	var last string
	p.every(recovery, func() bool {
		a, err := p.exchange(newVisit("other "+newID()+" "+name, ""))
		if err == nil && a.status == 201 {
			last = ""
			return false
		}
		if last = fmt.Sprint(err); err == nil {
			last = a.String()
		}
		return true
	})
	if last != "" {
		p.failf("%s, when many were late: want status 201 within %v; came %s", newVisit(name, ""), recovery, last)
	}
	p.every(2*time.Second, func() bool { // they would be written when they have slept
		p.visits(name)
		return p.good()
	})
}

// stored makes a check only where the property db is given, with a name that
// nobody had before.
func stored(run func(p *probe, name string)) func(*probe) {
	return func(p *probe) {
		name := "Ann " + p.mark + " " + newID()[:8]
		r := listVisits(name, "")
		a, err := p.exchange(r)
		if err == nil && a.status == 503 {
			if contains("db").wrong(a) != "" {
				p.failf("%s: want status 200, or without the property db status 503 and a body that names db; came %s", r, a)
			}
			p.reason = fmt.Sprintf("the bundle's database cannot be had, which needs the property db: %s", a)
			return
		}
		run(p, name)
	}
}

// atOnce has one name visit more often than it may, all at once.
func atOnce(p *probe, name string) {
	const n = 8
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range n {
		wg.Go(func() {
			a, err := p.exchange(newVisit(name, ""))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				p.failf("%s: no answer came: %v", newVisit(name, ""), err)
				return
			}
			statuses[a.status]++
		})
	}
	wg.Wait()
	if statuses[201] != maxVisits || statuses[409] != n-maxVisits {
		p.failf("%d of %s at once: want %d of status 201 and %d of status 409; came (status:answers) %v", n, newVisit(name, ""), maxVisits, n-maxVisits, statuses)
	}
	p.ask(listVisits(name, ""), status(200), entries(maxVisits))
}

func newVisit(name, query string) request {
	body, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		panic("BUG: a name does not encode: " + err.Error())
	}
	return post("/visits"+query, string(body))
}

// listVisits asks for those of a name; more is added to the query.
func listVisits(name, more string) request {
	return get("/visits?name=" + url.QueryEscape(name) + more)
}

// visit makes one that must be kept, and returns its id.
func (p *probe) visit(name string) string {
	a := p.ask(newVisit(name, ""), status(201), visited(name))
	if a == nil {
		return ""
	}
	return visitOf(a.body).ID.String()
}

// visits wants a name's visits to be those of these ids, in that order.
func (p *probe) visits(name string, ids ...string) {
	p.ask(listVisits(name, ""), status(200), kind("application/json"), entries(len(ids)), expectation{
		fmt.Sprintf("the visits %v", ids), func(a *answer) string {
			got := idsOf(a)
			return unless(fmt.Sprint(got) == fmt.Sprint(ids), "they are %v", got)
		}})
}

// entry is one visit as it is written.
type entry struct {
	ID   json.Number
	Name string
	Time string
}

// visitOf is a zero entry where there is no JSON.
func visitOf(body []byte) (v entry) {
	_ = json.Unmarshal(body, &v)
	return v
}

func idsOf(a *answer) []string {
	var all []entry
	_ = json.Unmarshal(a.body, &all) // none
	ids := []string{}
	for _, v := range all {
		ids = append(ids, v.ID.String())
	}
	return ids
}

var utcForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$`)

// visited is the visit that was written.
func visited(name string) expectation {
	return expectation{fmt.Sprintf("JSON with an id, the name %q and a time (RFC 3339, UTC)", name), func(a *answer) string {
		if wrong := kind("application/json").wrong(a); wrong != "" {
			return wrong
		}
		v := visitOf(a.body)
		if _, err := strconv.ParseInt(v.ID.String(), 10, 64); err != nil {
			return fmt.Sprintf("the id is %q", v.ID)
		}
		if v.Name != name {
			return fmt.Sprintf("the name is %q", v.Name)
		}
		return unless(utcForm.MatchString(v.Time), "the time is %q", v.Time)
	}}
}

// entries is a list of so many visits.
func entries(n int) expectation {
	return expectation{fmt.Sprintf("a list of %d", n), func(a *answer) string {
		v, err := parse(a.body)
		list, ok := v.([]any)
		return unless(err == nil && ok && len(list) == n, "the list has %d entries", len(list))
	}}
}
