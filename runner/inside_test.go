package runner

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/funcatron/funcatron/runner/cgroup"
	"github.com/funcatron/funcatron/shared/envelope"
	"github.com/funcatron/funcatron/shared/wire"
)

// What functions may not do is tried from inside one: testdata/inside.

// needRoot skips a test that only root can do, but not in CI.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("needs root")
	}
	t.Skip("needs root")
}

// insideProgram builds the function, once.
var insideProgram = sync.OnceValues(func() (string, error) {
	if _, err := testProgram(); err != nil { // which makes testDir
		return "", err
	}
	path := filepath.Join(testDir, "inside")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, "./testdata/inside") // as pack builds: the compiled packages are shared
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, os.Chmod(path, 0o755)
})

// inside makes a bundle of that function. name makes it another one's.
func (g *rig) inside(name, runtime string) wire.Deployment {
	g.t.Helper()
	program, err := insideProgram()
	if err != nil {
		g.t.Fatal(err)
	}
	d := g.bundle(map[string]string{
		"funcatron.json": document(`"runtime":"exec","command":["bin/app"]` + runtime),
		"bin/app":        "#!/bin/sh\nexec '" + program + "'\n",
		"secret.txt":     "secret of " + name,
	})
	d.Props = []byte(`{"password":"of ` + name + `"}`)
	return d
}

// try has d do something, and returns what it says of that.
func (g *rig) try(d wire.Deployment, what, x string) string {
	g.t.Helper()
	return g.get(d, what+"?x="+url.QueryEscape(x))
}

// runOf is the folder of a deployment's run.
func (g *rig) runOf(r *Runner, d wire.Deployment) string {
	g.t.Helper()
	all, err := filepath.Glob(filepath.Join(r.folder.runs, d.ID+"-*"))
	if err != nil || len(all) != 1 {
		g.t.Fatalf("folders of %s: %v, %v", d.ID, all, err)
	}
	return all[0]
}

// Whoever the Runner is, a function's process can gain nothing, leaves no core, and
// is alone in its session.
func TestInsideEvery(t *testing.T) {
	g := newRig(t)
	g.start()
	d := g.inside("a", "")
	g.live(d)
	status := g.try(d, "/read", "/proc/self/status")
	for _, want := range []string{`NoNewPrivs:\t1`, `CapAmb:\t0+`, `Umask:\t0077`} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(status) {
			t.Errorf("status lacks %q:\n%s", want, status)
		}
	}
	if limits := g.try(d, "/read", "/proc/self/limits"); !regexp.MustCompile(`(?m)^Max core file size +0 +0 `).MatchString(limits) {
		t.Errorf("core dumps are not off:\n%s", limits)
	}
	if ids := g.try(d, "/ids", ""); !strings.Contains(ids, "own session true") {
		t.Errorf("ids %s", ids)
	}
	if got := g.try(d, "/read", g.try(d, "/env", "FUNCATRON_PROPS_FILE")); got != `{"password":"of a"}` {
		t.Errorf("its own props read %s", got)
	}
	for _, v := range []string{"HOME", "TMPDIR"} {
		if got := g.try(d, "/write", g.try(d, "/env", v)+"/x"); got != "" {
			t.Errorf("write to %s: %s", v, got)
		}
	}
}

// A function is a user of its own: it reads nothing and reaches nobody of the
// Runner's or of another bundle's.
func TestInsideOwnUser(t *testing.T) {
	needRoot(t)
	g := newRig(t)
	r, stop := g.start()
	a, b := g.inside("a", ""), g.inside("b", "")
	g.live(a)
	g.live(b)
	user := func(d wire.Deployment) (uid int) {
		var gid int
		ids := g.try(d, "/ids", "")
		if n, err := fmt.Sscanf(ids, "%d %d [] ", &uid, &gid); n != 2 || err == nil && uid != gid {
			t.Errorf("%s is %s, want one id and no other groups", d.ID, ids)
		}
		if !r.jails.users.Contains(uid) {
			t.Errorf("%s is user %d, which is not in %s", d.ID, uid, r.opts.FunctionUIDs)
		}
		return uid
	}
	ua, ub := user(a), user(b)
	if ua == ub {
		t.Errorf("both are user %d", ua)
	}
	for _, capabilities := range []string{"CapPrm", "CapEff"} {
		if !regexp.MustCompile(`(?m)^` + capabilities + `:\t0+$`).MatchString(g.try(a, "/read", "/proc/self/status")) {
			t.Errorf("it has %s", capabilities)
		}
	}

	self, other := strconv.Itoa(os.Getpid()), g.try(b, "/pid", "")
	theirs := g.runOf(r, b)
	mine := g.try(a, "/dir", "")
	foreign := g.try(b, "/env", "FUNCATRON_SOCKET")
	for _, tc := range []struct{ what, x string }{
		{"/read", r.folder.saved()},
		{"/list", r.folder.path},
		{"/list", r.folder.bundles()},
		{"/read", filepath.Join(r.folder.bundles(), b.Sha+".zip")},
		{"/write", filepath.Join(r.folder.path, "x")},
		{"/remove", r.folder.saved()},
		{"/list", r.folder.runs},
		{"/list", theirs},
		{"/list", filepath.Join(theirs, "files")},
		{"/read", filepath.Join(theirs, "files", "secret.txt")},
		{"/read", g.try(b, "/env", "FUNCATRON_PROPS_FILE")},
		{"/write", g.try(b, "/env", "TMPDIR") + "/x"},
		{"/list", filepath.Dir(foreign)},
		{"/connect", foreign},
		{"/remove", foreign},
		{"/read", "/proc/" + other + "/environ"},
		{"/list", "/proc/" + other + "/fd"},
		{"/list", "/proc/" + other + "/cwd/"},
		{"/read", "/proc/" + self + "/environ"},
		{"/list", "/proc/" + self + "/fd"},
		{"/read", "/proc/" + self + "/mem"},
		{"/signal", other},
		{"/signal", self},
		{"/trace", other},
		{"/trace", self},
		{"/become", "0"},
		{"/become", strconv.Itoa(ub)},
		{"/write", mine + "/x"},
		{"/write", mine + "/bin/app"},
		{"/remove", mine + "/secret.txt"},
		{"/write", filepath.Dir(mine) + "/x"},
		{"/remove", filepath.Dir(mine) + "/s"},
		{"/read", "/etc/shadow"},
	} {
		got := g.try(a, tc.what, tc.x)
		if !strings.Contains(got, "error: ") || !strings.Contains(got, "permission denied") && !strings.Contains(got, "not permitted") {
			t.Errorf("%s %s: %.200q, want it denied", tc.what, tc.x, got)
		}
	}
	if got := g.try(a, "/read", mine+"/secret.txt"); got != "secret of a" {
		t.Errorf("its own file reads %s", got)
	}
	for path, want := range map[string]string{
		mine:                        fmt.Sprintf("drwxr-x--- 0:%d", ua),
		mine + "/secret.txt":        fmt.Sprintf("-rwxr-x--- 0:%d", ua),
		filepath.Dir(mine) + "/p1":  fmt.Sprintf("drwx------ %d:%d", ua, ua),
		r.folder.path + "/bundles/": "drwx------ 0:0",
	} {
		if got := g.try(a, "/mode", path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if got := g.try(a, "/mode", g.try(a, "/env", "FUNCATRON_SOCKET")); !regexp.MustCompile(fmt.Sprintf(`^Srw[x-]------ %d:%d$`, ua, ua)).MatchString(got) {
		t.Errorf("its socket is %s", got)
	}

	// What makes a session and an environment of its own is found by its user.
	g.try(a, "/escape", "")
	eventually(t, "process that escapes", func() bool { return len(g.pids("escaped")) > 0 })
	if a := g.ack(g.disable(a)); !a.OK {
		t.Errorf("disable: %+v", a)
	}
	gone(t, g.pids("escaped"))
	stop()
}

// What the Runner connects to is its function, wherever that leads it.
func TestInsideMislead(t *testing.T) {
	needRoot(t)
	g := newRig(t)
	g.start()
	a, b := g.inside("a", `,"concurrency":1`), g.inside("b", "")
	g.live(a)
	g.live(b)
	// A connection that was kept goes on; the next one has to be made anew.
	if got := g.try(a, "/mislead", g.try(b, "/env", "FUNCATRON_SOCKET")); got != "" {
		t.Fatal(got)
	}
	g.try(a, "/hangup", "")
	resp, err := g.call(a, "GET", "/pid", "", 20*time.Second)
	if err != nil || resp.Fault != envelope.Died || !strings.Contains(g.log.String(), "who listens there, not the function's") {
		t.Errorf("%v, fault %d, answer %s, want a refusal to connect to another", err, resp.Fault, resp.Body)
	}
}

// The limits of the document hold.
func TestInsideLimits(t *testing.T) {
	g := newRig(t)
	r, _ := g.start()
	d := g.inside("a", `,"memory":"128Mi","cpu":"500m","files":40,"processes":30`)
	g.live(d)
	uid := os.Geteuid()
	if uid == 0 {
		if n, err := fmt.Sscanf(g.try(d, "/ids", ""), "%d", &uid); n != 1 {
			t.Fatal(err)
		}
	}

	var files int
	got := g.try(d, "/files", "")
	if _, err := fmt.Sscanf(got, "%d", &files); err != nil || files > 40 || files < 10 || !strings.Contains(got, "too many open files") {
		t.Errorf("files: %s, want fewer than 40", got)
	}
	if has := r.jails.groups != nil && r.jails.groups.Has(cgroup.Pids); has || os.Geteuid() == 0 {
		var processes int
		got := g.try(d, "/processes", "")
		if _, err := fmt.Sscanf(got, "%d", &processes); err != nil || processes > 30 || processes < 1 || !strings.Contains(got, "temporarily unavailable") {
			t.Errorf("processes: %s, want fewer than 30", got)
		}
	} else if !strings.Contains(g.log.String(), "cannot be enforced") || !strings.Contains(g.log.String(), "processes") {
		t.Error("nobody says that processes are not limited")
	}
	if r.jails.groups != nil && r.jails.groups.Has(cgroup.CPU) {
		group := regexp.MustCompile(`(?m)^0::.*/(.+)$`).FindStringSubmatch(g.try(d, "/read", "/proc/self/cgroup"))
		if group == nil {
			t.Fatal("it is in no control group")
		}
		if max := g.try(d, "/read", filepath.Join(r.jails.groups.Dir(), group[1], "cpu.max")); max != "50000 100000\n" {
			t.Errorf("cpu.max of %s: %s", group[1], max)
		}
	} else if !regexp.MustCompile(`cannot be enforced.* limits=\S*cpu`).MatchString(g.log.String()) {
		t.Error("nobody says that processors are not limited")
	}

	// Beyond its memory it dies, its caller gets 502, and another one takes over.
	if got := g.try(d, "/eat", "20"); got != "" {
		t.Errorf("20 MiB of 128: %s", got)
	}
	before := g.try(d, "/pid", "")
	resp, err := g.call(d, "GET", "/eat?x=1000", "", 20*time.Second)
	if err != nil || resp.Status != 502 || resp.Fault != envelope.Died {
		t.Fatalf("beyond its memory: %v, status %d, fault %d, %s", err, resp.Status, resp.Fault, resp.Body)
	}
	eventually(t, "another process", func() bool {
		resp, err := g.call(d, "GET", "/pid", "", 20*time.Second)
		return err == nil && resp.Fault == envelope.NoFault && string(resp.Body) != before
	})
	eventually(t, "reason in the log", func() bool {
		return regexp.MustCompile(`is started again.*err="process ended: [^"]*memory`).MatchString(g.log.String())
	})
	if st := g.status(r, d); st.Restarts != 1 {
		t.Errorf("status %+v, want one restart", st)
	}
}

// What a document asks for beyond --function-memory does not start; what it leaves
// open is that.
func TestFunctionMemory(t *testing.T) {
	g := newRig(t)
	g.change = func(o *Options) { o.FunctionMemory = 256 << 20 }
	r, _ := g.start()
	greedy := g.inside("a", `,"memory":"1Gi"`)
	if a := g.ack(g.enable(greedy)); a.OK || !strings.Contains(a.Error, "memory: 1Gi") || !strings.Contains(a.Error, "256Mi") {
		t.Errorf("enable: %+v", a)
	}
	d := g.inside("b", "")
	g.live(d)
	if r.jails.groups == nil || !r.jails.groups.Has(cgroup.Memory) {
		if limits := g.try(d, "/read", "/proc/self/limits"); !regexp.MustCompile(`(?m)^Max data size +268435456 +268435456 `).MatchString(limits) {
			t.Errorf("limits:\n%s", limits)
		}
	}
	if resp, err := g.call(d, "GET", "/eat?x=1000", "", 20*time.Second); err != nil || resp.Fault != envelope.Died {
		t.Errorf("beyond its memory: %v, fault %d", err, resp.Fault)
	}
}
