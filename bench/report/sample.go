package report

import (
	"github.com/funcatron/funcatron/bench/load"
)

// percentiles of a curve, in steps that grow finer towards the end.
var percentiles = []float64{0, 10, 25, 50, 60, 70, 75, 80, 85, 90, 92.5, 95, 97.5, 98, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 100}

// SampleOf makes a sample of what the generator measured.
func SampleOf(round int, r *load.Result) *Sample {
	at := func(p float64) float64 { return float64(r.Latency.ValueAtQuantile(p)) / 1e3 }
	s := &Sample{
		Round: round, Rate: r.Rate(), Mean: r.Latency.Mean() / 1e3,
		P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(r.Latency.Max()) / 1e3,
		Requests: r.Answered, Errors: r.Wrong + r.Broken, Unanswered: r.Unanswered + r.Unsent,
		Generator: r.Busy, Cores: make(map[string]float64),
	}
	if r.Lag.TotalCount() > 0 {
		s.Lag = float64(r.Lag.ValueAtQuantile(99)) / 1e3
	}
	for _, p := range percentiles {
		s.Curve = append(s.Curve, Point{p, at(p)})
	}
	return s
}
