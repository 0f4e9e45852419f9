package rabbit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/funcatron/funcatron/shared/version"
)

// The wait between two attempts, doubled from one to the next. A restarted broker
// is found within maxBackoff.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = time.Second
)

// steady is how long a connection must have lasted to be a success, so that one
// that fails over and over again counts as failing.
const steady = 2 * time.Second

// complainEvery throttles what is logged about something that goes on failing.
const complainEvery = 30 * time.Second

// conn is one AMQP connection and the socket below it.
type conn struct {
	*amqp.Connection
	socket  *socket
	timeout time.Duration
}

// keep connects, runs use with the connection for as long as it lasts, and starts
// over, until ctx ends. lost is told each time why there is no connection now.
func (b *Broker) keep(ctx context.Context, role string, use func(context.Context, *conn) error, lost func(why string)) {
	log := b.log.With("role", role, "addr", b.addr)
	var retry backoff
	var complain throttle
	connected := false // ever
	for ctx.Err() == nil {
		c, err := b.dial(ctx, role)
		if err != nil {
			lost(err.Error())
			if ctx.Err() == nil && complain.due() {
				log.Warn("cannot connect to RabbitMQ; check --rabbit-url and that it runs, and --rabbit-ca where that is amqps", "err", err)
			}
			retry.wait(ctx)
			continue
		}
		if connected {
			b.reconnects.Inc()
		}
		connected = true
		log.Info("connected to RabbitMQ")
		since := time.Now()
		err = use(ctx, c) // closes it in good order when ctx ends
		_ = c.socket.Close()
		if ctx.Err() != nil {
			break
		}
		lost(err.Error())
		if time.Since(since) > steady {
			retry, complain = backoff{}, throttle{}
		}
		if complain.due() {
			log.Warn("connection to RabbitMQ lost", "err", err)
		}
		retry.wait(ctx)
	}
	lost("shut down")
}

// dial opens a connection. It is done within the dial timeout, or when ctx ends.
func (b *Broker) dial(ctx context.Context, role string) (*conn, error) {
	properties := amqp.NewConnectionProperties()
	properties["product"] = "Funcatron"
	properties["version"] = version.String()
	properties.SetClientConnectionName(b.opts.Name + " " + role)

	var s *socket
	var unwatch func() bool
	var secure *tls.Config
	if b.opts.TLS != nil {
		secure = b.opts.TLS.Config(b.host)
	}
	c, err := amqp.DialConfig(b.opts.URL, amqp.Config{
		Heartbeat:       b.opts.Heartbeat,
		Properties:      properties,
		TLSClientConfig: secure,
		Dial: func(network, addr string) (net.Conn, error) {
			one, cancel := context.WithTimeout(ctx, b.opts.DialTimeout)
			defer cancel()
			nc, err := b.opts.Dial(one, network, addr)
			if err != nil {
				return nil, err
			}
			s = &socket{Conn: nc, timeout: b.opts.Timeout}
			unwatch = context.AfterFunc(ctx, func() { _ = nc.Close() })
			// For the handshake: the library lifts it when that is done.
			return s, nc.SetDeadline(time.Now().Add(b.opts.DialTimeout))
		},
	})
	if unwatch != nil {
		unwatch()
	}
	if err != nil {
		if s != nil {
			_ = s.Close() // after a failed handshake the library may leave it open
		}
		return nil, err
	}
	return &conn{Connection: c, socket: s, timeout: b.opts.Timeout}, nil
}

// within runs f, which waits for an answer of RabbitMQ. Where none comes the socket
// is closed, and f ends like everything on this connection.
func (c *conn) within(f func() error) error {
	t := time.AfterFunc(c.timeout, func() { _ = c.socket.Close() })
	err := f()
	if !t.Stop() && err != nil {
		return fmt.Errorf("no answer within %v: %w", c.timeout, err)
	}
	return err
}

// channel opens a channel and prepares it with f; when that fails there is none.
func (c *conn) channel(f func(*amqp.Channel) error) (*amqp.Channel, error) {
	var ch *amqp.Channel
	err := c.within(func() (err error) {
		if ch, err = c.Channel(); err != nil {
			return fmt.Errorf("open channel: %w", err)
		}
		if err = f(ch); err != nil {
			_ = ch.Close() // nothing to do where RabbitMQ has closed it already
		}
		return err
	})
	return ch, err
}

// close says goodbye, but not for long.
func (c *conn) close() {
	t := time.AfterFunc(time.Second, func() { _ = c.socket.Close() })
	defer t.Stop()
	_ = c.Close() // an error means that it is closed already
	_ = c.socket.Close()
}

// socket closes itself when it fails, so that a writer that is stuck learns at
// once what the reader found out; the library would let the one wait for the
// other. A write that does not get through within timeout is a failure.
type socket struct {
	net.Conn
	timeout time.Duration
}

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if err != nil {
		_ = s.Conn.Close()
	}
	return n, err
}

func (s *socket) Write(p []byte) (int, error) {
	err := s.SetWriteDeadline(time.Now().Add(s.timeout))
	if err != nil {
		return 0, err
	}
	n, err := s.Conn.Write(p)
	if err != nil {
		_ = s.Conn.Close()
	}
	return n, err
}

// cause is the reason of a lost connection or channel, from its NotifyClose.
func cause(e *amqp.Error) error {
	if e == nil {
		return errors.New("connection closed")
	}
	return e
}

// current is the connection that consumers use now.
type current struct {
	mu      sync.Mutex
	c       *conn // nil while there is none; why then says the reason
	why     string
	changed chan struct{} // closed at the next change
}

func (s *current) set(c *conn, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed != nil {
		close(s.changed)
	}
	s.c, s.why, s.changed = c, why, make(chan struct{})
}

// get is the connection, or ErrDown.
func (s *current) get() (*conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		return nil, down(s.why)
	}
	return s.c, nil
}

// wait waits for a connection that lives; it returns nil when ctx ends.
func (s *current) wait(ctx context.Context) *conn {
	for {
		s.mu.Lock()
		c, changed := s.c, s.changed
		s.mu.Unlock()
		if ctx.Err() != nil {
			return nil
		}
		if c != nil && !c.IsClosed() {
			return c
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// consumeOver lends c to the consumers until it is lost or ctx ends.
func (b *Broker) consumeOver(ctx context.Context, c *conn) error {
	lost := c.NotifyClose(make(chan *amqp.Error, 1))
	b.in.set(c, "")
	select {
	case e := <-lost:
		return cause(e)
	case <-ctx.Done():
		b.in.set(nil, "shut down")
		c.close()
		return ctx.Err()
	}
}

// backoff is the wait before the next attempt. Its zero value is ready to use.
type backoff struct{ next time.Duration }

// wait waits, a random part of it, so that many clients of one broker do not all
// come back at once.
func (r *backoff) wait(ctx context.Context) {
	r.next = min(max(2*r.next, minBackoff), maxBackoff)
	t := time.NewTimer(r.next/2 + rand.N(r.next/2))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// throttle lets through the first and then one each complainEvery.
type throttle struct{ last time.Time }

func (t *throttle) due() bool {
	if !t.last.IsZero() && time.Since(t.last) < complainEvery {
		return false
	}
	t.last = time.Now()
	return true
}
