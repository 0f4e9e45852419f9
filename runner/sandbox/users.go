package sandbox

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// MinUser is the least user id that may be given to functions: those below are a
// system's own.
const MinUser = 1000

// Users hands out the user ids of a range, none to two at once on this machine,
// whoever asks: each is locked by a file while it is used, and one that has
// processes already is passed over.
type Users struct {
	first, last int // first is nobody's: it is whose the killer is
	dir         string

	mu    sync.Mutex
	taken map[int]*os.File // under mu: by this process, with their locks
}

// User is a user id, and the same group id, for one deployment alone.
type User struct {
	ID    int
	users *Users
}

// ParseRange reads a range of user ids: "200000-265535".
func ParseRange(text string) (first, last int, err error) {
	a, b, _ := strings.Cut(text, "-")
	first, err = strconv.Atoi(a)
	if err == nil {
		last, err = strconv.Atoi(b)
	}
	const most = 1<<32 - 2 // the next means "no change" to the kernel
	if err != nil || first < MinUser || last > most || last <= first {
		return 0, 0, fmt.Errorf("%q is not a range of at least two user ids from %d on, like 200000-265535", text, MinUser)
	}
	return first, last, nil
}

// OpenUsers is for the range from first to last. The locks are in the first of dirs
// that can be had; all who share a machine have to name the same.
func OpenUsers(first, last int, dirs ...string) (*Users, error) {
	var errs []error
	for _, dir := range dirs {
		err := OwnFolder(dir, 0o700)
		if err == nil {
			return &Users{first: first, last: last, dir: dir, taken: make(map[int]*os.File)}, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("find a folder for locks of user ids: %w", errors.Join(errs...))
}

// OwnFolder makes the folder dir, where it is not there, and sees to it that nobody
// but us may write there.
func OwnFolder(dir string, mode os.FileMode) error {
	err := os.Mkdir(dir, mode)
	if err == nil {
		err = os.Chmod(dir, mode) // whatever the umask
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not a folder that only this user may write to", dir)
	}
	return nil
}

// Contains says whether id is one of the range that may be somebody's.
func (u *Users) Contains(id int) bool { return id > u.first && id <= u.last }

// Take gives a user that nobody has. For the same name it is the same one where
// that can be.
func (u *Users) Take(name string) (*User, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	count := u.last - u.first
	start := int(h.Sum32() % uint32(count))
	var last error
	for i := range count {
		user, err := u.TakeID(u.first + 1 + (start+i)%count)
		if err != nil {
			last = err
			continue
		}
		busy, err := running(user.ID)
		if err == nil && len(busy) == 0 {
			return user, nil
		}
		user.free()
		if last = err; err == nil {
			last = fmt.Errorf("user %d has processes", user.ID)
		}
	}
	return nil, fmt.Errorf("find a free user id from %d to %d (--function-uids): %w", u.first+1, u.last, last)
}

// TakeID gives the user of that id, whether or not it has processes; an error says
// that somebody else has it.
func (u *Users) TakeID(id int) (*User, error) {
	if !u.Contains(id) {
		return nil, fmt.Errorf("user id %d is not one for functions", id)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.taken[id] != nil {
		return nil, fmt.Errorf("user id %d is in use", id)
	}
	lock, err := os.OpenFile(filepath.Join(u.dir, strconv.Itoa(id)), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock user id: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("lock user id %d: %w", id, err)
	}
	u.taken[id] = lock
	return &User{ID: id, users: u}, nil
}

// Release kills every process of the user and gives it back. Where something is
// left nevertheless it stays taken, so that nobody else gets it.
func (u *User) Release() (killed int, err error) {
	killed, err = u.Kill()
	if err == nil {
		u.free()
	}
	return killed, err
}

func (u *User) free() {
	u.users.mu.Lock()
	defer u.users.mu.Unlock()
	_ = u.users.taken[u.ID].Close() // which unlocks it
	delete(u.users.taken, u.ID)
}

// killTime bounds the wait for killed processes to be gone.
const killTime = 5 * time.Second

// Kill kills every process of the user, and returns when they are gone.
func (u *User) Kill() (killed int, err error) {
	left, err := running(u.ID)
	if err != nil || len(left) == 0 {
		return 0, err
	}
	killed = len(left)
	deadline := time.Now().Add(killTime)
	for pause := time.Millisecond; len(left) > 0; pause = min(2*pause, 100*time.Millisecond) {
		cmd := exec.Cmd{Path: Self, Args: []string{name, doKill, strconv.Itoa(u.ID), strconv.Itoa(u.users.first)}, Dir: "/", Env: []string{}}
		r, w, err := os.Pipe()
		if err != nil {
			return killed, fmt.Errorf("kill processes of user %d: %w", u.ID, err)
		}
		cmd.ExtraFiles = []*os.File{w}
		err = cmd.Run()
		_ = w.Close()
		var why [256]byte
		n, _ := r.Read(why[:])
		_ = r.Close()
		if err != nil {
			return killed, fmt.Errorf("kill processes of user %d: %w: %s", u.ID, err, why[:n])
		}
		if left, err = running(u.ID); err != nil {
			return killed, err
		}
		if len(left) > 0 && time.Now().After(deadline) {
			return killed, fmt.Errorf("kill processes of user %d: %v are left", u.ID, left)
		}
		if len(left) > 0 {
			<-time.After(pause)
		}
	}
	return killed, nil
}

// running are the processes of a user, zombies not counted.
func running(id int) (pids []int, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for processes of user %d: %w", id, err)
	}
	want := strconv.Itoa(id)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		status, err := os.ReadFile(filepath.Join("/proc", e.Name(), "status"))
		if err != nil {
			continue // it has ended
		}
		for line := range strings.Lines(string(status)) {
			if state, ok := strings.CutPrefix(line, "State:\t"); ok && (state[0] == 'Z' || state[0] == 'X') {
				break
			}
			if uids, ok := strings.CutPrefix(line, "Uid:\t"); ok {
				for _, uid := range strings.Fields(uids) { // real, effective, saved, of the file system
					if uid == want {
						pids = append(pids, pid)
						break
					}
				}
				break
			}
		}
	}
	return pids, nil
}
