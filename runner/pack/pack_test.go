package pack_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/runner/pack"
	"github.com/funcatron/funcatron/shared/bundle"
)

const document = `swagger: "2.0"
info: {title: Small, version: "1"}
basePath: /small
x-funcatron:
  runtime: exec
  command: ["bin/$GOOS-$GOARCH/app"]
paths:
  /:
    get:
      operationId: small.Get
      responses: {"200": {description: fine}}
`

// program has no imports, so that it compiles fast for any platform.
const program = "package main\n\nfunc main() { println(\"small\") }\n"

// goFolder are the files of a small Go bundle.
func goFolder() map[string]string {
	return map[string]string{
		"funcatron.yaml": document,
		"go.mod":         "module example.com/small\n\ngo 1.26\n",
		"main.go":        program,
	}
}

// folder writes files into a folder of the test's.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := fs.FileMode(0o640)
		if strings.HasSuffix(name, ".sh") {
			mode = 0o750
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// entries reads the bundle: its names in their order, and what they hold.
func entries(t *testing.T, path string) (names []string, content map[string]string, modes map[string]fs.FileMode) {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	content, modes = map[string]string{}, map[string]fs.FileMode{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, f.Name)
		content[f.Name], modes[f.Name] = string(data), f.Mode()
		if f.Modified.UTC().Year() != 1980 {
			t.Errorf("%s is of %s", f.Name, f.Modified)
		}
	}
	return names, content, modes
}

// leftovers are the files of dir whose names say that they were to be moved.
func leftovers(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, ".*.zip-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestGoFolder(t *testing.T) {
	files := goFolder()
	maps.Copy(files, map[string]string{
		"assets/page.html":     "<p>",
		"run.sh":               "#!/bin/sh\n",
		"main_test.go":         "package main\n",
		"inner/inner.go":       "package inner\n",
		"inner/words.txt":      "words",
		"testdata/case.txt":    "left behind",
		"vendor/modules.txt":   "\n",
		".env":                 "SECRET=1",
		".idea/workspace.xml":  "left behind",
		"go.sum":               "",
		"bin/linux-arm64/app":  "an older build",
		"bin/linux-arm64/more": "carried",
	})
	dir := folder(t, files)
	if err := os.Symlink("assets/page.html", filepath.Join(dir, "link.html")); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "small.zip") // within the folder, and no part of the bundle
	if err := os.WriteFile(out, []byte("an older bundle"), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	b, err := pack.Dir(t.Context(), pack.Options{Dir: dir, Out: out, Stderr: &said})
	if err != nil {
		t.Fatal(err)
	}
	names, content, modes := entries(t, out)
	want := []string{"assets/page.html", "bin/linux-amd64/app", "bin/linux-arm64/app", "bin/linux-arm64/more", "funcatron.yaml", "inner/words.txt", "link.html", "run.sh"}
	if native := "bin/" + strings.Replace(pack.Host(), "/", "-", 1) + "/app"; !slices.Contains(want, native) {
		want = append(want, native)
		slices.Sort(want)
	}
	if !slices.Equal(names, want) {
		t.Errorf("the bundle holds\n%q, want\n%q", names, want)
	}
	for name, mode := range map[string]fs.FileMode{"assets/page.html": 0o644, "run.sh": 0o755, "bin/linux-amd64/app": 0o755, "link.html": fs.ModeSymlink | 0o777} {
		if modes[name] != mode {
			t.Errorf("%s has mode %s, want %s", name, modes[name], mode)
		}
	}
	for _, platform := range []string{"linux-amd64", "linux-arm64"} {
		if app := content["bin/"+platform+"/app"]; !strings.HasPrefix(app, "\x7fELF") {
			t.Errorf("the program for %s begins with %.20q", platform, app)
		}
	}
	if content["link.html"] != "assets/page.html" {
		t.Errorf("the link leads to %q", content["link.html"])
	}
	if opened, err := bundle.Open(out); err != nil || opened.Sha != b.Sha || b.Type != "exec" || b.GitSha != "" {
		t.Errorf("the bundle reads as %+v, %v; Dir said %+v", opened, err, b)
	}
	for _, words := range []string{"compiled for linux/amd64", "no git revision", b.Sha} {
		if !strings.Contains(said.String(), words) {
			t.Errorf("%q is not said in\n%s", words, &said)
		}
	}
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}

	native := filepath.Join(t.TempDir(), "app")
	if err := os.WriteFile(native, []byte(content["bin/"+strings.Replace(pack.Host(), "/", "-", 1)+"/app"]), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := exec.CommandContext(t.Context(), native).CombinedOutput(); err != nil || string(got) != "small\n" {
		t.Errorf("the program says %q, %v", got, err)
	}
}

// The same code gives the same sha, wherever and whenever it is packed.
func TestDeterministic(t *testing.T) {
	var shas []string
	for _, platforms := range [][]string{{"linux/amd64", "linux/arm64"}, {"linux/arm64", "linux/amd64", "linux/arm64"}} {
		out := filepath.Join(t.TempDir(), "b.zip")
		b, err := pack.Dir(t.Context(), pack.Options{Dir: folder(t, goFolder()), Out: out, Platforms: platforms})
		if err != nil {
			t.Fatal(err)
		}
		shas = append(shas, b.Sha)
	}
	if shas[0] != shas[1] {
		t.Errorf("shas differ: %q", shas)
	}
}

// What is no Go program is carried as it is, hidden files and all.
func TestOtherFolder(t *testing.T) {
	dir := folder(t, map[string]string{
		"funcatron.json": `{"swagger":"2.0","info":{"title":"P","version":"1"},"basePath":"/p","paths":{},
			"x-funcatron":{"runtime":"exec","command":["python3","server.py"]}}`,
		"server.py":                 "print()",
		"node_modules/.bin/tool.sh": "#!/bin/sh",
		"testdata/x":                "x",
		".git/HEAD":                 "ref: refs/heads/nowhere",
		"gitsha.txt":                "b1d92b7430fcc6ed05c38c22d57d2163f6e8bb88\n",
	})
	out := filepath.Join(t.TempDir(), "b.zip")
	b, err := pack.Dir(t.Context(), pack.Options{Dir: dir, Out: out})
	if err != nil {
		t.Fatal(err)
	}
	names, _, _ := entries(t, out)
	if want := []string{"funcatron.json", "gitsha.txt", "node_modules/.bin/tool.sh", "server.py", "testdata/x"}; !slices.Equal(names, want) {
		t.Errorf("the bundle holds %q, want %q", names, want)
	}
	if b.GitSha != "b1d92b7430fcc6ed05c38c22d57d2163f6e8bb88" {
		t.Errorf("git revision is %q", b.GitSha)
	}
}

// A document of another runtime says that Go files are not the program.
func TestGoFilesOfAnotherRuntime(t *testing.T) {
	files := goFolder()
	files["funcatron.yaml"] = strings.Replace(document, "runtime: exec\n  command: [\"bin/$GOOS-$GOARCH/app\"]", "runtime: python", 1)
	out := filepath.Join(t.TempDir(), "b.zip")
	if _, err := pack.Dir(t.Context(), pack.Options{Dir: folder(t, files), Out: out}); err != nil {
		t.Fatal(err)
	}
	if names, _, _ := entries(t, out); !slices.Contains(names, "main.go") {
		t.Errorf("the bundle holds %q", names)
	}
}

func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		change map[string]string // "" deletes
		want   []string
		folder bool // the folder is at fault, and the error names all that is
	}{
		"no document": {map[string]string{"funcatron.yaml": ""}, []string{"funcatron.yaml, funcatron.yml, funcatron.json"}, true},
		"not Swagger 2.0": {map[string]string{"funcatron.yaml": "openapi: 3.0.0\ninfo: {title: x, version: '1'}\npaths: {}\n"},
			[]string{"funcatron.yaml: ", "2.0"}, true},
		"several mistakes": {map[string]string{"funcatron.yaml": strings.Replace(document, "operationId: small.Get",
			"operationId: small.Get\n      parameters: [{name: a, in: body, schema: {$ref: '#/definitions/A'}}]\n    post:\n      parameters: [{name: b, in: body, schema: {$ref: '#/definitions/B'}}]", 1)},
			[]string{"#/definitions/A", "#/definitions/B"}, true},
		"two documents":     {map[string]string{"funcatron.json": `{"swagger":"2.0"}`}, []string{"funcatron.json"}, true},
		"no runtime":        {map[string]string{"funcatron.yaml": document[:strings.Index(document, "x-funcatron")] + document[strings.Index(document, "paths"):]}, []string{`command: ["bin/$GOOS-$GOARCH/app"]`}, true},
		"another command":   {map[string]string{"funcatron.yaml": strings.Replace(document, "/app", "/server", 1)}, []string{`"bin/$GOOS-$GOARCH/server"`, `"bin/$GOOS-$GOARCH/app"`}, true},
		"not a program":     {map[string]string{"main.go": "package small\n"}, []string{"package is small", "package main"}, true},
		"does not compile":  {map[string]string{"main.go": "package main\n\nfunc main() { nowhere() }\n"}, []string{"compile for linux/amd64", "main.go:3:15: undefined: nowhere"}, false},
		"does not parse":    {map[string]string{"main.go": "package main\n\nfunc main() {\n"}, []string{"main.go:4:1: syntax error"}, false},
		"not even a module": {map[string]string{"go.mod": ""}, []string{"go.mod"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			files := goFolder()
			maps.Copy(files, tc.change)
			maps.DeleteFunc(files, func(_, text string) bool { return text == "" })
			outDir := t.TempDir()
			out := filepath.Join(outDir, "b.zip")
			if err := os.WriteFile(out, []byte("the one before"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := pack.Dir(t.Context(), pack.Options{Dir: folder(t, files), Out: out, Platforms: []string{"linux/amd64"}})
			if err == nil {
				t.Fatal("it was packed")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not said in\n%v", want, err)
				}
			}
			var refused *pack.Error
			if errors.As(err, &refused) != tc.folder {
				t.Errorf("error is a %T: %v", err, err)
			}
			if data, err := os.ReadFile(out); err != nil || string(data) != "the one before" {
				t.Errorf("what was there became %.20q, %v", data, err)
			}
			if left := leftovers(t, outDir); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// What only the finished bundle shows is refused as the Tron would.
func TestRefusedByTheBundle(t *testing.T) {
	dir := folder(t, map[string]string{"funcatron.yaml": document, "server.sh": "#!/bin/sh"})
	if err := os.Symlink("../outside", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	outDir := t.TempDir()
	_, err := pack.Dir(t.Context(), pack.Options{Dir: dir, Out: filepath.Join(outDir, "b.zip")})
	var refused *pack.Error
	if !errors.As(err, &refused) || len(refused.Problems) < 2 {
		t.Fatalf("error is %v, want the link and the command", err)
	}
	if left, err := os.ReadDir(outDir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestUnusableOptions(t *testing.T) {
	dir := folder(t, goFolder())
	out := filepath.Join(t.TempDir(), "b.zip")
	for name, o := range map[string]pack.Options{
		"no folder":       {Out: out},
		"no file":         {Dir: dir},
		"absent folder":   {Dir: filepath.Join(dir, "absent"), Out: out},
		"a file":          {Dir: filepath.Join(dir, "main.go"), Out: out},
		"no such place":   {Dir: dir, Out: filepath.Join(dir, "absent", "b.zip")},
		"platform":        {Dir: dir, Out: out, Platforms: []string{"linux"}},
		"platform leaves": {Dir: dir, Out: out, Platforms: []string{"linux/../../x"}},
		"unknown":         {Dir: dir, Out: out, Platforms: []string{"linux/abacus"}},
	} {
		if b, err := pack.Dir(t.Context(), o); err == nil {
			t.Errorf("%s: packed %+v", name, b)
		}
	}
}

func TestNoGo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := pack.Dir(t.Context(), pack.Options{Dir: folder(t, goFolder()), Out: filepath.Join(t.TempDir(), "b.zip")})
	if err == nil || !strings.Contains(err.Error(), "install Go") {
		t.Errorf("error is %v", err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	outDir := t.TempDir()
	_, err := pack.Dir(ctx, pack.Options{Dir: folder(t, goFolder()), Out: filepath.Join(outDir, "b.zip")})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if left, err := os.ReadDir(outDir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestGitRevision(t *testing.T) {
	dir := folder(t, map[string]string{
		"funcatron.yaml": strings.Replace(document, "bin/$GOOS-$GOARCH/app", "run.sh", 1),
		"run.sh":         "#!/bin/sh\n",
		"sub/other.txt":  "other",
	})
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_SYSTEM", os.DevNull)
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	out := filepath.Join(dir, "b.zip")
	packed := func() (string, string) {
		t.Helper()
		var said bytes.Buffer
		b, err := pack.Dir(t.Context(), pack.Options{Dir: dir, Out: out, Stderr: &said})
		if err != nil {
			t.Fatal(err)
		}
		return b.GitSha, said.String()
	}
	git("init", "-q")
	if sha, said := packed(); sha != "" || !strings.Contains(said, "does not track") {
		t.Errorf("untracked: revision %q, said %s", sha, said)
	}
	git("add", "funcatron.yaml", "run.sh", "sub")
	if sha, said := packed(); sha != "" || !strings.Contains(said, "no git revision") {
		t.Errorf("before the first commit: revision %q, said %s", sha, said)
	}
	git("commit", "-q", "-m", "first")
	head := git("rev-parse", "HEAD")
	t.Setenv("GIT_DIR", filepath.Join(t.TempDir(), "elsewhere")) // as in a git hook
	if sha, said := packed(); sha != head || !strings.Contains(said, head) {
		t.Errorf("committed: revision %q, want %q, said %s", sha, head, said)
	}
	if err := os.WriteFile(filepath.Join(dir, "new.txt"), []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if sha, said := packed(); sha != head+"-dirty" || !strings.Contains(said, "not committed") {
		t.Errorf("changed: revision %q, want %q, said %s", sha, head+"-dirty", said)
	}
}
