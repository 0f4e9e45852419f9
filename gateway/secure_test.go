package gateway

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/certs"
	"github.com/funcatron/funcatron/shared/certs/certstest"
)

// secureRig is a rig whose clients speak TLS, within timeout where that is not 0, and
// an HTTP client that does.
func secureRig(t *testing.T, files certs.Files, conf *tls.Config, timeout time.Duration) (*rig, *http.Client) {
	t.Helper()
	s, err := certs.NewServer(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(o *Options) { o.TLS, o.readTimeout = s, timeout })
	r.url = "https://" + r.g.Addr().String()
	tr := &http.Transport{TLSClientConfig: conf, MaxIdleConnsPerHost: 64, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return r, &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

// send sends a request to a path of the test document.
func send(t *testing.T, c *http.Client, method, url string, body []byte) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return resp, got
}

func TestTLS(t *testing.T) {
	ca := certstest.NewCA(t)
	files := ca.Issue("127.0.0.1")
	r, client := secureRig(t, certs.Files{Cert: files.Cert, Key: files.Key}, ca.Client(), 0)
	r.serve("req.d1", mirror)
	if want := "https://" + r.g.Addr().String(); r.g.opts.URL != want {
		t.Errorf("clients are told %s, want %s", r.g.opts.URL, want)
	}

	resp, got := send(t, client, "GET", r.url+"/t/plain", nil)
	for _, line := range []string{"X-Forwarded-Proto: https\r\n", ";proto=https\r\n"} {
		if !strings.Contains(string(got), line) {
			t.Errorf("the function is not told %q:\n%s", line, got)
		}
	}
	if resp.Proto != "HTTP/1.1" || resp.TLS == nil || resp.TLS.Version < tls.VersionTLS12 {
		t.Errorf("%s over %+v", resp.Proto, resp.TLS)
	}

	// Bodies of many records, both ways, on many connections that are kept.
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 4 {
				body := fmt.Appendf(nil, `{"name":"%d.%d.%s"}`, i, j, bytes.Repeat([]byte("x"), 1+(i*4+j)*40_000))
				resp, err := client.Post(r.url+"/t/data", "application/json", bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != 200 || !bytes.HasSuffix(got, append([]byte("\r\n\n"), body...)) {
					t.Errorf("%d bytes sent: %d, %d bytes back, %v", len(body), resp.StatusCode, len(got), err)
				}
			}
		})
	}
	wg.Wait()

	// One connection, requests one after the other, pipelined, and cut into bytes.
	conn, err := tls.Dial("tcp", r.g.Addr().String(), ca.Client())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	br := bufio.NewReader(conn)
	request := func(i int) string { return fmt.Sprintf("GET /t/plain?i=%d HTTP/1.1\r\nHost: x\r\n\r\n", i) }
	expect := func(i int) {
		t.Helper()
		status, body := readResponse(t, br)
		if want := fmt.Sprintf("GET /t/plain?i=%d\n", i); status != 200 || !strings.HasPrefix(body, want) {
			t.Fatalf("%d %.100q, want %q", status, body, want)
		}
	}
	for i := range 3 {
		_, _ = io.WriteString(conn, request(i))
		expect(i)
	}
	_, _ = io.WriteString(conn, request(3)+request(4)+request(5))
	for i := range 3 {
		expect(3 + i)
	}
	for _, b := range []byte(request(6)) {
		_, _ = conn.Write([]byte{b})
	}
	expect(6)

	// Plain HTTP, and nonsense, are no request.
	plain, err := net.Dial("tcp", r.g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	_ = plain.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(plain, request(0))
	if got, _ := io.ReadAll(plain); bytes.Contains(got, []byte("200 OK")) {
		t.Errorf("plain HTTP was answered %q", got)
	}
	if resp, _ := send(t, client, "GET", r.url+"/t/plain", nil); resp.StatusCode != 200 {
		t.Errorf("afterwards: %d", resp.StatusCode)
	}
}

func TestMutualTLS(t *testing.T) {
	ca, other := certstest.NewCA(t), certstest.NewCA(t)
	r, client := secureRig(t, ca.Issue("127.0.0.1"), ca.Client(ca.Issue("me")), 0)
	r.serve("req.d1", ok)
	if resp, _ := send(t, client, "GET", r.url+"/t/plain", nil); resp.StatusCode != 200 {
		t.Errorf("with a certificate: %d", resp.StatusCode)
	}
	strange := ca.Client(other.Issue("me"))
	pair := strange.Certificates[0]
	strange.Certificates, strange.GetClientCertificate = nil, func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	for name, conf := range map[string]*tls.Config{"without a certificate": ca.Client(), "with another CA's": strange} {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
		if resp, err := c.Get(r.url + "/t/plain"); err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
}

// A connection that has its certificate goes on with it; a new one sees the new one.
func TestTLSReplacedUnderLoad(t *testing.T) {
	ca := certstest.NewCA(t)
	files := ca.Issue("one", "127.0.0.1")
	r, client := secureRig(t, certs.Files{Cert: files.Cert, Key: files.Key}, ca.Client(), 0)
	r.serve("req.d1", ok)
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := client.Get(r.url + "/t/plain")
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Error(resp.Status)
				}
			}
		})
	}
	ca.Replace(files, "two", "127.0.0.1")
	until(t, "the new certificate is shown", func() bool {
		conn, err := tls.Dial("tcp", r.g.Addr().String(), ca.Client())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName == "two"
	})
	close(stop)
	load.Wait()
}

// Who opens connections and says nothing, or half a handshake, holds nobody up.
func TestSilentTLSClients(t *testing.T) {
	ca := certstest.NewCA(t)
	files := ca.Issue("127.0.0.1")
	r, client := secureRig(t, certs.Files{Cert: files.Cert, Key: files.Key}, ca.Client(), 500*time.Millisecond)
	r.serve("req.d1", ok)
	var silent []net.Conn
	for i := range 50 {
		c, err := net.Dial("tcp", r.g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_, _ = c.Write([]byte{0x16, 0x03, 0x01, 0x02, 0x00}[:i%6])
		silent = append(silent, c)
	}
	if resp, _ := send(t, client, "GET", r.url+"/t/plain", nil); resp.StatusCode != 200 {
		t.Errorf("beside them: %d", resp.StatusCode)
	}
	for _, c := range silent { // and is cut off
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("still connected")
		}
	}
}
