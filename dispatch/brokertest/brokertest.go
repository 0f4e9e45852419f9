// Package brokertest is the contract of dispatch.Broker as a test suite, and what
// tests need to have a RabbitMQ, to break the way to it, and to break it.
//
// Every broker must pass Run, so that they cannot drift apart. Nothing in it
// assumes a clean broker: names are drawn at random, and what a test declares it
// deletes.
package brokertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch"
)

// patience is how long a test waits for what should happen soon.
const patience = 20 * time.Second

// Run runs the contract test over brokers that open makes, one a sub-test. open
// returns a broker that is up, and registers its end with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) dispatch.Broker) {
	for _, group := range []struct {
		name  string
		tests []contract
	}{
		{"Publish", publishTests},
		{"Consume", consumeTests},
		{"Inbox", inboxTests},
		{"Queues", queueTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.tests {
				t.Run(c.sentence, func(t *testing.T) {
					CheckGoroutines(t)
					c.test(t, open(t))
				})
			}
		})
	}
}

// contract is one sentence of the contract.
type contract struct {
	sentence string
	test     func(t *testing.T, b dispatch.Broker)
}

// Name draws a name that nobody has used.
func Name() string { return "test-" + strings.ToLower(rand.Text()) }

// Eventually waits until cond holds, and fails the test when it does not come to.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// CheckGoroutines fails the test if, when all its later clean-ups are done, there
// are more goroutines than now.
func CheckGoroutines(t testing.TB) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
			if time.Now().After(end) {
				var stacks bytes.Buffer
				_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
				t.Errorf("%d goroutines, there were %d:\n%s", runtime.NumGoroutine(), before, stacks.Bytes())
				return
			}
			<-time.After(time.Millisecond)
		}
	})
}

// newQueue is a queue of its own that is deleted at the end of the test.
func newQueue(t *testing.T, b dispatch.Broker) dispatch.Queue {
	t.Helper()
	name := Name()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Delete(ctx, name); err != nil {
			t.Errorf("Delete(%s) = %v", name, err)
		}
	})
	return dispatch.Queue{Name: name}
}

// declare makes q exist with no consumer: a consumer comes and goes.
func declare(t *testing.T, b dispatch.Broker, q dispatch.Queue) {
	t.Helper()
	c := consume(t, b, q, 1)
	c.stop()
}

func inspect(t *testing.T, b dispatch.Broker, queue string) dispatch.Status {
	t.Helper()
	s, err := b.Inspect(t.Context(), queue)
	if err != nil {
		t.Fatalf("Inspect(%s) = %v", queue, err)
	}
	return s
}

// ready waits until n messages wait in the queue.
func ready(t *testing.T, b dispatch.Broker, queue string, n int) {
	t.Helper()
	var last dispatch.Status
	defer func() {
		if t.Failed() {
			t.Logf("%s has %+v", queue, last)
		}
	}()
	Eventually(t, "messages in the queue", func() bool {
		last = inspect(t, b, queue)
		return last.Ready == n
	})
}

// settlements counts how often each message's settled was called.
type settlements struct {
	t    *testing.T
	mu   sync.Mutex
	errs [][]error
}

// publish publishes m without waiting.
func (s *settlements) publish(b dispatch.Broker, queue string, m dispatch.Message) {
	s.mu.Lock()
	i := len(s.errs)
	s.errs = append(s.errs, nil)
	s.mu.Unlock()
	b.Publish(queue, m, func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.errs[i] = append(s.errs[i], err)
	})
}

// wait waits until every message is settled, and returns how. At the end of the
// test, none may have been settled twice.
func (s *settlements) wait() []error {
	s.t.Helper()
	Eventually(s.t, "every message settled", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, e := range s.errs {
			if len(e) == 0 {
				return false
			}
		}
		return true
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	first := make([]error, len(s.errs))
	for i, e := range s.errs {
		first[i] = e[0]
	}
	return first
}

func newSettlements(t *testing.T) *settlements {
	s := &settlements{t: t}
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, e := range s.errs {
			if len(e) != 1 {
				t.Errorf("message %d was settled %d times, want once: %v", i, len(e), e)
			}
		}
	})
	return s
}

// publish publishes one message and returns how it was settled.
func publish(t *testing.T, b dispatch.Broker, queue string, m dispatch.Message) error {
	t.Helper()
	s := newSettlements(t)
	s.publish(b, queue, m)
	return s.wait()[0]
}

// send publishes texts, one by one, which all must be taken.
func send(t *testing.T, b dispatch.Broker, queue string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := publish(t, b, queue, dispatch.Message{Body: []byte(text)}); err != nil {
			t.Fatalf("Publish(%s, %q) settled with %v", queue, text, err)
		}
	}
}

// consumer is a running Consume. What is handed to it waits in got.
type consumer struct {
	t        *testing.T
	got      chan *dispatch.Delivery
	cancel   context.CancelFunc
	returned chan error // Consume's result
	ended    bool
}

// consume consumes q from now on: when it returns, RabbitMQ counts it.
func consume(t *testing.T, b dispatch.Broker, q dispatch.Queue, prefetch int) *consumer {
	t.Helper()
	got := make(chan *dispatch.Delivery, 10_000)
	c := consumeWith(t, b, q, prefetch, func(d *dispatch.Delivery) { got <- d })
	c.got = got
	return c
}

func consumeWith(t *testing.T, b dispatch.Broker, q dispatch.Queue, prefetch int, h dispatch.Handler) *consumer {
	t.Helper()
	before := 0
	if s, err := b.Inspect(t.Context(), q.Name); err == nil {
		before = s.Consumers
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &consumer{t: t, cancel: cancel, returned: make(chan error, 1)}
	go func() { c.returned <- b.Consume(ctx, q, prefetch, h) }()
	t.Cleanup(c.stop)
	Eventually(t, "a consumer on "+q.Name, func() bool {
		s, err := b.Inspect(t.Context(), q.Name)
		return err == nil && s.Consumers > before
	})
	return c
}

// next waits for the next delivery.
func (c *consumer) next() *dispatch.Delivery {
	c.t.Helper()
	select {
	case d := <-c.got:
		return d
	case <-time.After(patience):
		c.t.Fatalf("no delivery within %v", patience)
		return nil
	}
}

// expect takes the next deliveries, which must be these, and acknowledges them.
func (c *consumer) expect(texts ...string) {
	c.t.Helper()
	for _, want := range texts {
		d := c.next()
		if string(d.Body) != want {
			c.t.Errorf("got %q, want %q", d.Body, want)
		}
		d.Settle(dispatch.Ack)
	}
}

// stop ends the consumer, gives back what nobody took from got, and checks that
// Consume returns nil.
func (c *consumer) stop() {
	c.t.Helper()
	if c.ended {
		return
	}
	c.ended = true
	c.cancel()
	for {
		select {
		case d := <-c.got:
			d.Settle(dispatch.Requeue)
		case err := <-c.returned:
			if err != nil {
				c.t.Errorf("Consume = %v, want nil when its context ends", err)
			}
			return
		case <-time.After(patience):
			c.t.Errorf("Consume did not return within %v", patience)
			return
		}
	}
}

// inbox is a running Inbox. names has what opened was told.
type inbox struct {
	t      *testing.T
	names  chan string
	got    chan *dispatch.Delivery
	cancel context.CancelFunc
	ended  chan error
	over   bool
}

func openInbox(t *testing.T, b dispatch.Broker, prefix string) *inbox {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	i := &inbox{t: t, names: make(chan string, 100), got: make(chan *dispatch.Delivery, 10_000), cancel: cancel, ended: make(chan error, 1)}
	go func() {
		i.ended <- b.Inbox(ctx, prefix, func(name string) { i.names <- name }, func(d *dispatch.Delivery) { i.got <- d })
	}()
	t.Cleanup(i.stop)
	return i
}

// name waits for what opened is told next.
func (i *inbox) name() string {
	i.t.Helper()
	select {
	case n := <-i.names:
		return n
	case <-time.After(patience):
		i.t.Fatalf("opened was not called within %v", patience)
		return ""
	}
}

func (i *inbox) next() *dispatch.Delivery {
	i.t.Helper()
	select {
	case d := <-i.got:
		return d
	case <-time.After(patience):
		i.t.Fatalf("no delivery within %v", patience)
		return nil
	}
}

func (i *inbox) stop() {
	i.t.Helper()
	if i.over {
		return
	}
	i.over = true
	i.cancel()
	select {
	case err := <-i.ended:
		if err != nil {
			i.t.Errorf("Inbox = %v, want nil when its context ends", err)
		}
	case <-time.After(patience):
		i.t.Errorf("Inbox did not return within %v", patience)
	}
}
