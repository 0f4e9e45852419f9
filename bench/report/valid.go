package report

import "fmt"

// When a measurement is one of the generator and not of what it measures.
const (
	// MaxBusy is the share of the time that a thread of the generator may be busy:
	// beyond it answers wait for the generator.
	MaxBusy = 0.9
	// MaxOfCeiling is the share of what the generator reaches against the cheapest
	// server there is.
	MaxOfCeiling = 0.85
	// MaxLag is how late the generator may be in an open loop, at p99, as a share of
	// the p99 that it measured, and LagFloor what does not matter, in ms.
	MaxLag   = 0.25
	LagFloor = 0.5
)

// Valid tells whether no row says more about the generator than about what it
// aimed at.
func (r *Report) Valid() bool {
	for _, row := range r.Rows {
		if row.Invalid() != "" {
			return false
		}
	}
	return len(r.Rows) > 0 || len(r.Facts) > 0
}

// Validity says it.
func (r *Report) Validity() string {
	if len(r.Rows) == 0 && len(r.Facts) == 0 {
		return "INVALID: nothing was measured"
	}
	bad, busiest := 0, 0.0
	for _, row := range r.Rows {
		if row.Invalid() != "" {
			bad++
		}
		busiest = max(busiest, row.Median(func(s *Sample) float64 { return s.Generator }))
	}
	if bad > 0 {
		return fmt.Sprintf("INVALID: %d of %d rows, as they say", bad, len(r.Rows))
	}
	return fmt.Sprintf("valid: the generator's busiest thread had work for %.0f%% of the time at most", 100*busiest)
}

// Validate marks s where the generator was the bottleneck. ceiling is what the
// generator reached with as many connections against bare fasthttp, a second; 0
// where that is not known, or is what was measured.
func (s *Sample) Validate(ceiling float64) {
	switch {
	case s.Requests == 0:
		s.Invalid = "no request was answered"
	case s.Errors*100 > s.Requests+s.Errors:
		s.Invalid = fmt.Sprintf("%d of %d requests failed", s.Errors, s.Requests+s.Errors)
	case s.Generator > MaxBusy:
		s.Invalid = fmt.Sprintf("the generator was busy %.0f%% of the time", 100*s.Generator)
	case ceiling > 0 && s.Rate > MaxOfCeiling*ceiling:
		s.Invalid = fmt.Sprintf("the rate is %.0f%% of what the generator reaches at all", 100*s.Rate/ceiling)
	case s.Lag > LagFloor && s.Lag > MaxLag*s.P99:
		s.Invalid = fmt.Sprintf("the generator itself was %.2f ms late", s.Lag)
	}
}
