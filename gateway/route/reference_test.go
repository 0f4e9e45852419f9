package route

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var parameter = regexp.MustCompile(`\{[^}]*\}`)

// reference is the look-up by template as a reader of Lookup's comment would
// write it: all templates that fit, of which the one with the most particular
// segments from left to right is taken.
func reference(templates []string, path string) (best string, values []string) {
	if !strings.HasPrefix(path, "/") {
		return "", nil
	}
	for s := range strings.SplitSeq(path, "/") {
		if plain := unescape(s); plain == "." || plain == ".." {
			return "", nil
		}
	}
	var bestRank []string
	for _, template := range templates {
		rank, got, ok := fits(template, path)
		if ok && (bestRank == nil || slices.Compare(rank, bestRank) < 0) {
			bestRank, best, values = rank, template, got
		}
	}
	return best, values
}

// fits matches one template. The ranks of segments compare as strings.
func fits(template, path string) (rank, values []string, ok bool) {
	ts, ps := strings.Split(template, "/"), strings.Split(path, "/")
	if len(ts) != len(ps) {
		return nil, nil, false
	}
	for i, s := range ts {
		around := parameter.Split(s, -1)
		switch {
		case len(around) == 1:
			if unescape(s) != unescape(ps[i]) {
				return nil, nil, false
			}
			rank = append(rank, "0")
			continue
		case strings.Join(around, "") == "":
			rank = append(rank, "2")
		default:
			for i := range around {
				around[i] = unescape(around[i])
			}
			// More literal text first, then by the literals themselves.
			rank = append(rank, fmt.Sprintf("1 %05d %s", 10000-len(strings.Join(around, "")), strings.Join(around, "\x00")))
		}
		got := split(around, units(ps[i]))
		if got == nil {
			return nil, nil, false
		}
		values = append(values, got...)
	}
	return rank, values, true
}

// units are the characters of a segment, an escape being one.
func units(s string) (out []string) {
	for s != "" {
		n := 1
		if len(s) >= 3 && s[0] == '%' {
			if _, err := url.PathUnescape(s[:3]); err == nil {
				n = 3
			}
		}
		out, s = append(out, s[:n]), s[n:]
	}
	return out
}

func unescape(s string) string {
	var b strings.Builder
	for _, u := range units(s) {
		if plain, err := url.PathUnescape(u); err == nil {
			u = plain
		}
		b.WriteString(u)
	}
	return b.String()
}

// split tries all ways of parting a segment, short values first.
func split(around []string, us []string) []string {
	if len(us) < len(around[0]) || unescape(strings.Join(us[:len(around[0])], "")) != around[0] {
		return nil
	}
	us = us[len(around[0]):]
	if len(around) == 1 {
		if len(us) > 0 {
			return nil
		}
		return []string{}
	}
	for n := 1; n <= len(us); n++ {
		if rest := split(around[1:], us[n:]); rest != nil {
			return append([]string{strings.Join(us[:n], "")}, rest...)
		}
	}
	return nil
}

// drawTemplates draws templates from few enough pieces that they collide.
func drawTemplates(r *rand.Rand) (list []string) {
	pieces := []string{"a", "ab", "abc", "b", "{x}", "{x}", "{y}", "{x}.b", "a{x}", "{x}-{y}", "{x}-{y}-b", "a%62", "", "{x}.b-{y}"}
	seen := map[string]bool{}
	for range 1 + r.IntN(12) {
		path := ""
		for range 1 + r.IntN(4) {
			path += "/" + pieces[r.IntN(len(pieces))]
		}
		shape := unescape(parameter.ReplaceAllString(path, "{}"))
		if !seen[shape] {
			seen[shape] = true
			list = append(list, path)
		}
	}
	return list
}

func drawPath(r *rand.Rand) string {
	pieces := []string{"a", "ab", "abc", "b", "q", "a.b", "a-b", "a-b-b", "-", ".b", "%61", "a%2Fb", "a%2Db", "", "ab.b", "x.b-b", ".", "%2e%2E", "%"}
	path := ""
	for range 1 + r.IntN(4) {
		path += "/" + pieces[r.IntN(len(pieces))]
	}
	return path
}

func agree(t *testing.T, templates []string, path string) {
	t.Helper()
	var ops []string
	for _, p := range templates {
		ops = append(ops, "GET "+p)
	}
	tab := build(t, item("", "", compile(t, ops...)))
	var m Match
	got := ""
	if tab.Lookup([]byte("GET"), nil, []byte(path), &m) == Found {
		got = m.Op.Path
	}
	var values []string
	for _, v := range m.Values() {
		values = append(values, string(v))
	}
	want, wantValues := reference(templates, path)
	if got != want || !slices.Equal(values, wantValues) {
		t.Fatalf("%q: %q gives %q %q, want %q %q", templates, path, got, values, want, wantValues)
	}
}

func TestAgreesWithReference(t *testing.T) {
	found := 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 2))
		templates := drawTemplates(r)
		for range 10 {
			path := drawPath(r)
			agree(t, templates, path)
			if best, _ := reference(templates, path); best != "" {
				found++
			}
		}
	}
	if found < 3000 {
		t.Errorf("%d paths found something: the paths drawn prove little", found)
	}
}

func FuzzLookup(f *testing.F) {
	f.Add(uint64(1), "/a/b")
	f.Add(uint64(2), "/a.b/%61%2F/..")
	f.Fuzz(func(t *testing.T, seed uint64, path string) {
		r := rand.New(rand.NewPCG(seed, 2))
		templates := drawTemplates(r)
		agree(t, templates, path)
		agree(t, templates, drawPath(r))
	})
}

// FuzzTable sends any host and path to a table: what is found is below the row's
// base path, under its host.
func FuzzTable(f *testing.F) {
	b := compile(f, "GET /{x}", "GET /", "GET /a/{x}.{y}")
	tab := build(f, item("", "", b), item("", "/a", b), item("h", "/a/b", b), item("h:1", "", b), item("[::1]:1", "/%C3%A9", b))
	f.Add("h:1", "/a/b/c")
	f.Add("[::1]:1", "/%c3%a9/")
	f.Fuzz(func(t *testing.T, host, path string) {
		var m Match
		if tab.Lookup([]byte("GET"), []byte(host), []byte(path), &m) != Found {
			return
		}
		if h := m.Item.Host; h != "" && !strings.EqualFold(host, h) && !strings.HasPrefix(strings.ToLower(host), h+":") {
			t.Errorf("host %q served by %q", host, h)
		}
		if plain, base := unescape(path), unescape(m.Item.BasePath); !strings.HasPrefix(plain, base+"/") {
			t.Errorf("path %q served below %q", path, m.Item.BasePath)
		}
		for _, v := range m.Values() {
			if len(v) == 0 || strings.Contains(string(v), "/") {
				t.Errorf("path %q: value %q", path, v)
			}
		}
	})
}
