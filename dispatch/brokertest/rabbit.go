package brokertest

import (
	"net"
	"os"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// RabbitURL is the RabbitMQ of the tests: AMQP_URL, or one on this machine. Where
// none answers the test is skipped, but with CI=true it fails.
func RabbitURL(t testing.TB) string {
	t.Helper()
	url := os.Getenv("AMQP_URL")
	if url == "" {
		url = "amqp://guest:guest@127.0.0.1:5672/"
	}
	if err := answers(url, 5*time.Second); err != nil {
		missing(t, "no RabbitMQ answers (%v); get one with .ci/rabbitmq, or set AMQP_URL", err)
	}
	return url
}

// missing skips a test for want of RabbitMQ, and fails it where there must be one.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// answers tells whether a client can connect.
func answers(url string, timeout time.Duration) error {
	var nc net.Conn
	c, err := amqp.DialConfig(url, amqp.Config{Dial: func(network, addr string) (net.Conn, error) {
		var err error
		nc, err = amqp.DefaultDial(timeout)(network, addr)
		return nc, err
	}})
	if err != nil {
		if nc != nil {
			_ = nc.Close() // the library leaves it open when the handshake fails
		}
		return err
	}
	return c.CloseDeadline(time.Now().Add(timeout))
}
