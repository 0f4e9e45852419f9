package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/certs/certstest"
)

// up over TLS: nobody gets in without a certificate, its own runner needs none, and
// a renewed certificate is shown without a restart.
func TestUpOverTLS(t *testing.T) {
	ca := certstest.NewCA(t)
	server := ca.Issue("first", "127.0.0.1")
	tr := &http.Transport{TLSClientConfig: ca.Client(ca.Issue("operator")), DisableKeepAlives: true}
	v := newVault(t, &http.Client{Transport: tr, Timeout: time.Minute})
	v.procs["up"] = start(t, append([]string{
		"up", "--state-dir", v.stateDir, "--drain-delay=0s", "--admin-token-file", v.file(v.token),
		"--tls-cert", server.Cert, "--tls-key", server.Key, "--tls-client-ca", server.CA,
	}, anyPorts...)...)
	v.learn("up", "up", "up")
	v.procs["up"].waitFor(`Frontend at https://`)
	for _, url := range []string{v.tron, v.gateway} {
		if !strings.HasPrefix(url, "https://") {
			t.Errorf("%s is told", url)
		}
	}
	v.enable(v.upload(testBundle(t, "/tls", "1")), map[string]any{"version": "over TLS"}, 200)
	v.eventually("it is served", func() error {
		if a := v.askWith("GET", v.gateway+"/tls/version", "", ""); a.status != 200 || !strings.Contains(a.body, "over TLS") {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
	nobody := &http.Client{Transport: &http.Transport{TLSClientConfig: ca.Client(), DisableKeepAlives: true}}
	for _, url := range []string{v.tron, v.gateway} {
		if resp, err := nobody.Get(url); err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s without a certificate: %d", url, resp.StatusCode)
		}
	}

	health := func(args ...string) int {
		var out bytes.Buffer
		return run(append([]string{"health", "--gateway-admin-listen=127.0.0.1:1", "--runner-admin-listen=127.0.0.1:1",
			"--tron-listen", strings.TrimPrefix(v.tron, "https://")}, args...), &out, &out)
	}
	if code := health("--tls-cert", server.Cert); code != 0 {
		t.Errorf("health of a Tron over TLS: exit code %d", code)
	}
	if code := health(); code != 1 {
		t.Errorf("health of a Tron that should be without TLS: exit code %d", code)
	}

	ca.Replace(server, "second", "127.0.0.1")
	v.eventually("the new certificate is shown by both", func() error {
		for _, url := range []string{v.tron, v.gateway} {
			resp, err := v.client.Get(url)
			if err != nil {
				return err
			}
			_ = resp.Body.Close()
			if name := resp.TLS.PeerCertificates[0].Subject.CommonName; name != "second" {
				return fmt.Errorf("%s shows that of %q", url, name)
			}
		}
		return nil
	})
	v.procs["up"].terminate()
	if code := health("--tls-cert", server.Cert); code != 1 {
		t.Errorf("health of nobody: exit code %d", code)
	}
}

// What goes wrong with certificates names the flags that say which.
func TestTLSFlags(t *testing.T) {
	ca := certstest.NewCA(t)
	a, b := ca.Issue("a"), ca.Issue("b")
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"a certificate without key", []string{"gateway", "--tls-cert", a.Cert}, "--tls-key"},
		{"a client CA alone", []string{"tron", "--tls-client-ca", a.CA}, "--tls-cert"},
		{"another's key", []string{"up", "--tls-cert", a.Cert, "--tls-key", b.Key}, "--tls-key"},
		{"no such file", []string{"tron", "--tls-cert", a.Cert + "x", "--tls-key", a.Key}, a.Cert + "x"},
		{"a demo", []string{"up", "--demo", "--tls-cert", a.Cert, "--tls-key", a.Key}, "--demo"},
		{"a CA that is none", []string{"runner", "--tron-ca", a.Key}, "--tron-ca"},
		{"a key of nothing", []string{"runner", "--tron-key", a.Key}, "--tron-key"},
		{"a CA for amqp", []string{"runner", "--rabbit-ca", a.CA}, "amqps"},
		{"a certificate for RabbitMQ without key", []string{"gateway", "--rabbit-url", "amqps://x/", "--rabbit-cert", a.Cert}, "--rabbit-key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(append(tc.args, "--state-dir", t.TempDir(), "--log-level=error"), &out, &errs)
			if code != 1 || !strings.Contains(errs.String(), tc.want) {
				t.Errorf("exit code %d, %s, want 1 and %q", code, errs.String(), tc.want)
			}
		})
	}
}
