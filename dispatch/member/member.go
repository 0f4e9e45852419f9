// Package member is a gateway's or a runner's line to the Tron.
//
// It reports itself when its inbox opens, then every wire.HeartbeatEvery, each
// time with everything there is to know: whatever message was lost, and whichever
// side was away, the next report puts it right. It says when it leaves.
package member

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/shared/wire"
)

// expiry keeps reports from piling up where no Tron reads them.
const expiry = 3 * wire.HeartbeatEvery

// askAgain is how long after a report that found no Tron the next one is tried.
const askAgain = 250 * time.Millisecond

// farewell is how long the last message may take.
const farewell = time.Second

// Options configures a Link.
type Options struct {
	Broker    dispatch.Broker
	TronQueue string // the Tron's control queue
	Prefix    string // of this member's own control queue: "FRNT-" or "RU-"
	// Describe is the member as it is now. It is called from several goroutines.
	Describe func() wire.Member
	// Handle takes the Tron's messages, one at a time, and must not block for long.
	Handle func(wire.Message)
	Log    *slog.Logger
}

// Link is the line. Run makes it work.
type Link struct {
	opts  Options
	inbox atomic.Pointer[string] // nil while there is none
	left  atomic.Bool            // the farewell is said, and nothing follows it
	lost  atomic.Bool            // the last report reached no Tron's queue
}

// New makes a Link.
func New(o Options) *Link { return &Link{opts: o} }

// Run keeps the line until ctx ends, then says that the member has left.
func (l *Link) Run(ctx context.Context) error {
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	served := make(chan error, 1)
	go func() { served <- l.opts.Broker.Inbox(inner, l.opts.Prefix, l.opened, l.receive) }()

	tick := time.NewTicker(wire.HeartbeatEvery)
	defer tick.Stop()
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for {
		select {
		case <-tick.C:
			l.Report()
		case <-again.C:
			if l.lost.Load() && l.inbox.Load() != nil {
				l.report(wire.Awake)
			}
		case err := <-served:
			return fmt.Errorf("keep control queue: %w", err)
		case <-ctx.Done():
			l.left.Store(true)
			said := make(chan error, 1)
			l.send(l.inbox.Swap(nil), wire.Message{Action: wire.Died}, func(err error) { said <- err })
			select {
			case <-said:
			case <-time.After(farewell):
			}
			stop()
			return <-served
		}
	}
}

func (l *Link) opened(name string) {
	if name == "" {
		l.inbox.Store(nil)
		return
	}
	if l.left.Load() {
		return
	}
	l.inbox.Store(&name)
	l.report(wire.Awake)
}

func (l *Link) receive(d *dispatch.Delivery) {
	m, err := wire.Decode(d.Body)
	if err != nil {
		l.opts.Log.Warn("control message is unreadable", "err", err)
		return
	}
	if m.Action == wire.ResendAwake {
		l.report(wire.Awake)
		return
	}
	l.opts.Handle(m)
}

// Report sends a heartbeat now.
func (l *Link) Report() { l.report(wire.Heartbeat) }

func (l *Link) report(a wire.Action) {
	m := l.opts.Describe()
	l.send(l.inbox.Load(), wire.Message{Action: a, Member: &m}, func(err error) { l.lost.Store(err != nil) })
}

// Send sends m to the Tron, with this member's queue as From. While the line is
// down nothing is sent: the report that follows its return says it all.
func (l *Link) Send(m wire.Message) {
	l.send(l.inbox.Load(), m, func(err error) {
		if err != nil {
			l.opts.Log.Debug("message to the Tron was not sent", "action", m.Action, "err", err)
		}
	})
}

func (l *Link) send(from *string, m wire.Message, settled func(error)) {
	if from == nil {
		settled(dispatch.ErrDown)
		return
	}
	m.From = *from
	l.opts.Broker.Publish(l.opts.TronQueue, dispatch.Message{
		Body: wire.Encode(m), ContentType: dispatch.TypeControl, Expiration: expiry,
	}, settled)
}
