package brokertest

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch"
)

var publishTests = []contract{
	{"settled with nil when the broker has taken it", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		declare(t, b, q)
		if err := publish(t, b, q.Name, dispatch.Message{Body: []byte("x")}); err != nil {
			t.Errorf("settled with %v", err)
		}
		ready(t, b, q.Name, 1)
	}},

	{"settled with ErrUnroutable when no queue has that name", func(t *testing.T, b dispatch.Broker) {
		for _, name := range []string{Name(), "", strings.Repeat("n", 300)} {
			if err := publish(t, b, name, dispatch.Message{Body: []byte("x")}); !errors.Is(err, dispatch.ErrUnroutable) {
				t.Errorf("queue %.20q: settled with %v, want ErrUnroutable", name, err)
			}
		}
	}},

	{"settled with ErrFull when the queue is full, and nothing was kept", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		q.MaxLength = 3
		declare(t, b, q)
		s := newSettlements(t)
		for i := range 6 {
			s.publish(b, q.Name, dispatch.Message{Body: []byte(strconv.Itoa(i))})
		}
		for i, err := range s.wait() {
			if i < 3 && err != nil || i >= 3 && !errors.Is(err, dispatch.ErrFull) {
				t.Errorf("message %d of a queue of 3: settled with %v", i, err)
			}
		}
		ready(t, b, q.Name, 3)

		// What a consumer holds is not waiting any more.
		c := consume(t, b, q, 1)
		first := c.next()
		send(t, b, q.Name, "room")
		if err := publish(t, b, q.Name, dispatch.Message{Body: []byte("x")}); !errors.Is(err, dispatch.ErrFull) {
			t.Errorf("full again: settled with %v, want ErrFull", err)
		}
		first.Settle(dispatch.Ack)
		c.expect("1", "2", "room")
	}},

	{"a requeued message goes back to a queue that is full by now", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		q.MaxLength = 1
		c := consume(t, b, q, 1)
		send(t, b, q.Name, "a")
		d := c.next()
		send(t, b, q.Name, "b")
		d.Settle(dispatch.Requeue)
		c.expect("a", "b")
	}},

	{"settled may be nil", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		c := consume(t, b, q, 10)
		b.Publish(Name(), dispatch.Message{Body: []byte("nobody's")}, nil)
		b.Publish(q.Name, dispatch.Message{Body: []byte("x")}, nil)
		c.expect("x")
	}},

	{"settled may publish", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		c := consume(t, b, q, 10)
		done := make(chan error, 1)
		b.Publish(q.Name, dispatch.Message{Body: []byte("first")}, func(error) {
			b.Publish(q.Name, dispatch.Message{Body: []byte("second")}, func(err error) { done <- err })
		})
		c.expect("first", "second")
		if err := <-done; err != nil {
			t.Errorf("second settled with %v", err)
		}
	}},

	{"settled exactly once, whatever happens at the same time", func(t *testing.T, b dispatch.Broker) {
		taken, full := newQueue(t, b), newQueue(t, b)
		full.MaxLength = 5
		declare(t, b, full)
		c := consume(t, b, taken, 50)
		const publishers, each = 8, 150
		s := newSettlements(t)
		nowhere := Name()
		var wg sync.WaitGroup
		for range publishers {
			wg.Go(func() {
				for range each {
					s.publish(b, taken.Name, dispatch.Message{Body: []byte("taken")})
					s.publish(b, full.Name, dispatch.Message{Body: []byte("full")})
					s.publish(b, nowhere, dispatch.Message{Body: []byte("nowhere")})
				}
			})
		}
		for range publishers * each {
			c.expect("taken")
		}
		wg.Wait()
		count := make(map[error]int)
		for _, err := range s.wait() {
			for _, kind := range []error{dispatch.ErrUnroutable, dispatch.ErrFull} {
				if errors.Is(err, kind) {
					err = kind
				}
			}
			count[err]++
		}
		want := map[error]int{nil: publishers*each + 5, dispatch.ErrFull: publishers*each - 5, dispatch.ErrUnroutable: publishers * each}
		for k, n := range want {
			if count[k] != n {
				t.Errorf("%d settled with %v, want %d", count[k], k, n)
			}
		}
		if len(count) != len(want) {
			t.Errorf("settled with %v", count)
		}
	}},

	{"a message arrives as it was published", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		c := consume(t, b, q, 10)
		for _, m := range []dispatch.Message{
			{},
			{Body: []byte("x"), ContentType: dispatch.TypeHTTP, ReplyTo: "replies-1", CorrelationID: "18446744073709551615", Expiration: 90 * time.Second},
			{Body: []byte("\x00\xff\r\n"), ContentType: dispatch.TypeControl},
			{Body: bytes.Repeat([]byte("0123456789abcdef"), 1<<16), CorrelationID: "1 MiB, many frames"},
			{Body: []byte("long"), ReplyTo: strings.Repeat("r", 255), Expiration: 1500 * time.Millisecond * 1000},
		} {
			if err := publish(t, b, q.Name, m); err != nil {
				t.Fatalf("settled with %v", err)
			}
			d := c.next()
			got := d.Message
			if !bytes.Equal(got.Body, m.Body) {
				t.Errorf("body of %d bytes arrives as %d bytes, or changed", len(m.Body), len(got.Body))
			}
			got.Body, m.Body = nil, nil
			if fmt.Sprint(got) != fmt.Sprint(m) {
				t.Errorf("properties are %+v, want %+v", got, m)
			}
			if d.Redelivered {
				t.Error("Redelivered at the first delivery")
			}
			d.Settle(dispatch.Ack)
		}
	}},

	{"one publisher's messages to one queue stay in order", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		c := consume(t, b, q, 100)
		s := newSettlements(t)
		const n = 500
		for i := range n {
			s.publish(b, q.Name, dispatch.Message{Body: []byte(strconv.Itoa(i))})
		}
		for i := range n {
			c.expect(strconv.Itoa(i))
		}
		s.wait()
	}},

	{"an expired message is never delivered", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		declare(t, b, q)
		soon := dispatch.Message{Body: []byte("soon over"), Expiration: 40 * time.Millisecond}
		if err := publish(t, b, q.Name, soon); err != nil {
			t.Fatal(err)
		}
		send(t, b, q.Name, "keep")
		later := dispatch.Message{Body: []byte("later"), Expiration: time.Hour}
		if err := publish(t, b, q.Name, later); err != nil {
			t.Fatal(err)
		}
		ready(t, b, q.Name, 2) // dropped at the head without anybody's help

		c := consume(t, b, q, 1)
		held := c.next()
		if string(held.Body) != "keep" {
			t.Errorf("got %q, want what has not expired", held.Body)
		}
		// In the middle of the queue, too.
		if err := publish(t, b, q.Name, soon); err != nil {
			t.Fatal(err)
		}
		send(t, b, q.Name, "end")
		passes(t, 60*time.Millisecond)
		held.Settle(dispatch.Ack)
		c.expect("later", "end")
	}},

	{"what is requeued after its time is not delivered again", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		c := consume(t, b, q, 1)
		if err := publish(t, b, q.Name, dispatch.Message{Body: []byte("soon over"), Expiration: 80 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		d := c.next()
		passes(t, 120*time.Millisecond)
		d.Settle(dispatch.Requeue)
		send(t, b, q.Name, "next")
		c.expect("next")
	}},

	{"a queue full of expired messages has room", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		q.MaxLength = 2
		declare(t, b, q)
		for range 2 {
			if err := publish(t, b, q.Name, dispatch.Message{Body: []byte("old"), Expiration: 30 * time.Millisecond}); err != nil {
				t.Fatal(err)
			}
		}
		Eventually(t, "room in the queue", func() bool {
			return publish(t, b, q.Name, dispatch.Message{Body: []byte("new")}) == nil
		})
		// Where the second took long, there was room before any had expired.
		passes(t, 60*time.Millisecond)
		consume(t, b, q, 1).expect("new")
	}},
}

// passes lets time pass.
func passes(t *testing.T, d time.Duration) {
	t.Helper()
	start := time.Now()
	Eventually(t, "time passes", func() bool { return time.Since(start) > d })
}
