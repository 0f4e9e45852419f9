package auth

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/funcatron/funcatron/shared/wire"
)

// secrets are the digests of what is accepted.
type secrets struct {
	verifier wire.Verifier
}

func newSecrets(v wire.Verifier) (secrets, error) {
	if len(v.Salt) == 0 || len(v.Digests) == 0 {
		return secrets{}, errors.New("the route has no digests")
	}
	for _, d := range v.Digests {
		if len(d) != sha256.Size {
			return secrets{}, errors.New("the route has a digest of another length")
		}
	}
	return secrets{v}, nil
}

// have tells whether secret is among them, in a time that tells nothing of them.
func (s *secrets) have(secret []byte) shown {
	sum := s.verifier.Digest(secret)
	found := 0
	for _, d := range s.verifier.Digests {
		found |= subtle.ConstantTimeCompare(d, sum[:])
	}
	if found == 1 {
		return right
	}
	return wrong
}

// basic is RFC 7617.
type basic struct{ secrets }

func (b *basic) check(req *fasthttp.Request, _ time.Time) evidence {
	credentials, found := authorization(req, "Basic")
	if found != right {
		return evidence{shown: found}
	}
	plain := make([]byte, base64.StdEncoding.DecodedLen(len(credentials)))
	n, err := base64.StdEncoding.Strict().Decode(plain, credentials)
	if err != nil || bytes.IndexByte(plain[:n], ':') < 0 {
		return evidence{shown: wrong}
	}
	return evidence{shown: b.have(plain[:n])}
}

func (*basic) challenge(realm quoted, _ evidence) string {
	return "Basic realm=" + string(realm) + `, charset="UTF-8"`
}

// authorization is what stands behind scheme in the Authorization header: right
// where there is something, wrong where there are two headers, of which the function
// might read the other one.
func authorization(req *fasthttp.Request, scheme string) (credentials []byte, found shown) {
	lines := req.Header.PeekAll(fasthttp.HeaderAuthorization)
	switch len(lines) {
	case 0:
		return nil, nothing
	case 1:
	default:
		return nil, wrong
	}
	name, rest, _ := bytes.Cut(lines[0], []byte{' '})
	if !bytes.EqualFold(name, []byte(scheme)) { // RFC 9110 section 11.1
		return nil, nothing
	}
	if rest = bytes.TrimLeft(rest, " "); len(rest) == 0 {
		return nil, wrong
	}
	return rest, right
}

// apiKey is a key in a header or in the query.
type apiKey struct {
	secrets
	header bool
	name   string
}

func (k *apiKey) check(req *fasthttp.Request, _ time.Time) evidence {
	key, found := k.find(req)
	if found == right {
		found = k.have(key)
	}
	return evidence{shown: found}
}

// find is the key that the request has, decoded. One that is there twice is wrong:
// the function might read the other one.
func (k *apiKey) find(req *fasthttp.Request) (key []byte, found shown) {
	if k.header {
		lines := req.Header.PeekAll(k.name)
		switch {
		case len(lines) > 1:
			return nil, wrong
		case len(lines) == 0 || len(lines[0]) == 0:
			return nil, nothing
		}
		return lines[0], right
	}
	for name, value := range req.URI().QueryArgs().All() {
		switch {
		case string(name) != k.name:
		case found != nothing:
			return nil, wrong
		default:
			key, found = value, right
		}
	}
	return key, found
}

// challenge names a scheme that is not registered: HTTP asks for one with every 401
// (RFC 9110 section 15.5.2), and has none for keys.
func (k *apiKey) challenge(realm quoted, _ evidence) string {
	in := "query"
	if k.header {
		in = "header"
	}
	return "ApiKey realm=" + string(realm) + `, in="` + in + `", name=` + string(quote(k.name))
}
