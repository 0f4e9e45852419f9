package dispatch

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/funcatron/funcatron/shared/envelope"
)

func requestMessage(method string, call uint64) Message {
	b := envelope.AppendRequest(nil, call, time.Minute, false, []byte(method), []byte("/x"), 0)
	return Message{Body: append(b, "\r\n"...), ReplyTo: "replies"}
}

// A connection that is lost and found again brings what is running once more: it
// runs once, is answered once, and both deliveries are settled.
func TestRedeliveryOfWhatIsRunning(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			b := &heldBroker{instant: true}
			var runs, settled atomic.Int32
			hold := make(chan struct{})
			s := &serving{responder: NewResponder(b, ResponderOptions{}), slots: 4, handle: func(c *Call) {
				runs.Add(1)
				<-hold
				c.Reply(&envelope.Response{Status: 200})
			}}
			settle := func(o Outcome) {
				if o == Ack {
					settled.Add(1)
				}
			}
			s.take(&Delivery{Message: requestMessage(method, 7), Settle: settle})
			s.take(&Delivery{Message: requestMessage(method, 7), Redelivered: true, Settle: settle})
			close(hold)
			s.end()
			if runs.Load() != 1 || settled.Load() != 2 || len(b.bodies()) != 1 || len(s.calls) != 0 {
				t.Errorf("ran %d times, settled %d of 2, %d replies, %d calls left", runs.Load(), settled.Load(), len(b.bodies()), len(s.calls))
			}
			// Once it is done, it is unknown: somebody else may have had it.
			s.take(&Delivery{Message: requestMessage("POST", 7), Redelivered: true, Settle: settle})
			s.end()
			if last := b.bodies()[1]; !strings.Contains(last, "X-Funcatron-Fault: 3") {
				t.Errorf("a POST delivered again is answered %q", last)
			}
		})
	}
}

// A consumer that leaves says which calls it still works on, those that come late
// included.
func TestLeavingHoldsItsCalls(t *testing.T) {
	b := &heldBroker{instant: true}
	hold := make(chan struct{})
	s := &serving{responder: NewResponder(b, ResponderOptions{}), slots: 1, handle: func(c *Call) {
		<-hold
		c.Reply(&envelope.Response{Status: 200})
	}}
	s.take(&Delivery{Message: requestMessage("GET", 1), Settle: func(Outcome) {}})
	s.take(&Delivery{Message: requestMessage("POST", 2), Settle: func(Outcome) {}})
	s.announce()
	s.take(&Delivery{Message: requestMessage("POST", 3), Settle: func(Outcome) {}})
	held := map[uint64]bool{}
	for _, body := range b.bodies() {
		var r envelope.Response
		if _, err := envelope.NextResponse([]byte(body), &r); err != nil || r.Fault != envelope.Held {
			t.Fatalf("%v in %q", err, body)
		}
		held[r.Call] = true
	}
	if !held[1] || !held[2] || !held[3] {
		t.Errorf("held %v, want 1, 2 and 3", held)
	}
	close(hold)
	s.end()
	if n := len(b.bodies()); n != 6 {
		t.Errorf("%d messages, want 3 notes and 3 replies", n)
	}
}

// Workers stay for the next call, and go when there was none for long.
func TestWorkersStayForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &serving{responder: NewResponder(&heldBroker{instant: true}, ResponderOptions{}), slots: 3, handle: func(c *Call) {
			<-time.After(time.Millisecond) // of the bubble's time
			c.Reply(&envelope.Response{Status: 200})
		}}
		take := func(n int) {
			for call := range n {
				s.take(&Delivery{Message: requestMessage("GET", uint64(call+1)), Settle: func(Outcome) {}})
			}
			<-time.After(time.Second)
			synctest.Wait()
		}
		there := func() (workers, idle int) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.workers, len(s.idle)
		}
		take(7)
		if n, idle := there(); n != 3 || idle != 3 {
			t.Errorf("%d workers, %d idle after 7 calls in 3 slots", n, idle)
		}
		for range 25 { // one call a second: one worker is enough
			take(1)
		}
		if n, idle := there(); n != 1 || idle != 1 {
			t.Errorf("%d workers, %d idle after one call at a time for 25 s", n, idle)
		}
		<-time.After(3 * trimEvery)
		synctest.Wait()
		if n, idle := there(); n != 0 || idle != 0 || s.trimmer != nil {
			t.Errorf("%d workers, %d idle after %v without a call", n, idle, 3*trimEvery)
		}
		take(2)
		s.end()
		if n, idle := there(); n != 0 || idle != 0 {
			t.Errorf("%d workers, %d idle at the end", n, idle)
		}
	})
}
