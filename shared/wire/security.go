package wire

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
)

// Verifier is what a gateway needs to check credentials of one security definition.
// Nothing in it lets its reader in: passwords and keys are there as salted digests,
// and of signing keys only the public half.
type Verifier struct {
	Type string `json:"type"` // basic, apiKey or oauth2: the definition's

	// Salt and Digests are of basic and apiKey: what Digest gives for each secret
	// that is accepted, "user:password" (RFC 7617 section 2) or the key; sorted.
	Salt    []byte   `json:"salt,omitempty"`
	Digests [][]byte `json:"digests,omitempty"`

	// Of oauth2: public keys as a JWK Set (RFC 7517 section 5), and what a token's
	// iss and aud have to be, "" where that does not matter.
	JWKS     json.RawMessage `json:"jwks,omitempty"`
	Issuer   string          `json:"issuer,omitempty"`
	Audience string          `json:"audience,omitempty"`
}

// Digest is the HMAC-SHA256 of secret (RFC 2104) under v's salt.
func (v *Verifier) Digest(secret []byte) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, v.Salt)
	mac.Write(secret)
	mac.Sum(sum[:0])
	return sum
}

// NewSalt draws a salt for a Verifier.
func NewSalt() []byte {
	salt := make([]byte, sha256.Size)
	_, _ = rand.Read(salt) // crypto/rand.Read never fails (Go 1.24)
	return salt
}
