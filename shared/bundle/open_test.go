package bundle_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/shared/bundle"
)

func TestOpen(t *testing.T) {
	data := zipOf(t, with(item{name: "gitsha.txt", data: "b1d92b7430fcc6ed05c38c22d57d2163f6e8bb88\n", mode: 0o644}))
	b, err := bundle.Open(write(t, data))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	if b.Sha != hex.EncodeToString(sum[:]) || b.Size != int64(len(data)) {
		t.Errorf("sha %s, size %d", b.Sha, b.Size)
	}
	if b.Type != "exec" || b.DocName != "funcatron.yaml" || b.GitSha != "b1d92b7430fcc6ed05c38c22d57d2163f6e8bb88" {
		t.Errorf("type %q, document %q, git %q", b.Type, b.DocName, b.GitSha)
	}
	if b.Document.BasePath != "/test" || len(b.Document.Operations) != 1 {
		t.Errorf("document %+v", b.Document)
	}
	if len(b.Warnings) > 0 || len(b.Platforms) > 0 {
		t.Errorf("warnings %q, platforms %q", b.Warnings, b.Platforms)
	}
}

// A jar or PEX file may be executable by itself: the zip file begins later.
func TestOpenPrefixed(t *testing.T) {
	data := append([]byte("#!/usr/bin/env python3\n"), zipOf(t, good)...)
	path := write(t, data)
	b, err := bundle.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(data); b.Sha != hex.EncodeToString(sum[:]) {
		t.Error("the digest is not over all bytes")
	}
	if err := bundle.Unpack(path, t.TempDir()); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	link := func(name, target string) item { return item{name: name, data: target, mode: fs.ModeSymlink | 0o777} }
	forged := func(name string, forge func(*zip.FileHeader)) item {
		return item{name: name, data: "data", mode: 0o644, forge: forge}
	}
	manifest := item{name: "META-INF/MANIFEST.MF", data: "Manifest-Version: 1.0\n"}
	for name, tc := range map[string]struct {
		items []item
		want  []string
	}{
		"no document":          {good[1:], []string{"funcatron.yaml", "is missing"}},
		"document in a folder": {[]item{{name: "a/funcatron.yaml", data: document}, good[1]}, []string{"is missing"}},
		"two documents":        {with(item{name: "funcatron.json", data: "{}"}), []string{"funcatron.json", "second document"}},
		"document is a folder": {[]item{{name: "funcatron.yaml/x"}, good[1]}, []string{"is missing"}},
		"document is a link":   {[]item{link("funcatron.yaml", "bin/app"), good[1]}, []string{"funcatron.yaml", "is not a file"}},
		"document refused":     {[]item{{name: "funcatron.yaml", data: `openapi: "3.0.0"`}, good[1]}, []string{"funcatron.yaml", "OpenAPI 3.0.0"}},
		"document too big":     {[]item{{name: "funcatron.yaml", data: strings.Repeat(" ", 5<<20)}, good[1]}, []string{"funcatron.yaml", "more than 4194304 bytes"}},

		"parent":          {with(item{name: "../evil"}), []string{`"../evil"`, "leads out"}},
		"parent within":   {with(item{name: "a/../../evil"}), []string{"leads out"}},
		"absolute":        {with(item{name: "/etc/passwd"}), []string{"absolute"}},
		"backslash":       {with(item{name: `..\evil`}), []string{"backslash"}},
		"drive":           {with(item{name: "C:/evil"}), []string{"drive letter"}},
		"NUL":             {with(item{name: "a\x00b"}), []string{"control character"}},
		"newline":         {with(item{name: "a\nb"}), []string{"control character"}},
		"not UTF-8":       {with(item{name: "a\xff"}), []string{"not UTF-8"}},
		"only slashes":    {with(item{name: "//"}), []string{"no name"}},
		"long segment":    {with(item{name: strings.Repeat("a", 256)}), []string{"segment that is too long"}},
		"long name":       {with(item{name: strings.Repeat("abc/", 600) + "x"}), []string{"too long"}},
		"deep":            {with(item{name: strings.Repeat("a/", 70) + "x"}), []string{"nested too deep"}},
		"twice":           {with(item{name: "a"}, item{name: "a"}), []string{"a:", "twice"}},
		"twice, in a jar": {with(manifest, good[0]), []string{"funcatron.yaml", "twice"}},
		"twice, dotted":   {with(item{name: "a/b"}, item{name: "./a//b"}), []string{"a/b:", "twice"}},
		"file and folder": {with(item{name: "a"}, item{name: "a/b"}), []string{"a:", "both a file and a folder"}},
		"folder and file": {with(item{name: "a/"}, item{name: "a"}), []string{"a:", "both a file and a folder"}},
		"below a link":    {with(link("a", "bin"), item{name: "a/b"}), []string{"a:", "both a file and a folder"}},
		"device":          {with(item{name: "dev", mode: fs.ModeDevice | 0o644}), []string{"dev:", "neither a file"}},
		"pipe":            {with(item{name: "fifo", mode: fs.ModeNamedPipe | 0o644}), []string{"fifo:", "neither a file"}},
		"socket":          {with(item{name: "sock", mode: fs.ModeSocket | 0o644}), []string{"sock:", "neither a file"}},
		"encrypted":       {with(forged("a", func(h *zip.FileHeader) { h.Flags |= 1 })), []string{"a:", "encrypted"}},
		"method":          {with(forged("a", func(h *zip.FileHeader) { h.Method = 12 })), []string{"a:", "method 12"}},

		"link out":             {with(link("a/b", "../../x")), []string{"a/b:", "leads out"}},
		"link absolute":        {with(link("a", "/etc/passwd")), []string{"a:", "is absolute"}},
		"link to nothing":      {with(link("a", "")), []string{"a:", "is nothing"}},
		"link up later":        {with(link("a", "bin/../../x")), []string{"a:", ".. behind a name"}},
		"link up later within": {with(link("a", "bin/../x")), []string{"a:", ".. behind a name"}},
		"link too long":        {with(link("a", strings.Repeat("a", 5000))), []string{"a:", "cannot be read"}},
		"link backslash":       {with(link("a", `..\x`)), []string{"a:", "is not a path"}},

		"no runtime":       {[]item{doc("{}"), good[1]}, []string{"funcatron.yaml", "add x-funcatron"}},
		"no command":       {[]item{doc("{runtime: exec}"), good[1]}, []string{"no command"}},
		"command missing":  {good[:1], []string{"funcatron.yaml", `"bin/app"`, "not in the bundle"}},
		"command absolute": {[]item{doc(`{runtime: exec, command: ["/bin/sh"]}`), good[1]}, []string{"is not a file of the bundle"}},
		"command outside":  {[]item{doc(`{runtime: exec, command: ["../app"]}`), good[1]}, []string{"is not a file of the bundle"}},
		"command a folder": {[]item{doc(`{runtime: exec, command: ["bin/"]}`), good[1]}, []string{"is not a file of the bundle"}},
		"command for no platform": {
			[]item{doc(`{runtime: exec, command: ["bin/$GOOS-$GOARCH/app"]}`), good[1]},
			[]string{`"bin/linux-amd64/app"`, "other platforms"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := bundleOf(t, tc.items)
			_, err := bundle.Open(path)
			refused(t, err, tc.want...)

			dir := t.TempDir()
			refused(t, bundle.Unpack(path, dir), tc.want...)
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("Unpack wrote %v, error %v", left, err)
			}
		})
	}
}

// Everything that is wrong is said at once.
func TestOpenNamesAll(t *testing.T) {
	_, err := bundle.Open(bundleOf(t, []item{doc("{runtime: cobol}"), {name: "../a"}, {name: "/b"}, {name: "c"}, {name: "c"}}))
	for _, want := range []string{"../a", "/b", "c: is there twice", "cobol"} {
		refused(t, err, want)
	}
}

func TestOpenRefusesSizes(t *testing.T) {
	for name, tc := range map[string]struct {
		sizes map[string]uint32
		want  []string
	}{
		"one file": {map[string]uint32{"a": bundle.MaxFile + 1}, []string{"a:", "more than 536870912"}},
		"by far":   {map[string]uint32{"a": 1<<32 - 2}, []string{"a:", "more than 536870912"}},
		"together": {map[string]uint32{"a": bundle.MaxFile, "b": bundle.MaxFile, "c": 1}, []string{"the zip file", "unpacked"}},
	} {
		t.Run(name, func(t *testing.T) {
			data := zipOf(t, with(item{name: "a"}, item{name: "b"}, item{name: "c"}))
			for entry, size := range tc.sizes {
				binary.LittleEndian.PutUint32(central(t, data, entry)[24:], size)
			}
			_, err := bundle.Open(write(t, data))
			refused(t, err, tc.want...)
		})
	}
}

func TestOpenNoZip(t *testing.T) {
	for name, data := range map[string][]byte{
		"empty":     nil,
		"text":      []byte("swagger: 2.0"),
		"truncated": zipOf(t, good)[:100],
		"gzip":      {0x1f, 0x8b, 8, 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bundle.Open(write(t, data))
			refused(t, err, "not a zip file")
		})
	}
	_, err := bundle.Open(t.TempDir())
	refused(t, err, "is not a file")

	var refusal *bundle.Error
	if _, err := bundle.Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) || errors.As(err, &refusal) {
		t.Errorf("a missing file gives %v", err)
	}
}

func TestOpenTooLarge(t *testing.T) {
	path := write(t, nil)
	if err := os.Truncate(path, bundle.MaxSize+1); err != nil {
		t.Fatal(err)
	}
	_, err := bundle.Open(path)
	refused(t, err, "more than the 268435456")
}

// The central directory is bounded in entries and in bytes, whatever the record
// at its end says of it.
func TestOpenTooManyEntries(t *testing.T) {
	directory := func(entries, nameLength int) []byte {
		var buf bytes.Buffer
		for i := range entries {
			h := make([]byte, 46)
			copy(h, "PK\x01\x02")
			binary.LittleEndian.PutUint16(h[28:], uint16(nameLength))
			buf.Write(h)
			fmt.Fprintf(&buf, "%0*d", nameLength, i)
		}
		size := buf.Len()
		end := make([]byte, 22)
		copy(end, "PK\x05\x06")
		binary.LittleEndian.PutUint16(end[8:], uint16(entries))
		binary.LittleEndian.PutUint16(end[10:], uint16(entries))
		binary.LittleEndian.PutUint32(end[12:], uint32(size))
		buf.Write(end)
		return buf.Bytes()
	}
	_, err := bundle.Open(write(t, directory(bundle.MaxFiles+1, 6)))
	refused(t, err, "more than 50000 files")
	_, err = bundle.Open(write(t, directory(2*bundle.MaxFiles+1, 6)))
	refused(t, err, "100001 entries")
	_, err = bundle.Open(write(t, directory(100_000, 200)))
	refused(t, err, "too many entries")
}

func TestOpenJar(t *testing.T) {
	jar := []item{
		{name: "META-INF/"},
		{name: "META-INF/MANIFEST.MF", data: "Manifest-Version: 1.0\r\nGit-Head-Rev: b1d92b7430fcc6ed05c3\r\n 8c22d57d2163f6e8bb88\r\n\r\nName: x\r\nGitHeadRev: no\r\n"},
		{name: "META-INF/LICENSE", data: "one"},
		{name: "META-INF/LICENSE", data: "two"},
		{name: "META-INF/license/x", data: "three"},
		{name: "funcatron/intf/impl/ContextImpl.class", data: "\xca\xfe\xba\xbe"},
		{name: "funcatron/intf/impl/"},
		doc("{}"),
	}
	path := bundleOf(t, jar)
	b, err := bundle.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.Type != "jvm" || b.GitSha != "b1d92b7430fcc6ed05c38c22d57d2163f6e8bb88" {
		t.Errorf("type %q, git %q", b.Type, b.GitSha)
	}
	if want := []string{"META-INF/LICENSE: is there twice; the first one counts"}; !slices.Equal(b.Warnings, want) {
		t.Errorf("warnings %q, want %q", b.Warnings, want)
	}
	dir := t.TempDir()
	if err := bundle.Unpack(path, dir); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "META-INF/LICENSE")); string(got) != "one" {
		t.Errorf("LICENSE is %q, error %v", got, err)
	}
}

func TestOpenWarns(t *testing.T) {
	b, err := bundle.Open(bundleOf(t, with(item{name: "Readme"}, item{name: "README"})))
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Warnings) != 1 || !strings.Contains(b.Warnings[0], "upper and lower case") {
		t.Errorf("warnings %q", b.Warnings)
	}
}

func TestOpenPlatforms(t *testing.T) {
	app := func(name string) item { return item{name: name, data: "x", mode: 0o755} }
	for _, tc := range []struct {
		command string
		files   []item
		want    []string
	}{
		{"bin/$GOOS-$GOARCH/app", []item{app("bin/linux-arm64/app"), app("bin/linux-amd64/app"), app("bin/beos-ppc/app")}, []string{"linux/amd64", "linux/arm64"}},
		{"bin/${GOOS}_${GOARCH}", []item{app("bin/darwin_arm64")}, []string{"darwin/arm64"}},
		{"bin/$GOOS/app", []item{app("bin/linux/app")}, []string{"linux"}},
		{"./app-$GOARCH", []item{app("app-riscv64")}, []string{"riscv64"}},
		{"./app", []item{app("app")}, nil},
		{"python3", nil, nil},
	} {
		b, err := bundle.Open(bundleOf(t, append(tc.files, doc(fmt.Sprintf("{runtime: exec, command: [%q]}", tc.command)))))
		if err != nil {
			t.Errorf("%s: %v", tc.command, err)
		} else if !slices.Equal(b.Platforms, tc.want) {
			t.Errorf("%s: platforms %q, want %q", tc.command, b.Platforms, tc.want)
		}
	}
}

func TestFill(t *testing.T) {
	for in, want := range map[string]string{
		"bin/$GOOS-$GOARCH/app": "bin/linux-amd64/app",
		"${GOOS}$GOARCH":        "linuxamd64",
		"$HOME/$GOAR":           "$HOME/$GOAR",
	} {
		if got := bundle.Fill(in, "linux", "amd64"); got != want {
			t.Errorf("Fill(%q) = %q, want %q", in, got, want)
		}
	}
}
