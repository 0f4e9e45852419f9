package gateway

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// connPair is a client's socket and the gateway's side of it.
func connPair(t *testing.T) (client net.Conn, server *clientConn) {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	if client, err = net.Dial("tcp", tcp.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	accepted, err := listener{tcp}.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = accepted.Close() })
	return client, accepted.(*clientConn)
}

// Whatever sizes are asked for, the bytes come whole and in order, and nothing is
// held when they are read.
func TestClientConnReadsAll(t *testing.T) {
	client, server := connPair(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 10_000) // more than a buffer holds
	go func() {
		_, _ = client.Write(sent)
		_ = client.(*net.TCPConn).CloseWrite()
	}()
	var got []byte
	for i := 0; ; i++ {
		p := make([]byte, []int{1, 100, 1, 1, 5000}[i%5])
		n, err := server.Read(p)
		got = append(got, p[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || n == 0 {
			t.Fatalf("read: %d, %v", n, err)
		}
		if (server.buf == nil) != (len(server.rest) == 0) {
			t.Fatalf("holds a buffer: %t, for %d bytes", server.buf != nil, len(server.rest))
		}
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came of %d, or others", len(got), len(sent))
	}
	if server.buf != nil {
		t.Error("a buffer is held at the end")
	}
}

func TestClientConnEnds(t *testing.T) {
	client, server := connPair(t)
	if err := server.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read past the deadline: %v", err)
	}
	if err := server.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	_ = client.(*net.TCPConn).SetLinger(0) // a reset
	_ = client.Close()
	if n, err := server.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read of a reset connection: %d, %v", n, err)
	}
}

// A deadline that moves on with each request is set once in a while; it is never
// early, and one that is near is exact.
func TestCoarseDeadlines(t *testing.T) {
	var d coarse
	var at time.Time
	sets := 0
	set := func(t time.Time) error { at = t; sets++; return nil }
	began := time.Now()
	for i := range 100 {
		want := began.Add(time.Minute + time.Duration(i)*100*time.Millisecond)
		if err := d.set(want, set); err != nil {
			t.Fatal(err)
		}
		if at.Before(want) || at.Sub(want) > lateBy {
			t.Fatalf("deadline %v is set to %v", want.Sub(began), at.Sub(began))
		}
	}
	if sets > 3 { // of ten seconds
		t.Errorf("set %d times in 10 s", sets)
	}
	for _, want := range []time.Time{began.Add(time.Second), began.Add(-time.Hour), {}, began.Add(time.Second)} {
		if err := d.set(want, set); err != nil || !at.Equal(want) {
			t.Errorf("%v is set to %v, %v", want, at, err)
		}
	}
}
