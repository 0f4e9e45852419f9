package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/funcatron/funcatron/gateway/auth"
	"github.com/funcatron/funcatron/gateway/route"
	"github.com/funcatron/funcatron/shared/statefile"
	"github.com/funcatron/funcatron/shared/swagger"
	"github.com/funcatron/funcatron/shared/wire"
)

// askAgain is how long documents that were asked for may take; askAtOnce is how many
// are asked for together, fewer than inbox has room for.
const (
	askAgain  = 2 * time.Second
	askAtOnce = 100
)

// deployment is a row of the table and what the gateway knows of it.
type deployment struct {
	item  *route.Item
	batch int // requests that one runner can start at once
	ops   []operation
	dead  atomic.Bool // no runner serves its queue, as far as is known
	used  atomic.Bool // since watch last looked

	deadSince time.Time // when watch first saw no consumer; watch's own
	missing   bool      // there is not even a queue, and looking costs the broker a channel; watch's own
}

// operation is one operation of a deployment, with its counts.
type operation struct {
	*route.Op
	guard  *auth.Guard // nil where everybody may come
	header []byte      // X-Funcatron-Operation
	series *series
	counts counts
}

// measure counts one answered request.
func (o *operation) measure(status int, took time.Duration) {
	o.series.count(status)
	o.series.total.Update(took.Seconds())
	o.counts.add(status, took)
}

// ran takes a round trip apart: the runner tells what it took by its own clock, and
// the rest was spent on the bus.
func (o *operation) ran(took, held, function time.Duration) {
	o.series.waited.Update(max(took-held, 0).Seconds())
	o.series.function.Update(function.Seconds())
}

// tableState is one route table with all that belongs to it. It never changes but
// for the counters and flags of its deployments.
type tableState struct {
	epoch       string // "" until a Tron has ever answered
	version     int64
	partial     bool // rows were left out, whose documents could not be used
	table       *route.Table
	deployments []*deployment // in the table's order: a match's Row is an index
}

// known is the version that the Tron is told: one that is not whole is asked for again.
func (s *tableState) known() int64 {
	if s.partial {
		return s.version - 1
	}
	return s.version
}

func (s *tableState) stats() []wire.OperationStats {
	var all []wire.OperationStats
	for _, d := range s.deployments {
		for i := range d.ops {
			op := &d.ops[i]
			if st, any := op.counts.report(d.item.Deployment, op.Method+" "+op.Path); any {
				all = append(all, st)
			}
		}
	}
	return all
}

// sender is what routes needs of the line to the Tron.
type sender interface{ Send(wire.Message) }

// routes keeps the route table: it takes the Tron's, asks for the documents it
// lacks, and swaps the new table in when all are there. The table and documents
// are on disk too, so that a gateway can start while the Tron is away.
//
// All but current belongs to run's goroutine.
type routes struct {
	current  atomic.Pointer[tableState]
	dir      string
	tron     sender
	measures *measures
	log      *slog.Logger
	inbox    chan wire.Message

	bundles map[string]*route.Bundle // by sha, those of the current and of the next table
	next    *wire.Routes             // waits for documents
	asked   map[string]bool          // shas of the documents that are on their way
	acks    []string                 // ids of the messages that brought next
	broken  map[string]string        // by sha: why its document cannot be used
}

func newRoutes(dir string, tron sender, m *measures, log *slog.Logger) *routes {
	r := &routes{
		dir: dir, tron: tron, measures: m, log: log, inbox: make(chan wire.Message, 256),
		bundles: make(map[string]*route.Bundle), broken: make(map[string]string),
	}
	empty, err := route.Build(nil)
	if err != nil {
		panic("BUG: the empty route table does not build: " + err.Error())
	}
	r.current.Store(&tableState{table: empty})
	r.load()
	return r
}

// handle takes a message of the Tron's. What finds no room is sent again: the Tron
// repeats what a heartbeat shows to be missing.
func (r *routes) handle(m wire.Message) {
	select {
	case r.inbox <- m:
	default:
		r.log.Warn("control message dropped: too many at once", "action", m.Action)
	}
}

// run applies the Tron's messages until ctx ends.
func (r *routes) run(ctx context.Context) error {
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			r.ask()
		case m := <-r.inbox:
			switch m.Action {
			case wire.Route:
				r.take(m.ID, m.Routes)
			case wire.Swagger:
				r.learn(m.Document)
			case wire.TronInfo:
				// Runners need the Tron's address, gateways only that it is there.
			default:
				r.log.Debug("control message not meant for a gateway", "action", m.Action)
			}
		}
	}
}

// take accepts a table that is newer than what is known.
func (r *routes) take(id string, t *wire.Routes) {
	cur := r.current.Load()
	if cur.epoch == t.Epoch && t.Version <= cur.known() {
		r.ack(id, nil)
		return
	}
	if r.next != nil && r.next.Epoch == t.Epoch && t.Version < r.next.Version {
		r.ack(id, nil) // late: a newer one is on its way in
		return
	}
	r.next, r.broken = t, make(map[string]string)
	r.acks = append(r.acks, id)
	r.finish()
}

// learn takes a document that was asked for.
func (r *routes) learn(d *wire.Document) {
	if r.next == nil || r.bundles[d.Sha] != nil {
		return
	}
	delete(r.asked, d.Sha)
	switch b, err := compile(d.Swagger); {
	case d.Error != "":
		r.broken[d.Sha] = d.Error
	case err != nil:
		r.broken[d.Sha] = err.Error()
	default:
		r.bundles[d.Sha] = b
		if err := statefile.Write(r.docFile(d.Sha), d.Swagger, 0o600); err != nil {
			r.log.Warn("document is not saved; a restart needs the Tron", "sha", d.Sha, "err", err)
		}
	}
	if len(r.asked) == 0 {
		r.finish()
	}
}

func compile(doc []byte) (*route.Bundle, error) {
	d, err := swagger.Parse(doc)
	if err != nil {
		return nil, fmt.Errorf("read Swagger document: %w", err)
	}
	return route.Compile(d)
}

// missing lists the documents that next needs and that neither memory nor disk has.
func (r *routes) missing() []string {
	var shas []string
	for _, item := range r.next.Routes {
		if r.bundles[item.Sha] != nil || r.broken[item.Sha] != "" {
			continue
		}
		if doc, err := os.ReadFile(r.docFile(item.Sha)); err == nil {
			if b, err := compile(doc); err == nil {
				r.bundles[item.Sha] = b
				continue
			}
		}
		shas = append(shas, item.Sha)
	}
	return shas
}

func (r *routes) ask() {
	if r.next != nil {
		r.finish()
	}
}

// finish swaps next in if nothing is missing any more, else asks for what is.
func (r *routes) finish() {
	if shas := r.missing(); len(shas) > 0 {
		shas = shas[:min(len(shas), askAtOnce)]
		r.asked = make(map[string]bool, len(shas))
		for _, sha := range shas {
			r.asked[sha] = true
		}
		r.tron.Send(wire.Message{Action: wire.Want, Wants: &wire.Wants{Documents: shas}})
		return
	}
	t := r.next
	var errs []error
	usable := t.Routes[:0:0]
	for _, item := range t.Routes {
		if why := r.broken[item.Sha]; why != "" {
			errs = append(errs, fmt.Errorf("route %s%s: %s", item.Host, item.BasePath, why))
			continue
		}
		usable = append(usable, item)
	}
	t = &wire.Routes{Epoch: t.Epoch, Version: t.Version, Routes: usable}
	if err := r.swap(t, len(errs) > 0); err != nil {
		errs = append(errs, err)
	} else {
		r.save(t)
		r.log.Info("route table", "version", t.Version, "routes", len(usable))
	}
	r.next = nil
	err := errors.Join(errs...)
	if err != nil {
		r.log.Error("route table is not whole", "version", t.Version, "err", err)
	}
	for _, id := range r.acks {
		r.ack(id, err)
	}
	r.acks = nil
}

func (r *routes) ack(id string, err error) {
	a := &wire.Ack{Re: id, OK: err == nil}
	if err != nil {
		a.Error = err.Error()
	}
	r.tron.Send(wire.Message{Action: wire.AckAction, Ack: a})
}

// swap builds the table and makes it the current one.
func (r *routes) swap(t *wire.Routes, partial bool) error {
	old := r.current.Load()
	known := make(map[string]*deployment, len(old.deployments))
	for _, d := range old.deployments {
		known[d.item.Deployment] = d
	}
	next := &tableState{epoch: t.Epoch, version: t.Version, partial: partial}
	items := make([]*route.Item, 0, len(t.Routes))
	for _, row := range t.Routes {
		if d := known[row.Deployment]; d != nil && d.item.RouteItem.Equal(row) {
			items = append(items, d.item)
			continue
		}
		items = append(items, &route.Item{RouteItem: row, Bundle: r.bundles[row.Sha]})
	}
	var err error
	if next.table, err = route.Build(items); err != nil {
		return fmt.Errorf("build route table v%d: %w", t.Version, err)
	}
	inUse, stays := make(map[string]bool), make(map[*deployment]bool)
	for item := range next.table.Items() {
		d := known[item.Deployment]
		if d == nil || d.item != item {
			d = r.deploy(item)
		}
		inUse[item.Sha], stays[d] = true, true
		next.deployments = append(next.deployments, d)
	}
	r.current.Store(next)
	for _, d := range old.deployments {
		if !stays[d] {
			for i := range d.ops {
				r.measures.drop(d.ops[i].series)
			}
		}
	}
	for sha := range r.bundles {
		if !inUse[sha] {
			delete(r.bundles, sha)
		}
	}
	return nil
}

func (r *routes) deploy(item *route.Item) *deployment {
	doc := item.Bundle.Document()
	ops, guards := item.Bundle.Ops(), r.guards(item)
	d := &deployment{item: item, batch: doc.Runtime.Concurrency * doc.Runtime.Instances, ops: make([]operation, len(ops))}
	for i, op := range ops {
		o := &d.ops[i]
		o.Op, o.guard = op, guards[i]
		o.header = []byte(op.ID)
		o.series = r.measures.take(seriesKey{item.Host + item.BasePath, op.ID, op.Method})
	}
	return d
}

func (r *routes) tableFile() string { return filepath.Join(r.dir, "routes.json") }
func (r *routes) docFile(sha string) string {
	return filepath.Join(r.dir, "docs", shaName(sha)+".json")
}

// shaName keeps a name that came over the bus from being a path.
func shaName(sha string) string {
	if len(sha) == 64 && strings.Trim(sha, "0123456789abcdef") == "" {
		return sha
	}
	return "invalid"
}

// save writes the table, then drops the documents that no table needs.
func (r *routes) save(t *wire.Routes) {
	data, err := json.Marshal(t)
	if err == nil {
		err = statefile.Write(r.tableFile(), data, 0o600)
	}
	if err != nil {
		r.log.Warn("route table is not saved; a restart needs the Tron", "err", err)
		return
	}
	needed := make(map[string]bool, len(t.Routes))
	for _, item := range t.Routes {
		needed[filepath.Base(r.docFile(item.Sha))] = true
	}
	entries, err := os.ReadDir(filepath.Join(r.dir, "docs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.log.Warn("saved documents are not listed", "err", err)
	}
	for _, e := range entries {
		if !needed[e.Name()] {
			if err := os.Remove(filepath.Join(r.dir, "docs", e.Name())); err != nil {
				r.log.Warn("document that is no longer needed stays", "err", err)
			}
		}
	}
}

// load takes up the saved table. One that cannot be used is said and left: the
// Tron has it.
func (r *routes) load() {
	if err := os.MkdirAll(filepath.Join(r.dir, "docs"), 0o700); err != nil {
		r.log.Warn("state folder cannot be made", "err", err)
	}
	data, err := os.ReadFile(r.tableFile())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var t wire.Routes
	if err == nil {
		err = json.Unmarshal(data, &t)
	}
	if err == nil {
		r.next = &t
		if shas := r.missing(); len(shas) > 0 {
			err = fmt.Errorf("%d of its documents are missing", len(shas))
		} else {
			err = r.swap(&t, false)
		}
		r.next = nil
	}
	if err != nil {
		r.log.Warn("saved route table is not used", "file", r.tableFile(), "err", err)
		return
	}
	r.log.Info("saved route table", "version", t.Version, "routes", len(t.Routes))
}
