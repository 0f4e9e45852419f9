package envelope_test

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/envelope"
)

// What can be read is made of pieces of the message, and written again it reads
// the same; what follows is exactly what follows.
func FuzzNextRequest(f *testing.F) {
	f.Add(appendRequest(nil, &sampleRequest))
	f.Add(appendRequest(appendRequest(nil, &sampleRequest), &envelope.Request{Method: []byte("GET"), URI: []byte("/")}))
	f.Add([]byte("GET / HTTP/1.1\r\nX-Funcatron-Call: 1\r\nX-Funcatron-Timeout-Ms: 31536000000\r\nX-Funcatron-Retry: 2\r\nContent-Length: 1\r\nA\r\n\r\nx"))
	f.Add([]byte("GET / HTTP/1.1\r\nX-Funcatron-Call: 18446744073709551615\r\nX-Funcatron-Timeout-Ms: 01\r\nContent-Length: 9\r\n\r\nx"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		before := bytes.Clone(msg)
		var r envelope.Request
		rest, err := envelope.NextRequest(msg, &r)
		if !bytes.Equal(msg, before) {
			t.Fatal("the message changed")
		}
		if err != nil {
			return
		}
		used := msg[:len(msg)-len(rest)]
		if !bytes.HasSuffix(msg, rest) || !bytes.HasSuffix(used, r.Body) || !bytes.HasPrefix(used, r.Method) || !bytes.Contains(used, r.Header) {
			t.Fatalf("%+v and rest %q are not %q", r, rest, msg)
		}
		if len(r.Method) == 0 || len(r.URI) == 0 || bytes.ContainsAny(r.Method, " \n") || bytes.ContainsAny(r.URI, " \n") {
			t.Fatalf("first line of method %q and URI %q", r.Method, r.URI)
		}
		if r.Left < 0 || r.Left > 365*24*time.Hour {
			t.Fatalf("left %v", r.Left)
		}
		checkHeader(t, r.Header)

		var again envelope.Request
		end, err := envelope.NextRequest(append(appendRequest(nil, &r), rest...), &again)
		if err != nil || !reflect.DeepEqual(again, r) || !bytes.Equal(end, rest) {
			t.Fatalf("%+v became %+v, %v, rest %q for %q", r, again, err, end, rest)
		}
	})
}

func FuzzNextResponse(f *testing.F) {
	f.Add(appendResponse(nil, &sampleResponse))
	f.Add(appendResponse(appendResponse(nil, &sampleResponse), &envelope.Response{Status: 502, Fault: envelope.TooLarge}))
	f.Add([]byte("HTTP/1.1 200 OK\r\nX-Funcatron-Call: 1\r\nX-Funcatron-Held-Us: 31536000000000\r\nX-Funcatron-Ran-Us: 1\r\nContent-Length: 1\r\nA\r\n\r\nx"))
	f.Add([]byte("HTTP/1.1 200 \r\nX-Funcatron-Call: 1\r\nX-Funcatron-Held-Us: 1\r\nX-Funcatron-Ran-Us: 1\r\nX-Funcatron-Fault: 0\r\nContent-Length: 0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		before := bytes.Clone(msg)
		var r envelope.Response
		rest, err := envelope.NextResponse(msg, &r)
		if !bytes.Equal(msg, before) {
			t.Fatal("the message changed")
		}
		if err != nil {
			return
		}
		used := msg[:len(msg)-len(rest)]
		if !bytes.HasSuffix(msg, rest) || !bytes.HasSuffix(used, r.Body) || !bytes.Contains(used, r.Header) {
			t.Fatalf("%+v and rest %q are not %q", r, rest, msg)
		}
		if r.Status < 100 || r.Status > 999 || r.Fault > envelope.Held || r.Held < 0 || r.Ran < 0 {
			t.Fatalf("response %+v", r)
		}
		checkHeader(t, r.Header)

		var again envelope.Response
		end, err := envelope.NextResponse(append(appendResponse(nil, &r), rest...), &again)
		if err != nil || !reflect.DeepEqual(again, r) || !bytes.Equal(end, rest) {
			t.Fatalf("%+v became %+v, %v, rest %q for %q", r, again, err, end, rest)
		}
	})
}

// checkHeader holds that a header is whole lines and that Lines ends.
func checkHeader(t *testing.T, header []byte) {
	t.Helper()
	if len(header) > 0 && (!bytes.HasSuffix(header, []byte("\r\n")) || bytes.Contains(header, []byte("\r\n\r\n"))) {
		t.Fatalf("header %q", header)
	}
	for name, value := range envelope.Lines(header) {
		if bytes.Contains(name, []byte(":")) || bytes.Contains(append(bytes.Clone(name), value...), []byte("\n")) || !bytes.Contains(header, value) {
			t.Fatalf("line %q: %q of %q", name, value, header)
		}
	}
}
