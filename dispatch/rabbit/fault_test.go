package rabbit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/brokertest"
	"github.com/funcatron/funcatron/dispatch/rabbit"
)

// backWithin is how soon service must be back after RabbitMQ is.
const backWithin = 5 * time.Second

// eachOnce is a settled that counts, for any number of messages.
type eachOnce struct {
	mu    sync.Mutex
	calls []int
	errs  []error
}

func (e *eachOnce) settled() func(error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := len(e.calls)
	e.calls, e.errs = append(e.calls, 0), append(e.errs, nil)
	return func(err error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.calls[i]++
		e.errs[i] = err
	}
}

func (e *eachOnce) open() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.calls {
		if c == 0 {
			n++
		}
	}
	return n
}

// check waits until all are settled, each once and with nil or one of these.
func (e *eachOnce) check(t *testing.T, may ...error) {
	t.Helper()
	brokertest.Eventually(t, "every message settled", func() bool { return e.open() == 0 })
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, c := range e.calls {
		ok := e.errs[i] == nil
		for _, m := range may {
			ok = ok || errors.Is(e.errs[i], m)
		}
		if c != 1 || !ok {
			t.Errorf("message %d was settled %d times, last with %v", i, c, e.errs[i])
		}
	}
}

// publish publishes and waits for the outcome.
func publish(t *testing.T, b dispatch.Broker, queue string, m dispatch.Message) error {
	t.Helper()
	done := make(chan error, 1)
	b.Publish(queue, m, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("not settled within 20 s")
		return nil
	}
}

// background runs f until the test ends, or stop is called.
func background(t *testing.T, f func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("it ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("it did not end within 20 s of its context")
		}
	})
	t.Cleanup(stop)
	return stop
}

// recovers waits until b can publish again, which must be soon.
func recovers(t *testing.T, b *rabbit.Broker) {
	t.Helper()
	since := time.Now()
	up(t, b)
	if d := time.Since(since); d > backWithin {
		t.Errorf("it was back after %v only", d)
	}
}

func newQueue(t *testing.T, b dispatch.Broker) dispatch.Queue {
	name := brokertest.Name()
	t.Cleanup(func() {
		brokertest.Eventually(t, "queue deleted", func() bool { return b.Delete(context.Background(), name) == nil })
	})
	return dispatch.Queue{Name: name}
}

func consumers(t *testing.T, b dispatch.Broker, queue string) int {
	s, err := b.Inspect(t.Context(), queue)
	if err != nil {
		return -1
	}
	return s.Consumers
}

func TestConnectionCutUnderLoad(t *testing.T) {
	url := brokertest.RabbitURL(t)
	brokertest.CheckGoroutines(t)
	proxy := brokertest.NewProxy(t, url)
	set := metrics.NewSet()
	b := open(t, rabbit.Options{URL: proxy.URL(), Metrics: set})
	q := newQueue(t, b)

	var mu sync.Mutex
	seen := make(map[string]int)
	background(t, func(ctx context.Context) error {
		return b.Consume(ctx, q, 20, func(d *dispatch.Delivery) {
			mu.Lock()
			seen[string(d.Body)]++
			mu.Unlock()
			go d.Settle(dispatch.Ack)
		})
	})
	names := make(chan string, 100)
	background(t, func(ctx context.Context) error {
		return b.Inbox(ctx, "test-inbox-", func(name string) { names <- name }, func(*dispatch.Delivery) {})
	})
	last := <-names
	brokertest.Eventually(t, "a consumer", func() bool { return consumers(t, b, q.Name) == 1 })

	var all eachOnce
	var taken sync.Map // what the broker has taken responsibility for
	pause := time.NewTicker(100 * time.Microsecond)
	defer pause.Stop()
	stop := background(t, func(ctx context.Context) error {
		for i := 0; ctx.Err() == nil; i++ {
			<-pause.C
			id := fmt.Sprint(i)
			once := all.settled()
			b.Publish(q.Name, dispatch.Message{Body: []byte(id)}, func(err error) {
				if err == nil {
					taken.Store(id, true)
				}
				once(err)
			})
		}
		return nil
	})
	goroutines := runtime.NumGoroutine()
	for range 4 {
		mu.Lock()
		before := len(seen)
		mu.Unlock()
		brokertest.Eventually(t, "messages flow", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(seen) > before+50
		})
		proxy.Cut()
		brokertest.Eventually(t, "ErrDown", func() bool { return errors.Is(b.Err(), dispatch.ErrDown) })
		var settled error
		b.Publish(q.Name, dispatch.Message{}, func(err error) { settled = err })
		if !errors.Is(settled, dispatch.ErrDown) {
			t.Errorf("settled with %v before Publish returned, want ErrDown", settled)
		}
		if name := <-names; name != "" {
			t.Errorf("opened(%q) when the inbox was lost", name)
		}
		brokertest.Eventually(t, "Inspect tells", func() bool {
			_, err := b.Inspect(t.Context(), q.Name)
			return errors.Is(err, dispatch.ErrDown)
		})
		proxy.Resume()
		recovers(t, b)
		name := <-names
		if name == "" || name == last {
			t.Errorf("opened(%q) for the new inbox, the last was %s", name, last)
		}
		if err := publish(t, b, name, dispatch.Message{}); err != nil {
			t.Errorf("publish to the new inbox: %v", err)
		}
		last = name
	}
	stop()
	all.check(t, dispatch.ErrDown)
	taken.Range(func(id, _ any) bool {
		brokertest.Eventually(t, "what was taken is delivered", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return seen[id.(string)] > 0
		})
		return true
	})
	brokertest.Eventually(t, "no more goroutines than before the cuts", func() bool { return runtime.NumGoroutine() <= goroutines })
	if n := set.GetOrCreateCounter("funcatron_broker_reconnects_total").Get(); n != 8 {
		t.Errorf("%d reconnects of two connections cut four times", n)
	}
}

func TestSettleAfterTheConnectionIsLost(t *testing.T) {
	url := brokertest.RabbitURL(t)
	brokertest.CheckGoroutines(t)
	proxy := brokertest.NewProxy(t, url)
	b := open(t, rabbit.Options{URL: proxy.URL()})
	q := newQueue(t, b)
	got := make(chan *dispatch.Delivery, 100)
	stop := background(t, func(ctx context.Context) error {
		return b.Consume(ctx, q, 2, func(d *dispatch.Delivery) { got <- d })
	})
	brokertest.Eventually(t, "a consumer", func() bool { return consumers(t, b, q.Name) == 1 })
	for _, text := range []string{"1", "2", "3"} {
		if err := publish(t, b, q.Name, dispatch.Message{Body: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	one, two := <-got, <-got
	proxy.Cut()
	brokertest.Eventually(t, "the loss noticed", func() bool { _, err := b.Inspect(t.Context(), q.Name); return err != nil })
	proxy.Resume()
	recovers(t, b)
	// It consumes again, but two are unsettled already, whoever has them now.
	brokertest.Eventually(t, "a consumer again, which holds two", func() bool {
		s, err := b.Inspect(t.Context(), q.Name)
		return err == nil && s == (dispatch.Status{Ready: 1, Consumers: 1})
	})
	if len(got) > 0 {
		t.Fatal("more than the prefetch was handed over")
	}
	one.Settle(dispatch.Ack) // does nothing: it comes again
	again := <-got
	if string(again.Body) != "1" || !again.Redelivered {
		t.Errorf("got %s, Redelivered %v", again.Body, again.Redelivered)
	}
	again.Settle(dispatch.Ack)
	two.Settle(dispatch.Requeue) // does nothing either
	for _, want := range []string{"2", "3"} {
		d := <-got
		if string(d.Body) != want || d.Redelivered != (want == "2") {
			t.Errorf("got %s, Redelivered %v; want %s", d.Body, d.Redelivered, want)
		}
		d.Settle(dispatch.Ack)
	}
	stop()
	if s, err := b.Inspect(t.Context(), q.Name); err != nil || s.Ready != 0 {
		t.Errorf("Inspect = %+v, %v; want an empty queue", s, err)
	}
}

func TestDrainWhileTheConnectionIsLost(t *testing.T) {
	url := brokertest.RabbitURL(t)
	brokertest.CheckGoroutines(t)
	proxy := brokertest.NewProxy(t, url)
	b := open(t, rabbit.Options{URL: proxy.URL()})
	q := newQueue(t, b)
	got := make(chan *dispatch.Delivery, 100)
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan error, 1)
	go func() { returned <- b.Consume(ctx, q, 1, func(d *dispatch.Delivery) { got <- d }) }()
	brokertest.Eventually(t, "a consumer", func() bool { return consumers(t, b, q.Name) == 1 })
	if err := publish(t, b, q.Name, dispatch.Message{}); err != nil {
		t.Fatal(err)
	}
	d := <-got
	proxy.Cut()
	brokertest.Eventually(t, "the loss noticed", func() bool { return b.Err() != nil })
	cancel()
	select {
	case err := <-returned:
		t.Errorf("Consume returned %v with a delivery unsettled", err)
	default:
	}
	d.Settle(dispatch.Ack)
	if err := <-returned; err != nil {
		t.Errorf("Consume = %v", err)
	}
	proxy.Resume()
	recovers(t, b)
}

// A stall tells nobody anything; only time does.
func TestConnectionStalled(t *testing.T) {
	url := brokertest.RabbitURL(t)
	for _, tc := range []struct {
		name string
		o    rabbit.Options
		load bool // something waits for a confirm
	}{
		{"no confirm comes", rabbit.Options{Heartbeat: time.Hour, Timeout: time.Second}, true},
		{"no heartbeat comes", rabbit.Options{Heartbeat: time.Second, Timeout: time.Hour}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			brokertest.CheckGoroutines(t)
			proxy := brokertest.NewProxy(t, url)
			tc.o.URL, tc.o.DialTimeout = proxy.URL(), time.Second
			tc.o.Buffer, tc.o.Channels = 64, 1
			b := open(t, tc.o)
			q := newQueue(t, b)
			background(t, func(ctx context.Context) error {
				return b.Consume(ctx, q, 5, func(d *dispatch.Delivery) { d.Settle(dispatch.Ack) })
			})
			brokertest.Eventually(t, "a consumer", func() bool { return consumers(t, b, q.Name) == 1 })

			proxy.Stall()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := b.Inspect(ctx, q.Name); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Inspect = %v, want its context's end", err)
			}
			var all eachOnce
			if tc.load {
				body := bytes.Repeat([]byte("x"), 1<<20) // more than the sockets hold
				since := time.Now()
				for range 100 {
					b.Publish(q.Name, dispatch.Message{Body: body}, all.settled())
				}
				if d := time.Since(since); d > tc.o.Timeout/2 {
					t.Errorf("100 times Publish took %v: it waits for the network", d)
				}
				if n := all.open(); n > tc.o.Buffer {
					t.Errorf("%d messages wait, at most %d should", n, tc.o.Buffer)
				}
			}
			brokertest.Eventually(t, "ErrDown", func() bool { return errors.Is(b.Err(), dispatch.ErrDown) })
			all.check(t, dispatch.ErrDown, dispatch.ErrFull)
			proxy.Resume()
			recovers(t, b)
			brokertest.Eventually(t, "a consumer again", func() bool { return consumers(t, b, q.Name) >= 1 })
			if err := publish(t, b, q.Name, dispatch.Message{Body: []byte("x")}); err != nil {
				t.Errorf("settled with %v", err)
			}
		})
	}
}

func TestEverythingEndsWhileTheConnectionIsStalled(t *testing.T) {
	url := brokertest.RabbitURL(t)
	brokertest.CheckGoroutines(t)
	proxy := brokertest.NewProxy(t, url)
	b, err := rabbit.New(rabbit.Options{URL: proxy.URL(), Timeout: time.Second, Heartbeat: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	direct := open(t, rabbit.Options{URL: url})
	q := newQueue(t, direct)
	run := background(t, b.Run)
	up(t, b)
	got := make(chan *dispatch.Delivery, 1)
	consume := background(t, func(ctx context.Context) error {
		return b.Consume(ctx, q, 1, func(d *dispatch.Delivery) { got <- d })
	})
	opened := make(chan string, 10)
	inbox := background(t, func(ctx context.Context) error {
		return b.Inbox(ctx, "test-inbox-", func(name string) { opened <- name }, func(*dispatch.Delivery) {})
	})
	<-opened
	brokertest.Eventually(t, "a consumer", func() bool { return consumers(t, b, q.Name) == 1 })
	if err := publish(t, b, q.Name, dispatch.Message{}); err != nil {
		t.Fatal(err)
	}
	d := <-got
	proxy.Stall()
	var all eachOnce
	b.Publish(q.Name, dispatch.Message{}, all.settled())
	d.Settle(dispatch.Ack) // does not wait for the network
	since := time.Now()
	for _, stop := range []func(){consume, inbox, run} {
		stop()
	}
	if d := time.Since(since); d > 10*time.Second {
		t.Errorf("it took %v to end", d)
	}
	all.check(t, dispatch.ErrDown)
	proxy.Resume()
}

func TestRunSendsWhatWasPublishedBeforeItsEnd(t *testing.T) {
	url := brokertest.RabbitURL(t)
	brokertest.CheckGoroutines(t)
	b := open(t, rabbit.Options{URL: url})
	q := newQueue(t, b)
	background(t, func(ctx context.Context) error {
		return b.Consume(ctx, q, 100, func(d *dispatch.Delivery) { d.Settle(dispatch.Ack) })
	})
	brokertest.Eventually(t, "a consumer", func() bool { return consumers(t, b, q.Name) == 1 })

	leaving, err := rabbit.New(rabbit.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	stop := background(t, leaving.Run)
	up(t, leaving)
	var all eachOnce
	for range 300 {
		leaving.Publish(q.Name, dispatch.Message{Body: []byte("x")}, all.settled())
	}
	stop()
	if n := all.open(); n > 0 {
		t.Errorf("%d messages are not settled when Run has returned", n)
	}
	all.check(t)
	if err := publish(t, leaving, q.Name, dispatch.Message{}); !errors.Is(err, dispatch.ErrDown) {
		t.Errorf("settled with %v after Run, want ErrDown", err)
	}
}

func TestMessagesThatRabbitMQWouldNotTakeHarmNobody(t *testing.T) {
	url := brokertest.RabbitURL(t)
	set := metrics.NewSet()
	b := open(t, rabbit.Options{URL: url, Metrics: set})
	q := newQueue(t, b)
	var n atomic.Int32
	background(t, func(ctx context.Context) error {
		return b.Consume(ctx, q, 100, func(d *dispatch.Delivery) { n.Add(1); d.Settle(dispatch.Ack) })
	})
	brokertest.Eventually(t, "a consumer", func() bool { return consumers(t, b, q.Name) == 1 })
	if err := publish(t, b, q.Name, dispatch.Message{Body: make([]byte, 16<<20+1)}); !errors.Is(err, dispatch.ErrTooLarge) {
		t.Errorf("more than 16 MiB: settled with %v, want ErrTooLarge", err)
	}
	long := strings.Repeat("x", 256)
	for _, m := range []dispatch.Message{{ReplyTo: long}, {CorrelationID: long}, {ContentType: long}} {
		if err := publish(t, b, q.Name, m); err == nil {
			t.Error("a property too long: settled with nil")
		}
	}
	for _, d := range []time.Duration{1, -time.Second, 1 << 62} {
		if err := publish(t, b, q.Name, dispatch.Message{Expiration: d}); err != nil {
			t.Errorf("Expiration %v: settled with %v", d, err)
		}
	}
	if err := publish(t, b, q.Name, dispatch.Message{Body: make([]byte, 12<<20)}); err != nil {
		t.Errorf("12 MiB: settled with %v", err)
	}
	brokertest.Eventually(t, "deliveries", func() bool { return n.Load() >= 2 })
	if err := publish(t, b, brokertest.Name(), dispatch.Message{}); !errors.Is(err, dispatch.ErrUnroutable) {
		t.Errorf("settled with %v", err)
	}
	for name, want := range map[string]uint64{
		"funcatron_broker_reconnects_total": 0,
		"funcatron_broker_rejected_total":   1,
		"funcatron_broker_returned_total":   1,
	} {
		if got := set.GetOrCreateCounter(name).Get(); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}
