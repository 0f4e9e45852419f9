package memory_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/brokertest"
	"github.com/funcatron/funcatron/dispatch/memory"
)

func TestContract(t *testing.T) {
	brokertest.Run(t, func(*testing.T) dispatch.Broker { return memory.New() })
}

// consume runs a consumer until stop is called.
func consume(b dispatch.Broker, q dispatch.Queue, h dispatch.Handler) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Consume(ctx, q, 10, h) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			panic(err)
		}
	}
}

func publish(b dispatch.Broker, queue string, m dispatch.Message) (err error) {
	b.Publish(queue, m, func(e error) { err = e })
	return err
}

func TestExpiresToTheMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		q := dispatch.Queue{Name: "q", Expires: time.Minute}
		exists := func() bool {
			_, err := b.Inspect(t.Context(), q.Name)
			return err == nil
		}
		for range 2 { // the second queue does not inherit the first one's lease
			stop := consume(b, q, func(d *dispatch.Delivery) { d.Settle(dispatch.Ack) })
			<-time.After(time.Hour)
			stop()
			<-time.After(time.Minute - time.Millisecond)
			if !exists() {
				t.Fatal("it expired too early")
			}
			stop = consume(b, q, func(d *dispatch.Delivery) { d.Settle(dispatch.Ack) })
			<-time.After(2 * time.Millisecond)
			if !exists() {
				t.Fatal("it expired with a consumer")
			}
			stop()
			<-time.After(time.Minute - time.Millisecond)
			if !exists() {
				t.Fatal("it expired by an old lease")
			}
			<-time.After(time.Millisecond)
			synctest.Wait()
			if exists() {
				t.Fatal("it did not expire")
			}
		}
	})
}

func TestExpirationToTheNanosecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		q := dispatch.Queue{Name: "q"}
		declared := consume(b, q, nil)
		synctest.Wait()
		declared()
		for name, wait := range map[string]time.Duration{"kept": time.Second - 1, "dropped": time.Second} {
			if err := publish(b, q.Name, dispatch.Message{Body: []byte(name), Expiration: time.Second}); err != nil {
				t.Fatal(err)
			}
			<-time.After(wait)
			var got []string
			stop := consume(b, q, func(d *dispatch.Delivery) {
				got = append(got, string(d.Body))
				d.Settle(dispatch.Ack)
			})
			synctest.Wait()
			stop()
			if delivered := len(got) == 1; delivered != (name == "kept") {
				t.Errorf("%s: got %q after %v", name, got, wait)
			}
		}
	})
}

func TestCounters(t *testing.T) {
	set := metrics.NewSet()
	b := memory.NewWith(memory.Options{Metrics: set})
	q := dispatch.Queue{Name: "q", MaxLength: 1}
	stop := consume(b, q, func(d *dispatch.Delivery) { d.Settle(dispatch.Ack) })
	brokertest.Eventually(t, "a consumer", func() bool { _, err := b.Inspect(t.Context(), "q"); return err == nil })
	stop()
	for range 2 {
		if err := publish(b, "nowhere", dispatch.Message{}); !errors.Is(err, dispatch.ErrUnroutable) {
			t.Errorf("settled with %v", err)
		}
	}
	if err := publish(b, "q", dispatch.Message{Expiration: -1}); err != nil { // over before it began
		t.Errorf("settled with %v", err)
	}
	if err := publish(b, "q", dispatch.Message{}); err != nil {
		t.Errorf("settled with %v", err)
	}
	if err := publish(b, "q", dispatch.Message{}); !errors.Is(err, dispatch.ErrFull) {
		t.Errorf("settled with %v", err)
	}
	var text bytes.Buffer
	set.WritePrometheus(&text)
	for _, line := range []string{
		"funcatron_broker_returned_total 2",
		"funcatron_broker_rejected_total 1",
		"funcatron_broker_expired_total 1",
	} {
		if !strings.Contains(text.String(), line+"\n") {
			t.Errorf("no %q in:\n%s", line, text.String())
		}
	}
}

// A request costs a broker a delivery and its Settle, and nothing that grows.
func TestAllocations(t *testing.T) {
	b := memory.New()
	done := make(chan struct{})
	stop := consume(b, dispatch.Queue{Name: "q"}, func(d *dispatch.Delivery) {
		d.Settle(dispatch.Ack)
		done <- struct{}{}
	})
	defer stop()
	brokertest.Eventually(t, "a consumer", func() bool { _, err := b.Inspect(t.Context(), "q"); return err == nil })
	m := dispatch.Message{Body: []byte("x"), Expiration: time.Minute}
	settled := func(error) {}
	if n := testing.AllocsPerRun(500, func() {
		b.Publish("q", m, settled)
		<-done
	}); n > 2 {
		t.Errorf("%v allocations a message, want 2", n)
	}
}
