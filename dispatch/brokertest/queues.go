package brokertest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch"
)

var queueTests = []contract{
	{"Inspect counts what waits and who consumes", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		declare(t, b, q)
		if s := inspect(t, b, q.Name); s != (dispatch.Status{}) {
			t.Errorf("empty: %+v", s)
		}
		send(t, b, q.Name, "1", "2", "3")
		if s := inspect(t, b, q.Name); s != (dispatch.Status{Ready: 3}) {
			t.Errorf("three waiting: %+v", s)
		}
		one, two := consume(t, b, q, 1), consume(t, b, q, 1)
		held := []*dispatch.Delivery{one.next(), two.next()}
		ready(t, b, q.Name, 1)
		if s := inspect(t, b, q.Name); s.Consumers != 2 {
			t.Errorf("two consumers: %+v", s)
		}
		for _, d := range held {
			d.Settle(dispatch.Requeue)
		}
	}},

	{"Inspect of a queue that does not exist is ErrUnroutable", func(t *testing.T, b dispatch.Broker) {
		for _, name := range []string{Name(), Name(), "", strings.Repeat("n", 300)} {
			if _, err := b.Inspect(t.Context(), name); !errors.Is(err, dispatch.ErrUnroutable) {
				t.Errorf("Inspect(%.20q) = %v, want ErrUnroutable", name, err)
			}
		}
	}},

	{"Inspect and Delete end with their context", func(t *testing.T, b dispatch.Broker) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.Inspect(ctx, Name()); !errors.Is(err, context.Canceled) {
			t.Errorf("Inspect = %v", err)
		}
		if err := b.Delete(ctx, Name()); !errors.Is(err, context.Canceled) {
			t.Errorf("Delete = %v", err)
		}
	}},

	{"Inspect may be called from any number of goroutines", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		declare(t, b, q)
		errs := make(chan error, 40)
		for i := range cap(errs) {
			name, want := q.Name, error(nil)
			if i%2 == 0 {
				name, want = Name(), dispatch.ErrUnroutable
			}
			go func() {
				_, err := b.Inspect(context.Background(), name)
				if errors.Is(err, want) {
					err = nil
				}
				errs <- err
			}()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	}},

	{"Delete removes a queue with what is in it", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		declare(t, b, q)
		send(t, b, q.Name, "1", "2")
		for range 2 { // deleting one that does not exist is no error
			if err := b.Delete(t.Context(), q.Name); err != nil {
				t.Errorf("Delete = %v", err)
			}
			if err := publish(t, b, q.Name, dispatch.Message{}); !errors.Is(err, dispatch.ErrUnroutable) {
				t.Errorf("settled with %v, want ErrUnroutable", err)
			}
		}
		if err := b.Delete(t.Context(), strings.Repeat("n", 300)); err != nil {
			t.Errorf("Delete of an impossible name = %v", err)
		}
		c := consume(t, b, q, 1)
		send(t, b, q.Name, "new")
		c.expect("new")
	}},

	{"a queue expires when it had no consumer for that long", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		q.Expires = 400 * time.Millisecond
		c := consume(t, b, q, 100)
		passes(t, 2*q.Expires)
		send(t, b, q.Name, "it has a consumer")
		c.expect("it has a consumer")
		// A new consumer in time keeps it, with what waits in it. On a busy machine
		// it may not be in time.
		Eventually(t, "a consumer in time", func() bool {
			since := time.Now()
			c.stop()
			err := publish(t, b, q.Name, dispatch.Message{Body: []byte("waits")})
			c = consume(t, b, q, 100)
			if time.Since(since) >= q.Expires {
				return false
			}
			if err != nil {
				t.Errorf("settled with %v", err)
			}
			passes(t, 2*q.Expires)
			c.expect("waits")
			return true
		})
		since := time.Now()
		c.stop()
		Eventually(t, "queue expired", func() bool { // a look with Inspect might renew its lease
			return errors.Is(publish(t, b, q.Name, dispatch.Message{}), dispatch.ErrUnroutable)
		})
		if d := time.Since(since); d < q.Expires {
			t.Errorf("it expired after %v, not %v", d, q.Expires)
		}
		c = consume(t, b, q, 100)
		send(t, b, q.Name, "anew")
		c.expect("anew")
	}},

	{"Err is nil while messages can be published", func(t *testing.T, b dispatch.Broker) {
		if err := b.Err(); err != nil {
			t.Errorf("Err = %v", err)
		}
	}},
}
