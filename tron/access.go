package tron

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// refusalDelay slows those who guess tokens, per connection.
const refusalDelay = 250 * time.Millisecond

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
}

func newAccess(o Options, url, bundleToken string) access {
	a := access{
		open:    o.AdminToken == "",
		admin:   sha256.Sum256([]byte(o.AdminToken)),
		bundle:  sha256.Sum256([]byte(bundleToken)),
		origins: http.NewCrossOriginProtection(),
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
		if a.open || a.admits(l, r.Header.Get("Authorization")) {
			h(w, r)
			return
		}
		delay := time.NewTimer(refusalDelay)
		defer delay.Stop()
		select {
		case <-delay.C:
		case <-r.Context().Done():
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="funcatron"`)
		fail(w, http.StatusUnauthorized, "a bearer token is needed: Authorization: Bearer ... (the Tron's --admin-token)")
	}
}

func (a *access) admits(l level, authorization string) bool {
	scheme, token, _ := strings.Cut(authorization, " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	admin := subtle.ConstantTimeCompare(sum[:], a.admin[:])
	bundle := subtle.ConstantTimeCompare(sum[:], a.bundle[:])
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
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
