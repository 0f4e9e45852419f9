package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/shared/wire"
	"github.com/funcatron/funcatron/tron/cluster"
	"github.com/funcatron/funcatron/tron/membertest"
	"github.com/funcatron/funcatron/tron/store"
)

func TestEnableLive(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g := membertest.NewGateway(b.broker, "tron", "g", "http://g.test")
		var early []string
		g.Refuse = func(r wire.Routes) (error, bool) {
			for _, item := range r.Routes {
				if b.consumers(item.Deployment) < 1 {
					early = append(early, item.Deployment)
				}
			}
			return nil, false
		}
		b.join(g.Run)
		r := b.runner("r")
		sha := b.add("/a", "1")
		e := b.enable(sha, `{"key":"value"}`)
		b.want("state", e.State, cluster.Live)
		b.want("route", g.To("/a"), e.Deployment)
		b.want("state at the runner", r.States()[e.Deployment], wire.StateLive)
		b.want("state in the view", b.state(e.Deployment), cluster.Live)
		b.want("stored", b.stored(e.Deployment), true)
		if len(early) > 0 {
			t.Errorf("routed to before anybody took requests: %v", early)
		}
		m := r.Seen(wire.Enable)[0].Deployment
		if m.Sha != sha || m.BasePath != "/a" || string(m.Props) != `{"key":"value"}` || m.Queue != "funcatron.req."+m.ID {
			t.Errorf("the runner was told %+v", m)
		}
	})
}

func TestEnablePendingUntilARunnerJoins(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g := b.gateway("g")
		e := b.enable(b.add("/a", "1"), `{}`)
		b.want("state", e.State, cluster.Pending)
		b.want("route", g.To("/a"), e.Deployment)
		b.want("state in the view", b.state(e.Deployment), cluster.Pending)
		r := b.runner("r")
		pass(2 * time.Second)
		b.want("state at the runner", r.States()[e.Deployment], wire.StateLive)
		b.want("state in the view", b.state(e.Deployment), cluster.Live)
	})
}

func TestEnableRefused(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g := b.gateway("g")
		bad := b.add("/a", "bad")
		r := membertest.NewRunner(b.broker, "tron", "r")
		r.Start = func(_ context.Context, d wire.Deployment) *membertest.Failure {
			if d.Sha == bad {
				return &membertest.Failure{Reason: "exit status 3", Logs: []string{"panic: no database"}}
			}
			return nil
		}
		b.join(r.Run)
		good := b.enable(b.add("/a", "good"), `{}`)
		err := b.refused(bad, `{}`)
		b.want("reason", err.Reason, "exit status 3")
		if !slices.Equal(err.Logs, []string{"panic: no database"}) {
			t.Errorf("logs %q", err.Logs)
		}
		b.want("route", g.To("/a"), good.Deployment)
		b.want("state of the one before", b.state(good.Deployment), cluster.Live)
		failed := r.Seen(wire.Enable)[1].Deployment.ID
		pass(2 * time.Second)
		b.want("disables of the failed one", disables(r, failed), 1)
		b.want("disables of the one before", disables(r, good.Deployment), 0)
		b.want("state of the failed one", b.state(failed), "")
		b.want("its queue", b.consumers(failed), -1)
		b.want("it in the store", b.stored(failed), false)
	})
}

func TestEnableOnOneOfTwoRunners(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		bad := membertest.NewRunner(b.broker, "tron", "bad")
		var mended atomic.Bool
		bad.Start = func(context.Context, wire.Deployment) *membertest.Failure {
			if mended.Load() {
				return nil
			}
			return &membertest.Failure{Reason: "no such file"}
		}
		b.join(bad.Run)
		good := membertest.NewRunner(b.broker, "tron", "good")
		slow := make(chan struct{})
		good.Start = func(context.Context, wire.Deployment) *membertest.Failure { <-slow; return nil }
		b.join(good.Run)
		time.AfterFunc(3*time.Second, func() { close(slow) })
		e := b.enable(b.add("/a", "1"), `{}`)
		b.want("state", e.State, cluster.Live)
		b.want("state where it fails", bad.States()[e.Deployment], wire.StateFailed)

		// Where it fails it is tried again, but less and less often.
		pass(5 * time.Minute)
		if n := enables(bad, e.Deployment); n < 4 || n > 7 {
			t.Errorf("it was tried %d times in 5 minutes, want 4 to 7", n)
		}
		mended.Store(true)
		pass(6 * time.Minute)
		b.want("state where it failed", bad.States()[e.Deployment], wire.StateLive)
	})
}

func TestEnableTimesOut(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		r := membertest.NewRunner(b.broker, "tron", "r")
		r.Start = func(ctx context.Context, d wire.Deployment) *membertest.Failure {
			select {
			case <-time.After(enableTimeout + 20*time.Second): // it says that it is live when nobody wants it any more
				return nil
			case <-ctx.Done():
				return &membertest.Failure{Reason: "told to stop"}
			}
		}
		b.join(r.Run)
		sha := b.add("/a", "1")
		began := time.Now()
		b.refused(sha, `{}`)
		if took := time.Since(began); took < enableTimeout || took > enableTimeout+time.Second {
			t.Errorf("it took %v, want %v", took, enableTimeout)
		}
		if n := enables(r, r.Seen(wire.Enable)[0].Deployment.ID); n != 1 {
			t.Errorf("it was told %d times to enable what it reports as starting", n)
		}
		pass(2 * time.Minute)
		b.want("deployments at the runner", len(r.States()), 0)
		b.want("deployments", len(b.View().Deployments), 0)
	})
}

// A runner's word is not enough: a gateway needs somebody who takes requests.
func TestEnableWhereNobodyConsumes(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g := b.gateway("g")
		r := membertest.NewRunner(b.broker, "tron", "r")
		r.Idle = true
		b.join(r.Run)
		b.refused(b.add("/a", "1"), `{}`)
		b.want("routes", len(g.Table().Routes), 0)
		pass(2 * time.Second)
		b.want("deployments at the runner", len(r.States()), 0)
	})
}

func TestReplaceAndRollback(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g := membertest.NewGateway(b.broker, "tron", "g", "http://g.test")
		r := b.runner("r")
		var told []string // to stop, while the gateway did not yet know better
		g.Refuse = func(wire.Routes) (error, bool) {
			for _, m := range r.Seen(wire.Disable) {
				if m.Stop.ID == g.To("/a") {
					told = append(told, m.Stop.ID)
				}
			}
			return nil, false
		}
		b.join(g.Run)
		one, two := b.add("/a", "1"), b.add("/a", "2")
		first := b.enable(one, `{}`)
		second := b.enable(two, `{}`)
		b.want("replaced", second.Replaced, one)
		b.want("route", g.To("/a"), second.Deployment)
		pass(3 * time.Second)
		b.want("state of the first", b.state(first.Deployment), "")
		b.want("first at the runner", r.States()[first.Deployment], "")
		b.want("queue of the first", b.consumers(first.Deployment), -1)
		b.want("first in the store", b.stored(first.Deployment), false)

		third := b.enable(one, `{}`) // the rollback
		b.want("replaced", third.Replaced, two)
		b.want("route", g.To("/a"), third.Deployment)
		if third.Deployment == first.Deployment {
			t.Error("a deployment's id came twice")
		}
		pass(3 * time.Second)
		b.want("deployments at the runner", len(r.States()), 1)
		if len(told) > 0 {
			t.Errorf("told to stop while they were still routed to: %v", told)
		}
	})
}

func TestReplaceDrains(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		b.gateway("g")
		r := membertest.NewRunner(b.broker, "tron", "r")
		worked := make(chan struct{})
		r.Drain = func(string) { <-worked }
		b.join(r.Run)
		first := b.enable(b.add("/a", "1"), `{}`)
		b.enable(b.add("/a", "2"), `{}`)
		pass(3 * time.Minute)
		b.want("state while it drains", b.state(first.Deployment), cluster.Draining)
		b.want("consumers while it drains", b.consumers(first.Deployment), 1)
		b.want("it is in the store", b.stored(first.Deployment), true)
		b.restart()
		pass(time.Minute)
		b.want("state after a restart", b.state(first.Deployment), cluster.Draining)
		close(worked)
		pass(15 * time.Second)
		b.want("state afterwards", b.state(first.Deployment), "")
		b.want("queue afterwards", b.consumers(first.Deployment), -1)
		b.want("it is in the store", b.stored(first.Deployment), false)
	})
}

func TestEnableAgainChangesNothing(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g, r := b.gateway("g"), b.runner("r")
		sha := b.add("/a", "1")
		first := b.enable(sha, `{"a":1,"b":{"c":2}}`)
		version := g.Table().Version
		again := b.enable(sha, `{"b":{"c":2}, "a":1}`)
		b.want("deployment", again.Deployment, first.Deployment)
		b.want("already", again.Already, true)
		b.want("state", again.State, cluster.Live)
		b.want("route version", g.Table().Version, version)
		b.want("enables", len(r.Seen(wire.Enable)), 1)

		other := b.enable(sha, `{"a":1,"b":{"c":3}}`)
		if other.Deployment == first.Deployment || other.Already {
			t.Errorf("other props changed nothing: %+v", other)
		}
	})
}

// What is enabled and does not run is tried again when it is enabled again.
func TestEnableAgainWhatFails(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		sha := b.add("/a", "1")
		e := b.enable(sha, `{}`)
		r := membertest.NewRunner(b.broker, "tron", "r")
		var reason atomic.Value
		reason.Store("no database")
		r.Start = func(context.Context, wire.Deployment) *membertest.Failure {
			if reason.Load() == "" {
				return nil
			}
			return &membertest.Failure{Reason: reason.Load().(string)}
		}
		b.join(r.Run)
		pass(time.Second)
		b.want("state", b.state(e.Deployment), cluster.Failed)
		reason.Store("still no database")
		b.want("reason", b.refused(sha, `{}`).Reason, "still no database")
		reason.Store("")
		again := b.enable(sha, `{}`)
		b.want("state", again.State, cluster.Live)
		b.want("deployment", again.Deployment, e.Deployment)
	})
}

func TestEnableConcurrently(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g := b.gateway("g")
		stuck := b.add("/stuck", "1")
		r := membertest.NewRunner(b.broker, "tron", "r")
		unstick := make(chan struct{})
		r.Start = func(_ context.Context, d wire.Deployment) *membertest.Failure {
			if d.Sha == stuck {
				<-unstick
			}
			return nil
		}
		b.join(r.Run)
		var wg sync.WaitGroup
		enable := func(sha, props string) {
			wg.Go(func() {
				if _, err := b.Enable(context.Background(), sha, []byte(props)); err != nil {
					t.Errorf("enable: %v", err)
				}
			})
		}
		var stuckGroup sync.WaitGroup
		stuckGroup.Go(func() { b.enable(stuck, `{}`) })
		synctest.Wait()
		for i := range 5 { // the same place: one after the other
			sha := b.add("/a", fmt.Sprint(i))
			enable(sha, `{}`)
			enable(sha, `{"n":1}`)
		}
		for i := range 5 { // other places: at the same time
			enable(b.add(fmt.Sprintf("/b%d", i), ""), `{}`)
		}
		wg.Wait() // although /stuck is still being proven
		close(unstick)
		stuckGroup.Wait()
		pass(20 * time.Second)
		b.want("routes", len(g.Table().Routes), 7)
		b.want("deployments", len(b.View().Deployments), 7)
		b.want("deployments at the runner", len(r.States()), 7)
		for _, route := range g.Table().Routes {
			b.want("state of "+route.BasePath, r.States()[route.Deployment], wire.StateLive)
		}
	})
}

func TestEnableErrors(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		ctx := context.Background()
		if _, err := b.Enable(ctx, "00", []byte(`{}`)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("unknown sha: %v", err)
		}
		if _, err := b.Disable(ctx, "00"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("unknown sha: %v", err)
		}
		sha := b.add("/a", "1")
		b.broker.away.Store(true)
		if _, err := b.Enable(ctx, sha, []byte(`{}`)); !errors.Is(err, dispatch.ErrDown) {
			t.Errorf("broker away: %v", err)
		}
		b.broker.away.Store(false)

		r := membertest.NewRunner(b.broker, "tron", "r")
		r.Start = func(ctx context.Context, _ wire.Deployment) *membertest.Failure {
			<-ctx.Done()
			return &membertest.Failure{Reason: "told to stop"}
		}
		b.join(r.Run)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := b.Enable(short, sha, []byte(`{}`)); !errors.Is(err, cluster.ErrStopping) {
			t.Errorf("Tron stopping: %v", err)
		}
		pass(time.Second)
		b.want("deployments", len(b.View().Deployments), 0)
	})
}

// A runner that dies of the bundle is no proof of it.
func TestEnableLosesEveryRunner(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g := b.gateway("g")
		good := b.enable(b.add("/a", "good"), `{}`)
		r := membertest.NewRunner(b.broker, "tron", "r")
		bad := b.add("/a", "bad")
		var leave func()
		r.Start = func(_ context.Context, d wire.Deployment) *membertest.Failure {
			if d.Sha == bad {
				r.Mute()
				go leave()
				return &membertest.Failure{}
			}
			return nil
		}
		leave = b.join(r.Run)
		b.refused(bad, `{}`)
		b.want("route", g.To("/a"), good.Deployment)
	})
}

func TestDisable(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g, r := b.gateway("g"), b.runner("r")
		sha := b.add("/a", "1")
		e := b.enable(sha, `{}`)
		for _, want := range []bool{true, false} {
			found, err := b.Disable(context.Background(), sha)
			if err != nil || found != want {
				t.Errorf("Disable = %v, %v, want %v", found, err, want)
			}
			b.want("route", g.To("/a"), "")
		}
		pass(3 * time.Second)
		b.want("deployments at the runner", len(r.States()), 0)
		b.want("queue", b.consumers(e.Deployment), -1)
		b.want("deployments", len(b.View().Deployments), 0)
	})
}

func TestDisablePending(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g := b.gateway("g")
		sha := b.add("/a", "1")
		b.enable(sha, `{}`)
		if found, err := b.Disable(context.Background(), sha); err != nil || !found {
			t.Errorf("Disable = %v, %v", found, err)
		}
		b.want("route", g.To("/a"), "")
		pass(2 * time.Second)
		b.want("deployments", len(b.View().Deployments), 0)
		r := b.runner("r")
		pass(15 * time.Second)
		b.want("deployments at a runner that joins", len(r.States()), 0)
	})
}
