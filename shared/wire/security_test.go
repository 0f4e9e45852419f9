package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"testing"
)

func TestDigest(t *testing.T) {
	// RFC 4231, test case 2.
	v := Verifier{Salt: []byte("Jefe")}
	sum := v.Digest([]byte("what do ya want for nothing?"))
	if got := hex.EncodeToString(sum[:]); got != "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" {
		t.Errorf("digest %s", got)
	}
	if a, b := NewSalt(), NewSalt(); len(a) != 32 || bytes.Equal(a, b) {
		t.Errorf("salts %x and %x", a, b)
	}
}

func TestRouteItemEqual(t *testing.T) {
	row := func() RouteItem {
		return RouteItem{Deployment: "d", Sha: "s", Host: "h", BasePath: "/b", Queue: "q", Security: map[string]Verifier{
			"x": {Type: "basic", Salt: []byte{1}, Digests: [][]byte{{2}}},
		}}
	}
	if !row().Equal(row()) || !(RouteItem{}).Equal(RouteItem{Security: map[string]Verifier{}}) {
		t.Error("equal rows differ")
	}
	if n := reflect.TypeFor[RouteItem]().NumField(); n != 6 {
		t.Errorf("RouteItem has %d fields; Equal compares 6", n)
	}
	for name, change := range map[string]func(*RouteItem){
		"deployment": func(r *RouteItem) { r.Deployment = "" },
		"sha":        func(r *RouteItem) { r.Sha = "" },
		"host":       func(r *RouteItem) { r.Host = "" },
		"base path":  func(r *RouteItem) { r.BasePath = "" },
		"queue":      func(r *RouteItem) { r.Queue = "" },
		"none":       func(r *RouteItem) { r.Security = nil },
		"another":    func(r *RouteItem) { r.Security["y"] = r.Security["x"] },
		"verifier":   func(r *RouteItem) { r.Security["x"] = Verifier{Type: "oauth2", JWKS: json.RawMessage(`{}`)} },
	} {
		changed := row()
		if change(&changed); row().Equal(changed) || changed.Equal(row()) {
			t.Errorf("%s: rows that differ are equal", name)
		}
	}
}
