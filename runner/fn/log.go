package fn

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"time"
)

// The members of a log line that the Runner reads itself. All others follow the
// message as key=value.
const (
	keyOp  = "op"
	keyReq = "req"
)

// maxLine is the longest line in bytes that is written. The Runner cuts lines at
// 64 KiB, and a cut one is no JSON any more.
const maxLine = 60 << 10

// newLines writes a JSON object a line, each with one call of w.Write.
func newLines(w io.Writer, level slog.Leveler) *lineHandler {
	return &lineHandler{json: slog.NewJSONHandler(&lineWriter{w}, &slog.HandlerOptions{Level: level})}
}

// lineHandler leaves out the time, which is the Runner's to give, and keeps a
// function's attributes from being taken for the members that the Runner reads.
type lineHandler struct {
	json    slog.Handler
	grouped bool // inside a group names are free
}

func (h *lineHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.json.Enabled(ctx, level)
}

func (h *lineHandler) Handle(ctx context.Context, r slog.Record) error {
	line := slog.NewRecord(time.Time{}, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if !h.grouped {
			a = free(a)
		}
		line.AddAttrs(a)
		return true
	})
	return h.json.Handle(ctx, line)
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if !h.grouped {
		renamed := make([]slog.Attr, len(attrs))
		for i, a := range attrs {
			renamed[i] = free(a)
		}
		attrs = renamed
	}
	return &lineHandler{json: h.json.WithAttrs(attrs), grouped: h.grouped}
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	return &lineHandler{json: h.json.WithGroup(name), grouped: h.grouped || name != ""}
}

// request is h for the lines of one request, with the members that free would
// not let through.
func (h *lineHandler) request(op, req string) slog.Handler {
	return &lineHandler{json: h.json.WithAttrs([]slog.Attr{slog.String(keyOp, op), slog.String(keyReq, req)})}
}

// free renames an attribute whose name has a meaning: "op" becomes "op_".
func free(a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.MessageKey, slog.LevelKey, slog.TimeKey, keyOp, keyReq:
		a.Key += "_"
	case "":
		if a.Value.Kind() == slog.KindGroup { // slog puts its members where it stands
			members := a.Value.Group()
			inline := make([]slog.Attr, len(members))
			for i, m := range members {
				inline[i] = free(m)
			}
			a.Value = slog.GroupValue(inline...)
		}
	}
	return a
}

// lineWriter makes a line that is too long a short one that still says which
// request it belongs to.
type lineWriter struct{ w io.Writer }

func (l *lineWriter) Write(p []byte) (int, error) {
	if len(p) <= maxLine {
		return l.w.Write(p)
	}
	var line struct {
		Level string `json:"level"`
		Msg   string `json:"msg"`
		Op    string `json:"op,omitempty"`
		Req   string `json:"req,omitempty"`
		Cut   int    `json:"cut"` // bytes of the whole line
	}
	if err := json.Unmarshal(p, &line); err != nil {
		return 0, err
	}
	line.Cut = len(p)
	const room = maxLine / 8 // a byte is six in JSON at most
	line.Msg = line.Msg[:min(len(line.Msg), room)]
	short, err := json.Marshal(line)
	if err != nil {
		return 0, err
	}
	if _, err := l.w.Write(append(short, '\n')); err != nil {
		return 0, err
	}
	return len(p), nil
}
