package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A sweep ends after sweepRounds, or once it finds nothing: something that forks
// as fast as it is killed must not hold us for ever.
const (
	sweepRounds = 20
	sweepWait   = time.Second // for a killed process to go
)

// Sweep kills every process in whose environment some entry begins with mark,
// and returns how many those were. Processes that we may not look into are
// passed over. It is for what a killed Runner, or a child that made itself a
// session of its own, left behind.
func Sweep(mark string) int {
	killed := 0
	for range sweepRounds {
		found := 0
		entries, err := os.ReadDir("/proc")
		if err != nil {
			return killed
		}
		for _, e := range entries {
			pid, err := strconv.Atoi(e.Name())
			if err != nil || pid == os.Getpid() || !marked(pid, mark) {
				continue
			}
			if kill(pid, mark) {
				found++
			}
		}
		if found == 0 {
			break
		}
		killed += found
	}
	return killed
}

// kill kills pid if it still carries mark, and waits until it is gone. The
// descriptor names that very process, whatever becomes of its id.
func kill(pid int, mark string) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if !marked(pid, mark) {
		return false
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return false
	}
	deadline := time.Now().Add(sweepWait)
	for left := sweepWait; left > 0; left = time.Until(deadline) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err != unix.EINTR || n > 0 {
			break
		}
	}
	return true
}

// marked says whether an entry of pid's environment begins with mark. A zombie's
// is empty.
func marked(pid int, mark string) bool {
	env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false
	}
	return bytes.HasPrefix(env, []byte(mark)) || bytes.Contains(env, append([]byte{0}, mark...))
}
