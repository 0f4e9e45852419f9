package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// own finds the control group of version 2 that this process is in, among what
// /proc/self/cgroup and /proc/self/mountinfo say.
func own(cgroup, mountinfo string) (string, error) {
	path := ""
	for line := range strings.Lines(cgroup) {
		if p, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			path = strings.TrimSuffix(p, " (deleted)")
		}
	}
	if path == "" || path == "/.." || strings.HasPrefix(path, "/../") { // or outside what this namespace shows
		return "", errors.New("this process is in no control group of version 2")
	}
	for line := range strings.Lines(mountinfo) {
		mount, source, _ := strings.Cut(line, " - ")
		fields := strings.Fields(mount)
		if len(fields) < 5 || !strings.HasPrefix(source, "cgroup2 ") {
			continue
		}
		root, point := unescape(fields[3]), unescape(fields[4])
		below, err := filepath.Rel(root, path)
		if err != nil || !filepath.IsLocal(below) {
			continue // it shows another part of the tree
		}
		return filepath.Join(point, below), nil
	}
	return "", fmt.Errorf("no file system of control groups version 2 shows %s", path)
}

// unescape reads a path of mountinfo (proc_pid_mountinfo(5)).
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// here is own of this process.
func here() (string, error) {
	cgroup, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("find own control group: %w", err)
	}
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("find own control group: %w", err)
	}
	return own(string(cgroup), string(mountinfo))
}
