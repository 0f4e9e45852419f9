package report

import "fmt"

// Names of scenarios, and of what is compared in them.
const (
	Gateway   = "gateway"
	Limits    = "limits"
	Slow      = "slow"
	Routes    = "routes"
	Scale     = "scale"
	Footprint = "footprint"
	Languages = "languages"
	Micro     = "micro"
	Remote    = "url"

	Memory   = "in memory"
	RabbitMQ = "RabbitMQ"
	FastHTTP = "bare fasthttp"
	NetHTTP  = "bare net/http"
	Proxy    = "bare reverse proxy"
	AMQP     = "bare AMQP"      // nothing acknowledged, nothing confirmed
	SafeAMQP = "confirmed AMQP" // with what the system promises: a bounded queue, acknowledgements, confirms

	Get      = "GET"
	Post     = "POST 1 KiB"
	PostBlob = "POST 64 KiB"
)

// Facts that are checked.
const (
	PendingMemory  = "gateway with 10,000 pending requests"
	LookupGrowth   = "lookup: 10,000 operations against 10"
	LookupAllocs   = "lookup: allocations"
	ReqIDAllocs    = "REQ id: allocations"
	PendingAllocs  = "pending table: allocations"
	SwappedSubject = "swap a second"
	StillSubject   = "no swap"
)

// Verdict is what a check found.
type Verdict string

// The verdicts.
const (
	Pass        Verdict = "pass"
	Fail        Verdict = "FAIL"
	Unmeasured  Verdict = "not measured"
	InvalidData Verdict = "invalid"
)

// Check is one floor and what was reached.
type Check struct {
	What    string  `json:"what"`
	Floor   string  `json:"floor"`
	Reached float64 `json:"reached"`
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why,omitempty"` // of a verdict that is neither pass nor fail
}

// bound is a limit on one side.
type bound struct {
	atLeast bool
	value   float64
	unit    string
}

func atLeast(v float64, unit string) bound { return bound{true, v, unit} }
func atMost(v float64, unit string) bound  { return bound{false, v, unit} }

func (b bound) String() string {
	word := "at most"
	if b.atLeast {
		word = "at least"
	}
	return fmt.Sprintf("%s %g%s", word, b.value, b.unit)
}

func (b bound) holds(v float64) bool {
	if b.atLeast {
		return v >= b.value
	}
	return v <= b.value
}

// Judge fills in the checks. Each is there, measured or not.
func (r *Report) Judge() {
	row := func(scenario, subject, shape string, connections int) Key {
		return Key{Scenario: scenario, Subject: subject, Shape: shape, Connections: connections}
	}
	system := func(subject, shape string, n int) Key { return row(Gateway, subject, shape, n) }
	limit := func(subject, shape string, n int) Key { return row(Limits, subject, shape, n) }
	r.Checks = nil
	for _, amqp := range []string{AMQP, SafeAMQP} {
		r.Checks = append(r.Checks,
			r.ratio("RabbitMQ, GET, 64 connections: requests/s against "+amqp+", 64 in flight",
				atLeast(1.35, " times"), system(RabbitMQ, Get, 64), limit(amqp, Get, 64), (*Sample).rate),
			r.ratio("RabbitMQ, GET, 256 connections: requests/s against "+amqp+", 256 in flight",
				atLeast(2.1, " times"), system(RabbitMQ, Get, 256), limit(amqp, Get, 256), (*Sample).rate),
			r.ratio("RabbitMQ, GET, one connection: p50 against "+amqp+", one in flight",
				atMost(1.45, " times"), system(RabbitMQ, Get, 1), limit(amqp, Get, 1), (*Sample).p50),
		)
	}
	r.Checks = append(r.Checks,
		r.ratio("in memory, GET, 64 connections: requests/s against a bare reverse proxy",
			atLeast(0.75, " times"), system(Memory, Get, 64), limit(Proxy, Get, 64), (*Sample).rate),
		r.ratio("in memory, 64 connections: requests/s of POST 1 KiB with validated body against GET",
			atLeast(0.7, " times"), system(Memory, Post, 64), system(Memory, Get, 64), (*Sample).rate),
	)
	for _, subject := range []string{Memory, RabbitMQ} {
		k := system(subject, Get, OpenConnections)
		k.Load = 0.8
		r.Checks = append(r.Checks, r.tail(subject+", open loop at 80% of capacity: p99 against p50", atMost(5, " times"), k))
	}
	r.Checks = append(r.Checks,
		r.allocs("heap allocations a request in the gateway, GET", atMost(15, ""), system(RabbitMQ, Get, 64)),
		r.allocs("heap allocations a request in the gateway, POST 1 KiB with validated body", atMost(60, ""), system(RabbitMQ, Post, 64)),
		r.fact("heap allocations of a lookup", atMost(0, ""), Micro, LookupAllocs),
		r.fact("heap allocations of a REQ id", atMost(0, ""), Micro, ReqIDAllocs),
		r.fact("heap allocations of the pending table, a call", atMost(0, ""), Micro, PendingAllocs),
		r.fact("resident memory of a gateway with 10,000 pending requests", atMost(100, " MiB"), Footprint, PendingMemory),
		r.fact("lookup with 10,000 operations against with 10", atMost(1.5, " times"), Micro, LookupGrowth),
	)
	for _, ms := range SlowTimes {
		r.Checks = append(r.Checks, r.ratio(
			fmt.Sprintf("functions of %d ms, %d runners: p99 with batching against without", ms, SlowRunners[len(SlowRunners)-1]),
			atMost(1.1, " times"), SlowKey(ms, SlowRunners[len(SlowRunners)-1], true), SlowKey(ms, SlowRunners[len(SlowRunners)-1], false), (*Sample).p99))
	}
	swapped := row(Routes, SwappedSubject, Get, OpenConnections)
	still := row(Routes, StillSubject, Get, OpenConnections)
	swapped.Load, still.Load = 0.5, 0.5
	r.Checks = append(r.Checks, r.ratio("a new route table every second, at half of capacity: p99 against none", atMost(1.2, " times"), swapped, still, (*Sample).p99))
}

// OpenConnections is how many connections open loops have.
const OpenConnections = 256

// SlowTimes are how long slow functions take in ms, and SlowRunners how many
// runners serve them. SlowConnections ask.
var (
	SlowTimes   = []int{1, 10, 100}
	SlowRunners = []int{1, 3}
)

// SlowConnections is how many connections ask slow functions.
const SlowConnections = 64

// SlowKey is the row of functions of ms at a number of runners, batching on or off.
func SlowKey(ms, runners int, batching bool) Key {
	subject := fmt.Sprintf("%d runners", runners)
	if runners == 1 {
		subject = "1 runner"
	}
	if batching {
		subject += ", batching on"
	} else {
		subject += ", batching off"
	}
	return Key{Scenario: Slow, Subject: subject, Shape: fmt.Sprintf("GET %d ms", ms), Connections: SlowConnections}
}

// OK tells whether all that was measured reached its floor.
func (r *Report) OK() bool {
	for _, c := range r.Checks {
		if c.Verdict == Fail || c.Verdict == InvalidData {
			return false
		}
	}
	return true
}

// ratio compares two rows, round by round.
func (r *Report) ratio(what string, b bound, over, under Key, of func(*Sample) float64) Check {
	c := Check{What: what, Floor: b.String()}
	a, z := r.Row(over), r.Row(under)
	if a == nil || z == nil {
		return c.not(Unmeasured, "")
	}
	for _, row := range []*Row{a, z} {
		if why := row.Invalid(); why != "" {
			return c.not(InvalidData, row.Subject+": "+why)
		}
	}
	ratio, ok := compare(a, z, of)
	if !ok {
		return c.not(Unmeasured, "no round has both")
	}
	return c.reached(b, ratio)
}

// Rates is how many answers a second over gave for one that under gave, the median
// of the rounds. It is not ok where no round has both.
func (r *Report) Rates(over, under Key) (ratio float64, ok bool) {
	a, z := r.Row(over), r.Row(under)
	if a == nil || z == nil {
		return 0, false
	}
	return compare(a, z, (*Sample).rate)
}

// compare is the median of the ratios of two rows' samples of the same round.
func compare(a, z *Row, of func(*Sample) float64) (ratio float64, ok bool) {
	var ratios []float64
	for _, s := range a.Samples {
		for _, t := range z.Samples {
			if s.Round == t.Round && of(t) > 0 {
				ratios = append(ratios, of(s)/of(t))
			}
		}
	}
	if len(ratios) == 0 {
		return 0, false
	}
	return Median(ratios), true
}

// tail compares p99 with p50.
func (r *Report) tail(what string, b bound, k Key) Check {
	return r.one(what, b, k, func(s *Sample) float64 {
		if s.P50 == 0 {
			return 0
		}
		return s.P99 / s.P50
	})
}

func (r *Report) allocs(what string, b bound, k Key) Check {
	return r.one(what, b, k, (*Sample).allocs)
}

// one takes a row's own median; 0 was not measured.
func (r *Report) one(what string, b bound, k Key, of func(*Sample) float64) Check {
	c := Check{What: what, Floor: b.String()}
	row := r.Row(k)
	if row == nil {
		return c.not(Unmeasured, "")
	}
	if why := row.Invalid(); why != "" {
		return c.not(InvalidData, why)
	}
	v := row.Median(of)
	if v == 0 {
		return c.not(Unmeasured, "")
	}
	return c.reached(b, v)
}

func (r *Report) fact(what string, b bound, scenario, name string) Check {
	c := Check{What: what, Floor: b.String()}
	f, ok := r.Fact(scenario, name)
	if !ok {
		return c.not(Unmeasured, "")
	}
	return c.reached(b, f.Value)
}

func (c Check) not(v Verdict, why string) Check {
	c.Verdict, c.Why = v, why
	return c
}

func (c Check) reached(b bound, v float64) Check {
	c.Reached, c.Verdict = v, Fail
	if b.holds(v) {
		c.Verdict = Pass
	}
	return c
}
