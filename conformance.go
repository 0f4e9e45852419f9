package main

import (
	"context"
	"fmt"
	"time"

	"github.com/funcatron/funcatron/runner/conformance"
)

type conformanceCmd struct {
	URL        string   `arg:"" help:"Where a gateway serves the sample API, with its basePath: http://127.0.0.1:8080/sample/go."`
	Log        string   `help:"File that the Runner's log is written to, in the format text; without it what is in the log is not checked." type:"path"`
	Only       []string `help:"Checks to make, or groups of them (default: all)." placeholder:"NAME"`
	Skip       []string `help:"Checks not to make, or groups of them." placeholder:"NAME"`
	RequireAll bool     `help:"Exit with 1 also where something could not be checked."`
}

// Run prints a line a check, and what was wrong below it.
func (c *conformanceCmd) Run(ctx context.Context, s *streams) error {
	report, err := conformance.Run(ctx, conformance.Options{
		URL: c.URL, LogFile: c.Log, Only: c.Only, Skip: c.Skip,
		Each: func(r conformance.Result) {
			fmt.Fprintf(s.out, "%-11s %s (%v)\n", r.Outcome, r.Name, r.Took.Round(time.Millisecond))
			for _, d := range r.Details {
				fmt.Fprintf(s.out, "            %s\n", d)
			}
		},
	})
	if err != nil {
		return err
	}
	passed, failed, not := report.Count(conformance.Passed), report.Count(conformance.Failed), report.Count(conformance.NotChecked)
	fmt.Fprintf(s.out, "%d ok, %d failed, %d not checked\n", passed, failed, not)
	switch {
	case failed > 0:
		return fmt.Errorf("%d of %d checks failed", failed, len(report.Results))
	case c.RequireAll && not > 0:
		return fmt.Errorf("%d of %d checks could not be made", not, len(report.Results))
	}
	return nil
}
