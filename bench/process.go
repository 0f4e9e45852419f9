package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/funcatron/funcatron/bench/load"
)

const (
	// startTime is how long a process has to say that it is ready.
	startTime = 30 * time.Second
	// stopTime is how long it has to end before it is killed.
	stopTime = 8 * time.Second
	// maxOutput is how much of its output is kept, in bytes: the beginning.
	maxOutput = 256 << 10
)

// process is a process that the bench started. It dies with the bench, even where
// that is killed.
type process struct {
	role string // whose processor time it is counted as
	pid  int
	done chan struct{} // closed when it has ended; exit is readable then
	exit error

	mu      sync.Mutex
	text    []byte        // under mu: what it wrote
	changed chan struct{} // under mu: closed and renewed when text grows
}

// start runs a program by the name argv0.
func (b *Bench) start(role, path, argv0 string, args ...string) (*process, error) {
	p := &process{role: role, done: make(chan struct{}), changed: make(chan struct{})}
	cmd := &exec.Cmd{
		Path: path, Args: append([]string{argv0}, args...), Dir: b.dir,
		Env:    append(environ(), "PATH="+b.dir+string(os.PathListSeparator)+os.Getenv("PATH")),
		Stdout: p, Stderr: p, WaitDelay: time.Second,
		SysProcAttr: &syscall.SysProcAttr{
			Setpgid:   true, // an interrupt is for the bench, which ends them in order
			Pdeathsig: syscall.SIGKILL,
		},
	}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Pdeathsig is about the thread that started it
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		p.exit = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

// environ is the environment without what would set flags: what is measured is set
// up by the bench alone.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "FUNCATRON_") })
}

// child starts one of the bench's own.
func (b *Bench) child(name string, args ...string) (*process, error) {
	return b.start(name, b.self, childPrefix+name, args...)
}

// Write takes the process's output.
func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.text) < maxOutput {
		p.text = append(p.text, text...)
		close(p.changed)
		p.changed = make(chan struct{})
	}
	return len(text), nil
}

// says waits until pattern occurs in the output, and returns its submatches.
func (p *process) says(ctx context.Context, pattern string) ([]string, error) {
	re := regexp.MustCompile(pattern)
	limit := time.NewTimer(startTime)
	defer limit.Stop()
	for ended := false; ; {
		p.mu.Lock()
		match, changed := re.FindSubmatch(p.text), p.changed
		p.mu.Unlock()
		if match != nil {
			var all []string
			for _, m := range match {
				all = append(all, string(m))
			}
			return all, nil
		}
		if ended {
			return nil, fmt.Errorf("%s ended (%v) before it said %q: %s", p.role, p.exit, pattern, p.lastWords())
		}
		select {
		case <-changed:
		case <-p.done:
			ended = true // what it wrote last may be there now
		case <-limit.C:
			return nil, fmt.Errorf("%s has not said %q within %v: %s", p.role, pattern, startTime, p.lastWords())
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// lastWords are the last lines of the output.
func (p *process) lastWords() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(p.text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}

// target is where one of the bench's own servers listens.
func (p *process) target(ctx context.Context) (load.Target, error) {
	m, err := p.says(ctx, `listening on (\S+)\n`)
	if err != nil {
		return load.Target{}, err
	}
	return at(m[1]), nil
}

// stop ends the process. Calling it again is harmless.
func (p *process) stop() {
	select {
	case <-p.done:
		return
	default:
	}
	_ = syscall.Kill(p.pid, syscall.SIGTERM) // it is ours until done is closed
	limit := time.NewTimer(stopTime)
	defer limit.Stop()
	select {
	case <-p.done:
		return
	case <-limit.C:
	}
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	<-p.done
}
