package bundle_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/shared/bundle"
)

// Whatever the bytes: a bundle that Open takes unpacks, or is refused for its
// content; one that Open refuses does not unpack; and nothing is ever outside
// the folder or leads there.
func FuzzBundle(f *testing.F) {
	link := item{name: "a/link", data: "../bin/app", mode: fs.ModeSymlink | 0o777}
	for _, items := range [][]item{
		good,
		with(link, item{name: "gitsha.txt", data: "abc"}, item{name: "bin/"}),
		with(item{name: "META-INF/MANIFEST.MF", data: "Git-Head-Rev: a\n b\n"}, item{name: "x"}, item{name: "x"}),
		with(item{name: "../out"}, item{name: "/abs"}),
		{doc(`{runtime: exec, command: ["$GOOS/app"]}`), {name: "linux/app", data: "\x7fELF"}},
	} {
		f.Add(zipOf(f, items))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return // what a fuzzed size makes of more is minutes of unpacking
		}
		around := t.TempDir()
		path, dir := filepath.Join(around, "bundle.zip"), filepath.Join(around, "dir")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		b, openErr := bundle.Open(path)
		unpackErr := bundle.Unpack(path, dir)

		var refusal *bundle.Error
		switch {
		case openErr != nil && !errors.As(openErr, &refusal):
			t.Errorf("Open fails with %v", openErr)
		case openErr != nil && unpackErr == nil:
			t.Errorf("Open refuses with %v what Unpack takes", openErr)
		case openErr == nil && (len(b.Sha) != 64 || b.Document == nil || b.Type == ""):
			t.Errorf("incomplete %+v", b)
		}
		if unpackErr != nil && !errors.As(unpackErr, &refusal) {
			t.Errorf("Unpack fails with %v", unpackErr)
		}
		if names, err := os.ReadDir(around); err != nil || len(names) != 2 {
			t.Errorf("beside the folder: %v, %v", names, err)
		}
		root, err := filepath.EvalSymlinks(dir)
		if err != nil {
			t.Fatal(err)
		}
		for name := range tree(t, dir) {
			real, err := filepath.EvalSymlinks(filepath.Join(dir, name))
			if err == nil && real != root && !strings.HasPrefix(real, root+"/") {
				t.Errorf("%s leads to %s", name, real)
			}
		}
	})
}
