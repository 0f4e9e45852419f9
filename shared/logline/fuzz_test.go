package logline_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/funcatron/funcatron/shared/logline"
)

func fuzzLine(where, level, op, git, req, msg, key, value string, n int64, f float64) *logline.Line {
	return &logline.Line{
		Time: time.Unix(0, n), Where: where, Level: level, Op: op, Git: git, Req: req, Msg: msg,
		Attrs: []slog.Attr{
			slog.String(key, value), slog.Group(value, slog.String(key, msg), slog.Int64("n", n)), slog.Group("", slog.Float64(msg, f)),
			slog.Any("raw", json.RawMessage(msg)), slog.Any(msg, map[string]any{key: value}),
		},
	}
}

func addSeeds(f *testing.F) {
	f.Add("/sample", "INFO", "op", "git", "req", "hello", "k", "v", int64(1), 0.5)
	f.Add("", "", "", "", "", "", "", "", int64(0), 0.0)
	f.Add("a b", "w\n", "x]", "\x00", "\u2028", "a\nb\r\u0085{\"a\":1}", "k=\n", "\xff\"\\", int64(-1), 1e300)
	f.Add("-", "error", "-", "-", "-", `{"a":"`+"\xff"+`"}`, "msg", "time", int64(1<<62), math.Copysign(0, -1))
}

func FuzzAppendText(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, where, level, op, git, req, msg, key, value string, n int64, x float64) {
		l := fuzzLine(where, level, op, git, req, msg, key, value, n, x)
		got := logline.AppendText(nil, l)
		text, ok := bytes.CutSuffix(got, []byte("\n"))
		if !ok || !utf8.Valid(text) {
			t.Fatalf("not a line of UTF-8: %q", got)
		}
		for _, r := range string(text) {
			if unicode.IsControl(r) || r == 0x2028 || r == 0x2029 {
				t.Fatalf("%U stands in %q", r, got)
			}
		}
		// Date, time, where and level are four words whatever they are made from.
		words := strings.SplitN(string(text), " ", 5)
		if len(words) != 5 || words[3] != logline.Level(level) || words[4][0] != '[' {
			t.Fatalf("columns of %q", got)
		}
		// The bracket ends where it should: no field can end it.
		head, rest, ok := strings.Cut(words[4], "] - ")
		if !ok || strings.Contains(head, "]") || op+git+req != "" && !strings.Contains(head, "&REQ:") {
			t.Fatalf("brackets of %q", got)
		}
		if plain(msg) && !strings.HasPrefix(rest, msg) {
			t.Fatalf("message %q does not stand in %q", msg, got)
		}
	})
}

func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

func FuzzAppendJSON(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, where, level, op, git, req, msg, key, value string, n int64, x float64) {
		l := fuzzLine(where, level, op, git, req, msg, key, value, n, x)
		got := logline.AppendJSON(nil, l)
		if bytes.Count(got, []byte("\n")) != 1 || got[len(got)-1] != '\n' {
			t.Fatalf("not one line: %q", got)
		}
		var exact map[string]any
		if err := json.Unmarshal(got, &exact); err != nil {
			t.Fatalf("%v in %s", err, got)
		}
		if want := strings.ToValidUTF8(msg, ""); strings.ReplaceAll(exact["msg"].(string), "\ufffd", "") != strings.ReplaceAll(want, "\ufffd", "") {
			t.Fatalf("message %q reads as %q", msg, exact["msg"])
		}
		if exact["level"] != logline.Level(level) {
			t.Fatalf("level %q reads as %q", level, exact["level"])
		}
		if at, err := time.Parse(time.RFC3339Nano, exact["time"].(string)); err != nil || at.UnixNano() != n {
			t.Fatalf("time %v, %v", exact["time"], err)
		}
	})
}
