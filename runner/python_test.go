package runner

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/shared/wire"
)

// wheel is a package for pip that holds one module (the binary distribution format
// of PyPA's specifications).
func wheel(t *testing.T, name, version, code string) string {
	t.Helper()
	info := name + "-" + version + ".dist-info/"
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range []struct{ name, text string }{
		{name + ".py", code},
		{info + "METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", name + ".py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n"},
	} {
		w, err := z.Create(f.name)
		if err == nil {
			_, err = w.Write([]byte(f.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// pythonDocument names the function app.hello.
func pythonDocument() string {
	return strings.Replace(document(`"runtime":"python"`), `"paths":{`,
		`"paths":{"/hello":{"get":{"operationId":"app.hello","responses":{"200":{"description":"ok"}}}},`, 1)
}

const pythonApp = `
import sys

import greeting

def hello(ctx):
    return f"{greeting.word} {sys.prefix}"

def echo(ctx):
    return None
`

// needPython is false, and said, where there is no Python and no CI.
func needPython(t *testing.T) {
	t.Helper()
	if _, err := lookPath("python3", os.Geteuid() == 0); err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
}

func (g *rig) requiring(t *testing.T, version string) wire.Deployment {
	return g.bundle(map[string]string{
		"funcatron.json": strings.Replace(pythonDocument(), `"echo"`, `"app.echo"`, 1), "app.py": pythonApp, "requirements.txt": "greeting==" + version + "\n",
		"wheels/greeting-1.0-py3-none-any.whl": wheel(t, "greeting", "1.0", "word = 'one'\n"),
		"wheels/greeting-2.0-py3-none-any.whl": wheel(t, "greeting", "2.0", "word = 'two'\n"),
	})
}

// What a bundle requires is installed from its own wheels, into an environment of
// its own, which is made once: two bundles have two versions of one package.
func TestPythonRequirements(t *testing.T) {
	needPython(t)
	t.Setenv("PIP_NO_INDEX", "1") // no network
	g := newRig(t)
	g.operation = "app.hello"
	r, stop := g.start()
	one, two := g.requiring(t, "1.0"), g.requiring(t, "2.0")
	g.live(one)
	g.live(two)
	environments := func() (all []string) {
		all, _ = filepath.Glob(filepath.Join(r.made.Dir(), "python-*", "bin", "python")) // the pattern is good
		return all
	}
	for d, want := range map[*wire.Deployment]string{&one: "one ", &two: "two "} {
		if got := g.get(*d, "/sample/go/hello"); !strings.HasPrefix(got, want) || !strings.Contains(got, "/made") {
			t.Errorf("%q, want %q", got, want)
		}
	}
	first := environments()
	again := one
	again.ID, again.Queue = wire.NewID(), "again"
	g.live(again)
	if got := environments(); len(first) != 2 || strings.Join(got, " ") != strings.Join(first, " ") {
		t.Errorf("environments %q, before %q", got, first)
	}
	stop()
}

// A requirement that cannot be had is the reason why the bundle does not start, and
// nothing of the attempt is left.
func TestPythonRequirementsMissing(t *testing.T) {
	needPython(t)
	t.Setenv("PIP_NO_INDEX", "1")
	g := newRig(t)
	r, _ := g.start()
	a := g.ack(g.enable(g.requiring(t, "3.0")))
	if a.OK || !strings.Contains(a.Error, "install what requirements.txt names") || !strings.Contains(strings.Join(a.Logs, "\n"), "greeting==3.0") {
		t.Errorf("acknowledged with %+v", a)
	}
	if left, err := os.ReadDir(r.made.Dir()); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A zipapp or a PEX runs as it came, with the package funcatron at hand.
func TestZipapp(t *testing.T) {
	needPython(t)
	g := newRig(t)
	g.start()
	d := g.bundle(map[string]string{
		"funcatron.json": document(`"runtime":"python"`),
		"word.py":        "word = 'from inside'",
		"__main__.py": `
import http.server, os, socketserver, sys
import funcatron, word

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = f"{word.word} {os.path.basename(word.__file__)} {os.path.isfile(sys.argv[0])} {os.environ['PEX_EXTRA_SYS_PATH'] == os.environ['PYTHONPATH']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self):
        return "-"

class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    pass

Server(os.environ["FUNCATRON_SOCKET"], Handler).serve_forever()
`,
	})
	g.live(d)
	if got := g.get(d, "/"); got != "from inside word.py True True" {
		t.Errorf("got %q", got)
	}
}
