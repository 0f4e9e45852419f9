package cluster_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/shared/wire"
	"github.com/funcatron/funcatron/tron/cluster"
	"github.com/funcatron/funcatron/tron/credentials"
	"github.com/funcatron/funcatron/tron/store"
)

const (
	needsBasic = `{"swagger":"2.0","securityDefinitions":{"b":{"type":"basic"}},"security":[{"b":[]}],"paths":{"/x":{"get":{"operationId":"x"}}}}`
	needsBoth  = `{"swagger":"2.0","securityDefinitions":{"b":{"type":"basic"},"k":{"type":"apiKey","in":"query","name":"k"}},"security":[{"b":[]}],
		"paths":{"/x":{"get":{"operationId":"x"}},"/y":{"get":{"operationId":"y","security":[{"k":[]}]}}}}`
	needsNothing = `{"swagger":"2.0","securityDefinitions":{"b":{"type":"basic"}},"paths":{"/x":{"get":{"operationId":"x"}}}}`

	alice = `{"key":"value","security":{"b":{"users":{"alice":"sesame-1"}}}}`
)

// addDocument puts a bundle with a document of its own into the store.
func (b *bed) addDocument(basePath, text, document string) string {
	b.t.Helper()
	sum := sha256.Sum256([]byte(basePath + text))
	sha := hex.EncodeToString(sum[:])
	file, err := b.store.Receive(strings.NewReader(basePath + text))
	if err == nil {
		err = b.store.Adopt(file, store.Bundle{Sha: sha, Type: "exec", BasePath: basePath}, json.RawMessage(document))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return sha
}

// insecure expects an enable to be refused for its credentials.
func (b *bed) insecure(sha string, props json.RawMessage, want ...string) {
	b.t.Helper()
	_, err := b.Enable(context.Background(), sha, props)
	var refusal *credentials.Error
	if !errors.As(err, &refusal) {
		b.t.Fatalf("enable with %s: %v, want a credentials.Error", props, err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			b.t.Errorf("enable with %s: %v, want %q", props, err, w)
		}
	}
	if strings.Contains(err.Error(), "sesame") {
		b.t.Errorf("the error shows a secret: %v", err)
	}
}

func TestEnableNeedsCredentials(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g, r := b.gateway("g"), b.runner("r")
		basic, both, open := b.addDocument("/a", "1", needsBasic), b.addDocument("/a", "2", needsBoth), b.addDocument("/a", "3", needsNothing)
		b.insecure(basic, nil, "props.security.b (basic) is missing")
		b.insecure(basic, json.RawMessage(`{"security":{"b":{"users":["sesame-1"]}}}`), "props.security.b (basic) has no users")
		b.want("route", g.To("/a"), "")
		b.want("deployments", len(b.View().Deployments), 0)
		b.want("runner was told of", len(r.Seen(wire.Enable)), 0)

		// What runs goes on running, and the kept props are looked at too.
		first := b.enable(basic, alice)
		b.insecure(both, nil, "props.security.k (apiKey) is missing")
		b.insecure(basic, json.RawMessage(`{}`), "props.security.b (basic) is missing")
		b.want("route", g.To("/a"), first.Deployment)
		b.want("state", b.state(first.Deployment), cluster.Live)

		e, err := b.Enable(context.Background(), open, nil)
		if err != nil {
			t.Fatal(err)
		}
		b.want("what requires nothing, with kept props", e.State, cluster.Live)
		if e, err = b.Enable(context.Background(), basic, nil); err != nil {
			t.Fatal(err)
		}
		b.want("rollback with kept props", e.State, cluster.Live)
		b.want("replaced", e.Replaced, open)
	})
}

// security is what a gateway was told of basePath.
func security(t *testing.T, table wire.Routes, basePath string) map[string]wire.Verifier {
	t.Helper()
	i := slices.IndexFunc(table.Routes, func(r wire.RouteItem) bool { return r.BasePath == basePath })
	if i < 0 {
		t.Fatalf("no route to %s", basePath)
	}
	return table.Routes[i].Security
}

func TestVerifiersGoToGatewaysOnly(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		g, r := b.gateway("g"), b.runner("r")
		sha := b.addDocument("/a", "1", needsBasic)
		e := b.enable(sha, alice)
		v := security(t, g.Table(), "/a")
		known := v["b"]
		want := known.Digest([]byte("alice:sesame-1"))
		if len(v) != 1 || known.Type != "basic" || len(known.Digests) != 1 || string(known.Digests[0]) != string(want[:]) {
			t.Fatalf("the gateway was told %+v", v)
		}
		if b, err := json.Marshal(g.Table()); err != nil || strings.Contains(string(b), "sesame") || strings.Contains(string(b), "alice") {
			t.Errorf("the route table holds a secret (%v): %s", err, b)
		}
		if d, err := json.Marshal(r.Seen(wire.Enable)[0].Deployment); err != nil || strings.Contains(string(d), "digests") {
			t.Errorf("the runner was told (%v): %s", err, d)
		}
		if strings.Contains(b.logs.String(), "sesame") || strings.Contains(b.logs.String(), "digests") {
			t.Errorf("logged: %s", b.logs)
		}

		// The same again changes nothing; a table after a restart is the same table.
		again := b.enable(sha, alice)
		b.want("again", again, cluster.Enabled{Deployment: e.Deployment, State: cluster.Live, Already: true})
		b.restart()
		late := b.gateway("late")
		pass(5 * time.Second)
		if got := security(t, late.Table(), "/a"); !reflect.DeepEqual(got, v) {
			t.Errorf("after a restart %+v, before %+v", got, v)
		}

		// Other secrets make another deployment; one that requires nothing carries none.
		other := b.enable(sha, strings.Replace(alice, "sesame-1", "sesame-2", 1))
		b.want("already", other.Already, false)
		if now := security(t, g.Table(), "/a")["b"]; reflect.DeepEqual(now, known) || reflect.DeepEqual(now.Salt, known.Salt) {
			t.Errorf("after another password: %+v", now)
		}
		b.enable(b.addDocument("/c", "1", needsNothing), alice)
		if got := security(t, g.Table(), "/c"); got != nil {
			t.Errorf("nothing is required, and the gateway was told %+v", got)
		}
	})
}

// A deployment of before there were verifiers gets them when it is enabled again.
func TestOldDeploymentGetsVerifiers(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		b.runner("r")
		sha := b.addDocument("/a", "1", needsBasic)
		e := b.enable(sha, alice)
		all, _, err := b.store.Deployments()
		if err != nil || len(all) != 1 {
			t.Fatal(err, all)
		}
		old := all[0]
		old.Security = nil
		b.stop()
		st, err := store.Open(b.dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.SetCurrent(store.PlaceOf(&old.Deployment), &old); err != nil {
			t.Fatal(err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		b.start()
		pass(time.Second)
		g := b.gateway("g")
		if v := security(t, g.Table(), "/a"); v != nil {
			t.Fatalf("verifiers out of nothing: %+v", v)
		}
		again := b.enable(sha, alice)
		if again.Already || again.Deployment == e.Deployment || len(security(t, g.Table(), "/a")) != 1 {
			t.Errorf("enabled again: %+v, verifiers %+v", again, security(t, g.Table(), "/a"))
		}
	})
}

// A document that this version refuses is refused at enable, with its reasons.
func TestEnableOfADocumentThatIsRefusedNow(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		b.insecure(b.addDocument("/a", "1", strings.Replace(needsBasic, `[{"b":[]}]`, `[{"c":[]}]`, 1)), nil, `"c"`, "does not define")
	})
}

// A broker that is away is no reason to hide what is wrong with the props.
func TestCredentialsComeBeforeTheBroker(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		sha := b.addDocument("/a", "1", needsBasic)
		b.broker.away.Store(true)
		defer b.broker.away.Store(false)
		b.insecure(sha, nil, "props.security.b")
		if _, err := b.Enable(context.Background(), sha, json.RawMessage(alice)); !errors.Is(err, dispatch.ErrDown) {
			t.Errorf("enable: %v, want ErrDown", err)
		}
	})
}

// The state file is the owner's alone: it is where the secrets are.
func TestSecretsOnDisk(t *testing.T) {
	run(t, func(t *testing.T, b *bed) {
		b.enable(b.addDocument("/a", "1", needsBasic), alice)
		info, err := os.Stat(filepath.Join(b.dir, "tron.db"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v; want mode 0600", info, err)
		}
	})
}
