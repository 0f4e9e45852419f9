package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/funcatron/funcatron/runner/call"
	"github.com/funcatron/funcatron/runner/process"
	"github.com/funcatron/funcatron/shared/swagger"
)

const (
	// defaultAcceptTime is how long a process has to accept connections.
	defaultAcceptTime = 30 * time.Second
	// stopTime is what lies between SIGTERM and SIGKILL.
	stopTime = 10 * time.Second
	// portTries is how often another port is tried where somebody else took it.
	portTries = 5
)

// propsVar names the props file of a process. Its value is different for each
// process, and so marks it and all it starts.
const propsVar = "FUNCATRON_PROPS_FILE"

// startError is why a function does not run, and the last lines it wrote.
type startError struct {
	err   error
	lines []string
}

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// instance is one process of a deployment, which accepts connections.
type instance struct {
	proc  *process.Process
	pool  *call.Pool
	home  string // its folder, removed at its end
	sock  string // its socket, "" with tcp
	since time.Time

	busy int // under places.mu: calls in it
}

// end stops the process, kills it when kill ends first, and removes its folder.
// Calls that still run get what it has written, and then fail.
func (i *instance) end(kill context.Context) {
	i.pool.Close()
	i.proc.Stop(kill)
	i.remove()
}

func (i *instance) remove() {
	_ = removeAll(i.home) // the run's folder goes with all in it anyway
	if i.sock != "" {
		_ = os.Remove(i.sock)
	}
}

// launch makes what one process needs and starts it. It returns when the process
// accepts connections and, with warm, is warmed up. When ctx ends the start is given
// up.
func (t *team) launch(ctx, kill context.Context, warm bool) (*instance, *startError) {
	for try := 1; ; try++ {
		i, port, err := t.launchOnce(ctx, kill)
		if err == nil && warm {
			if failed := t.warmUp(ctx, i); failed != nil {
				i.end(kill)
				return nil, &startError{failed, i.proc.Tail()}
			}
		}
		if err == nil {
			return i, nil
		}
		if port == 0 || free(port) || try == portTries || ctx.Err() != nil {
			return nil, err
		}
		t.log.Info("somebody else took the port before the function listened on it, another one is tried", "port", port)
	}
}

// launchOnce is one try, with the port it was with, if any.
func (t *team) launchOnce(ctx, kill context.Context) (_ *instance, port int, _ *startError) {
	n := strconv.FormatUint(t.launched.Add(1), 10)
	i := &instance{home: filepath.Join(t.run.dir, "p"+n)}
	props := filepath.Join(i.home, propsName)
	err := makeHome(i.home)
	if err == nil {
		err = os.WriteFile(props, t.run.props, 0o600)
	}
	args := t.run.program.args
	if err == nil && t.run.program.more != nil {
		var more []string
		more, err = t.run.program.more(i.home)
		args = slices.Concat(args, more)
	}
	if err == nil {
		err = ownPrivate(i.home, t.run.user)
	}
	if err != nil {
		i.remove()
		return nil, 0, &startError{err: fmt.Errorf("make folder of process: %w", err)}
	}
	env := append(homeEnv(i.home),
		"FUNCATRON_SHA="+t.run.bundle.Sha,
		"FUNCATRON_GIT_SHA="+t.run.bundle.GitSha,
		"FUNCATRON_BASE_PATH="+t.run.want.BasePath,
		"FUNCATRON_SWAGGER_FILE="+t.run.swagger,
		"FUNCATRON_CONCURRENCY="+strconv.Itoa(max(t.run.runtime.Concurrency, 1)),
	)
	env = append(env, t.run.program.env...)
	where := "its socket"
	if t.run.runtime.Listen == "tcp" {
		if port, err = t.ports.take(); err != nil {
			i.remove()
			return nil, 0, &startError{err: err}
		}
		defer t.ports.give(port) // once it listens the kernel keeps others away
		env = append(env, "PORT="+strconv.Itoa(port))
		where = "port " + strconv.Itoa(port)
		i.pool = call.NewPool("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	} else {
		i.sock = filepath.Join(t.run.sockets, n)
		env = append(env, "FUNCATRON_SOCKET="+i.sock)
		i.pool = call.NewPool("unix", i.sock)
		if t.run.user != nil {
			i.pool.Only(t.run.user.ID)
		}
	}

	spec := process.Spec{
		Path: t.run.program.path, Args: args, Dir: t.run.files, Env: env, Mark: markOf(i.home), Output: t.output,
	}
	err = t.run.jails.confine(&spec, filepath.Base(t.run.dir)+"-"+n, t.run.user, t.run.runtime)
	if err == nil {
		i.proc, err = process.Start(spec)
	}
	if err != nil {
		i.remove()
		return nil, 0, &startError{err: err}
	}
	err = i.accepts(ctx, where, t.acceptTime)
	if err == nil {
		i.since = time.Now()
		return i, port, nil
	}
	grace := stopTime
	if ctx.Err() == nil {
		grace = 0 // it has had its time
	}
	stop, cancel := context.WithTimeout(kill, grace)
	defer cancel()
	i.end(stop)
	return nil, port, &startError{err, i.proc.Tail()}
}

// accepts waits, at most for t, until the process accepts a connection.
func (i *instance) accepts(ctx context.Context, where string, t time.Duration) error {
	limit := time.NewTimer(t)
	defer limit.Stop()
	dial, cancel := context.WithTimeout(ctx, t)
	defer cancel()
	for pause := 2 * time.Millisecond; ; pause = min(pause*3/2, 50*time.Millisecond) {
		if i.pool.Connect(dial) == nil {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-i.proc.Exited():
			return fmt.Errorf("the process ended before it accepted connections on %s: %s", where, i.proc.Exit())
		case <-limit.C:
			return fmt.Errorf("the process did not accept connections on %s within %v", where, t)
		case <-ctx.Done():
			return fmt.Errorf("start was given up: %w", context.Cause(ctx))
		}
	}
}

// propsName is the props file in the home of a process.
const propsName = "props.json"

// markOf is the entry of the environment by which a process with that home, and all
// that it starts, is found.
func markOf(home string) string { return propsVar + "=" + filepath.Join(home, propsName) }

func makeHome(home string) error { return os.MkdirAll(tmpOf(home), 0o700) }

func tmpOf(home string) string { return filepath.Join(home, "tmp") }

// homeEnv is the environment that every process of a function gets.
func homeEnv(home string) []string {
	return []string{
		"PATH=" + envOr("PATH", "/usr/local/bin:/usr/bin:/bin"),
		"HOME=" + home,
		"LANG=" + envOr("LANG", "C.UTF-8"),
		"TMPDIR=" + tmpOf(home),
		markOf(home),
	}
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// propsOf is the content of a props file: the props, which are an object.
func propsOf(raw json.RawMessage) ([]byte, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return []byte("{}"), nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, errors.New("the props are not a JSON object") // the cause would show a part of them
	}
	return raw, nil
}

// ports hands out free TCP ports, none to two processes that start at once.
type ports struct {
	mu    sync.Mutex
	taken map[int]bool // under mu
}

func (p *ports) take() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 100 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
		port := ln.Addr().(*net.TCPAddr).Port
		_ = ln.Close()
		if !p.taken[port] {
			p.taken[port] = true
			return port, nil
		}
	}
	return 0, errors.New("find a free port: there is none")
}

func (p *ports) give(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, port)
}

// free says whether one could listen on port.
func free(port int) bool {
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return !errors.Is(err, syscall.EADDRINUSE)
	}
	_ = ln.Close()
	return true
}

// slots is how many calls a deployment may have at once here.
func slots(rt swagger.Runtime) int { return max(rt.Concurrency, 1) * max(rt.Instances, 1) }
