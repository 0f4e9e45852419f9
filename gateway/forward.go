package gateway

import (
	"bytes"
	"net/netip"

	"github.com/valyala/fasthttp"

	"github.com/funcatron/funcatron/shared/reqid"
)

// appendHeader appends the request's header lines as the function gets them: what
// concerns one connection only is taken out (RFC 9110 section 7.6.1), and so is
// whatever the gateway says itself.
func (g *Gateway) appendHeader(dst []byte, rc *fasthttp.RequestCtx, x *exchange) []byte {
	h := &rc.Request.Header
	dst = appendLine(dst, "Host", rc.Host())
	named := h.PeekAll(fasthttp.HeaderConnection)
	for name, value := range h.All() {
		if isOurs(name) || isNamed(named, name) {
			continue
		}
		dst = append(dst, name...)
		dst = append(dst, ": "...)
		dst = append(dst, value...)
		dst = append(dst, "\r\n"...)
	}
	dst = g.appendForwarded(dst, rc)
	dst = appendLine(dst, "X-Request-Id", x.id[:])
	dst = append(dst, "traceparent: "...)
	dst = reqid.AppendTraceparent(dst, x.id, x.flags)
	dst = append(dst, "\r\n"...)
	dst = appendLine(dst, "X-Funcatron-Operation", x.op.header)
	return appendLine(dst, "X-Funcatron-Params", x.params)
}

func appendLine(dst []byte, name string, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// isOurs tells the headers that are not passed on: hop-by-hop ones, those that the
// gateway writes anew, and X-Funcatron-* from outside. fasthttp has put names in
// their canonical spelling. CGI and its descendants take an underscore for a dash,
// so a name that is ours to them is ours.
func isOurs(name []byte) bool {
	var plain [32]byte
	if len(name) <= len(plain) && bytes.IndexByte(name, '_') >= 0 {
		name = plain[:copy(plain[:], name)]
		upper := true
		for i, c := range name {
			switch {
			case c == '_' || c == '-':
				name[i], upper = '-', true
				continue
			case upper && 'a' <= c && c <= 'z':
				name[i] = c - 'a' + 'A'
			case !upper && 'A' <= c && c <= 'Z':
				name[i] = c - 'A' + 'a'
			}
			upper = false
		}
	}
	switch string(name) {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Expect", "Host",
		"X-Request-Id", "Traceparent",
		"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host":
		return true
	}
	const prefix = "X-Funcatron-"
	return len(name) >= len(prefix) && bytes.EqualFold(name[:len(prefix)], []byte(prefix))
}

// isNamed tells whether a Connection header names name as the connection's own (RFC
// 9110 section 7.6.1).
func isNamed(connection [][]byte, name []byte) bool {
	for _, list := range connection {
		for part := range bytes.SplitSeq(list, []byte(",")) {
			if bytes.EqualFold(bytes.TrimSpace(part), name) {
				return true
			}
		}
	}
	return false
}

// appendForwarded says who the client is, in the old headers and in RFC 7239's. A
// trusted proxy's word about it is kept and ours added to it; anybody else's is
// dropped.
func (g *Gateway) appendForwarded(dst []byte, rc *fasthttp.RequestCtx) []byte {
	peer := peerOf(rc)
	trusted := g.trusts(peer)
	h := &rc.Request.Header
	host, proto := rc.Host(), []byte("http")
	if rc.IsTLS() {
		proto = []byte("https")
	}

	dst = append(dst, "X-Forwarded-For: "...)
	if trusted {
		dst = appendAll(dst, h.PeekAll("X-Forwarded-For"))
	}
	dst = peer.AppendTo(dst)
	dst = append(dst, "\r\nForwarded: "...)
	if trusted {
		dst = appendAll(dst, h.PeekAll("Forwarded"))
	}
	dst = append(dst, "for="...)
	if peer.Is6() {
		dst = append(dst, `"[`...)
		dst = peer.AppendTo(dst)
		dst = append(dst, `]"`...)
	} else {
		dst = peer.AppendTo(dst)
	}
	if isHost(host) {
		dst = append(dst, `;host="`...)
		dst = append(dst, host...)
		dst = append(dst, '"')
	}
	dst = append(dst, ";proto="...)
	dst = append(dst, proto...)
	dst = append(dst, "\r\n"...)

	if trusted {
		if v := h.Peek("X-Forwarded-Host"); len(v) > 0 {
			host = v
		}
		if v := h.Peek("X-Forwarded-Proto"); len(v) > 0 {
			proto = v
		}
	}
	dst = appendLine(dst, "X-Forwarded-Host", host)
	return appendLine(dst, "X-Forwarded-Proto", proto)
}

// appendAll appends the values of a repeated list header, each with the comma that
// parts it from what follows.
func appendAll(dst []byte, values [][]byte) []byte {
	for _, v := range values {
		if len(v) > 0 {
			dst = append(dst, v...)
			dst = append(dst, ", "...)
		}
	}
	return dst
}

// isHost tells whether host can stand between quotes as it is.
func isHost(host []byte) bool {
	return len(host) > 0 && bytes.IndexByte(host, '"') < 0 && bytes.IndexByte(host, '\\') < 0
}

func peerOf(rc *fasthttp.RequestCtx) netip.Addr {
	if a, ok := netip.AddrFromSlice(rc.RemoteIP()); ok {
		return a.Unmap()
	}
	return netip.IPv4Unspecified()
}

func (g *Gateway) trusts(peer netip.Addr) bool {
	for _, p := range g.opts.TrustedProxies {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}
