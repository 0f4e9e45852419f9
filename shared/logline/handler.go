package logline

import (
	"context"
	"io"
	"log/slog"
	"slices"
)

// handler is an slog.Handler. It never changes: WithAttrs and WithGroup return
// others that share its output.
type handler struct {
	out   *output
	level slog.Leveler
	known Line // Where, Op, Git and Req of WithAttrs

	attrs  []byte   // WithAttrs' other attributes, as the format writes them
	groups []string // WithGroup's, outermost first
	opened int      // JSON: how many of groups have been opened in attrs
	prefix string   // Text: groups, each with its dot
}

// NewHandler returns a handler that writes the records of at least level to w, by
// one call of Write each. Outside of groups, the attribute "component" is the
// Line's Where, and "op", "git" and "req" are those of the Line; all others
// follow the message.
func NewHandler(w io.Writer, f Format, level slog.Leveler) slog.Handler {
	return &handler{out: &output{format: f, w: w}, level: level}
}

func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= h.level.Level()
}

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	l := h.known
	l.Time, l.Level, l.Msg = r.Time, levelName(r.Level), r.Message
	if len(h.groups) == 0 {
		r.Attrs(func(a slog.Attr) bool {
			takeKnown(&l, a)
			return true
		})
	}
	buf := takeBuffer()
	defer buf.giveBack()
	if h.out.format == JSON {
		buf.b = h.appendJSON(buf.b, &l, &r)
	} else {
		buf.b = h.appendText(buf.b, &l, &r)
	}
	return h.out.write(buf.b)
}

func (h *handler) appendText(dst []byte, l *Line, r *slog.Record) []byte {
	dst = appendTextHead(dst, l, l.Op != "" || l.Git != "" || l.Req != "")
	dst = append(dst, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		if !h.takes(a) {
			dst = appendTextAttr(dst, h.prefix, a)
		}
		return true
	})
	return append(dst, '\n')
}

func (h *handler) appendJSON(dst []byte, l *Line, r *slog.Record) []byte {
	dst = appendJSONHead(dst, l)
	dst = append(dst, h.attrs...)
	before, opened := len(dst), h.opened
	dst = h.openGroups(dst)
	inside := len(dst)
	r.Attrs(func(a slog.Attr) bool {
		if !h.takes(a) {
			dst = appendJSONAttr(dst, a, len(h.groups) == 0)
		}
		return true
	})
	if len(dst) == inside {
		dst = dst[:before] // slog: a group with nothing in it is not written
	} else {
		opened = len(h.groups)
	}
	for range opened {
		dst = append(dst, '}')
	}
	return append(dst, '}', '\n')
}

// openGroups opens the groups that WithAttrs had no cause to open yet.
func (h *handler) openGroups(dst []byte) []byte {
	for i, g := range h.groups[h.opened:] {
		dst = openJSONGroup(dst, g, h.opened+i == 0)
	}
	return dst
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = slices.Clip(h.attrs) // two handlers made of one must not append to the same array
	before := len(next.attrs)
	if h.out.format == JSON {
		next.attrs = next.openGroups(next.attrs)
	}
	inside := len(next.attrs)
	for _, a := range attrs {
		switch {
		case next.takes(a):
			takeKnown(&next.known, a)
		case h.out.format == JSON:
			next.attrs = appendJSONAttr(next.attrs, a, len(h.groups) == 0)
		default:
			next.attrs = appendTextAttr(next.attrs, h.prefix, a)
		}
	}
	if len(next.attrs) == inside {
		next.attrs = next.attrs[:before]
	} else {
		next.opened = len(h.groups)
	}
	return &next
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.groups = append(slices.Clip(h.groups), name)
	next.prefix = h.prefix + name + "."
	return &next
}

// takes tells the attributes that are fields of the Line.
func (h *handler) takes(a slog.Attr) bool {
	if len(h.groups) > 0 {
		return false
	}
	switch a.Key {
	case "component", "op", "git", "req":
		return true
	}
	return false
}

// takeKnown puts a into the Line's field that it is, if it is one.
func takeKnown(l *Line, a slog.Attr) {
	switch a.Key {
	case "component":
		l.Where = fieldText(a)
	case "op":
		l.Op = fieldText(a)
	case "git":
		l.Git = fieldText(a)
	case "req":
		l.Req = fieldText(a)
	}
}

func fieldText(a slog.Attr) string { return textOf(a.Value.Resolve()) }
