package reqid

import "math/rand/v2"

// The places of version 00's fields (section 3.2.2):
//
//	00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
const (
	idAt           = 3
	parentAt       = 36
	flagsAt        = 53
	traceparentLen = 55
	sampled        = 0x01 // the one flag of level 1
)

// FromTraceparent reads the value of a traceparent header (W3C Trace Context,
// level 1, section 3.2): its trace-id and trace-flags. ok is false where section
// 3.2.2 calls the value invalid: uppercase digits, version ff, an id of zeros.
// Of later versions it reads what version 00 knows, as section 3.2.4 asks.
func FromTraceparent(v []byte) (id ID, flags byte, ok bool) {
	if len(v) < traceparentLen || v[2] != '-' || v[parentAt-1] != '-' || v[flagsAt-1] != '-' {
		return ID{}, 0, false
	}
	if !isHex(v[0]) || !isHex(v[1]) || v[0] == 'f' && v[1] == 'f' {
		return ID{}, 0, false
	}
	if len(v) > traceparentLen && (v[0] == '0' && v[1] == '0' || v[traceparentLen] != '-') {
		return ID{}, 0, false
	}
	trace, parent := v[idAt:parentAt-1], v[parentAt:flagsAt-1]
	if !isID(trace) || !isID(parent) || !isHex(v[flagsAt]) || !isHex(v[flagsAt+1]) {
		return ID{}, 0, false
	}
	return ID(trace), hexValue(v[flagsAt])<<4 | hexValue(v[flagsAt+1]), true
}

// AppendTraceparent appends a version 00 value for the next hop, with a parent-id
// of its own drawn at random. Of flags only "sampled" is passed on: the others are
// to be zero (section 3.2.2.5).
func AppendTraceparent(dst []byte, id ID, flags byte) []byte {
	parent := rand.Uint64()
	for parent == 0 {
		parent = rand.Uint64()
	}
	var hex [parentLen]byte
	putHex(hex[:], parent)

	dst = append(dst, "00-"...)
	dst = append(dst, id[:]...)
	dst = append(dst, '-')
	dst = append(dst, hex[:]...)
	return append(dst, '-', '0', digits[flags&sampled])
}

func hexValue(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}
