// Package process runs one child process and everything that it starts.
//
// A Process that Start returned is waited for by exactly one goroutine. When its
// Done is closed the child is reaped, what was left of its process group is
// killed, whoever else still carries its mark is killed as well, and its output
// has been read to the end. No signal is ever sent to a process id that the
// kernel may have given to a stranger meanwhile.
//
// The child dies with us, even when we are killed: Pdeathsig sees to that. It
// is bound to the thread that started the child, so that thread does nothing
// else for the child's life (golang/go#27505).
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// outputGrace is how long output is read after everything that we know of is
// dead. Only a process that shed group, session and environment can hold the
// pipe that long.
const outputGrace = time.Second

// Spec says what to start.
type Spec struct {
	Path string   // of the executable
	Args []string // argv, the program's name first
	Dir  string
	Env  []string // the whole environment

	// Mark is the beginning of an entry of Env that no other process has:
	// "NAME=value". Descendants that left the process group are found by it, and
	// killed when the process ends. "" looks for none.
	Mark string

	// Output gets each line of standard output and standard error, without its
	// end and cut at MaxLine bytes, on one goroutine a stream. It must not keep
	// line. While it blocks, so does the writer of that stream.
	Output func(stderr bool, line []byte)
}

// Process is a running child.
type Process struct {
	pid  int
	gone chan struct{} // closed when the child has exited; its output may still be read
	done chan struct{} // closed at the very end; exit is readable then
	exit error
	tail tail

	mu     sync.Mutex
	reaped bool // under mu: the process id may be a stranger's now
}

// Start starts s. The error says why there is no process.
func Start(s Spec) (*Process, error) {
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Path, err)
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		_ = outR.Close()
		_ = outW.Close()
		return nil, fmt.Errorf("start %s: %w", s.Path, err)
	}
	cmd := &exec.Cmd{
		Path: s.Path,
		Args: s.Args,
		Dir:  s.Dir,
		Env:  s.Env,
		// Files rather than io.Writers: Wait then has no copying to wait for, so
		// that a grandchild which holds the pipe cannot hang it. WaitDelay says
		// so once more.
		Stdout:    outW,
		Stderr:    errW,
		WaitDelay: time.Second,
		SysProcAttr: &syscall.SysProcAttr{
			Setpgid:   true,
			Pdeathsig: syscall.SIGKILL,
		},
	}
	if s.Env == nil {
		cmd.Env = []string{} // nil would be ours
	}
	p := &Process{gone: make(chan struct{}), done: make(chan struct{})}
	started := make(chan error, 1)
	go p.live(cmd, s, outR, errR, started)
	err = <-started
	_ = outW.Close()
	_ = errW.Close()
	if err != nil {
		_ = outR.Close()
		_ = errR.Close()
		return nil, fmt.Errorf("start %s: %w", s.Path, err)
	}
	return p, nil
}

// live is the child's life, on a thread of its own.
func (p *Process) live(cmd *exec.Cmd, s Spec, outR, errR *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil

	var readers sync.WaitGroup
	readers.Go(func() { p.read(outR, false, s.Output) })
	readers.Go(func() { p.read(errR, true, s.Output) })

	// The child stays a zombie until the group is killed: as long as it is one,
	// its id, which is the group's, belongs to nobody else.
	for {
		err := unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	close(p.gone)
	p.mu.Lock()
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	p.exit = cmd.Wait()
	p.reaped = true
	p.mu.Unlock()
	if s.Mark != "" {
		Sweep(s.Mark)
	}

	drained := make(chan struct{})
	go func() {
		readers.Wait()
		close(drained)
	}()
	grace := time.NewTimer(outputGrace)
	defer grace.Stop()
	select {
	case <-drained:
	case <-grace.C:
	}
	_ = outR.Close() // ends a reader that still waits
	_ = errR.Close()
	<-drained
	close(p.done)
}

// PID is the child's process id, and its group's.
func (p *Process) PID() int { return p.pid }

// Exited is closed when the child has exited. Done follows.
func (p *Process) Exited() <-chan struct{} { return p.gone }

// Done is closed when nothing is left of the process.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit says how the process ended: "exit status 1", "signal: killed". It waits
// for Done.
func (p *Process) Exit() string {
	<-p.done
	if p.exit == nil {
		return "exit status 0"
	}
	return p.exit.Error()
}

// Tail is the last lines of the process's output, both streams in the order
// they were read.
func (p *Process) Tail() []string { return p.tail.lines() }

// Stop asks the process group to finish with SIGTERM and kills it when ctx ends
// first. It returns when Done is closed. Calling it again is harmless.
func (p *Process) Stop(ctx context.Context) {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return
	case <-ctx.Done():
	}
	p.signal(syscall.SIGKILL)
	<-p.done
}

// signal reaches the whole group, or nobody once the child is reaped.
func (p *Process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(-p.pid, s)
	}
}

// tailLines and tailWidth bound what is kept for diagnosis.
const (
	tailLines = 50
	tailWidth = 1 << 10
)

// tail keeps the last lines of a process.
type tail struct {
	mu   sync.Mutex
	ring [tailLines][]byte // under mu; slots are used again
	next int               // under mu: lines ever added
}

func (t *tail) add(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := &t.ring[t.next%tailLines]
	*slot = append((*slot)[:0], line[:min(len(line), tailWidth)]...)
	t.next++
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for i := max(t.next-tailLines, 0); i < t.next; i++ {
		line := bytes.TrimRight(t.ring[i%tailLines], " \t\r")
		out = append(out, strings.ToValidUTF8(string(line), "\uFFFD"))
	}
	return out
}
