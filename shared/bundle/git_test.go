package bundle_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/shared/bundle"
)

func TestGitSha(t *testing.T) {
	file := func(data string) item { return item{name: "gitsha.txt", data: data} }
	manifest := func(data string) item { return item{name: "META-INF/MANIFEST.MF", data: data} }
	for name, tc := range map[string]struct {
		items []item
		want  string
	}{
		"file":                    {[]item{file("abc123\nsecond")}, "abc123"},
		"file, DOS":               {[]item{file("  abc123 \r\n")}, "abc123"},
		"file before manifest":    {[]item{file("abc"), manifest("Git-Head-Rev: def\n")}, "abc"},
		"empty file":              {[]item{file(""), manifest("Git-Head-Rev: def\n")}, "def"},
		"file of prose":           {[]item{file("this is no revision")}, ""},
		"file that would forge":   {[]item{file("abc&REQ:1")}, ""},
		"file too long":           {[]item{file(strings.Repeat("a", 65))}, ""},
		"second name":             {[]item{manifest("A: b\nGitHeadRev: def\n")}, "def"},
		"third name":              {[]item{manifest("git-describe: v1.0-3-gdef\n")}, "v1.0-3-gdef"},
		"first name first":        {[]item{manifest("GitHeadRev: two\nGit-Head-Rev: one\n")}, "one"},
		"only the main section":   {[]item{manifest("A: b\n\nName: x\nGit-Head-Rev: no\n")}, ""},
		"continued":               {[]item{manifest("Git-Head-Rev: ab\n cd\n ef\n")}, "abcdef"},
		"not a program":           {nil, ""},
		"program without a cause": {[]item{{name: "x", data: "\x7fELF"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := bundle.Open(bundleOf(t, with(tc.items...)))
			if err != nil {
				t.Fatal(err)
			}
			if b.GitSha != tc.want {
				t.Errorf("git sha %q, want %q", b.GitSha, tc.want)
			}
		})
	}
}

// A Go program that was built in a git working copy knows its revision.
func TestGitShaOfGoProgram(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Log("git is not installed: nothing to read")
		return
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":  "module example.com/app\n\ngo 1.26\n",
		"main.go": "package main\n\nfunc main() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v: %s", name, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("git", "init", "-q")
	run("git", "add", ".")
	run("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "x")
	revision := run("git", "rev-parse", "HEAD")
	app := filepath.Join(t.TempDir(), "app")
	run("go", "build", "-buildvcs=true", "-ldflags=-s -w", "-o", app, ".")
	program, err := os.ReadFile(app)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(bundleOf(t, []item{
		doc(`{runtime: exec, command: ["bin/$GOOS-$GOARCH/app"]}`),
		{name: "bin/" + runtime.GOOS + "-" + runtime.GOARCH + "/app", data: string(program)},
		{name: "bin/aix-ppc64/app", data: "other"},
	}))
	if err != nil {
		t.Fatal(err)
	}
	if b.GitSha != revision {
		t.Errorf("git sha %q, want %q", b.GitSha, revision)
	}
}
