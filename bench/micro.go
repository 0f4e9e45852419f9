package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/funcatron/funcatron/bench/report"
)

// Packages whose Go benchmarks are the steps of a request.
var microPackages = []string{"./gateway/route", "./gateway/bind", "./shared/envelope", "./shared/reqid", "./dispatch"}

// micro runs the Go benchmarks beside the code, where the source is there.
func (b *Bench) micro(ctx context.Context) error {
	mod, err := os.ReadFile(filepath.Join(b.opts.Source, "go.mod"))
	if err != nil || !bytes.Contains(mod, []byte("module github.com/funcatron/funcatron\n")) {
		b.note("micro needs Funcatron's source: run it there, or name the folder with --source")
		return nil
	}
	if _, err := exec.LookPath("go"); err != nil {
		b.note("micro needs Go: %v", err)
		return nil
	}
	args := []string{"test", "-run", "^$", "-bench", ".", "-benchmem", "-p", "1",
		"-benchtime", max(b.opts.Time/10, 10e6).String(), "-count", strconv.Itoa(b.opts.Rounds)}
	cmd := exec.CommandContext(ctx, "go", append(args, microPackages...)...)
	cmd.Dir = b.opts.Source
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go test -bench: %w: %.500s%.500s", err, errs.Bytes(), out.Bytes())
	}
	results, err := parseBenchmarks(out.Bytes())
	if err != nil {
		return err
	}
	for _, r := range results {
		b.fact(report.Micro, r.name, r.ns, "ns", fmt.Sprintf("%s B, %s allocations", trim(r.bytes), trim(r.allocs)))
	}
	b.judgeMicro(results)
	return nil
}

func trim(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// judgeMicro notes what floors are about.
func (b *Bench) judgeMicro(results []benchmark) {
	find := func(name string) *benchmark {
		for i := range results {
			if results[i].name == name {
				return &results[i]
			}
		}
		b.note("micro found no benchmark %s", name)
		return nil
	}
	few, many := find("route.Lookup/10-operations/1-bundles"), find("route.Lookup/10000-operations/1-bundles")
	if few != nil && many != nil && few.ns > 0 {
		b.fact(report.Micro, report.LookupGrowth, many.ns/few.ns, "times", "")
		b.fact(report.Micro, report.LookupAllocs, max(few.allocs, many.allocs), "", "")
	}
	for name, fact := range map[string]string{"reqid.New": report.ReqIDAllocs, "dispatch.Pending": report.PendingAllocs} {
		if r := find(name); r != nil {
			b.fact(report.Micro, fact, r.allocs, "", "")
		}
	}
}

// benchmark is the median of what go test says of one.
type benchmark struct {
	name              string // the package's last element, a dot, and the benchmark's
	ns, bytes, allocs float64
}

// parseBenchmarks reads go test's output (the format of golang.org/design/14313).
func parseBenchmarks(out []byte) ([]benchmark, error) {
	type figures struct{ ns, bytes, allocs []float64 }
	found := make(map[string]*figures)
	var order []string
	pkg := ""
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		if p, ok := strings.CutPrefix(lines.Text(), "pkg: "); ok {
			pkg = p[strings.LastIndexByte(p, '/')+1:]
			continue
		}
		f := strings.Fields(lines.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		if _, err := strconv.Atoi(f[1]); err != nil {
			continue
		}
		name := pkg + "." + strings.TrimPrefix(f[0], "Benchmark")
		if i := strings.LastIndexByte(name, '-'); i >= 0 {
			if _, err := strconv.Atoi(name[i+1:]); err == nil { // GOMAXPROCS
				name = name[:i]
			}
		}
		fig := found[name]
		if fig == nil {
			fig = &figures{}
			found[name], order = fig, append(order, name)
		}
		for i := 2; i+1 < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				return nil, fmt.Errorf("read benchmark %s: %w", name, err)
			}
			switch f[i+1] {
			case "ns/op":
				fig.ns = append(fig.ns, v)
			case "B/op":
				fig.bytes = append(fig.bytes, v)
			case "allocs/op":
				fig.allocs = append(fig.allocs, v)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read benchmarks: %w", err)
	}
	if len(order) == 0 {
		return nil, errors.New("go test ran no benchmark")
	}
	var all []benchmark
	for _, name := range order {
		f := found[name]
		all = append(all, benchmark{name, report.Median(f.ns), report.Median(f.bytes), report.Median(f.allocs)})
	}
	return all, nil
}
