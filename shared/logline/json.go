package logline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// appendJSONHead appends the object's beginning, up to the message.
func appendJSONHead(dst []byte, l *Line) []byte {
	dst = append(dst, '{')
	if !l.Time.IsZero() {
		dst = append(dst, `"time":"`...)
		dst = l.Time.UTC().AppendFormat(dst, time.RFC3339Nano)
		dst = append(dst, '"')
	}
	dst = appendJSONField(dst, "where", l.Where)
	dst = appendJSONField(dst, "level", Level(l.Level))
	dst = appendJSONField(dst, "op", l.Op)
	dst = appendJSONField(dst, "git", l.Git)
	dst = appendJSONField(dst, "req", l.Req)
	dst = appendJSONKey(dst, "msg")
	return appendJSONString(dst, l.Msg)
}

// appendJSONField leaves out what is unknown, be it empty or the text form's "-".
func appendJSONField(dst []byte, key, s string) []byte {
	if s == "" || s == "-" {
		return dst
	}
	dst = appendJSONKey(dst, key)
	return appendJSONString(dst, s)
}

// appendJSONKey appends key and colon, after a comma where a member precedes. The
// bytes before can end in "{" only where the object has just begun.
func appendJSONKey(dst []byte, key string) []byte {
	if len(dst) == 0 || dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = appendJSONString(dst, key)
	return append(dst, ':')
}

// appendJSONAttr appends a as a member of the object that dst is in the middle
// of; top says that it is the record's own.
func appendJSONAttr(dst []byte, a slog.Attr, top bool) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key == "" { // slog: its members are the surrounding object's
			for _, m := range v.Group() {
				dst = appendJSONAttr(dst, m, top)
			}
			return dst
		}
		before := len(dst)
		dst = openJSONGroup(dst, a.Key, top)
		inside := len(dst)
		for _, m := range v.Group() {
			dst = appendJSONAttr(dst, m, false)
		}
		if len(dst) == inside {
			return dst[:before] // slog: empty groups are ignored
		}
		return append(dst, '}')
	}
	if a.Key == "" && v.Equal(slog.Value{}) {
		return dst
	}
	dst = appendJSONKey(dst, attrKey(a.Key, top))
	return appendJSONValue(dst, v)
}

func openJSONGroup(dst []byte, key string, top bool) []byte {
	return append(appendJSONKey(dst, attrKey(key, top)), '{')
}

// attrKey keeps an attribute from hiding one of the line's own members.
func attrKey(key string, top bool) string {
	if top {
		switch key {
		case "time":
			return "_time"
		case "where":
			return "_where"
		case "level":
			return "_level"
		case "op":
			return "_op"
		case "git":
			return "_git"
		case "req":
			return "_req"
		case "msg":
			return "_msg"
		}
	}
	return key
}

func appendJSONValue(dst []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindInt64:
		return strconv.AppendInt(dst, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(dst, v.Uint64(), 10)
	case slog.KindFloat64:
		if f := v.Float64(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return strconv.AppendFloat(dst, f, 'g', -1, 64)
		}
	case slog.KindBool:
		return strconv.AppendBool(dst, v.Bool())
	case slog.KindDuration:
		return appendJSONString(dst, v.Duration().String())
	case slog.KindTime:
		dst = append(dst, '"')
		dst = v.Time().AppendFormat(dst, time.RFC3339Nano)
		return append(dst, '"')
	case slog.KindAny:
		return appendJSONAny(dst, v)
	}
	return appendJSONString(dst, v.String()) // also for NaN, which JSON has not
}

func appendJSONAny(dst []byte, v slog.Value) []byte {
	x := v.Any()
	switch x.(type) {
	case json.Marshaler:
	case error, fmt.Stringer, []byte: // encoding/json knows only the fields of these
		return appendJSONString(dst, textOf(v))
	}
	b, err := marshal(x)
	if err != nil {
		return appendJSONString(dst, textOf(v))
	}
	return append(dst, b...)
}

// marshal is x on one line, with < and & as they are.
func marshal(x any) (b []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("marshal %T: %v", x, p)
		}
	}()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(x); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// appendJSONString appends s in quotes (RFC 8259, section 7). What is not UTF-8
// becomes U+FFFD; besides what must be, it escapes what unsafeRune names.
func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, `\n`...)
			case '\r':
				dst = append(dst, `\r`...)
			case '\t':
				dst = append(dst, `\t`...)
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(dst, s[start:i]...)
			dst = append(dst, `\ufffd`...)
			start = i + n
		case unsafeRune(r):
			dst = append(dst, s[start:i]...)
			dst = appendRuneEscape(dst, r)
			start = i + n
		}
		i += n
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
