package cluster_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/memory"
	"github.com/funcatron/funcatron/shared/wire"
	"github.com/funcatron/funcatron/tron/cluster"
	"github.com/funcatron/funcatron/tron/membertest"
	"github.com/funcatron/funcatron/tron/store"
)

const (
	enableTimeout = 60 * time.Second
	ackTimeout    = 5 * time.Second
)

// bed is a Cluster under test with its members. It lives in a synctest bubble.
type bed struct {
	*cluster.Cluster
	t      *testing.T
	dir    string
	broker *fickle
	store  *store.Store
	logs   *strings.Builder
	stop   func() // ends the Cluster, and gives the folder back
}

// fickle is a broker that can be away.
type fickle struct {
	*memory.Broker
	away atomic.Bool
}

func (b *fickle) Err() error {
	if b.away.Load() {
		return dispatch.ErrDown
	}
	return nil
}

func (b *fickle) Publish(queue string, m dispatch.Message, settled func(error)) {
	if b.away.Load() {
		settled(dispatch.ErrDown)
		return
	}
	b.Broker.Publish(queue, m, settled)
}

// run runs f in a bubble with a Cluster that is running.
func run(t *testing.T, f func(t *testing.T, b *bed)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &bed{t: t, dir: dir, broker: &fickle{Broker: memory.New()}, logs: &strings.Builder{}}
		b.start()
		defer func() { b.stop() }()
		f(t, b)
	})
}

func (b *bed) start() {
	b.t.Helper()
	log := slog.New(slog.NewTextHandler(&locked{w: b.logs}, nil))
	st, err := store.Open(b.dir, log)
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := cluster.New(cluster.Options{
		Broker: b.broker, Store: st, Queue: "tron", URL: "http://tron.test:3000",
		EnableTimeout: enableTimeout, AckTimeout: ackTimeout, Log: log, Metrics: metrics.NewSet(),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.Cluster, b.store = c, st
	end := background(c.Run)
	b.stop = func() {
		if err := end(); err != nil {
			b.t.Errorf("Run: %v", err)
		}
		if err := st.Close(); err != nil {
			b.t.Error(err)
		}
	}
	synctest.Wait()
}

// restart ends the Tron's part and begins it anew on the same folder.
func (b *bed) restart() {
	b.t.Helper()
	b.stop()
	b.start()
}

// background runs f until the function it returns is called, which tells f's error.
func background(f func(context.Context) error) (end func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	return sync.OnceValue(func() error {
		cancel()
		return <-done
	})
}

type locked struct {
	mu sync.Mutex
	w  *strings.Builder
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// add puts a bundle into the store and returns its sha.
func (b *bed) add(basePath, text string) string {
	b.t.Helper()
	sum := sha256.Sum256([]byte(basePath + text))
	sha := hex.EncodeToString(sum[:])
	file, err := b.store.Receive(strings.NewReader(basePath + text))
	if err == nil {
		err = b.store.Adopt(file, store.Bundle{Sha: sha, Type: "exec", BasePath: basePath}, json.RawMessage(`{"swagger":"2.0"}`))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return sha
}

func (b *bed) gateway(name string) *membertest.Gateway {
	g := membertest.NewGateway(b.broker, "tron", name, "http://"+name+".test")
	b.join(g.Run)
	return g
}

func (b *bed) runner(name string) *membertest.Runner {
	r := membertest.NewRunner(b.broker, "tron", name)
	b.join(r.Run)
	return r
}

// join runs a member; the function ends it before the test does.
func (b *bed) join(run func(context.Context) error) (leave func()) {
	end := background(run)
	leave = func() {
		if err := end(); err != nil {
			b.t.Errorf("member: %v", err)
		}
	}
	b.t.Cleanup(leave)
	synctest.Wait()
	return leave
}

func (b *bed) enable(sha, props string) cluster.Enabled {
	b.t.Helper()
	e, err := b.Enable(context.Background(), sha, json.RawMessage(props))
	if err != nil {
		b.t.Fatalf("enable: %v", err)
	}
	synctest.Wait()
	return e
}

func (b *bed) refused(sha, props string) *cluster.StartError {
	b.t.Helper()
	_, err := b.Enable(context.Background(), sha, json.RawMessage(props))
	var start *cluster.StartError
	if !errors.As(err, &start) {
		b.t.Fatalf("enable: %v, want a StartError", err)
	}
	synctest.Wait()
	return start
}

// pass lets time pass, and everything that happens in it.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// state is how a deployment stands, "" where it is unknown.
func (b *bed) state(id string) string {
	for _, d := range b.View().Deployments {
		if d.ID == id {
			return d.State
		}
	}
	return ""
}

func (b *bed) members() (names []string) {
	for _, m := range b.View().Members {
		names = append(names, m.Name)
	}
	return names
}

// consumers is how many take requests off a deployment's queue; -1 where it is gone.
func (b *bed) consumers(id string) int {
	st, err := b.broker.Inspect(context.Background(), "funcatron.req."+id)
	if err != nil {
		return -1
	}
	return st.Consumers
}

func (b *bed) stored(id string) bool {
	b.t.Helper()
	all, _, err := b.store.Deployments()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, d := range all {
		if d.ID == id {
			return true
		}
	}
	return false
}

func (b *bed) want(what string, got, want any) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func enables(r *membertest.Runner, id string) (n int) {
	for _, m := range r.Seen(wire.Enable) {
		if m.Deployment.ID == id {
			n++
		}
	}
	return n
}

func disables(r *membertest.Runner, id string) (n int) {
	for _, m := range r.Seen(wire.Disable) {
		if m.Stop.ID == id {
			n++
		}
	}
	return n
}

func message(m wire.Message) dispatch.Message {
	return dispatch.Message{Body: wire.Encode(m), ContentType: dispatch.TypeControl}
}
