package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// The answers of the function, about 120 bytes of JSON each.
var (
	helloAnswer = []byte(`{"greeting":"Hello from a function","count":12345,"tags":["alpha","beta","gamma"],"nested":{"ok":true,"ratio":0.75}}`)
	takenAnswer = []byte(`{"accepted":true,"id":"5f0c6d1e8a9b4c7d","message":"what came was checked against the Swagger document"}`)
)

// maxBody is the largest request that the function takes.
const maxBody = 8 << 20

// answer is what the function says to a request: to any GET hello, to any POST
// taken; below slow/ after so many milliseconds.
func answer(method, path []byte) []byte {
	if _, ms, ok := bytes.Cut(path, []byte("/slow/")); ok {
		if n, err := strconv.Atoi(string(ms)); err == nil && n >= 0 && n <= maxSlow {
			time.Sleep(time.Duration(n) * time.Millisecond)
		}
	}
	if string(method) == http.MethodPost {
		return takenAnswer
	}
	return helloAnswer
}

func server() *fasthttp.Server {
	return &fasthttp.Server{
		Handler: func(rc *fasthttp.RequestCtx) {
			rc.SetContentType("application/json")
			rc.Response.SetBodyRaw(answer(rc.Method(), rc.Path()))
		},
		MaxRequestBodySize: maxBody,
	}
}

// serveFunction is the function of the bench's bundle.
func serveFunction([]string) error {
	path := os.Getenv("FUNCATRON_SOCKET")
	if path == "" {
		return errors.New("FUNCATRON_SOCKET is not set")
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return server().Serve(ln)
}

// listen opens a port, or a Unix socket that is given, and says which to whoever
// started this process.
func listen(socket ...string) (net.Listener, error) {
	network, address := "tcp", "127.0.0.1:0"
	if len(socket) > 0 {
		network, address = "unix", socket[0]
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	fmt.Printf("listening on %s\n", ln.Addr())
	return ln, nil
}

func serveBare([]string) error {
	ln, err := listen()
	if err != nil {
		return err
	}
	return server().Serve(ln)
}

// serveNetHTTP listens on a port, or on the Unix socket args[0].
func serveNetHTTP(args []string) error {
	ln, err := listen(args...)
	if err != nil {
		return err
	}
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return // the connection is gone
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer([]byte(r.Method), []byte(r.URL.Path)))
	}))
}

// serveProxy hands requests on to the function's socket, args[0], and answers back:
// as little as a gateway can do.
func serveProxy(args []string) error {
	if len(args) != 1 {
		return errors.New("want the function's socket")
	}
	client := &fasthttp.HostClient{
		Addr:                "function",
		Dial:                func(string) (net.Conn, error) { return net.Dial("unix", args[0]) },
		MaxConns:            4096,
		MaxResponseBodySize: maxBody,
	}
	ln, err := listen()
	if err != nil {
		return err
	}
	return (&fasthttp.Server{
		Handler: func(rc *fasthttp.RequestCtx) {
			if err := client.Do(&rc.Request, &rc.Response); err != nil {
				rc.Error(err.Error(), fasthttp.StatusBadGateway)
			}
		},
		MaxRequestBodySize: maxBody,
	}).Serve(ln)
}
