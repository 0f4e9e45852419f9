package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// parse reads one JSON value, its numbers as they are written.
func parse(data []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("more follows after the value")
	}
	return v, nil
}

// difference says where got is not want; "" where it is. at names the place.
func difference(at string, want, got any) string {
	switch want := want.(type) {
	case map[string]any:
		return differentObject(at, want, got)
	case []any:
		return differentList(at, want, got)
	case json.Number:
		n, ok := got.(json.Number)
		return unless(ok && sameNumber(want.String(), n.String()), "%s is %s, not %s", at, compact(got), want)
	}
	return unless(want == got, "%s is %s, not %s", at, compact(got), compact(want))
}

func differentObject(at string, want map[string]any, got any) string {
	object, ok := got.(map[string]any)
	if !ok {
		return fmt.Sprintf("%s is %s, not an object", at, compact(got))
	}
	for name, v := range want {
		g, ok := object[name]
		if !ok {
			return fmt.Sprintf("%s has no %q", at, name)
		}
		if wrong := difference(at+"."+name, v, g); wrong != "" {
			return wrong
		}
	}
	for name := range object {
		if _, ok := want[name]; !ok {
			return fmt.Sprintf("%s has a %q too many", at, name)
		}
	}
	return ""
}

func differentList(at string, want []any, got any) string {
	list, ok := got.([]any)
	if !ok || len(list) != len(want) {
		return fmt.Sprintf("%s is %s, not a list of %d", at, compact(got), len(want))
	}
	for i := range want {
		if wrong := difference(fmt.Sprintf("%s[%d]", at, i), want[i], list[i]); wrong != "" {
			return wrong
		}
	}
	return ""
}

// sameNumber compares an integer by its digits, so that one which went through a
// float64 is found, and any other number as a float64.
func sameNumber(want, got string) bool {
	if !strings.ContainsAny(want, ".eE") {
		return got == want
	}
	w, errW := strconv.ParseFloat(want, 64)
	g, errG := strconv.ParseFloat(got, 64)
	return errW == nil && errG == nil && w == g
}

func compact(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return show(data)
}
