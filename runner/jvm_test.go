package runner

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/wire"
)

// withJava has the Runner start the test binary for java.
func (g *rig) withJava() {
	g.t.Helper()
	self, err := testProgram()
	if err != nil {
		g.t.Fatal(err)
	}
	dir := openDir(g.t)
	java, host := filepath.Join(dir, "java"), filepath.Join(dir, hostJar)
	for path, content := range map[string]string{java: "#!/bin/sh\n" + functionVar + "=serve exec '" + self + "' \"$@\"\n", host: "jar"} {
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			g.t.Fatal(err)
		}
	}
	g.change = func(o *Options) { o.Java, o.JVMHost = java, host }
}

// jarBundle is a jar as Maven leaves it: that it is one is seen by what it holds.
func (g *rig) jarBundle(runtime string) wire.Deployment {
	return g.bundle(map[string]string{
		"funcatron.json": document(runtime), "funcatron/intf/impl/ContextImpl.class": "class",
	})
}

// options are those that d's process was started with.
func (g *rig) options(d wire.Deployment) []string { return strings.Split(g.get(d, "/args"), "\n") }

// A jar is served by the host, with the document's options after the Runner's own.
func TestJar(t *testing.T) {
	g := newRig(t)
	g.withJava()
	r, _ := g.start()
	d := g.jarBundle(`"jvmOptions":["-Xss512k","-Dgreeting=a \"b\" c:\\d"],"memory":"4Gi"`)
	g.live(d)
	got := g.options(d)
	if n := len(got); n < 6 || got[n-3] != "-jar" || filepath.Base(got[n-2]) != hostJar || filepath.Base(got[n-1]) != "bundle.jar" {
		t.Fatalf("options %q", got)
	}
	if got := got[len(got)-5 : len(got)-3]; !slices.Equal(got, []string{"-Xss512k", `-Dgreeting=a "b" c:\d`}) {
		t.Errorf("the document's options arrive as %q", got)
	}
	if !slices.Contains(got, "-XX:MaxRAM=4294967296") {
		t.Errorf("%q has no -XX:MaxRAM of the document's memory", got)
	}
	jar, err := os.ReadFile(got[len(got)-1])
	if err != nil || string(jar) != string(g.bundles[d.Sha]) {
		t.Errorf("the jar is not the bundle: %d bytes, %v", len(jar), err)
	}
	if want := []string{"exec", "jvm"}; !slices.Equal(intersection(r.describe().Runtimes, want), want) {
		t.Errorf("the Runner reports the runtimes %q", r.describe().Runtimes)
	}
}

func intersection(a, b []string) (both []string) {
	for _, s := range a {
		if slices.Contains(b, s) {
			both = append(both, s)
		}
	}
	return both
}

// The first process of a jar makes the class archive, and all later ones start with
// it: the next deployment, and the next life of the Runner. Other options, or another
// java, make another.
func TestClassArchive(t *testing.T) {
	g := newRig(t)
	g.withJava()
	_, stop := g.start()
	d := g.jarBundle("")
	g.live(d)
	if o := strings.Join(g.options(d), " "); !strings.Contains(o, "-XX:+RecordDynamicDumpInfo") || strings.Contains(o, "SharedArchiveFile") {
		t.Errorf("the first process: %s", o)
	}
	archive := func(d wire.Deployment) string {
		t.Helper()
		for _, o := range g.options(d) {
			if path, ok := strings.CutPrefix(o, "-XX:SharedArchiveFile="); ok {
				if text, err := os.ReadFile(path); err != nil || string(text) != "classes" {
					t.Errorf("the archive holds %q, %v", text, err)
				}
				return path
			}
		}
		t.Errorf("no archive: %q", g.options(d))
		return ""
	}
	again := d
	again.ID, again.Queue = wire.NewID(), "again"
	g.live(again)
	first := archive(again)
	if os.Geteuid() == 0 {
		info, err := os.Stat(first)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); info.Mode().Perm() != 0o644 || st.Uid != 0 {
			t.Errorf("functions may change the archive: %v of user %d", info.Mode(), st.Uid)
		}
	}
	stop()
	g.acks = map[string]wire.Ack{}
	g.start() // goes on with both
	eventually(t, "the deployment again", func() bool {
		resp, err := g.call(d, "GET", "/pid", "", 20*time.Second)
		return err == nil && resp.Status == 200
	})
	if next := archive(d); next != first {
		t.Errorf("after a restart the archive is %s, not %s", next, first)
	}
}
