package bench

import (
	"testing"

	"github.com/funcatron/funcatron/bench/report"
)

const benchOutput = `goos: linux
goarch: amd64
pkg: github.com/funcatron/funcatron/gateway/route
cpu: AMD EPYC
BenchmarkLookup/10-operations/1-bundles-2         	 1000	       100.0 ns/op	       0 B/op	       0 allocs/op
BenchmarkLookup/10-operations/1-bundles-2         	 1000	       110.0 ns/op	       0 B/op	       0 allocs/op
BenchmarkLookup/10-operations/1-bundles-2         	 1000	       300.0 ns/op	       0 B/op	       0 allocs/op
BenchmarkLookup/10000-operations/1-bundles-2      	 1000	       132.0 ns/op	       8 B/op	       1 allocs/op
PASS
ok  	github.com/funcatron/funcatron/gateway/route	1.0s
pkg: github.com/funcatron/funcatron/shared/reqid
BenchmarkNew 	 1000	        12.5 ns/op	   12.50 MB/s	       0 B/op	       0 allocs/op
BenchmarkBroken: something is logged
PASS
`

func TestParseBenchmarks(t *testing.T) {
	got, err := parseBenchmarks([]byte(benchOutput))
	if err != nil {
		t.Fatal(err)
	}
	want := []benchmark{
		{"route.Lookup/10-operations/1-bundles", 110, 0, 0},
		{"route.Lookup/10000-operations/1-bundles", 132, 8, 1},
		{"reqid.New", 12.5, 0, 0},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
	if _, err := parseBenchmarks([]byte("PASS\n")); err == nil {
		t.Error("no benchmark, and no error")
	}
	var b Bench
	b.judgeMicro(got)
	for name, want := range map[string]float64{report.LookupGrowth: 1.2, report.LookupAllocs: 1, report.ReqIDAllocs: 0} {
		if f, ok := b.report.Fact(report.Micro, name); !ok || f.Value != want {
			t.Errorf("%s: %+v, want %v", name, f, want)
		}
	}
	if _, ok := b.report.Fact(report.Micro, report.PendingAllocs); ok || len(b.report.Notes) != 1 {
		t.Errorf("what there is no benchmark of: %v", b.report.Notes)
	}
}
