package process

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The test binary is its own child: the variable says what it does then.
const childEnv = "PROCESS_TEST_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childEnv); mode != "" {
		child(mode)
		// Not os.Exit: the race detector and coverage have things to say there.
		syscall.Exit(0)
	}
	os.Exit(m.Run())
}

// hang never returns; the runtime would take an empty select for a deadlock.
func hang() {
	for {
		<-time.After(time.Hour)
	}
}

func child(mode string) {
	switch mode {
	case "env":
		for _, e := range os.Environ() {
			fmt.Println(e)
		}
		dir, _ := os.Getwd()
		fmt.Println("dir", dir)
	case "streams":
		fmt.Print("one\r\ntwo\n\nlast")
		fmt.Fprint(os.Stderr, "oh\n")
	case "exit":
		fmt.Fprintln(os.Stderr, "no database")
		syscall.Exit(3)
	case "sleep":
		fmt.Println("ready")
		hang()
	case "finish": // what SIGTERM means
		got := make(chan os.Signal, 1)
		signal.Notify(got, syscall.SIGTERM)
		fmt.Println("ready")
		<-got
		fmt.Println("finished")
	case "ignore":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		hang()
	case "parent", "parent-session": // leaves a child that holds the output
		c := exec.Command(os.Args[0])
		c.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, childEnv) }), childEnv+"=ignore")
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: mode == "parent-session"}
		if err := c.Start(); err != nil {
			panic(err)
		}
		fmt.Println("child", c.Process.Pid)
		if os.Getenv("STAY") != "" {
			hang()
		}
	case "flood":
		w := bufio.NewWriter(os.Stdout)
		line := bytes.Repeat([]byte("x"), 1000)
		for i := 0; ; i++ {
			fmt.Fprintf(w, "%d %s\n", i, line)
		}
	case "wide":
		os.Stdout.Write(bytes.Repeat([]byte("a"), 3*MaxLine))
		fmt.Println()
		fmt.Println("after")
	case "runner": // what the Runner is to its functions
		p, err := Start(Spec{
			Path: os.Args[0], Args: os.Args[:1], Env: []string{childEnv + "=parent", "STAY=1", "MARK=" + os.Getenv("MARK")},
			Output: func(_ bool, line []byte) { fmt.Println(string(line)) },
		})
		if err != nil {
			panic(err)
		}
		fmt.Println("function", p.PID())
		hang()
	}
}

// start starts the test binary as a child of the given mode, and gives its lines.
func start(t *testing.T, mode string, env ...string) (*Process, *lines) {
	t.Helper()
	out := &lines{}
	mark := "MARK=" + t.Name() + strconv.Itoa(os.Getpid())
	p, err := Start(Spec{
		Path: os.Args[0], Args: os.Args[:1], Dir: t.TempDir(),
		Env: append(env, childEnv+"="+mode, mark), Mark: mark, Output: out.add,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(ended()) })
	return p, out
}

type lines struct {
	mu  sync.Mutex
	got []string
}

func (l *lines) add(stderr bool, line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := string(line)
	if stderr {
		text = "stderr: " + text
	}
	l.got = append(l.got, text)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

// number waits for a line "word N" and returns N.
func (l *lines) number(t *testing.T, word string) (n int) {
	t.Helper()
	eventually(t, "a line of "+word, func() bool {
		for _, s := range l.all() {
			if v, ok := strings.CutPrefix(s, word+" "); ok {
				n, _ = strconv.Atoi(v)
			}
		}
		return n > 0
	})
	return n
}

func (l *lines) has(s string) func() bool {
	return func() bool { return slices.Contains(l.all(), s) }
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("no %s", what)
		case <-tick.C:
		}
	}
}

func done(t *testing.T, p *Process) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("process does not end")
	}
}

// alive says whether pid is there and no zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, after, _ := bytes.Cut(stat, []byte(") "))
	return len(after) > 0 && after[0] != 'Z' && after[0] != 'X'
}

func TestEnvironmentIsWhatWasGiven(t *testing.T) {
	t.Setenv("RABBIT_PASSWORD", "secret")
	dir := t.TempDir()
	var out lines
	p, err := Start(Spec{Path: os.Args[0], Args: os.Args[:1], Dir: dir, Env: []string{childEnv + "=env", "A=b c"}, Output: out.add})
	if err != nil {
		t.Fatal(err)
	}
	done(t, p)
	want := []string{childEnv + "=env", "A=b c", "dir " + dir}
	if got := out.all(); !slices.Equal(got, want) {
		t.Errorf("the child sees %q, want %q", got, want)
	}
}

func TestNoEnvironmentIsNotOurs(t *testing.T) {
	var out lines
	p, err := Start(Spec{Path: "/usr/bin/env", Args: []string{"env"}, Output: out.add})
	if err != nil {
		t.Fatal(err)
	}
	done(t, p)
	if got := out.all(); len(got) != 0 {
		t.Errorf("the child sees %q, want nothing", got)
	}
}

func TestLines(t *testing.T) {
	p, out := start(t, "streams")
	done(t, p)
	got := slices.DeleteFunc(out.all(), func(s string) bool { return s == "stderr: oh" })
	if want := []string{"one", "two", "", "last"}; !slices.Equal(got, want) {
		t.Errorf("stdout is %q, want %q", got, want)
	}
	if !out.has("stderr: oh")() {
		t.Errorf("stderr is missing in %q", out.all())
	}
	if got := p.Exit(); got != "exit status 0" {
		t.Errorf("Exit() = %q", got)
	}
}

func TestExitAndTailTellWhy(t *testing.T) {
	p, _ := start(t, "exit")
	if got := p.Exit(); got != "exit status 3" {
		t.Errorf("Exit() = %q, want exit status 3", got)
	}
	if got := p.Tail(); !slices.Equal(got, []string{"no database"}) {
		t.Errorf("Tail() = %q", got)
	}
}

func TestStartFails(t *testing.T) {
	_, err := Start(Spec{Path: "/no/such/program", Args: []string{"x"}})
	if err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("Start = %v, want an error that names the program", err)
	}
}

func TestStopLetsTheChildFinish(t *testing.T) {
	p, out := start(t, "finish")
	eventually(t, "ready", out.has("ready"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	p.Stop(ctx)
	p.Stop(ctx)
	if !out.has("finished")() || p.Exit() != "exit status 0" {
		t.Errorf("ended with %q and %q", p.Exit(), out.all())
	}
}

func TestStopKillsWhatIgnoresIt(t *testing.T) {
	p, out := start(t, "ignore")
	eventually(t, "ready", out.has("ready"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	p.Stop(ctx)
	if got := p.Exit(); got != "signal: killed" {
		t.Errorf("Exit() = %q, want signal: killed", got)
	}
}

// The child ends by itself; its own child holds the output, ignores SIGTERM, and
// in the second case has left the group.
func TestNothingIsLeft(t *testing.T) {
	for _, mode := range []string{"parent", "parent-session"} {
		t.Run(mode, func(t *testing.T) {
			p, out := start(t, mode)
			done(t, p)
			pid := out.number(t, "child")
			eventually(t, "end of the grandchild", func() bool { return !alive(pid) })
		})
	}
}

// Without a mark nobody finds a grandchild in a session of its own, but neither
// does it hang us.
func TestOutputThatIsHeldDoesNotHang(t *testing.T) {
	var out lines
	p, err := Start(Spec{Path: os.Args[0], Args: os.Args[:1], Env: []string{childEnv + "=parent-session", "LEFT=" + t.Name()}, Output: out.add})
	if err != nil {
		t.Fatal(err)
	}
	done(t, p)
	if pid := out.number(t, "child"); !alive(pid) {
		t.Error("the grandchild is gone: nothing held the output")
	}
	if n := Sweep("LEFT=" + t.Name()); n != 1 {
		t.Errorf("Sweep found %d processes, want 1", n)
	}
}

func TestFloodWaitsAndDiesAtOnce(t *testing.T) {
	var mu sync.Mutex
	var n int
	block := make(chan struct{})
	p, err := Start(Spec{Path: os.Args[0], Args: os.Args[:1], Env: []string{childEnv + "=flood"}, Output: func(bool, []byte) {
		mu.Lock()
		n++
		full := n == 100
		mu.Unlock()
		if full {
			<-block
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "100 lines", func() bool { mu.Lock(); defer mu.Unlock(); return n == 100 })
	// The reader is blocked, so the child must be waiting for its pipe by now or
	// soon: its state is S, and stays so.
	eventually(t, "child that waits", func() bool {
		b, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.PID()), "wchan"))
		return strings.Contains(string(b), "pipe") || sleeping(p.PID())
	})
	close(block)
	p.Stop(ended())
	if got := p.Exit(); !strings.HasPrefix(got, "signal: ") { // whichever came first
		t.Errorf("Exit() = %q", got)
	}
}

func sleeping(pid int) bool {
	stat, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	_, after, _ := bytes.Cut(stat, []byte(") "))
	return len(after) > 0 && after[0] == 'S'
}

func TestLongLinesAreCut(t *testing.T) {
	p, out := start(t, "wide")
	done(t, p)
	got := out.all()
	if len(got) != 2 || got[0] != strings.Repeat("a", MaxLine) || got[1] != "after" {
		t.Errorf("%d lines, the first of %d bytes", len(got), len(got[0]))
	}
	if tail := p.Tail(); len(tail) != 2 || len(tail[0]) != tailWidth {
		t.Errorf("the tail has %d lines", len(tail))
	}
}

func TestTailKeepsTheLast(t *testing.T) {
	var tl tail
	for i := range 3 * tailLines / 2 {
		tl.add(strconv.AppendInt(nil, int64(i), 10))
	}
	got := tl.lines()
	if len(got) != tailLines || got[0] != strconv.Itoa(tailLines/2) || got[tailLines-1] != strconv.Itoa(3*tailLines/2-1) {
		t.Errorf("the tail is %q", got)
	}
}

func TestPacer(t *testing.T) {
	b := pacer{allowance: outputBurst, last: time.Now()}
	if d := b.spend(outputBurst / 2); d != 0 {
		t.Errorf("within the burst one waits %v", d)
	}
	if d := b.spend(outputBurst/2 + outputRate); d < 900*time.Millisecond || d > time.Second {
		t.Errorf("a second's worth beyond the burst waits %v, want about 1s", d)
	}
}

// kill -9 of whoever started it kills the child; what that left behind is found
// by its mark.
func TestDiesWithItsRunner(t *testing.T) {
	mark := t.Name() + strconv.Itoa(os.Getpid())
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{childEnv + "=runner", "MARK=" + mark}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var out lines
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(pipe); s.Scan(); {
			out.add(false, s.Bytes())
		}
	}()
	function, grandchild := out.number(t, "function"), out.number(t, "child")
	eventually(t, "ready", out.has("ready")) // else its own line could kill it, for want of a reader
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-read
	_ = cmd.Wait() // it was killed: that is its error
	eventually(t, "end of the function", func() bool { return !alive(function) })
	if !alive(grandchild) {
		t.Error("the grandchild is gone before it was swept")
	}
	Sweep("MARK=" + mark)
	eventually(t, "end of the grandchild", func() bool { return !alive(grandchild) })
}

func TestSweepSparesOthers(t *testing.T) {
	p, out := start(t, "sleep", "OTHER=MINE")
	eventually(t, "ready", out.has("ready"))
	for _, mark := range []string{"MINE", "THER=MINE", "OTHER=MINE2", "SWEEP=none"} {
		if n := Sweep(mark); n != 0 {
			t.Errorf("Sweep(%q) killed %d", mark, n)
		}
	}
	if !alive(p.PID()) {
		t.Error("a stranger was killed")
	}
}
