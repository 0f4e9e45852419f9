package logline_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/logline"
)

var at = time.Date(2016, 12, 9, 12, 31, 31, 250_000_000, time.FixedZone("PST", -8*3600))

func announced() logline.Line {
	return logline.Line{
		Time:  at,
		Where: "/sample/scala",
		Level: "INFO",
		Op:    "funcatron.scala_sample.SimpleGet",
		Git:   "b1d92b7430fcc6ed05c38c22d57d2163f6e8bb88",
		Req:   "db9d00abf61d9c67f4f0e755e96b8d0e",
		Msg:   "In Scala 'SimpleGet... yay!",
	}
}

func TestTheAnnouncementsLine(t *testing.T) {
	const want = "16-12-09 20:31:31 /sample/scala INFO [funcatron.scala_sample.SimpleGet:GIT:b1d92b7430fcc6ed05c38c22d57d2163f6e8bb88&REQ:db9d00abf61d9c67f4f0e755e96b8d0e] - In Scala 'SimpleGet... yay!\n"
	l := announced()
	if got := string(logline.AppendText(nil, &l)); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestText(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(l *logline.Line)
		want string
	}{
		{"no req", func(l *logline.Line) { l.Req = "" }, "16-12-09 20:31:31 here WARN [op:GIT:g&REQ:-] - m"},
		{"no op and no req", func(l *logline.Line) { l.Op, l.Req = "", "" }, "16-12-09 20:31:31 here WARN [-:GIT:g&REQ:-] - m"},
		{"op is -", func(l *logline.Line) { l.Op, l.Git, l.Req = "-", "", "" }, "16-12-09 20:31:31 here WARN [-:GIT:-&REQ:-] - m"},
		{"a part's own", func(l *logline.Line) { l.Op, l.Git, l.Req = "", "", "" }, "16-12-09 20:31:31 here WARN [-] - m"},
		{"a part's, about a request", func(l *logline.Line) { l.Op, l.Git = "", "" }, "16-12-09 20:31:31 here WARN [-:GIT:-&REQ:r] - m"},
		{"an op that is no operationId", func(l *logline.Line) { l.Op = "GET /pets/{id}" }, "16-12-09 20:31:31 here WARN [GET /pets/{id}:GIT:g&REQ:r] - m"},
		{"nothing", func(l *logline.Line) { *l = logline.Line{} }, "- - - INFO [-] - "},
		{"level in small letters", func(l *logline.Line) { l.Level = "error" }, "16-12-09 20:31:31 here ERROR [op:GIT:g&REQ:r] - m"},
		{"line breaks", func(l *logline.Line) { l.Msg = "a\nb\r\nc" }, `16-12-09 20:31:31 here WARN [op:GIT:g&REQ:r] - a\nb\r\nc`},
		{"other line breaks", func(l *logline.Line) { l.Msg = "a\u0085b\u2028c\u2029d\ve\ff" }, `16-12-09 20:31:31 here WARN [op:GIT:g&REQ:r] - a\u0085b\u2028c\u2029d\x0be\x0cf`},
		{"terminal controls", func(l *logline.Line) { l.Msg = "\x1b[2J\u009b1mx\x7f\x00\t" }, `16-12-09 20:31:31 here WARN [op:GIT:g&REQ:r] - \x1b[2J\u009b1mx\x7f\x00\t`},
		{"text turned round", func(l *logline.Line) { l.Msg = "a\u202eb\u2066c" }, `16-12-09 20:31:31 here WARN [op:GIT:g&REQ:r] - a\u202eb\u2066c`},
		{"not UTF-8", func(l *logline.Line) { l.Msg = "a\xffb\xc3" }, `16-12-09 20:31:31 here WARN [op:GIT:g&REQ:r] - a\xffb\xc3`},
		{"letters and backslashes stay", func(l *logline.Line) { l.Msg = `C:\new "é漢🎉"` }, `16-12-09 20:31:31 here WARN [op:GIT:g&REQ:r] - C:\new "é漢🎉"`},
		{"fields cannot end early", func(l *logline.Line) { l.Where, l.Op, l.Git, l.Req = "a b", "x] - y", "\n", "]" },
			`16-12-09 20:31:31 a\x20b WARN [x\x5d - y:GIT:\n&REQ:\x5d] - m`},
		{"attributes", func(l *logline.Line) {
			l.Attrs = []slog.Attr{slog.Int("n", -3), slog.Uint64("u", 1<<63), slog.Bool("b", true), slog.Float64("f", 0.25),
				slog.Duration("d", 1500*time.Millisecond), slog.Time("t", at), slog.String("s", "word")}
		}, `16-12-09 20:31:31 here WARN [op:GIT:g&REQ:r] - m n=-3 u=9223372036854775808 b=true f=0.25 d=1.5s t=2016-12-09T12:31:31.25-08:00 s=word`},
		{"values that are quoted", func(l *logline.Line) {
			l.Attrs = []slog.Attr{slog.String("a", ""), slog.String("b", "two words"), slog.String("c", `q"`), slog.String("d", "x=y"),
				slog.String("e", "l\nm"), slog.String("f", `b\s`), slog.String("g", "\u2028"), slog.String("h", "\xff"), slog.String("i", "é漢")}
		}, `16-12-09 20:31:31 here WARN [op:GIT:g&REQ:r] - m a="" b="two words" c="q\"" d="x=y" e="l\nm" f="b\\s" g="\u2028" h="\xff" i=é漢`},
		{"keys that are quoted", func(l *logline.Line) {
			l.Attrs = []slog.Attr{slog.Int("two words", 1), slog.Int("", 2), slog.Int("x=\n", 3)}
		}, `16-12-09 20:31:31 here WARN [op:GIT:g&REQ:r] - m "two words"=1 ""=2 "x=\n"=3`},
		{"groups", func(l *logline.Line) {
			l.Attrs = []slog.Attr{slog.Group("g", slog.Int("a", 1), slog.Group("h", slog.Int("b", 2))), slog.Group("", slog.Int("c", 3)), slog.Group("none"), {}}
		}, `16-12-09 20:31:31 here WARN [op:GIT:g&REQ:r] - m g.a=1 g.h.b=2 c=3`},
		{"any", func(l *logline.Line) {
			l.Attrs = []slog.Attr{slog.Any("err", errors.New("it broke")), slog.Any("map", map[string]any{"b": 1.5, "a": []any{"x"}}), slog.Any("nil", nil),
				slog.Any("raw", json.RawMessage(`{"a":1}`)), slog.Any("bytes", []byte("by tes")), slog.Any("struct", struct{ N int }{1}),
				slog.Any("text", textual{}), slog.Any("value", valuer{}), slog.Any("panic", (*panics)(nil))}
		}, `16-12-09 20:31:31 here WARN [op:GIT:g&REQ:r] - m err="it broke" map="{\"a\":[\"x\"],\"b\":1.5}" nil=<nil> raw="{\"a\":1}" bytes="by tes" struct={N:1} text=as-text value=resolved panic="!PANIC: nil *panics"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := logline.Line{Time: at, Where: "here", Level: "WARN", Op: "op", Git: "g", Req: "r", Msg: "m"}
			tc.edit(&l)
			if got := string(logline.AppendText([]byte("before|"), &l)); got != "before|"+tc.want+"\n" {
				t.Errorf("\ngot  %swant %s", got, tc.want)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	const head = `{"time":"2016-12-09T20:31:31.25Z","where":"here","level":"WARN","op":"op","git":"g","req":"r",`
	for _, tc := range []struct {
		name string
		edit func(l *logline.Line)
		want string
	}{
		{"plain", func(*logline.Line) {}, head + `"msg":"m"}`},
		{"what is unknown is left out", func(l *logline.Line) { *l = logline.Line{Op: "-", Level: "what"} }, `{"level":"INFO","msg":""}`},
		{"escapes", func(l *logline.Line) { l.Msg = "a\nb\r\t\"\\\x00\x7f\u0085\u2028\u202e\xff<é>&" },
			head + `"msg":"a\nb\r\t\"\\\u0000\u007f\u0085\u2028\u202e\ufffd<é>&"}`},
		{"attributes", func(l *logline.Line) {
			l.Attrs = []slog.Attr{slog.Int("n", -3), slog.Uint64("u", 1<<63), slog.Bool("b", true), slog.Float64("f", 0.25),
				slog.Duration("d", 1500*time.Millisecond), slog.Time("t", at), slog.String("s", "two words"), slog.Int("a\nb", 1)}
		}, head + `"msg":"m","n":-3,"u":9223372036854775808,"b":true,"f":0.25,"d":"1.5s","t":"2016-12-09T12:31:31.25-08:00","s":"two words","a\nb":1}`},
		{"numbers that JSON has not", func(l *logline.Line) {
			l.Attrs = []slog.Attr{slog.Float64("a", math.NaN()), slog.Float64("b", math.Inf(-1)), slog.Float64("c", 1e300)}
		}, head + `"msg":"m","a":"NaN","b":"-Inf","c":1e+300}`},
		{"groups", func(l *logline.Line) {
			l.Attrs = []slog.Attr{slog.Group("g", slog.Int("a", 1), slog.Group("h", slog.Int("b", 2))), slog.Group("", slog.Int("c", 3)), slog.Group("none", slog.Group("none")), {}}
		}, head + `"msg":"m","g":{"a":1,"h":{"b":2}},"c":3}`},
		{"nothing hides a member", func(l *logline.Line) {
			for _, k := range []string{"time", "where", "level", "op", "git", "req", "msg"} {
				l.Attrs = append(l.Attrs, slog.Int(k, 1))
			}
			l.Attrs = append(l.Attrs, slog.Group("g", slog.Int("msg", 2)), slog.Group("", slog.Int("req", 3)))
		}, head + `"msg":"m","_time":1,"_where":1,"_level":1,"_op":1,"_git":1,"_req":1,"_msg":1,"g":{"msg":2},"_req":3}`},
		{"any", func(l *logline.Line) {
			l.Attrs = []slog.Attr{slog.Any("err", errors.New("it\nbroke")), slog.Any("map", map[string]any{"b": 1.5, "a": []any{"<x>"}}), slog.Any("nil", nil),
				slog.Any("raw", json.RawMessage("{\"a\":\n1}")), slog.Any("badraw", json.RawMessage("{\n")), slog.Any("bytes", []byte("by tes")), slog.Any("struct", struct{ N int }{1}),
				slog.Any("text", textual{}), slog.Any("value", valuer{}), slog.Any("panic", (*panics)(nil)), slog.Any("chan", (chan int)(nil)), slog.Any("mpanic", marshalPanics{})}
		}, head + `"msg":"m","err":"it\nbroke","map":{"a":["<x>"],"b":1.5},"nil":null,"raw":{"a":1},"badraw":"{\n","bytes":"by tes","struct":{"N":1},"text":"as-text","value":"resolved","panic":"!PANIC: nil *panics","chan":"<nil>","mpanic":"{}"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := logline.Line{Time: at, Where: "here", Level: "WARN", Op: "op", Git: "g", Req: "r", Msg: "m"}
			tc.edit(&l)
			got := string(logline.AppendJSON([]byte("before|"), &l))
			if got != "before|"+tc.want+"\n" {
				t.Errorf("\ngot  %swant %s", got, tc.want)
			}
			if !json.Valid([]byte(strings.TrimPrefix(got, "before|"))) {
				t.Error("not JSON")
			}
		})
	}
}

func TestLevel(t *testing.T) {
	for in, want := range map[string]string{
		"": "INFO", "info": "INFO", "INFO": "INFO", "notice": "INFO", "30": "INFO", "a very long word": "INFO", "\xff": "INFO",
		"debug": "DEBUG", "Trace": "DEBUG", "FINE": "DEBUG",
		"warn": "WARN", "WARNING": "WARN",
		"error": "ERROR", "Err": "ERROR", "fatal": "ERROR", "SEVERE": "ERROR", "critical": "ERROR",
	} {
		if got := logline.Level(in); got != want {
			t.Errorf("Level(%q) = %s, want %s", in, got, want)
		}
	}
}

// What a program of the log's owner cannot keep a function from logging.
type textual struct{}

func (textual) MarshalText() ([]byte, error) { return []byte("as-text"), nil }

type valuer struct{}

func (valuer) LogValue() slog.Value { return slog.StringValue("resolved") }

type panics struct{ s string }

func (p *panics) Error() string {
	if p == nil {
		panic("nil *panics")
	}
	return p.s
}

type marshalPanics struct{}

func (marshalPanics) MarshalJSON() ([]byte, error) { panic("no JSON today") }
