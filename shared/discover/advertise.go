package discover

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
)

// Advertise gives the URL that a process tells others to reach it under: no
// query, no trailing slash.
//
// value is what the flag says. $NAME and ${NAME} in it stand for environment
// variables, since Marathon chooses host and port only when it starts a task,
// hands them over as HOST, PORT0, PORT_<container port> and so on, and fills in
// no variables of its own: http://$HOST:$PORT_3000. lookup is os.LookupEnv.
//
// Where value is empty, the URL is made of scheme, http or https, and the
// listener's own address, with this machine's in the place of an unspecified one
// (0.0.0.0 or [::]). Errors name flag.
func Advertise(flag, value, scheme string, listen net.Addr, lookup func(string) (string, bool)) (string, error) {
	if value == "" {
		host, port, err := net.SplitHostPort(listen.String())
		if err != nil {
			return "", fmt.Errorf("make %s of the listener's address: %w", flag, err)
		}
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host = machineAddress()
		}
		return scheme + "://" + net.JoinHostPort(host, port), nil
	}

	var unset []string
	expanded := os.Expand(value, func(name string) string {
		v, ok := lookup(name)
		if !ok || v == "" {
			unset = append(unset, "$"+name)
		}
		return v
	})
	if unset != nil {
		return "", fmt.Errorf("read %s %q: the environment has no %s", flag, value, strings.Join(unset, ", "))
	}
	u, err := url.Parse(expanded)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", flag, err)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		err = errors.New("it begins with neither http:// nor https://")
	case u.Hostname() == "":
		err = errors.New("it names no host")
	case u.User != nil:
		err = errors.New("it holds a user name, which would be told to everybody")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		err = errors.New("it has a query or fragment")
	}
	if err != nil {
		return "", fmt.Errorf("read %s %q: %w", flag, expanded, err)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// machineAddress is the first address of this machine that others may reach:
// IPv4 before IPv6, and loopback where there is no network at all.
func machineAddress() string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "127.0.0.1"
	}
	v6 := ""
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() {
			continue
		}
		if n.IP.To4() != nil {
			return n.IP.String()
		}
		if v6 == "" {
			v6 = n.IP.String()
		}
	}
	if v6 != "" {
		return v6
	}
	return "127.0.0.1"
}
