package swagger_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/swagger"
)

// extra is the value that a document's x-test has as JSON.
func extra(t *testing.T, yaml string) string {
	t.Helper()
	doc := mustParse(t, head+"paths: {}\n"+yaml)
	var members map[string]json.RawMessage
	if err := json.Unmarshal(doc.JSON, &members); err != nil {
		t.Fatal(err)
	}
	return string(members["x-test"])
}

func TestYAML(t *testing.T) {
	for yaml, want := range map[string]string{
		"x-test: 12345678901234567890":                 `12345678901234567890`,
		"x-test: 9223372036854775808":                  `9223372036854775808`,
		"x-test: 1.10":                                 `1.10`,
		"x-test: 1e3":                                  `1e3`,
		"x-test: -0":                                   `-0`,
		"x-test: 0x1F":                                 `31`,
		"x-test: 0o17":                                 `15`,
		"x-test: 1_000":                                `1000`,
		"x-test: +.5":                                  `0.5`,
		"x-test: 1.":                                   `1`,
		"x-test: 2016-12-09":                           `"2016-12-09"`,
		"x-test: 2016-12-09T20:31:31Z":                 `"2016-12-09T20:31:31Z"`,
		"x-test: !!binary aGk=":                        `"aGk="`,
		"x-test: !!str 12":                             `"12"`,
		"x-test: '12'":                                 `"12"`,
		"x-test: [true, True, no, on]":                 `[true,true,"no","on"]`,
		"x-test: [~, null, Null, ]":                    `[null,null,null]`,
		"x-test: {200: a, 2.0: b, true: c}":            `{"2.0":"b","200":"a","true":"c"}`,
		"x-test: |\n  a\n  b\n":                        `"a\nb\n"`,
		"x-test: \"\\u263a\"":                          `"☺"`,
		"x-a: &a {b: 1}\nx-test: *a":                   `{"b":1}`,
		"x-a: &a k\nx-test: {*a : 1}":                  `{"k":1}`,
		"x-a: &a {b: 1, c: 1}\nx-test: {<<: *a, c: 2}": `{"b":1,"c":2}`,
		"x-a: &a {b: 1}\nx-b: &b {b: 2, c: 3}\nx-test: {<<: [*a, *b], d: 4}": `{"b":1,"c":3,"d":4}`,
		"x-a: &a {b: 1}\nx-b: &b {<<: *a, c: 2}\nx-test: {<<: *b}":           `{"b":1,"c":2}`,
		"x-test: {'<<': 1}": `{"<<":1}`,
	} {
		if got := extra(t, yaml); got != want {
			t.Errorf("%q is %s, want %s", yaml, got, want)
		}
	}
}

func TestByteOrderMark(t *testing.T) {
	for _, text := range []string{head + "paths: {}", `{"swagger":"2.0","paths":{}}`, "{swagger: '2.0', paths: {}}"} {
		mustParse(t, "\xef\xbb\xbf"+text)
		mustParse(t, "\r\n\n"+strings.TrimSpace(text))
	}
}

// Whatever a document asks for, Parse refuses it for its size before it has
// taken much time or memory.
func TestParseIsBounded(t *testing.T) {
	laughs := func(levels int, leaf string) string {
		var b strings.Builder
		b.WriteString(head + "x-l0: &l0 " + leaf + "\n")
		for i := range levels {
			fmt.Fprintf(&b, "x-l%d: &l%d [*l%d,*l%[3]d,*l%[3]d,*l%[3]d,*l%[3]d,*l%[3]d,*l%[3]d,*l%[3]d,*l%[3]d]\n", i+1, i+1, i)
		}
		return b.String()
	}
	merges := head + "x-m0: &m0 {a0: 1}\n"
	for i := range 30 {
		merges += fmt.Sprintf("x-m%[2]d: &m%[2]d {<<: [*m%[1]d, *m%[1]d], a%[2]d: 1}\n", i, i+1)
	}
	json := func(open, inner, end string, n int) string {
		return `{"swagger":"2.0","x":` + strings.Repeat(open, n) + inner + strings.Repeat(end, n) + "}"
	}
	var patterns strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&patterns, "p%d: {pattern: 'a%d'}, ", i, i)
	}
	var branches strings.Builder
	for i := range 110_000 {
		fmt.Fprintf(&branches, `"p%d":{},`, i)
	}
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"large":             {head + "#" + strings.Repeat("a", swagger.MaxDocument), []string{"more than the 4194304"}},
		"laughs":            {laughs(9, "lol"), []string{"aliases expanded"}},
		"laughs, long":      {laughs(3, strings.Repeat("a", 100_000)), []string{"bytes, aliases expanded"}},
		"merges":            {merges, []string{"aliases expanded"}},
		"alias of itself":   {head + "x-a: &a [*a]", []string{"nested deeper"}},
		"mapping of itself": {head + "x-a: &a {b: *a}", []string{"nested deeper"}},
		"merge of itself":   {head + "x-a: &a {<<: *a}", []string{"nested deeper"}},
		"deep JSON":         {json("[", "", "]", 300), []string{"nested deeper"}},
		"very deep JSON":    {json("[", "", "]", 1_000_000), []string{"not valid JSON"}},
		"deep YAML":         {head + "x: " + strings.Repeat("[", 300) + strings.Repeat("]", 300), []string{"nested deeper"}},
		"very deep YAML":    {head + "x: " + strings.Repeat("[", 500_000), []string{"YAML"}},
		"deep dashes":       {head + "x:\n " + strings.Repeat("- ", 9_000) + "a", []string{"nested deeper"}},
		"many values":       {`{"swagger":"2.0","x":[` + strings.Repeat("0,", 1_100_000) + "0]}", []string{"values"}},
		"many YAML values":  {head + "x: [" + strings.Repeat("a,", 1_100_000) + "]", []string{"values"}},
		"many patterns":     {post("{properties: {"+patterns.String()+"}}", ""), []string{"more than 1000 different patterns"}},
		"many schemas":      {`{"swagger":"2.0","paths":{"/a":{"put":{"parameters":[{"name":"b","in":"body","schema":{"properties":{` + branches.String() + `"x":{}}}}]}}}}`, []string{"more than 100000 schemas"}},
		"many parameters":   {get("/a", strings.Repeat("{},", 1001)), []string{"1001 parameters"}},
		"shared parameters": {manyPathsOneItem(), []string{"more than 100000 parameters"}},
		"doubling by anyOf": {post("{$ref: '#/definitions/D0'}", doubling(40, "anyOf: [%[2]s, %[2]s]")), []string{"more than 1000 schemas"}},
		"deep by not":       {post("{$ref: '#/definitions/D0'}", doubling(150, "not: %[2]s")), []string{"nested deeper than 64"}},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := swagger.Parse([]byte(tc.text))
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			refused(t, err, tc.want...)
			allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
			t.Logf("%d bytes took %v and %d MiB", len(tc.text), took.Round(time.Millisecond), allocated)
			if took > time.Minute || allocated > 1024 {
				t.Error("too much")
			}
		})
	}
}

// manyPathsOneItem: each of many paths refers to one item with many parameters.
func manyPathsOneItem() string {
	var b strings.Builder
	b.WriteString(head + "x-item: {get: {operationId: x, parameters: [")
	for i := range 1000 {
		fmt.Fprintf(&b, "{name: p%d, in: query, type: string},", i)
	}
	b.WriteString("]}}\npaths:\n")
	for i := range 200 {
		fmt.Fprintf(&b, "  /p%d: {$ref: '#/x-item'}\n", i)
	}
	return b.String()
}

// A document just within the bounds is read within seconds, too.
func TestParseLargest(t *testing.T) {
	for name, text := range map[string]string{
		"YAML values":  head + "paths: {}\nx: [" + strings.Repeat("a,", 300_000) + "]",
		"JSON values":  `{"swagger":"2.0","paths":{},"x":[` + strings.Repeat("0,", 300_000) + "0]}",
		"YAML lines":   head + "paths: {}\nx:\n" + strings.Repeat("- a\n", 150_000),
		"one string":   head + "paths: {}\nx: '" + strings.Repeat("a", 4_000_000) + "'",
		"deep schemas": `{"swagger":"2.0","paths":{"/a":{"put":{"operationId":"x","parameters":[{"name":"b","in":"body","schema":` + deepSchema(180, 30_000) + `}]}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			doc, err := swagger.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(start)
			t.Logf("%d bytes took %v, %d warnings", len(text), took.Round(time.Millisecond), len(doc.Warnings))
			if took > time.Minute {
				t.Error("too long")
			}
		})
	}
}

// deepSchema has so many schemas at its deepest level.
func deepSchema(depth, width int) string {
	name := strings.Repeat("n", 100)
	var inner strings.Builder
	for i := range width {
		fmt.Fprintf(&inner, `"p%d":{},`, i)
	}
	depth = depth/2 - 3
	return strings.Repeat(`{"properties":{"`+name+`":`, depth) + `{"properties":{` + inner.String() + `"z":{}}}` + strings.Repeat("}}", depth)
}

// What references multiply is accepted: nothing is expanded.
func TestParseDoesNotExpand(t *testing.T) {
	start := time.Now()
	doc := mustParse(t, post("{$ref: '#/definitions/D0'}", doubling(60, "properties: {a: %[2]s, b: %[2]s}")))
	if n := len(doc.Operations[0].Body.Root.Definitions); n != 61 {
		t.Errorf("%d definitions", n)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}
