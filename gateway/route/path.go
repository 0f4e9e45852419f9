package route

import "bytes"

// cutSegment splits a path that begins with a slash behind its first segment.
func cutSegment(path []byte) (segment, rest []byte) {
	path = path[1:]
	if i := bytes.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, nil
}

// first is the first byte of a segment, decoded, and how many bytes it is written
// with. A percent sign that begins no escape is itself: whether it may be there
// is for those to say who read the value.
func first(s []byte) (c byte, n int) {
	if s[0] == '%' && len(s) >= 3 {
		if hi, lo := unhex(s[1]), unhex(s[2]); hi|lo < 16 {
			return hi<<4 | lo, 3
		}
	}
	return s[0], 1
}

// unhex is the value of a hexadecimal digit, or 0xff.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// decode appends s without its percent-encoding.
func decode(dst, s []byte) []byte {
	for len(s) > 0 {
		c, n := first(s)
		dst, s = append(dst, c), s[n:]
	}
	return dst
}

// hasDotSegment reports whether a segment of path is "." or ".." (RFC 3986 section
// 5.2.4), or may be taken for it further on: percent-encoded; set off by an encoded
// slash or by a backslash, which some decode before they resolve; with a parameter
// behind it, which some servlet containers cut off (";x").
func hasDotSegment(path []byte) bool {
	if bytes.IndexByte(path, '.') < 0 && bytes.IndexByte(path, '%') < 0 {
		return false
	}
	dots, only := 0, false // since the segment's beginning: how many, and nothing else
	for i := 0; i < len(path); {
		c, n := first(path[i:])
		i += n
		switch {
		case c == '/' || c == '\\' || c == ';':
			if only && (dots == 1 || dots == 2) {
				return true
			}
			dots, only = 0, c != ';'
		case c == '.':
			dots++
		default:
			only = false
		}
	}
	return only && (dots == 1 || dots == 2)
}
