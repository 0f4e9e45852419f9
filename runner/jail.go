package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/funcatron/funcatron/runner/cgroup"
	"github.com/funcatron/funcatron/runner/process"
	"github.com/funcatron/funcatron/runner/sandbox"
	"github.com/funcatron/funcatron/shared/quantity"
	"github.com/funcatron/funcatron/shared/swagger"
)

// groupFamily begins the names of every Runner's control groups.
const groupFamily = "funcatron-"

// none turns user ids or control groups off.
const none = "none"

// uidLocks are where user ids are locked, for all Runners of a machine: the first
// that can be had.
var uidLocks = []string{"/run/funcatron-uids", "/var/lib/funcatron-uids", filepath.Join(os.TempDir(), "funcatron-uids")}

// jails is what this Runner keeps its functions in.
type jails struct {
	users  *sandbox.Users // nil: functions are of the Runner's own user
	groups *cgroup.Tree   // nil: there are no control groups
	memory int64          // bytes that a process may have at most; 0 is no limit
	log    *slog.Logger
}

// openUsers gets at the user ids for functions; only root can give them to anybody.
func openUsers(o Options) (*sandbox.Users, error) {
	if os.Geteuid() != 0 || o.FunctionUIDs == none {
		return nil, nil
	}
	first, last, err := sandbox.ParseRange(o.FunctionUIDs)
	if err != nil {
		panic("BUG: options are validated: " + err.Error())
	}
	return sandbox.OpenUsers(first, last, uidLocks...)
}

// open makes control groups, where that can be, and starts a process in a jail to
// see that it can. name is this state folder's alone.
func (j *jails) open(parent, name string) error {
	var whyNot error
	if parent == none {
		whyNot = errors.New("--cgroup-parent says so")
	} else {
		j.groups, whyNot = cgroup.Open(cgroup.Options{Parent: parent, Name: name, Family: groupFamily})
	}
	if j.groups != nil {
		if _, err := j.groups.Clean(); err != nil {
			j.log.Warn("control groups of an earlier life are left", "err", err)
		}
		if whyNot = j.try(true); whyNot != nil {
			j.close()
			j.groups = nil
		}
	}
	if whyNot != nil && parent != "" && parent != none {
		return fmt.Errorf("use control groups (--cgroup-parent %s): %w", parent, whyNot)
	}
	if j.groups == nil {
		if err := j.try(false); err != nil {
			if j.users != nil {
				err = fmt.Errorf("%w (--function-uids gives a range that this machine or container has, or %s to run functions as root)", err, none)
			}
			return fmt.Errorf("isolate functions: %w", err)
		}
	}
	switch {
	case j.users == nil && os.Geteuid() == 0:
		j.log.Warn("functions run as root: they can do anything here (--function-uids)")
	case j.users == nil:
		j.log.Info("functions run as this runner's own user, and are not isolated from each other or from it by user; that takes a runner started as root")
	}
	by := func(controller, otherwise string) string {
		if j.groups != nil && j.groups.Has(controller) {
			return "cgroup"
		}
		return otherwise
	}
	processes := "nothing"
	if j.users != nil {
		processes = "rlimit"
	}
	attrs := []any{"memory", by(cgroup.Memory, "rlimit"), "processes", by(cgroup.Pids, processes), "cpu", by(cgroup.CPU, "nothing")}
	if whyNot != nil {
		attrs = append(attrs, "no-cgroups", whyNot)
	}
	j.log.Info("limits of functions are enforced by", attrs...)
	return nil
}

// try starts a process as functions are started, which ends at once.
func (j *jails) try(inGroup bool) error {
	s := process.Spec{Dir: "/"}
	if j.users != nil {
		u, err := j.users.Take("try")
		if err != nil {
			return err
		}
		defer func() { _, _ = u.Release() }() // it has ended
		s.Jail.User = u.ID
	}
	if inGroup {
		g, err := j.groups.New("try", cgroup.Limits{})
		if err != nil {
			return err
		}
		s.Group, s.Jail.PidsFile, s.Jail.Pids = g, g.PidsFile(), 1
	}
	return process.Try(s)
}

func (j *jails) close() {
	if j.groups == nil {
		return
	}
	if err := j.groups.Close(); err != nil {
		j.log.Warn("control groups are left", "err", err)
	}
}

// limit fills in what rt leaves to this Runner, and says what it does not allow.
func (j *jails) limit(rt swagger.Runtime) (swagger.Runtime, error) {
	switch {
	case j.memory == 0:
	case rt.Memory == 0:
		rt.Memory = j.memory
	case rt.Memory > j.memory:
		return rt, fmt.Errorf("x-funcatron asks for memory: %s, and this runner gives a process %s at most (--function-memory)",
			quantity.Bytes(rt.Memory), quantity.Bytes(j.memory))
	}
	return rt, nil
}

// unenforced names the limits of rt that this machine cannot hold a function to.
func (j *jails) unenforced(rt swagger.Runtime) string {
	var all []string
	if rt.CPU > 0 && (j.groups == nil || !j.groups.Has(cgroup.CPU)) {
		all = append(all, "cpu")
	}
	if rt.Processes > 0 && (j.groups == nil || !j.groups.Has(cgroup.Pids)) && j.users == nil {
		all = append(all, "processes")
	}
	return strings.Join(all, ", ")
}

// confine sets up the jail of a process, which name distinguishes from all others.
func (j *jails) confine(s *process.Spec, name string, user *sandbox.User, rt swagger.Runtime) error {
	s.Jail = sandbox.Jail{Memory: rt.Memory, Files: rt.Files}
	if user != nil {
		s.Jail.User = user.ID
		s.Jail.Processes = rt.Processes * max(rt.Instances, 1) // they share the user
	}
	if j.groups == nil {
		return nil
	}
	g, err := j.groups.New(name, cgroup.Limits{Memory: rt.Memory, CPU: rt.CPU})
	if err != nil {
		return err
	}
	s.Group = g
	if j.groups.Has(cgroup.Memory) {
		s.Jail.Memory = 0
	}
	if file := g.PidsFile(); file != "" {
		s.Jail.Processes = 0
		if rt.Processes > 0 {
			s.Jail.PidsFile, s.Jail.Pids = file, rt.Processes
		}
	}
	return nil
}

// Who owns what a function meets on the disk. Without a user of its own all of it
// is the Runner's, and these do nothing.

// ownPrivate gives path, with all in it, to user alone.
func ownPrivate(path string, user *sandbox.User) error {
	if user == nil {
		return nil
	}
	return ownTree(path, func(p string, info fs.FileInfo) error {
		return os.Lchown(p, user.ID, user.ID)
	})
}

// ownReadOnly lets user, and nobody else but root, read path and all in it.
func ownReadOnly(path string, user *sandbox.User) error {
	if user == nil {
		return nil
	}
	return ownTree(path, func(p string, info fs.FileInfo) error {
		if err := os.Lchown(p, 0, user.ID); err != nil || info.Mode()&fs.ModeSymlink != 0 {
			return err
		}
		mode := info.Mode().Perm() &^ 0o027 // and what the owner may read, the group may
		return os.Chmod(p, mode|mode>>3&0o050)
	})
}

// ownEverybody takes path, and all in it, from user, and lets everybody read it. What
// is there must be the user's own: of what is another's it may have made a link.
func ownEverybody(path string, user *sandbox.User) error {
	if user == nil {
		return nil
	}
	return ownTree(path, func(p string, info fs.FileInfo) error {
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || int(st.Uid) != user.ID || !info.IsDir() && st.Nlink != 1 {
			return fmt.Errorf("%s is not the function's own", p)
		}
		if err := os.Lchown(p, 0, 0); err != nil || info.Mode()&fs.ModeSymlink != 0 {
			return err
		}
		mode := info.Mode().Perm() &^ 0o022
		return os.Chmod(p, mode|mode>>3&0o055|mode>>6&0o055)
	})
}

// ownTree calls own of path and all in it, what is in a folder before the folder:
// whoever gets that could put something else in its place.
func ownTree(path string, own func(path string, info fs.FileInfo) error) error {
	var all []string
	err := filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		all = append(all, p)
		return err
	})
	for i := len(all) - 1; i >= 0 && err == nil; i-- {
		var info fs.FileInfo
		if info, err = os.Lstat(all[i]); err == nil {
			err = own(all[i], info)
		}
	}
	if err != nil {
		return fmt.Errorf("hand over to the function's user: %w", err)
	}
	return nil
}

// reachable says whether everybody can get to path, a folder or a file, by the
// folders and links on the way.
func reachable(path string) bool {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	for {
		info, err := os.Stat(path)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		up := filepath.Dir(path)
		if up == path {
			return true
		}
		path = up
	}
}
