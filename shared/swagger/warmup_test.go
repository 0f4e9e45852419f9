package swagger

import (
	"errors"
	"strings"
	"testing"
)

const warmupDocument = `{"swagger":"2.0","info":{"title":"t","version":"1"},"basePath":"/b",
"x-funcatron":{"runtime":"jvm","jvmOptions":["-Xmx64m"],"warmup":WARMUP},
"paths":{
 "/simple":{"get":{"operationId":"plain","responses":{"200":{"description":"ok"}}}},
 "/simple/{num}":{"get":{"operationId":"num","parameters":[{"name":"num","in":"path","required":true,"type":"integer","format":"int64"}],"responses":{"200":{"description":"ok"}}}},
 "/simple/me":{"get":{"operationId":"me","responses":{"200":{"description":"ok"}}}},
 "/file/{name}.{ext}":{"get":{"operationId":"file","parameters":[
   {"name":"name","in":"path","required":true,"type":"string"},{"name":"ext","in":"path","required":true,"type":"string"},
   {"name":"tags","in":"query","type":"array","items":{"type":"integer"},"collectionFormat":"pipes"},
   {"name":"on","in":"query","type":"boolean","default":true},
   {"name":"ids","in":"query","type":"array","items":{"type":"string"},"collectionFormat":"multi"}],"responses":{"200":{"description":"ok"}}}},
 "/search":{"get":{"operationId":"search","parameters":[{"name":"q","in":"query","required":true,"type":"string"}],"responses":{"200":{"description":"ok"}}}},
 "/post":{"post":{"operationId":"post","responses":{"200":{"description":"ok"}}}}
}}`

func TestWarmup(t *testing.T) {
	for _, tc := range []struct{ request, operation, target, params string }{
		{"GET /simple", "plain", "/simple", `{"form":{},"header":{},"path":{},"query":{}}`},
		{"GET /simple/9223372036854775807?cool=yes", "num", "/simple/9223372036854775807?cool=yes",
			`{"form":{},"header":{},"path":{"num":9223372036854775807},"query":{}}`},
		{"GET /simple/me", "me", "/simple/me", `{"form":{},"header":{},"path":{},"query":{}}`},
		{"HEAD /simple", "plain", "/simple", `{"form":{},"header":{},"path":{},"query":{}}`},
		{"GET /file/a%20b.tar.gz?tags=1|2&ids=x&ids=y", "file", "/file/a%20b.tar.gz?tags=1|2&ids=x&ids=y",
			`{"form":{},"header":{},"path":{"ext":"tar.gz","name":"a b"},"query":{"ids":["x","y"],"on":true,"tags":[1,2]}}`},
	} {
		doc, err := Parse([]byte(strings.Replace(warmupDocument, "WARMUP", `["`+tc.request+`"]`, 1)))
		if err != nil {
			t.Errorf("%s: %v", tc.request, err)
			continue
		}
		w := doc.Runtime.Warmup[0]
		method, _, _ := strings.Cut(tc.request, " ")
		if w.Method != method || w.Operation.ID != tc.operation || w.Target != tc.target || string(w.Params) != tc.params {
			t.Errorf("%s: got %s %s of %s with %s", tc.request, w.Method, w.Target, w.Operation.ID, w.Params)
		}
	}
}

func TestWarmupRefused(t *testing.T) {
	for warmup, want := range map[string]string{
		`"GET /simple"`:       "warmup is a string, not an array",
		`[5]`:                 "request 1 of warmup is a number",
		`["POST /post"]`:      "only GET and HEAD warm up",
		`["GET simple"]`:      "not a path below basePath",
		`["GET /simple/a b"]`: "not a path below basePath",
		`["GET /nowhere"]`:    "no such operation",
		`["GET /post"]`:       "no such operation",
		`["GET /simple/x"]`:   `parameter \"num\" is not of type integer`,
		`["GET /search"]`:     "requires the parameter",
		`["GET /simple?%zz"]`: "query cannot be read",
		`["GET /search?q=` + strings.Repeat("x", maxWarmupParams) + `"]`:      "too large",
		`[` + strings.Repeat(`"GET /simple",`, maxWarmups) + `"GET /simple"]`: "more than 32",
	} {
		_, err := Parse([]byte(strings.Replace(warmupDocument, "WARMUP", warmup, 1)))
		var refused *Error
		if !errors.As(err, &refused) || !strings.Contains(refused.Error(), strings.ReplaceAll(want, `\"`, `"`)) {
			t.Errorf("%.60s: got %v, want %s", warmup, err, want)
		}
	}
}

func TestJVMOptions(t *testing.T) {
	doc, err := Parse([]byte(strings.Replace(warmupDocument, "WARMUP", "[]", 1)))
	if err != nil || len(doc.Runtime.JVMOptions) != 1 || doc.Runtime.JVMOptions[0] != "-Xmx64m" {
		t.Fatalf("got %v, %v", doc, err)
	}
	for options, want := range map[string]string{
		`"-Xmx1g"`:            "not an array of options",
		`[1]`:                 "option 1 of jvmOptions is a number",
		`["Xmx1g"]`:           "does not begin with -",
		`["@file"]`:           "does not begin with -",
		`["-jar"]`:            "what runs is the bundle",
		`["-cp","/x"]`:        "what runs is the bundle",
		`["--module-path=x"]`: "what runs is the bundle",
		`["-Da=b\nc"]`:        "control character",
	} {
		_, err := Parse([]byte(strings.NewReplacer("WARMUP", "[]", `["-Xmx64m"]`, options).Replace(warmupDocument)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", options, err, want)
		}
	}
}
