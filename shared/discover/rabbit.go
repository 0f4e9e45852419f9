package discover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// dialTimeout bounds the attempt to reach one target where the context has no
// deadline.
const dialTimeout = 5 * time.Second

// maxPassword is the largest password file in bytes that is read: whoever
// names the wrong file gets an error, not a process full of its contents.
const maxPassword = 4 << 10

// Rabbit is where RabbitMQ is, and how to connect to it.
type Rabbit struct {
	// URL has the scheme amqp or amqps and is complete with its password: never
	// log it. For an SRV name its host and port mean nothing but to DialContext.
	URL string

	service  string // the SRV name, or ""
	resolver *net.Resolver
	dialer   net.Dialer
}

// NewRabbit reads a RabbitMQ URL (https://www.rabbitmq.com/docs/uri-spec).
//
// Besides amqp and amqps it takes amqp+srv, whose host is the owner name of SRV
// records (RFC 2782), as in amqp+srv://guest:guest@_rabbit-funcatron._tcp.marathon.slave.mesos/.
// That is how Mesos-DNS publishes ports that Marathon chose. It has no TLS
// sibling, since the records of a service say nothing of the names in a
// certificate.
//
// passwordFile, where it is not empty, names a file that holds the password of
// the URL's user and perhaps a newline. A nil resolver is the system's. No error
// repeats the URL: it may hold a password.
func NewRabbit(rawURL, passwordFile string, resolver *net.Resolver) (*Rabbit, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("read --rabbit-url: not a URL; in a password, characters other than letters and digits need percent-encoding")
	}
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	r := &Rabbit{resolver: resolver, dialer: net.Dialer{Resolver: resolver}}
	switch {
	case u.Scheme != "amqp" && u.Scheme != "amqps" && u.Scheme != "amqp+srv":
		return nil, errors.New("read --rabbit-url: its scheme is none of amqp, amqps, amqp+srv")
	case u.Hostname() == "":
		return nil, errors.New("read --rabbit-url: it names no host")
	case u.Scheme == "amqp+srv":
		if u.Port() != "" {
			return nil, errors.New("read --rabbit-url: an amqp+srv URL has no port, since the SRV record gives it")
		}
		r.service = u.Hostname()
		u.Scheme = "amqp"
	}
	if passwordFile != "" {
		if u.User, err = withPassword(u.User, passwordFile); err != nil {
			return nil, err
		}
	}
	r.URL = u.String()
	return r, nil
}

// withPassword completes user with the password that file holds.
func withPassword(user *url.Userinfo, file string) (*url.Userinfo, error) {
	if user.Username() == "" {
		return nil, errors.New("read --rabbit-url: it names no user whose password --rabbit-password-file could be")
	}
	if _, set := user.Password(); set {
		return nil, errors.New("read --rabbit-url: it holds a password and --rabbit-password-file names another; give one")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read --rabbit-password-file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPassword+1))
	if err != nil {
		return nil, fmt.Errorf("read --rabbit-password-file: %w", err)
	}
	if len(b) > maxPassword {
		return nil, fmt.Errorf("read --rabbit-password-file %s: at most %d bytes are a password", file, maxPassword)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if password == "" {
		return nil, fmt.Errorf("read --rabbit-password-file %s: it is empty", file)
	}
	return url.UserPassword(user.Username(), password), nil
}

// DialContext connects to RabbitMQ: to address, or, where the URL was one of
// amqp+srv, to the first target of the SRV records that accepts, in the order of
// RFC 2782 (by priority, then at random by weight). It takes until ctx ends at
// most; the caller bounds the handshake that follows.
func (r *Rabbit) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if r.service == "" {
		return r.dialer.DialContext(ctx, network, address)
	}
	// A record that is malformed makes for an error beside the good ones.
	_, records, err := r.resolver.LookupSRV(ctx, "", "", r.service)
	var tried []error
	for i, rec := range records {
		if rec.Target == "." || rec.Port == 0 {
			continue // RFC 2782: "the service is decidedly not available"
		}
		// Each target has its share of the time, or one that is gone and answers
		// nothing would use up all of it.
		share := dialTimeout
		if deadline, ok := ctx.Deadline(); ok {
			share = time.Until(deadline) / time.Duration(len(records)-i)
		}
		one, cancel := context.WithTimeout(ctx, share)
		conn, err := r.dialer.DialContext(one, network, net.JoinHostPort(rec.Target, strconv.Itoa(int(rec.Port))))
		cancel()
		if err == nil {
			return conn, nil
		}
		tried = append(tried, err)
	}
	switch {
	case len(tried) > 0:
		return nil, fmt.Errorf("connect to the targets of SRV %s: %w", r.service, errors.Join(tried...))
	case err != nil:
		return nil, fmt.Errorf("look up SRV %s: %w", r.service, err)
	}
	return nil, fmt.Errorf("look up SRV %s: no record names a host and port", r.service)
}
