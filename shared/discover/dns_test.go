package discover

import (
	"context"
	"net"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// target is one SRV record.
type target struct {
	priority, weight uint16
	host             string
	port             uint16
}

// silent is a name about which nobody ever hears anything.
const silent = "silent.slave.mesos."

// nameServer answers SRV questions for one name and A questions for every name
// that ends in ".slave.mesos." with 127.0.0.1, as Mesos-DNS would on a cluster
// of one machine. What it says may change at any time.
type nameServer struct {
	conn net.PacketConn

	mu      sync.Mutex // guards records
	records map[string][]target
}

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn, records: map[string][]target{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return // closed
			}
			if answer := s.answer(t, buf[:n]); answer != nil {
				if _, err := conn.WriteTo(answer, from); err != nil {
					return
				}
			}
		}
	})
	t.Cleanup(func() {
		conn.Close()
		wg.Wait()
	})
	return s
}

func (s *nameServer) set(name string, to ...target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[name] = to
}

// resolver asks s and nobody else.
func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

func (s *nameServer) answer(t *testing.T, question []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || len(m.Questions) != 1 {
		t.Errorf("question: %v, %v", m.Questions, err)
		return nil
	}
	q := m.Questions[0]
	if q.Name.String() == silent {
		return nil
	}
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionDesired: m.RecursionDesired}
	m.Additionals = nil
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}
	s.mu.Lock()
	records, known := s.records[q.Name.String()]
	s.mu.Unlock()
	switch {
	case q.Type == dnsmessage.TypeSRV && known:
		for _, r := range records {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.SRVResource{
				Priority: r.priority, Weight: r.weight, Port: r.port, Target: dnsmessage.MustNewName(r.host),
			}})
		}
	case q.Type == dnsmessage.TypeA && !known && isAgent(q.Name.String()):
		m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}}
	case q.Type == dnsmessage.TypeAAAA && isAgent(q.Name.String()): // exists, without such an address
	default:
		m.RCode = dnsmessage.RCodeNameError
	}
	b, err := m.Pack()
	if err != nil {
		t.Errorf("pack answer to %v: %v", q, err)
	}
	return b
}

func isAgent(name string) bool {
	const suffix = ".slave.mesos."
	return len(name) > len(suffix) && name[len(name)-len(suffix):] == suffix && name[0] != '_'
}
