// Package report holds what a bench run measured, judges it, and shows it as a
// table, as JSON and as a page of curves.
//
// A Sample is one measurement and never changes. A Row is all samples of one
// thing, one a round, and stands for their median: what the machine did to one
// round does not decide. Ratios compare samples of the same round, which ran one
// right after the other, and only then is their median taken.
package report

import (
	"cmp"
	"slices"
	"time"
)

// Report is one run of the bench.
type Report struct {
	Machine Machine   `json:"machine"`
	Began   time.Time `json:"began"`
	Took    Seconds   `json:"took-seconds"`
	Rows    []*Row    `json:"rows"`
	Facts   []Fact    `json:"facts"`
	Notes   []string  `json:"notes"` // what was not measured, and why
	Checks  []Check   `json:"checks"`
	IsValid bool      `json:"valid"`
}

// Seconds is a duration in seconds.
type Seconds float64

// Machine is what the bench ran on.
type Machine struct {
	CPU      string `json:"cpu"`
	Cores    int    `json:"cores"`
	Memory   int64  `json:"memory-bytes"`
	Kernel   string `json:"kernel"`
	Go       string `json:"go"`
	RabbitMQ string `json:"rabbitmq,omitempty"` // "" where there is none
	Revision string `json:"revision"`
	Load     string `json:"load-average"` // when the bench began
}

// Key names a Row.
type Key struct {
	Scenario    string  `json:"scenario"`
	Subject     string  `json:"subject"`        // what was measured: "memory", "rabbitmq", "bare AMQP", ...
	Shape       string  `json:"shape"`          // what was asked of it: "GET", "POST 1 KiB", ...
	Connections int     `json:"connections"`    // or messages in flight
	Load        float64 `json:"load,omitempty"` // open loop: share of the measured capacity; 0 is a closed loop
}

// Row is the samples of one key.
type Row struct {
	Key
	Samples []*Sample `json:"samples"`
}

// Sample is one measurement. Latencies are in milliseconds.
type Sample struct {
	Round      int     `json:"round"`
	Rate       float64 `json:"rate"`            // right answers a second
	Asked      float64 `json:"asked,omitempty"` // open loop: requests a second that were due
	Mean       float64 `json:"mean-ms"`
	P50        float64 `json:"p50-ms"`
	P90        float64 `json:"p90-ms"`
	P99        float64 `json:"p99-ms"`
	P999       float64 `json:"p99.9-ms"`
	Max        float64 `json:"max-ms"`
	Requests   int64   `json:"requests"`
	Errors     int64   `json:"errors"`     // wrong status, connection lost
	Unanswered int64   `json:"unanswered"` // when the measurement ended, or never sent
	Curve      []Point `json:"curve"`

	Generator float64            `json:"generator-busy"`             // share of the time that its busiest thread was
	Lag       float64            `json:"generator-lag-ms,omitempty"` // open loop: p99 of what the generator itself was late
	Cores     map[string]float64 `json:"cores"`                      // processor time a second, by process; "other" is the rest of the machine
	Allocs    float64            `json:"gateway-allocations,omitempty"`
	Even      float64            `json:"even,omitempty"` // requests at the least used runner for one at the most used

	Invalid string `json:"invalid,omitempty"` // why this says nothing about what was measured
}

// Point is one point of a latency curve.
type Point struct {
	Percentile float64 `json:"percentile"`
	Ms         float64 `json:"ms"`
}

// Fact is one figure that is no row.
type Fact struct {
	Scenario string  `json:"scenario"`
	Name     string  `json:"name"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit"`
	Note     string  `json:"note,omitempty"`
}

// Add adds a sample to its row.
func (r *Report) Add(k Key, s *Sample) {
	row := r.Row(k)
	if row == nil {
		row = &Row{Key: k}
		r.Rows = append(r.Rows, row)
	}
	row.Samples = append(row.Samples, s)
}

// Row finds a row, or nil.
func (r *Report) Row(k Key) *Row {
	for _, row := range r.Rows {
		if row.Key == k {
			return row
		}
	}
	return nil
}

// Fact finds a fact.
func (r *Report) Fact(scenario, name string) (Fact, bool) {
	for _, f := range r.Facts {
		if f.Scenario == scenario && f.Name == name {
			return f, true
		}
	}
	return Fact{}, false
}

// Invalid says why the row says nothing: more than half of its samples do not.
func (r *Row) Invalid() string {
	bad, why := 0, ""
	for _, s := range r.Samples {
		if s.Invalid != "" {
			bad, why = bad+1, s.Invalid
		}
	}
	if 2*bad > len(r.Samples) {
		return why
	}
	return ""
}

// Median is the median over the samples of what of says.
func (r *Row) Median(of func(*Sample) float64) float64 {
	var all []float64
	for _, s := range r.Samples {
		all = append(all, of(s))
	}
	return Median(all)
}

// Middle is the sample whose rate is the median, or next above it: one that was
// really measured, for curves.
func (r *Row) Middle() *Sample {
	sorted := slices.SortedFunc(slices.Values(r.Samples), func(a, b *Sample) int { return cmp.Compare(a.Rate, b.Rate) })
	return sorted[len(sorted)/2]
}

// Median of all; 0 of none.
func Median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}

// What medians are taken of.
func (s *Sample) rate() float64   { return s.Rate }
func (s *Sample) p50() float64    { return s.P50 }
func (s *Sample) p99() float64    { return s.P99 }
func (s *Sample) allocs() float64 { return s.Allocs }
