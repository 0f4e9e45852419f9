package bench

import (
	"archive/zip"
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/funcatron/funcatron/bench/load"
	"github.com/funcatron/funcatron/bench/report"
)

// bareServers of the languages, each to be run with the path of its socket.
//
//go:embed bare
var bareSources embed.FS

// language is one whose sample is measured.
type language struct {
	name string // of its sample, and in its paths
	file string // of the built sample
	bare []string
}

var (
	bareGo     = []string{""} // a child of the bench
	bareJava   = []string{"java", "Bare.java"}
	bareNode   = []string{"node", "bare.js"}
	barePython = []string{"python3", "bare.py"}
)

var samples = []language{
	{"go", "go.zip", bareGo},
	{"java", "java.jar", bareJava},
	{"scala", "scala.jar", bareJava},
	{"spring-boot", "spring-boot.jar", bareJava},
	{"python", "python.zip", barePython},
	{"node", "node.zip", bareNode},
}

// path is of the announcement's operation.
func (l language) path() string { return "/sample/" + l.name + "/simple/42?cool=yes" }

// languages measures the samples, each beside a server of its language that does
// nothing, and how a jar starts.
func (b *Bench) languages(ctx context.Context) error {
	var errs []error
	for _, l := range samples {
		file, err := os.ReadFile(filepath.Join(b.opts.Samples, l.file))
		if errors.Is(err, fs.ErrNotExist) {
			b.note("the sample in %s was not measured: make samples builds it", l.name)
			continue
		}
		if err == nil {
			err = b.language(ctx, l, file)
		}
		if err == nil && l.name == "java" {
			err = b.jvmStart(ctx, l, file)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", l.name, err))
		}
	}
	return errors.Join(errs...)
}

// language measures a sample in the system, and the bare server of its language.
func (b *Bench) language(ctx context.Context, l language, file []byte) error {
	up, err := b.up(ctx)
	if err != nil {
		return err
	}
	defer up.stop()
	if err := up.enableBundle(ctx, file, l.path()); err != nil {
		return err
	}
	m, err := up.meter(false)
	if err != nil {
		return err
	}
	bare, target, err := b.bareOf(ctx, l)
	if err != nil {
		return err
	}
	defer bare.stop()

	get := request("GET", l.path(), "127.0.0.1", nil, "Accept: application/json")
	target.Requests = [][]byte{get}
	mBare := &meter{limit: true, pids: map[string][]int{"server": {bare.pid}}}
	// What a just-in-time compiler does in the first seconds is none of the figures.
	for _, t := range []load.Target{target, up.target(0, get)} {
		if _, err := load.Run(ctx, load.Options{Target: t, Connections: 16, Warmup: b.warmup, Duration: 2 * b.opts.Time}); err != nil {
			return err
		}
	}
	var cells []cell
	key := func(of string, n int) report.Key {
		return report.Key{Scenario: report.Languages, Subject: of, Shape: report.Get, Connections: n}
	}
	system, server := l.name+" on funcatron up", "bare server beside "+l.name
	connections := []int{16, 64}
	for _, n := range connections {
		cells = append(cells, b.closed(key(server, n), mBare, target), b.closed(key(system, n), m, up.target(0, get)))
	}
	if err := b.rounds(ctx, cells); err != nil {
		return err
	}
	for _, n := range connections {
		if ratio, ok := b.report.Rates(key(system, n), key(server, n)); ok {
			b.fact(report.Languages, fmt.Sprintf("%s: requests/s against the bare server, %d connections", l.name, n), ratio, "times", "")
		}
	}
	return nil
}

// bareOf starts the bare server of a language, on a Unix socket.
func (b *Bench) bareOf(ctx context.Context, l language) (*process, load.Target, error) {
	socket := filepath.Join(b.dir, l.name+".sock")
	target := load.Target{Network: "unix", Address: socket, Status: 200}
	p, err := b.startBare(l, socket)
	if err != nil {
		return nil, target, err
	}
	if _, err := p.says(ctx, `listening on`); err != nil {
		p.stop()
		return nil, target, err
	}
	return p, target, nil
}

func (b *Bench) startBare(l language, socket string) (*process, error) {
	if l.bare[0] == "" {
		return b.child(netHTTPChild, socket)
	}
	path, err := exec.LookPath(l.bare[0])
	if err != nil {
		return nil, err
	}
	source, err := bareSources.ReadFile("bare/" + l.bare[1])
	if err != nil {
		return nil, err
	}
	program := filepath.Join(b.dir, l.bare[1])
	if err := os.WriteFile(program, source, 0o600); err != nil {
		return nil, err
	}
	return b.start("bare "+l.name, path, path, program, socket)
}

// firstRequests are those of a first user.
const firstRequests = 100

// jvmStart measures how long a jar takes from enable to live, with and without its
// class archive, and what the first user waits, with and without a warm-up.
func (b *Bench) jvmStart(ctx context.Context, l language, file []byte) error {
	var without, with, cold, warm []float64
	for range b.opts.Rounds {
		for _, warmup := range []bool{false, true} {
			jar, err := withWarmup(file, warmup)
			if err != nil {
				return err
			}
			first, again, wait, err := b.startJar(ctx, l, jar)
			if err != nil {
				return err
			}
			if warmup {
				warm = append(warm, wait)
				continue
			}
			cold, without, with = append(cold, wait), append(without, first), append(with, again)
		}
	}
	fact := func(name string, value float64, unit, note string) { b.fact(report.Languages, name, value, unit, note) }
	fact("java: enable to live, no class archive yet", report.Median(without), "ms", "without the time to make it")
	fact("java: enable to live, with the class archive", report.Median(with), "ms", "")
	fact("java: start with the archive against without", ratioOf(with, without), "times", "")
	fact("java: a first user's request, no warm-up", report.Median(cold), "ms", fmt.Sprintf("mean of the first %d", firstRequests))
	fact("java: a first user's request, warmed up", report.Median(warm), "ms", fmt.Sprintf("mean of the first %d", firstRequests))
	fact("java: first requests warmed up against not", ratioOf(warm, cold), "times", "")
	return nil
}

// ratioOf is the median of the rounds' ratios.
func ratioOf(over, under []float64) float64 {
	var all []float64
	for i := range over {
		all = append(all, over[i]/under[i])
	}
	return report.Median(all)
}

// startJar enables a jar in a new system, which has no archive of it, and then again.
// first and again are the times from enable to live, wait the mean of the first
// requests after the second, in ms. The making of the archive is not in first.
func (b *Bench) startJar(ctx context.Context, l language, jar []byte) (first, again, wait float64, err error) {
	up, err := b.up(ctx)
	if err != nil {
		return 0, 0, 0, err
	}
	defer up.stop()
	enable := func() (ms float64, err error) {
		began := time.Now()
		err = up.enableBundle(ctx, jar, l.path()) // with an upload, which is quick, and a first request
		return time.Since(began).Seconds() * 1e3, err
	}
	if first, err = enable(); err != nil {
		return 0, 0, 0, err
	}
	made, err := up.procs[0].says(ctx, `class-data archive is made .*after=(\S+)`)
	if err != nil {
		return 0, 0, 0, err
	}
	making, err := time.ParseDuration(made[1])
	if err != nil {
		return 0, 0, 0, err
	}
	first -= making.Seconds() * 1e3
	if err = up.disable(ctx); err != nil {
		return 0, 0, 0, err
	}
	if again, err = enable(); err != nil {
		return 0, 0, 0, err
	}
	began := time.Now()
	for range firstRequests {
		if err := serves(ctx, up.gateways[0].url+l.path(), glance); err != nil {
			return 0, 0, 0, err
		}
	}
	return first, again, time.Since(began).Seconds() * 1e3 / firstRequests, nil
}

// warmupLine is a warm-up in the x-funcatron of a document.
var warmupLine = regexp.MustCompile(`(?m)^  warmup:.*\n`)

// withWarmup is the bundle whose document warms up with the measured operation, or
// with none.
func withWarmup(file []byte, warmup bool) ([]byte, error) {
	in, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	out := zip.NewWriter(&buf)
	for _, f := range in.File {
		switch {
		case strings.HasSuffix(f.Name, "/"): // a folder is there with what is in it
			continue
		case f.Name != "funcatron.yaml":
			if err := out.Copy(f); err != nil {
				return nil, err
			}
			continue
		}
		text, err := read(f)
		if err != nil {
			return nil, err
		}
		text = warmupLine.ReplaceAllString(text, "")
		if warmup {
			text = strings.Replace(text, "\nx-funcatron:\n", "\nx-funcatron:\n  warmup: [\"GET /simple/42?cool=yes\"]\n", 1)
		}
		w, err := out.Create(f.Name)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := out.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func read(f *zip.File) (string, error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), errors.Join(err, r.Close())
}
