// Package cgroup puts each process into a control group of its own (cgroup v2),
// which bounds what it and all that it starts may use, and from which none of
// them can get away.
//
// What a Tree made is removed by its Close, or by the Clean of the next Tree of
// that name. Only this package writes to the groups, but for one file that Group
// names: a limit on processes that starting one would exceed.
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Controllers are what limits are enforced by.
const (
	Memory = "memory"
	CPU    = "cpu"
	Pids   = "pids"
)

var controllers = []string{Memory, CPU, Pids}

// Options say where groups are made.
type Options struct {
	// Parent is a control group, made where it is not there, in which nobody else
	// has processes. "" is the one that this process is in. Where that is this
	// process's alone, it moves to a group below it while the Tree is open: the
	// kernel wants processes in leaves only.
	Parent string
	Name   string // begins the names of all groups; nobody else's do

	// Family begins the names of this tree's groups and of those of others of its
	// kind, which may have been killed for good.
	Family string
}

// Tree makes control groups.
type Tree struct {
	dir     string
	name    string
	family  string
	has     []string // controllers that its groups have
	enabled []string // those that we have enabled
	leaf    string   // where this process moved to, "" where it did not
	made    bool     // dir is ours to remove

	mkdir func(path string) error // os.Mkdir, but for tests: the kernel fills a folder
	rmdir func(path string) error
}

// Open finds or makes the parent of all groups. An error says why there can be no
// groups.
func Open(o Options) (*Tree, error) {
	t := &Tree{
		name: o.Name, family: o.Family, dir: o.Parent,
		mkdir: func(path string) error { return os.Mkdir(path, 0o755) }, rmdir: os.Remove,
	}
	if t.dir == "" {
		var err error
		if t.dir, err = here(); err != nil {
			return nil, err
		}
	}
	if err := t.open(o.Parent != ""); err != nil {
		_ = t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Tree) open(given bool) error {
	if given {
		if err := t.mkdir(t.dir); err == nil {
			t.made = true
			_ = enable(filepath.Dir(t.dir)) // it has what it had
		} else if !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("make control group: %w", err)
		}
		if _, err := os.Stat(filepath.Join(t.dir, "cgroup.controllers")); err != nil {
			return fmt.Errorf("%s is no control group of version 2: %w", t.dir, err)
		}
	}
	if !given && len(missing(t.dir)) > 0 && t.alone() {
		if err := t.moveDown(); err != nil {
			return err
		}
	}
	t.enabled = enable(t.dir)
	t.has = words(filepath.Join(t.dir, subtree))
	// Whether one may make groups is known when one has made one.
	g, err := t.New("try", Limits{})
	if err != nil {
		return err
	}
	return g.Remove()
}

const subtree = "cgroup.subtree_control"

// missing are the controllers that dir has and the groups below it have not.
func missing(dir string) (some []string) {
	there, already := words(filepath.Join(dir, "cgroup.controllers")), words(filepath.Join(dir, subtree))
	for _, c := range controllers {
		if slices.Contains(there, c) && !slices.Contains(already, c) {
			some = append(some, c)
		}
	}
	return some
}

// enable gives the groups below dir the controllers that dir has, and says which of
// them they did not have before. Where there are processes in dir they get none:
// some could be had, but then no process could be in those groups (cgroups(7),
// thread mode).
func enable(dir string) (enabled []string) {
	if !isRoot(dir) && len(words(filepath.Join(dir, "cgroup.procs"))) > 0 {
		return nil
	}
	for _, c := range missing(dir) {
		if write(dir, subtree, "+"+c) == nil { // each for itself: one that is refused takes none along
			enabled = append(enabled, c)
		}
	}
	return enabled
}

// isRoot says that dir is the root of all groups, where other rules hold.
func isRoot(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "cgroup.type"))
	return errors.Is(err, os.ErrNotExist)
}

// alone says that no other process is in t.dir, which is not the root of all.
func (t *Tree) alone() bool {
	pids := words(filepath.Join(t.dir, "cgroup.procs"))
	return !isRoot(t.dir) && len(pids) == 1 && pids[0] == strconv.Itoa(os.Getpid())
}

// moveDown moves this process to a group below t.dir.
func (t *Tree) moveDown() error {
	leaf := filepath.Join(t.dir, t.name+"self")
	if err := t.mkdir(leaf); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	t.leaf = leaf
	return write(leaf, "cgroup.procs", strconv.Itoa(os.Getpid()))
}

// Has says whether the groups have a controller.
func (t *Tree) Has(controller string) bool { return slices.Contains(t.has, controller) }

// Dir is the parent of all groups.
func (t *Tree) Dir() string { return t.dir }

// lostAge is how long a group has to have been empty to be taken for lost: those
// that are in use are so for a moment, at their beginning and end.
const lostAge = time.Minute

// Clean kills what is in groups that an earlier life left, and removes them. It
// says how many those were. Of others in the family it removes those that nobody
// will ever miss.
func (t *Tree) Clean() (groups int, err error) {
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return 0, fmt.Errorf("look for old control groups: %w", err)
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(t.dir, e.Name())
		if !e.IsDir() || path == t.leaf {
			continue
		}
		if !strings.HasPrefix(e.Name(), t.name) {
			t.removeLost(path)
			continue
		}
		groups++
		g := &Group{tree: t, dir: path}
		errs = append(errs, g.Kill(), g.Remove())
	}
	return groups, errors.Join(errs...)
}

// removeLost removes the group path where it is of the family and lost. The kernel
// refuses where anything lives in it.
func (t *Tree) removeLost(path string) {
	if t.family == "" || !strings.HasPrefix(filepath.Base(path), t.family) {
		return
	}
	if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > lostAge && !populated(path) {
		_ = t.rmdir(path)
	}
}

// populated says whether anything lives in a group, or may.
func populated(path string) bool {
	events := words(filepath.Join(path, "cgroup.events"))
	i := slices.Index(events, "populated")
	return i < 0 || i+1 >= len(events) || events[i+1] != "0"
}

// Close takes back what Open did. The groups must have been removed.
func (t *Tree) Close() error {
	var errs []error
	if t.leaf != "" || t.made {
		for _, c := range t.enabled {
			errs = append(errs, write(t.dir, subtree, "-"+c))
		}
	}
	if t.leaf != "" {
		errs = append(errs, write(t.dir, "cgroup.procs", strconv.Itoa(os.Getpid())), t.rmdir(t.leaf))
	}
	if t.made {
		errs = append(errs, t.rmdir(t.dir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("give control groups back: %w", err)
	}
	return nil
}

// write writes to a file of a control group, which is there.
func write(dir, file, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("set up control group: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s to control group: %w", text, err)
	}
	return nil
}

// words are those of a file, none where it cannot be read.
func words(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}
