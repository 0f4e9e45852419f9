package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The test binary is the function, and the Runner that is killed, too: these
// variables say so.
const (
	functionVar = "RUNNER_TEST_FUNCTION"
	runnerVar   = "RUNNER_TEST_RUNNER"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(functionVar); mode != "" {
		_ = os.Unsetenv(functionVar) // the launching script's, not the Runner's
		function(mode)
		syscall.Exit(0)
	}
	if dir := os.Getenv(runnerVar); dir != "" {
		helperRunner(dir)
		syscall.Exit(0)
	}
	code := m.Run()
	if testDir != "" {
		_ = os.RemoveAll(testDir)
	}
	os.Exit(code)
}

// hang never returns; the runtime would take an empty select for a deadlock.
func hang() {
	for {
		<-time.After(time.Hour)
	}
}

// function is what a bundle of the tests runs.
func function(mode string) {
	fmt.Println("pid", os.Getpid())
	switch mode {
	case "exit":
		fmt.Fprintln(os.Stderr, "no database at", os.Getenv("FUNCATRON_BASE_PATH"))
		syscall.Exit(4)
	case "never":
		fmt.Println("thinking")
		hang()
	case "grandchild":
		c := exec.Command("/bin/sleep", "1000")
		c.Stdout = os.Stdout
		if err := c.Start(); err != nil {
			panic(err)
		}
		fmt.Println("grandchild", c.Process.Pid)
	case "ignore":
		signal.Ignore(syscall.SIGTERM)
	}
	doomed := filepath.Join(filepath.Dir(os.Getenv("FUNCATRON_SOCKET")), "doomed")
	if _, err := os.Stat(doomed); err == nil { // a request said so: a crash loop
		fmt.Println("doomed")
		syscall.Exit(5)
	}
	network, address := "unix", os.Getenv("FUNCATRON_SOCKET")
	if port := os.Getenv("PORT"); port != "" {
		network, address = "tcp", "127.0.0.1:"+port
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		fmt.Println(err)
		syscall.Exit(6)
	}
	srv := &http.Server{Handler: functionMux()}
	stop := make(chan os.Signal, 1)
	if mode != "ignore" {
		signal.Notify(stop, syscall.SIGTERM)
	}
	go func() {
		<-stop
		fmt.Println("finishing")
		_ = srv.Shutdown(context.Background())
		fmt.Println("finished")
		syscall.Exit(0)
	}()
	_ = srv.Serve(ln)
	hang()
}

func functionMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"method": r.Method, "uri": r.RequestURI, "host": r.Host, "header": r.Header, "body": string(body), "length": r.ContentLength,
		})
	})
	mux.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) {
		dir, _ := os.Getwd()
		props, _ := os.ReadFile(os.Getenv("FUNCATRON_PROPS_FILE"))
		info, _ := os.Stat(os.Getenv("FUNCATRON_PROPS_FILE"))
		_ = json.NewEncoder(w).Encode(map[string]any{"env": os.Environ(), "dir": dir, "props": string(props), "mode": info.Mode().String()})
	})
	raw := func(path, answer string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(c, answer)
			_ = c.Close()
		})
	}
	raw("/raw", "HTTP/1.1 418 I am\r\nset-cookie: a=1\r\nX-Z: 1\r\nConnection: x-hop\r\nX-Hop: 1\r\nSet-Cookie: b=2\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\nX-A: 2\r\n\r\n\x1f\x8b")
	raw("/half", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
	raw("/garbage", "who are you?\r\n")
	raw("/nothing", "")
	mux.HandleFunc("/sized", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1234")
		if r.Method == http.MethodGet {
			_, _ = w.Write(make([]byte, 1234))
		}
	})
	mux.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, testMaxReply+1)) })
	for _, path := range []string{"/crash", "/sample/go/crash"} {
		mux.HandleFunc(path, func(http.ResponseWriter, *http.Request) { syscall.Exit(3) })
	}
	mux.HandleFunc("/doom", func(http.ResponseWriter, *http.Request) {
		_ = os.WriteFile(filepath.Join(filepath.Dir(os.Getenv("FUNCATRON_SOCKET")), "doomed"), nil, 0o600) // what outlives a process
		syscall.Exit(3)
	})
	mux.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { hang() })
	mux.HandleFunc("/sleep", func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println("sleeping")
		ms, _ := strconv.Atoi(r.URL.Query().Get("ms"))
		<-time.After(time.Duration(ms) * time.Millisecond)
	})
	mux.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	mux.HandleFunc("/log", func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(`{"msg":"In Go","level":"ERROR","op":"log","req":"` + r.Header.Get("X-Request-Id") + `","n":1}`)
		fmt.Fprintln(os.Stderr, "plain")
	})
	var warmed atomic.Int64
	mux.HandleFunc("/sample/go/warm", func(_ http.ResponseWriter, r *http.Request) {
		fmt.Printf("{\"msg\":\"warming %d\",\"req\":%q}\n", warmed.Add(1), r.Header.Get("X-Request-Id"))
	})
	mux.HandleFunc("/warmed", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, warmed.Load()) })
	mux.HandleFunc("/args", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Join(javaOptions(), "\n")) })
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.Header.Get("X-Funcatron-Control") != "archive" {
			http.NotFound(w, r)
			return
		}
		for _, o := range javaOptions() {
			if path, ok := strings.CutPrefix(o, "-Dfuncatron.archive="); ok {
				_ = os.WriteFile(path, []byte("classes"), 0o600)
			}
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("/flood", func(_ http.ResponseWriter, r *http.Request) {
		go func() {
			for line := strings.Repeat("x", 1000) + "\n"; ; {
				_, _ = os.Stdout.WriteString(line)
			}
		}()
	})
	return mux
}

// javaOptions are those of the file that the Runner names to java.
func javaOptions() []string {
	text, err := os.ReadFile(strings.TrimPrefix(os.Args[1], "@"))
	if err != nil {
		panic(err)
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		o, err := strconv.Unquote(strings.TrimSpace(line))
		if err != nil {
			panic(err)
		}
		all = append(all, o)
	}
	return all
}
