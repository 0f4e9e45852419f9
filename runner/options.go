package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/runner/sandbox"
	"github.com/funcatron/funcatron/shared/certs"
	"github.com/funcatron/funcatron/shared/logline"
	"github.com/funcatron/funcatron/shared/wire"
)

// Options configure a Runner. Start from DefaultOptions; Broker, StateDir and
// Lines have no default.
type Options struct {
	Broker    dispatch.Broker
	TronQueue string // the Tron's control queue
	TronURL   string // where bundles are fetched; "" is where the Tron says
	// TronTLS is how they are fetched from an https URL; nil trusts whom the system does.
	TronTLS *certs.Client
	// TronDial connects to an http URL; nil is net.Dialer's.
	TronDial func(ctx context.Context, network, addr string) (net.Conn, error)

	AdminListen string // host:port of metrics and health
	StateDir    string // this Runner's alone
	Name        string // unique in the cluster; "" makes one up
	// DrainTime is how long Run goes on after its context has ended.
	DrainTime time.Duration

	// FunctionUIDs is the range of user ids that functions run as, "200000-265535",
	// where the Runner is root; "none" runs them as root. They are nobody else's.
	FunctionUIDs string
	// FunctionMemory is what a function's process may have at most, in bytes, and
	// what it may have where its bundle does not say; 0 is no limit.
	FunctionMemory int64
	// CgroupParent is the control group below which each process gets one; "" is
	// the Runner's own, "none" makes none.
	CgroupParent string
	// RunDir is where bundles are unpacked and run; "" is the state folder or, where
	// functions of another user would not get there, RunDirs.
	RunDir string

	// Java, Python and Node run bundles of those runtimes: each a path, or a name that
	// is looked up in PATH.
	Java, Python, Node string
	// JVMHost is the jar that serves the bundles of runtime jvm; "" looks where it is
	// installed.
	JVMHost string

	MaxBatch     int           // answers that share a message to the broker
	MaxReply     int           // bytes of a function's answer
	QueueLength  int           // requests that wait in a deployment's queue; the same on every runner
	QueueExpires time.Duration // after which a queue without runner goes; the same on every runner
	CacheBytes   int64         // of bundles kept
	CacheBundles int           // kept

	Log     *slog.Logger
	Lines   *logline.Writer // what functions write
	Metrics *metrics.Set
	Pprof   bool
}

// DefaultOptions is what everything has to be set to that is not said.
func DefaultOptions() Options {
	return Options{
		TronQueue:    wire.TronQueue,
		AdminListen:  "127.0.0.1:4000",
		DrainTime:    30 * time.Second,
		FunctionUIDs: "200000-265535",
		Java:         "java",
		Python:       "python3",
		Node:         "node",
		MaxBatch:     dispatch.DefaultMaxBatch,
		MaxReply:     8 << 20,
		QueueLength:  10_000,
		QueueExpires: 10 * time.Minute,
		CacheBytes:   10 << 30,
		CacheBundles: 50,
	}
}

// validate fills in what can be made up and names every field that is wrong.
func (o *Options) validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	need(o.Broker != nil, "Broker is not set")
	need(o.Lines != nil, "Lines is not set")
	need(o.StateDir != "", "StateDir is not set (--state-dir)")
	need(o.TronQueue != "", "TronQueue is not set (--tron-queue)")
	need(o.AdminListen != "", "AdminListen is not set (--runner-admin-listen)")
	need(o.DrainTime > 0, "DrainTime is %v, not more than 0 (--drain-time)", o.DrainTime)
	if o.FunctionUIDs != none {
		_, _, err := sandbox.ParseRange(o.FunctionUIDs)
		need(err == nil, "FunctionUIDs: %v (--function-uids)", err)
	}
	need(o.FunctionMemory >= 0, "FunctionMemory is %d, less than 0 (--function-memory)", o.FunctionMemory)
	need(o.CgroupParent == "" || o.CgroupParent == none || filepath.IsAbs(o.CgroupParent),
		"CgroupParent %q is not a path like /sys/fs/cgroup/funcatron (--cgroup-parent)", o.CgroupParent)
	need(o.RunDir == "" || filepath.IsAbs(o.RunDir), "RunDir %q is not an absolute path (--run-dir)", o.RunDir)
	need(o.Java != "", "Java is not set (--java)")
	need(o.Python != "", "Python is not set (--python)")
	need(o.Node != "", "Node is not set (--node)")
	need(o.MaxBatch > 0, "MaxBatch is %d, not more than 0 (--max-batch)", o.MaxBatch)
	need(o.MaxReply > 0, "MaxReply is %d, not more than 0", o.MaxReply)
	need(o.QueueLength > 0, "QueueLength is %d, not more than 0", o.QueueLength)
	need(o.QueueExpires > 0, "QueueExpires is %v, not more than 0", o.QueueExpires)
	need(o.CacheBytes > 0, "CacheBytes is %d, not more than 0", o.CacheBytes)
	need(o.CacheBundles > 0, "CacheBundles is %d, not more than 0", o.CacheBundles)
	if o.TronURL != "" {
		u, err := url.Parse(o.TronURL)
		need(err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https"),
			"TronURL %q is not like http://host:3000 (--tron-url)", o.TronURL)
	}
	if o.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "runner"
		}
		o.Name = host + "-" + wire.NewID()[:8]
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	if len(errs) > 0 {
		return fmt.Errorf("runner options: %w", errors.Join(errs...))
	}
	return nil
}
