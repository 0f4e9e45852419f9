package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/funcatron/funcatron/bench/report"
	"github.com/funcatron/funcatron/shared/swagger"
	"github.com/funcatron/funcatron/shared/wire"
)

// routes measures route tables of many sizes: how long a gateway takes to make one
// its own, what it weighs, what a look-up costs, and what a swap does to others.
func (b *Bench) routes(ctx context.Context) error {
	if b.report.Machine.RabbitMQ == "" {
		b.note("routes needs RabbitMQ")
		return nil
	}
	doc := document("/bench", concurrency)
	zip, err := bundle(doc)
	if err != nil {
		return err
	}
	s := b.newSystem("routes")
	s.onRabbit = true
	main := wire.Deployment{ID: "bench", Sha: sha(zip), BasePath: "/bench", Queue: "bench_" + wire.NewID()}
	tron, err := newStandIn(b.log, b.opts.RabbitURL, s.queue, main, zip)
	if err != nil {
		return err
	}
	defer func() {
		s.stop()
		tron.close()
		if err := deleteQueue(b.opts.RabbitURL, main.Queue); err != nil {
			b.log.Warn("a queue stays; it expires by itself", "err", err)
		}
	}()
	if err := s.grow(ctx, 0, 1); err != nil {
		return err
	}
	tables, err := b.tables(wire.RouteItem{Deployment: main.ID, Sha: main.Sha, BasePath: "/bench", Queue: main.Queue}, doc)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if err := b.table(ctx, s, tron, t); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return b.swaps(ctx, s, tron, tables)
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// routeTable is a table with its documents, and requests that find their way in it.
type routeTable struct {
	name      string
	rows      []wire.RouteItem
	documents map[string]json.RawMessage
	requests  [][]byte
}

// add adds a bundle whose requests the one real deployment answers.
func (t *routeTable) add(basePath string, doc []byte) {
	main := t.rows[0]
	row := wire.RouteItem{Deployment: "d" + basePath, Sha: sha(doc), BasePath: basePath, Queue: main.Queue}
	t.rows = append(t.rows, row)
	t.documents[row.Sha] = doc
}

// tables are those that are measured. Each has the real bundle first.
func (b *Bench) tables(main wire.RouteItem, doc []byte) ([]*routeTable, error) {
	newTable := func(name string) *routeTable {
		return &routeTable{name: name, rows: []wire.RouteItem{main}, documents: map[string]json.RawMessage{main.Sha: doc}}
	}
	var tables []*routeTable
	for _, size := range []struct{ bundles, operations int }{{1, 10}, {100, 10}, {1000, 10}, {1, 10_000}} {
		if b.opts.Quick && size.bundles > 100 {
			continue
		}
		t := newTable(fmt.Sprintf("%s of %s", plural(size.bundles, "bundle"), plural(size.operations, "operation")))
		for i := range size.bundles {
			path := fmt.Sprintf("/service%d", i)
			t.add(path, manyOperations(path, size.operations))
		}
		for i := range min(64*size.bundles, 256) {
			resource := (i * 31) % (size.operations - 1)
			t.requests = append(t.requests, request("GET", fmt.Sprintf("/service%d/group%d/resource%d/%d",
				(i*37)%size.bundles, resource%20, resource, i), "127.0.0.1", nil, "Accept: application/json"))
		}
		tables = append(tables, t)
	}
	if b.opts.Corpus != "" {
		t := newTable("real documents (--corpus)")
		if err := t.addCorpus(b.opts.Corpus); err != nil {
			return nil, err
		}
		t.requests = [][]byte{requests[report.Get]}
		tables = append(tables, t)
	}
	return tables, nil
}

// addCorpus adds the Swagger documents of a folder, those that can be served.
func (t *routeTable) addCorpus(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("--corpus: %w", err)
	}
	operations := 0
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return fmt.Errorf("--corpus: %w", err)
		}
		var doc map[string]any
		if err := yaml.Unmarshal(text, &doc); err != nil { // JSON is YAML
			continue
		}
		path := fmt.Sprintf("/corpus%d", len(t.rows))
		doc["basePath"] = path
		delete(doc, "host")
		asJSON, err := json.Marshal(doc)
		if err != nil {
			continue
		}
		parsed, err := swagger.Parse(asJSON)
		if err != nil {
			continue
		}
		operations += len(parsed.Operations)
		t.add(path, asJSON)
	}
	if operations == 0 {
		return fmt.Errorf("--corpus: %s holds no Swagger 2.0 document", dir)
	}
	t.name = fmt.Sprintf("%s of %s", plural(len(t.rows)-1, "real document"), plural(operations, "operation"))
	return nil
}

// table measures one table.
func (b *Bench) table(ctx context.Context, s *system, tron *standIn, t *routeTable) error {
	if err := s.renew(ctx); err != nil {
		return err
	}
	tron.expect(s.gateways[0].proc.pid)
	cold, err := tron.set(ctx, t.rows, t.documents)
	if err != nil {
		return err
	}
	b.fact(report.Routes, t.name+": first time", cold.Seconds()*1e3, "ms", "from the Tron's message to the gateway's: documents fetched and compiled, table built and swapped")
	var swaps []float64
	rows := slices.Clone(t.rows)
	for i := range 5 {
		change(rows, i)
		took, err := tron.set(ctx, rows, nil)
		if err != nil {
			return err
		}
		swaps = append(swaps, took.Seconds()*1e3)
	}
	b.fact(report.Routes, t.name+": one bundle changed", report.Median(swaps), "ms", "the same, with all documents there")
	if err := serves(ctx, s.gateways[0].url+"/bench/hello", glance); err != nil {
		return err
	}
	rss, err := resident(s.gateways[0].proc.pid)
	if err != nil {
		return err
	}
	heap, err := scrape(ctx, s.gateways[0].admin, "go_memstats_heap_inuse_bytes")
	if err != nil {
		return err
	}
	b.fact(report.Routes, t.name+": memory of the gateway", float64(rss)/(1<<20), "MiB", fmt.Sprintf("resident; %.1f MiB of heap in use", heap/(1<<20)))
	m, err := s.meter(false)
	if err != nil {
		return err
	}
	return b.rounds(ctx, []cell{b.closed(report.Key{Scenario: report.Routes, Subject: t.name, Shape: report.Get, Connections: 64}, m, s.target(0, t.requests...))})
}

// plural is "1 bundle", "2 bundles".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// change puts another deployment into a row, as enabling a new bundle does. The
// first row, the real one, stays.
func change(rows []wire.RouteItem, i int) {
	row := &rows[1+i%(len(rows)-1)]
	row.Deployment = "d" + wire.NewID()
}

// swaps measures latency at half of the capacity while the largest table is
// swapped every second, and while it is not.
func (b *Bench) swaps(ctx context.Context, s *system, tron *standIn, tables []*routeTable) error {
	t := slices.MaxFunc(tables, func(x, y *routeTable) int { return len(x.rows) - len(y.rows) })
	if err := s.renew(ctx); err != nil {
		return err
	}
	tron.expect(s.gateways[0].proc.pid)
	if _, err := tron.set(ctx, t.rows, t.documents); err != nil {
		return err
	}
	m, err := s.meter(false)
	if err != nil {
		return err
	}
	capacity := b.report.Row(report.Key{Scenario: report.Routes, Subject: t.name, Shape: report.Get, Connections: 64}).
		Median(func(s *report.Sample) float64 { return s.Rate })
	if capacity == 0 {
		return errors.New("nothing was answered")
	}
	key := report.Key{Scenario: report.Routes, Shape: report.Get, Connections: report.OpenConnections}
	key.Subject = report.StillSubject
	still := b.open(key, 0.5, capacity, m, s.target(0, t.requests...))
	key.Subject = report.SwappedSubject
	load := b.open(key, 0.5, capacity, m, s.target(0, t.requests...))
	var took []float64
	swapped := cell{load.key, func(ctx context.Context, round int) (*report.Sample, error) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		swapping := make(chan error, 1)
		over := make(chan struct{})
		go func() {
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			rows := slices.Clone(t.rows)
			for i := 0; ; i++ {
				change(rows, i)
				d, err := tron.set(ctx, rows, nil)
				if err != nil {
					swapping <- err
					cancel(err)
					return
				}
				took = append(took, d.Seconds()*1e3)
				select {
				case <-tick.C:
				case <-over:
					swapping <- nil
					return
				}
			}
		}()
		sample, err := load.run(ctx, round)
		close(over)
		return sample, errors.Join(err, <-swapping)
	}}
	if err := b.rounds(ctx, []cell{{still.key, still.run}, swapped}); err != nil {
		return err
	}
	b.fact(report.Routes, "swap under load", report.Median(took), "ms", fmt.Sprintf("%d routes, %d documents, median of %d", len(t.rows), len(slices.Collect(maps.Keys(t.documents))), len(took)))
	return nil
}
