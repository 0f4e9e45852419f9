package tron

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// level is what a route asks of its caller.
type level uint8

const (
	forAll     level = iota
	forAdmin         // the admin token, where there is one
	forRunners       // the bundle token will do
)

// access decides who may do what. Tokens are kept and compared as digests, so
// that neither their bytes nor their lengths show in the time it takes.
type access struct {
	open   bool // there is no admin token
	admin  [sha256.Size]byte
	bundle [sha256.Size]byte

	// hosts are the Host names that are served where there is no token and only
	// this machine is let in; nil is any. A web page whose name was made to resolve
	// to 127.0.0.1 (DNS rebinding) comes with a name of its own.
	hosts   map[string]bool
	origins *http.CrossOriginProtection

	guesses guesses
	refused func(wrong bool, from string) // called for each token that is refused, or not looked at
}

func newAccess(o Options, url, bundleToken string, refused func(wrong bool, from string)) *access {
	a := &access{
		open:    o.AdminToken == "",
		admin:   sha256.Sum256([]byte(o.AdminToken)),
		bundle:  sha256.Sum256([]byte(bundleToken)),
		origins: http.NewCrossOriginProtection(),
		refused: refused,
	}
	if a.open && !o.NoAdminAuth {
		a.hosts = map[string]bool{"localhost": true, hostOf(url): true}
		if name, err := os.Hostname(); err == nil {
			a.hosts[strings.ToLower(name)] = true
		}
	}
	return a
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// guard lets through to h who may.
func (a *access) guard(l level, h http.HandlerFunc) http.HandlerFunc {
	if l == forAll {
		return h
	}
	return func(w http.ResponseWriter, r *http.Request) {
		// A browser that some other site sent here carries the user's reach, not
		// their will. curl and wget send neither header and pass.
		if err := a.origins.Check(r); err != nil {
			fail(w, http.StatusForbidden, "cross-origin requests are refused")
			return
		}
		if !a.hostAllowed(r.Host) {
			fail(w, http.StatusForbidden, "host "+r.Host+" is not this Tron; use its address, or set --tron-url")
			return
		}
		if a.open {
			h(w, r)
			return
		}
		if token, ok := bearer(r.Header.Get("Authorization")); ok {
			peer, _ := netip.ParseAddrPort(r.RemoteAddr) // of this very process it is none
			if wait := a.guesses.take(peer.Addr(), time.Now()); wait > 0 {
				a.refused(false, r.RemoteAddr)
				w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
				fail(w, http.StatusTooManyRequests, "too many wrong tokens came from this address; this one was not looked at")
				return
			}
			if a.admits(l, token) {
				a.guesses.forgive(peer.Addr(), time.Now())
				h(w, r)
				return
			}
			a.refused(true, r.RemoteAddr)
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="funcatron"`)
		fail(w, http.StatusUnauthorized, "a bearer token is needed: Authorization: Bearer ... (the Tron's --admin-token)")
	}
}

// bearer is the token of an Authorization header (RFC 6750 section 2.1).
func bearer(authorization string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.TrimSpace(token)
	return token, token != "" && strings.EqualFold(scheme, "Bearer")
}

func (a *access) admits(l level, token string) bool {
	sum := sha256.Sum256([]byte(token))
	admin := subtle.ConstantTimeCompare(sum[:], a.admin[:])
	bundle := subtle.ConstantTimeCompare(sum[:], a.bundle[:])
	return admin == 1 || l == forRunners && bundle == 1
}

func (a *access) hostAllowed(host string) bool {
	if a.hosts == nil {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	return a.hosts[name] || net.ParseIP(name) != nil
}
