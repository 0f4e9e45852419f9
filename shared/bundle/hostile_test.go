package bundle_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/shared/bundle"
)

// end is where the end of the central directory begins (APPNOTE.TXT, section 4.3.16).
func end(t testing.TB, data []byte) int {
	t.Helper()
	i := bytes.LastIndex(data, []byte("PK\x05\x06"))
	if i < 0 {
		t.Fatal("no end of central directory")
	}
	return i
}

// local is where the local header of the first entry of this name begins.
func local(t testing.TB, data []byte, name string) int {
	t.Helper()
	const header = 30 // section 4.3.7
	for i := 0; i+header < len(data); i++ {
		if string(data[i:i+4]) == "PK\x03\x04" && strings.HasPrefix(string(data[i+header:]), name) {
			return i
		}
	}
	t.Fatalf("no local header of %s", name)
	return 0
}

// Files that two readers may read in two ways. Either Open and Unpack both refuse
// one, or they agree on what is in it: what counts is the central directory at the
// end, as everywhere.
func TestZipsThatAreNotPlain(t *testing.T) {
	put := binary.LittleEndian
	other := []item{{name: "funcatron.yaml", data: strings.Replace(document, "/test", "/other", 1), mode: 0o644}, good[1]}
	for _, tc := range []struct {
		name    string
		data    func() []byte
		refused string // a part of the reason; "" is taken
		base    string // its basePath then; "" is /test
	}{
		{"something before it", func() []byte { return append([]byte("#!/bin/sh\nexec java -jar $0\n"), zipOf(t, good)...) }, "", ""},
		{"something behind it", func() []byte { return append(zipOf(t, good), "garbage"...) }, "", ""},
		{"64 KiB behind it", func() []byte { return append(zipOf(t, good), make([]byte, 70<<10)...) }, "not a zip file", ""},
		{"another before it", func() []byte { return append(zipOf(t, other), zipOf(t, good)...) }, "", ""},
		{"another behind it", func() []byte { return append(zipOf(t, good), zipOf(t, other)...) }, "", "/other"},
		{"another in its comment", func() []byte {
			data, second := zipOf(t, good), zipOf(t, other)
			put.PutUint16(data[end(t, data)+20:], uint16(len(second)))
			return append(data, second...)
		}, "", "/other"},
		{"another name in the local header", func() []byte {
			data := zipOf(t, good)
			copy(data[local(t, data, "bin/app")+30:], "../evil")
			return data
		}, "", ""},
		{"encrypted by the local header alone", func() []byte {
			data := zipOf(t, good)
			data[local(t, data, "bin/app")+6] |= 1
			return data
		}, "", ""},
		{"other sizes in the local header", func() []byte {
			data := zipOf(t, good)
			at := local(t, data, "bin/app")
			put.PutUint32(data[at+18:], 1<<31)
			put.PutUint32(data[at+22:], 1<<31)
			return data
		}, "", ""},
		{"two entries of one place", func() []byte {
			data := zipOf(t, with(item{name: "bin/b01", data: "b"}))
			a, b := central(t, data, "bin/app"), central(t, data, "bin/b01")
			copy(b[16:28], a[16:28]) // checksum and sizes
			copy(b[42:46], a[42:46]) // where it is
			return data
		}, "", ""},
		{"an entry beyond the file", func() []byte {
			data := zipOf(t, with(item{name: "a", data: "a"}))
			put.PutUint32(central(t, data, "a")[42:], 1<<30)
			return data
		}, "a: cannot be read", ""},
		{"an entry in the directory", func() []byte {
			data := zipOf(t, with(item{name: "a", data: "a"}))
			put.PutUint32(central(t, data, "a")[42:], put.Uint32(data[end(t, data)+16:]))
			return data
		}, "a: cannot be read", ""},
		{"compressed size beyond the file", func() []byte {
			data := zipOf(t, with(item{name: "a", data: "a"}))
			put.PutUint32(central(t, data, "a")[20:], 1<<30)
			return data
		}, "a: cannot be read", ""},
		{"more entries than there are", func() []byte {
			data := zipOf(t, good)
			put.PutUint16(data[end(t, data)+8:], 60_000)
			put.PutUint16(data[end(t, data)+10:], 60_000)
			return data
		}, "not a zip file", ""},
		{"fewer entries than there are", func() []byte {
			data := zipOf(t, with(item{name: "a", data: "a"}))
			put.PutUint16(data[end(t, data)+8:], 1)
			put.PutUint16(data[end(t, data)+10:], 1)
			return data
		}, "not a zip file", ""},
		{"the directory beyond the file", func() []byte {
			data := zipOf(t, good)
			put.PutUint32(data[end(t, data)+16:], 1<<30)
			return data
		}, "begins before the file", ""},
		{"zip64 without its record", func() []byte {
			data := zipOf(t, good)
			put.PutUint16(data[end(t, data)+10:], 0xffff)
			put.PutUint32(data[end(t, data)+16:], 0xffffffff)
			return data
		}, "not a zip file", ""},
		{"zip64 size without its field", func() []byte {
			data := zipOf(t, with(item{name: "a", data: "a"}))
			put.PutUint32(central(t, data, "a")[24:], 0xffffffff)
			return data
		}, "a:", ""},
		{"checksum", func() []byte {
			data := zipOf(t, with(item{name: "a", data: "a"}))
			central(t, data, "a")[16] ^= 1
			return data
		}, "a: cannot be read", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path, dir := write(t, tc.data()), t.TempDir()
			b, err := bundle.Open(path)
			unpacked := bundle.Unpack(path, dir)
			if tc.refused != "" {
				// What is in the entries is looked at where they are written.
				if err != nil {
					refused(t, err, tc.refused)
				}
				refused(t, unpacked, tc.refused)
				return
			}
			if err != nil || unpacked != nil {
				t.Fatalf("Open: %v; Unpack: %v", err, unpacked)
			}
			want := tc.base
			if want == "" {
				want = "/test"
			}
			doc, err := os.ReadFile(filepath.Join(dir, "funcatron.yaml"))
			if err != nil || b.Document.BasePath != want || !strings.Contains(string(doc), "basePath: "+want+"\n") {
				t.Errorf("Open sees %s; Unpack writes %s, %v", b.Document.BasePath, doc, err)
			}
			if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "evil*")); err != nil || len(left) > 0 {
				t.Errorf("outside of the folder: %q, %v", left, err)
			}
		})
	}
}

// Many entries may share the bytes of one: the zip file stays small, so that what
// they declare has to be added up.
func TestOverlappingEntriesAreAddedUp(t *testing.T) {
	const each = 100 << 20
	items := slices.Clone(good)
	for i := range 12 {
		items = append(items, item{name: "zeros" + string(rune('a'+i)), data: "0"})
	}
	data := zipOf(t, items)
	for i := range 12 {
		binary.LittleEndian.PutUint32(central(t, data, "zeros"+string(rune('a'+i)))[24:], each)
		copy(central(t, data, "zeros"+string(rune('a'+i)))[42:46], central(t, data, "zerosa")[42:46])
	}
	path := write(t, data)
	_, err := bundle.Open(path)
	refused(t, err, "unpacked")
	refused(t, bundle.Unpack(path, t.TempDir()), "unpacked")
}

// A function of a case-insensitive mind gets one of the two; its author is told.
func TestCaseClashes(t *testing.T) {
	path := bundleOf(t, with(item{name: "lib/a.py", data: "1"}, item{name: "Lib/A.py", data: "2"}))
	b, err := bundle.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Warnings) != 1 || !strings.Contains(b.Warnings[0], "upper and lower case") {
		t.Errorf("warnings %q", b.Warnings)
	}
	dir := t.TempDir()
	if err := bundle.Unpack(path, dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"lib/a.py": "1", "Lib/A.py": "2"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
	// The document is not one to be mistaken.
	_, err = bundle.Open(bundleOf(t, with(item{name: "Funcatron.yaml", data: "swagger: '1'"})))
	var e *bundle.Error
	if errors.As(err, &e) {
		t.Errorf("another file than the document refuses it: %q", e.Problems)
	}
}
