package logline_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"

	"github.com/funcatron/funcatron/shared/logline"
)

func TestJSONHandlerIsWhatSlogAsksFor(t *testing.T) {
	var out bytes.Buffer
	slogtest.Run(t,
		func(*testing.T) slog.Handler {
			out.Reset()
			return logline.NewHandler(&out, logline.JSON, slog.LevelDebug)
		},
		func(t *testing.T) map[string]any {
			var m map[string]any
			if err := json.Unmarshal(out.Bytes(), &m); err != nil {
				t.Fatalf("%v in %s", err, out.Bytes())
			}
			return m
		})
}

// The same requirements on the text form, with its keys taken apart at the dots.
func TestTextHandlerIsWhatSlogAsksFor(t *testing.T) {
	var out bytes.Buffer
	line := regexp.MustCompile(`^(\S+ \S+) - ([A-Z]+) \[-\] - (msg|message)((?: \S+=\S+)*)\n$`)
	slogtest.Run(t,
		func(*testing.T) slog.Handler {
			out.Reset()
			return logline.NewHandler(&out, logline.Text, slog.LevelDebug)
		},
		func(t *testing.T) map[string]any {
			m := line.FindStringSubmatch(out.String())
			if m == nil {
				t.Fatalf("line %q", out.String())
			}
			r := map[string]any{slog.LevelKey: m[2], slog.MessageKey: m[3]}
			if m[1] != "- -" {
				r[slog.TimeKey] = m[1]
			}
			for _, pair := range strings.Fields(m[4]) {
				key, value, _ := strings.Cut(pair, "=")
				path := strings.Split(key, ".")
				in := r
				for _, g := range path[:len(path)-1] {
					if in[g] == nil {
						in[g] = map[string]any{}
					}
					in = in[g].(map[string]any)
				}
				in[path[len(path)-1]] = value
			}
			return r
		})
}

func TestHandler(t *testing.T) {
	for _, tc := range []struct {
		name       string
		log        func(l *slog.Logger)
		text, json string // without the time
	}{
		{
			"a part's line", func(l *slog.Logger) { l.With("component", "gateway").Info("ready", "listen", "127.0.0.1:8080") },
			"gateway INFO [-] - ready listen=127.0.0.1:8080",
			`"where":"gateway","level":"INFO","msg":"ready","listen":"127.0.0.1:8080"}`,
		},
		{
			"about a request", func(l *slog.Logger) {
				l.With("component", "gateway", "n", 1).Warn("slow", "req", "r1", "op", stringer("get"), "n", 2)
			},
			"gateway WARN [get:GIT:-&REQ:r1] - slow n=1 n=2",
			`"where":"gateway","level":"WARN","op":"get","req":"r1","msg":"slow","n":1,"n":2}`,
		},
		{
			"the record's own win", func(l *slog.Logger) { l.With("req", "r1", "git", "g1").With("req", "r2").Error("x", "req", "r3") },
			"- ERROR [-:GIT:g1&REQ:r3] - x",
			`"level":"ERROR","git":"g1","req":"r3","msg":"x"}`,
		},
		{
			"in a group they are attributes", func(l *slog.Logger) { l.With("req", "r1").WithGroup("g").Info("x", "req", 1, "op", 2) },
			"- INFO [-:GIT:-&REQ:r1] - x g.req=1 g.op=2",
			`"level":"INFO","req":"r1","msg":"x","g":{"req":1,"op":2}}`,
		},
		{
			"groups within groups", func(l *slog.Logger) {
				l.With("a", 1).WithGroup("g").With("b", 2).WithGroup("h").WithGroup("").WithGroup("i").With("c", 3).Info("x", "d", 4)
			},
			"- INFO [-] - x a=1 g.b=2 g.h.i.c=3 g.h.i.d=4",
			`"level":"INFO","msg":"x","a":1,"g":{"b":2,"h":{"i":{"c":3,"d":4}}}}`,
		},
		{
			"groups that stay empty", func(l *slog.Logger) { l.WithGroup("g").With("a", 1).WithGroup("h").With(slog.Group("i")).Info("x") },
			"- INFO [-] - x g.a=1",
			`"level":"INFO","msg":"x","g":{"a":1}}`,
		},
		{
			"only empty groups", func(l *slog.Logger) { l.WithGroup("g").WithGroup("h").Info("x", slog.Group("i")) },
			"- INFO [-] - x",
			`"level":"INFO","msg":"x"}`,
		},
		{
			"a group with a member's name", func(l *slog.Logger) { l.WithGroup("msg").Info("x", "a", 1) },
			"- INFO [-] - x msg.a=1",
			`"level":"INFO","msg":"x","_msg":{"a":1}}`,
		},
		{
			"levels between", func(l *slog.Logger) {
				l.Log(t.Context(), slog.LevelInfo+2, "x")
			},
			"- INFO [-] - x",
			`"level":"INFO","msg":"x"}`,
		},
		{
			"below the level", func(l *slog.Logger) { l.Debug("x") }, "", "",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			tc.log(slog.New(logline.NewHandler(&out, logline.Text, slog.LevelInfo)))
			if got := out.String(); tc.text == "" && got != "" || tc.text != "" && got[min(len(got), len("06-01-02 15:04:05 ")):] != tc.text+"\n" {
				t.Errorf("\ngot  %swant %s", got, tc.text)
			}
			out.Reset()
			tc.log(slog.New(logline.NewHandler(&out, logline.JSON, slog.LevelInfo)))
			_, got, _ := strings.Cut(out.String(), ",")
			if tc.json == "" && out.Len() > 0 || tc.json != "" && got != tc.json+"\n" {
				t.Errorf("\ngot  %swant %s", got, tc.json)
			}
		})
	}
}

type stringer string

func (s stringer) String() string { return string(s) }

// Two loggers made of one do not write into each other's attributes.
func TestHandlersShareNothing(t *testing.T) {
	for _, format := range []logline.Format{logline.Text, logline.JSON} {
		var out bytes.Buffer
		base := slog.New(logline.NewHandler(&out, format, slog.LevelInfo)).With("a", strings.Repeat("x", 20))
		one, two := base.With("b", "one"), base.With("b", "two")
		g1, g2 := base.WithGroup("g").WithGroup("one"), base.WithGroup("g").WithGroup("two")
		one.Info("m")
		two.Info("m")
		g1.Info("m", "k", "v")
		g2.Info("m", "k", "v")
		for i, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
			if want := [...]string{"one", "two", "one", "two"}[i]; !strings.Contains(line, want) || strings.Contains(line, "one") && strings.Contains(line, "two") {
				t.Errorf("line %d should have %s alone: %s", i, want, line)
			}
		}
	}
}

func TestLevelMayChange(t *testing.T) {
	var out bytes.Buffer
	var level slog.LevelVar
	l := slog.New(logline.NewHandler(&out, logline.Text, &level))
	l.Debug("unseen")
	level.Set(slog.LevelDebug)
	l.Debug("seen")
	if got := out.String(); strings.Contains(got, "unseen") || !strings.Contains(got, "DEBUG [-] - seen") {
		t.Errorf("got %q", got)
	}
}

func TestHandlerReturnsTheWritersError(t *testing.T) {
	h := logline.NewHandler(failing{}, logline.Text, slog.LevelInfo)
	if err := h.Handle(t.Context(), slog.Record{}); err != io.ErrShortWrite {
		t.Errorf("Handle = %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// Lines of many goroutines, through handlers that share one output and through a
// Writer, arrive whole and each in one call of Write.
func TestLinesStayWhole(t *testing.T) {
	var handled, written calls
	base := slog.New(logline.NewHandler(&handled, logline.JSON, slog.LevelInfo))
	w := logline.NewWriter(&written, logline.Text)
	const goroutines, lines = 8, 200
	var wg sync.WaitGroup
	for g := range goroutines {
		log := base.With("g", g)
		wg.Go(func() {
			for i := range lines {
				log.Info(strings.Repeat("x", i*10), "i", i)
				w.Write(&logline.Line{Where: fmt.Sprint(g), Msg: strings.Repeat("y", i*10)})
			}
		})
	}
	wg.Wait()
	for name, got := range map[string][]string{"handler": handled, "writer": written} {
		if len(got) != goroutines*lines {
			t.Errorf("%s: %d lines in %d calls", name, goroutines*lines, len(got))
		}
		for _, line := range got {
			if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
				t.Fatalf("%s: one call with %q", name, line)
			}
			if name == "handler" && !json.Valid([]byte(line)) {
				t.Fatalf("not JSON: %s", line)
			}
		}
	}
}

// calls keeps what each call of Write brought. It takes no lock: the package
// promises one call at a time, and the race detector is watching.
type calls []string

func (c *calls) Write(b []byte) (int, error) {
	*c = append(*c, string(b))
	return len(b), nil
}

func TestWriter(t *testing.T) {
	for _, tc := range []struct {
		name       string
		line       logline.Line
		text, json string
	}{
		{"a message of a known operation", announced(),
			string(mustText(announced())), string(mustJSON(announced()))},
		{"a plain line of output", logline.Line{Time: at, Where: "/sample/go", Git: "g", Msg: "hello"},
			"16-12-09 20:31:31 /sample/go INFO [-:GIT:g&REQ:-] - hello\n",
			`{"time":"2016-12-09T20:31:31.25Z","where":"/sample/go","level":"INFO","git":"g","msg":"hello"}` + "\n"},
		{"of a bundle without a git revision", logline.Line{Time: at, Where: "/sample/go", Level: "WARN", Msg: "hello", Attrs: []slog.Attr{slog.Int("n", 1)}},
			"16-12-09 20:31:31 /sample/go WARN [-:GIT:-&REQ:-] - hello n=1\n",
			`{"time":"2016-12-09T20:31:31.25Z","where":"/sample/go","level":"WARN","msg":"hello","n":1}` + "\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for format, want := range map[logline.Format]string{logline.Text: tc.text, logline.JSON: tc.json} {
				var out bytes.Buffer
				logline.NewWriter(&out, format).Write(&tc.line)
				if out.String() != want {
					t.Errorf("\ngot  %swant %s", out.String(), want)
				}
			}
		})
	}
}

func mustText(l logline.Line) []byte { return logline.AppendText(nil, &l) }
func mustJSON(l logline.Line) []byte { return logline.AppendJSON(nil, &l) }
