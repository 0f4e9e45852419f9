package bind

import (
	"bytes"
	"strconv"
)

// append appends text, decoded, as JSON of v's type, and reports what is wrong
// with it. It appends valid JSON in any case.
func (v *value) append(dst, text []byte, c *collector) []byte {
	switch v.kinds {
	case integerKind:
		if !isInteger(text) {
			c.fail(v.mismatch)
			return append(dst, "null"...)
		}
		n, _ := parseNumber(text)
		if !n.isInt {
			c.fail(tooLongMsg)
			return append(dst, "null"...)
		}
		v.checkNumber(n, c)
		return strconv.AppendInt(dst, n.i, 10)

	case numberKind:
		if !isNumber(text) {
			c.fail(v.mismatch)
			return append(dst, "null"...)
		}
		n, ok := parseNumber(text)
		if !ok {
			c.fail(tooLargeMsg)
			return append(dst, "null"...)
		}
		v.checkNumber(n, c)
		return append(dst, text...) // all its digits

	case booleanKind:
		start := len(dst)
		switch string(text) {
		case "true", "1":
			dst = append(dst, "true"...)
		case "false", "0":
			dst = append(dst, "false"...)
		default:
			c.fail(v.mismatch)
			return append(dst, "null"...)
		}
		if v.enum != nil && !v.enum.hasJSON(dst[start:]) {
			c.fail(v.enum.message)
		}
		return dst

	case arrayKind:
		a := arrayWriter{v: v, c: c, start: len(dst)}
		dst = append(dst, '[')
		dst = a.split(dst, text)
		return a.end(dst)
	}
	v.checkText(text, c)
	if v.enum != nil && !v.enum.text[string(text)] {
		c.fail(v.enum.message)
	}
	return appendString(dst, text)
}

// arrayWriter appends the items of one array.
type arrayWriter struct {
	v     *value
	c     *collector
	start int // of the array in dst
	n     int64
	seen  *distinct
}

// split appends the items that text holds between separators. Spaces around an
// item do not belong to it: "a, b" is how people write lists into headers.
func (a *arrayWriter) split(dst, text []byte) []byte {
	for len(text) > 0 {
		item, rest, more := bytes.Cut(text, []byte{a.v.separator})
		if a.v.separator != ' ' && a.v.separator != '\t' {
			item = bytes.TrimSpace(item)
		}
		dst = a.item(dst, item)
		if !more {
			break
		}
		if len(rest) == 0 { // "a," has two items
			dst = a.item(dst, nil)
		}
		text = rest
	}
	return dst
}

func (a *arrayWriter) item(dst, text []byte) []byte {
	if a.n > 0 {
		dst = append(dst, ',')
	}
	a.n++
	outer := a.c.item
	if outer == 0 {
		a.c.item = int(a.n)
	}
	start := len(dst)
	dst = a.v.items.append(dst, text, a.c)
	a.c.item = outer
	if a.v.unique {
		if a.seen == nil {
			a.seen = newDistinct()
		}
		if !a.seen.add(dst[start:]) {
			a.c.fail(duplicateMsg)
		}
	}
	return dst
}

func (a *arrayWriter) end(dst []byte) []byte {
	dst = append(dst, ']')
	a.v.checkCount(a.n, a.c)
	if a.v.enum != nil && !a.v.enum.hasJSON(dst[a.start:]) {
		a.c.fail(a.v.enum.message)
	}
	return dst
}
