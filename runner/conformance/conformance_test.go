package conformance

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func options(f *fake) Options {
	return Options{URL: "http://fake/sample/fake/", LogFile: f.logAt, Client: &http.Client{Transport: f}}
}

// run is a run against a fake, in a bubble: time is not spent.
func run(t *testing.T, set func(*fake), change func(*Options)) (report Report) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		if set != nil {
			set(f)
		}
		o := options(f)
		if change != nil {
			change(&o)
		}
		var err error
		if report, err = Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	})
	return report
}

// failed are the names of the checks that failed.
func failed(r Report) (names []string) {
	for _, result := range r.Results {
		if result.Outcome == Failed {
			names = append(names, result.Name)
		}
	}
	return names
}

func TestConformingPasses(t *testing.T) {
	var each []string
	report := run(t, nil, func(o *Options) { o.Each = func(r Result) { each = append(each, r.Name) } })
	for _, r := range report.Results {
		if r.Outcome != Passed {
			t.Errorf("%s: %s %q", r.Name, r.Outcome, r.Details)
		}
	}
	if !slices.Equal(each, Names()) || report.Count(Passed) != len(Names()) {
		t.Errorf("%d of %d checks passed, told of %v", report.Count(Passed), len(Names()), each)
	}
}

// Each mutation is found by the check that it is for, which names the request, and
// by no other.
func TestMutations(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.check+": "+m.what, func(t *testing.T) {
			t.Parallel()
			report := run(t, m.set, func(o *Options) { o.Skip = slow(m.check) })
			if names := failed(report); !slices.Equal(names, []string{m.check}) {
				t.Errorf("%q failed, want %s", names, m.check)
			}
			for _, r := range report.Results {
				if r.Outcome == Failed {
					for _, d := range r.Details {
						if !strings.Contains(d, " /") || !strings.Contains(d, "want ") {
							t.Errorf("%s says %q, which names no request and what it wants", r.Name, d)
						}
					}
				}
			}
		})
	}
}

// slow are the checks of big bodies, but for that one.
func slow(but string) []string {
	return slices.DeleteFunc([]string{"bodies/change-many", "bodies/echo-big"}, func(name string) bool { return name == but })
}

func TestEveryCheckCanFail(t *testing.T) {
	for _, name := range Names() {
		if !slices.ContainsFunc(mutations, func(m mutation) bool { return m.check == name }) {
			t.Errorf("no mutation is for %s", name)
		}
	}
	for _, m := range mutations {
		if !slices.Contains(Names(), m.check) {
			t.Errorf("there is no check %s", m.check)
		}
	}
	if names := slices.Clone(Names()); len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
		t.Error("a name is there twice")
	}
}

// What could not be checked has not passed, and says why.
func TestNotChecked(t *testing.T) {
	report := run(t, func(f *fake) { f.noDB = `property "db" is not given` }, func(o *Options) { o.LogFile = "" })
	for _, r := range report.Results {
		want, why := Passed, ""
		switch group, _, _ := strings.Cut(r.Name, "/"); group {
		case "logs":
			want, why = NotChecked, "--log"
		case "database":
			want, why = NotChecked, "property db"
		}
		if r.Outcome != want || !strings.Contains(fmt.Sprint(r.Details), why) {
			t.Errorf("%s: %s %q", r.Name, r.Outcome, r.Details)
		}
	}
	report = run(t, func(f *fake) { f.noDB = "not today" }, func(o *Options) { o.Only = []string{"database"} })
	if n := report.Count(Failed); n == 0 || n != len(report.Results) {
		t.Errorf("without a reason: %v", report.Results)
	}
}

func TestOnlyAndSkip(t *testing.T) {
	report := run(t, nil, func(o *Options) {
		o.Only, o.Skip = []string{"answers", "errors/error"}, []string{"answers/redirect"}
	})
	var names []string
	for _, r := range report.Results {
		names = append(names, r.Name)
	}
	if got, want := fmt.Sprint(names), "[answers/success answers/no-body answers/client-error answers/server-error answers/status-refused errors/error]"; got != want {
		t.Errorf("%s were checked, want %s", got, want)
	}
}

// What is asked for wrongly is an error, not a report.
func TestRunRefuses(t *testing.T) {
	for want, change := range map[string]func(*Options){
		`no check or group "nothing"`:    func(o *Options) { o.Only = []string{"nothing"} },
		`no check or group "bodies/":`:   func(o *Options) { o.Skip = []string{"bodies/"} },
		"no check is left":               func(o *Options) { o.Only, o.Skip = []string{"ids"}, []string{"ids"} },
		"is not the URL of a sample API": func(o *Options) { o.URL = "127.0.0.1:8080/sample" },
		"no such file":                   func(o *Options) { o.LogFile += "-not" },
		"nobody answers":                 func(o *Options) { o.Client, o.URL = nil, "http://127.0.0.1:1/sample" },
	} {
		o := options(newFake(t))
		change(&o)
		if report, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) || len(report.Results) > 0 {
			t.Errorf("got %v with %d results, want %s", err, len(report.Results), want)
		}
	}
}

// A run that is ended says so, and what it has found.
func TestRunIsEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := options(newFake(t))
	o.Each = func(Result) { cancel() }
	if report, err := Run(ctx, o); err == nil || len(report.Results) != 1 {
		t.Errorf("got %v with %d results", err, len(report.Results))
	}
}

func TestDifference(t *testing.T) {
	for _, tc := range []struct {
		want, got string
		same      bool
	}{
		{`{"a":1,"b":[true,null,"x"]}`, ` {"b":[true,null,"x"],"a":1}`, true},
		{`9223372036854775807`, `9223372036854775807`, true},
		{`9007199254740993`, `9007199254740992`, false},
		{`9007199254740993`, `9007199254740993.0`, false},
		{`42`, `42.0`, false}, // no integer, to who reads one
		{`42.0`, `42`, true},
		{`1e21`, `1000000000000000000000`, true},
		{`5e-324`, `4.9E-324`, true},
		{`0.1`, `0.10000000149011612`, false},
		{`1`, `"1"`, false},
		{`[]`, `null`, false},
		{`[1]`, `[1,1]`, false},
		{`{}`, `{"a":null}`, false},
		{`{"a":null}`, `{}`, false},
		{`"é"`, "\"e\u0301\"", false},
		{`"\u00e9"`, `"é"`, true},
		{`{"a":1}`, `[1]`, false},
		{`1`, `1 2`, false},
	} {
		a := &answer{status: 200, header: http.Header{"Content-Type": {"application/json"}}, body: []byte(tc.got)}
		if wrong := value(tc.want).wrong(a); (wrong == "") != tc.same {
			t.Errorf("%s and %s: %q", tc.want, tc.got, wrong)
		}
	}
}
