package cluster_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/funcatron/funcatron/shared/wire"
	"github.com/funcatron/funcatron/tron/cluster"
	"github.com/funcatron/funcatron/tron/membertest"
)

func TestWelcome(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g, r := b.gateway("g"), b.runner("r")
		info := *r.Seen(wire.TronInfo)[0].Info
		want := wire.Info{Epoch: b.store.Epoch(), URL: "http://tron.test:3000", Token: b.store.Token()}
		b.want("what the runner was told of the Tron", info, want)
		want.Token = "" // it fetches no bundles
		b.want("what the gateway was", *g.Seen(wire.TronInfo)[0].Info, want)
		b.want("route tables", len(g.Seen(wire.Route)), 1)
		b.want("epoch of the table", g.Table().Epoch, b.store.Epoch())
		pass(time.Minute)
		b.want("route tables after a quiet minute", len(g.Seen(wire.Route)), 1)
		b.want("lines about the gateway", strings.Count(b.logs.String(), "Frontend at http://g.test"), 1)
	})
}

func TestGoneAfterThreeMissedHeartbeats(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		b.gateway("g")
		b.runner("r").Mute()
		pass(29 * time.Second)
		b.want("members after 29 s", len(b.members()), 2)
		pass(5 * time.Second)
		if got := b.members(); !slices.Equal(got, []string{"g"}) {
			t.Errorf("members after 34 s: %v", got)
		}
	})
}

func TestLeaving(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		r := membertest.NewRunner(b.broker, "tron", "r")
		leave := b.join(r.Run)
		leave()
		synctest.Wait()
		b.want("members", len(b.members()), 0)
	})
}

// A runner that was killed is known as such long before its heartbeats are missed.
func TestKilledRunner(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		r := membertest.NewRunner(b.broker, "tron", "r")
		leave := b.join(r.Run)
		e := b.enable(b.add("/a", "1"), `{}`)
		pass(2 * time.Second)
		r.Mute()
		leave()
		pass(2 * time.Second)
		b.want("state after 2 s", b.state(e.Deployment), cluster.Pending)
		pass(5 * time.Second)
		b.want("members after 7 s", len(b.members()), 0)
	})
}

// Nobody is gone for not being heard while the Tron's own line was down.
func TestBrokerAway(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		b.gateway("g")
		r := b.runner("r")
		b.broker.away.Store(true)
		pass(5 * time.Minute)
		b.broker.away.Store(false)
		pass(9 * time.Second)
		b.want("members", len(b.members()), 2)
		e := b.enable(b.add("/a", "1"), `{}`)
		b.want("state at the runner", r.States()[e.Deployment], wire.StateLive)
	})
}

// What could not be said because the broker was away is said when it is back.
func TestSaidAgain(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		sha := b.add("/a", "1")
		e := b.enable(sha, `{}`)
		b.broker.away.Store(true)
		// The members' own line works: only the Tron's does not.
		g := membertest.NewGateway(b.broker.Broker, "tron", "g", "http://g.test")
		b.join(g.Run)
		r := membertest.NewRunner(b.broker.Broker, "tron", "r")
		b.join(r.Run)
		b.want("messages to the runner", len(r.Seen(wire.Enable)), 0)
		b.broker.away.Store(false)
		pass(2 * time.Second)
		b.want("state at the runner", r.States()[e.Deployment], wire.StateLive)
		b.want("route", g.To("/a"), e.Deployment)
		b.want("messages about the Tron", len(r.Seen(wire.TronInfo)), 1)
	})
}

// inbox is the queue that a member is spoken to on.
func (b *bed) inbox(name string) string {
	for _, m := range b.View().Members {
		if m.Name == name {
			return m.Queue
		}
	}
	return ""
}

func TestReconnect(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g := b.gateway("g")
		r := membertest.NewRunner(b.broker, "tron", "r")
		hold := make(chan struct{})
		r.Start = func(context.Context, wire.Deployment) *membertest.Failure { <-hold; return nil }
		b.join(r.Run)
		done := make(chan error, 1)
		go func() {
			_, err := b.Enable(context.Background(), b.add("/a", "1"), []byte(`{}`))
			done <- err
		}()
		synctest.Wait()
		before := b.inbox("r")
		for _, name := range []string{"r", "g"} { // both get a new queue, and say so
			if err := b.broker.Delete(context.Background(), b.inbox(name)); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Second)
		if b.inbox("r") == before {
			t.Fatal("the runner has its old queue")
		}
		now := time.Now()
		b.want("enables", len(r.Seen(wire.Enable)), 1)
		close(hold)
		if err := <-done; err != nil {
			t.Errorf("enable: %v", err)
		}
		b.want("time it took from then on", time.Since(now) < time.Second, true)
		b.want("routes", len(g.Table().Routes), 1)
		b.want("members", len(b.members()), 2)
	})
}

// Runners are brought in line with what should be at each of their reports.
func TestReconcileRunner(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		r := b.runner("r")
		e := b.enable(b.add("/a", "1"), `{}`)
		pass(20 * time.Second)
		r.Forget(e.Deployment)
		pass(11 * time.Second)
		b.want("state of what it had forgotten", r.States()[e.Deployment], wire.StateLive)

		// A deployment that nobody enabled, left over from another life.
		from := b.inbox("r")
		stranger := wire.Deployment{ID: "stranger", Sha: "x", Queue: "funcatron.req.stranger"}
		b.broker.Publish(from, message(wire.Message{Action: wire.Enable, From: "other", Deployment: &stranger}), nil)
		synctest.Wait()
		b.want("state of the stranger", r.States()["stranger"], wire.StateLive)
		pass(11 * time.Second)
		b.want("state of the stranger", r.States()["stranger"], "")
		b.want("disables of the other", disables(r, e.Deployment), 0)
		b.want("enables", enables(r, e.Deployment), 2)
	})
}

func TestSlowGateway(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g := membertest.NewGateway(b.broker, "tron", "g", "http://g.test")
		var silent atomic.Bool
		g.Refuse = func(wire.Routes) (error, bool) { return nil, silent.Load() }
		b.join(g.Run)
		r := b.runner("r")
		first := b.enable(b.add("/a", "1"), `{}`)
		silent.Store(true)
		began := time.Now()
		second := b.enable(b.add("/a", "2"), `{}`)
		if took := time.Since(began); took < ackTimeout || took > ackTimeout+time.Second {
			t.Errorf("it took %v, want %v", took, ackTimeout)
		}
		b.want("disables of what the gateway still routes to", disables(r, first.Deployment), 0)
		b.want("route", g.To("/a"), first.Deployment)
		silent.Store(false)
		pass(11 * time.Second) // its heartbeat shows what it lacks
		b.want("route", g.To("/a"), second.Deployment)
		pass(2 * time.Second)
		b.want("first at the runner", r.States()[first.Deployment], "")
	})
}

func TestGatewayThatNeverTakesTheTable(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g := membertest.NewGateway(b.broker, "tron", "g", "http://g.test")
		g.Refuse = func(r wire.Routes) (error, bool) {
			if r.Version > 1 {
				return errors.New("cannot build it"), false
			}
			return nil, false
		}
		b.join(g.Run)
		r := b.runner("r")
		first := b.enable(b.add("/a", "1"), `{}`)
		b.enable(b.add("/a", "2"), `{}`)
		pass(30 * time.Second)
		b.want("first at the runner after 30 s", r.States()[first.Deployment], wire.StateLive)
		pass(45 * time.Second)
		b.want("first at the runner after 75 s", r.States()[first.Deployment], "")
		if n := len(g.Seen(wire.Route)); n < 5 || n > 12 {
			t.Errorf("it was sent the table %d times in 80 s, want one a heartbeat", n)
		}
	})
}

// The Tron's state may have been restored from an older copy.
func TestGatewayThatIsAhead(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		e := b.enable(b.add("/a", "1"), `{}`)
		epoch := b.store.Epoch()
		g := membertest.NewGateway(b.broker, "tron", "g", "http://g.test")
		g.Know(wire.Routes{Epoch: epoch, Version: 99, Routes: []wire.RouteItem{{Deployment: "old", BasePath: "/old"}}})
		b.join(g.Run)
		pass(3 * time.Second)
		b.want("route", g.To("/a"), e.Deployment)
		b.want("old route", g.To("/old"), "")
		if b.store.Epoch() == epoch || g.Table().Epoch != b.store.Epoch() {
			t.Errorf("epochs: %s before, %s in the store, %s at the gateway", epoch, b.store.Epoch(), g.Table().Epoch)
		}
	})
}

func TestWants(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g := b.gateway("g")
		sha := b.add("/a", "1")
		b.enable(sha, `{}`)
		tables := len(g.Seen(wire.Route))
		g.Send(wire.Message{Action: wire.Want, Wants: &wire.Wants{Routes: true, Documents: []string{sha, "unknown"}}})
		synctest.Wait()
		docs := g.Seen(wire.Swagger)
		if len(docs) != 2 || string(docs[0].Document.Swagger) != `{"swagger":"2.0"}` || docs[0].Document.Sha != sha {
			t.Fatalf("documents: %+v", docs)
		}
		if d := docs[1].Document; d.Sha != "unknown" || d.Error == "" || d.Swagger != nil {
			t.Errorf("unknown document: %+v", d)
		}
		b.want("route tables", len(g.Seen(wire.Route)), tables+1)
	})
}

func TestRestartKeepsWhatRuns(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g, r := b.gateway("g"), b.runner("r")
		sha := b.add("/a", "1")
		e := b.enable(sha, `{"key":"value"}`)
		pass(2 * time.Second)
		b.restart()
		b.want("members", len(b.members()), 2)
		b.want("state", b.state(e.Deployment), cluster.Live)
		b.want("enables", enables(r, e.Deployment), 1)
		again := b.enable(sha, `{"key":"value"}`)
		b.want("already", again.Already, true)
		second := b.enable(b.add("/a", "2"), `{}`)
		b.want("state of what comes next", second.State, cluster.Live)
		b.want("route", g.To("/a"), second.Deployment)
	})
}

// After a restart without its members, what was enabled is still wanted.
func TestRestartAlone(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		r := membertest.NewRunner(b.broker, "tron", "r")
		leave := b.join(r.Run)
		e := b.enable(b.add("/a", "1"), `{}`)
		pass(2 * time.Second)
		b.stop()
		r.Mute()
		leave()
		b.start()
		pass(time.Second)
		b.want("members whose queue is gone", len(b.members()), 0)
		b.want("state", b.state(e.Deployment), cluster.Pending)
		other := b.runner("other")
		pass(time.Second)
		b.want("state at another runner", other.States()[e.Deployment], wire.StateLive)
	})
}

func TestRefresh(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g := membertest.NewGateway(b.broker, "tron", "g", "http://g.test")
		g.Stats = []wire.OperationStats{{Deployment: "d", Operation: "GET /x", Count: 7}}
		b.join(g.Run)
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		b.Refresh(ctx)
		b.want("time waited for members that answer", time.Since(began), time.Duration(0))
		if st := b.View().Members[0].Stats; len(st) != 1 || st[0].Count != 7 {
			t.Errorf("stats %+v", st)
		}
		g.Mute()
		b.Refresh(ctx)
		b.want("time waited for members that do not", time.Since(began), 300*time.Millisecond)
	})
}

func TestUnreadableMessages(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		r := b.runner("r")
		for _, body := range []string{"", "{}", `{"action":"awake","version":1,"msg-id":"x","from":"y"}`, `{"action":"awake","version":2}`, "\xff"} {
			m := message(wire.Message{})
			m.Body = []byte(body)
			b.broker.Publish("tron", m, nil)
		}
		for _, m := range []wire.Message{
			{Action: wire.Enable, From: "x", Deployment: &wire.Deployment{ID: "i", Queue: "q"}},
			{Action: wire.AckAction, From: "x", Ack: &wire.Ack{Re: "nothing"}},
			{Action: wire.Died, From: "x"},
		} {
			b.broker.Publish("tron", message(m), nil)
		}
		synctest.Wait()
		b.want("members", len(b.members()), 1)
		e := b.enable(b.add("/a", "1"), `{}`)
		b.want("state at the runner", r.States()[e.Deployment], wire.StateLive)
	})
}
