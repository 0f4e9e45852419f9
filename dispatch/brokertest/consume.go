package brokertest

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch"
)

var consumeTests = []contract{
	{"declares the queue, which outlives its consumers", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		if err := publish(t, b, q.Name, dispatch.Message{}); !errors.Is(err, dispatch.ErrUnroutable) {
			t.Errorf("before: settled with %v, want ErrUnroutable", err)
		}
		c := consume(t, b, q, 1)
		send(t, b, q.Name, "1")
		c.expect("1")
		c.stop()
		send(t, b, q.Name, "2")
		consume(t, b, q, 1).expect("2")
	}},

	{"hands over at most prefetch unsettled at a time", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		declare(t, b, q)
		for i := range 10 {
			send(t, b, q.Name, strconv.Itoa(i))
		}
		c := consume(t, b, q, 3)
		held := []*dispatch.Delivery{c.next(), c.next(), c.next()}
		ready(t, b, q.Name, 7)
		if n := len(c.got); n != 0 {
			t.Fatalf("%d more than 3 were handed over", n)
		}
		held[1].Settle(dispatch.Ack) // in any order
		if d := c.next(); string(d.Body) != "3" {
			t.Errorf("got %q next, want 3", d.Body)
		} else {
			d.Settle(dispatch.Ack)
		}
		held[0].Settle(dispatch.Ack)
		held[2].Settle(dispatch.Ack)
		c.expect("4", "5", "6", "7", "8", "9")
	}},

	{"hands over one at a time, in queue order", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		declare(t, b, q)
		const n = 60
		for i := range n {
			send(t, b, q.Name, strconv.Itoa(i))
		}
		var inside, most atomic.Int32
		got := make(chan string, n)
		consumeWith(t, b, q, 20, func(d *dispatch.Delivery) {
			most.Store(max(most.Load(), inside.Add(1)))
			for range 10 {
				runtime.Gosched()
			}
			got <- string(d.Body)
			inside.Add(-1)
			go d.Settle(dispatch.Ack) // from any goroutine
		})
		for i := range n {
			select {
			case s := <-got:
				if s != strconv.Itoa(i) {
					t.Fatalf("got %s, want %d", s, i)
				}
			case <-time.After(patience):
				t.Fatalf("message %d did not come", i)
			}
		}
		if most.Load() != 1 {
			t.Errorf("%d handlers at a time", most.Load())
		}
	}},

	{"a handler that blocks gets nothing more, others go on", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		var calls atomic.Int32
		entered, release := make(chan struct{}, 10), make(chan struct{})
		unblock := sync.OnceFunc(func() { close(release) })
		consumeWith(t, b, q, 1, func(d *dispatch.Delivery) {
			calls.Add(1)
			entered <- struct{}{}
			<-release
			d.Settle(dispatch.Ack)
		})
		t.Cleanup(unblock)
		send(t, b, q.Name, "blocks")
		<-entered
		other := consume(t, b, q, 1)
		send(t, b, q.Name, "1", "2", "3")
		other.expect("1", "2", "3")
		if calls.Load() != 1 {
			t.Errorf("the blocked handler was called %d times", calls.Load())
		}
		unblock()
	}},

	{"Ack removes the message", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		c := consume(t, b, q, 5)
		send(t, b, q.Name, "1", "2")
		c.expect("1", "2")
		c.stop()
		if s := inspect(t, b, q.Name); s.Ready != 0 {
			t.Errorf("%d messages are left", s.Ready)
		}
		send(t, b, q.Name, "3")
		consume(t, b, q, 5).expect("3")
	}},

	{"Requeue gives it back to where it was, with Redelivered", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		c := consume(t, b, q, 3)
		send(t, b, q.Name, "1", "2", "3", "4")
		held := []*dispatch.Delivery{c.next(), c.next(), c.next()}
		ready(t, b, q.Name, 1)
		for _, d := range held {
			if d.Redelivered {
				t.Errorf("%s is Redelivered at its first delivery", d.Body)
			}
		}
		c.cancel() // so that all three are back before anybody is given one
		Eventually(t, "no consumer", func() bool { return inspect(t, b, q.Name).Consumers == 0 })
		for _, d := range []*dispatch.Delivery{held[1], held[0], held[2]} {
			d.Settle(dispatch.Requeue)
		}
		c.stop()
		other := consume(t, b, q, 1)
		for _, want := range []string{"1", "2", "3", "4"} {
			d := other.next()
			if string(d.Body) != want || d.Redelivered != (want != "4") {
				t.Errorf("got %s, Redelivered %v; want %s", d.Body, d.Redelivered, want)
			}
			d.Settle(dispatch.Ack)
		}
	}},

	{"Requeue may give it to the same consumer", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		c := consume(t, b, q, 1)
		send(t, b, q.Name, "1")
		c.next().Settle(dispatch.Requeue)
		if d := c.next(); string(d.Body) != "1" || !d.Redelivered {
			t.Errorf("got %s, Redelivered %v", d.Body, d.Redelivered)
		} else {
			d.Settle(dispatch.Ack)
		}
	}},

	{"consumers of one queue share its messages", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		one, two := consume(t, b, q, 2), consume(t, b, q, 2)
		// While nobody settles, each gets its prefetch and no more.
		send(t, b, q.Name, "1", "2", "3", "4", "5")
		held := []*dispatch.Delivery{one.next(), one.next(), two.next(), two.next()}
		ready(t, b, q.Name, 1)
		for _, d := range held {
			d.Settle(dispatch.Ack)
		}
		select {
		case d := <-one.got:
			d.Settle(dispatch.Ack)
		case d := <-two.got:
			d.Settle(dispatch.Ack)
		case <-time.After(patience):
			t.Error("the fifth message did not come")
		}
	}},

	{"idle consumers take turns", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		one, two := consume(t, b, q, 10), consume(t, b, q, 10)
		var got [2]int
		round := func() {
			send(t, b, q.Name, "x")
			select {
			case d := <-one.got:
				got[0]++
				d.Settle(dispatch.Ack)
			case d := <-two.got:
				got[1]++
				d.Settle(dispatch.Ack)
			case <-time.After(patience):
				t.Fatal("message did not come")
			}
		}
		Eventually(t, "both had one", func() bool { round(); return got[0] > 0 && got[1] > 0 })
		// One whose goroutine is not run for a moment is not idle, so once is enough.
		Eventually(t, "20 messages shared by two idle consumers", func() bool {
			got = [2]int{}
			for range 20 {
				round()
			}
			return got[0] >= 6 && got[1] >= 6
		})
	}},

	{"every message is acknowledged once, with many consumers and publishers", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		const publishers, each = 4, 200
		var mu sync.Mutex
		acked, requeued := make(map[string]int), make(map[string]bool)
		total := func() (n int) {
			mu.Lock()
			defer mu.Unlock()
			for _, k := range acked {
				n += k
			}
			return n
		}
		for range 3 {
			consumeWith(t, b, q, 16, func(d *dispatch.Delivery) {
				go func() { // settled out of order, and a third of them at the second time
					mu.Lock()
					id := string(d.Body)
					out := dispatch.Ack
					if strings.HasSuffix(id, "3") && !requeued[id] {
						requeued[id] = true
						out = dispatch.Requeue
					} else {
						acked[id]++
						if requeued[id] != d.Redelivered {
							t.Errorf("%s: Redelivered is %v", id, d.Redelivered)
						}
					}
					mu.Unlock()
					d.Settle(out)
				}()
			})
		}
		s := newSettlements(t)
		var wg sync.WaitGroup
		for p := range publishers {
			wg.Go(func() {
				for i := range each {
					s.publish(b, q.Name, dispatch.Message{Body: []byte(strconv.Itoa(p) + "-" + strconv.Itoa(i))})
				}
			})
		}
		wg.Wait()
		for _, err := range s.wait() {
			if err != nil {
				t.Fatalf("settled with %v", err)
			}
		}
		Eventually(t, "every message acknowledged", func() bool { return total() >= publishers*each })
		mu.Lock()
		defer mu.Unlock()
		for id, n := range acked {
			if n != 1 {
				t.Errorf("%s was acknowledged %d times", id, n)
			}
		}
	}},

	{"consumers may keep the bodies", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		c := consume(t, b, q, 50)
		const n = 200
		kept := make([][]byte, n)
		s := newSettlements(t)
		for i := range n {
			s.publish(b, q.Name, dispatch.Message{Body: []byte(strings.Repeat(strconv.Itoa(i)+" ", 100))})
		}
		for i := range n {
			d := c.next()
			kept[i] = d.Body
			d.Settle(dispatch.Ack)
		}
		for i, body := range kept {
			if string(body) != strings.Repeat(strconv.Itoa(i)+" ", 100) {
				t.Fatalf("body %d has changed since", i)
			}
		}
		s.wait()
	}},

	{"when its context ends it takes no more, and waits until all is settled", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		c := consume(t, b, q, 3)
		send(t, b, q.Name, "1", "2", "3", "4", "5")
		held := []*dispatch.Delivery{c.next(), c.next(), c.next()}
		c.cancel()
		Eventually(t, "no consumer", func() bool { return inspect(t, b, q.Name).Consumers == 0 })
		held[0].Settle(dispatch.Ack)
		held[2].Settle(dispatch.Ack)
		ready(t, b, q.Name, 2)
		select {
		case err := <-c.returned:
			t.Fatalf("Consume returned %v with a delivery unsettled", err)
		case d := <-c.got:
			t.Fatalf("%s was handed over after the end", d.Body)
		default:
		}
		held[1].Settle(dispatch.Requeue)
		c.stop()
		other := consume(t, b, q, 1)
		for _, want := range []string{"2", "4", "5"} {
			d := other.next()
			if string(d.Body) != want || d.Redelivered != (want == "2") {
				t.Errorf("got %s, Redelivered %v; want %s", d.Body, d.Redelivered, want)
			}
			d.Settle(dispatch.Ack)
		}
	}},

	{"when its context ends it still hands over what it holds", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		declare(t, b, q)
		texts := []string{"1", "2", "3", "4", "5"}
		send(t, b, q.Name, texts...)
		entered, release := make(chan struct{}, 10), make(chan struct{})
		unblock := sync.OnceFunc(func() { close(release) })
		var mu sync.Mutex
		var got []string
		c := consumeWith(t, b, q, 5, func(d *dispatch.Delivery) {
			mu.Lock()
			got = append(got, string(d.Body))
			mu.Unlock()
			entered <- struct{}{}
			<-release
			d.Settle(dispatch.Ack)
		})
		t.Cleanup(unblock)
		<-entered
		c.cancel() // it may hold more than the handler has seen, or not
		unblock()
		c.stop()
		left := inspect(t, b, q.Name).Ready
		if len(got)+left != len(texts) {
			t.Fatalf("%d handed over and %d left of %d", len(got), left, len(texts))
		}
		other := consume(t, b, q, 5)
		for range left {
			d := other.next()
			if d.Redelivered {
				t.Errorf("%s was given back instead of handed over", d.Body)
			}
			got = append(got, string(d.Body))
			d.Settle(dispatch.Ack)
		}
		if strings.Join(got, "") != strings.Join(texts, "") {
			t.Errorf("got %q", got)
		}
	}},

	{"returns nil at once when its context has ended", func(t *testing.T, b dispatch.Broker) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Consume(ctx, newQueue(t, b), 1, func(*dispatch.Delivery) { t.Error("delivery") }); err != nil {
			t.Errorf("Consume = %v", err)
		}
	}},

	{"a queue that exists with other properties is an error", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		q.MaxLength, q.Expires = 10, time.Minute
		declare(t, b, q)
		for _, other := range []dispatch.Queue{
			{Name: q.Name, MaxLength: 11, Expires: time.Minute},
			{Name: q.Name, MaxLength: 10, Expires: time.Hour},
			{Name: q.Name, Expires: time.Minute},
			{Name: q.Name, MaxLength: 10},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			err := b.Consume(ctx, other, 1, func(*dispatch.Delivery) {})
			if err == nil {
				t.Errorf("Consume(%+v) = nil, the queue is %+v", other, q)
			}
			cancel()
		}
		send(t, b, q.Name, "unharmed")
		consume(t, b, q, 1).expect("unharmed")
	}},

	{"what can never be consumed is an error", func(t *testing.T, b dispatch.Broker) {
		in := openInbox(t, b, "test-inbox-")
		for _, tc := range []struct {
			what     string
			q        dispatch.Queue
			prefetch int
		}{
			{"no name", dispatch.Queue{}, 1},
			{"a name too long", dispatch.Queue{Name: strings.Repeat("n", 256)}, 1},
			{"no prefetch", dispatch.Queue{Name: Name()}, 0},
			{"too large a prefetch", dispatch.Queue{Name: Name()}, 1 << 16},
			{"a negative MaxLength", dispatch.Queue{Name: Name(), MaxLength: -1}, 1},
			{"a negative Expires", dispatch.Queue{Name: Name(), Expires: -1}, 1},
			{"somebody's inbox", dispatch.Queue{Name: in.name()}, 1},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			if err := b.Consume(ctx, tc.q, tc.prefetch, func(*dispatch.Delivery) {}); err == nil {
				t.Errorf("%s: Consume = nil", tc.what)
			}
			cancel()
		}
	}},

	{"declares again when the queue is deleted under it", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		c := consume(t, b, q, 2)
		send(t, b, q.Name, "held")
		held := c.next()
		for range 3 {
			if err := b.Delete(t.Context(), q.Name); err != nil {
				t.Fatalf("Delete = %v", err)
			}
			Eventually(t, "a consumer again", func() bool {
				s, err := b.Inspect(t.Context(), q.Name)
				return err == nil && s.Consumers == 1
			})
			send(t, b, q.Name, "after")
			c.expect("after")
		}
		held.Settle(dispatch.Requeue) // of a queue that is no more: nothing
		send(t, b, q.Name, "end")
		c.expect("end")
	}},
}
