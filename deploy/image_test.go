package deploy

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instruction is one of a Dockerfile, its lines joined.
type instruction struct {
	name, args string
}

// image is what ../Dockerfile makes.
type image struct {
	stages     [][]instruction
	env        map[string]string // of the last stage
	user       string
	volume     string
	entrypoint []string
	expose     []string
}

func (im *image) last() []instruction { return im.stages[len(im.stages)-1] }

// only gives the arguments of the one instruction of that name in a stage.
func only(t *testing.T, stage []instruction, name string) string {
	t.Helper()
	args, n := "", 0
	for _, in := range stage {
		if in.name == name {
			args = in.args
			n++
		}
	}
	if n != 1 {
		t.Errorf("Dockerfile: %d times %s in a stage that needs it once", n, name)
	}
	return args
}

func execForm(t *testing.T, args string) []string {
	t.Helper()
	var words []string
	if err := json.Unmarshal([]byte(args), &words); err != nil || len(words) == 0 {
		t.Errorf("Dockerfile: %s is not in exec form, and there is no shell: %v", args, err)
	}
	return words
}

func readImage(t *testing.T) *image {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	im := &image{env: map[string]string{}}
	var lines []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	joined := strings.ReplaceAll(strings.Join(lines, "\n"), "\\\n", " ")
	known := []string{"FROM", "ENV", "WORKDIR", "COPY", "ARG", "RUN", "LABEL", "USER", "VOLUME", "EXPOSE",
		"STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
	for line := range strings.Lines(joined) {
		name, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !slices.Contains(known, name) {
			t.Fatalf("Dockerfile: %q is no instruction", line)
		}
		if name == "FROM" {
			im.stages = append(im.stages, nil)
		}
		if len(im.stages) == 0 {
			t.Fatalf("Dockerfile: %s before FROM", name)
		}
		i := len(im.stages) - 1
		im.stages[i] = append(im.stages[i], instruction{name, strings.TrimSpace(args)})
	}
	for _, in := range im.last() {
		if in.name != "ENV" {
			continue
		}
		for _, pair := range strings.Fields(in.args) {
			k, v, ok := strings.Cut(pair, "=")
			if !ok {
				t.Errorf("Dockerfile: ENV %s", pair)
			}
			im.env[k] = v
		}
	}
	im.user = only(t, im.last(), "USER")
	im.expose = strings.Fields(only(t, im.last(), "EXPOSE"))
	im.entrypoint = execForm(t, only(t, im.last(), "ENTRYPOINT"))
	im.volume = execForm(t, only(t, im.last(), "VOLUME"))[0]
	return im
}

// stage is that of "FROM ... AS name".
func (im *image) stage(t *testing.T, name string) []instruction {
	t.Helper()
	for _, stage := range im.stages {
		if strings.HasSuffix(stage[0].args, " AS "+name) {
			return stage
		}
	}
	t.Fatalf("Dockerfile: no stage is called %s", name)
	return nil
}

// copies are the arguments of all COPY in a stage.
func copies(stage []instruction) (all []string) {
	for _, in := range stage {
		if in.name == "COPY" {
			all = append(all, in.args)
		}
	}
	return all
}

// port is the one in a *_LISTEN variable of the image.
func (im *image) port(t *testing.T, variable string) string {
	t.Helper()
	return portOf(t, im.env[variable])
}

func TestImage(t *testing.T) {
	im := readImage(t)
	build, final := im.stage(t, "build"), im.last()
	known := variables(t)

	t.Run("settings are flags", func(t *testing.T) {
		var all []string
		for _, names := range known {
			all = append(all, names...)
		}
		var listened []string
		for name, value := range im.env {
			if !slices.Contains(all, name) {
				t.Errorf("no command has a flag for %s", name)
			}
			if strings.HasSuffix(name, "_LISTEN") {
				if !strings.HasPrefix(value, "0.0.0.0:") {
					t.Errorf("%s=%s is reached by nobody outside the container", name, value)
				}
				listened = append(listened, portOf(t, value))
			}
		}
		slices.Sort(listened)
		exposed := slices.Sorted(slices.Values(im.expose))
		if !slices.Equal(listened, exposed) {
			t.Errorf("listens on %q and exposes %q", listened, exposed)
		}
		for name := range maps.Values(adminPort) {
			if im.env[name] == "" {
				t.Errorf("%s is not set", name)
			}
		}
		for _, name := range all {
			if strings.HasSuffix(name, "_LISTEN") && im.env[name] == "" {
				t.Errorf("%s is not set: it would be the container's loopback", name)
			}
		}
	})

	t.Run("no root", func(t *testing.T) {
		if !regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`).MatchString(im.user) {
			t.Errorf("USER %s: Kubernetes' runAsNonRoot needs numbers, and not 0", im.user)
		}
		if im.volume != im.env["FUNCATRON_STATE_DIR"] {
			t.Errorf("VOLUME %s is not the state folder %s", im.volume, im.env["FUNCATRON_STATE_DIR"])
		}
		owned := false
		for _, in := range final {
			f := strings.Fields(in.args)
			owned = owned || in.name == "COPY" && slices.Contains(f, "--chown="+im.user) && f[len(f)-1] == im.volume
		}
		if !owned {
			t.Errorf("%s is not given to %s: a new volume there would be root's", im.volume, im.user)
		}
	})

	t.Run("runs the binary", func(t *testing.T) {
		binary := im.entrypoint[0]
		if len(im.entrypoint) != 1 {
			t.Errorf("ENTRYPOINT %q: the subcommand is the container's argument", im.entrypoint)
		}
		if got := only(t, final, "STOPSIGNAL"); got != "SIGTERM" {
			t.Errorf("STOPSIGNAL %s", got)
		}
		health := only(t, final, "HEALTHCHECK")
		words := execForm(t, health[strings.Index(health, "CMD ")+len("CMD "):])
		if !slices.Equal(words, []string{binary, "health"}) || known["health"] == nil {
			t.Errorf("HEALTHCHECK runs %q, which is not the health command", words)
		}
		var copied []string
		for _, in := range final {
			if in.name != "COPY" {
				continue
			}
			f := strings.Fields(in.args)
			copied = append(copied, f[len(f)-1])
			if !slices.Contains(f, "--from=build") || !strings.HasPrefix(f[len(f)-2], "/out/") {
				t.Errorf("COPY %s: not of what the build stage made", in.args)
			}
			made := false
			for _, b := range build {
				made = made || b.name == "RUN" && strings.Contains(b.args, f[len(f)-2])
			}
			if !made {
				t.Errorf("COPY %s: the build stage never names %s", in.args, f[len(f)-2])
			}
		}
		if !slices.Contains(copied, binary) {
			t.Errorf("%s is not in the image", binary)
		}
		demo, err := os.ReadFile("../runner/demo/demo.go")
		if err != nil {
			t.Fatal(err)
		}
		if m := regexp.MustCompile(`carried *= "(.*)"`).FindSubmatch(demo); m == nil || !slices.Contains(copied, string(m[1])) {
			t.Errorf("the sample is not where up --demo looks for it: %q", m)
		}
	})

	t.Run("builds a static binary of this version", func(t *testing.T) {
		text, err := os.ReadFile("../go.mod")
		if err != nil {
			t.Fatal(err)
		}
		mod := regexp.MustCompile(`(?s)^module (\S+)\n.*\ngo (\d+\.\d+)`).FindStringSubmatch(string(text))
		if mod == nil {
			t.Fatal("go.mod names no module or no version of Go")
		}
		module, minor := mod[1], mod[2]
		from := only(t, build, "FROM")
		if !strings.Contains(from, "golang:"+minor+" ") || !strings.HasSuffix(from, " AS build") {
			t.Errorf("FROM %s: go.mod asks for Go %s", from, minor)
		}
		if env := only(t, build, "ENV"); !strings.Contains(env, "CGO_ENABLED=0") || !strings.Contains(env, "-trimpath") {
			t.Errorf("ENV %s: no static, reproducible binary", env)
		}
		var runs string
		for _, in := range build {
			if in.name == "RUN" {
				runs += in.args + "\n"
			}
		}
		m := regexp.MustCompile(`-X ` + regexp.QuoteMeta(module) + `/(\S+)\.(\w+)=\$VERSION`).FindStringSubmatch(runs)
		if m == nil {
			t.Fatalf("no linker flag sets the version: %s", runs)
		}
		source, err := os.ReadFile(filepath.Join("..", m[1], path.Base(m[1])+".go"))
		if err != nil || !strings.Contains(string(source), "\nvar "+m[2]+" = ") {
			t.Errorf("%s has no variable %s to be set by the linker: %v", m[1], m[2], err)
		}
	})
}

// The image with every language is the other one, and more.
func TestFullImage(t *testing.T) {
	im := readImage(t)
	full, host, final := im.stage(t, "full"), im.stage(t, "jvm"), im.last()
	for _, name := range []string{"LABEL", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"} {
		if got, want := only(t, full, name), only(t, final, name); got != want {
			t.Errorf("%s is %s, and in the last stage %s", name, got, want)
		}
	}
	more := slices.DeleteFunc(copies(full), func(c string) bool { return slices.Contains(copies(final), c) })
	if len(more) != 1 || len(copies(full)) != len(copies(final))+1 {
		t.Fatalf("copies %q, and the last stage %q", copies(full), copies(final))
	}

	// The jar, where a Runner looks for it.
	f := strings.Fields(more[0])
	source, err := os.ReadFile("../runner/jvm.go")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`hostJars = \[\]string\{"(.*?)" \+ hostJar`).FindSubmatch(source)
	jar := regexp.MustCompile(`hostJar = "(.*)"`).FindSubmatch(source)
	if m == nil || jar == nil {
		t.Fatal("runner/jvm.go does not say where it looks for the host")
	}
	if f[0] != "--from=jvm" || f[2] != string(m[1])+string(jar[1]) {
		t.Errorf("COPY %s: a Runner looks for %s%s", more[0], m[1], jar[1])
	}
	built := only(t, host, "RUN")
	if !strings.HasSuffix(built, "target/"+path.Base(f[1])+" "+path.Dir(f[1])) || !slices.Equal(copies(host), []string{"runner/jvm ."}) {
		t.Errorf("the jvm stage copies %q and runs %s, which makes no %s", copies(host), built, f[1])
	}

	// What the default settings of a Runner look for.
	from := regexp.MustCompile(`^node:(\d+)-`).FindStringSubmatch(only(t, full, "FROM"))
	if from == nil || from[1] < "20" {
		t.Errorf("FROM %s has no Node 20", only(t, full, "FROM"))
	}
	packages := strings.Fields(only(t, full, "RUN"))
	for _, want := range []string{"openjdk-17-jre-headless", "python3", "python3-venv"} {
		if !slices.Contains(packages, want) {
			t.Errorf("%s is not installed", want)
		}
	}
}

// ignored reads ../.dockerignore as Docker does: a pattern covers what is below
// what it matches, and the last that matches decides.
func ignored(t *testing.T) func(name string) bool {
	t.Helper()
	text, err := os.ReadFile("../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	type rule struct {
		re   *regexp.Regexp
		keep bool
	}
	var rules []rule
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		pattern, keep := strings.CutPrefix(line, "!")
		pattern = strings.TrimPrefix(path.Clean(pattern), "/")
		expr := regexp.QuoteMeta(pattern)
		expr = strings.ReplaceAll(expr, `\*\*/`, `(.*/)?`)
		expr = strings.ReplaceAll(expr, `\*`, `[^/]*`)
		rules = append(rules, rule{regexp.MustCompile(`^` + expr + `(/.*)?$`), keep})
	}
	return func(name string) bool {
		out := false
		for _, r := range rules {
			if r.re.MatchString(name) {
				out = !r.keep
			}
		}
		return out
	}
}

// What .dockerignore leaves is still the whole program, and what the Dockerfile
// copies is there.
func TestBuildContext(t *testing.T) {
	ignore := ignored(t)
	for name, want := range map[string]bool{
		".git": true, ".git/config": true, "deploy/mesos/start.sh": true, "gateway/gateway_test.go": true,
		"main.go": false, "go.sum": false, "gateway/gateway.go": false, "bin/funcatron": true, "runner/bin.go": false,
	} {
		if ignore(name) != want {
			t.Errorf(".dockerignore leaves out %s: %v", name, !want)
		}
	}

	context := t.TempDir()
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // a file of a test that runs beside this one
			}
			return err
		}
		rel := strings.TrimPrefix(filepath.ToSlash(name), "../")
		if name == ".." {
			return nil
		}
		if ignore(rel) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		to := filepath.Join(context, rel)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		return os.WriteFile(to, text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}

	sample := ""
	for _, in := range readImage(t).stages[0] {
		switch in.name {
		case "COPY":
			f := strings.Fields(in.args)
			for _, source := range f[:len(f)-1] {
				if _, err := os.Stat(filepath.Join(context, source)); err != nil {
					t.Errorf("COPY %s: %v", in.args, err)
				}
			}
		case "RUN":
			if m := regexp.MustCompile(`pack (\S+) -o`).FindStringSubmatch(in.args); m != nil {
				sample = m[1]
			}
		}
	}
	env := []string{"CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=-mod=readonly -buildvcs=false", "GOWORK=off"}
	for _, pkg := range []string{".", "./" + sample} {
		if out, err := run(t, context, env, "go", "list", "-deps", "-f", "{{with .Error}}{{.}}{{end}}", pkg); err != nil {
			t.Errorf("go list -deps %s, on what .dockerignore leaves: %v\n%s", pkg, err, out)
		}
	}
	if _, err := os.Stat(filepath.Join(context, sample, "funcatron.yaml")); err != nil {
		t.Errorf("the sample: %v", err)
	}
}
