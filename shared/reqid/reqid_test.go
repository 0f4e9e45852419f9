package reqid_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/shared/reqid"
)

var idForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

func TestNew(t *testing.T) {
	seen := make(map[reqid.ID]bool)
	var bits [16]map[byte]bool // the values that each digit pair took
	for i := range bits {
		bits[i] = make(map[byte]bool)
	}
	const n = 10_000
	for range n {
		id := reqid.New()
		if !idForm.MatchString(id.String()) {
			t.Fatalf("New() = %q", id)
		}
		if seen[id] {
			t.Fatalf("New() = %q twice", id)
		}
		seen[id] = true
		if _, ok := reqid.Parse(id[:]); !ok {
			t.Fatalf("Parse(%q) refuses what New made", id)
		}
		for i := range bits {
			hi, lo := strings.IndexByte(hexDigits, id[2*i]), strings.IndexByte(hexDigits, id[2*i+1])
			bits[i][byte(hi<<4|lo)] = true
		}
	}
	for i, values := range bits {
		if len(values) != 256 { // that one of the 4096 is missed has a probability of 4e-14
			t.Errorf("byte %d of the ids took only %d values", i, len(values))
		}
	}
}

const hexDigits = "0123456789abcdef"

func TestParse(t *testing.T) {
	const id = "db9d00abf61d9c67f4f0e755e96b8d0e"
	for _, tc := range []struct {
		in string
		ok bool
	}{
		{id, true},
		{"00000000000000000000000000000001", true},
		{strings.Repeat("0", 32), false},           // a trace-id of zeros is invalid
		{strings.ToUpper(id), false},               // only lowercase
		{id[:31], false},                           // too short
		{id + "0", false},                          // too long
		{id[:31] + "g", false},                     // no digit
		{" " + id[1:], false},                      // no white space
		{id[:8] + "-" + id[9:], false},             // no UUID
		{"", false},                                //
		{id[:30] + "é", false},                     // bytes, not letters
		{id[:31] + "\x00", false},                  //
		{"[REQ:" + strings.Repeat("a", 27), false}, // nothing that could forge a log line
	} {
		got, ok := reqid.Parse([]byte(tc.in))
		if ok != tc.ok || ok && got.String() != tc.in || !ok && got != (reqid.ID{}) {
			t.Errorf("Parse(%q) = %q, %v", tc.in, got, ok)
		}
	}
}

func TestFromTraceparent(t *testing.T) {
	const (
		trace  = "4bf92f3577b34da6a3ce929d0e0e4736"
		parent = "00f067aa0ba902b7"
	)
	for _, tc := range []struct {
		name, in string
		flags    byte
		ok       bool
	}{
		{"the specification's", "00-" + trace + "-" + parent + "-01", 1, true},
		{"not sampled", "00-" + trace + "-" + parent + "-00", 0, true},
		{"unknown flags", "00-" + trace + "-" + parent + "-ff", 0xff, true},
		{"flags not hexadecimal", "00-" + trace + "-" + parent + "-.0", 0, false},
		{"flags uppercase", "00-" + trace + "-" + parent + "-0A", 0, false},
		{"one digit of flags", "00-" + trace + "-" + parent + "-1", 0, false},
		{"uppercase trace-id", "00-" + strings.ToUpper(trace) + "-" + parent + "-01", 0, false},
		{"uppercase parent-id", "00-" + trace + "-" + strings.ToUpper(parent) + "-01", 0, false},
		{"trace-id of zeros", "00-" + strings.Repeat("0", 32) + "-" + parent + "-01", 0, false},
		{"parent-id of zeros", "00-" + trace + "-" + strings.Repeat("0", 16) + "-01", 0, false},
		{"version ff", "ff-" + trace + "-" + parent + "-01", 0, false},
		{"version not hexadecimal", "0g-" + trace + "-" + parent + "-01", 0, false},
		{"version uppercase", "0A-" + trace + "-" + parent + "-01", 0, false},
		{"version 00 with more", "00-" + trace + "-" + parent + "-01-what", 0, false},
		{"version 00 with a dash more", "00-" + trace + "-" + parent + "-01-", 0, false},
		{"later version", "01-" + trace + "-" + parent + "-01", 1, true},
		{"later version with more", "cc-" + trace + "-" + parent + "-01-what-the-future-will-be-like", 1, true},
		{"later version with more, no dash", "cc-" + trace + "-" + parent + "-01.what", 0, false},
		{"no dash before the trace-id", "00_" + trace + "-" + parent + "-01", 0, false},
		{"no dash before the parent-id", "00-" + trace + "_" + parent + "-01", 0, false},
		{"no dash before the flags", "00-" + trace + "-" + parent + "_01", 0, false},
		{"cut off", "00-" + trace + "-" + parent, 0, false},
		{"white space", " 00-" + trace + "-" + parent + "-01", 0, false},
		{"empty", "", 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id, flags, ok := reqid.FromTraceparent([]byte(tc.in))
			if ok != tc.ok || flags != tc.flags {
				t.Fatalf("FromTraceparent(%q) = %q, %#x, %v", tc.in, id, flags, ok)
			}
			if ok && id.String() != trace || !ok && id != (reqid.ID{}) {
				t.Errorf("id %q", id)
			}
		})
	}
}

func TestAppendTraceparent(t *testing.T) {
	id := reqid.New()
	form := regexp.MustCompile(`^prefix00-` + id.String() + `-[0-9a-f]{16}-0[01]$`)
	parents := make(map[string]bool)
	for flags := range 256 {
		got := string(reqid.AppendTraceparent([]byte("prefix"), id, byte(flags)))
		if !form.MatchString(got) {
			t.Fatalf("AppendTraceparent = %q", got)
		}
		back, backFlags, ok := reqid.FromTraceparent([]byte(got[len("prefix"):]))
		if !ok || back != id || backFlags != byte(flags)&1 {
			t.Errorf("flags %#x: %q reads as %q, %#x, %v", flags, got, back, backFlags, ok)
		}
		parents[got[len("prefix")+36:][:16]] = true
	}
	if len(parents) != 256 {
		t.Errorf("%d parent-ids for 256 hops", len(parents))
	}
}

func TestNothingAllocates(t *testing.T) {
	var (
		id     = reqid.New()
		digits = []byte(id.String())
		header = reqid.AppendTraceparent(nil, id, 1)
		buf    = make([]byte, 0, 64)
	)
	for name, f := range map[string]func(){
		"New":               func() { id = reqid.New() },
		"Parse":             func() { id, _ = reqid.Parse(digits) },
		"FromTraceparent":   func() { id, _, _ = reqid.FromTraceparent(header) },
		"AppendTraceparent": func() { buf = reqid.AppendTraceparent(buf[:0], id, 1) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// The grammar of section 3.2.2 as a regular expression: another reading of it.
var traceparentForm = regexp.MustCompile(
	`(?s)^(?:00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}|[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?)$`)

func FuzzFromTraceparent(f *testing.F) {
	const valid = "-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, s := range []string{"00" + valid, "01" + valid, "ff" + valid, "cc" + valid + "-x", "00" + valid + "-x", "", "00-"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		var want string
		if m := traceparentForm.FindSubmatch(v); m != nil && string(v[:2]) != "ff" {
			trace, parent := m[1], m[2]
			if trace == nil && string(v[:2]) != "00" {
				trace, parent = m[3], m[4]
			}
			if strings.Trim(string(trace), "0") != "" && strings.Trim(string(parent), "0") != "" {
				want = string(trace)
			}
		}
		id, flags, ok := reqid.FromTraceparent(v)
		if ok != (want != "") || ok && id.String() != want {
			t.Fatalf("FromTraceparent(%q) = %q, %v, want %q", v, id, ok, want)
		}
		if !ok {
			return
		}
		next := reqid.AppendTraceparent(nil, id, flags)
		back, _, ok := reqid.FromTraceparent(next)
		if !ok || back != id {
			t.Fatalf("%q goes on as %q", v, next)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("db9d00abf61d9c67f4f0e755e96b8d0e"))
	f.Add([]byte("DB9D00ABF61D9C67F4F0E755E96B8D0E"))
	f.Add([]byte("00000000000000000000000000000000"))
	f.Fuzz(func(t *testing.T, v []byte) {
		want := idForm.Match(v) && len(v) == 32 && strings.Trim(string(v), "0") != ""
		if id, ok := reqid.Parse(v); ok != want || ok && id.String() != string(v) {
			t.Fatalf("Parse(%q) = %q, %v", v, id, ok)
		}
	})
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = reqid.New()
		}
	})
}

func BenchmarkFromTraceparent(b *testing.B) {
	v := reqid.AppendTraceparent(nil, reqid.New(), 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := reqid.FromTraceparent(v); !ok {
			b.Fatal("refused")
		}
	}
}
