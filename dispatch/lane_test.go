package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// heldBroker takes what is published, and settles when the test says so.
type heldBroker struct {
	Broker // only Publish is called

	mu      sync.Mutex
	sent    []Message
	settle  []func(error)
	instant bool // settle inside Publish
}

func (b *heldBroker) Publish(_ string, m Message, settled func(error)) {
	b.mu.Lock()
	b.sent = append(b.sent, m)
	instant := b.instant
	if !instant {
		b.settle = append(b.settle, settled)
	}
	b.mu.Unlock()
	if instant {
		settled(nil)
	}
}

func (b *heldBroker) settleNext(err error) {
	b.mu.Lock()
	f := b.settle[0]
	b.settle = b.settle[1:]
	b.mu.Unlock()
	f(err)
}

func (b *heldBroker) bodies() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, m := range b.sent {
		all = append(all, string(m.Body))
	}
	return all
}

// ledger is an owner that writes down what became of its items.
type ledger struct {
	mu  sync.Mutex
	got map[uint64]error
	on  func(item)
}

func (l *ledger) settled(it item, err error) {
	l.mu.Lock()
	if l.got == nil {
		l.got = make(map[uint64]error)
	}
	if _, twice := l.got[it.call]; twice {
		err = errors.New("settled twice")
	}
	l.got[it.call] = err
	on := l.on
	l.mu.Unlock()
	if on != nil {
		on(it)
	}
}

func (l *ledger) wanted(it item, now time.Time) bool { return now.Before(it.deadline) }

func testLane(b Broker, limit int) *lane {
	ls := &lanes{broker: b, most: DefaultMaxBatch, messages: new(metrics.Counter), items: new(metrics.Counter)}
	ls.to("q", limit*share).pace.answered(1, 1, 1) // its calls are quick
	return ls.to("q", limit*share)
}

func soon() time.Time { return time.Now().Add(time.Minute) }

func TestLaneSharesMessagesOnlyWhileTheBrokerIsBusy(t *testing.T) {
	b, l := &heldBroker{}, &ledger{}
	ln := testLane(b, 3)
	send := func(body string) {
		for _, c := range []byte(body) {
			ln.send(item{body: []byte{c}, call: uint64(c), deadline: soon(), owner: l})
		}
	}
	send("a")
	expect(t, b.bodies(), "a") // alone, and at once
	send("bc")
	expect(t, b.bodies(), "a")
	send("d")
	expect(t, b.bodies(), "a", "bcd") // nothing is gained by waiting any more
	send("ef")
	b.settleNext(nil)
	expect(t, b.bodies(), "a", "bcd")
	b.settleNext(ErrDown)
	expect(t, b.bodies(), "a", "bcd", "ef") // the broker has settled all: the clock ticks
	send("ghijklmnopqrst")
	expect(t, b.bodies(), "a", "bcd", "ef", "ghi", "jkl", "mno") // the window bounds full ones, too
	for range 5 {
		b.settleNext(nil)
	}
	expect(t, b.bodies(), "a", "bcd", "ef", "ghi", "jkl", "mno", "pqr", "st")
	for call, want := range map[uint64]error{'a': nil, 'b': ErrDown, 'c': ErrDown, 'd': ErrDown, 'e': nil, 'f': nil, 'o': nil} {
		if got, ok := l.got[call]; !ok || got != want {
			t.Errorf("item %c settled (%v) with %v, want %v", rune(call), ok, got, want)
		}
	}
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("messages %.80q, want %.80q", got, want)
	}
}

func TestLaneNeverBatchesWhatIsHandledOneByOne(t *testing.T) {
	b, l := &heldBroker{}, &ledger{}
	ln := testLane(b, 1)
	for i := range window + 2 {
		ln.send(item{body: []byte{'a' + byte(i)}, call: uint64(i), deadline: soon(), owner: l})
	}
	expect(t, b.bodies(), "a", "b", "c", "d")
	b.settleNext(nil)
	b.settleNext(nil)
	expect(t, b.bodies(), "a", "b", "c", "d", "e", "f")
}

func TestLaneSendsNothingStale(t *testing.T) {
	b, l := &heldBroker{}, &ledger{}
	ln := testLane(b, 32)
	ln.send(item{body: []byte("x"), call: 100, deadline: soon(), owner: l})
	ln.send(item{body: []byte("old"), call: 1, deadline: time.Now().Add(-time.Second), owner: l})
	ln.send(item{body: []byte("new"), call: 2, deadline: soon(), owner: l})
	b.settleNext(nil)
	expect(t, b.bodies(), "x", "new")
	if !errors.Is(l.got[1], errStale) {
		t.Errorf("stale item settled with %v, want errStale", l.got[1])
	}
}

func TestLaneKeepsDeadlinesApart(t *testing.T) {
	b, l := &heldBroker{}, &ledger{}
	ln := testLane(b, 32)
	for i, left := range []time.Duration{9, 9, 5, 5, 60, 5} {
		ln.send(item{body: []byte{'a' + byte(i)}, call: uint64(i), deadline: time.Now().Add(left * time.Second), owner: l})
	}
	for range 4 {
		b.settleNext(nil)
	}
	expect(t, b.bodies(), "a", "b", "cd", "e", "f")
}

func TestLaneBoundsABatchInBytes(t *testing.T) {
	b, l := &heldBroker{}, &ledger{}
	ln := testLane(b, 32)
	big := bytes.Repeat([]byte("b"), maxBatchBytes)
	for i, body := range [][]byte{[]byte("x"), []byte("x"), []byte("s"), big, []byte("t"), []byte("u")} {
		ln.send(item{body: body, call: uint64(i), deadline: soon(), owner: l})
	}
	for range 3 {
		b.settleNext(nil)
	}
	expect(t, b.bodies(), "x", "xs", string(big), "tu")
}

// A broker that settles inside Publish, and an owner that sends again when it is
// settled, must neither deadlock nor deepen the stack.
func TestLaneSurvivesBrokersThatSettleAtOnce(t *testing.T) {
	b, l := &heldBroker{instant: true}, &ledger{}
	ln := testLane(b, 4)
	const n = 100_000
	l.on = func(it item) {
		if it.call < n {
			ln.send(item{body: []byte("x"), call: it.call + 4, deadline: soon(), owner: l})
		}
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() { ln.send(item{body: []byte("x"), call: uint64(i), deadline: soon(), owner: l}) })
	}
	wg.Wait()
	limit := time.After(10 * time.Second)
	for { // a long turn ends on a goroutine of its own
		l.mu.Lock()
		settled := len(l.got)
		l.mu.Unlock()
		if settled == n+4 {
			break
		}
		select {
		case <-limit:
			t.Fatalf("%d items settled, want %d", settled, n+4)
		case <-time.After(time.Millisecond):
		}
	}
	for call, err := range l.got {
		if err != nil {
			t.Fatalf("item %d: %v", call, err)
		}
	}
}

func TestLaneKeepsOrder(t *testing.T) {
	b, l := &heldBroker{instant: true}, &ledger{}
	ln := testLane(b, 32)
	var want []byte
	for i := range 5000 {
		want = append(want, byte(i))
		ln.send(item{body: []byte{byte(i)}, call: uint64(i), deadline: soon(), owner: l})
	}
	var got []byte
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.sent {
		got = append(got, m.Body...)
	}
	if !bytes.Equal(got, want) {
		t.Error("items left in another order than they came in")
	}
}

func TestLanesAreForgottenWhenIdle(t *testing.T) {
	b := &heldBroker{instant: true}
	ls := &lanes{broker: b, most: DefaultMaxBatch, messages: new(metrics.Counter), items: new(metrics.Counter)}
	ln := ls.to("old", 1)
	ln.send(item{body: []byte("x"), deadline: soon(), owner: &ledger{}})
	ln.mu.Lock()
	ln.used = time.Now().Add(-2 * laneIdle)
	ln.mu.Unlock()
	ls.swept = time.Time{}
	ls.to("new", 1)
	if _, kept := ls.byQueue.Load("old"); kept {
		t.Error("the idle lane is still there")
	}
	if _, kept := ls.byQueue.Load("new"); !kept {
		t.Error("the lane in use is gone")
	}
}

func (b *heldBroker) Inbox(ctx context.Context, prefix string, opened func(string), _ Handler) error {
	opened(prefix + "1")
	<-ctx.Done()
	opened("")
	return nil
}

func (b *heldBroker) Err() error { return nil }
