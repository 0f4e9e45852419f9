package logline_test

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/logline"
)

func TestAllocations(t *testing.T) {
	line := announced()
	line.Attrs = []slog.Attr{slog.Int("n", 1), slog.String("s", "two words"), slog.Duration("d", time.Second)}
	buf := make([]byte, 0, 1024)
	for name, f := range map[string]func(){
		"AppendText": func() { buf = logline.AppendText(buf[:0], &line) },
		"AppendJSON": func() { buf = logline.AppendJSON(buf[:0], &line) },
	} {
		if n := testing.AllocsPerRun(100, f); n > 1 { // the duration's text
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	for _, format := range []logline.Format{logline.Text, logline.JSON} {
		ctx := t.Context()
		log := slog.New(logline.NewHandler(io.Discard, format, slog.LevelInfo)).With("component", "gateway")
		for name, f := range map[string]func(){
			"a record":               func() { log.LogAttrs(ctx, slog.LevelInfo, "m", slog.String("req", line.Req), slog.Int("n", 1)) },
			"one of a level not set": func() { log.LogAttrs(ctx, slog.LevelDebug, "m", slog.Int("n", 1)) },
		} {
			// Not none: now and then the collector empties the pool.
			if n := testing.AllocsPerRun(100, f); n >= 1 {
				t.Errorf("format %d: %s allocates %v times", format, name, n)
			}
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	line := announced()
	line.Attrs = []slog.Attr{slog.Int("n", 1), slog.String("s", "two words")}
	for name, appendLine := range map[string]func([]byte, *logline.Line) []byte{"text": logline.AppendText, "json": logline.AppendJSON} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, 1024)
			b.ReportAllocs()
			for b.Loop() {
				buf = appendLine(buf[:0], &line)
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

func BenchmarkHandler(b *testing.B) {
	log := slog.New(logline.NewHandler(io.Discard, logline.Text, slog.LevelInfo)).With("component", "gateway")
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		log.LogAttrs(ctx, slog.LevelInfo, "answered", slog.String("req", "db9d00abf61d9c67f4f0e755e96b8d0e"), slog.Int("status", 200))
	}
}
