package rabbit_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/brokertest"
	"github.com/funcatron/funcatron/dispatch/rabbit"
)

// What RabbitMQ itself does, on a node of the test's own.
func TestNode(t *testing.T) {
	node := brokertest.StartNode(t)
	brokertest.CheckGoroutines(t)
	b := open(t, rabbit.Options{URL: node.URL()})
	q := newQueue(t, b)
	q.MaxLength, q.Expires = 1000, time.Hour
	var delivered atomic.Int64
	got := make(chan *dispatch.Delivery, 10)
	background(t, func(ctx context.Context) error {
		return b.Consume(ctx, q, 10, func(d *dispatch.Delivery) {
			delivered.Add(1)
			if string(d.Body) == "hold" {
				got <- d
			} else {
				d.Settle(dispatch.Ack)
			}
		})
	})
	consumed := func() bool { return consumers(t, b, q.Name) == 1 }
	brokertest.Eventually(t, "a consumer", consumed)

	// An alarm: RabbitMQ reads no more from who publishes.
	if err := publish(t, b, q.Name, dispatch.Message{Body: []byte("hold")}); err != nil {
		t.Fatal(err)
	}
	held := <-got
	node.Ctl("set_vm_memory_high_watermark", "0")
	var all eachOnce
	brokertest.Eventually(t, "blocked", func() bool {
		b.Publish(q.Name, dispatch.Message{Body: []byte("x")}, all.settled())
		return b.Err() != nil
	})
	if err := b.Err(); !errors.Is(err, dispatch.ErrDown) || !strings.Contains(err.Error(), "blocked") {
		t.Errorf("Err = %v, want ErrDown, blocked", err)
	}
	all.check(t, dispatch.ErrDown) // those without a confirm, too
	if err := publish(t, b, q.Name, dispatch.Message{}); !errors.Is(err, dispatch.ErrDown) {
		t.Errorf("settled with %v, want ErrDown", err)
	}
	held.Settle(dispatch.Ack) // consuming goes on
	if s, err := b.Inspect(t.Context(), q.Name); err != nil || s.Consumers != 1 {
		t.Errorf("Inspect = %+v, %v", s, err)
	}
	node.Ctl("set_vm_memory_high_watermark", "0.6")
	brokertest.Eventually(t, "unblocked", func() bool { return b.Err() == nil })
	for range 20 {
		if err := publish(t, b, q.Name, dispatch.Message{Body: []byte("x")}); err != nil {
			t.Errorf("settled with %v", err)
		}
	}

	// Stopped and started again under load.
	for name, end := range map[string]func(){"killed": node.Kill, "stopped": node.Stop} {
		var all eachOnce
		pause := time.NewTicker(time.Millisecond)
		load := background(t, func(ctx context.Context) error {
			for ctx.Err() == nil {
				<-pause.C
				b.Publish(q.Name, dispatch.Message{Body: []byte("x")}, all.settled())
			}
			return nil
		})
		before := delivered.Load()
		brokertest.Eventually(t, "messages flow", func() bool { return delivered.Load() > before+50 })
		end()
		brokertest.Eventually(t, "ErrDown", func() bool { return errors.Is(b.Err(), dispatch.ErrDown) })
		node.Start()
		since := time.Now()
		recovers(t, b)
		before = delivered.Load()
		brokertest.Eventually(t, "messages flow again", func() bool { return delivered.Load() > before+50 })
		if d := time.Since(since); d > backWithin {
			t.Errorf("%s: messages flow again %v after RabbitMQ", name, d)
		}
		load()
		pause.Stop()
		// Unroutable it is until the consumer has declared the queue again, where
		// RabbitMQ has lost it.
		all.check(t, dispatch.ErrDown, dispatch.ErrUnroutable)
		if s, err := b.Inspect(t.Context(), q.Name); err != nil || s.Consumers != 1 {
			t.Errorf("%s: Inspect = %+v, %v", name, s, err)
		}
	}
}
