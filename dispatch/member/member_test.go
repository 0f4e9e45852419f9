package member_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/member"
	"github.com/funcatron/funcatron/dispatch/memory"
	"github.com/funcatron/funcatron/shared/wire"
)

// A member reports until a Tron hears it, answers when asked again, hands on what it is
// told, and says when it leaves; after that it says nothing.
func TestLink(t *testing.T) {
	b := memory.New()
	handled := make(chan wire.Message, 10)
	l := member.New(member.Options{
		Broker: b, TronQueue: "tron", Prefix: "RU-",
		Describe: func() wire.Member { return wire.Member{Name: "me", Kind: wire.KindRunner} },
		Handle:   func(m wire.Message) { handled <- m },
		Log:      slog.New(slog.DiscardHandler),
	})
	ctx, leave := context.WithCancel(context.Background())
	left := make(chan error, 1)
	go func() { left <- l.Run(ctx) }()

	// The Tron comes later than the first report.
	heard := make(chan wire.Message, 100)
	tron, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() {
		stopped <- b.Consume(tron, dispatch.Queue{Name: "tron"}, 10, func(d *dispatch.Delivery) {
			defer d.Settle(dispatch.Ack)
			m, err := wire.Decode(d.Body)
			if err != nil {
				t.Error(err)
				return
			}
			heard <- m
		})
	}()
	next := func(c chan wire.Message, want wire.Action) wire.Message {
		t.Helper()
		select {
		case m := <-c:
			if m.Action != want {
				t.Fatalf("%s, want %s", m.Action, want)
			}
			return m
		case <-time.After(10 * time.Second):
			t.Fatalf("no %s within 10s", want)
		}
		return wire.Message{}
	}
	first := next(heard, wire.Awake)
	if first.Member.Name != "me" || first.From == "" {
		t.Errorf("awake: %+v from %q", first.Member, first.From)
	}
	say := func(m wire.Message) {
		m.From = "tron"
		b.Publish(first.From, dispatch.Message{Body: wire.Encode(m)}, nil)
	}
	b.Publish(first.From, dispatch.Message{Body: []byte("garbage")}, nil)
	say(wire.Message{Action: wire.ResendAwake})
	next(heard, wire.Awake)
	say(wire.Message{Action: wire.TronInfo, Info: &wire.Info{URL: "http://x"}})
	if m := next(handled, wire.TronInfo); m.Info.URL != "http://x" {
		t.Errorf("handled %+v", m.Info)
	}
	l.Report()
	next(heard, wire.Heartbeat)

	leave()
	if err := <-left; err != nil {
		t.Error(err)
	}
	next(heard, wire.Died)
	l.Report()
	stop()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if len(heard) > 0 {
		t.Errorf("said after the farewell: %s", (<-heard).Action)
	}
}
