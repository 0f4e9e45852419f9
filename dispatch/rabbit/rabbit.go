// Package rabbit is dispatch.Broker on RabbitMQ 3.10 to 4.x.
//
// It keeps two connections, one to publish and one to consume, so that a broker
// that holds back publishers still takes acknowledgements. Each has a loop of its
// own that connects again for as long as Run runs; all that hangs on a connection
// (channels, queues, consumers, what is unconfirmed) is made with it and ends with
// it. Nothing of a lost connection is ever used on the next one.
//
// A message that Publish took is in its lane until its settled is called, by
// exactly one of: the confirm, the loss of the connection, a block by the broker.
//
// Whatever the library does that RabbitMQ has to answer is bounded: when the
// answer does not come, the socket is closed, which ends every call on it.
package rabbit

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/funcatron/funcatron/dispatch"
)

// Broker is a dispatch.Broker on one RabbitMQ, or a cluster of it.
type Broker struct {
	opts Options
	addr string // host:port of opts.URL, for people
	host string // of addr, whom the certificate has to name
	log  *slog.Logger
	seed maphash.Seed

	out atomic.Pointer[outlet] // what Publish uses
	in  current                // what everybody else does

	// turn is held by the one Inspect or Delete at work, which use control.
	turn    chan struct{}
	control control

	running atomic.Bool

	reconnects, returned, rejected *metrics.Counter
}

var _ dispatch.Broker = (*Broker)(nil)

// New checks the options. It connects nowhere: until Run runs, everything is
// ErrDown.
func New(o Options) (*Broker, error) {
	o, uri, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("make RabbitMQ broker: %w", err)
	}
	b := &Broker{
		opts:       o,
		addr:       net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port)),
		host:       uri.Host,
		log:        o.Log.With("component", "rabbit"),
		seed:       maphash.MakeSeed(),
		turn:       make(chan struct{}, 1),
		reconnects: o.Metrics.GetOrCreateCounter("funcatron_broker_reconnects_total"),
		returned:   o.Metrics.GetOrCreateCounter("funcatron_broker_returned_total"),
		rejected:   o.Metrics.GetOrCreateCounter("funcatron_broker_rejected_total"),
	}
	b.out.Store(&outlet{down: down("not connected yet")})
	b.in.set(nil, "not connected yet")
	return b, nil
}

// Run keeps the connections until ctx ends, sends what Publish took before that,
// for a short while at most, and closes them. Consume and Inbox should have ended
// by then: without Run they wait for a connection until their own context ends.
func (b *Broker) Run(ctx context.Context) error {
	if b.running.Swap(true) {
		return errors.New("run RabbitMQ broker: it runs already")
	}
	defer b.running.Store(false)
	defer func() {
		b.turn <- struct{}{} // whoever has it ends with the connection
		b.control = control{}
		<-b.turn
	}()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { b.keep(ctx, "consume", b.consumeOver, func(why string) { b.in.set(nil, why) }) })
	b.keep(ctx, "publish", b.publishOver, func(why string) { b.out.Store(&outlet{down: down(why)}) })
	return nil
}

// Err implements dispatch.Broker.
func (b *Broker) Err() error { return b.out.Load().down }

// down is ErrDown for a reason.
func down(why string) error { return fmt.Errorf("%w: %s", dispatch.ErrDown, why) }

// maxExpiry is the longest time in milliseconds that RabbitMQ takes for x-expires
// and expiration; a longer one is a channel exception.
const maxExpiry = math.MaxUint32

// millis is d in milliseconds, rounded up, within what RabbitMQ takes.
func millis(d time.Duration) int64 {
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		ms++
	}
	return min(max(ms, 1), maxExpiry)
}

// arguments are a shared queue's. The type is said although classic is the usual
// default: a virtual host may have another one.
func arguments(q dispatch.Queue) amqp.Table {
	args := amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeClassic}
	if q.MaxLength > 0 {
		args[amqp.QueueMaxLenArg] = int64(q.MaxLength)
		args[amqp.QueueOverflowArg] = amqp.QueueOverflowRejectPublish
	}
	if q.Expires > 0 {
		args[amqp.QueueTTLArg] = millis(q.Expires)
	}
	return args
}
