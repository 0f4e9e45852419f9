package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch/brokertest"
)

// Enabling a new version, and the old one again, loses no request.
func TestReplaceAndRollbackUnderLoad(t *testing.T) {
	overBrokers(t, func(t *testing.T, s *system) {
		one, two := s.add(testBundle(t, "/app", "1")), s.add(testBundle(t, "/app", "2"))
		s.enable(one, map[string]any{"version": "one"})
		s.serves("/app/version")

		l := runLoad(s.gateway, 200, func(n int) string {
			if n%4 == 0 {
				return "/app/slow/50"
			}
			return "/app/version"
		})
		l.atLeast(t, 100)
		s.enable(two, map[string]any{"version": "two"})
		replaced := time.Now()
		l.atLeast(t, l.count()+200)
		returning := time.Now()
		s.enable(one, map[string]any{"version": "one again"})
		back := time.Now()
		l.atLeast(t, l.count()+200)

		seen := map[string]int{}
		for _, r := range l.end() {
			if r.err != nil || r.answer.status != 200 {
				t.Fatalf("%s %s: %v %d %s", r.method, r.path, r.err, r.answer.status, r.answer.body)
			}
			if !strings.HasSuffix(r.path, "/version") {
				continue
			}
			var got struct{ Version string }
			decode(t, r.answer.body, &got)
			seen[got.Version]++
			switch sent, answered := r.at, r.at.Add(r.took); {
			case sent.After(replaced) && answered.Before(returning) && got.Version != "two":
				t.Errorf("sent after two was live, answered by %q", got.Version)
			case sent.After(back) && got.Version != "one again":
				t.Errorf("sent after the rollback, answered by %q", got.Version)
			}
		}
		if len(seen) != 3 {
			t.Errorf("answers by version: %v, want all three", seen)
		}
	})
}

// A Runner that is killed in the middle of a request: a GET is answered by another
// Runner, a POST is not run twice.
func TestKillRunnerMidRequest(t *testing.T) {
	s := cluster(t, brokertest.RabbitURL(t))
	marks := openFile(t, "marks")
	s.enable(s.add(testBundle(t, "/kill", "1")), map[string]any{"file": marks})
	s.serves("/kill/version")

	// One after the other, so that RabbitMQ deals them out in turns: each Runner
	// gets GETs and POSTs.
	const n = 12
	results := make(chan result, n)
	for i := range n {
		method := []string{"GET", "GET", "POST", "POST"}[i%4]
		go func() {
			a, err := try(method, fmt.Sprintf("%s/kill/slow/5000?mark=%s%d", s.gateway, method, i), "")
			results <- result{method: method, path: fmt.Sprintf("%s%d", method, i), answer: a, err: err}
		}()
		eventually(t, "the request runs", func() error {
			b, err := os.ReadFile(marks)
			if ran := strings.Count(string(b), "\n"); err == nil && ran <= i {
				err = fmt.Errorf("%d run", ran)
			}
			return err
		})
	}
	s.procs["runner1"].kill()

	failed := 0
	for range n {
		r := <-results
		switch {
		case r.err != nil:
			t.Errorf("%s: %v", r.path, r.err)
		case r.answer.status == 200:
		case r.method == "POST" && r.answer.status == 502:
			failed++
		default:
			t.Errorf("%s: %d %s", r.path, r.answer.status, r.answer.body)
		}
	}
	if failed == 0 || failed == n/2 {
		t.Errorf("%d of %d POSTs got 502; want those of one of two Runners", failed, n/2)
	}
	b, err := os.ReadFile(marks)
	if err != nil {
		t.Fatal(err)
	}
	for mark := range strings.Lines(string(b)) {
		if strings.HasPrefix(mark, "POST") && strings.Count(string(b), mark) != 1 {
			t.Errorf("%s ran %d times", strings.TrimSpace(mark), strings.Count(string(b), mark))
		}
	}
	s.runner("runner3") // joins by itself
	s.eventually("runner3 serves", func() error {
		for _, r := range s.stats().Network.Runners {
			if fmt.Sprint(r["deployments"]) != "" && strings.Contains(fmt.Sprint(r), "live") && strings.Contains(fmt.Sprint(r), fmt.Sprint(s.procs["runner3"].cmd.Process.Pid)) {
				return nil
			}
		}
		return fmt.Errorf("stats do not show it live")
	})
}

// alone is a cluster with one Runner, whose way to RabbitMQ is url.
func alone(t *testing.T, url string) *system {
	t.Helper()
	s := cluster(t, brokertest.RabbitURL(t))
	for _, name := range []string{"runner1", "runner2"} {
		s.procs[name].terminate()
	}
	own := s.rabbit
	s.rabbit = url
	s.runner("runner3")
	s.rabbit = own
	s.eventually("the Runner is known", func() error {
		if n := len(s.stats().Network.Runners); n != 1 {
			return fmt.Errorf("%d runners", n)
		}
		return nil
	})
	s.enable(s.add(testBundle(t, "/one", "1")), map[string]any{"file": openFile(t, "marks")})
	s.serves("/one/version")
	return s
}

// slowly sends a GET and a POST that take so long, calls meanwhile once the function
// has both, and expects each to be answered 200.
func slowly(t *testing.T, s *system, ms int, meanwhile func()) {
	t.Helper()
	results := make(chan result, 2)
	for _, method := range []string{"GET", "POST"} {
		go func() {
			a, err := try(method, fmt.Sprintf("%s/one/slow/%d", s.gateway, ms), "")
			results <- result{method: method, answer: a, err: err}
		}()
	}
	s.eventually("both run", func() error {
		if got := fmt.Sprint(s.stats().Network.Runners); !strings.Contains(got, "running:2") {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
	meanwhile()
	for range 2 {
		if r := <-results; r.err != nil || r.answer.status != 200 {
			t.Errorf("%s: %v %d %s", r.method, r.err, r.answer.status, r.answer.body)
		}
	}
}

// The only Runner of a deployment answers what it holds before it goes, however long
// nobody else is there.
func TestOnlyRunnerDrains(t *testing.T) {
	s := alone(t, brokertest.RabbitURL(t))
	slowly(t, s, 4000, func() { s.procs["runner3"].terminate() })
}

// A Runner whose connections are cut goes on with what it has, and answers it when it
// is connected again.
func TestRunnersConnectionIsCut(t *testing.T) {
	proxy := brokertest.NewProxy(t, brokertest.RabbitURL(t))
	s := alone(t, proxy.URL())
	slowly(t, s, 3000, func() { proxy.Cut(); proxy.Resume() })
	s.serves("/one/version")
}

// A function that dies costs the requests it held, and nothing else.
func TestFunctionDies(t *testing.T) {
	overBrokers(t, func(t *testing.T, s *system) {
		s.enable(s.add(testBundle(t, "/dies", "1")), nil)
		s.serves("/dies/version")
		a := request(t, "POST", s.gateway+"/dies/die", "")
		if a.status != 502 || !strings.Contains(a.body, a.header.Get("X-Request-Id")) || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("die: %d %s", a.status, a.body)
		}
		s.serves("/dies/version")
	})
}

// A bundle whose function does not start is refused with its last words, and what
// ran before goes on.
func TestEnableOfWhatDoesNotStart(t *testing.T) {
	overBrokers(t, func(t *testing.T, s *system) {
		s.enable(s.add(testBundle(t, "/bad", "1")), map[string]any{"version": "good"})
		bad := zipOf(t, map[string]string{
			"funcatron.yaml": fmt.Sprintf(testDocument, "2", "/bad", `"sh", "-c", "echo no such luck; exit 7"`),
		})
		a := s.tryEnable(s.add(bad), nil)
		if a.status != 422 || !strings.Contains(a.body, "no such luck") || !strings.Contains(a.body, "7") {
			t.Errorf("enable: %d %s, want 422 with its last words", a.status, a.body)
		}
		if a := s.serves("/bad/version"); !strings.Contains(a.body, `"good"`) {
			t.Errorf("what ran before: %s", a.body)
		}
	})
}
