// Package bench measures Funcatron, and what it could reach at most, on the
// machine that it runs on.
//
// It starts what it measures, as the processes an operator would start, talks to
// them as a client does, and imports none of them. Each thing is measured in
// several rounds, every round measures everything, and what is compared runs next
// to each other in it; so what else the machine does hits both. A figure comes
// with the processor time of every process that had a part in it, and one that
// says more about the generator than about what it aimed at is called invalid.
//
// When Run returns, everything it started has ended and its folder is gone.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/funcatron/funcatron/bench/load"
	"github.com/funcatron/funcatron/bench/report"
	"github.com/funcatron/funcatron/shared/statefile"
)

// Options configure a Bench. The tags are for kong: the flags of funcatron bench.
type Options struct {
	Scenarios []string `arg:"" optional:"" name:"scenario" help:"What to measure: gateway, limits, slow, routes, scale, footprint, languages, micro (default: all)."`

	Quick  bool          `help:"Measure less of everything, in one short round: to see that it works."`
	Time   time.Duration `help:"How long each measurement takes (default: 1.2s, with --quick 400ms)."`
	Rounds int           `help:"How often everything is measured (default: 3, with --quick 1)."`

	JSON     string `name:"json" help:"Write everything that was measured to this file." type:"path" placeholder:"FILE"`
	Plot     string `help:"Write a page with latency curves to this file." type:"path" placeholder:"FILE.html"`
	Profiles string `help:"Measure nothing: load the system, and write its CPU and allocation profiles into this folder." type:"path" placeholder:"DIR"`
	Check    bool   `help:"Exit with 1 when a floor is not reached, or the run is not valid."`

	RabbitURL string `name:"rabbit-url" help:"RabbitMQ to measure with." default:"amqp://guest:guest@127.0.0.1:5672/"`
	Source    string `help:"Folder with Funcatron's source, for micro." default:"." type:"path"`
	Samples   string `help:"Folder with the samples of all languages, for languages; make samples fills it." default:"bin/samples" type:"path"`
	Corpus    string `help:"Folder with Swagger documents that routes measures too." type:"path"`

	URL         string   `name:"url" help:"Measure this URL, of any system, in place of Funcatron; http:// or unix:///socket:/path."`
	Method      string   `help:"With --url: the request's method." default:"GET"`
	Header      []string `help:"With --url: a header line of the request." placeholder:"NAME: VALUE" sep:"none"`
	Body        string   `help:"With --url: the file with the request's body." type:"path"`
	Connections []int    `help:"With --url: numbers of connections." default:"1,16,64,256"`
	Rate        float64  `help:"With --url: requests a second, whatever the answers take (an open loop)."`

	Binary string       `kong:"-"` // what is measured; "" is the running program
	Out    io.Writer    `kong:"-"` // gets the table; nil is standard output
	Log    *slog.Logger `kong:"-"` // gets the progress; nil logs nothing
}

// all are the scenarios in the order that they run in.
var all = []string{report.Gateway, report.Limits, report.Slow, report.Routes, report.Scale, report.Footprint, report.Languages, report.Micro}

// Bench is one run of the bench.
type Bench struct {
	opts   Options
	log    *slog.Logger
	self   string // the program that children are started from
	warmup time.Duration
	report report.Report

	dir       string // for everything that is started
	rabbitPID int    // of RabbitMQ; 0 where it is not on this machine
	bare      load.Target
	barePID   int
	ceilings  map[int]float64 // requests/s against bare, by connections
}

// New checks o. It starts nothing.
func New(o Options) (*Bench, error) {
	b := &Bench{opts: o, log: o.Log, ceilings: make(map[int]float64)}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if b.opts.Out == nil {
		b.opts.Out = os.Stdout
	}
	for _, s := range o.Scenarios {
		if !slices.Contains(all, s) {
			return nil, fmt.Errorf("bench: there is no scenario %q, but %s", s, strings.Join(all, ", "))
		}
	}
	if o.URL != "" && len(o.Scenarios) > 0 {
		return nil, errors.New("bench: a scenario measures Funcatron, and --url something else: give one of them")
	}
	if len(o.Scenarios) == 0 {
		b.opts.Scenarios = all
	}
	set := func(d *time.Duration, quick, whole time.Duration) {
		if *d == 0 {
			if *d = whole; o.Quick {
				*d = quick
			}
		}
	}
	set(&b.opts.Time, 400*time.Millisecond, 1200*time.Millisecond)
	if b.opts.Time < 10*time.Millisecond || b.opts.Time > load.MaxDuration {
		return nil, fmt.Errorf("bench: --time is %v, must be from 10ms to %v", b.opts.Time, load.MaxDuration)
	}
	b.warmup = b.opts.Time / 4
	if b.opts.Rounds == 0 {
		if b.opts.Rounds = 3; o.Quick {
			b.opts.Rounds = 1
		}
	}
	if b.opts.Rounds < 1 || b.opts.Rounds > 100 {
		return nil, fmt.Errorf("bench: --rounds is %d, must be from 1 to 100", b.opts.Rounds)
	}
	if o.RabbitURL == "" {
		b.opts.RabbitURL = "amqp://guest:guest@127.0.0.1:5672/"
	}
	if o.Method == "" {
		b.opts.Method = "GET"
	}
	if len(o.Connections) == 0 {
		b.opts.Connections = []int{1, 16, 64, 256}
	}
	var err error
	if b.self, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("bench: find the running program: %w", err)
	}
	if b.opts.Binary == "" {
		b.opts.Binary = b.self
	}
	return b, nil
}

// provide puts this program where functions find and may execute it, who run as
// users of their own where all is started as root.
func (b *Bench) provide() error {
	if err := os.Chmod(b.dir, 0o711); err != nil {
		return err
	}
	path := filepath.Join(b.dir, childPrefix+functionChild)
	if os.Link(b.self, path) == nil {
		if info, err := os.Stat(path); err == nil && info.Mode()&0o001 != 0 {
			return nil
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	program, err := os.ReadFile(b.self)
	if err == nil {
		err = os.WriteFile(path, program, 0o700)
	}
	if err == nil {
		err = os.Chmod(path, 0o755) // whatever the umask
	}
	return err
}

// Run measures, and writes the report. An error of one scenario does not keep the
// others from being measured, nor the report from being written.
func (b *Bench) Run(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "funcatron-bench-"); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := b.provide(); err != nil {
		return fmt.Errorf("bench: make function available: %w", err)
	}
	b.report = report.Report{Began: time.Now(), Machine: machine()}

	// Bare fasthttp runs through it all: it says what the generator can do.
	bare, err := b.child(bareChild)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer bare.stop()
	b.barePID = bare.pid
	if b.bare, err = bare.target(ctx); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	err = b.scenarios(ctx)
	if b.opts.Profiles != "" {
		return err
	}
	b.report.IsValid = b.report.Valid()
	b.report.Took = report.Seconds(time.Since(b.report.Began).Seconds())
	if err := errors.Join(err, b.write()); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	switch {
	case b.opts.Check && !b.report.IsValid:
		return errors.New("bench: the run is not valid")
	case b.opts.Check && !b.report.OK():
		return errors.New("bench: not every floor is reached")
	}
	return nil
}

func (b *Bench) scenarios(ctx context.Context) error {
	if b.opts.URL != "" {
		return b.remote(ctx)
	}
	if version, err := rabbitVersion(b.opts.RabbitURL); err != nil {
		b.note("nothing is measured with RabbitMQ (--rabbit-url): %v", err)
	} else {
		b.report.Machine.RabbitMQ = version
		b.rabbitPID = listenerOf(b.opts.RabbitURL)
	}
	if b.opts.Profiles != "" {
		return b.profiles(ctx)
	}
	wants := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(b.opts.Scenarios, n) })
	}
	var errs []error
	for _, s := range []struct {
		name   string
		wanted bool
		run    func(context.Context) error
	}{
		{"gateway and limits", wants(report.Gateway, report.Limits), b.path},
		{report.Slow, wants(report.Slow), b.slow},
		{report.Routes, wants(report.Routes), b.routes},
		{report.Scale, wants(report.Scale), b.scale},
		{report.Footprint, wants(report.Footprint), b.footprint},
		{report.Languages, wants(report.Languages), b.languages},
		{report.Micro, wants(report.Micro), b.micro},
	} {
		if !s.wanted || ctx.Err() != nil {
			continue
		}
		b.log.Info("scenario", "name", s.name)
		if err := s.run(ctx); err != nil {
			b.log.Error("scenario failed", "name", s.name, "err", err)
			b.note("%s was not measured to its end: %v", s.name, err)
			errs = append(errs, fmt.Errorf("measure %s: %w", s.name, err))
		}
	}
	b.report.Judge()
	b.busyMachine()
	return errors.Join(append(errs, ctx.Err())...)
}

// busyMachine notes where others took a part of the machine.
func (b *Bench) busyMachine() {
	most, disturbed, samples := 0.0, 0, 0
	for _, row := range b.report.Rows {
		for _, s := range row.Samples {
			samples++
			if other := s.Cores["other"]; other > 0.1*float64(b.report.Machine.Cores) {
				most, disturbed = max(most, other), disturbed+1
			}
		}
	}
	if disturbed > 0 {
		b.note("the machine was not ours alone: in %d of %d measurements others used up to %.1f cores", disturbed, samples, most)
	}
}

// note tells the reader what else there is to know.
func (b *Bench) note(format string, args ...any) {
	b.report.Notes = append(b.report.Notes, fmt.Sprintf(format, args...))
}

func (b *Bench) fact(scenario, name string, value float64, unit, note string) {
	b.report.Facts = append(b.report.Facts, report.Fact{Scenario: scenario, Name: name, Value: value, Unit: unit, Note: note})
}

func (b *Bench) write() error {
	err := b.report.WriteTable(b.opts.Out)
	save := func(path string, write func(io.Writer) error) {
		if path == "" {
			return
		}
		f, ferr := statefile.Create(path, 0o644)
		if ferr == nil {
			defer f.Abort()
			if ferr = write(f); ferr == nil {
				ferr = f.Commit()
			}
		}
		err = errors.Join(err, ferr)
	}
	save(b.opts.JSON, b.report.WriteJSON)
	save(b.opts.Plot, b.report.WritePlot)
	return err
}

// hasFlag tells whether a command of what is measured knows a flag.
func (b *Bench) hasFlag(command, flag string) bool {
	out, _ := exec.Command(b.opts.Binary, command, "--help").CombinedOutput() // no help, no flag
	return strings.Contains(string(out), flag+"=")
}
