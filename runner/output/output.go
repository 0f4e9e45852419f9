// Package output reads the lines that functions write.
//
// Any line is a log line, whatever it holds; nothing in it is an error. A line
// that is a JSON object with a "msg" says more of itself: level, operation and
// REQ id, and further fields, which are kept in the order they stand in.
package output

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/funcatron/funcatron/shared/logline"
	"github.com/funcatron/funcatron/shared/reqid"
)

// Source is what is the same for all lines of a function.
type Source struct {
	Where string // host:basePath
	Git   string // of the code; "" is unknown
}

// Read makes line, without its end, into l. Lines that say no level of their own are
// INFO, those of standard error WARN. Nothing of l refers to line.
func (s Source) Read(l *logline.Line, stderr bool, line []byte, now time.Time) {
	*l = logline.Line{Time: now, Where: s.Where, Git: s.Git, Level: "INFO"}
	if stderr {
		l.Level = "WARN"
	}
	if readObject(l, line, now) {
		return
	}
	l.Msg = string(line)
}

// readObject reads line into l where it is a JSON object whose msg is a string;
// else it leaves l as it is.
func readObject(l *logline.Line, line []byte, now time.Time) bool {
	line = bytes.TrimSpace(line)
	if len(line) < 2 || line[0] != '{' || line[len(line)-1] != '}' || !json.Valid(line) {
		return false
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	_, _ = dec.Token() // the brace: the line is valid JSON
	into, said := *l, false
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return false
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return false
		}
		name := key.(string)
		var text string
		isText := raw[0] == '"' && json.Unmarshal(raw, &text) == nil
		switch {
		case name == "msg" && isText:
			into.Msg, said = text, true
		case name == "level" && isText:
			into.Level = text
		case name == "op" && isText:
			into.Op = text
		case name == "req" && isID(text):
			into.Req = text
		case name == "time" && isNow(text, now):
			into.Time, _ = time.Parse(time.RFC3339Nano, text)
		case isText:
			into.Attrs = append(into.Attrs, slog.String(name, text))
		default:
			into.Attrs = append(into.Attrs, slog.Any(name, raw))
		}
	}
	if !said {
		return false
	}
	*l = into
	return true
}

func isID(s string) bool {
	_, ok := reqid.Parse([]byte(s))
	return ok
}

// lateness is how old a time may be that a line gives itself.
const lateness = time.Minute

// isNow tells the time that most loggers write, which takes the place of ours so
// that it does not stand in the line twice. Any other one is just a field.
func isNow(s string, now time.Time) bool {
	t, err := time.Parse(time.RFC3339Nano, s)
	return err == nil && !t.After(now) && now.Sub(t) < lateness
}
