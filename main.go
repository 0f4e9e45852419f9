// Command funcatron is every part of Funcatron in one binary, a subcommand a part.
//
// It only translates flags, environment and signals: what a part does is in its
// own package, and no part knows another. Parts are started in the order of their
// dependence and stopped in the reverse, each after those that need it.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/alecthomas/kong"

	"github.com/funcatron/funcatron/bench"
	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/memory"
	"github.com/funcatron/funcatron/dispatch/rabbit"
	"github.com/funcatron/funcatron/gateway"
	"github.com/funcatron/funcatron/runner"
	"github.com/funcatron/funcatron/runner/demo"
	"github.com/funcatron/funcatron/runner/pack"
	"github.com/funcatron/funcatron/shared/certs"
	"github.com/funcatron/funcatron/shared/discover"
	"github.com/funcatron/funcatron/shared/heap"
	"github.com/funcatron/funcatron/shared/logline"
	"github.com/funcatron/funcatron/shared/quantity"
	"github.com/funcatron/funcatron/shared/version"
	"github.com/funcatron/funcatron/tron"
)

type cli struct {
	Up          upCmd          `cmd:"" help:"Run gateway, Tron and a Runner in this process, on an in-memory broker unless --rabbit-url is given."`
	Gateway     gatewayCmd     `cmd:"" help:"Run a gateway."`
	Tron        tronCmd        `cmd:"" help:"Run the Tron, the manager."`
	Runner      runnerCmd      `cmd:"" help:"Run a Runner."`
	Pack        packCmd        `cmd:"" help:"Build a Func Bundle from a folder and check it as the Tron would."`
	Bench       benchCmd       `cmd:"" help:"Measure this Funcatron, or any URL, beside the limits of this machine."`
	Conformance conformanceCmd `cmd:"" help:"Check that a bundle, in any language, does all that the sample API asks."`
	Health      healthCmd      `cmd:"" help:"Ask a part on this machine whether it is healthy; exits 1 when it is not."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

// Flags that several commands share.
type (
	commonFlags struct {
		StateDir  string        `help:"Folder for what must survive a restart; each part keeps to its own folder in it." default:"~/.funcatron" type:"path"`
		LogFormat string        `help:"Format of log lines: text or json." enum:"text,json" default:"text"`
		LogLevel  slog.Level    `help:"Least level that is logged: debug, info, warn or error." default:"info"`
		DrainTime time.Duration `help:"How long requests may take to finish at the end." default:"30s"`
		Pprof     bool          `help:"Serve /debug/pprof on the admin ports."`
	}
	clusterFlags struct {
		RabbitURL          string `name:"rabbit-url" help:"RabbitMQ, as amqp://user:password@host:port/vhost; amqp+srv:// looks host and port up in SRV records." default:"amqp://guest:guest@127.0.0.1:5672/"`
		RabbitPasswordFile string `help:"File that holds the password of --rabbit-url's user." type:"path"`
		rabbitTLSFlags
	}
	rabbitTLSFlags struct {
		RabbitCA   string `name:"rabbit-ca" help:"CA certificates (PEM) for an amqps --rabbit-url (default: the system's)." type:"path"`
		RabbitCert string `name:"rabbit-cert" help:"Certificate (PEM) to show to a RabbitMQ that asks for one." type:"path"`
		RabbitKey  string `name:"rabbit-key" help:"Private key (PEM) of --rabbit-cert." type:"path"`
	}
	tlsFlags struct {
		TLSCert     string `name:"tls-cert" help:"Certificate (PEM, followed by those that lead to its CA) to show to clients, who then have to speak HTTPS: at --gateway-listen, at --tron-listen, and with up at both. Like the two below it is read again when it changes." type:"path"`
		TLSKey      string `name:"tls-key" help:"Private key (PEM) of --tls-cert." type:"path"`
		TLSClientCA string `name:"tls-client-ca" help:"CA certificates (PEM). With it every client has to show a certificate that one of them signed." type:"path"`
	}
	fetchFlags struct {
		TronURL  string `name:"tron-url" help:"Where bundles are fetched, where it is not what the Tron says of itself."`
		TronCA   string `name:"tron-ca" help:"CA certificates (PEM) for a Tron with --tls-cert (default: the system's)." type:"path"`
		TronCert string `name:"tron-cert" help:"Certificate (PEM) to show to a Tron with --tls-client-ca." type:"path"`
		TronKey  string `name:"tron-key" help:"Private key (PEM) of --tron-cert." type:"path"`
	}
	queueFlags struct {
		TronQueue string `help:"Name of the Tron's control queue." default:"for_tron"`
	}
	batchFlags struct {
		MaxBatch int `help:"Requests, or answers, that share a message to the broker under load; 1 sends each alone." default:"64"`
	}
	gatewayFlags struct {
		GatewayListen      string        `help:"Where clients come, as host:port." default:"127.0.0.1:8080"`
		GatewayAdminListen string        `help:"Where the gateway's metrics, health and /__routes are." default:"127.0.0.1:9080"`
		GatewayURL         string        `name:"gateway-url" help:"Address that clients are told, where it is not that of --gateway-listen; $$NAME is filled in from the environment."`
		MaxBody            int           `help:"Largest request body in bytes." default:"8388608"`
		MaxPending         int           `help:"Requests that wait for their reply, at most." default:"16384"`
		TrustedProxies     []string      `help:"Networks (CIDR) or addresses whose X-Forwarded-* and Forwarded headers are believed." placeholder:"CIDR"`
		DrainDelay         time.Duration `help:"How long readyz says no before the listener closes, so that balancers move on." default:"1s"`
	}
	tronFlags struct {
		TronListen     string `help:"Where the Tron's admin API is." default:"127.0.0.1:3000"`
		TronURL        string `name:"tron-url" help:"Address of the admin API that runners and operators are told, where it is not that of --tron-listen; $$NAME is filled in from the environment."`
		AdminToken     string `help:"Bearer token that the admin API asks for. Better given by environment or --admin-token-file."`
		AdminTokenFile string `help:"File that holds the admin token." type:"path"`
		NoAdminAuth    bool   `help:"Let anybody who reaches the admin API use it, also where it does not listen on loopback."`
	}
	runnerFlags struct {
		RunnerAdminListen string `help:"Where the Runner's metrics and health are." default:"127.0.0.1:4000"`
		FunctionUIDs      string `name:"function-uids" help:"User and group ids that functions run as where the Runner is root, one a deployment; none runs them as root." default:"200000-265535" placeholder:"FIRST-LAST"`
		FunctionMemory    string `help:"Most memory of a function's process, like 512Mi, and what it has where its bundle does not say (default: no limit)."`
		CgroupParent      string `name:"cgroup-parent" help:"Control group (cgroup v2) below which each function's process gets one (default: the Runner's own); none makes none." placeholder:"PATH"`
		Java              string `help:"What runs bundles of runtime jvm: a path, or a name in PATH." default:"java"`
		JVMHost           string `name:"jvm-host" help:"Jar that serves bundles of runtime jvm (default: funcatron-jvm-host.jar beside this program, or in /usr/share/funcatron)." type:"path"`
		Python            string `help:"What runs bundles of runtime python: a path, or a name in PATH." default:"python3"`
		Node              string `help:"What runs bundles of runtime node: a path, or a name in PATH." default:"node"`
		RunDir            string `help:"Folder in which bundles are unpacked and run (default: in --state-dir, or /var/lib/funcatron-run where functions' users do not get there)." type:"path"`
	}
)

func main() {
	if bench.Child() {
		return
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	var c cli
	code := -1
	parser, err := kong.New(&c,
		kong.Name("funcatron"),
		kong.Description("Serverless for your own cluster."),
		kong.DefaultEnvars("FUNCATRON"),
		kong.UsageOnError(),
		kong.Writers(stdout, stderr),
		kong.Exit(func(n int) { code = n }),
	)
	if err != nil {
		panic("BUG: command line: " + err.Error())
	}
	kctx, err := parser.Parse(args)
	if code >= 0 {
		return code // --help has been shown
	}
	if err != nil {
		parser.FatalIfErrorf(err)
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	kctx.BindTo(ctx, (*context.Context)(nil))
	kctx.Bind(&streams{stdout, stderr})
	if err := kctx.Run(); err != nil {
		fmt.Fprintf(stderr, "funcatron: error: %v\n", err)
		return 1
	}
	return 0
}

// streams are where a command writes.
type streams struct{ out, err io.Writer }

// part is something that runs until its context ends.
type part struct {
	name string
	run  func(context.Context) error
}

// runAll starts the parts in order. When ctx ends, or one of them does, it stops
// them in reverse order, each after the next has ended.
func runAll(ctx context.Context, parts ...part) error {
	type ending struct {
		i   int
		err error
	}
	ended := make(chan ending, len(parts))
	stops := make([]context.CancelFunc, len(parts))
	done := make([]chan struct{}, len(parts))
	for i, p := range parts {
		var own context.Context
		own, stops[i] = context.WithCancel(context.WithoutCancel(ctx))
		done[i] = make(chan struct{})
		go func() {
			defer close(done[i])
			err := p.run(own)
			if err != nil {
				err = fmt.Errorf("%s: %w", p.name, err)
			}
			ended <- ending{i, err}
		}()
	}
	var errs []error
	select {
	case <-ctx.Done():
	case e := <-ended:
		if e.err == nil {
			e.err = fmt.Errorf("%s ended by itself", parts[e.i].name)
		}
		errs = append(errs, e.err)
	}
	for i := len(parts) - 1; i >= 0; i-- {
		stops[i]()
		<-done[i]
	}
	close(ended)
	for e := range ended {
		errs = append(errs, e.err)
	}
	return errors.Join(errs...)
}

func (f commonFlags) format() logline.Format {
	if f.LogFormat == "json" {
		return logline.JSON
	}
	return logline.Text
}

func (f commonFlags) logger(w io.Writer) *slog.Logger {
	return slog.New(logline.NewHandler(w, f.format(), f.LogLevel))
}

// broker makes the RabbitMQ broker of a part, which is also the first part to run.
func (f clusterFlags) broker(name string, log *slog.Logger, set *metrics.Set) (dispatch.Broker, part, error) {
	at, err := discover.NewRabbit(f.RabbitURL, f.RabbitPasswordFile, nil)
	if err != nil {
		return nil, part{}, err
	}
	o := rabbit.DefaultOptions()
	o.URL, o.Dial, o.Name, o.Log, o.Metrics = at.URL, at.DialContext, name, log, set
	o.TLS, err = tlsClient(log, certs.Files{CA: f.RabbitCA, Cert: f.RabbitCert, Key: f.RabbitKey})
	if err != nil {
		return nil, part{}, fmt.Errorf("--rabbit-ca, --rabbit-cert, --rabbit-key: %w", err)
	}
	b, err := rabbit.New(o)
	if err != nil {
		return nil, part{}, fmt.Errorf("--rabbit-url: %w", err)
	}
	return b, part{"broker", b.Run}, nil
}

// tlsClient is how a server is talked to over TLS; nil where no files are given.
func tlsClient(log *slog.Logger, files certs.Files) (*certs.Client, error) {
	if files == (certs.Files{}) {
		return nil, nil
	}
	return certs.NewClient(files, log.With("component", "tls"))
}

// server is what clients get to speak; nil is plain HTTP.
func (f tlsFlags) server(log *slog.Logger) (*certs.Server, error) {
	files := certs.Files{Cert: f.TLSCert, Key: f.TLSKey, CA: f.TLSClientCA}
	if files == (certs.Files{}) {
		return nil, nil
	}
	s, err := certs.NewServer(files, log.With("component", "tls"))
	if err != nil {
		return nil, fmt.Errorf("--tls-cert, --tls-key, --tls-client-ca: %w", err)
	}
	return s, nil
}

func (f gatewayFlags) make(c commonFlags, q queueFlags, batch batchFlags, secure *certs.Server, b dispatch.Broker, log *slog.Logger, set *metrics.Set) (*gateway.Gateway, error) {
	o := gateway.DefaultOptions()
	o.Broker, o.Listen, o.AdminListen, o.URL = b, f.GatewayListen, f.GatewayAdminListen, f.GatewayURL
	o.TLS = secure
	o.TronQueue, o.StateDir = q.TronQueue, filepath.Join(c.StateDir, "gateway")
	o.MaxBody, o.MaxPending, o.MaxBatch = f.MaxBody, f.MaxPending, batch.MaxBatch
	o.DrainDelay, o.DrainTime, o.Pprof = f.DrainDelay, c.DrainTime, c.Pprof
	o.Log, o.Metrics = log, set
	for _, s := range f.TrustedProxies {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, aerr := netip.ParseAddr(s)
			if aerr != nil {
				return nil, fmt.Errorf("--trusted-proxies: %q is neither a network nor an address", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		o.TrustedProxies = append(o.TrustedProxies, p)
	}
	return gateway.New(o)
}

func (f tronFlags) token() (string, error) {
	if f.AdminTokenFile == "" {
		return f.AdminToken, nil
	}
	if f.AdminToken != "" {
		return "", errors.New("--admin-token and --admin-token-file are both given")
	}
	b, err := os.ReadFile(f.AdminTokenFile)
	if err != nil {
		return "", fmt.Errorf("--admin-token-file: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return "", fmt.Errorf("--admin-token-file: %s is empty", f.AdminTokenFile)
	}
	return token, nil
}

func (f tronFlags) make(c commonFlags, q queueFlags, secure *certs.Server, b dispatch.Broker, log *slog.Logger, set *metrics.Set) (*tron.Tron, error) {
	token, err := f.token()
	if err != nil {
		return nil, err
	}
	o := tron.DefaultOptions()
	o.Broker, o.Queue, o.Listen, o.URL = b, q.TronQueue, f.TronListen, f.TronURL
	o.AdminToken, o.NoAdminAuth, o.TLS = token, f.NoAdminAuth, secure
	o.StateDir = filepath.Join(c.StateDir, "tron")
	o.Log, o.Metrics, o.Pprof = log, set, c.Pprof
	return tron.New(o)
}

// source is where a Runner fetches bundles, and how.
type source struct {
	url  string // "" is where the Tron says
	tls  *certs.Client
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (f runnerFlags) make(c commonFlags, q queueFlags, batch batchFlags, from source, b dispatch.Broker, s *streams, log *slog.Logger, set *metrics.Set) (*runner.Runner, error) {
	o := runner.DefaultOptions()
	o.Broker, o.TronQueue, o.TronURL, o.AdminListen = b, q.TronQueue, from.url, f.RunnerAdminListen
	o.TronTLS, o.TronDial = from.tls, from.dial
	o.StateDir, o.DrainTime, o.MaxBatch = filepath.Join(c.StateDir, "runner"), c.DrainTime, batch.MaxBatch
	o.Log, o.Lines, o.Metrics, o.Pprof = log, logline.NewWriter(s.out, c.format()), set, c.Pprof
	o.FunctionUIDs, o.CgroupParent, o.RunDir = f.FunctionUIDs, f.CgroupParent, f.RunDir
	o.Java, o.JVMHost, o.Python, o.Node = f.Java, f.JVMHost, f.Python, f.Node
	if f.FunctionMemory != "" {
		var err error
		if o.FunctionMemory, err = quantity.Whole(f.FunctionMemory); err != nil {
			return nil, fmt.Errorf("--function-memory: %w", err)
		}
	}
	return runner.New(o)
}

type gatewayCmd struct {
	commonFlags
	clusterFlags
	tlsFlags
	queueFlags
	batchFlags
	gatewayFlags
}

// Run serves clients until ctx ends.
// heapFloor is the heap in bytes below which what is in the path of requests is not
// collected.
const heapFloor = 64 << 20

// tune has garbage collected seldom, but not beyond a part of the memory there is:
// in a runner's container the functions want theirs.
func tune(log *slog.Logger, part float64) {
	heap.Floor(heapFloor)
	if err := heap.Bound(part); err != nil {
		log.Warn("the heap is not bounded; set GOMEMLIMIT", "err", err)
	}
}

func (c *gatewayCmd) Run(ctx context.Context, s *streams) error {
	log, set := c.logger(s.out), metrics.NewSet()
	tune(log, 0.9)
	b, first, err := c.broker("gateway", log, set)
	if err != nil {
		return err
	}
	secure, err := c.server(log)
	if err != nil {
		return err
	}
	g, err := c.make(c.commonFlags, c.queueFlags, c.batchFlags, secure, b, log, set)
	if err != nil {
		return err
	}
	return runAll(ctx, first, part{"gateway", g.Run})
}

type tronCmd struct {
	commonFlags
	clusterFlags
	tlsFlags
	queueFlags
	tronFlags
}

// Run manages until ctx ends.
func (c *tronCmd) Run(ctx context.Context, s *streams) error {
	log, set := c.logger(s.out), metrics.NewSet()
	b, first, err := c.broker("tron", log, set)
	if err != nil {
		return err
	}
	secure, err := c.server(log)
	if err != nil {
		return err
	}
	t, err := c.make(c.commonFlags, c.queueFlags, secure, b, log, set)
	if err != nil {
		return err
	}
	return runAll(ctx, first, part{"tron", t.Run})
}

type runnerCmd struct {
	commonFlags
	clusterFlags
	queueFlags
	batchFlags
	runnerFlags
	fetchFlags
}

// Run runs functions until ctx ends.
func (c *runnerCmd) Run(ctx context.Context, s *streams) error {
	log, set := c.logger(s.out), metrics.NewSet()
	tune(log, 0.4)
	b, first, err := c.broker("runner", log, set)
	if err != nil {
		return err
	}
	from := source{url: c.TronURL}
	if from.tls, err = tlsClient(log, certs.Files{CA: c.TronCA, Cert: c.TronCert, Key: c.TronKey}); err != nil {
		return fmt.Errorf("--tron-ca, --tron-cert, --tron-key: %w", err)
	}
	r, err := c.make(c.commonFlags, c.queueFlags, c.batchFlags, from, b, s, log, set)
	if err != nil {
		return err
	}
	return runAll(ctx, first, part{"runner", r.Run})
}

type upCmd struct {
	commonFlags
	queueFlags
	batchFlags
	gatewayFlags
	tronFlags
	runnerFlags
	tlsFlags
	rabbitTLSFlags
	RabbitURL          string `name:"rabbit-url" help:"RabbitMQ to use in place of the in-memory broker."`
	RabbitPasswordFile string `help:"File that holds the password of --rabbit-url's user." type:"path"`
	Demo               bool   `help:"Also build the Go sample, upload and enable it, and print what to try."`
}

// Run is the whole system in one process until ctx ends.
func (c *upCmd) Run(ctx context.Context, s *streams) error {
	log := c.logger(s.out)
	tune(log, 0.4)
	tronSet, runnerSet, gatewaySet := metrics.NewSet(), metrics.NewSet(), metrics.NewSet()
	var b dispatch.Broker = memory.NewWith(memory.Options{Metrics: gatewaySet})
	first := part{"broker", func(ctx context.Context) error { <-ctx.Done(); return nil }}
	if c.RabbitURL != "" {
		var err error
		if b, first, err = (clusterFlags{c.RabbitURL, c.RabbitPasswordFile, c.rabbitTLSFlags}).broker("up", log, gatewaySet); err != nil {
			return err
		}
	}
	secure, err := c.server(log)
	if err != nil {
		return err
	}
	if secure != nil && c.Demo {
		return errors.New("--demo and --tls-cert are both given: the demo speaks plain HTTP")
	}
	t, err := c.tronFlags.make(c.commonFlags, c.queueFlags, secure, b, log, tronSet)
	if err != nil {
		return err
	}
	inside := source{url: "http://localhost", dial: t.Dial} // whatever certificates others need
	r, err := c.runnerFlags.make(c.commonFlags, c.queueFlags, c.batchFlags, inside, b, s, log, runnerSet)
	if err != nil {
		return err
	}
	g, err := c.gatewayFlags.make(c.commonFlags, c.queueFlags, c.batchFlags, secure, b, log, gatewaySet)
	if err != nil {
		return err
	}
	parts := []part{first, {"tron", t.Run}, {"runner", r.Run}, {"gateway", g.Run}}
	if c.Demo {
		token, err := c.token()
		if err != nil {
			return err
		}
		o := demo.Options{
			Tron: "http://" + t.Addr().String(), Gateway: "http://" + g.Addr().String(),
			Token: token, StateDir: c.StateDir, Out: s.out,
		}
		parts = append(parts, part{"demo", func(ctx context.Context) error {
			if err := demo.Run(ctx, o); err != nil && ctx.Err() == nil {
				return err
			}
			<-ctx.Done() // shown; the system goes on
			return nil
		}})
	}
	return runAll(ctx, parts...)
}

type packCmd struct {
	Dir       string   `arg:"" help:"Folder with funcatron.yaml and the code; a Go folder is compiled." type:"existingdir"`
	Out       string   `short:"o" help:"The bundle to write." required:"" type:"path"`
	Platforms []string `help:"Platforms that a Go folder is compiled for (default: linux/amd64, linux/arm64 and this machine's)." placeholder:"OS/ARCH"`
}

// Run builds and checks a bundle.
func (c *packCmd) Run(ctx context.Context, s *streams) error {
	b, err := pack.Dir(ctx, pack.Options{Dir: c.Dir, Out: c.Out, Platforms: c.Platforms, Stderr: s.err})
	if err != nil {
		return err
	}
	for _, w := range b.Warnings {
		fmt.Fprintln(s.err, "warning:", w)
	}
	fmt.Fprintf(s.out, "%s  %s\n", b.Sha, c.Out)
	return nil
}

type benchCmd struct {
	bench.Options `embed:""`
}

// Run measures, and prints what it found; what it does meanwhile goes to stderr.
func (c *benchCmd) Run(ctx context.Context, s *streams) error {
	c.Out, c.Log = s.out, slog.New(logline.NewHandler(s.err, logline.Text, slog.LevelInfo))
	b, err := bench.New(c.Options)
	if err != nil {
		return err
	}
	return b.Run(ctx)
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(s *streams) error {
	_, err := fmt.Fprintln(s.out, "funcatron", version.String())
	return err
}

type healthCmd struct {
	URL                string `arg:"" optional:"" help:"What to ask, a URL or host:port (default: whichever part's admin port answers here)." env:"FUNCATRON_HEALTH_URL"`
	GatewayAdminListen string `help:"Where a gateway may be." default:"127.0.0.1:9080"`
	TronListen         string `help:"Where a Tron may be." default:"127.0.0.1:3000"`
	RunnerAdminListen  string `help:"Where a Runner may be." default:"127.0.0.1:4000"`
	TLSCert            string `name:"tls-cert" help:"Set where it is for the Tron: it is asked over TLS then."`
}

// Run asks, and fails when the answer is not 200.
func (c *healthCmd) Run(ctx context.Context) error {
	places := []string{c.URL}
	if c.URL == "" {
		tron, err := healthURL(c.TronListen)
		if err != nil {
			return err
		}
		if c.TLSCert != "" {
			tron = strings.Replace(tron, "http://", "https://", 1)
		}
		places = []string{c.GatewayAdminListen, tron, c.RunnerAdminListen}
	}
	wantsCertificate := false
	asker := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // who answers is not the question, and nothing is told
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			wantsCertificate = true
			return new(tls.Certificate), nil
		},
	}}}
	defer asker.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var errs []error
	for _, place := range places {
		u, err := healthURL(place)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
		if err != nil {
			return err
		}
		resp, err := asker.Do(req)
		switch {
		case err == nil:
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s answers %s", u, resp.Status)
		case wantsCertificate:
			return nil // it answers; what it says is for those who have one
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// healthURL makes a URL of what a listener is told, or a person types: an
// unspecified host is this machine, and no path is /healthz.
func healthURL(place string) (string, error) {
	if !strings.Contains(place, "://") {
		host, port, err := net.SplitHostPort(place)
		if err != nil {
			return "", fmt.Errorf("%q is neither a URL nor host:port: %w", place, err)
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		place = "http://" + net.JoinHostPort(host, port)
	}
	u, err := url.Parse(place)
	if err != nil {
		return "", err
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/healthz"
	}
	return u.String(), nil
}
