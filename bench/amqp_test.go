package bench

import (
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch/brokertest"
	"github.com/funcatron/funcatron/shared/wire"
)

func TestAMQP(t *testing.T) {
	url := brokertest.RabbitURL(t)
	b := &Bench{self: selfPath(t), dir: t.TempDir()}
	b.opts.RabbitURL = url
	for _, mode := range []string{"bare", "safe"} {
		q := amqpQueue{name: "bench_test_" + wire.NewID(), safe: mode == "safe"}
		p, err := b.child(amqpChild, url, q.name, mode)
		if err != nil {
			t.Fatal(err)
		}
		defer p.stop()
		if _, err := p.says(t.Context(), "listening on"); err != nil {
			t.Fatal(err)
		}
		for _, inFlight := range []int{1, 20} {
			r, err := runAMQP(t.Context(), url, q, []byte("hello"), inFlight, 20*time.Millisecond, 200*time.Millisecond)
			if err != nil {
				t.Errorf("%s, %d in flight: %v", mode, inFlight, err)
				continue
			}
			if r.Answered < 5 || r.Total < r.Answered || r.Latency.TotalCount() > r.Answered || r.Latency.TotalCount() < r.Answered-int64(inFlight) || r.Latency.Max() <= 0 {
				t.Errorf("%s, %d in flight: %+v", mode, inFlight, r)
			}
		}
		p.stop()
		if q.safe {
			if err := deleteQueue(url, q.name); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := runAMQP(t.Context(), "amqp://127.0.0.1:1/", amqpQueue{}, nil, 1, 0, time.Second); err == nil {
		t.Error("nobody listens, and no error")
	}
	if v, err := rabbitVersion(url); err != nil || v == "" {
		t.Errorf("version %q, %v", v, err)
	}
}

func selfPath(t *testing.T) string {
	t.Helper()
	b, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return b.self
}
