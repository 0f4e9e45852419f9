package logline

import (
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"
	"unicode/utf8"
)

// appendTextHead appends all but the attributes and the line end. long asks for
// the long form of the brackets even where nothing is known.
func appendTextHead(dst []byte, l *Line, long bool) []byte {
	if l.Time.IsZero() {
		dst = append(dst, "- -"...) // the line keeps its columns
	} else {
		dst = l.Time.UTC().AppendFormat(dst, timeLayout)
	}
	dst = append(dst, ' ')
	dst = appendField(dst, l.Where, ' ')
	dst = append(dst, ' ')
	dst = append(dst, Level(l.Level)...)
	dst = append(dst, " ["...)
	if long {
		dst = appendField(dst, l.Op, ']')
		dst = append(dst, ":GIT:"...)
		dst = appendField(dst, l.Git, ']')
		dst = append(dst, "&REQ:"...)
		dst = appendField(dst, l.Req, ']')
	} else {
		dst = append(dst, '-')
	}
	dst = append(dst, "] - "...)
	return appendEscaped(dst, l.Msg, 0)
}

// appendField appends s, or "-" where it is empty; end, which ends the field in
// the line, is escaped in it.
func appendField(dst []byte, s string, end byte) []byte {
	if s == "" {
		return append(dst, '-')
	}
	return appendEscaped(dst, s, end)
}

// appendEscaped appends s as it stands but for what could end the line, end the
// field, or change how a terminal shows either. Backslashes stay, so that a
// message reads as it was written.
func appendEscaped(dst []byte, s string, end byte) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != 0x7f && (c != end || end == 0) {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = appendByteEscape(dst, c)
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, s[start:i]...)
			dst = appendByteEscape(dst, c)
			i++
			start = i
			continue
		}
		if unsafeRune(r) {
			dst = append(dst, s[start:i]...)
			dst = appendRuneEscape(dst, r)
			start = i + n
		}
		i += n
	}
	return append(dst, s[start:]...)
}

const hexDigits = "0123456789abcdef"

func appendByteEscape(dst []byte, c byte) []byte {
	switch c {
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&0xf])
}

// appendRuneEscape appends \u and the four digits of r, as Go and JSON write it.
func appendRuneEscape(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', hexDigits[r>>12&0xf], hexDigits[r>>8&0xf], hexDigits[r>>4&0xf], hexDigits[r&0xf])
}

// unsafeRune tells the characters beyond ASCII that end a line (U+0085, U+2028,
// U+2029), steer a terminal (the other C1 controls), or turn the direction of the
// text after them (CVE-2021-42574).
func unsafeRune(r rune) bool {
	return r <= 0x9f || r == 0x2028 || r == 0x2029 ||
		0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069
}

// appendTextAttr appends " key=value"; the members of a group each, the group's
// key before theirs with a dot.
func appendTextAttr(dst []byte, prefix string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, m := range v.Group() {
			dst = appendTextAttr(dst, prefix, m)
		}
		return dst
	}
	if a.Key == "" && v.Equal(slog.Value{}) {
		return dst // slog: an empty attribute is ignored
	}
	dst = append(dst, ' ')
	if prefix == "" {
		dst = appendWord(dst, a.Key)
	} else {
		dst = appendWord(dst, prefix+a.Key)
	}
	dst = append(dst, '=')
	return appendTextValue(dst, v)
}

// appendWord appends s, quoted as in Go where it could be taken for more or less
// than one word.
func appendWord(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, `""`...)
	}
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f {
				return strconv.AppendQuote(dst, s)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || !strconv.IsPrint(r) {
			return strconv.AppendQuote(dst, s)
		}
		i += n
	}
	return append(dst, s...)
}

func appendTextValue(dst []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendWord(dst, v.String())
	case slog.KindInt64:
		return strconv.AppendInt(dst, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(dst, v.Uint64(), 10)
	case slog.KindFloat64:
		return strconv.AppendFloat(dst, v.Float64(), 'g', -1, 64)
	case slog.KindBool:
		return strconv.AppendBool(dst, v.Bool())
	case slog.KindDuration:
		return append(dst, v.Duration().String()...)
	case slog.KindTime:
		return v.Time().AppendFormat(dst, time.RFC3339Nano)
	}
	return appendWord(dst, textOf(v))
}

// textOf is a value as a text, as a part's and a function's line show it.
func textOf(v slog.Value) (s string) {
	if v.Kind() != slog.KindAny {
		return v.String()
	}
	defer func() {
		if p := recover(); p != nil { // a nil pointer whose method does not expect it
			s = fmt.Sprintf("!PANIC: %v", p)
		}
	}()
	switch x := v.Any().(type) {
	case error:
		return x.Error()
	case fmt.Stringer:
		return x.String()
	case encoding.TextMarshaler:
		if b, err := x.MarshalText(); err == nil {
			return string(b)
		}
	case json.RawMessage:
		return string(x)
	case []byte:
		return string(x)
	case map[string]any, []any, json.Marshaler:
		if b, err := marshal(x); err == nil {
			return string(b)
		}
	}
	return fmt.Sprintf("%+v", v.Any())
}
