package gateway

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// form is what a request's target is (RFC 9112 section 3.2).
type form uint8

const (
	unclear  form = iota // not for everybody the same
	resource             // a path: origin-form, or absolute-form
	server               // this server as a whole: OPTIONS *
	tunnel               // CONNECT to a host, which nothing here can be
)

// allMethods is what OPTIONS * is answered: the methods that Swagger 2.0 knows.
const allMethods = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"

// formOf tells what the request is for, if it says so in a way that everybody
// behind us reads alike: visible ASCII (RFC 3986) without a fragment, a host
// without a user name, and no path that looks like an authority or that a C string
// would end in.
func formOf(rc *fasthttp.RequestCtx) form {
	target := rc.RequestURI()
	if len(target) == 0 || !isHostPlain(rc.Request.Header.Host()) {
		return unclear
	}
	path := rc.URI().PathOriginal()
	if target[0] == '/' {
		if !bytes.HasPrefix(target, path) { // without a Host fasthttp looks for one in //host/path
			return unclear
		}
	} else {
		switch {
		case string(target) == "*":
			return server // fasthttp lets only OPTIONS have it
		case rc.IsConnect():
			return tunnel
		}
		rest, ok := absolute(rc, target)
		if !ok {
			return unclear
		}
		if rest == "" && rc.IsOptions() { // RFC 9112 section 3.2.4
			return server
		}
	}
	if len(path) == 0 || bytes.HasPrefix(path, []byte("//")) || bytes.IndexByte(target, '#') >= 0 ||
		!isPlain(path) || hasNUL(path) || !isPlain(rc.URI().QueryString()) {
		return unclear
	}
	return resource
}

// absolute reads a target in absolute-form: its authority counts, the Host header
// does not (RFC 9112 section 3.2.2). rest is all that follows the authority.
func absolute(rc *fasthttp.RequestCtx, target []byte) (rest string, ok bool) {
	scheme, after, ok := bytes.Cut(target, []byte("://"))
	if !ok || !bytes.EqualFold(scheme, []byte("http")) && !bytes.EqualFold(scheme, []byte("https")) {
		return "", false
	}
	end := bytes.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	authority := after[:end]
	return string(after[end:]), len(authority) > 0 && isHostPlain(authority) && bytes.EqualFold(authority, rc.Host())
}

// isPlain tells whether a part of a target is visible ASCII, as RFC 3986 has it.
func isPlain(part []byte) bool {
	for _, c := range part {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// hasNUL tells whether path has an encoded NUL.
func hasNUL(path []byte) bool {
	return bytes.IndexByte(path, '%') >= 0 && bytes.Contains(path, []byte("%00"))
}

// isHostPlain tells whether host is a name or address, perhaps with a port, and
// nothing that a list or a quoted string would end at: it goes into X-Forwarded-Host
// and Forwarded. None, as HTTP/1.0 allows, is plain.
func isHostPlain(host []byte) bool {
	for _, c := range host {
		if !hostBytes[c] {
			return false
		}
	}
	return true
}

// hostBytes are those of RFC 3986 section 3.2.2, without the comma and
// percent-encoding, which no name has that is looked up anywhere.
var hostBytes = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+;=:[]") {
		t[c] = true
	}
	return t
}()
