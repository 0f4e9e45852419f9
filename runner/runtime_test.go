package runner

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/shared/bundle"
	"github.com/funcatron/funcatron/shared/swagger"
)

func TestExecProgram(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside")
	here := runtime.GOOS + "-" + runtime.GOARCH
	for _, path := range []string{filepath.Join(dir, "bin", "app"), filepath.Join(dir, here, "app"), outside} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(dir, "bin", "out")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("app", filepath.Join(dir, "bin", "link")); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		command string
		path    string // "" where it fails
		args    string // or the error
	}{
		{"bin/app -x $GOOS", filepath.Join(dir, "bin/app"), "bin/app -x " + runtime.GOOS},
		{"./bin/app", filepath.Join(dir, "bin/app"), "./bin/app"},
		{"$GOOS-${GOARCH}/app", filepath.Join(dir, here, "app"), here + "/app"},
		{"sh -c true", "/sh", "sh -c true"},
		{"bin/link", filepath.Join(dir, "bin/link"), "bin/link"},
		{"bin/out", "", "leads out of the bundle"},
		{"../outside", "", "not inside the bundle"},
		{"bin/../../x", "", "not inside the bundle"},
		{"/bin/sh", "", "not inside the bundle"},
		{"./bin", "", "not a file"},
		{"bin/none", "", "no such file"},
		{"bin/$GOOS/none", "", "not built for this runner's platform"},
		{"no-such-program-anywhere", "", "find command in PATH"},
		{"", "", "no command"},
	} {
		b := &bundle.Bundle{Type: "exec", Document: &swagger.Document{Runtime: swagger.Runtime{Command: strings.Fields(tc.command)}}}
		got, err := execProgram(b, dir, false)
		switch {
		case tc.path == "":
			if err == nil || !strings.Contains(err.Error(), tc.args) {
				t.Errorf("%s: %v, want an error that says %q", tc.command, err, tc.args)
			}
		case err != nil || !strings.HasSuffix(got.path, tc.path) || !slices.Equal(got.args, strings.Fields(tc.args)):
			t.Errorf("%s: %+v, %v", tc.command, got, err)
		}
	}
}
