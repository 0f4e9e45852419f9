package main_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestEcho(t *testing.T) {
	s := start(t, `{}`)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, tc := range []struct{ kind, body string }{
		{"application/octet-stream", string(all)},
		{"text/plain; charset=utf-8", "Grüße 世界 🚀\r\n"},
		{"application/octet-stream", strings.Repeat("x", 7<<20)},
		{"", ""},
	} {
		var header []string
		if tc.kind != "" {
			header = []string{"Content-Type", tc.kind}
		}
		res, body := s.send("POST", "/echo", "Echo", `{}`, tc.body, header...)
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != tc.kind || res.Header.Get("X-Sample-Length") != strconv.Itoa(len(tc.body)) || body != tc.body {
			t.Errorf("%d bytes: got %d with %v and %d bytes", len(tc.body), res.StatusCode, res.Header, len(body))
		}
	}
	s.stop()
}

func TestRecord(t *testing.T) {
	s := start(t, `{}`)
	for _, record := range []string{
		`{"id":9007199254740993,"text":"Grüße 世界 🚀 \u0000 <&>","ratio":0.1,"tags":["a",""]}`,
		`{"id":-9223372036854775808,"text":"","ratio":-0.000001,"tags":[]}`,
	} {
		if got, want := s.call("POST", "/record", "Record", `{}`, record), (answer{200, "application/json", record}); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if got := s.call("POST", "/record", "Record", `{}`, `{"id":9223372036854775808}`); got.status != 400 || got.kind != "application/problem+json" {
		t.Errorf("an id beyond int64 got %v", got)
	}
	s.stop()
}

func TestParams(t *testing.T) {
	s := start(t, `{}`)
	for _, tc := range []struct{ params, want string }{
		{`{"path":{"id":9223372036854775807,"name":"a/b é"},"query":{"limit":3,"on":true,"tags":["x","y"]}}`, `{"id":9223372036854775807,"name":"a/b é","limit":3,"on":true,"tags":["x","y"]}`},
		{`{"path":{"id":-1,"name":"7"},"query":{"limit":10,"on":false,"tags":[]}}`, `{"id":-1,"name":"7","limit":10,"on":false,"tags":[]}`},
	} {
		if got, want := s.call("GET", "/params/1/x", "Params", tc.params, ""), (answer{200, "application/json", tc.want}); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	s.stop()
}

func TestStatus(t *testing.T) {
	s := start(t, `{}`)
	for _, code := range []int{200, 201, 204, 302, 304, 404, 418, 503} {
		text := strconv.Itoa(code)
		wantBody, wantPlace := "status "+text, ""
		if code == 204 || code == 304 {
			wantBody = ""
		}
		if code/100 == 3 {
			wantPlace = "/elsewhere"
		}
		s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		res, body := s.send("GET", "/status/"+text, "Status", `{"path":{"code":`+text+`}}`, "")
		if res.StatusCode != code || res.Header.Get("X-Sample-Status") != text || res.Header.Get("Location") != wantPlace || body != wantBody {
			t.Errorf("%d: got %d with %v and %q", code, res.StatusCode, res.Header, body)
		}
	}
	s.stop()
}

func TestFail(t *testing.T) {
	s := start(t, `{}`)
	for how, want := range map[string]struct {
		status int
		told   bool
		text   string
	}{
		"error":  {500, false, "the sample fails on purpose"},
		"refuse": {422, true, "the sample refuses on purpose"},
	} {
		got := s.call("GET", "/fail/"+how, "Fail", `{"path":{"how":"`+how+`"}}`, "")
		if got.status != want.status || got.kind != "application/problem+json" || strings.Contains(got.body, want.text) != want.told {
			t.Errorf("%s: got %v", how, got)
		}
	}
	s.stop()
	if lines := s.stdout.String(); strings.Count(lines, "\n") != 1 || !strings.Contains(lines, `"ERROR"`) || !strings.Contains(lines, "the sample fails on purpose") || !strings.Contains(lines, reqID) {
		t.Errorf("logged %s", lines)
	}
}

func TestLog(t *testing.T) {
	s := start(t, `{}`)
	const text = "Grüße\n🚀"
	if got, want := s.call("GET", "/log", "Log", `{"query":{"text":"Grüße\n🚀"}}`, ""), (answer{200, "application/json", `{"requestId":"` + reqID + `"}`}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	s.stop()
	lines := strings.Split(strings.TrimSpace(s.stdout.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("logged %q", lines)
	}
	for i, level := range []string{"INFO", "WARN"} {
		var line struct{ Level, Msg, Op, Req string }
		if err := json.Unmarshal([]byte(lines[i]), &line); err != nil || line.Level != level || line.Msg != text || line.Op != "funcatron.go_sample.Log" || line.Req != reqID {
			t.Errorf("logged %s", lines[i])
		}
	}
}

func TestSleep(t *testing.T) {
	s := start(t, `{}`)
	if got, want := s.call("GET", "/sleep/1", "Sleep", `{"path":{"ms":1}}`, ""), (answer{200, "application/json", `{"slept":1}`}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	began := time.Now()
	res, body := s.send("GET", "/sleep/10000", "Sleep", `{"path":{"ms":10000}}`, "", "X-Funcatron-Timeout-Ms", "50")
	if took := time.Since(began); res.StatusCode != 504 || took > 5*time.Second {
		t.Errorf("after %v: got %d %s", took, res.StatusCode, body)
	}
	s.stop()
}
