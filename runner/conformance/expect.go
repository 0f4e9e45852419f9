package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"strings"
	"time"
)

// expectation is one thing that an answer must be.
type expectation struct {
	says  string
	wrong func(*answer) string // "" where the answer is so
}

// all says what is expected.
func all(want []expectation) string {
	texts := make([]string, len(want))
	for i, w := range want {
		texts[i] = w.says
	}
	return strings.Join(texts, ", ")
}

// unless gives the text where it is not so.
func unless(ok bool, format string, args ...any) string {
	if ok {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

func status(code int) expectation {
	return expectation{fmt.Sprintf("status %d", code), func(a *answer) string {
		return unless(a.status == code, "the status is %d", a.status)
	}}
}

// kind is the media type; parameters are free.
func kind(want string) expectation {
	return expectation{want, func(a *answer) string {
		got, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
		return unless(err == nil && got == want, "the Content-Type is %q", a.header.Get("Content-Type"))
	}}
}

// sameKind is the media type and its parameters, however they are spaced.
func sameKind(want string) expectation {
	normal := func(s string) string {
		t, params, err := mime.ParseMediaType(s)
		if err != nil {
			return s
		}
		return strings.ToLower(mime.FormatMediaType(t, params))
	}
	return expectation{"Content-Type " + want, func(a *answer) string {
		got := a.header.Get("Content-Type")
		return unless(normal(got) == normal(want), "the Content-Type is %q", got)
	}}
}

// header is a header that is there once.
func header(name, want string) expectation {
	return expectation{name + ": " + want, func(a *answer) string {
		got := a.header.Values(name)
		return unless(len(got) == 1 && got[0] == want, "%s is %q", name, got)
	}}
}

// noHeader is one that is not there.
func noHeader(name string) expectation {
	return expectation{"no " + name, func(a *answer) string {
		return unless(len(a.header.Values(name)) == 0, "%s is %q", name, a.header.Values(name))
	}}
}

// value is JSON that means the same: members in any order, integers with all
// their digits and written as such, other numbers as the same float64.
func value(want string) expectation {
	return expectation{"JSON " + show([]byte(want)), func(a *answer) string {
		return cmpValue(want, a)
	}}
}

func cmpValue(want string, a *answer) string {
	wanted, err := parse([]byte(want))
	if err != nil {
		panic("BUG: " + want + ": " + err.Error())
	}
	if wrong := kind("application/json").wrong(a); wrong != "" {
		return wrong
	}
	got, err := parse(a.body)
	if err != nil {
		return "the body is not JSON: " + err.Error()
	}
	return difference("the body", wanted, got)
}

// text is text/plain, exactly that.
func text(want string) expectation {
	return expectation{fmt.Sprintf("text/plain %q", want), func(a *answer) string {
		if wrong := kind("text/plain").wrong(a); wrong != "" {
			return wrong
		}
		return unless(string(a.body) == want, "the body is another")
	}}
}

// exactly is a body, byte for byte.
func exactly(want []byte) expectation {
	says := "the body that was sent"
	if len(want) == 0 {
		says = "no body"
	}
	return expectation{says, func(a *answer) string {
		if bytes.Equal(a.body, want) {
			return ""
		}
		i := 0
		for i < min(len(a.body), len(want)) && a.body[i] == want[i] {
			i++
		}
		return fmt.Sprintf("the body has %d bytes, not %d, and differs from byte %d on", len(a.body), len(want), i)
	}}
}

// contains is a body that has a text in it.
func contains(want string) expectation {
	return expectation{fmt.Sprintf("a body with %q", want), func(a *answer) string {
		return unless(strings.Contains(plain(a), want), "the body has no such text")
	}}
}

// lacks is a body that has not.
func lacks(unwanted string) expectation {
	return expectation{fmt.Sprintf("a body without %q", unwanted), func(a *answer) string {
		return unless(!strings.Contains(plain(a), unwanted), "the body has it")
	}}
}

// plain is the body, without the escapes where it is JSON.
func plain(a *answer) string {
	v, err := parse(a.body)
	if err != nil {
		return string(a.body)
	}
	return fmt.Sprint(v)
}

// violation is one of the errors that a problem lists.
type violation struct{ In, Name string }

// problem is an error as the gateway answers it (RFC 9457).
func problem(code int, violations ...violation) expectation {
	says := fmt.Sprintf("application/problem+json of status %d", code)
	for _, v := range violations {
		says += fmt.Sprintf(", with an error in %s %s", v.In, v.Name)
	}
	return expectation{says, func(a *answer) string {
		if wrong := status(code).wrong(a); wrong != "" {
			return wrong
		}
		return wrongProblem(a, violations)
	}}
}

func wrongProblem(a *answer, violations []violation) string {
	if wrong := kind("application/problem+json").wrong(a); wrong != "" {
		return wrong
	}
	var got struct {
		Title     string
		Status    int
		RequestID string
		Errors    []violation
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return "the body is not such JSON: " + err.Error()
	}
	if got.Title == "" || got.Status != a.status || got.RequestID != a.header.Get("X-Request-Id") {
		return "its title, status or requestId is not that of the answer"
	}
	for _, want := range violations {
		found := false
		for _, v := range got.Errors {
			found = found || v == want
		}
		if !found {
			return fmt.Sprintf("its errors name nothing in %s %s", want.In, want.Name)
		}
	}
	return ""
}

// within is an answer that comes not before and not after.
func within(least, most time.Duration) expectation {
	return expectation{fmt.Sprintf("an answer after %v to %v", least, most), func(a *answer) string {
		return unless(a.took >= least && a.took <= most, "it came after %v", a.took.Round(time.Millisecond))
	}}
}
