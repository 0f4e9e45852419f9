package discover

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func TestNewRabbitURL(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("s/e:c@r%t\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		url, file  string
		host       string // what the AMQP client makes of it
		port       int
		user, pass string
		vhost      string
	}{
		{"amqp://guest:guest@127.0.0.1:5672/", "", "127.0.0.1", 5672, "guest", "guest", "/"},
		{"amqps://u:p@rabbit.test/vh", "", "rabbit.test", 5671, "u", "p", "vh"},
		{"amqp://rabbitmq", "", "rabbitmq", 5672, "guest", "guest", "/"},
		{"amqp://funcatron@rabbitmq:5673/", password, "rabbitmq", 5673, "funcatron", "s/e:c@r%t", "/"},
		{"amqp+srv://u:p@_rabbit-funcatron._tcp.marathon.slave.mesos/", "",
			"_rabbit-funcatron._tcp.marathon.slave.mesos", 5672, "u", "p", "/"},
	} {
		r, err := NewRabbit(tc.url, tc.file, nil)
		if err != nil {
			t.Errorf("NewRabbit(%q): %v", tc.url, err)
			continue
		}
		u, err := amqp.ParseURI(r.URL)
		if err != nil {
			t.Errorf("NewRabbit(%q).URL is not AMQP's: %v", tc.url, err)
			continue
		}
		if u.Host != tc.host || u.Port != tc.port || u.Username != tc.user || u.Password != tc.pass || u.Vhost != tc.vhost {
			t.Errorf("NewRabbit(%q) = %s", tc.url, r.URL)
		}
	}
}

func TestNewRabbitRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tc := range []struct{ url, file, want string }{
		{"http://rabbit.test/", "", "scheme"},
		{"rabbit.test:5672", "", "scheme"},
		{"amqps+srv://u:hunter2@_rabbit._tcp.test/", "", "scheme"},
		{"amqp:///", "", "no host"},
		{"amqp+srv://_rabbit._tcp.test:5672/", "", "no port"},
		{"amqp://u:hunter2%zz@rabbit.test/", "", "not a URL"},
		{"amqp://u:hunter2@rabbit.test:port/", "", "not a URL"},
		{"amqp://rabbit.test/", file("ok", "p"), "names no user"},
		{"amqp://u:hunter2@rabbit.test/", file("ok", "p"), "give one"},
		{"amqp://u@rabbit.test/", file("empty", "\n"), "is empty"},
		{"amqp://u@rabbit.test/", file("big", strings.Repeat("x", maxPassword+1)), "at most"},
		{"amqp://u@rabbit.test/", filepath.Join(dir, "none"), "no such file"},
	} {
		_, err := NewRabbit(tc.url, tc.file, nil)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("NewRabbit(%q, %q) = %v, want an error with %q", tc.url, tc.file, err, tc.want)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("NewRabbit(%q) tells the password: %v", tc.url, err)
		}
	}
}

// listen gives the port of a listener on 127.0.0.1, and of one that was closed.
func listen(t *testing.T) (open, closed uint16) {
	t.Helper()
	port := func() (net.Listener, uint16) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l, uint16(l.Addr().(*net.TCPAddr).Port)
	}
	l, open := port()
	t.Cleanup(func() { l.Close() })
	gone, closed := port()
	gone.Close()
	return open, closed
}

const rabbitSRV = "_rabbit-funcatron._tcp.marathon.slave.mesos."

func newMesosRabbit(t *testing.T, dns *nameServer) *Rabbit {
	t.Helper()
	r, err := NewRabbit("amqp+srv://guest:guest@_rabbit-funcatron._tcp.marathon.slave.mesos./", "", dns.resolver())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func dialedPort(t *testing.T, r *Rabbit) (uint16, error) {
	t.Helper()
	conn, err := r.DialContext(t.Context(), "tcp", "the.client.believes:5672")
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return uint16(conn.RemoteAddr().(*net.TCPAddr).Port), nil
}

func TestDialSRV(t *testing.T) {
	dns := newNameServer(t)
	r := newMesosRabbit(t, dns)
	first, closed := listen(t)
	second, _ := listen(t)

	for _, tc := range []struct {
		name    string
		records []target
		want    uint16
	}{
		{"one", []target{{0, 0, "rabbit-1.marathon.slave.mesos.", first}}, first},
		{"moved: looked up again", []target{{0, 0, "rabbit-2.marathon.slave.mesos.", second}}, second},
		{"lowest priority first", []target{
			{20, 0, "rabbit-2.marathon.slave.mesos.", second},
			{10, 0, "rabbit-1.marathon.slave.mesos.", first},
		}, first},
		{"the next one where the first refuses", []target{
			{10, 0, "rabbit-1.marathon.slave.mesos.", closed},
			{20, 0, "rabbit-2.marathon.slave.mesos.", second},
		}, second},
		{"the next one where the first has no address", []target{
			{10, 0, "gone.example.", first},
			{20, 0, "rabbit-2.marathon.slave.mesos.", second},
		}, second},
		{"no service there", []target{
			{10, 0, ".", 0},
			{20, 0, "rabbit-2.marathon.slave.mesos.", second},
		}, second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dns.set(rabbitSRV, tc.records...)
			if got, err := dialedPort(t, r); err != nil || got != tc.want {
				t.Errorf("dialled port %d, %v; want %d", got, err, tc.want)
			}
		})
	}
}

func TestDialSRVFails(t *testing.T) {
	dns := newNameServer(t)
	r := newMesosRabbit(t, dns)
	_, closed := listen(t)

	for _, tc := range []struct {
		name    string
		records []target
		want    []string
	}{
		{"no such name", nil, []string{"look up SRV", "no such host"}},
		{"only what is decidedly not available", []target{{0, 0, ".", 0}}, []string{"no record names"}},
		{"all refuse", []target{
			{0, 0, "rabbit-1.marathon.slave.mesos.", closed},
			{1, 0, "gone.example.", closed},
		}, []string{"rabbit-funcatron", "refused", "gone.example"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.records != nil {
				dns.set(rabbitSRV, tc.records...)
			}
			_, err := dialedPort(t, r)
			if err == nil {
				t.Fatal("connected")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v: no word of %q", err, want)
				}
			}
		})
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.DialContext(ctx, "tcp", ""); err == nil {
		t.Error("connected although the context had ended")
	}
}

// A target that answers nothing leaves time for the next.
func TestDialSRVSilence(t *testing.T) {
	dns := newNameServer(t)
	r := newMesosRabbit(t, dns)
	open, _ := listen(t)
	dns.set(rabbitSRV, target{0, 0, silent, open}, target{1, 0, "rabbit-1.marathon.slave.mesos.", open})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	conn, err := r.DialContext(ctx, "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

// A plain URL is dialled at the address that the client took from it.
func TestDialPlain(t *testing.T) {
	r, err := NewRabbit("amqp://guest:guest@127.0.0.1/", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := r.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if conn.RemoteAddr().String() != l.Addr().String() {
		t.Errorf("connected to %v, not to %v", conn.RemoteAddr(), l.Addr())
	}
}
