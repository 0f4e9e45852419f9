package logline

import (
	"io"
	"sync"
)

// Writer writes functions' lines: those of the text form always have operation,
// GIT and REQ in brackets. It may be used by many goroutines at once. Where a
// Handler writes to the same io.Writer, that one must keep whole what a single
// Write brings, as an *os.File does.
type Writer struct{ out output }

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer, f Format) *Writer {
	return &Writer{output{format: f, w: w}}
}

// Write writes l, and keeps nothing of it. That the line could not be written is
// nowhere to be logged, so that nothing says so.
func (w *Writer) Write(l *Line) {
	buf := takeBuffer()
	defer buf.giveBack()
	if w.out.format == JSON {
		buf.b = AppendJSON(buf.b, l)
	} else {
		buf.b = appendTextHead(buf.b, l, true)
		for _, a := range l.Attrs {
			buf.b = appendTextAttr(buf.b, "", a)
		}
		buf.b = append(buf.b, '\n')
	}
	_ = w.out.write(buf.b)
}

// output is where whole lines go, one at a time.
type output struct {
	format Format
	mu     sync.Mutex
	w      io.Writer // a line at a time, under mu
}

func (o *output) write(line []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, err := o.w.Write(line)
	return err
}

// buffer holds one line while it is made. Whoever takes one gives it back in the
// same function.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 512)} }}

func takeBuffer() *buffer { return buffers.Get().(*buffer) }

// giveBack lets go of the rare large buffer, so that the pool does not grow to
// many times the longest line.
func (b *buffer) giveBack() {
	if cap(b.b) <= 64<<10 {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}
