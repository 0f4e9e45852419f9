package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/memory"
	"github.com/funcatron/funcatron/shared/envelope"
)

// ask is a request with a method and a body.
type ask struct {
	method, body string
	retry        bool
}

func (a ask) AppendTo(dst []byte, call uint64, left time.Duration) []byte {
	dst = envelope.AppendRequest(dst, call, left, a.retry, []byte(a.method), []byte("/x"), len(a.body))
	return append(dst, "\r\n"+a.body...)
}

// bus is a Caller and a Responder on one in-memory broker.
type bus struct {
	broker    dispatch.Broker
	caller    *dispatch.Caller
	responder *dispatch.Responder
	serving   context.CancelFunc // ends serve
	served    chan error
}

func newBus(t *testing.T, o dispatch.CallerOptions) *bus {
	t.Helper()
	b := &bus{broker: memory.New(), served: make(chan error, 1)}
	var err error
	if b.caller, err = dispatch.NewCaller(b.broker, o); err != nil {
		t.Fatal(err)
	}
	b.responder = dispatch.NewResponder(b.broker, dispatch.ResponderOptions{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.caller.Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(wg.Wait) // after t.Context has ended
	return b
}

func (b *bus) serve(t *testing.T, slots int, h func(*dispatch.Call)) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	b.serving = stop
	go func() { b.served <- b.responder.Serve(ctx, dispatch.Queue{Name: "q"}, slots, h) }()
	t.Cleanup(func() { stop(); <-b.served; b.served <- nil })
	until(t, "the queue has a consumer", func() bool {
		st, err := b.broker.Inspect(t.Context(), "q")
		return err == nil && st.Consumers == 1
	})
}

func (b *bus) call(method, body string, left time.Duration) (envelope.Response, error) {
	var r envelope.Response
	err := b.caller.Call("q", 8, time.Now().Add(left), ask{method: method, body: body}, &r)
	return r, err
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("not within 10s: " + what)
		}
	}
}

func echo(c *dispatch.Call) {
	c.Reply(&envelope.Response{Status: 200, Header: []byte("A: b\r\n"), Body: c.Body, Ran: time.Millisecond})
}

func TestCallGetsItsReply(t *testing.T) {
	b := newBus(t, dispatch.DefaultCallerOptions())
	b.serve(t, 8, echo)
	until(t, "a first reply", func() bool { _, err := b.call("GET", "x", time.Minute); return err == nil })
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 50 {
				body := strings.Repeat(fmt.Sprintf("%d/%d ", i, j), 20)
				r, err := b.call("POST", body, time.Minute)
				if err != nil || r.Status != 200 || string(r.Body) != body || string(r.Header) != "A: b\r\n" || r.Ran != time.Millisecond || r.Fault != 0 {
					t.Errorf("call %s: %v %+v", body, err, r)
				}
			}
		})
	}
	wg.Wait()
}

func TestCallWithoutAQueueFailsAtOnce(t *testing.T) {
	b := newBus(t, dispatch.DefaultCallerOptions())
	var err error
	until(t, "the reply queue is there", func() bool {
		_, err = b.call("GET", "", time.Minute)
		return !errors.Is(err, dispatch.ErrDown)
	})
	if !errors.Is(err, dispatch.ErrUnroutable) {
		t.Errorf("call = %v, want ErrUnroutable", err)
	}
}

func TestCallEndsAtItsDeadlineAndItsReplyIsDropped(t *testing.T) {
	b := newBus(t, dispatch.DefaultCallerOptions())
	hold := make(chan struct{})
	replied := make(chan struct{})
	b.serve(t, 1, func(c *dispatch.Call) {
		if string(c.Body) == "slow" {
			<-hold
			defer close(replied)
		}
		echo(c)
	})
	if _, err := b.call("GET", "slow", 50*time.Millisecond); !errors.Is(err, dispatch.ErrDeadline) {
		t.Errorf("call = %v, want ErrDeadline", err)
	}
	close(hold)
	<-replied
	if r, err := b.call("GET", "next", time.Minute); err != nil || string(r.Body) != "next" {
		t.Errorf("the call after: %v %q", err, r.Body)
	}
	if n := b.caller.Pending(); n != 0 {
		t.Errorf("%d calls pending", n)
	}
}

func TestCallsAreBounded(t *testing.T) {
	o := dispatch.DefaultCallerOptions()
	o.MaxPending, o.MaxPerQueue = 8, 4
	b := newBus(t, o)
	hold := make(chan struct{})
	var running atomic.Int32
	b.serve(t, 64, func(c *dispatch.Call) { running.Add(1); <-hold; echo(c) })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := b.call("GET", "", time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
	until(t, "four calls run", func() bool { return running.Load() == 4 })
	if _, err := b.call("GET", "", time.Minute); !errors.Is(err, dispatch.ErrFull) {
		t.Errorf("fifth call of the queue = %v, want ErrFull", err)
	}
	close(hold)
	wg.Wait()
	if _, err := b.call("GET", "", time.Minute); err != nil {
		t.Errorf("after room was made: %v", err)
	}
}

func TestAbandonEndsTheCallsOfOneQueue(t *testing.T) {
	b := newBus(t, dispatch.DefaultCallerOptions())
	hold := make(chan struct{})
	var running atomic.Int32
	b.serve(t, 64, func(c *dispatch.Call) { running.Add(1); <-hold; echo(c) })
	got := make(chan error, 4)
	for range 4 {
		go func() { _, err := b.call("GET", "", time.Minute); got <- err }()
	}
	until(t, "four calls run", func() bool { return running.Load() == 4 })
	b.caller.Abandon("another")
	if n := b.caller.Pending(); n != 4 {
		t.Errorf("%d calls pending after another queue was abandoned", n)
	}
	b.caller.Abandon("q")
	for range 4 {
		if err := <-got; !errors.Is(err, dispatch.ErrLost) {
			t.Errorf("call = %v, want ErrLost", err)
		}
	}
	close(hold)
}

// A Responder that drains is no consumer of its queue any more, and yet answers.
func TestAbandonSparesWhatIsWorkedOff(t *testing.T) {
	b := newBus(t, dispatch.DefaultCallerOptions())
	hold, started := make(chan struct{}), make(chan struct{})
	b.serve(t, 1, func(c *dispatch.Call) { close(started); <-hold; echo(c) })
	got := make(chan error, 1)
	go func() { _, err := b.call("POST", "", time.Minute); got <- err }()
	<-started
	b.serving()
	until(t, "the reply is promised", func() bool { return b.caller.Kept() == 1 })
	probe := make(chan error, 1)
	go func() { _, err := b.call("GET", "", time.Minute); probe <- err }()
	until(t, "both calls wait", func() bool { return b.caller.Pending() == 2 })
	b.caller.Abandon("q")
	if err := <-probe; !errors.Is(err, dispatch.ErrLost) {
		t.Errorf("the call that nobody took: %v, want ErrLost", err)
	}
	close(hold)
	if err := <-got; err != nil {
		t.Errorf("the call that is worked off: %v", err)
	}
}

func TestCallsAreBoundedInBytes(t *testing.T) {
	o := dispatch.DefaultCallerOptions()
	o.MaxBytes = 14_000 // 10 500 of it for one queue
	b := newBus(t, o)
	b.serve(t, 1, echo)
	until(t, "a first reply", func() bool { _, err := b.call("GET", "x", time.Minute); return err == nil })
	if _, err := b.call("POST", strings.Repeat("x", 6000), time.Minute); !errors.Is(err, dispatch.ErrFull) {
		t.Errorf("a call beyond the bound: %v, want ErrFull", err)
	}
	for range 100 { // what has ended counts no more
		if _, err := b.call("POST", strings.Repeat("x", 4000), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
}

// Large requests to one queue leave room for those to another.
func TestOneQueueDoesNotTakeAllTheBytes(t *testing.T) {
	o := dispatch.DefaultCallerOptions()
	o.MaxBytes = 40_000
	b := newBus(t, o)
	b.serve(t, 8, echo)
	hold := make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- b.responder.Serve(ctx, dispatch.Queue{Name: "slow"}, 8, func(c *dispatch.Call) { <-hold; echo(c) })
	}()
	until(t, "both queues have a consumer", func() bool {
		st, err := b.broker.Inspect(t.Context(), "slow")
		return err == nil && st.Consumers == 1
	})
	until(t, "a first reply", func() bool { _, err := b.call("GET", "x", time.Minute); return err == nil })
	var wg sync.WaitGroup
	var refused atomic.Int32
	for range 20 {
		wg.Go(func() {
			var r envelope.Response
			err := b.caller.Call("slow", 8, time.Now().Add(time.Minute), ask{method: "POST", body: strings.Repeat("x", 4000)}, &r)
			if errors.Is(err, dispatch.ErrFull) {
				refused.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	until(t, "the slow queue has its share", func() bool { return refused.Load() > 0 && b.caller.Pending() == 20-int(refused.Load()) })
	if _, err := b.call("POST", strings.Repeat("x", 4000), time.Minute); err != nil {
		t.Errorf("a call to the other queue: %v", err)
	}
	close(hold)
	wg.Wait()
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestSlotsBoundWhatRuns(t *testing.T) {
	b := newBus(t, dispatch.DefaultCallerOptions())
	var running, most atomic.Int32
	b.serve(t, 3, func(c *dispatch.Call) {
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		echo(c)
		running.Add(-1)
	})
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if _, err := b.call("GET", "", time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most.Load() > 3 {
		t.Errorf("%d calls ran at once, want 3 at most", most.Load())
	}
}

func TestServeDrains(t *testing.T) {
	b := newBus(t, dispatch.DefaultCallerOptions())
	started, hold := make(chan struct{}), make(chan struct{})
	b.serve(t, 1, func(c *dispatch.Call) { close(started); <-hold; echo(c) })
	got := make(chan error, 1)
	go func() { _, err := b.call("GET", "", time.Minute); got <- err }()
	<-started
	b.serving()
	select {
	case err := <-b.served:
		t.Fatalf("Serve returned (%v) while a call was running", err)
	default:
	}
	close(hold)
	if err := <-got; err != nil {
		t.Errorf("the running call: %v", err)
	}
	if err := <-b.served; err != nil {
		t.Errorf("Serve = %v", err)
	}
	b.served <- nil
}

// What comes back because its Responder died does not run: a message that kills
// whoever runs it would otherwise never end. Its Caller is told, and decides.
func TestRedelivery(t *testing.T) {
	for _, req := range []ask{{method: "GET"}, {method: "POST"}, {method: "POST", retry: true}} {
		t.Run(fmt.Sprintf("%s retry=%v", req.method, req.retry), func(t *testing.T) {
			b := newBus(t, dispatch.DefaultCallerOptions())
			ctx, dies := context.WithCancel(t.Context())
			defer dies()
			died := make(chan error, 1)
			go func() {
				died <- b.broker.Consume(ctx, dispatch.Queue{Name: "q"}, 1, func(d *dispatch.Delivery) {
					dies()
					d.Settle(dispatch.Requeue)
				})
			}()
			type reply struct {
				r   envelope.Response
				err error
			}
			got := make(chan reply, 1)
			go func() {
				var r reply
				for {
					r.err = b.caller.Call("q", 1, time.Now().Add(time.Minute), req, &r.r)
					if !errors.Is(r.err, dispatch.ErrDown) && !errors.Is(r.err, dispatch.ErrUnroutable) {
						break // else the queues are not there yet
					}
				}
				got <- r
			}()
			if err := <-died; err != nil {
				t.Fatal(err)
			}
			var runs atomic.Int32
			b.serve(t, 1, func(c *dispatch.Call) { runs.Add(1); echo(c) })
			r := <-got
			if r.err != nil || r.r.Fault != envelope.MaybeRan || runs.Load() != 0 {
				t.Errorf("error %v, fault %d, ran %d times; want fault %d and not to run", r.err, r.r.Fault, runs.Load(), envelope.MaybeRan)
			}
		})
	}
}

// One bad reply harms neither its runner nor the replies that share its message.
func TestBadReplies(t *testing.T) {
	b := newBus(t, dispatch.DefaultCallerOptions())
	b.serve(t, 8, func(c *dispatch.Call) {
		switch string(c.Body) {
		case "panic":
			panic("on purpose")
		case "nothing":
		case "status":
			c.Reply(&envelope.Response{Status: 12345})
		case "header":
			c.Reply(&envelope.Response{Status: 200, Header: []byte("A: b\r\n\r\nHTTP/1.1 200 \r\n")})
		case "large":
			c.Reply(&envelope.Response{Status: 200, Header: []byte("A: " + strings.Repeat("b", 2<<20) + "\r\n")})
		default:
			echo(c)
		}
	})
	var wg sync.WaitGroup
	for i := range 200 {
		body := []string{"good", "panic", "nothing", "status", "header", "large"}[i%6]
		wg.Go(func() {
			r, err := b.call("POST", body, time.Minute)
			if err != nil || (r.Fault == envelope.NoFault) != (body == "good") {
				t.Errorf("%s: %v, fault %d", body, err, r.Fault)
			}
		})
	}
	wg.Wait()
}

// Messages that are no requests are dropped, and harm nobody.
func TestGarbage(t *testing.T) {
	b := newBus(t, dispatch.DefaultCallerOptions())
	b.serve(t, 2, echo)
	good := string(ask{method: "GET", body: "x"}.AppendTo(nil, 1, time.Second))
	for _, m := range []dispatch.Message{
		{Body: []byte("garbage"), ReplyTo: "nowhere"},
		{Body: nil, ReplyTo: "nowhere"},
		{Body: []byte(good)},
		{Body: []byte(good), ReplyTo: "nowhere"},
		{Body: []byte(good + "garbage"), ReplyTo: "nowhere"},
	} {
		b.broker.Publish("q", m, nil)
	}
	until(t, "a call is answered", func() bool { _, err := b.call("GET", "y", time.Minute); return err == nil })
	until(t, "the queue is empty", func() bool {
		st, err := b.broker.Inspect(t.Context(), "q")
		return err == nil && st.Ready == 0
	})
}

func BenchmarkCallMemory(b *testing.B) {
	broker := memory.New()
	caller, err := dispatch.NewCaller(broker, dispatch.DefaultCallerOptions())
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = caller.Run(ctx) })
	wg.Go(func() {
		_ = dispatch.NewResponder(broker, dispatch.ResponderOptions{}).Serve(ctx, dispatch.Queue{Name: "q"}, 64, echo)
	})
	defer wg.Wait()
	defer stop()
	req := ask{method: "GET"}
	var r envelope.Response
	for caller.Call("q", 32, time.Now().Add(time.Second), req, &r) != nil {
	}
	b.ReportAllocs()
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		var r envelope.Response
		for pb.Next() {
			if err := caller.Call("q", 32, time.Now().Add(time.Minute), req, &r); err != nil {
				b.Error(err)
			}
		}
	})
}
