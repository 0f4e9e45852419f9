package conformance

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"
)

// logs have the lines that functions write, each with the operation, the code's
// revision and the REQ id.
var logs = []check{
	{"logs/simple", logged(func(p *probe) {
		id := newID()
		p.ask(get("/simple", "X-Request-Id", id), status(200))
		p.lines(id, "GET /simple", wantLine{"INFO", `In \S.* 'SimpleGet\.\.\. yay!`})
	})},
	{"logs/levels", logged(func(p *probe) {
		p.logText("levels " + p.mark)
	})},
	{"logs/unicode", logged(func(p *probe) {
		p.logText("Grüße 世界 🚀 e\u0301 \"quotes\" {} %s \\ " + p.mark)
	})},
	{"logs/newline", logged(func(p *probe) {
		p.logText("one line\n16-12-09 20:31:31 /sample INFO [-] - and no other " + p.mark)
	})},
	{"logs/error", logged(func(p *probe) {
		id := newID()
		p.ask(get("/fail/error", "X-Request-Id", id), status(500))
		p.lines(id, "GET /fail/error", wantLine{"ERROR", ".*" + regexp.QuoteMeta(onPurpose) + ".*"})
	})},
	{"logs/at-once", logged(func(p *probe) { // none gets another's id
		const n = 16
		type sent struct {
			id, text string
		}
		all := make(chan sent, n)
		for i := range n {
			s := sent{newID(), fmt.Sprintf("at once %d. %s", i, p.mark)}
			go func() {
				p.ask(get("/log?text="+url.QueryEscape(s.text), "X-Request-Id", s.id), status(200))
				all <- s
			}()
		}
		for range n {
			s := <-all
			p.lines(s.id, "GET /log", wantLine{"INFO", regexp.QuoteMeta(s.text)}, wantLine{"WARN", regexp.QuoteMeta(s.text)})
		}
	})},
}

// logged makes a check only where there is a log.
func logged(run func(*probe)) func(*probe) {
	return func(p *probe) {
		if p.log == nil {
			p.reason = "no log of the Runner is given (--log)"
			return
		}
		run(p)
	}
}

// logText has Log write a text, and wants both lines.
func (p *probe) logText(text string) {
	id := newID()
	r := get("/log?text="+url.QueryEscape(text), "X-Request-Id", id)
	if p.ask(r, status(200)); !p.good() {
		return
	}
	shown := regexp.QuoteMeta(strings.ReplaceAll(text, "\n", `\n`)) // as the log shows it
	p.lines(id, r.String(), wantLine{"INFO", shown}, wantLine{"WARN", shown})
}

// wantLine is a line that must be in the log once.
type wantLine struct{ level, message string } // message is a pattern

// line is a function's line of that REQ id and level, up to its message: place,
// operation and revision are the groups.
const line = `(\S+) %s \[(.+):GIT:(\S+)&REQ:%s\] - %s(?: .*)?$`

// patience is how long a line may take to be in the log.
const patience = 15 * time.Second

// lines waits for the lines of that REQ id.
func (p *probe) lines(id, request string, want ...wantLine) {
	var found, wrong []string
	p.every(patience, func() bool {
		var err error
		if found, err = p.log.with("REQ:" + id); err != nil {
			wrong = []string{err.Error()}
			return false
		}
		wrong = wrong[:0]
		for _, w := range want {
			if text := p.wrongLine(found, id, w); text != "" {
				wrong = append(wrong, text)
			}
		}
		return len(wrong) > 0
	})
	if len(wrong) > 0 {
		came := "none of that REQ id"
		if len(found) > 0 {
			came = strings.Join(found, " | ")
		}
		p.failf("%s: want %s; within %v the log has %s", request, strings.Join(wrong, " and "), patience, came)
	}
}

// wrongLine says which line is not there once.
func (p *probe) wrongLine(found []string, id string, w wantLine) string {
	form := regexp.MustCompile(fmt.Sprintf(line, w.level, id, w.message))
	n := 0
	for _, l := range found {
		m := form.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		if n++; !strings.HasSuffix(m[1], p.path) {
			return fmt.Sprintf("the place %s in the line of %s", p.path, w.level)
		}
		if m[2] == "-" {
			return "the operation in the line of " + w.level
		}
	}
	return unless(n == 1, "one line like %s [OPERATION:GIT:REVISION&REQ:%s] - %s", w.level, id, w.message)
}

// logFile is the Runner's log, from where it stood when the run began.
type logFile struct {
	path  string
	start int64
}

func newLogFile(path string) (*logFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the Runner's log: %w", err)
	}
	return &logFile{path, info.Size()}, nil
}

// with are the lines that hold text.
func (l *logFile) with(text string) ([]string, error) {
	f, err := os.Open(l.path)
	if err != nil {
		return nil, fmt.Errorf("read the Runner's log: %w", err)
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() >= l.start { // else it is another file by now
		_, err = f.Seek(l.start, io.SeekStart)
		if err != nil {
			return nil, fmt.Errorf("read the Runner's log: %w", err)
		}
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("read the Runner's log: %w", err)
	}
	var found []string
	for l := range strings.Lines(string(data)) {
		if strings.Contains(l, text) && strings.HasSuffix(l, "\n") {
			found = append(found, strings.TrimSuffix(l, "\n"))
		}
	}
	return found, nil
}
