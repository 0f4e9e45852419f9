// Package logline writes log records, in the two forms that all parts and all
// functions share.
//
// One record is one line, whatever its texts hold: line breaks, control characters
// and what is not UTF-8 are escaped, so that nobody who can have a text logged can
// forge a record. Lines reach the writer whole, one at a time.
//
// The text form is the announcement's, and then key=value for each attribute:
//
//	16-12-09 20:31:31 /sample/scala INFO [funcatron.scala_sample.SimpleGet:GIT:b1d9&REQ:db9d] - In Scala n=1
//
// Of the part in brackets, what is not known is "-", as in [-:GIT:b1d9&REQ:-]; a
// record that has none of the three, such as a part's own about its own state,
// has [-]. Functions' lines, which Writer writes, always have the long form.
package logline

import (
	"log/slog"
	"time"
)

// Line is one record. Empty fields are unknown.
type Line struct {
	Time  time.Time
	Where string // host:basePath of the function, or the part
	Level string // taken as Level reads it
	Op    string // the operation
	Git   string // the git revision of the code
	Req   string // the REQ id
	Msg   string
	Attrs []slog.Attr
}

// Format is one of the two forms.
type Format uint8

// The forms.
const (
	Text Format = iota
	JSON
)

// timeLayout is that of the announcement; times are in UTC.
const timeLayout = "06-01-02 15:04:05"

// AppendText appends l in the text form, with its line end.
func AppendText(dst []byte, l *Line) []byte {
	dst = appendTextHead(dst, l, l.Op != "" || l.Git != "" || l.Req != "")
	for _, a := range l.Attrs {
		dst = appendTextAttr(dst, "", a)
	}
	return append(dst, '\n')
}

// AppendJSON appends l as one JSON object, with its line end: "time" (RFC 3339,
// UTC), "where", "level", "op", "git", "req" and "msg", without those that are
// unknown, and then the attributes, groups as objects. An attribute that has one
// of these names gets an underscore in front, so that it hides nothing.
func AppendJSON(dst []byte, l *Line) []byte {
	dst = appendJSONHead(dst, l)
	for _, a := range l.Attrs {
		dst = appendJSONAttr(dst, a, true)
	}
	return append(dst, '}', '\n')
}

// Level reads a level as programs in many languages write it: one of DEBUG, INFO,
// WARN and ERROR, which are all there are here. What it does not know is INFO.
func Level(s string) string {
	if len(s) > 8 {
		return "INFO"
	}
	var upper [8]byte
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper[i] = c
	}
	switch string(upper[:len(s)]) {
	case "DEBUG", "TRACE", "FINE", "FINER", "FINEST":
		return "DEBUG"
	case "WARN", "WARNING":
		return "WARN"
	case "ERROR", "ERR", "SEVERE", "FATAL", "CRITICAL", "PANIC", "ALERT", "EMERG":
		return "ERROR"
	}
	return "INFO"
}

// levelName is the name of the highest level that is not above v.
func levelName(v slog.Level) string {
	switch {
	case v >= slog.LevelError:
		return "ERROR"
	case v >= slog.LevelWarn:
		return "WARN"
	case v >= slog.LevelInfo:
		return "INFO"
	}
	return "DEBUG"
}
