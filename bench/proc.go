package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/funcatron/funcatron/bench/report"
	"github.com/funcatron/funcatron/shared/version"
)

// tick is the unit of processor time in /proc (USER_HZ, time(7)): the same on every
// Linux that Go runs on.
const tick = 10 * time.Millisecond

// stat is what /proc/pid/stat says of a process (proc_pid_stat(5)).
type stat struct {
	parent int
	cpu    time.Duration // used so far
}

func statOf(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(text)
}

func parseStat(text []byte) (stat, error) {
	end := bytes.LastIndexByte(text, ')') // the name before it may hold anything
	fields := bytes.Fields(text[end+1:])
	if end < 0 || len(fields) < 13 {
		return stat{}, fmt.Errorf("read process state: %.40q is none", text)
	}
	var n [3]int64
	for i, field := range []int{1, 11, 12} { // ppid, utime, stime: the first after the name is number 3
		v, err := strconv.ParseInt(string(fields[field]), 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("read process state: %w", err)
		}
		n[i] = v
	}
	return stat{parent: int(n[0]), cpu: time.Duration(n[1]+n[2]) * tick}, nil
}

// machineCPU is the processor time that the whole machine has used (proc_stat(5)).
func machineCPU() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := bytes.Cut(text, []byte{'\n'})
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, fmt.Errorf("read /proc/stat: %.60q is unknown", line)
	}
	var sum int64
	for _, i := range []int{1, 2, 3, 6, 7, 8} { // user, nice, system, irq, softirq, steal; not idle, iowait
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read /proc/stat: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}

// pids lists the processes of the machine.
func pids() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, pid)
		}
	}
	return all, nil
}

// descendants are the processes that pid, and they, started.
func descendants(pid int) ([]int, error) {
	all, err := pids()
	if err != nil {
		return nil, err
	}
	children := make(map[int][]int)
	for _, p := range all {
		if st, err := statOf(p); err == nil { // else it has ended
			children[st.parent] = append(children[st.parent], p)
		}
	}
	var found []int
	for next := children[pid]; len(next) > 0; {
		p := next[0]
		next = append(next[1:], children[p]...)
		found = append(found, p)
	}
	return found, nil
}

// environment is the value of a variable in a process's environment.
func environment(pid int, name string) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return "", err
	}
	for entry := range strings.SplitSeq(string(text), "\x00") {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value, nil
		}
	}
	return "", fmt.Errorf("process %d has no %s", pid, name)
}

// resident is the memory of a process that is in RAM, in bytes.
func resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return kilobytes(text, "VmRSS:")
}

// kilobytes finds "name 123 kB".
func kilobytes(text []byte, name string) (int64, error) {
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == name {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no %s", name)
}

// listenerOf finds the process that listens at the URL's address on this machine; 0
// is none.
func listenerOf(rawURL string) int {
	u, err := url.Parse(rawURL)
	if err != nil {
		return 0
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return 0
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		port = 5672
	}
	pid, err := listener(port)
	if err != nil {
		return 0 // we may not look into its /proc
	}
	return pid
}

// listener finds the process that listens on a TCP port (proc_pid_net(5)).
func listener(port int) (int, error) {
	var inode string
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // no IPv6
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				inode = f[9]
			}
		}
	}
	if inode == "" {
		return 0, fmt.Errorf("nobody listens on port %d", port)
	}
	all, err := pids()
	if err != nil {
		return 0, err
	}
	for _, pid := range all {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)) // the pattern is right
		for _, fd := range fds {
			if to, err := os.Readlink(fd); err == nil && to == "socket:["+inode+"]" {
				return pid, nil
			}
		}
	}
	return 0, errors.New("the process that listens is not to be seen")
}

// machine describes what the bench runs on. What cannot be found out is left empty.
func machine() report.Machine {
	m := report.Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Revision: revision()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.Memory, _ = kilobytes(text, "MemTotal:") // 0 where it is not said
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		if f := strings.Fields(string(text)); len(f) >= 3 {
			m.Load = strings.Join(f[:3], " ")
		}
	}
	return m
}

// revision is the version, and whether it was built from changed files.
func revision() string {
	r := version.String()
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.modified" && s.Value == "true" {
				r += ", changed"
			}
		}
	}
	return r
}
