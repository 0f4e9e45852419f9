// Package process runs one child process and everything that it starts, in a
// sandbox.
//
// A Process that Start returned is waited for by exactly one goroutine. When its
// Done is closed the child is reaped, what was left of its process group is
// killed, whatever else is in its control group or carries its mark is killed as
// well, the group is removed, and its output has been read to the end. No signal is ever sent to a process id that the
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
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/funcatron/funcatron/runner/cgroup"
	"github.com/funcatron/funcatron/runner/sandbox"
	"github.com/funcatron/funcatron/shared/quantity"
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

	// Jail is what the child is kept from.
	Jail sandbox.Jail
	// Group is the control group that the child starts in; it is Start's to remove,
	// whatever that returns. nil is ours.
	Group *cgroup.Group

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
	oom  bool  // readable then, too
	data int64 // limit of its memory that says nothing when it is reached; 0 for none
	tail tail

	mu     sync.Mutex
	reaped bool // under mu: the process id may be a stranger's now
}

// Start starts s. The error says why there is no process.
func Start(s Spec) (*Process, error) {
	p, err := launch(s, s.Jail.Args(os.Getpid(), s.Path, s.Args))
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Path, err)
	}
	return p, nil
}

// Try goes to the jail and the group of s, and starts nothing there. The error says
// why no process of that kind can be started.
func Try(s Spec) error {
	p, err := launch(s, s.Jail.TryArgs(os.Getpid()))
	if err != nil {
		return err
	}
	if exit := p.Exit(); p.exit != nil {
		return fmt.Errorf("%s: %s", exit, strings.Join(p.Tail(), "; "))
	}
	return nil
}

// launch starts ourselves with args, to become the child, and returns when it has.
func launch(s Spec, args []string) (*Process, error) {
	var ends [6]*os.File // of standard output, standard error, and the report: read, write
	for i := 0; i < len(ends); i += 2 {
		var err error
		if ends[i], ends[i+1], err = os.Pipe(); err != nil {
			closeAll(ends[:i])
			return nil, errors.Join(err, end(s.Group))
		}
	}
	outR, outW, errR, errW, reportR, reportW := ends[0], ends[1], ends[2], ends[3], ends[4], ends[5]
	cmd := &exec.Cmd{
		Path: sandbox.Self,
		Args: args,
		Dir:  s.Dir,
		Env:  s.Env,
		// Files rather than io.Writers: Wait then has no copying to wait for, so
		// that a grandchild which holds the pipe cannot hang it. WaitDelay says
		// so once more.
		Stdout:     outW,
		Stderr:     errW,
		WaitDelay:  time.Second,
		ExtraFiles: []*os.File{reportW},
		SysProcAttr: &syscall.SysProcAttr{
			Setsid:    true, // and so a group: it gets at no terminal of ours
			Pdeathsig: syscall.SIGKILL,
		},
	}
	if s.Group != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, s.Group.FD()
	}
	if s.Env == nil {
		cmd.Env = []string{} // nil would be ours
	}
	p := &Process{gone: make(chan struct{}), done: make(chan struct{}), data: s.Jail.Memory}
	started := make(chan error, 1)
	go p.live(cmd, s, outR, errR, started)
	err := <-started
	closeAll([]*os.File{outW, errW, reportW})
	if err != nil {
		closeAll([]*os.File{outR, errR, reportR})
		return nil, errors.Join(err, end(s.Group))
	}
	report, _ := io.ReadAll(io.LimitReader(reportR, maxReport)) // it ends when the child has become what it is to be, or is gone
	_ = reportR.Close()
	if len(report) > 0 {
		<-p.done
		return nil, errors.New(string(report))
	}
	return p, nil
}

// maxReport bounds what a child says of why it could not start, in bytes.
const maxReport = 4 << 10

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // a pipe's end: nothing is lost
	}
}

// end kills what is in the group g and removes it.
func end(g *cgroup.Group) error {
	if g == nil {
		return nil
	}
	return errors.Join(g.Kill(), g.Remove())
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
	if s.Group != nil {
		p.oom = s.Group.OutOfMemory()
		_ = end(s.Group) // what is left goes at the next start
	}
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
	switch {
	case p.exit == nil:
		return "exit status 0"
	case p.oom:
		return p.exit.Error() + ", out of memory"
	case p.data > 0: // nobody knows whether that was it
		return p.exit.Error() + ", with memory limited to " + quantity.Bytes(p.data)
	}
	return p.exit.Error()
}

// Succeeded says that it ended with status 0. It waits for Done.
func (p *Process) Succeeded() bool {
	<-p.done
	return p.exit == nil
}

// OutOfMemory says that the kernel killed it, or what it started, for that. It
// waits for Done.
func (p *Process) OutOfMemory() bool {
	<-p.done
	return p.oom
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
