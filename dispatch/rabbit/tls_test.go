package rabbit_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/brokertest"
	"github.com/funcatron/funcatron/dispatch/rabbit"
	"github.com/funcatron/funcatron/shared/certs"
	"github.com/funcatron/funcatron/shared/certs/certstest"
)

// Over TLS, to a RabbitMQ that asks for a certificate of its clients.
func TestTLS(t *testing.T) {
	ca, other := certstest.NewCA(t), certstest.NewCA(t)
	node := brokertest.StartTLSNode(t, ca.Issue("127.0.0.1"))
	brokertest.CheckGoroutines(t)
	me := ca.Issue("funcatron")
	client := func(files certs.Files) *certs.Client {
		t.Helper()
		c, err := certs.NewClient(files, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}

	t.Run("works", func(t *testing.T) {
		b := open(t, rabbit.Options{URL: node.TLSURL(), TLS: client(me)})
		q := newQueue(t, b)
		got := make(chan string, 1)
		background(t, func(ctx context.Context) error {
			return b.Consume(ctx, q, 10, func(d *dispatch.Delivery) {
				got <- string(d.Body)
				d.Settle(dispatch.Ack)
			})
		})
		brokertest.Eventually(t, "a consumer", func() bool { return consumers(t, b, q.Name) == 1 })
		carries := func(size int) {
			t.Helper()
			body := strings.Repeat("0123456789", size/10)
			if err := publish(t, b, q.Name, dispatch.Message{Body: []byte(body)}); err != nil {
				t.Errorf("%d bytes are settled with %v", size, err)
			}
			if g := <-got; g != body {
				t.Errorf("%d bytes came of %d, or others", len(g), len(body))
			}
		}
		for _, size := range []int{10, 100_000, 5_000_000} {
			carries(size)
		}
		// A new certificate of ours, used from the next connection on.
		ca.Replace(me, "funcatron renewed")
		node.Kill()
		brokertest.Eventually(t, "ErrDown", func() bool { return errors.Is(b.Err(), dispatch.ErrDown) })
		node.Start()
		recovers(t, b)
		brokertest.Eventually(t, "a consumer", func() bool { return consumers(t, b, q.Name) == 1 })
		carries(10)
	})

	byName, err := url.Parse(node.TLSURL())
	if err != nil {
		t.Fatal(err)
	}
	byName.Host = "localhost:" + byName.Port()
	for _, tc := range []struct {
		name, url string
		tls       *certs.Client
		want      string
	}{
		{"of a CA that we do not trust", node.TLSURL(), client(certs.Files{CA: other.File, Cert: me.Cert, Key: me.Key}), "unknown authority"},
		{"whom the system does not trust", node.TLSURL(), nil, "unknown authority"},
		{"by a name that it does not have", byName.String(), client(me), "localhost"},
		{"without our certificate", node.TLSURL(), client(certs.Files{CA: ca.File}), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, err := rabbit.New(rabbit.Options{URL: tc.url, TLS: tc.tls, DialTimeout: 5 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			background(t, b.Run)
			brokertest.Eventually(t, "a reason", func() bool {
				e := b.Err()
				return e != nil && !strings.Contains(e.Error(), "not connected yet")
			})
			if err := b.Err(); !errors.Is(err, dispatch.ErrDown) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "guest:guest") {
				t.Errorf("Err = %v, want ErrDown with %q", err, tc.want)
			}
		})
	}

	if _, err := rabbit.New(rabbit.Options{URL: node.URL(), TLS: client(me)}); err == nil || !strings.Contains(err.Error(), "amqps") {
		t.Errorf("New with certificates and without TLS: %v", err)
	}
}
