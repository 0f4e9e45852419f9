package envelope_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/envelope"
)

var (
	sampleRequest = envelope.Request{
		Call: 123456789, Left: 30 * time.Second, Retry: true, Method: []byte("POST"), URI: []byte("/sample/go/change/3?verbose=true"),
		Header: []byte("Host: localhost:8080\r\nAccept: */*\r\nContent-Type: application/json\r\nX-Request-Id: db9d00abf61d9c67f4f0e755e96b8d0e\r\n"),
		Body:   bytes.Repeat([]byte("x"), 512),
	}
	sampleResponse = envelope.Response{
		Call: 123456789, Held: 250 * time.Microsecond, Ran: 200 * time.Microsecond, Status: 200,
		Header: []byte("Content-Type: application/json\r\nDate: Fri, 09 Dec 2016 20:31:31 GMT\r\n"),
		Body:   bytes.Repeat([]byte("x"), 512),
	}
)

func TestNothingAllocates(t *testing.T) {
	var (
		reqMsg  = appendRequest(nil, &sampleRequest)
		respMsg = appendResponse(nil, &sampleResponse)
		buf     = make([]byte, 0, 4096)
		req     envelope.Request
		resp    envelope.Response
		err     error
		size    int
	)
	for name, f := range map[string]func(){
		"AppendRequest":  func() { buf = appendRequest(buf[:0], &sampleRequest) },
		"AppendResponse": func() { buf = appendResponse(buf[:0], &sampleResponse) },
		"NextRequest":    func() { _, err = envelope.NextRequest(reqMsg, &req) },
		"NextResponse":   func() { _, err = envelope.NextResponse(respMsg, &resp) },
		"Lines": func() {
			for name, value := range envelope.Lines(sampleRequest.Header) {
				size += len(name) + len(value)
			}
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 || err != nil {
			t.Errorf("%s allocates %v times, %v", name, n, err)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	msg := appendRequest(nil, &sampleRequest)
	b.Run("append", func(b *testing.B) {
		buf := make([]byte, 0, len(msg))
		b.ReportAllocs()
		for b.Loop() {
			buf = appendRequest(buf[:0], &sampleRequest)
		}
	})
	b.Run("next", func(b *testing.B) {
		var r envelope.Request
		b.ReportAllocs()
		for b.Loop() {
			if _, err := envelope.NextRequest(msg, &r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkResponse(b *testing.B) {
	msg := appendResponse(nil, &sampleResponse)
	b.Run("append", func(b *testing.B) {
		buf := make([]byte, 0, len(msg))
		b.ReportAllocs()
		for b.Loop() {
			buf = appendResponse(buf[:0], &sampleResponse)
		}
	})
	b.Run("next", func(b *testing.B) {
		var r envelope.Response
		b.ReportAllocs()
		for b.Loop() {
			if _, err := envelope.NextResponse(msg, &r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
