package tron

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/shared/certs"
	"github.com/funcatron/funcatron/shared/wire"
)

// Options is what New needs. Start from DefaultOptions; Broker and StateDir have
// no default.
type Options struct {
	Broker dispatch.Broker
	Queue  string // the control queue that members report to

	Listen string // host:port of the admin API; port 0 takes any that is free
	// TLS is what Listen speaks; nil is plain HTTP.
	TLS *certs.Server
	// URL is where people and runners reach the admin API, as discover.Advertise
	// reads it; "" is http:// or https:// and the real address.
	URL string

	// StateDir is the Tron's own folder; it is made where it does not exist, and
	// belongs to one Tron at a time.
	StateDir string

	// AdminToken is the bearer token of the admin API. Beyond loopback, it or
	// NoAdminAuth must be set.
	AdminToken  string
	NoAdminAuth bool

	// EnableTimeout is how long runners have to bring a deployment up.
	EnableTimeout time.Duration
	// AckTimeout is how long an enable or disable waits for the slowest gateway.
	AckTimeout time.Duration

	Log     *slog.Logger // nil is silent
	Metrics *metrics.Set // nil is one of its own; /metrics shows it either way
	Pprof   bool         // serve /debug/pprof/ too, to the admin

	times times
}

// DefaultOptions are the defaults of the flags.
func DefaultOptions() Options {
	return Options{
		Queue:         wire.TronQueue,
		Listen:        "127.0.0.1:3000",
		EnableTimeout: time.Minute,
		AckTimeout:    5 * time.Second,
		times:         times{header: headerTime, body: bodyTime, piece: stallTime},
	}
}

func (o *Options) validate() error {
	switch {
	case o.Broker == nil:
		return errors.New("check tron options: Broker is nil")
	case o.Queue == "":
		return errors.New("check tron options: Queue is empty; set --tron-queue")
	case o.StateDir == "":
		return errors.New("check tron options: StateDir is empty; set --state-dir")
	case o.EnableTimeout <= 0:
		return fmt.Errorf("check tron options: EnableTimeout is %v; it must be more than 0", o.EnableTimeout)
	case o.AckTimeout <= 0:
		return fmt.Errorf("check tron options: AckTimeout is %v; it must be more than 0", o.AckTimeout)
	case strings.ContainsFunc(o.AdminToken, notInToken):
		return errors.New("check tron options: AdminToken holds a character that no header can carry; set another with --admin-token or --admin-token-file")
	}
	if _, _, err := net.SplitHostPort(o.Listen); err != nil {
		return fmt.Errorf("check tron options: Listen is no host:port; set --tron-listen: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	return nil
}

// notInToken: RFC 6750 section 2.1 allows less, but people's tokens hold more.
func notInToken(r rune) bool { return r <= ' ' || r > '~' }

// checkAccess refuses to let strangers deploy code. addr is the listener's.
func (o *Options) checkAccess(addr net.Addr) error {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return nil
	}
	if o.AdminToken != "" || o.NoAdminAuth {
		return nil
	}
	return fmt.Errorf("listen on %s: whoever reaches this address could deploy code; set --admin-token (or --admin-token-file), or say --no-admin-auth", o.Listen)
}
