// Package conformance asks a sample API for everything that a function in any
// language must be able to do, through a gateway, as clients do.
//
// It knows no bundle and no language: what is asked and what must come is in the
// tables of checks, a file a group, and the API in funcatron.yaml. A check that
// cannot be made is never taken for one that passed.
package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Options say what Run checks.
type Options struct {
	// URL is where a gateway serves the sample API, its basePath at the end.
	URL string
	// LogFile is a file that the Runner's log is written to, in the format text;
	// where it is "" the group logs is not checked.
	LogFile string
	// Only and Skip are names of checks ("bodies/echo-binary") or of groups
	// ("bodies"). An empty Only is all.
	Only, Skip []string
	// Client makes the requests; nil is a client of Run's own. Redirects are not
	// followed, whatever it says.
	Client *http.Client
	// Each is called with each result once it is there; nil is nobody.
	Each func(Result)
}

// Outcome is what became of a check.
type Outcome int

// The zero Outcome is none.
const (
	Passed Outcome = iota + 1
	Failed
	NotChecked
)

// String is the outcome as the command prints it.
func (o Outcome) String() string {
	switch o {
	case Passed:
		return "ok"
	case Failed:
		return "FAILED"
	case NotChecked:
		return "not checked"
	}
	return "none"
}

// Result is what became of one check.
type Result struct {
	Name    string // group/name
	Outcome Outcome
	// Details are, of a check that failed, what was asked, what was expected and
	// what came, a text for each; of one that was not made the reason.
	Details []string
	Took    time.Duration
}

// Report has one result for each check that was wanted, in the order of Names.
type Report struct{ Results []Result }

// Count is how many results have that outcome.
func (r Report) Count(o Outcome) (n int) {
	for _, result := range r.Results {
		if result.Outcome == o {
			n++
		}
	}
	return n
}

// check is one thing that is asked for. Its function says what is wrong to the
// probe.
type check struct {
	name string // group/name
	run  func(*probe)
}

// checks are all, in the order in which they are made.
var checks = slices.Concat(announcement, parameters, bodies, answers, failures, ids, deadlines, logs, database)

// Names are the names of all checks.
func Names() []string {
	names := make([]string, len(checks))
	for i, c := range checks {
		names[i] = c.name
	}
	return names
}

// maxCheck is how long one check may take; a few seconds is usual.
const maxCheck = 2 * time.Minute

// Run makes the checks, one after the other, until ctx ends. What fails is in
// the report; the error says why there is none, or not a whole one.
func Run(ctx context.Context, o Options) (Report, error) {
	wanted, err := o.wanted()
	if err != nil {
		return Report{}, err
	}
	s, err := newSuite(o)
	if err != nil {
		return Report{}, err
	}
	defer s.client.CloseIdleConnections()
	if err := s.reach(ctx); err != nil {
		return Report{}, err
	}
	var report Report
	for _, c := range wanted {
		result := s.make(ctx, c)
		if err := ctx.Err(); err != nil {
			return report, fmt.Errorf("check %s: %w", c.name, err)
		}
		report.Results = append(report.Results, result)
		if o.Each != nil {
			o.Each(result)
		}
	}
	return report, nil
}

// wanted are the checks that Only and Skip leave.
func (o Options) wanted() ([]check, error) {
	for _, name := range slices.Concat(o.Only, o.Skip) {
		if !slices.ContainsFunc(checks, func(c check) bool { return c.is(name) }) {
			return nil, fmt.Errorf("there is no check or group %q: the checks are %s", name, strings.Join(Names(), ", "))
		}
	}
	var wanted []check
	for _, c := range checks {
		if (len(o.Only) == 0 || slices.ContainsFunc(o.Only, c.is)) && !slices.ContainsFunc(o.Skip, c.is) {
			wanted = append(wanted, c)
		}
	}
	if len(wanted) == 0 {
		return nil, errors.New("no check is left to be made")
	}
	return wanted, nil
}

// is tells whether name is the check's, or its group's.
func (c check) is(name string) bool {
	group, _, _ := strings.Cut(c.name, "/")
	return name == c.name || name == group
}

// suite is what the checks of one run share.
type suite struct {
	base   string // URL without a slash at the end
	path   string // of base
	client *http.Client
	mark   string // in every name and text of this run, and of no other
	log    *logFile
}

func newSuite(o Options) (*suite, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" {
		return nil, fmt.Errorf("%q is not the URL of a sample API, such as http://127.0.0.1:8080/sample/go", o.URL)
	}
	s := &suite{base: strings.TrimSuffix(o.URL, "/"), path: strings.TrimSuffix(u.Path, "/"), mark: strings.ToLower(rand.Text()[:10])}
	own := http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: sleepers}}
	if o.Client != nil {
		own = *o.Client
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.client = &own
	if o.LogFile != "" {
		if s.log, err = newLogFile(o.LogFile); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// reach sees to it that somebody answers at all: else every check would fail, and
// none say why.
func (s *suite) reach(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/simple", nil)
	if err != nil {
		return err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("nobody answers: %w", err)
	}
	return res.Body.Close()
}

func (s *suite) make(ctx context.Context, c check) Result {
	ctx, cancel := context.WithTimeout(ctx, maxCheck)
	defer cancel()
	p := &probe{suite: s, ctx: ctx}
	start := time.Now()
	c.run(p)
	r := Result{Name: c.name, Outcome: Passed, Took: time.Since(start)}
	switch {
	case len(p.faults) > 0:
		r.Outcome, r.Details = Failed, p.faults
	case p.reason != "":
		r.Outcome, r.Details = NotChecked, []string{p.reason}
	case p.asked.Load() == 0:
		panic("BUG: check " + c.name + " asks for nothing")
	}
	return r
}
