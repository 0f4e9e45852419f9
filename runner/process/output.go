package process

import (
	"bufio"
	"errors"
	"os"
	"time"
)

// MaxLine is where lines of output are cut, in bytes.
const MaxLine = 64 << 10

// A stream may be read at outputRate for ever, and outputBurst ahead of that; a
// process that writes more waits for its pipe. Each line counts lineCost bytes
// more than it has, since short ones are the dear ones to us.
const (
	outputRate  = 8 << 20 // bytes a second
	outputBurst = 1 << 20 // bytes
	lineCost    = 128     // bytes
)

// read hands the lines of f to out until f ends.
func (p *Process) read(f *os.File, stderr bool, out func(bool, []byte)) {
	r := bufio.NewReaderSize(f, MaxLine)
	pace := pacer{allowance: outputBurst, last: time.Now()}
	for {
		line, err := r.ReadSlice('\n')
		read := len(line)
		if read > 0 {
			line = cutEnd(line)
			p.tail.add(line)
			if out != nil {
				out(stderr, line)
			}
		}
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a line that is too long
			p.wait(pace.spend(read))
			var rest []byte
			rest, err = r.ReadSlice('\n')
			read = len(rest)
		}
		if err != nil {
			return
		}
		p.wait(pace.spend(read + lineCost))
	}
}

// wait holds a reader back, but not once the process is gone: what its pipe holds
// by then is little.
func (p *Process) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.gone:
	}
}

// cutEnd takes the line end off line: LF, or CR LF.
func cutEnd(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
		if n > 1 && line[n-2] == '\r' {
			line = line[:n-2]
		}
	}
	return line
}

// pacer is a token bucket of bytes.
type pacer struct {
	allowance float64
	last      time.Time
}

// spend takes n bytes and says how long to wait before the next ones.
func (b *pacer) spend(n int) time.Duration {
	b.allowance -= float64(n)
	if b.allowance > 0 {
		return 0 // the clock is read only when the burst is used up
	}
	now := time.Now()
	b.allowance = min(b.allowance+now.Sub(b.last).Seconds()*outputRate, outputBurst)
	b.last = now
	if b.allowance >= 0 {
		return 0
	}
	return time.Duration(-b.allowance / outputRate * float64(time.Second))
}
