package rabbit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/VictoriaMetrics/metrics"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/funcatron/funcatron/shared/certs"
)

// Options configures a Broker. A zero field takes the value of DefaultOptions, but
// for URL, which must be set.
type Options struct {
	URL     string       // amqp:// or amqps://; it carries the password, so it is never logged
	Name    string       // the connections' name in RabbitMQ's management UI
	Log     *slog.Logger // nil logs nothing
	Metrics *metrics.Set // where its counters go; nil keeps them to itself
	// TLS is how RabbitMQ is talked to at an amqps URL; nil trusts whom the system
	// trusts, unless the URL's parameters name files.
	TLS *certs.Client
	// Dial opens the TCP connection, within ctx; nil is net.Dialer's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	Channels    int // publishing channels; the messages to one queue all take the same
	Buffer      int // messages of one channel that wait to be sent or confirmed, at most
	BufferBytes int // bytes of their bodies, at most

	Heartbeat   time.Duration // AMQP heartbeat; whole seconds. A dead peer is noticed after 1.5 of it
	DialTimeout time.Duration // for a new connection, up to the end of its handshake
	Timeout     time.Duration // for anything else that RabbitMQ has to answer, confirms included
}

// DefaultOptions connect to a RabbitMQ as it is installed, on this machine.
func DefaultOptions() Options {
	return Options{
		URL:         "amqp://guest:guest@127.0.0.1:5672/",
		Name:        "funcatron",
		Log:         slog.New(slog.DiscardHandler),
		Channels:    4,
		Buffer:      4096,
		BufferBytes: 64 << 20,
		Heartbeat:   10 * time.Second,
		DialTimeout: 3 * time.Second,
		Timeout:     10 * time.Second,
	}
}

// complete fills in the defaults, and names the field that is wrong.
func (o Options) complete() (Options, amqp.URI, error) {
	d := DefaultOptions()
	if o.Name == "" {
		o.Name = d.Name
	}
	if o.Log == nil {
		o.Log = d.Log
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	for _, f := range []struct {
		name             string
		v                *int
		def, least, most int
	}{
		{"Channels", &o.Channels, d.Channels, 1, 256},
		{"Buffer", &o.Buffer, d.Buffer, 1, 1 << 20},
		{"BufferBytes", &o.BufferBytes, d.BufferBytes, 1, 1 << 40},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < f.least || *f.v > f.most {
			return o, amqp.URI{}, fmt.Errorf("%s is %d, must be from %d to %d", f.name, *f.v, f.least, f.most)
		}
	}
	for _, f := range []struct {
		name        string
		v           *time.Duration
		def         time.Duration
		least, most time.Duration
	}{
		{"Heartbeat", &o.Heartbeat, d.Heartbeat, time.Second, time.Hour},
		{"DialTimeout", &o.DialTimeout, d.DialTimeout, time.Millisecond, time.Hour},
		{"Timeout", &o.Timeout, d.Timeout, time.Millisecond, time.Hour},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < f.least || *f.v > f.most {
			return o, amqp.URI{}, fmt.Errorf("%s is %v, must be from %v to %v", f.name, *f.v, f.least, f.most)
		}
	}
	uri, err := amqp.ParseURI(o.URL)
	if err != nil {
		// What the parsers say quotes the URL, and with it the password.
		if ue := new(url.Error); errors.As(err, &ue) {
			err = errors.New("it does not parse; special characters in the password are percent-encoded")
		}
		return o, amqp.URI{}, fmt.Errorf("URL is not amqp://user:password@host:port/vhost: %w", err)
	}
	if o.TLS != nil && uri.Scheme != "amqps" {
		return o, amqp.URI{}, errors.New("URL is of amqp, which uses no TLS, and there are certificates for it; amqps is meant")
	}
	return o, uri, nil
}
