package bind

import (
	"bytes"
	"math"
	"strconv"
)

// number is a JSON number: exact where it is written as an integer of 64 bits,
// else the nearest float64. 42.0 and 4.2e1 are the integer 42, as JSON Schema
// has it since draft 6.
type number struct {
	i     int64
	f     float64
	isInt bool // i is the number
}

// parseNumber reads a number written as JSON wants it. It is not ok where the
// number is too large for a float64.
func parseNumber(text []byte) (n number, ok bool) {
	if bytes.IndexByte(text, '.') < 0 && bytes.IndexByte(text, 'e') < 0 && bytes.IndexByte(text, 'E') < 0 {
		if i, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return number{i: i, f: float64(i), isInt: true}, true
		}
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return number{}, false
	}
	return numberOf(f), true
}

// numberOf is f as a number.
func numberOf(f float64) number {
	if math.Trunc(f) == f && math.Abs(f) < 1<<63 {
		return number{i: int64(f), f: f, isInt: true}
	}
	return number{f: f}
}

// compare is exact, also for integers that no float64 can hold.
func (n number) compare(f float64) int {
	if !n.isInt {
		return compareFloats(n.f, f)
	}
	switch {
	case f >= 1<<63:
		return -1
	case f < -1<<63:
		return 1
	}
	floor := math.Floor(f)
	switch i := int64(floor); {
	case n.i > i:
		return 1
	case n.i < i || floor < f:
		return -1
	}
	return 0
}

func compareFloats(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (n number) equal(m number) bool {
	return n.isInt == m.isInt && n.i == m.i && (n.isInt || n.f == m.f)
}

func (n number) appendCanonical(dst []byte) []byte {
	if n.isInt {
		return strconv.AppendInt(dst, n.i, 10)
	}
	return strconv.AppendFloat(dst, n.f, 'g', -1, 64)
}

// isInteger reports whether text is digits, perhaps behind a minus sign.
func isInteger(text []byte) bool {
	if len(text) > 0 && text[0] == '-' {
		text = text[1:]
	}
	return len(text) > 0 && len(digits(text)) == 0
}

// isNumber reports whether text is a number as JSON writes it (RFC 8259 section 6).
func isNumber(text []byte) bool {
	if len(text) > 0 && text[0] == '-' {
		text = text[1:]
	}
	rest := digits(text)
	if whole := len(text) - len(rest); whole == 0 || whole > 1 && text[0] == '0' {
		return false
	}
	if len(rest) > 0 && rest[0] == '.' {
		after := digits(rest[1:])
		if len(after) == len(rest)-1 {
			return false
		}
		rest = after
	}
	if len(rest) > 0 && rest[0]|0x20 == 'e' {
		rest = rest[1:]
		if len(rest) > 0 && (rest[0] == '+' || rest[0] == '-') {
			rest = rest[1:]
		}
		return len(rest) > 0 && len(digits(rest)) == 0
	}
	return len(rest) == 0
}

// digits returns what follows the digits at the beginning of text.
func digits(text []byte) []byte {
	for len(text) > 0 && '0' <= text[0] && text[0] <= '9' {
		text = text[1:]
	}
	return text
}
