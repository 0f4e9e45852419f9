package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	var b strings.Builder
	r.writeMachine(&b)
	for _, scenario := range r.scenarios() {
		fmt.Fprintf(&b, "\n%s\n", scenario)
		r.writeRows(&b, scenario)
		r.writeFacts(&b, scenario)
	}
	if len(r.Checks) > 0 {
		fmt.Fprint(&b, "\nfloors\n")
		r.writeChecks(&b)
	}
	fmt.Fprintf(&b, "\n%s\n", r.Validity())
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "\nnote: %s", n)
	}
	if len(r.Notes) > 0 {
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) writeMachine(b *strings.Builder) {
	m := r.Machine
	fmt.Fprintf(b, "%s, %d cores, %.0f GiB; Linux %s; %s; ", m.CPU, m.Cores, float64(m.Memory)/(1<<30), m.Kernel, m.Go)
	if m.RabbitMQ != "" {
		fmt.Fprintf(b, "RabbitMQ %s; ", m.RabbitMQ)
	}
	fmt.Fprintf(b, "funcatron %s; load average %s at %s; took %.0f s\n", m.Revision, m.Load, r.Began.UTC().Format("2006-01-02 15:04 UTC"), float64(r.Took))
}

// scenarios in the order that they were measured in.
func (r *Report) scenarios() []string {
	var all []string
	add := func(s string) {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	for _, row := range r.Rows {
		add(row.Scenario)
	}
	for _, f := range r.Facts {
		add(f.Scenario)
	}
	return all
}

func table(b *strings.Builder) *tabwriter.Writer {
	return tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func (r *Report) writeRows(b *strings.Builder, scenario string) {
	var rows []*Row
	for _, row := range r.Rows {
		if row.Scenario == scenario {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return
	}
	t := table(b)
	fmt.Fprintln(t, "of\twhat\tconns\tload\trequests/s\tp50 ms\tp99 ms\tp99.9 ms\tmax ms\terrors\tgenerator\t  cores used")
	for _, row := range rows {
		load := "closed"
		if row.Load > 0 {
			load = fmt.Sprintf("%.0f%%", 100*row.Load)
		}
		errors := row.Median(func(s *Sample) float64 { return float64(s.Errors + s.Unanswered) })
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%.0f\t%.0f%%\t  %s\n",
			row.Subject, row.Shape, row.Connections, load,
			figure(row.Median((*Sample).rate)), figure(row.Median((*Sample).p50)), figure(row.Median((*Sample).p99)),
			figure(row.Median(func(s *Sample) float64 { return s.P999 })), figure(row.Median(func(s *Sample) float64 { return s.Max })),
			errors, 100*row.Median(func(s *Sample) float64 { return s.Generator }), strings.Join(row.remarks(), "; "))
	}
	_ = t.Flush() // into a strings.Builder
}

// cores says who used how many, the largest first.
func (r *Row) cores() string {
	used := make(map[string]float64)
	for _, s := range r.Samples {
		for name := range s.Cores {
			used[name] = r.Median(func(s *Sample) float64 { return s.Cores[name] })
		}
	}
	names := slices.SortedFunc(maps.Keys(used), func(a, b string) int {
		if used[a] != used[b] && used[a] > used[b] {
			return -1
		} else if used[a] < used[b] {
			return 1
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, name := range names {
		if used[name] >= 0.005 {
			parts = append(parts, fmt.Sprintf("%s %.2f", name, used[name]))
		}
	}
	return strings.Join(parts, " ")
}

// remarks are what a row has to say beyond its columns.
func (r *Row) remarks() []string {
	parts := []string{r.cores()}
	if v := r.Median((*Sample).allocs); v > 0 {
		parts = append(parts, fmt.Sprintf("%.1f allocations", v))
	}
	if v := r.Median(func(s *Sample) float64 { return s.Even }); v > 0 {
		parts = append(parts, fmt.Sprintf("even %.2f", v))
	}
	if why := r.Invalid(); why != "" {
		parts = append(parts, "INVALID: "+why)
	}
	return parts
}

func (r *Report) writeFacts(b *strings.Builder, scenario string) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, f := range r.Facts {
		if f.Scenario == scenario {
			fmt.Fprintf(t, "  %s\t%s %s\t%s\n", f.Name, figure(f.Value), f.Unit, f.Note)
		}
	}
	_ = t.Flush()
}

func (r *Report) writeChecks(b *strings.Builder) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	unmeasured := 0
	for _, c := range r.Checks {
		reached := "-"
		switch c.Verdict {
		case Pass, Fail:
			reached = figure(c.Reached)
		case Unmeasured:
			unmeasured++
			continue
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", c.What, c.Floor, reached, c.Verdict, c.Why)
	}
	_ = t.Flush()
	if unmeasured > 0 {
		fmt.Fprintf(b, "  %d of %d floors were not measured\n", unmeasured, len(r.Checks))
	}
}

// figure writes v to three figures that count, large ones with a comma.
func figure(v float64) string {
	switch abs := max(v, -v); {
	case abs >= 1000:
		return thousands(int64(math.Round(v)))
	case abs >= 100:
		return fmt.Sprintf("%.0f", v)
	case abs >= 10:
		return fmt.Sprintf("%.1f", v)
	case v == 0:
		return "0"
	case abs >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
