// Package reqid makes and reads REQ ids.
//
// An ID is 32 lowercase hexadecimal digits, not all zero: what W3C Trace Context
// (level 1, section 3.2.2.3) calls a trace-id. So the id in the logs is the id in
// every tracing tool. It is a name and no secret: nothing may be granted to
// whoever knows one. No function here allocates, but String.
package reqid

import "math/rand/v2"

// ID is the name that a request, and all that it causes, bears in every log.
type ID [32]byte

// String is the id's 32 digits.
func (id ID) String() string { return string(id[:]) }

// New draws an id at random: 128 bits of the runtime's ChaCha8 generators, which
// are seeded by the system, one a thread, so that nobody waits for anybody.
func New() ID {
	var id ID
	for {
		hi, lo := rand.Uint64(), rand.Uint64()
		if hi|lo != 0 {
			putHex(id[:16], hi)
			putHex(id[16:], lo)
			return id
		}
	}
}

// Parse reads an id as the header X-Request-Id may bring it. What is not exactly
// 32 lowercase digits, or is all zero, is no id: the caller draws one.
func Parse(v []byte) (ID, bool) {
	if len(v) != len(ID{}) || !isID(v) {
		return ID{}, false
	}
	return ID(v), true
}

const (
	digits    = "0123456789abcdef"
	parentLen = 16
)

// putHex writes v over dst's 16 bytes.
func putHex(dst []byte, v uint64) {
	_ = dst[15]
	for i := 15; i >= 0; i-- {
		dst[i] = digits[v&0xf]
		v >>= 4
	}
}

// isID tells whether v is lowercase hexadecimal and not all zero, as trace-id and
// parent-id must be.
func isID(v []byte) bool {
	var nonzero bool
	for _, c := range v {
		if !isHex(c) {
			return false
		}
		nonzero = nonzero || c != '0'
	}
	return nonzero
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }
