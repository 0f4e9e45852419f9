// Command inside is a function that tries what functions may not do, and answers
// with what became of it. The tests build it: it has to be a program without the
// race detector, whose memory knows no limits.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// kept is memory that stays in use.
var kept [][]byte

func main() {
	address := os.Getenv("FUNCATRON_SOCKET")
	network := "unix"
	if port := os.Getenv("PORT"); port != "" {
		network, address = "tcp", "127.0.0.1:"+port
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		panic(err)
	}
	fmt.Println("pid", os.Getpid())
	handle("/pid", func(string) (string, error) { return strconv.Itoa(os.Getpid()), nil })
	handle("/ids", func(string) (string, error) {
		groups, err := os.Getgroups()
		sid, _, errno := syscall.RawSyscall(syscall.SYS_GETSID, 0, 0, 0)
		return fmt.Sprintf("%d %d %v own session %t %d", os.Getuid(), os.Getgid(), groups, int(sid) == os.Getpid() && syscall.Getpgrp() == os.Getpid(), errno), err
	})
	handle("/env", func(name string) (string, error) { return os.Getenv(name), nil })
	handle("/dir", func(string) (string, error) { return os.Getwd() })
	handle("/read", func(path string) (string, error) {
		b, err := os.ReadFile(path)
		return string(b), err
	})
	handle("/list", func(path string) (string, error) {
		entries, err := os.ReadDir(path)
		return fmt.Sprint(entries), err
	})
	handle("/write", func(path string) (string, error) {
		return "", os.WriteFile(path, []byte("x"), 0o600)
	})
	handle("/remove", func(path string) (string, error) { return "", os.Remove(path) })
	handle("/mode", func(path string) (string, error) {
		info, err := os.Lstat(path)
		if err != nil {
			return "", err
		}
		st := info.Sys().(*syscall.Stat_t)
		return fmt.Sprintf("%v %d:%d", info.Mode(), st.Uid, st.Gid), nil
	})
	handle("/connect", func(path string) (string, error) {
		c, err := net.Dial("unix", path)
		if err == nil {
			err = c.Close()
		}
		return "", err
	})
	handle("/signal", func(pid string) (string, error) {
		n, err := strconv.Atoi(pid)
		if err != nil {
			return "", err
		}
		return "", syscall.Kill(n, 0)
	})
	handle("/trace", func(pid string) (string, error) {
		n, err := strconv.Atoi(pid)
		if err == nil {
			err = syscall.PtraceAttach(n)
		}
		return "", err
	})
	handle("/become", func(user string) (string, error) {
		n, err := strconv.Atoi(user)
		if err == nil {
			err = syscall.Setuid(n)
		}
		return "", err
	})
	handle("/files", func(string) (string, error) {
		for n := 0; n < 100_000; n++ {
			f, err := os.Open("/dev/null")
			if err != nil {
				return strconv.Itoa(n), err
			}
			defer f.Close()
		}
		return "100000", nil
	})
	handle("/processes", func(string) (string, error) {
		var all []*exec.Cmd
		defer func() {
			for _, c := range all {
				_ = c.Process.Kill()
				_ = c.Wait()
			}
		}()
		for n := range 1000 {
			c := exec.Command("/bin/sleep", "1000")
			if err := c.Start(); err != nil {
				return strconv.Itoa(n), err
			}
			all = append(all, c)
		}
		return "1000", nil
	})
	handle("/eat", func(mb string) (string, error) {
		n, err := strconv.Atoi(mb)
		for range n {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			kept = append(kept, b)
		}
		return "", err
	})
	handle("/escape", func(string) (string, error) { // what is left behind on purpose, by all means
		c := exec.Command("/bin/sh", "-c", "trap '' TERM; sleep 1000; sleep 1000")
		c.Env = []string{"PATH=/usr/bin:/bin"}
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		err := c.Start()
		if err == nil {
			fmt.Println("escaped", c.Process.Pid)
		}
		return "", err
	})
	handle("/mislead", func(to string) (string, error) { // puts another socket where its own was
		path := os.Getenv("FUNCATRON_SOCKET")
		err := os.Remove(path)
		if err == nil {
			err = os.Symlink(to, path)
		}
		return "", err
	})
	http.HandleFunc("/hangup", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	panic(http.Serve(ln, nil))
}

// handle answers with what try returns of the query's x.
func handle(path string, try func(x string) (string, error)) {
	http.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		out, err := try(r.URL.Query().Get("x"))
		if err != nil {
			fmt.Fprint(w, out, " error: ", err)
			return
		}
		fmt.Fprint(w, out)
	})
}
