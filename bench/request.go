package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/funcatron/funcatron/bench/load"
	"github.com/funcatron/funcatron/bench/report"
)

// request builds a whole HTTP/1.1 request. lines are header lines without CRLF.
func request(method, target, host string, body []byte, lines ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: funcatron-bench\r\n", method, target, host)
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	if len(body) > 0 || method != "GET" {
		b.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// requests are what is asked, by the names that reports give it.
var requests = map[string][]byte{
	report.Get:      request("GET", "/bench/hello", "127.0.0.1", nil, "Accept: application/json"),
	report.Post:     request("POST", "/bench/people", "127.0.0.1", person(1024), "Accept: application/json", "Content-Type: application/json"),
	report.PostBlob: request("POST", "/bench/blob", "127.0.0.1", bytes.Repeat([]byte("0123456789abcdef"), 64<<10/16), "Accept: application/json", "Content-Type: application/octet-stream"),
}

// person is a body of size bytes that the document of the bundle accepts.
func person(size int) []byte {
	const head = `{"name":"Funcmaster D","age":42,"email":"funcmaster@example.org","tags":["one","two","three"],` +
		`"address":{"street":"1 Main Street","city":"Springfield","zip":"12345"},"scores":[1.5,2.5,3.5],"active":true,"notes":"`
	const tail = `"}`
	return []byte(head + strings.Repeat("x", max(size-len(head)-len(tail), 0)) + tail)
}

// slowRequest asks a function that takes ms.
func slowRequest(ms int) []byte {
	return request("GET", "/bench/slow/"+strconv.Itoa(ms), "127.0.0.1", nil, "Accept: application/json")
}

// at aims requests at the server at address.
func at(address string, requests ...[]byte) load.Target {
	return load.Target{Network: "tcp", Address: strings.TrimPrefix(address, "http://"), Requests: requests, Status: 200}
}

// targetOf reads --url and what belongs to it.
func targetOf(o *Options) (load.Target, error) {
	var body []byte
	if o.Body != "" {
		var err error
		if body, err = os.ReadFile(o.Body); err != nil {
			return load.Target{}, fmt.Errorf("--body: %w", err)
		}
	}
	if o.Method == "HEAD" || o.Method == "CONNECT" || strings.Trim(o.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return load.Target{}, fmt.Errorf("--method: %q cannot be measured", o.Method)
	}
	for _, l := range o.Header {
		if name, _, ok := strings.Cut(l, ":"); !ok || name == "" || strings.ContainsAny(l, "\r\n") {
			return load.Target{}, fmt.Errorf("--header: %q is not NAME: VALUE", l)
		}
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		return load.Target{}, fmt.Errorf("--url: %w", err)
	}
	switch u.Scheme {
	case "unix":
		socket, path, ok := strings.Cut(u.Path, ":")
		if !ok || socket == "" || !strings.HasPrefix(path, "/") {
			return load.Target{}, errors.New("--url: a socket is given as unix:///path/of/socket:/path/of/request")
		}
		if u.RawQuery != "" {
			path += "?" + u.RawQuery
		}
		return load.Target{Network: "unix", Address: socket, Requests: [][]byte{request(o.Method, path, "localhost", body, o.Header...)}}, nil
	case "http":
	default:
		return load.Target{}, fmt.Errorf("--url: %q is not http://; TLS is not spoken: aim at what is behind it", o.URL)
	}
	if u.Hostname() == "" {
		return load.Target{}, fmt.Errorf("--url: %q has no host", o.URL)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return load.Target{
		Network: "tcp", Address: net.JoinHostPort(u.Hostname(), port),
		Requests: [][]byte{request(o.Method, u.RequestURI(), u.Host, body, o.Header...)},
	}, nil
}
