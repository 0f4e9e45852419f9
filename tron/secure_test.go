package tron_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/bundle"
	"github.com/funcatron/funcatron/shared/certs"
	"github.com/funcatron/funcatron/shared/certs/certstest"
	"github.com/funcatron/funcatron/shared/wire"
	"github.com/funcatron/funcatron/tron"
)

// secured lets a Tron speak TLS, and gives a client that trusts it.
func secured(t *testing.T, o *tron.Options, files certs.Files, conf *tls.Config) *http.Client {
	t.Helper()
	s, err := certs.NewServer(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.TLS = s
	tr := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

func ask(t *testing.T, c *http.Client, method, url string, body []byte) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return resp, string(b), err
}

func TestTLS(t *testing.T) {
	ca := certstest.NewCA(t)
	files := ca.Issue("127.0.0.1")
	data := funcBundle(t, "/a", "1")
	large := zipped(t, "funcatron.json", document("/large", "1"), "bin/app", strings.Repeat("#!/bin/sh\n", 1<<18))
	o := options(t, t.TempDir(), data, large)
	client := secured(t, &o, certs.Files{Cert: files.Cert, Key: files.Key}, ca.Client())
	r := start(t, o)
	r.url = "https" + strings.TrimPrefix(r.url, "http")
	for _, want := range []string{
		"wget -q -O - --post-file=THE_UBERJAR " + r.url + "/api/v1/add_func",
		"curl -v " + r.url + "/api/v1/known_funcs",
		"-X POST " + r.url + "/api/v1/enable",
	} {
		eventually(t, want, func() bool { return strings.Contains(r.logs.String(), want) })
	}
	for _, sent := range [][]byte{data, large} {
		resp, got, err := ask(t, client, "GET", r.url+"/api/v1/bundle/"+digest(sent), nil)
		if err != nil || resp.StatusCode != 200 || got != string(sent) || resp.Proto != "HTTP/1.1" {
			t.Errorf("bundle of %d bytes: %v, %+v, %d bytes", len(sent), err, resp, len(got))
		}
	}
	resp, got, err := ask(t, client, "POST", r.url+"/api/v1/enable", fmt.Appendf(nil, `{"sha":%q}`, digest(data)))
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("enable: %v %+v %s", err, resp, got)
	}
	plain, err := http.Get("http" + strings.TrimPrefix(r.url, "https") + "/api/v1/known_funcs")
	if err == nil {
		_ = plain.Body.Close()
		if plain.StatusCode == 200 {
			t.Error("plain HTTP is served, too")
		}
	}
}

func TestMutualTLS(t *testing.T) {
	ca := certstest.NewCA(t)
	o := options(t, t.TempDir())
	client := secured(t, &o, ca.Issue("127.0.0.1"), ca.Client(ca.Issue("me")))
	r := start(t, o)
	r.url = "https" + strings.TrimPrefix(r.url, "http")
	if resp, _, err := ask(t, client, "GET", r.url+"/api/v1/known_funcs", nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("with a certificate: %v", err)
	}
	for _, path := range []string{"/api/v1/known_funcs", "/healthz", "/"} {
		stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: ca.Client(), DisableKeepAlives: true}}
		if resp, _, err := ask(t, stranger, "GET", r.url+path, nil); err == nil {
			t.Errorf("%s without a certificate: %d", path, resp.StatusCode)
		}
	}
	eventually(t, "the printed commands show a certificate", func() bool {
		return strings.Contains(r.logs.String(), "--cert YOUR_CERT --key YOUR_KEY")
	})
	// Who is inside the process needs neither.
	tr := &http.Transport{DialContext: r.tron.Dial}
	defer tr.CloseIdleConnections()
	resp, got, err := ask(t, &http.Client{Transport: tr}, "GET", "http://localhost/api/v1/known_funcs", nil)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("inside: %v %s", err, got)
	}
}

// Inside is no way past the token.
func TestInsideAsksForTheToken(t *testing.T) {
	o := options(t, t.TempDir())
	o.AdminToken = token
	r := start(t, o)
	tr := &http.Transport{DialContext: r.tron.Dial}
	defer tr.CloseIdleConnections()
	resp, _, err := ask(t, &http.Client{Transport: tr}, "GET", "http://localhost/api/v1/known_funcs", nil)
	if err != nil || resp.StatusCode != 401 {
		t.Errorf("%v %+v", err, resp)
	}
}

// A Tron whose certificate does not name its address says so, and whose does not.
func TestCertificateOfAnotherName(t *testing.T) {
	ca := certstest.NewCA(t)
	for name, want := range map[string]bool{"127.0.0.1": false, "other.test": true} {
		o := options(t, t.TempDir())
		files := ca.Issue(name)
		secured(t, &o, certs.Files{Cert: files.Cert, Key: files.Key}, ca.Client())
		r := start(t, o)
		if got := strings.Contains(r.logs.String(), "set --tron-url"); got != want {
			t.Errorf("%s: warned is %t", name, got)
		}
	}
}

// Guessing a token is slow, for whoever guesses and while they do.
func TestGuessing(t *testing.T) {
	o := options(t, t.TempDir())
	o.AdminToken = token
	r := start(t, o)
	try := func(token string) (int, http.Header) {
		t.Helper()
		a := r.do("GET", "/api/v1/known_funcs", nil, "Authorization", token)
		return a.status, a.header
	}
	for range 3 * tron.GuessBurst { // none of these is a guess, or is wrong
		for header, want := range map[string]int{"": 401, "Basic x": 401, "Bearer " + token: 200} {
			if status, _ := try(header); status != want {
				t.Fatalf("%q: %d, want %d", header, status, want)
			}
		}
	}
	began := time.Now()
	seen, last := map[int]int{}, 0
	for i := range 4 * tron.GuessBurst {
		status, header := try("Bearer wrong" + strconv.Itoa(i))
		seen[status]++
		if last = status; status == 429 {
			if header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
		}
	}
	most := tron.GuessBurst + int(time.Since(began)/tron.GuessEvery) + 1
	if seen[401] < tron.GuessBurst || seen[401] > most || seen[401]+seen[429] != 4*tron.GuessBurst {
		t.Errorf("%v in %v, want at most %d looked at", seen, time.Since(began), most)
	}
	if last == 429 {
		if status, _ := try("Bearer " + token); status != 429 && time.Since(began) < tron.GuessEvery {
			t.Errorf("the right one, in between: %d, which tells it from a wrong one", status)
		}
	}
	eventually(t, "the right one is let in soon after", func() bool { status, _ := try("Bearer " + token); return status == 200 })
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v to be let in again", took)
	}
	if m := r.get("/metrics").body; !strings.Contains(m, `funcatron_tron_refused_tokens_total{result="wrong"} `+strconv.Itoa(seen[401])) {
		t.Errorf("metrics do not count %d wrong ones", seen[401])
	}
	logs := r.logs.String()
	if n := strings.Count(logs, "a token was refused"); n == 0 || n > 10 {
		t.Errorf("%d lines about it", n)
	}
	if strings.Contains(logs, "wrong1") || strings.Contains(logs, token) {
		t.Error("a token is in the log")
	}
}

// A bundle is for who has a token: the admin's, or the one that runners are told
// over the bus.
func TestBundleToken(t *testing.T) {
	data := funcBundle(t, "/a", "1")
	o := options(t, t.TempDir(), data)
	o.AdminToken = token
	r := start(t, o)
	run, gate := r.runner("r"), r.gateway("g")
	told := run.Seen(wire.TronInfo)[0].Info.Token
	if len(told) < 32 || told == token {
		t.Errorf("runners are told %q", told)
	}
	for _, m := range gate.Seen(wire.TronInfo) {
		if m.Info.Token != "" {
			t.Error("a gateway is told the token, too")
		}
	}
	for header, want := range map[string]int{"": 401, "Bearer " + told: 200, "Bearer " + token: 200, "Bearer " + told[1:]: 401} {
		for _, method := range []string{"GET", "HEAD"} {
			if a := r.do(method, "/api/v1/bundle/"+digest(data), nil, "Authorization", header); a.status != want {
				t.Errorf("%s with %q: %d, want %d", method, header, a.status, want)
			}
		}
	}
}

// Who sends slowly, or takes slowly, is cut off, before and after the token.
func TestSlowClients(t *testing.T) {
	big := zipped(t, "funcatron.json", document("/big", "1"), "bin/app", noise(8<<20))
	o := options(t, t.TempDir(), big)
	o.AdminToken = token
	o.Hasten(300*time.Millisecond, 600*time.Millisecond, 300*time.Millisecond)
	r := start(t, o)
	auth := "Authorization: Bearer " + token + "\r\n"
	var wg sync.WaitGroup
	for name, begin := range map[string]string{
		"headers":             "GET /healthz HTTP/1.1\r\nHost: x\r\n",
		"first line":          "GET /hea",
		"body without token":  "POST /api/v1/enable HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
		"body with token":     "POST /api/v1/enable HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Length: 1000\r\n\r\n",
		"chunks, no token":    "POST /api/v1/disable HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
		"upload, no token":    "POST /api/v1/add_func HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
		"body of a GET":       "GET /api/v1/routes HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Length: 1000\r\n\r\n",
		"body to nowhere":     "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
		"too many headers":    "GET /healthz HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 100),
		"body beyond a quota": "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n",
	} {
		wg.Go(func() {
			c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			began := time.Now()
			if _, err := io.WriteString(c, begin); err != nil && !errors.Is(err, net.ErrClosed) {
				return // it was faster
			}
			done := make(chan struct{})
			go func() { // a byte now and then
				defer close(done)
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				for range tick.C {
					if _, err := c.Write([]byte("1")); err != nil {
						return
					}
				}
			}()
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			_, err = io.Copy(io.Discard, c)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: still connected after %v", name, time.Since(began))
			}
			_ = c.Close()
			<-done
		})
	}
	wg.Go(func() { // asks for a bundle and takes nothing of it
		c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = c.Close() }()
		if _, err := fmt.Fprintf(c, "GET /api/v1/bundle/%s HTTP/1.1\r\nHost: x\r\n%s\r\n", digest(big), auth); err != nil {
			t.Error(err)
		}
		eventually(t, "it is given up", func() bool {
			return strings.Contains(r.get("/metrics").body, `funcatron_tron_api_requests_total{route="bundle"`)
		})
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if n, err := io.Copy(io.Discard, c); n >= int64(len(big)) || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes came after all, %v", n, err)
		}
	})
	wg.Wait()
	// Who is only slow by nature is served: a bundle whose pieces come in time.
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprintf(c, "GET /api/v1/bundle/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", digest(big), auth)
	var n int64
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		<-tick.C
		m, err := io.CopyN(io.Discard, c, 512<<10)
		n += m
		if err != nil {
			break
		}
	}
	if n < int64(len(big)) {
		t.Errorf("%d bytes came of %d, taken slowly", n, len(big))
	}
}

// noise is text that does not compress.
func noise(n int) string {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

// No call takes a body larger than it has use for.
func TestBodiesAreBounded(t *testing.T) {
	r := start(t, options(t, t.TempDir()))
	for call, want := range map[string]string{
		"POST /api/v1/enable": "413", "POST /api/v1/disable": "413", "POST /api/v1/nowhere": "404",
		"GET /api/v1/routes": "200", "GET /api/v1/stats": "200", "GET /api/v1/known_funcs": "200",
		"GET /metrics": "200", "GET /healthz": "200", "GET /readyz": "200", "GET /": "200", "GET /api/v1/swagger.json": "200",
		"DELETE /api/v1/routes": "405",
	} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			var sent int
			done := make(chan struct{})
			go func() {
				defer close(done)
				if _, err := fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n", call, bundle.MaxSize); err != nil {
					return
				}
				piece := make([]byte, 64<<10)
				for sent < bundle.MaxSize {
					n, err := c.Write(piece)
					if sent += n; err != nil {
						return
					}
				}
			}()
			answer := make([]byte, 12)
			if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "HTTP/1.1 "+want {
				t.Errorf("%q, %v, want %s", answer, err, want)
			}
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
			<-done
			if most := 32 << 20; sent >= most { // a limit of 1 MiB, and what sockets hold
				t.Errorf("%d bytes were taken", sent)
			}
		})
	}
}
