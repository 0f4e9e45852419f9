package envelope_test

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/envelope"
)

// appendRequest writes r as its users do: the block, the header lines, the empty
// line, the body.
func appendRequest(dst []byte, r *envelope.Request) []byte {
	dst = envelope.AppendRequest(dst, r.Call, r.Left, r.Retry, r.Method, r.URI, len(r.Body))
	dst = append(dst, r.Header...)
	dst = append(dst, "\r\n"...)
	return append(dst, r.Body...)
}

func appendResponse(dst []byte, r *envelope.Response) []byte {
	dst = envelope.AppendResponse(dst, r, len(r.Body))
	dst = append(dst, r.Header...)
	dst = append(dst, "\r\n"...)
	return append(dst, r.Body...)
}

// What travels is part of the contract between parts of different versions.
func TestTheBytes(t *testing.T) {
	req := envelope.Request{Call: 7, Left: 1500 * time.Millisecond, Retry: true, Method: []byte("GET"), URI: []byte("/a?b=c"),
		Header: []byte("Host: x\r\nAccept: */*\r\n"), Body: []byte("hi")}
	if got, want := string(appendRequest(nil, &req)), "GET /a?b=c HTTP/1.1\r\nX-Funcatron-Call: 7\r\nX-Funcatron-Timeout-Ms: 1500\r\n"+
		"X-Funcatron-Retry: 1\r\nContent-Length: 2\r\nHost: x\r\nAccept: */*\r\n\r\nhi"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	resp := envelope.Response{Call: 8, Held: 2 * time.Millisecond, Ran: 1500 * time.Nanosecond, Fault: envelope.Died, Status: 502, Body: []byte("gone")}
	if got, want := string(appendResponse(nil, &resp)), "HTTP/1.1 502 \r\nX-Funcatron-Call: 8\r\nX-Funcatron-Held-Us: 2000\r\nX-Funcatron-Ran-Us: 1\r\n"+
		"X-Funcatron-Fault: 1\r\nContent-Length: 4\r\n\r\ngone"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRequestsComeBack(t *testing.T) {
	long := []byte("X: " + strings.Repeat("x", 1<<19) + "\r\n")
	all := []envelope.Request{
		{Call: 1, Left: 30 * time.Second, Method: []byte("GET"), URI: []byte("/"), Body: []byte{}},
		{Call: 0, Left: 0, Method: []byte("POST"), URI: []byte("*"), Header: []byte("A: b\r\n"), Body: []byte("body")},
		{Call: math.MaxUint64, Left: 365 * 24 * time.Hour, Retry: true, Method: []byte("M-SEARCH"), URI: []byte("/%2F?q=\r?"), Header: long, Body: []byte{}},
		// A body that looks like the next message is a body.
		{Call: 2, Left: time.Millisecond, Method: []byte("PUT"), URI: []byte("/x"), Header: []byte("A:\r\n"), Body: []byte("\r\n\r\nGET / HTTP/1.1\r\n")},
		{Call: 3, Left: time.Second, Method: []byte("PUT"), URI: []byte("/x"), Body: bytes.Repeat([]byte{0, '\r', '\n', 0xff}, 1<<16)},
	}
	var msg []byte
	for i := range all {
		msg = appendRequest(msg, &all[i])
	}
	for i, rest := 0, msg; len(rest) > 0; i++ {
		var got envelope.Request
		var err error
		if rest, err = envelope.NextRequest(rest, &got); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if !reflect.DeepEqual(got, all[i]) {
			t.Errorf("request %d: got %.200q\nwant %.200q", i, fmt.Sprint(got), fmt.Sprint(all[i]))
		}
	}
}

func TestResponsesComeBack(t *testing.T) {
	all := []envelope.Response{
		{Call: 1, Held: time.Second, Ran: time.Millisecond, Status: 200, Header: []byte("Set-Cookie: a\r\nSet-Cookie: b\r\n"), Body: []byte("body")},
		{Call: math.MaxUint64, Held: 365 * 24 * time.Hour, Ran: 365 * 24 * time.Hour, Status: 999, Body: []byte("HTTP/1.1 200 \r\n")},
		{Status: 100, Body: []byte{}},
		{Call: 4, Fault: envelope.Died, Status: 502, Body: []byte{}},
		{Call: 5, Fault: envelope.Expired, Status: 504, Body: []byte("late")},
		{Call: 6, Fault: envelope.MaybeRan, Status: 502, Body: []byte{}},
		{Call: 7, Fault: envelope.TooLarge, Status: 502, Body: []byte{}},
	}
	var msg []byte
	for i := range all {
		msg = appendResponse(msg, &all[i])
	}
	for i, rest := 0, msg; len(rest) > 0; i++ {
		var got envelope.Response
		var err error
		if rest, err = envelope.NextResponse(rest, &got); err != nil {
			t.Fatalf("response %d: %v", i, err)
		}
		if !reflect.DeepEqual(got, all[i]) {
			t.Errorf("response %d: got %+v\nwant %+v", i, got, all[i])
		}
	}
}

// Times that no envelope holds are written as the nearest that one does: a message
// shared with other calls must not become unreadable.
func TestTimesAreClamped(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, tc := range []struct{ in, left, held time.Duration }{
		{-time.Second, 0, 0},
		{999 * time.Nanosecond, 0, 0},
		{1999 * time.Microsecond, time.Millisecond, 1999 * time.Microsecond}, // whole units, rounded down
		{math.MaxInt64, year, year},
		{math.MinInt64, 0, 0},
	} {
		var req envelope.Request
		if _, err := envelope.NextRequest(appendRequest(nil, &envelope.Request{Left: tc.in, Method: []byte("GET"), URI: []byte("/")}), &req); err != nil || req.Left != tc.left {
			t.Errorf("left %v came as %v, %v", tc.in, req.Left, err)
		}
		var resp envelope.Response
		if _, err := envelope.NextResponse(appendResponse(nil, &envelope.Response{Held: tc.in, Ran: tc.in, Status: 200}), &resp); err != nil || resp.Held != tc.held || resp.Ran != tc.held {
			t.Errorf("held and ran %v came as %v, %v, %v", tc.in, resp.Held, resp.Ran, err)
		}
	}
}

// Whoever appends to what was read does not write into the message.
func TestWhatIsReadIsClipped(t *testing.T) {
	req := envelope.Request{Method: []byte("GET"), URI: []byte("/"), Header: []byte("A: b\r\n"), Body: []byte("body")}
	msg := appendRequest(appendRequest(nil, &req), &req)
	before := bytes.Clone(msg)
	var got envelope.Request
	if _, err := envelope.NextRequest(msg, &got); err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{got.Method, got.URI, got.Header, got.Body} {
		_ = append(b, "overwritten"...)
	}
	var resp envelope.Response
	msg2 := appendResponse(nil, &envelope.Response{Status: 200, Header: []byte("A: b\r\n"), Body: []byte("body")})
	before2 := bytes.Clone(msg2)
	if _, err := envelope.NextResponse(msg2, &resp); err != nil {
		t.Fatal(err)
	}
	_, _ = append(resp.Header, "overwritten"...), append(resp.Body, "overwritten"...)
	if !bytes.Equal(msg, before) || !bytes.Equal(msg2, before2) {
		t.Error("the message changed")
	}
}

func TestUnreadableRequests(t *testing.T) {
	const (
		first = "GET / HTTP/1.1\r\n"
		block = "X-Funcatron-Call: 1\r\nX-Funcatron-Timeout-Ms: 1\r\n"
	)
	for _, tc := range []struct{ name, msg string }{
		{"empty", ""},
		{"one line without end", "GET / HTTP/1.1"},
		{"a bare line feed", "GET / HTTP/1.1\n" + block + "Content-Length: 0\r\n\r\n"},
		{"only a line end", "\r\n"},
		{"no method", " / HTTP/1.1\r\n" + block + "Content-Length: 0\r\n\r\n"},
		{"no URI", "GET  HTTP/1.1\r\n" + block + "Content-Length: 0\r\n\r\n"},
		{"two URIs", "GET /a /b HTTP/1.1\r\n" + block + "Content-Length: 0\r\n\r\n"},
		{"no protocol", "GET /\r\n" + block + "Content-Length: 0\r\n\r\n"},
		{"another protocol", "GET / HTTP/1.0\r\n" + block + "Content-Length: 0\r\n\r\n"},
		{"no block", first + "\r\n"},
		{"no call", first + "X-Funcatron-Timeout-Ms: 1\r\nContent-Length: 0\r\n\r\n"},
		{"other order", first + "X-Funcatron-Timeout-Ms: 1\r\nX-Funcatron-Call: 1\r\nContent-Length: 0\r\n\r\n"},
		{"a name in other letters", first + "x-funcatron-call: 1\r\nX-Funcatron-Timeout-Ms: 1\r\nContent-Length: 0\r\n\r\n"},
		{"empty number", first + "X-Funcatron-Call: \r\nX-Funcatron-Timeout-Ms: 1\r\nContent-Length: 0\r\n\r\n"},
		{"negative number", first + "X-Funcatron-Call: -1\r\nX-Funcatron-Timeout-Ms: 1\r\nContent-Length: 0\r\n\r\n"},
		{"signed number", first + "X-Funcatron-Call: +1\r\nX-Funcatron-Timeout-Ms: 1\r\nContent-Length: 0\r\n\r\n"},
		{"number of another base", first + "X-Funcatron-Call: 0x1\r\nX-Funcatron-Timeout-Ms: 1\r\nContent-Length: 0\r\n\r\n"},
		{"number over 64 bits", first + "X-Funcatron-Call: 18446744073709551616\r\nX-Funcatron-Timeout-Ms: 1\r\nContent-Length: 0\r\n\r\n"},
		{"number far over 64 bits", first + "X-Funcatron-Call: 99999999999999999999\r\nX-Funcatron-Timeout-Ms: 1\r\nContent-Length: 0\r\n\r\n"},
		{"over a year", first + "X-Funcatron-Call: 1\r\nX-Funcatron-Timeout-Ms: 31536000001\r\nContent-Length: 0\r\n\r\n"},
		{"no length", first + block + "Host: x\r\n\r\n"},
		{"block cut off", first + block + "Content-Length: 0"},
		{"no empty line", first + block + "Content-Length: 0\r\n"},
		{"header without empty line", first + block + "Content-Length: 0\r\nA: b\r\n"},
		{"header over 1 MiB", first + block + "Content-Length: 0\r\nA: " + strings.Repeat("b", 1<<20) + "\r\n\r\n"},
		{"body cut off", first + block + "Content-Length: 5\r\n\r\nbody"},
		{"body longer than can be", first + block + "Content-Length: 18446744073709551615\r\n\r\nbody"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var r envelope.Request
			if rest, err := envelope.NextRequest([]byte(tc.msg), &r); err == nil || rest != nil {
				t.Errorf("read as %+v, rest %q, %v", r, rest, err)
			} else if !strings.HasPrefix(err.Error(), "read request") || len(err.Error()) > 1000 {
				t.Errorf("error: %.2000v", err)
			}
		})
	}
}

func TestUnreadableResponses(t *testing.T) {
	const block = "X-Funcatron-Call: 1\r\nX-Funcatron-Held-Us: 1\r\nX-Funcatron-Ran-Us: 1\r\n"
	for _, tc := range []struct{ name, msg string }{
		{"empty", ""},
		{"a request", "GET / HTTP/1.1\r\n" + block + "Content-Length: 0\r\n\r\n"},
		{"another protocol", "HTTP/1.0 200 \r\n" + block + "Content-Length: 0\r\n\r\n"},
		{"no status", "HTTP/1.1 \r\n" + block + "Content-Length: 0\r\n\r\n"},
		{"status of two digits", "HTTP/1.1 99 \r\n" + block + "Content-Length: 0\r\n\r\n"},
		{"status of four digits", "HTTP/1.1 2000 \r\n" + block + "Content-Length: 0\r\n\r\n"},
		{"status with a sign", "HTTP/1.1 +20 \r\n" + block + "Content-Length: 0\r\n\r\n"},
		{"status below 100", "HTTP/1.1 099 \r\n" + block + "Content-Length: 0\r\n\r\n"},
		{"status no number", "HTTP/1.1 abc \r\n" + block + "Content-Length: 0\r\n\r\n"},
		{"a fault that is none", "HTTP/1.1 502 \r\n" + block + "X-Funcatron-Fault: 7\r\nContent-Length: 0\r\n\r\n"},
		{"a fault beyond a byte", "HTTP/1.1 502 \r\n" + block + "X-Funcatron-Fault: 257\r\nContent-Length: 0\r\n\r\n"},
		{"no times", "HTTP/1.1 200 \r\nX-Funcatron-Call: 1\r\nContent-Length: 0\r\n\r\n"},
		{"a time over a year", "HTTP/1.1 200 \r\nX-Funcatron-Call: 1\r\nX-Funcatron-Held-Us: 31536000000001\r\nX-Funcatron-Ran-Us: 1\r\nContent-Length: 0\r\n\r\n"},
		{"body cut off", "HTTP/1.1 200 \r\n" + block + "Content-Length: 5\r\n\r\nbody"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var r envelope.Response
			if rest, err := envelope.NextResponse([]byte(tc.msg), &r); err == nil || rest != nil {
				t.Errorf("read as %+v, rest %q, %v", r, rest, err)
			} else if !strings.HasPrefix(err.Error(), "read response") {
				t.Errorf("error: %v", err)
			}
		})
	}
}

// Reading into a value that was used before leaves nothing of the old one.
func TestReadingStartsAnew(t *testing.T) {
	plain := appendRequest(nil, &envelope.Request{Call: 1, Method: []byte("GET"), URI: []byte("/")})
	got := envelope.Request{Call: 9, Retry: true, Header: []byte("Old: 1\r\n"), Body: []byte("old")}
	if _, err := envelope.NextRequest(plain, &got); err != nil || got.Retry || got.Header != nil || len(got.Body) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	answer := appendResponse(nil, &envelope.Response{Status: 200})
	resp := envelope.Response{Fault: envelope.Died, Header: []byte("Old: 1\r\n"), Body: []byte("old")}
	if _, err := envelope.NextResponse(answer, &resp); err != nil || resp.Fault != envelope.NoFault || resp.Header != nil || len(resp.Body) != 0 {
		t.Errorf("got %+v, %v", resp, err)
	}
}

func TestLines(t *testing.T) {
	for _, tc := range []struct{ name, header, want string }{
		{"none", "", ""},
		{"two of a name", "Set-Cookie: a\r\nSet-Cookie: b\r\n", "[Set-Cookie][a] [Set-Cookie][b] "},
		{"white space", "A:b\r\nC: \t d e \t\r\n", "[A][b] [C][d e] "},
		{"only spaces and tabs are white space", "A: \u00a0b\u0085\r\n", "[A][\u00a0b\u0085] "},
		{"empty value", "A:\r\n", "[A][] "},
		{"colons in the value", "A: b:c\r\n", "[A][b:c] "},
		{"no colon", "nonsense\r\nA: b\r\n", "[A][b] "},
		{"cut off", "A: b\r\nC: d", "[A][b] "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got strings.Builder
			for name, value := range envelope.Lines([]byte(tc.header)) {
				fmt.Fprintf(&got, "[%s][%s] ", name, value)
			}
			if got.String() != tc.want {
				t.Errorf("got %q, want %q", got.String(), tc.want)
			}
		})
	}
	for name := range envelope.Lines([]byte("A: 1\r\nB: 2\r\n")) { // may be left early
		if string(name) != "A" {
			t.Errorf("first is %s", name)
		}
		break
	}
}
