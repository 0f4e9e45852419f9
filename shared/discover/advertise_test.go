package discover

import (
	"net"
	"net/url"
	"strings"
	"testing"
)

// marathon is what Marathon gives a task in bridge mode (its "Task Environment
// Variables"), and the image's own.
var marathon = map[string]string{
	"HOST": "10.0.4.1", "PORT0": "31702", "PORT_3000": "31702", "PORT_HTTP": "31702", "PORTS": "31702",
	"MESOS_TASK_ID": "tron_funcatron.1", "EMPTY": "",
}

func lookup(name string) (string, bool) {
	v, ok := marathon[name]
	return v, ok
}

func TestAdvertise(t *testing.T) {
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 3000}
	for _, tc := range []struct {
		value string
		addr  net.Addr
		want  string
	}{
		{"http://$HOST:$PORT_3000", local, "http://10.0.4.1:31702"},
		{"https://${HOST}:${PORT0}/tron/", local, "https://10.0.4.1:31702/tron"},
		{"http://tron.funcatron:3000/", local, "http://tron.funcatron:3000"},
		{"http://[::1]:3000", local, "http://[::1]:3000"},
		{"", local, "http://127.0.0.1:3000"},
		{"", &net.TCPAddr{IP: net.IPv6loopback, Port: 80}, "http://[::1]:80"},
	} {
		got, err := Advertise("--tron-url", tc.value, "http", tc.addr, lookup)
		if err != nil || got != tc.want {
			t.Errorf("Advertise(%q, %v) = %q, %v, want %q", tc.value, tc.addr, got, err, tc.want)
		}
	}
}

func TestAdvertiseUnspecified(t *testing.T) {
	for _, ip := range []net.IP{net.IPv4zero, net.IPv6zero} {
		got, err := Advertise("--tron-url", "", "https", &net.TCPAddr{IP: ip, Port: 3000}, lookup)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(got)
		if err != nil {
			t.Fatal(err)
		}
		if ip := net.ParseIP(u.Hostname()); ip == nil || ip.IsUnspecified() || u.Port() != "3000" {
			t.Errorf("%v is advertised as %q, where nobody can reach it", ip, got)
		}
	}
}

func TestAdvertiseRefuses(t *testing.T) {
	for _, tc := range []struct{ value, want string }{
		{"http://$HOST:$PORT_8080/$NOPE", "no $PORT_8080, $NOPE"},
		{"http://$EMPTY:3000", "no $EMPTY"},
		{"tron:3000", "neither http:// nor https://"},
		{"//tron:3000", "neither http:// nor https://"},
		{"http://:3000", "no host"},
		{"http://u:p@tron:3000", "user name"},
		{"http://tron:3000/?a=b", "query"},
		{"http://tron:3000/?", "query"},
		{"http://tron:3000/#top", "fragment"},
		{"http://tron:http", "invalid port"},
	} {
		_, err := Advertise("--tron-url", tc.value, "http", nil, lookup)
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "--tron-url") {
			t.Errorf("Advertise(%q) = %v, want an error with --tron-url and %q", tc.value, err, tc.want)
		}
	}
}

// What is advertised can be put in front of a path.
func FuzzAdvertise(f *testing.F) {
	for _, v := range []string{"http://$HOST:$PORT0", "https://a/b/", "http://[::1]:1/", "http://a/#", "${", "$$", "http://a/%2f/", "http://a/?", "http://a//"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if value == "" {
			return
		}
		got, err := Advertise("--tron-url", value, "http", nil, lookup)
		if err != nil {
			return
		}
		u, err := url.Parse(got + "/api/v1/stats")
		if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
			!strings.HasSuffix(u.Path, "/api/v1/stats") {
			t.Errorf("Advertise(%q) = %q: %+v, %v", value, got, u, err)
		}
	})
}

// Whatever is read as a URL of RabbitMQ, an error never repeats its password.
func FuzzNewRabbit(f *testing.F) {
	for _, v := range []string{"amqp://", "amqp+srv://_a._tcp.b/", "http://", "amqp://\x00", "amqp://h:p", ":"} {
		f.Add(v, "/")
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "correct-horse-battery-staple"
		if _, err := NewRabbit(before+secret+after, "", nil); err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells the password: %v", err)
		}
	})
}
