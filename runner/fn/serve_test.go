package fn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/funcatron/funcatron/runner/fn"
)

// The test binary is its own function process where this says so.
const envChild = "FN_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(envChild) != "" {
		registerOnce()
		fn.Serve(fn.Operations{
			"hello": returns("hello", nil),
			// holds answers once the process is asked to end, which its socket's
			// going shows.
			"hold": fn.Raw(func(ctx *fn.Context) (*fn.Response, error) {
				if _, err := fn.Vend[*item](ctx, "a"); err != nil {
					return nil, err
				}
				ctx.Logger().Info("holding")
				tick := time.NewTicker(time.Millisecond)
				defer tick.Stop()
				for {
					if _, err := os.Stat(os.Getenv("FUNCATRON_SOCKET")); err != nil {
						return &fn.Response{Body: []byte("held")}, nil
					}
					select {
					case <-tick.C:
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				}
			}),
		})
		fmt.Println(strings.Join(books.take(), ", "))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// shortDir is a folder whose name leaves room for a socket's (108 bytes).
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// over is a client over the Unix socket.
func over(t *testing.T, socket string) *http.Client {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func get(ctx context.Context, c *http.Client, op string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://function/", nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("X-Funcatron-Operation", op)
	res, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

func TestServe(t *testing.T) {
	dir := shortDir(t)
	socket, props := filepath.Join(dir, "s"), filepath.Join(dir, "props.json")
	if err := os.WriteFile(props, []byte(`{"a":{"type":"ledger"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout output
	var stderr bytes.Buffer
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{envChild + "=1", "FUNCATRON_SOCKET=" + socket, "FUNCATRON_PROPS_FILE=" + props}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })

	c := over(t, socket)
	eventually(t, "the process serves", func() bool {
		status, body, err := get(t.Context(), c, "hello")
		return err == nil && status == 200 && body == "hello"
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if status, body, err := get(t.Context(), c, "hold"); status != 200 || body != "held" || err != nil {
			t.Errorf("the request that was running got %d %q, %v", status, body, err)
		}
	})
	eventually(t, "the request runs", func() bool { return strings.Contains(stdout.String(), "holding") })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the process ended with %v: %s", err, &stderr)
	}
	if !strings.HasSuffix(stdout.String(), "build a, vend a, keep a, close a\n") {
		t.Errorf("it ended with\n%s", &stdout)
	}
}

func TestServeOutsideFuncatron(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = []string{envChild + "=1"}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
	for _, want := range []string{"funcatron up", "funcatron pack", "FUNCATRON_SOCKET", "PORT"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("%q does not say %q", out, want)
		}
	}
}

func TestFromEnv(t *testing.T) {
	file := filepath.Join(t.TempDir(), "props")
	if err := os.WriteFile(file, []byte(`{"a":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		env                 map[string]string
		socket, addr, props string
		err                 string
	}{
		"socket":            {map[string]string{"FUNCATRON_SOCKET": "/s", "PORT": "1"}, "/s", "", "", ""},
		"port":              {map[string]string{"PORT": "8081"}, "", "127.0.0.1:8081", "", ""},
		"properties":        {map[string]string{"PORT": "8081", "FUNCATRON_PROPS_FILE": file}, "", "127.0.0.1:8081", `{"a":1}`, ""},
		"nothing":           {nil, "", "", "", "funcatron up"},
		"no port":           {map[string]string{"PORT": "http"}, "", "", "", "not a port"},
		"too large":         {map[string]string{"PORT": "65536"}, "", "", "", "not a port"},
		"absent document":   {map[string]string{"PORT": "1", "FUNCATRON_SWAGGER_FILE": file + "x"}, "", "", "", "FUNCATRON_SWAGGER_FILE"},
		"absent properties": {map[string]string{"PORT": "1", "FUNCATRON_PROPS_FILE": file + "x"}, "", "", "", "FUNCATRON_PROPS_FILE"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := fn.FromEnv(func(k string) string { return tc.env[k] })
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error is %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil || o.Socket != tc.socket || o.Addr != tc.addr || string(o.Props) != tc.props {
				t.Errorf("got %+v, %v", o, err)
			}
		})
	}
}

// run starts Run and gives what it returns.
func run(t *testing.T, ctx context.Context, f fn.Func, o fn.Options) <-chan error {
	t.Helper()
	o.Output = &output{}
	ended := make(chan error, 1)
	go func() { ended <- fn.Run(ctx, fn.Operations{"op": f}, o) }()
	return ended
}

func TestRunReplacesADeadSocket(t *testing.T) {
	socket := filepath.Join(shortDir(t), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false) // as SIGKILL leaves it
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := run(t, ctx, returns("ok", nil), fn.Options{Socket: socket})
	c := over(t, socket)
	eventually(t, "Run serves", func() bool {
		_, body, err := get(t.Context(), c, "op")
		return err == nil && body == "ok"
	})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestRunCannotListen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-run(t, t.Context(), returns("ok", nil), fn.Options{Socket: file}); err == nil {
		t.Error("Run served on a file")
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("Run removed a file that is no socket: %v", err)
	}
}

func TestRunOnPort(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(free.Addr().String())
	if err := errors.Join(err, free.Close()); err != nil {
		t.Fatal(err)
	}
	o, err := fn.FromEnv(func(name string) string { return map[string]string{"PORT": port}[name] })
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	ctx, stop := context.WithCancel(t.Context())
	ended := run(t, ctx, returns("ok", nil), o)
	tr := &http.Transport{}
	eventually(t, "Run serves", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+o.Addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Funcatron-Operation", "op")
		res, err := tr.RoundTrip(req)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == 200
	})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	tr.CloseIdleConnections()
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

// A function that does not end in time is given up, and the error says so.
func TestRunGivesUp(t *testing.T) {
	socket := filepath.Join(shortDir(t), "s")
	ctx, stop := context.WithCancel(t.Context())
	started := make(chan struct{})
	released := make(chan struct{})
	ended := run(t, ctx, fn.Raw(func(ctx *fn.Context) (*fn.Response, error) {
		close(started)
		<-ctx.Done()
		close(released)
		return nil, ctx.Err()
	}), fn.Options{Socket: socket, Grace: 50 * time.Millisecond})
	c := over(t, socket)
	eventually(t, "Run listens", func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if status, _, err := get(t.Context(), c, "op"); err == nil && status < 500 {
			t.Errorf("the request that was given up got %d", status)
		}
	})
	<-started
	stop()
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run ended with %v", err)
	}
	<-released
	wg.Wait()
}

// What the Runner may send: parameters as long as a form, and OPTIONS *.
func TestRunTakesWhatTheRunnerSends(t *testing.T) {
	socket := filepath.Join(shortDir(t), "s")
	ctx, stop := context.WithCancel(t.Context())
	ended := run(t, ctx, fn.Typed(func(ctx *fn.Context, _ fn.None) (map[string]any, error) {
		s, err := fn.ParamOr(ctx, "text", "")
		return map[string]any{"method": ctx.Method(), "length": len(s)}, err
	}), fn.Options{Socket: socket})
	c := over(t, socket)
	send := func(method, target, params string) (string, error) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://function/", nil)
		if err != nil {
			return "", err
		}
		req.URL.Opaque = target
		req.Header.Set("X-Funcatron-Operation", "op")
		req.Header.Set("X-Funcatron-Params", params)
		res, err := c.Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		return string(body), err
	}
	eventually(t, "OPTIONS *", func() bool {
		body, err := send("OPTIONS", "*", "{}")
		return err == nil && body == `{"length":0,"method":"OPTIONS"}`
	})
	long := strings.Repeat("x", 8<<20)
	if body, err := send("POST", "/", `{"form":{"text":"`+long+`"}}`); err != nil || body != `{"length":8388608,"method":"POST"}` {
		t.Errorf("got %.200q, %v", body, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
