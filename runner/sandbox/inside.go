package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"
)

// Of Linux, where package syscall has them not (prctl(2), close_range(2),
// getrlimit(2)).
const (
	prSetPdeathsig    = 1
	prSetNoNewPrivs   = 38
	prCapAmbient      = 47
	capAmbientClear   = 4
	sysCloseRange     = 436
	closeRangeCloexec = 4
	rlimitNproc       = 6
)

// An init, and not a function that main calls: what other packages do at their
// start takes longer than all this, and may write to what is the function's
// output. It comes early because it needs next to nothing that is not initialized
// before it.
func init() {
	if len(os.Args) < 2 || os.Args[0] != name {
		return
	}
	syscall.CloseOnExec(reportFD)
	runtime.LockOSThread() // some of it is of the thread that becomes the program
	err := become(os.Args)
	if err != nil {
		_, _ = syscall.Write(reportFD, []byte(err.Error())) // who started it reads this, or is gone
		os.Exit(126)
	}
	os.Exit(0)
}

// become returns when args ask for no other program, or with what went wrong.
func become(args []string) error {
	if args[1] == doKill && len(args) == 4 {
		return killAll(args[2], args[3])
	}
	if len(args) < fixedArgs {
		return errors.New("BUG: sandbox: too few arguments")
	}
	var n [9]int64
	for _, i := range []int{2, 3, 4, 5, 6, 8} {
		v, err := strconv.ParseInt(args[i], 10, 64)
		if err != nil {
			return fmt.Errorf("BUG: sandbox: argument %d: %w", i, err)
		}
		n[i] = v
	}
	parent, user, memory, files, processes := int(n[2]), int(n[3]), n[4], n[5], n[6]

	syscall.Umask(0o077)
	if err := limit(syscall.RLIMIT_CORE, 0); err != nil {
		return fmt.Errorf("turn core dumps off: %w", err)
	}
	if files > 0 {
		if err := limit(syscall.RLIMIT_NOFILE, uint64(files)); err != nil {
			return fmt.Errorf("limit open files to %d: %w", files, err)
		}
	}
	if args[7] != "" {
		if err := os.WriteFile(args[7], []byte(args[8]), 0); err != nil {
			return fmt.Errorf("limit processes: %w", err)
		}
	}
	if user != 0 {
		if err := drop(user, user, user); err != nil {
			return err
		}
	}
	// A change of user has taken it back.
	if err := prctl(prSetPdeathsig, uintptr(syscall.SIGKILL), 0); err != nil {
		return fmt.Errorf("die with the parent: %w", err)
	}
	if os.Getppid() != parent {
		return errors.New("the parent is gone")
	}
	if err := prctl(prCapAmbient, capAmbientClear, 0); err != nil && !errors.Is(err, syscall.EINVAL) { // Linux before 4.3 has none
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	if err := prctl(prSetNoNewPrivs, 1, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := closeOnExec(); err != nil {
		return fmt.Errorf("close inherited files: %w", err)
	}
	if args[1] == doTry {
		return nil
	}
	// Past these this process itself may get neither thread nor memory.
	if processes > 0 {
		if err := limitRaw(rlimitNproc, uint64(processes)); err != 0 {
			return fmt.Errorf("limit processes to %d: %w", processes, err)
		}
	}
	env := os.Environ()
	if memory > 0 {
		if err := limitRaw(syscall.RLIMIT_DATA, uint64(memory)); err != 0 {
			return fmt.Errorf("limit memory to %d bytes: %w", memory, err)
		}
	}
	return syscall.Exec(args[9], args[fixedArgs:], env)
}

// drop gives this process's privileges up for good.
func drop(real, effective, saved int) error {
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("leave all groups: %w", err)
	}
	if err := syscall.Setresgid(real, effective, saved); err != nil {
		return fmt.Errorf("become group %d: %w", effective, err)
	}
	if err := syscall.Setresuid(real, effective, saved); err != nil {
		return fmt.Errorf("become user %d: %w", effective, err)
	}
	var r, e, s int32
	_, _, errno := syscall.RawSyscall(syscall.SYS_GETRESUID, uintptr(unsafe.Pointer(&r)), uintptr(unsafe.Pointer(&e)), uintptr(unsafe.Pointer(&s)))
	if errno != 0 || int(r) != real || int(e) != effective || int(s) != saved || syscall.Setuid(0) == nil {
		return fmt.Errorf("become user %d: it is still %d, %d, %d", effective, r, e, s)
	}
	return nil
}

// killAll kills every process of user, at once: none of them can fork and get away.
// other is a user that has no processes. As that one's nobody can kill us first.
func killAll(user, other string) error {
	u, err := strconv.Atoi(user)
	o, err2 := strconv.Atoi(other)
	if err != nil || err2 != nil || u < MinUser || o < MinUser {
		return errors.New("BUG: sandbox: no users: " + user + ", " + other)
	}
	if err := drop(o, u, o); err != nil {
		return err
	}
	if err := syscall.Kill(-1, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) && !errors.Is(err, syscall.EPERM) { // there is none
		return fmt.Errorf("kill all processes of user %d: %w", u, err)
	}
	return nil
}

func prctl(option int, arg2, arg3 uintptr) error {
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, uintptr(option), arg2, arg3, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// limit sets a limit that we may not have the right to raise again. One that is
// lower already stays.
func limit(resource int, most uint64) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(resource, &l); err != nil {
		return err
	}
	l.Max = min(l.Max, most)
	l.Cur = l.Max
	return syscall.Setrlimit(resource, &l)
}

// limitRaw is limit where nothing may be allocated any more.
func limitRaw(resource int, most uint64) syscall.Errno {
	l := syscall.Rlimit{Cur: most, Max: most}
	var old syscall.Rlimit
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, 0, uintptr(resource), 0, uintptr(unsafe.Pointer(&old)), 0, 0); errno != 0 {
		return errno
	}
	l.Max = min(l.Max, old.Max)
	l.Cur = l.Max
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, 0, uintptr(resource), uintptr(unsafe.Pointer(&l)), 0, 0, 0)
	return errno
}

// closeOnExec has everything but standard input and outputs closed by exec.
func closeOnExec() error {
	_, _, errno := syscall.RawSyscall(sysCloseRange, 3, 1<<31-1, closeRangeCloexec)
	if errno == 0 {
		return nil
	}
	open, err := os.ReadDir("/proc/self/fd") // Linux before 5.11
	if err != nil {
		return err
	}
	for _, f := range open {
		if fd, err := strconv.Atoi(f.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}
