package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/funcatron/funcatron/bench/load"
	"github.com/funcatron/funcatron/shared/wire"
)

// system is a Funcatron that the bench started.
type system struct {
	b        *Bench
	dir      string
	queue    string // the Tron's
	onRabbit bool
	extra    []string // flags for gateways and runners
	tron     string   // URL
	gateways []part
	runners  []part
	procs    []*process // in the order that they were started
	started  int        // processes ever
	shas     []string   // what is enabled
	probe    string     // path of it that answers 200
}

// part is a gateway or a runner.
type part struct {
	url   string // of a gateway
	admin string // URL
	proc  *process
}

// anyPort lets a part choose where it listens.
const anyPort = "127.0.0.1:0"

func (b *Bench) newSystem(name string) *system {
	id := wire.NewID()
	return &system{b: b, dir: filepath.Join(b.dir, name+"-"+id[:6]), queue: "for_tron_bench_" + id}
}

// up starts the whole in one process, on the in-memory broker.
func (b *Bench) up(ctx context.Context, extra ...string) (_ *system, err error) {
	s := b.newSystem("up")
	defer func() { s.stopOn(err) }()
	p, err := s.start("funcatron", "up", append([]string{"--gateway-listen=" + anyPort, "--gateway-admin-listen=" + anyPort,
		"--tron-listen=" + anyPort, "--runner-admin-listen=" + anyPort, "--drain-delay=0s"}, extra...)...)
	if err != nil {
		return nil, err
	}
	if err := s.findTron(ctx, p); err != nil {
		return nil, err
	}
	if err := s.findGateway(ctx, p); err != nil {
		return nil, err
	}
	return s, s.findRunner(ctx, p)
}

// cluster starts a Tron, gateways and runners on RabbitMQ. extra are flags of the
// last two.
func (b *Bench) cluster(ctx context.Context, gateways, runners int, extra ...string) (_ *system, err error) {
	s := b.newSystem("cluster")
	s.onRabbit, s.extra = true, extra
	defer func() { s.stopOn(err) }()
	p, err := s.start("tron", "tron", s.rabbit("--tron-listen="+anyPort)...)
	if err != nil {
		return nil, err
	}
	if err := s.findTron(ctx, p); err != nil {
		return nil, err
	}
	return s, s.grow(ctx, gateways, runners)
}

func (s *system) rabbit(args ...string) []string {
	return append([]string{"--rabbit-url=" + s.b.opts.RabbitURL, "--tron-queue=" + s.queue}, args...)
}

// grow adds gateways and runners until there are so many.
func (s *system) grow(ctx context.Context, gateways, runners int) error {
	for len(s.gateways) < gateways {
		p, err := s.start("gateway", "gateway", append(s.rabbit("--gateway-listen="+anyPort, "--gateway-admin-listen="+anyPort, "--drain-delay=0s"), s.extra...)...)
		if err != nil {
			return err
		}
		if err := s.findGateway(ctx, p); err != nil {
			return err
		}
	}
	for len(s.runners) < runners {
		p, err := s.start("runner", "runner", append(s.rabbit("--runner-admin-listen="+anyPort), s.extra...)...)
		if err != nil {
			return err
		}
		if err := s.findRunner(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *system) start(role, command string, args ...string) (*process, error) {
	s.started++
	state := filepath.Join(s.dir, fmt.Sprint(s.started))
	p, err := s.b.start(role, s.b.opts.Binary, "funcatron", append([]string{command, "--state-dir=" + state, "--drain-time=5s"}, args...)...)
	if err != nil {
		return nil, err
	}
	s.procs = append(s.procs, p)
	return p, nil
}

func (s *system) findTron(ctx context.Context, p *process) error {
	m, err := p.says(ctx, `List known Func Bundles: .*(http://\S+)/api`)
	if err != nil {
		return err
	}
	s.tron = m[1]
	return nil
}

func (s *system) findGateway(ctx context.Context, p *process) error {
	m, err := p.says(ctx, `serving url=(http://\S+) admin=(http://\S+)`)
	if err != nil {
		return err
	}
	s.gateways = append(s.gateways, part{url: m[1], admin: m[2], proc: p})
	return nil
}

func (s *system) findRunner(ctx context.Context, p *process) error {
	m, err := p.says(ctx, `runner is ready .*admin=(\S+)`)
	if err != nil {
		return err
	}
	s.runners = append(s.runners, part{admin: "http://" + strings.TrimPrefix(m[1], "http://"), proc: p})
	return nil
}

// stopOn ends the system where it did not come up.
func (s *system) stopOn(err error) {
	if err != nil {
		s.stop()
	}
}

// stop ends the system, and takes what it has at RabbitMQ away.
func (s *system) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	for _, sha := range s.shas {
		if err := s.post(ctx, "disable", map[string]any{"sha": sha}, nil); err != nil {
			s.b.log.Warn("a bundle stays enabled; its queue expires by itself", "err", err)
		}
	}
	s.shas = nil
	for i := len(s.procs) - 1; i >= 0; i-- {
		s.procs[i].stop()
	}
	if s.onRabbit {
		if err := deleteQueue(s.b.opts.RabbitURL, s.queue); err != nil {
			s.b.log.Warn("a queue stays; it expires by itself", "err", err)
		}
	}
}

// renew puts a new gateway, which knows nothing yet, in the last one's place.
func (s *system) renew(ctx context.Context) error {
	if n := len(s.gateways); n > 0 {
		last := s.gateways[n-1]
		last.proc.stop()
		s.gateways = s.gateways[:n-1]
		s.procs = slices.DeleteFunc(s.procs, func(p *process) bool { return p == last.proc })
	}
	return s.grow(ctx, len(s.gateways)+1, len(s.runners))
}

// post asks the Tron.
func (s *system) post(ctx context.Context, call string, body, answer any) error {
	raw, ok := body.([]byte)
	if !ok {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return fmt.Errorf("%s: %w", call, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.tron+"/api/v1/"+call, bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("%s: %w", call, err)
	}
	req.Header.Set("Content-Type", "application/json")
	return do(req, call, answer)
}

// do sends req and decodes the answer, which must be 200.
func do(req *http.Request, what string, answer any) error {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %.500s", what, resp.Status, text)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// enable uploads and enables the bench's bundle with that document, and waits until
// all gateways serve it.
func (s *system) enable(ctx context.Context, document []byte) error {
	zip, err := bundle(document)
	if err != nil {
		return err
	}
	return s.enableBundle(ctx, zip, "/bench/hello")
}

// enableBundle uploads and enables a bundle, and waits until all gateways answer 200
// to a GET of path.
func (s *system) enableBundle(ctx context.Context, zip []byte, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*startTime)
	defer cancel()
	var added struct{ Sha string }
	if err := s.post(ctx, "add_func", zip, &added); err != nil {
		return err
	}
	for {
		var enabled struct{ State string }
		if err := s.post(ctx, "enable", map[string]any{"sha": added.Sha}, &enabled); err != nil {
			return err
		}
		if enabled.State == "live" {
			break
		}
		if err := pause(ctx, glance); err != nil { // the Tron has not heard of a runner yet
			return err
		}
	}
	s.shas, s.probe = append(s.shas, added.Sha), path
	return s.settled(ctx)
}

// disable takes off what was enabled last.
func (s *system) disable(ctx context.Context) error {
	last := len(s.shas) - 1
	err := s.post(ctx, "disable", map[string]any{"sha": s.shas[last]}, nil)
	s.shas = s.shas[:last]
	return err
}

// settled waits until every runner runs what is enabled, and every gateway serves it.
func (s *system) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("not all runners run the function"))
	defer cancel()
	for {
		var st struct {
			Deployments []struct {
				Sha     string
				Runners []wire.DeploymentStatus
			}
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.tron+"/api/v1/stats", nil)
		if err != nil {
			return err
		}
		if err := do(req, "stats", &st); err != nil {
			return err
		}
		live, want := 0, len(s.runners)*len(s.shas)
		for _, d := range st.Deployments {
			for _, r := range d.Runners {
				if r.State == wire.StateLive {
					live++
				}
			}
		}
		if live >= want {
			break
		}
		if err := pause(ctx, glance); err != nil {
			return err
		}
	}
	for _, g := range s.gateways {
		if err := serves(ctx, g.url+s.probe, glance); err != nil {
			return err
		}
	}
	return nil
}

// serves waits until url answers 200, and looks so often.
func serves(ctx context.Context, url string, every time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		last := do(req, url, nil)
		if last == nil {
			return nil
		}
		if err := pause(ctx, every); err != nil {
			return fmt.Errorf("%w: %w", err, last)
		}
	}
}

// glance is how often one looks at something that is about to be.
const glance = 50 * time.Millisecond

// pause is between two looks.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// function is the process of the function at runner i.
func (s *system) function(i int) (int, error) {
	found, err := descendants(s.runners[i].proc.pid)
	if err != nil {
		return 0, err
	}
	if len(found) == 0 {
		return 0, errors.New("the runner has no process of the function")
	}
	return found[0], nil
}

// meter counts what the system's processes use, by role; numbered tells several
// gateways and runners apart.
func (s *system) meter(numbered bool) (*meter, error) {
	m := &meter{pids: make(map[string][]int)}
	count := make(map[string]int)
	for _, p := range s.procs {
		role := p.role
		if count[role]++; numbered && role != "tron" {
			role = fmt.Sprintf("%s%d", role, count[role])
		}
		m.pids[role] = append(m.pids[role], p.pid)
		below, err := descendants(p.pid)
		if err != nil {
			return nil, err
		}
		if len(below) > 0 {
			m.pids["function"] = append(m.pids["function"], below...)
		}
	}
	if s.b.rabbitPID != 0 && s.onRabbit {
		m.pids["rabbitmq"] = []int{s.b.rabbitPID}
	}
	return m, nil
}

// target aims requests at gateway i.
func (s *system) target(i int, requests ...[]byte) load.Target {
	return at(s.gateways[i].url, requests...)
}
