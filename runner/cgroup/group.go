package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Limits of a group. 0 sets none, and what the tree has no controller for is not
// set either.
type Limits struct {
	Memory int64 // bytes, without any swap
	CPU    int64 // thousandths of a processor
}

// Group is a control group for one process and what it starts.
type Group struct {
	tree *Tree
	dir  string
	file *os.File
}

// New makes the group of that name, which no other has.
func (t *Tree) New(name string, l Limits) (*Group, error) {
	g := &Group{tree: t, dir: filepath.Join(t.dir, t.name+name)}
	if err := t.mkdir(g.dir); err != nil {
		return nil, fmt.Errorf("make control group: %w", err)
	}
	if err := g.setUp(l); err != nil {
		return nil, errors.Join(err, g.Remove())
	}
	return g, nil
}

// cpuPeriod is the time in which a share of processors has to be kept, in
// microseconds: the kernel's default.
const cpuPeriod = 100_000

func (g *Group) setUp(l Limits) (err error) {
	if l.Memory > 0 && g.tree.Has(Memory) {
		err = write(g.dir, "memory.max", strconv.FormatInt(l.Memory, 10))
		// Without swap there is nothing to forbid.
		if swap := write(g.dir, "memory.swap.max", "0"); !errors.Is(swap, fs.ErrNotExist) {
			err = errors.Join(err, swap)
		}
		// All or none: half a function answers nobody.
		if whole := write(g.dir, "memory.oom.group", "1"); !errors.Is(whole, fs.ErrNotExist) { // Linux before 4.19
			err = errors.Join(err, whole)
		}
	}
	if l.CPU > 0 && g.tree.Has(CPU) {
		err = errors.Join(err, write(g.dir, "cpu.max", fmt.Sprintf("%d %d", l.CPU*cpuPeriod/1000, cpuPeriod)))
	}
	if err != nil {
		return err
	}
	if g.file, err = os.Open(g.dir); err != nil {
		return fmt.Errorf("open control group: %w", err)
	}
	return nil
}

// FD is what a process is started in the group with (clone(2), CLONE_INTO_CGROUP).
func (g *Group) FD() int { return int(g.file.Fd()) }

// PidsFile takes the limit on processes and threads. "" says that there is none.
func (g *Group) PidsFile() string {
	if !g.tree.Has(Pids) {
		return ""
	}
	return filepath.Join(g.dir, "pids.max")
}

// OutOfMemory says whether something in the group was killed because the group had
// reached its limit of memory.
func (g *Group) OutOfMemory() bool {
	fields := words(filepath.Join(g.dir, "memory.events"))
	i := slices.Index(fields, "oom_kill")
	return i >= 0 && i+1 < len(fields) && fields[i+1] != "0"
}

// Kill kills all that is in the group.
func (g *Group) Kill() error {
	err := write(g.dir, "cgroup.kill", "1")
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for range 20 { // Linux before 5.14; what forks faster than that stays
		pids := words(filepath.Join(g.dir, "cgroup.procs"))
		if len(pids) == 0 {
			break
		}
		for _, p := range pids {
			if pid, err := strconv.Atoi(p); err == nil && pid > 1 {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
			}
		}
	}
	return nil
}

// emptyTime is how long killed processes may take to leave a group.
const emptyTime = 5 * time.Second

// Remove removes the group, in which nothing may live any more. It waits for what
// was killed to be gone.
func (g *Group) Remove() error {
	if g.file != nil {
		_ = g.file.Close() // nothing was written to it
		g.file = nil
	}
	deadline := time.Now().Add(emptyTime)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := g.removeAll()
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("remove control group: %w", err)
		}
		<-time.After(pause)
	}
}

// removeAll removes the group, and those that somebody made in it.
func (g *Group) removeAll() error {
	var dirs []string
	_ = filepath.WalkDir(g.dir, func(path string, d fs.DirEntry, err error) error { // what it cannot enter, rmdir will tell
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := g.tree.rmdir(dirs[i]); err != nil {
			return err
		}
	}
	return nil
}
