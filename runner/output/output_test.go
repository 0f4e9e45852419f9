package output

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/logline"
)

var (
	now    = time.Date(2026, 11, 22, 20, 31, 31, 0, time.UTC)
	source = Source{Where: "a.test:/sample/go", Git: "b1d9"}
)

const req = "db9d00abf61d9c67f4f0e755e96b8d0e"

func TestRead(t *testing.T) {
	for _, tc := range []struct {
		name, line string
		stderr     bool
		want       string // in the text form, after time and place
	}{
		{"plain", "hello  world", false, "INFO [-:GIT:b1d9&REQ:-] - hello  world"},
		{"plain on stderr", "oh", true, "WARN [-:GIT:b1d9&REQ:-] - oh"},
		{"empty", "", false, "INFO [-:GIT:b1d9&REQ:-] - "},
		{"whole object", `{"msg":"In Go","level":"warn","op":"simple","req":"` + req + `","n":1,"who":"me too"}`, false,
			"WARN [simple:GIT:b1d9&REQ:" + req + `] - In Go n=1 who="me too"`},
		{"only msg", `{"msg":"x"}`, false, "INFO [-:GIT:b1d9&REQ:-] - x"},
		{"only msg on stderr", ` {"msg":"x"} `, true, "WARN [-:GIT:b1d9&REQ:-] - x"},
		{"fields before msg, in order", `{"z":true,"a":null,"msg":"x","m":{"k":[1, 2]}}`, false,
			`INFO [-:GIT:b1d9&REQ:-] - x z=true a=null m="{\"k\":[1, 2]}"`},
		{"large numbers as they stand", `{"msg":"x","n":12345678901234567890.10}`, false,
			"INFO [-:GIT:b1d9&REQ:-] - x n=12345678901234567890.10"},
		{"its own time", `{"time":"2026-11-22T21:31:31+01:00","msg":"x"}`, false, "INFO [-:GIT:b1d9&REQ:-] - x"},
		{"a time to come", `{"time":"2026-11-22T20:31:32Z","msg":"x"}`, false, "INFO [-:GIT:b1d9&REQ:-] - x time=2026-11-22T20:31:32Z"},
		{"a time long past", `{"time":"2025-11-22T20:31:31Z","msg":"x"}`, false, "INFO [-:GIT:b1d9&REQ:-] - x time=2025-11-22T20:31:31Z"},
		{"a time that is none", `{"time":"noon","msg":"x"}`, false, "INFO [-:GIT:b1d9&REQ:-] - x time=noon"},
		{"a REQ id that is none", `{"req":"x]y","msg":"x"}`, false, "INFO [-:GIT:b1d9&REQ:-] - x req=x]y"},
		{"a level that is none", `{"level":30,"msg":"x"}`, false, "INFO [-:GIT:b1d9&REQ:-] - x level=30"},
		{"no msg", `{"message":"x"}`, false, `INFO [-:GIT:b1d9&REQ:-] - {"message":"x"}`},
		{"msg is no text", `{"msg":1}`, false, `INFO [-:GIT:b1d9&REQ:-] - {"msg":1}`},
		{"cut off", `{"msg":"x"`, false, `INFO [-:GIT:b1d9&REQ:-] - {"msg":"x"`},
		{"two objects", `{"msg":"x"}{"msg":"y"}`, false, `INFO [-:GIT:b1d9&REQ:-] - {"msg":"x"}{"msg":"y"}`},
		{"an array", `["msg"]`, false, `INFO [-:GIT:b1d9&REQ:-] - ["msg"]`},
		{"forged lines", `{"msg":"a\n26-11-22 20:31:31 b INFO [x] - y"}`, false,
			`INFO [-:GIT:b1d9&REQ:-] - a\n26-11-22 20:31:31 b INFO [x] - y`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var l logline.Line
			source.Read(&l, tc.stderr, []byte(tc.line), now)
			got := string(logline.AppendText(nil, &l))
			want := "26-11-22 20:31:31 a.test:/sample/go " + tc.want + "\n"
			if got != want {
				t.Errorf("Read(%q)\n got %q\nwant %q", tc.line, got, want)
			}
		})
	}
}

// Whatever a function writes, it makes one line in each form, and nothing of it
// takes the place of what the Runner says.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"plain", `{"msg":"x","level":"error","op":"o","req":"` + req + `","a":[1]}`, `{"msg":"\u2028\n"}`,
		`{"msg":"x","msg":"y","":{}}`, `{"time":"2026-11-22T21:31:31Z","msg":""}`, "{\"msg\":\"\xff\"}", `{}`, `{"msg":"x","a":"\ud800"}`,
	} {
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, line []byte, stderr bool) {
		kept := bytes.Clone(line)
		var l logline.Line
		source.Read(&l, stderr, line, now)
		if !bytes.Equal(line, kept) {
			t.Fatalf("Read changed %q to %q", kept, line)
		}
		if l.Where != source.Where || l.Git != source.Git {
			t.Fatalf("Read(%q) says that it is %q %q", line, l.Where, l.Git)
		}
		text := string(logline.AppendText(nil, &l))
		if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
			t.Fatalf("Read(%q) makes %q", line, text)
		}
		js := logline.AppendJSON(nil, &l)
		if bytes.Count(js, []byte("\n")) != 1 || !json.Valid(js) {
			t.Fatalf("Read(%q) makes %q", line, js)
		}
		for i := range line {
			line[i] = 'x'
		}
		if again := string(logline.AppendText(nil, &l)); again != text {
			t.Fatalf("the line of %q refers to it: %q, then %q", kept, text, again)
		}
	})
}
