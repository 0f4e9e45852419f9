package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// readSize is what one read takes at most.
const readSize = 64 << 10

// maxBroken is how many connections may break one after the other before the
// target is given up.
const maxBroken = 1000

// conn is one connection and the request that is in it.
type conn struct {
	fd    int
	turn  int           // of the next request
	busy  bool          // a request is in it
	since time.Duration // busy: since when its request was due; else since when it is free
	out   []byte        // what is left to be sent of the request
	in    response
}

// loop is one thread's share of a run. Times are since the run's beginning.
type loop struct {
	opts   *Options
	domain int
	sa     unix.Sockaddr
	epoll  int
	timer  int // a timerfd: epoll's own timeout knows milliseconds only
	conns  []conn
	buf    []byte
	base   time.Time
	broken int // connections, one after the other

	open bool // an open loop: plan says when
	plan schedule
	free []int // idle connections, the last used one last

	from, to time.Duration // what is measured
	sending  bool
	result   Result
}

func defaultLoops() int { return min(max(runtime.NumCPU()/4, 2), 8) }

// newLoop opens the connections of loop i. What it returns is to be closed, also
// with an error.
func newLoop(o *Options, i int) (*loop, error) {
	l := &loop{opts: o, epoll: -1, timer: -1, buf: make([]byte, readSize), result: *newResult(o.Duration)}
	n := o.Connections / o.Loops
	if i < o.Connections%o.Loops {
		n++
	}
	if l.open = o.Rate > 0; l.open {
		l.plan = newSchedule(o.Rate, i, o.Loops)
	}
	l.from, l.to = o.Warmup, o.Warmup+o.Duration
	var err error
	if l.domain, l.sa, err = resolve(o.Network, o.Address); err != nil {
		return l, err
	}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return l, fmt.Errorf("make epoll: %w", err)
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return l, fmt.Errorf("make timer: %w", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: timerEvent}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, l.timer, &ev); err != nil {
		return l, fmt.Errorf("watch timer: %w", err)
	}
	l.conns = make([]conn, n)
	for k := range l.conns {
		l.conns[k].fd = -1
	}
	for k := range l.conns {
		l.conns[k].turn = k*o.Loops + i // neighbours begin with different requests
		if err := l.dial(k); err != nil {
			return l, err
		}
	}
	return l, nil
}

// timerEvent marks the timer among the events; connections have their index.
const timerEvent = -1

func (l *loop) dial(k int) error {
	c := &l.conns[k]
	fd, err := dial(l.domain, l.sa)
	if err != nil {
		return err
	}
	c.fd = fd
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(k)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("watch connection: %w", err)
	}
	return nil
}

func (l *loop) close() {
	for k := range l.conns {
		if fd := l.conns[k].fd; fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	for _, fd := range []int{l.timer, l.epoll} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

func (l *loop) now() time.Duration { return time.Since(l.base) }

// run is the loop's life. It stays on one thread, whose processor time is its own.
func (l *loop) run(ctx context.Context, base time.Time) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.base = base
	began := threadCPU()
	measured, busy := time.Duration(-1), time.Duration(0) // processor time at from, and between from and to
	events := make([]unix.EpollEvent, 256)

	l.sending = true
	for k := range l.conns {
		l.conns[k].since = 0
		if l.open {
			l.free = append(l.free, k)
		} else if err := l.send(k, l.now()); err != nil {
			return err
		}
	}
	for {
		now := l.now()
		if measured < 0 && now >= l.from {
			measured = threadCPU()
		}
		if l.sending && now >= l.to {
			if l.open { // what was due while the last events were served
				if err := l.sendDue(l.to); err != nil {
					return err
				}
			}
			l.sending = false
			busy = threadCPU() - measured
		}
		if !l.sending && (now >= l.to+l.opts.Grace || l.idle()) || ctx.Err() != nil {
			break
		}
		if l.open && l.sending {
			if err := l.sendDue(now); err != nil {
				return err
			}
		}
		n, err := unix.EpollWait(l.epoll, events, l.patience(now))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for events: %w", err)
		}
		for _, ev := range events[:max(n, 0)] {
			if ev.Fd == timerEvent {
				continue
			}
			if err := l.event(int(ev.Fd), ev.Events); err != nil {
				return err
			}
		}
	}
	l.settle()
	l.result.Busy = busy.Seconds() / l.opts.Duration.Seconds()
	l.result.CPU = threadCPU() - began
	return nil
}

// patience is how long to wait for events, in milliseconds: until the next moment
// that this loop has to see.
func (l *loop) patience(now time.Duration) int {
	until := now + 50*time.Millisecond // to see ctx end
	for _, t := range []time.Duration{l.from, l.to, l.to + l.opts.Grace} {
		if t > now {
			until = min(until, t)
		}
	}
	return int((until - now + time.Millisecond - 1) / time.Millisecond)
}

// sendDue sends what is due and has a free connection, and sets the timer to what
// is due next. While no connection is free, answers are what the loop waits for.
func (l *loop) sendDue(now time.Duration) error {
	for len(l.free) > 0 {
		due := l.plan.due()
		if due >= l.to {
			return nil
		}
		if due > now {
			if now = l.now(); due > now { // sending took time
				return l.wakeIn(due - now)
			}
		}
		l.plan.take()
		k := l.free[len(l.free)-1]
		l.free = l.free[:len(l.free)-1]
		if due >= l.from {
			record(l.result.Lag, now-max(due, l.conns[k].since))
		}
		if err := l.send(k, due); err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) wakeIn(d time.Duration) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	if err := unix.TimerfdSettime(l.timer, 0, &spec, nil); err != nil {
		return fmt.Errorf("set timer: %w", err)
	}
	return nil
}

// idle tells whether no request is under way.
func (l *loop) idle() bool {
	for k := range l.conns {
		if l.conns[k].busy {
			return false
		}
	}
	return true
}

// send sends the connection's next request, which was due then.
func (l *loop) send(k int, due time.Duration) error {
	c := &l.conns[k]
	c.busy, c.since = true, due
	c.in.reset()
	c.out = l.opts.Requests[c.turn%len(l.opts.Requests)]
	c.turn++
	return l.push(k)
}

// push writes what the socket takes, and waits for room where it does not take all.
func (l *loop) push(k int) error {
	c := &l.conns[k]
	for len(c.out) > 0 {
		n, err := unix.Write(c.fd, c.out)
		switch {
		case n > 0:
			c.out = c.out[n:]
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return l.watch(k, unix.EPOLLIN|unix.EPOLLOUT)
		default:
			return l.lost(k)
		}
	}
	return nil
}

func (l *loop) watch(k int, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(k)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, l.conns[k].fd, &ev); err != nil {
		return fmt.Errorf("watch connection: %w", err)
	}
	return nil
}

// event serves what epoll says of a connection.
func (l *loop) event(k int, events uint32) error {
	c := &l.conns[k]
	if events&unix.EPOLLOUT != 0 && len(c.out) > 0 {
		if err := l.push(k); err != nil {
			return err
		}
		if len(c.out) == 0 && c.fd >= 0 {
			if err := l.watch(k, unix.EPOLLIN); err != nil {
				return err
			}
		}
	}
	if events&^unix.EPOLLOUT == 0 || c.fd < 0 {
		return nil
	}
	n, err := unix.Read(c.fd, l.buf)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil || n <= 0 {
		if err == nil && c.busy && c.in.ended() {
			return l.answered(k)
		}
		return l.lost(k)
	}
	if !c.busy {
		return l.lost(k) // nobody asked
	}
	used, whole, err := c.in.feed(l.buf[:n])
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if !whole {
		return nil
	}
	if used < n {
		return fmt.Errorf("answer: %w: %d bytes follow it", errResponse, n-used)
	}
	return l.answered(k)
}

// answered counts the answer and sends what is next.
func (l *loop) answered(k int) error {
	c := &l.conns[k]
	now := l.now()
	r := &l.result
	r.Total++
	l.broken = 0
	right := c.in.status == l.opts.Status || l.opts.Status == 0 && c.in.status/100 == 2
	if now >= l.from && now < l.to {
		r.Statuses[c.in.status]++
		if right {
			r.Answered++
		} else {
			r.Wrong++
		}
	}
	if c.since >= l.from && c.since < l.to {
		record(r.Latency, now-c.since)
	}
	c.busy, c.since = false, now
	if c.in.closing {
		l.hangUp(k)
		if err := l.redial(k); err != nil {
			return err
		}
	}
	return l.next(k, now)
}

// next gives the connection something to do.
func (l *loop) next(k int, now time.Duration) error {
	switch {
	case !l.sending || now >= l.to:
		return nil
	case !l.open:
		return l.send(k, now)
	case l.plan.due() <= now && l.plan.due() < l.to: // it has waited for a connection
		return l.send(k, l.plan.take())
	}
	l.free = append(l.free, k)
	return nil
}

func (l *loop) hangUp(k int) {
	_ = unix.Close(l.conns[k].fd) // which takes it out of the epoll, too
	l.conns[k].fd = -1
}

// lost opens a connection anew that broke. Its request counts with the time until
// then, and is not sent again.
func (l *loop) lost(k int) error {
	c := &l.conns[k]
	now := l.now()
	wasBusy := c.busy
	if wasBusy {
		if now >= l.from && now < l.to {
			l.result.Broken++
		}
		if c.since >= l.from && c.since < l.to {
			record(l.result.Latency, now-c.since)
		}
	}
	c.busy, c.since, c.out = false, now, nil
	l.hangUp(k)
	if l.broken++; l.broken > maxBroken {
		return errors.New("the target closes every connection")
	}
	if !l.sending {
		return nil
	}
	if err := l.redial(k); err != nil {
		return err
	}
	if !wasBusy {
		return nil // it is idle, and known as such
	}
	return l.next(k, now)
}

func (l *loop) redial(k int) error {
	if err := l.dial(k); err != nil {
		return fmt.Errorf("connect again: %w", err)
	}
	return nil
}

// settle counts what was not answered, and what was due and never sent.
func (l *loop) settle() {
	end := l.now()
	for k := range l.conns {
		c := &l.conns[k]
		if c.busy && c.since >= l.from && c.since < l.to {
			l.result.Unanswered++
			record(l.result.Latency, end-c.since)
		}
	}
	if !l.open {
		return
	}
	for l.plan.due() < l.to {
		if due := l.plan.take(); due >= l.from {
			l.result.Unsent++
			record(l.result.Latency, max(l.to-due, 0))
		}
	}
}

// threadCPU is the processor time of the calling thread.
func threadCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return 0 // it only fails for arguments that are wrong
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
