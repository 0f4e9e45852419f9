package fn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// What the Runner sets for the process.
const (
	envSocket = "FUNCATRON_SOCKET"
	envPort   = "PORT"
	envProps  = "FUNCATRON_PROPS_FILE"
	envDoc    = "FUNCATRON_SWAGGER_FILE"
)

// ErrNotStarted means that no Funcatron started the program.
var ErrNotStarted = errors.New(`this program is a Funcatron function: it serves a Runner, which tells it where by ` + envSocket + ` or ` + envPort + `, and neither is set.
To run it:  funcatron up                       (gateway, Tron and Runner in one process)
            funcatron pack DIR -o FILE.zip     (makes the bundle of this program's folder)
then upload FILE.zip and enable it with the commands that funcatron up prints.
To serve it without Funcatron: ` + envPort + `=8081 PROGRAM, and name the operation in the header ` + headerOperation)

// Serve serves ops until SIGTERM or SIGINT, finishes the requests that are
// running, ends the services, and returns, so that main can end with status 0.
// Where it cannot serve it writes why to stderr and ends the process with status
// 1. A second signal ends the process at once.
func Serve(ops Operations) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop)
	o, err := FromEnv(os.Getenv)
	if err == nil {
		err = Run(ctx, ops, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// FromEnv reads what the Runner tells the process, getenv being os.Getenv. The
// error is ErrNotStarted where no Runner did.
func FromEnv(getenv func(string) string) (Options, error) {
	var o Options
	o.Socket = getenv(envSocket)
	if o.Socket == "" {
		port := getenv(envPort)
		if port == "" {
			return Options{}, ErrNotStarted
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return Options{}, fmt.Errorf("read %s: %q is not a port", envPort, port)
		}
		o.Addr = net.JoinHostPort("127.0.0.1", port)
	}
	for env, into := range map[string]*[]byte{envProps: &o.Props, envDoc: &o.Document} {
		name := getenv(env)
		if name == "" {
			continue
		}
		var err error
		if *into, err = os.ReadFile(name); err != nil {
			return Options{}, fmt.Errorf("read %s: %w", env, err)
		}
	}
	return o, nil
}

// Run serves ops where o says until ctx ends, then lets running requests finish
// for at most o.Grace and ends the services. It returns nil where all did.
func Run(ctx context.Context, ops Operations, o Options) error {
	h, err := NewHandler(ops, o)
	if err != nil {
		return err
	}
	ln, err := listen(ctx, o)
	if err != nil {
		return errors.Join(err, h.Close())
	}
	return errors.Join(h.serve(ctx, ln, o.Grace), h.Close())
}

func listen(ctx context.Context, o Options) (net.Listener, error) {
	network, addr := "tcp", o.Addr
	if o.Socket != "" {
		network, addr = "unix", o.Socket
		// One left there belongs to a process that was killed: the Runner gives
		// each a folder of its own.
		if info, err := os.Lstat(addr); err == nil && info.Mode().Type() == fs.ModeSocket {
			if err := os.Remove(addr); err != nil {
				return nil, fmt.Errorf("remove the socket of a former process: %w", err)
			}
		}
	}
	ln, err := new(net.ListenConfig).Listen(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the Runner: %w", err)
	}
	return ln, nil
}

// maxHeader bounds a request's headers. X-Funcatron-Params holds a form's fields
// too, so it can be as long as a body.
const maxHeader = 64 << 20

// serve owns ln. Only the Runner speaks to it, and it keeps its connections: so
// none is closed for being slow or idle.
func (h *Handler) serve(ctx context.Context, ln net.Listener, grace time.Duration) error {
	if grace <= 0 {
		grace = 9 * time.Second
	}
	base, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon() // ends the requests that are still running then
	srv := &http.Server{
		Handler:                      h,
		BaseContext:                  func(net.Listener) context.Context { return base },
		ErrorLog:                     slog.NewLogLogger(h.lines, slog.LevelWarn),
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true, // OPTIONS is a method like others
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serve on %s: %w", ln.Addr(), err), srv.Close())
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(base, grace)
	defer cancel()
	err := srv.Shutdown(drain)
	<-served
	if err != nil {
		return errors.Join(fmt.Errorf("finish the running requests in %s: %w", grace, err), srv.Close())
	}
	return nil
}
