package report

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/go-echarts/go-echarts/v2/charts"
	"github.com/go-echarts/go-echarts/v2/components"
	"github.com/go-echarts/go-echarts/v2/opts"
)

// WritePlot writes an HTML page: for each scenario what was reached, and latency
// curves. The page fetches its drawing library, Apache ECharts, when it is opened.
func (r *Report) WritePlot(w io.Writer) error {
	page := components.NewPage().SetPageTitle("funcatron bench, " + r.Began.UTC().Format("2006-01-02 15:04 UTC"))
	for _, g := range r.plots() {
		page.AddCharts(g.bars(r.subtitle()), g.curves())
	}
	if err := page.Render(w); err != nil {
		return fmt.Errorf("write plot: %w", err)
	}
	return nil
}

func (r *Report) subtitle() string {
	m := r.Machine
	return fmt.Sprintf("%s, %d cores, Linux %s, %s, %s", m.CPU, m.Cores, m.Kernel, m.Go, m.Revision)
}

// plot is the rows that are drawn together: those of one scenario and shape, closed
// and open loops apart.
type plot struct {
	title string
	rows  []*Row
}

func (r *Report) plots() []*plot {
	var all []*plot
	byTitle := make(map[string]*plot)
	for _, row := range r.Rows {
		title := row.Scenario + ": " + row.Shape
		if row.Load > 0 {
			title += ", open loop"
		}
		p := byTitle[title]
		if p == nil {
			p = &plot{title: title}
			byTitle[title], all = p, append(all, p)
		}
		p.rows = append(p.rows, row)
	}
	return all
}

func (r *Row) label() string {
	parts := []string{r.Subject, fmt.Sprint(r.Connections)}
	if r.Load > 0 {
		parts[1] = fmt.Sprintf("%.0f%%", 100*r.Load)
	}
	return strings.Join(parts, ", ")
}

func (p *plot) bars(subtitle string) components.Charter {
	bar := charts.NewBar()
	bar.SetGlobalOptions(
		charts.WithTitleOpts(opts.Title{Title: p.title + ": requests/s", Subtitle: subtitle}),
		charts.WithInitializationOpts(opts.Initialization{Width: "1100px"}),
		charts.WithTooltipOpts(opts.Tooltip{Show: opts.Bool(true)}),
		charts.WithLegendOpts(opts.Legend{Show: opts.Bool(false)}),
		charts.WithGridOpts(opts.Grid{Left: "240px", Top: "70px"}),
	)
	var labels []string
	var values []opts.BarData
	for _, row := range p.rows {
		labels = append(labels, row.label())
		values = append(values, opts.BarData{Value: math.Round(row.Median((*Sample).rate))})
	}
	bar.SetXAxis(labels).AddSeries("requests/s", values).XYReversal()
	return bar
}

// curves draws latency by percentile. The axis is the number of nines, so that the
// tail has as much room as the rest: 0 is the fastest, 1 is 90%, 2 is 99%.
func (p *plot) curves() components.Charter {
	line := charts.NewLine()
	line.SetGlobalOptions(
		charts.WithTitleOpts(opts.Title{Title: p.title + ": latency", Subtitle: "by percentile, in nines: 1 is 90%, 2 is 99%, 3 is 99.9%"}),
		charts.WithInitializationOpts(opts.Initialization{Width: "1100px", Height: "560px"}),
		charts.WithTooltipOpts(opts.Tooltip{Show: opts.Bool(true), Trigger: "axis"}),
		charts.WithLegendOpts(opts.Legend{Show: opts.Bool(true), Top: "bottom", Type: "scroll"}),
		charts.WithGridOpts(opts.Grid{Top: "70px", Bottom: "90px"}),
		charts.WithXAxisOpts(opts.XAxis{Type: "value", Name: "nines", Min: 0, Max: 4}),
		charts.WithYAxisOpts(opts.YAxis{Type: "log", Name: "ms"}),
	)
	for _, row := range p.rows {
		var points []opts.LineData
		for _, pt := range row.Middle().Curve {
			if pt.Percentile < 100 && pt.Ms > 0 {
				points = append(points, opts.LineData{Value: []float64{nines(pt.Percentile), pt.Ms}, Name: fmt.Sprintf("%g%%", pt.Percentile)})
			}
		}
		line.AddSeries(row.label(), points, charts.WithLineChartOpts(opts.LineChart{ShowSymbol: opts.Bool(false)}))
	}
	return line
}

// nines is how many nines a percentile has: 90 one, 99 two.
func nines(percentile float64) float64 {
	return math.Round(-math.Log10(1-percentile/100)*1000) / 1000
}
