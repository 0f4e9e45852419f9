package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/pprof/profile"

	"github.com/funcatron/funcatron/bench/load"
	"github.com/funcatron/funcatron/bench/report"
	"github.com/funcatron/funcatron/shared/statefile"
)

// Of a profile: how long it is taken, and what loads the system meanwhile.
const (
	profileTime        = 5 * time.Second
	profileConnections = 64
)

// mergedProfile is what the compiler optimises by: all CPU profiles in one.
const mergedProfile = "merged.pgo"

// profiles loads the system, in memory and over RabbitMQ, with what it is made for,
// and writes CPU and allocation profiles of gateway and runner into Options.Profiles.
func (b *Bench) profiles(ctx context.Context) error {
	if err := os.MkdirAll(b.opts.Profiles, 0o755); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	for _, c := range []struct {
		name  string
		start func() (*system, error)
	}{
		{"memory", func() (*system, error) { return b.up(ctx, "--pprof") }},
		{"rabbit", func() (*system, error) { return b.cluster(ctx, 1, 1, "--pprof") }},
	} {
		if c.name == "rabbit" && b.report.Machine.RabbitMQ == "" {
			b.note("nothing was profiled with RabbitMQ, which is not there")
			continue
		}
		s, err := c.start()
		if err == nil {
			defer s.stop()
			err = s.enable(ctx, document("/bench", concurrency))
		}
		for _, shape := range []string{report.Get, report.Post} {
			if err == nil {
				err = b.profileUnder(ctx, s, c.name, shape)
			}
		}
		if err != nil {
			return fmt.Errorf("profile %s: %w", c.name, err)
		}
	}
	return mergeProfiles(b.opts.Profiles)
}

// mergeProfiles makes one profile of the CPU profiles in dir. Where the program lay
// on this machine is nobody's business.
func mergeProfiles(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.cpu.pprof"))
	if err != nil {
		return fmt.Errorf("merge profiles: %w", err)
	}
	var all []*profile.Profile
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("merge profiles: %w", err)
		}
		p, err := profile.ParseData(raw)
		if err != nil {
			return fmt.Errorf("merge profiles: %s: %w", name, err)
		}
		for _, m := range p.Mapping {
			m.File = "funcatron"
		}
		all = append(all, p)
	}
	merged, err := profile.Merge(all)
	if err != nil {
		return fmt.Errorf("merge profiles: %w", err)
	}
	f, err := statefile.Create(filepath.Join(dir, mergedProfile), 0o644)
	if err != nil {
		return fmt.Errorf("merge profiles: %w", err)
	}
	defer f.Abort()
	if err := merged.Write(f); err != nil {
		return fmt.Errorf("merge profiles: %w", err)
	}
	return f.Commit()
}

func (b *Bench) profileUnder(ctx context.Context, s *system, name, shape string) error {
	ctx, cancel := context.WithTimeout(ctx, profileTime+startTime)
	defer cancel()
	admins := map[string]string{"gateway": s.gateways[0].admin, "runner": s.runners[0].admin}
	if s.gateways[0].proc == s.runners[0].proc {
		delete(admins, "runner") // one process
	}
	errs := make(chan error, len(admins)+1)
	go func() {
		_, err := load.Run(ctx, load.Options{Target: s.target(0, requests[shape]), Connections: profileConnections, Warmup: b.warmup, Duration: profileTime})
		errs <- err
	}()
	seconds := int(profileTime / time.Second)
	for role, admin := range admins {
		go func() {
			file := filepath.Join(b.opts.Profiles, fmt.Sprintf("%s-%s-%.4s", name, role, shape))
			err := fetch(ctx, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", admin, seconds), file+".cpu.pprof")
			if err == nil {
				err = fetch(ctx, admin+"/debug/pprof/allocs", file+".allocs.pprof")
			}
			errs <- err
		}()
	}
	var first error
	for range cap(errs) {
		if err := <-errs; err != nil && first == nil {
			first = err
			cancel()
		}
	}
	return first
}

// fetch writes what url answers to a file.
func fetch(ctx context.Context, url, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("fetch profile: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("fetch profile: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("fetch profile: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch profile: %s answers %s: %.200s", url, resp.Status, raw)
	}
	if err := os.WriteFile(file, raw, 0o644); err != nil {
		return fmt.Errorf("keep profile: %w", err)
	}
	return nil
}
