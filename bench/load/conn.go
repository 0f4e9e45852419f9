package load

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// dialTime is how long a connection may take to open.
const dialTime = 5 * time.Second

// resolve finds the socket address of a target.
func resolve(network, address string) (domain int, sa unix.Sockaddr, err error) {
	if network == "unix" {
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: address}, nil
	}
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return 0, nil, err
	}
	if ip := a.IP.To4(); ip != nil {
		return unix.AF_INET, &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(ip)}, nil
	}
	if len(a.IP) != net.IPv6len {
		return 0, nil, fmt.Errorf("%s has no address", address)
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP)}, nil
}

// dial opens a connection that never blocks. It is not one of package net's, whose
// poller would be woken for each answer as well.
func dial(domain int, sa unix.Sockaddr) (fd int, err error) {
	fd, err = unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, unix.EMFILE) {
			return -1, fmt.Errorf("open socket: %w; ulimit -n is too low for so many connections", err)
		}
		return -1, fmt.Errorf("open socket: %w", err)
	}
	if err := connect(fd, sa); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("connect: %w", err)
	}
	if domain != unix.AF_UNIX {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			_ = unix.Close(fd)
			return -1, fmt.Errorf("set TCP_NODELAY: %w", err)
		}
	}
	return fd, nil
}

func connect(fd int, sa unix.Sockaddr) error {
	limit := time.Now().Add(dialTime)
	for {
		err := unix.Connect(fd, sa)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EAGAIN): // a Unix socket's backlog is full (connect(2))
			if time.Now().After(limit) {
				return err
			}
			time.Sleep(time.Millisecond)
		case errors.Is(err, unix.EINPROGRESS):
			poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			for {
				n, err := unix.Poll(poll, int(time.Until(limit).Milliseconds()))
				if errors.Is(err, unix.EINTR) {
					continue
				}
				if err != nil {
					return err
				}
				if n == 0 {
					return unix.ETIMEDOUT
				}
				break
			}
			code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
			if err != nil {
				return err
			}
			if code != 0 {
				return unix.Errno(code)
			}
			return nil
		case errors.Is(err, unix.EINTR):
		default:
			return err
		}
	}
}

// Held is a number of open connections.
type Held struct{ fds []int }

// Hold opens n connections to t and sends each the next of t's requests, if it has
// any. It reads nothing: the answers wait, or do not come before Close.
func Hold(t Target, n int) (*Held, error) {
	domain, sa, err := resolve(t.Network, t.Address)
	if err != nil {
		return nil, fmt.Errorf("hold connections: %w", err)
	}
	h := &Held{}
	for i := range n {
		fd, err := dial(domain, sa)
		if err == nil {
			h.fds = append(h.fds, fd)
			if len(t.Requests) > 0 {
				_, err = unix.Write(fd, t.Requests[i%len(t.Requests)])
			}
		}
		if err != nil {
			h.Close()
			return nil, fmt.Errorf("hold connection %d of %d to %s: %w", i+1, n, t.Address, err)
		}
	}
	return h, nil
}

// Close closes them all.
func (h *Held) Close() {
	for _, fd := range h.fds {
		_ = unix.Close(fd)
	}
	h.fds = nil
}
