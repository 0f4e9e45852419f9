package runner

import (
	"strconv"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/shared/wire"
)

// warmDocument has an operation to be warmed up with.
func warmDocument(runtime, warmup string) string {
	text := document(runtime + `,"warmup":["` + warmup + `"]`)
	return strings.Replace(text, `"paths":{`, `"paths":{
"/warm":{"get":{"operationId":"warm","parameters":[{"name":"n","in":"query","type":"integer"}],"responses":{"200":{"description":"ok"}}}},
"/crash":{"get":{"operationId":"crash","responses":{"200":{"description":"ok"}}}},`, 1)
}

// warmable is a bundle of the test binary with a warm-up request.
func (g *rig) warmable(warmup, more string) wire.Deployment {
	g.t.Helper()
	self, err := testProgram()
	if err != nil {
		g.t.Fatal(err)
	}
	return g.bundle(map[string]string{
		"funcatron.json": warmDocument(`"runtime":"exec","command":["bin/app"]`+more, warmup),
		"bin/app":        "#!/bin/sh\n" + functionVar + "=serve exec '" + self + "'\n",
	})
}

// A process is warm before its deployment is live, and of all its warm-up requests
// only the first is in the log.
func TestWarmUp(t *testing.T) {
	g := newRig(t)
	g.start()
	d := g.warmable("GET /warm?n=1", `,"instances":2`)
	g.live(d)
	for range 2 { // either process
		if n, err := strconv.Atoi(g.get(d, "/warmed")); err != nil || n < 10 || n > warmupRequests+1 {
			t.Errorf("warmed up with %d requests (%v)", n, err)
		}
	}
	g.get(d, "/log")
	eventually(t, "a line of a client's request", func() bool { return strings.Contains(g.out.String(), "REQ:"+testReq+"] - In Go") })
	if lines := strings.Count(g.out.String(), "warming"); lines < 1 || lines > 2 || strings.Count(g.out.String(), "warming 1\n") != lines {
		t.Errorf("%d lines of warm-up requests:\n%s", lines, g.out)
	}
}

// A process that does not survive its warm-up has not started.
func TestWarmUpOfOneThatDies(t *testing.T) {
	g := newRig(t)
	g.start()
	a := g.ack(g.enable(g.warmable("GET /crash", "")))
	if a.OK || !strings.Contains(a.Error, "ended while it was warmed up: exit status 3") {
		t.Errorf("acknowledged with %+v", a)
	}
}
