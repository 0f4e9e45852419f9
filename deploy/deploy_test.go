// Package deploy holds what the substrates are told to run: Marathon, Kubernetes,
// Swarm and Compose, and what Prometheus is told to watch.
//
// There is one image. It fixes ports, user and folders (../Dockerfile); a
// substrate adds what only it knows: names, secrets, and where things are
// reached. The tests hold every file against the image, against the flags in
// ../main.go and against the format that its substrate reads.
package deploy

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/discover"
)

const imageName = "funcatron/funcatron:latest"

// adminPort is where each part answers /healthz, /readyz and /metrics.
var adminPort = map[string]string{
	"gateway": "FUNCATRON_GATEWAY_ADMIN_LISTEN",
	"tron":    "FUNCATRON_TRON_LISTEN",
	"runner":  "FUNCATRON_RUNNER_ADMIN_LISTEN",
}

// stopping is what a part needs beyond the time for requests to finish: the
// gateway's delay before it closes, and the ten seconds that a function gets
// between SIGTERM and SIGKILL.
const stopping = 15 * time.Second

// variables reads the command line in ../*.go and gives, for each subcommand, the
// environment variables that kong.DefaultEnvars("FUNCATRON") makes of its flags.
func variables(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	structs := map[string]*ast.StructType{}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for n := range ast.Preorder(f) {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					structs[spec.Name.Name] = s
				}
			}
		}
	}
	wordStart := regexp.MustCompile(`([a-z0-9])([A-Z])`)
	var flags func(structName string) []string
	flags = func(structName string) (out []string) {
		s := structs[structName]
		if s == nil {
			t.Fatalf("main has no struct %s", structName)
		}
		for _, field := range s.Fields.List {
			var tag reflect.StructTag
			if field.Tag != nil {
				text, err := strconv.Unquote(field.Tag.Value)
				if err != nil {
					t.Fatal(err)
				}
				tag = reflect.StructTag(text)
			}
			if len(field.Names) == 0 {
				if own, ok := field.Type.(*ast.Ident); ok { // another package's are no part's
					out = append(out, flags(own.Name)...)
				}
			}
			for _, id := range field.Names {
				name := tag.Get("name")
				if name == "" {
					name = wordStart.ReplaceAllString(id.Name, "$1-$2")
				}
				env := tag.Get("env")
				if env == "" {
					env = "FUNCATRON_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
				}
				out = append(out, env)
			}
		}
		return out
	}
	commands := structs["cli"]
	if commands == nil {
		t.Fatal("main has no struct cli")
	}
	out := map[string][]string{}
	for _, field := range commands.Fields.List {
		for _, id := range field.Names {
			out[strings.ToLower(id.Name)] = flags(field.Type.(*ast.Ident).Name)
		}
	}
	return out
}

// part is one of our containers, whatever the substrate.
type part struct {
	where string // for messages
	args  []string
	env   map[string]string // values as the process sees them, but for $NAMEs that it expands itself
	given map[string]string // further variables that the substrate sets, such as HOST
	grace time.Duration     // between SIGTERM and SIGKILL
	files []string          // paths of the secrets it can read
}

// checkPart holds a container of the image against the flags and packages that
// will read its settings.
func checkPart(t *testing.T, im *image, known map[string][]string, p part) {
	t.Helper()
	if len(p.args) != 1 || adminPort[p.args[0]] == "" {
		t.Errorf("%s: arguments %q are not one of the parts", p.where, p.args)
		return
	}
	command := p.args[0]
	for name := range p.env {
		if strings.HasPrefix(name, "FUNCATRON_") && !slices.Contains(known[command], name) {
			t.Errorf("%s: funcatron %s has no flag for %s", p.where, command, name)
		}
	}
	drain, err := time.ParseDuration(im.env["FUNCATRON_DRAIN_TIME"])
	if err != nil || p.grace < drain+stopping {
		t.Errorf("%s: killed after %v, but requests may take %v to finish, and stopping %v more", p.where, p.grace, drain, stopping)
	}
	if p.env["FUNCATRON_RABBIT_URL"] == "" {
		t.Errorf("%s: does not know where RabbitMQ is", p.where)
	}
	for _, name := range []string{"FUNCATRON_RABBIT_PASSWORD_FILE", "FUNCATRON_ADMIN_TOKEN_FILE"} {
		if path := p.env[name]; path != "" && !slices.Contains(p.files, path) {
			t.Errorf("%s: %s is %s, which is not mounted (only %q)", p.where, name, path, p.files)
		}
	}
	if _, err := discover.NewRabbit(p.env["FUNCATRON_RABBIT_URL"], "", nil); err != nil {
		t.Errorf("%s: %v", p.where, err)
	}
	lookup := func(name string) (string, bool) {
		for _, m := range []map[string]string{p.given, p.env} {
			if v, ok := m[name]; ok {
				return v, true
			}
		}
		return "", false
	}
	for _, name := range []string{"FUNCATRON_TRON_URL", "FUNCATRON_GATEWAY_URL"} {
		if v := p.env[name]; v != "" {
			if _, err := discover.Advertise(name, v, "http", nil, lookup); err != nil {
				t.Errorf("%s: %v", p.where, err)
			}
		}
	}
	switch command {
	case "tron":
		protected := p.env["FUNCATRON_ADMIN_TOKEN_FILE"] != ""
		if open := p.env["FUNCATRON_NO_ADMIN_AUTH"] == "true"; open == protected {
			t.Errorf("%s: needs either a token or the word that it does without", p.where)
		}
		if p.env["FUNCATRON_TRON_URL"] == "" {
			t.Errorf("%s: does not say where it is reached", p.where)
		}
	case "gateway":
		if p.env["FUNCATRON_GATEWAY_URL"] == "" {
			t.Errorf("%s: does not say where it is reached", p.where)
		}
	}
	if command != "tron" {
		for _, f := range p.files {
			if strings.Contains(f, "admin") {
				t.Errorf("%s: can read the admin token in %s", p.where, f)
			}
		}
	}
}

// run runs a script or tool with env added, and gives what it wrote.
func run(t *testing.T, dir string, env []string, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// installed tells whether a program is here; where it is not, the log says what
// has therefore not been checked.
func installed(t *testing.T, program, check string) bool {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Logf("not done, since there is no %s here: %s", program, check)
		return false
	}
	return true
}

// standIn puts a program in front of PATH that runs script, and gives the
// environment for that.
func standIn(t *testing.T, program, script string) []string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, program), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return []string{"PATH=" + dir + string(os.PathListSeparator) + os.Getenv("PATH")}
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
