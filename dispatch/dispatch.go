// Package dispatch is the message bus that every part of Funcatron talks
// through: a small Broker interface with two implementations (in memory and
// RabbitMQ), and the request/reply machinery on top of it.
//
// A Caller sends requests and holds the pending replies; a Responder takes
// requests off a queue and settles them. Neither knows which broker is below,
// and neither ever blocks on one: a broker that is slow, full or gone is an
// error within the request's own time.
package dispatch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// What a publisher branches on. Brokers wrap these with the cause.
var (
	// ErrUnroutable means that no queue of that name exists: nobody serves it.
	ErrUnroutable = errors.New("no such queue")
	// ErrFull means that the queue is at its MaxLength, or that the broker's
	// own buffer of unsent messages is: nothing was kept of the message.
	ErrFull = errors.New("queue full")
	// ErrTooLarge means that no message of this size is taken, now or later.
	ErrTooLarge = errors.New("message too large")
	// ErrDown means that the broker cannot be reached or accepts nothing now.
	// A message that was on its way when the broker went may have arrived.
	ErrDown = errors.New("broker unavailable")
)

// Media types of the messages on the bus.
const (
	// TypeHTTP is one or more HTTP messages, one after the other (shared/envelope).
	TypeHTTP = "application/http"
	// TypeControl is one JSON control message (shared/wire).
	TypeControl = "application/json"
)

// Message is one message on its way to, or just taken from, a queue.
//
// Nobody changes Body once it is published: the in-memory broker hands the very
// same bytes to the consumer, who may keep them.
type Message struct {
	Body          []byte
	ContentType   string
	ReplyTo       string        // the queue that answers go to, or ""
	CorrelationID string        // AMQP 0-9-1 basic.correlation-id
	Expiration    time.Duration // dropped by the broker when older; 0 keeps it
}

// Queue describes a durable queue that several consumers share.
type Queue struct {
	Name      string
	MaxLength int           // messages waiting; publishing beyond it is ErrFull; 0 is unbounded
	Expires   time.Duration // deleted when it had no consumer for this long; 0 keeps it
}

// MaxName is the longest name of a queue in bytes: AMQP 0-9-1 short strings.
const MaxName = 255

// Check holds a queue and its consumer against the limits of AMQP 0-9-1: names
// are short strings, and a prefetch count has 16 bits. All brokers refuse alike.
func (q Queue) Check(prefetch int) error {
	switch {
	case len(q.Name) == 0 || len(q.Name) > MaxName:
		return fmt.Errorf("its name has %d bytes, must have 1 to %d", len(q.Name), MaxName)
	case prefetch < 1 || prefetch > math.MaxUint16:
		return fmt.Errorf("prefetch is %d, must be 1 to %d", prefetch, math.MaxUint16)
	case q.MaxLength < 0:
		return fmt.Errorf("negative MaxLength: %d", q.MaxLength)
	case q.Expires < 0:
		return fmt.Errorf("negative Expires: %v", q.Expires)
	}
	return nil
}

// Status is a queue as a passive declare sees it.
type Status struct {
	Ready     int // messages waiting, not those delivered and unsettled
	Consumers int
}

// Delivery is one message taken off a queue. Its consumer calls Settle exactly
// once, from any goroutine: Ack removes the message, Requeue gives it to
// another consumer (or to the same one) with Redelivered set. Settling after
// the connection that delivered it has gone does nothing: by then the broker
// has requeued it.
type Delivery struct {
	Message
	Redelivered bool
	Settle      func(Outcome)
}

// Outcome is what becomes of a delivered message.
type Outcome uint8

// The outcomes of a Delivery.
const (
	Ack Outcome = iota
	Requeue
)

// Handler takes deliveries one at a time, in queue order, on the consumer's
// goroutine. While it blocks, that consumer gets nothing more.
type Handler func(*Delivery)

// Broker moves opaque messages between named queues. Its methods may be called
// from any number of goroutines. A Broker repairs itself: it reconnects,
// declares its queues and consumers again, and says so through Err, Settled
// callbacks and Inbox's opened; no caller re-registers anything.
type Broker interface {
	// Publish hands m to the broker and returns at once, without waiting for the
	// network. settled, where it is not nil, is called exactly once, perhaps
	// before Publish returns: nil when the broker has taken responsibility for
	// m, ErrUnroutable when no queue has that name, ErrFull when the queue (or
	// the broker's outgoing buffer) is full, ErrTooLarge, ErrDown when the connection is or
	// goes away first. settled must not block.
	Publish(queue string, m Message, settled func(error))

	// Consume declares q and hands its messages to h, at most prefetch unsettled
	// at a time, until ctx ends. Then it takes no more, still hands over what it
	// already holds, waits until everything handed over is settled, and returns
	// nil. A lost connection is no end: it consumes again when it is back.
	// An error means that q can never be consumed (it exists with other
	// properties, say).
	Consume(ctx context.Context, q Queue, prefetch int, h Handler) error

	// Inbox keeps a private queue, whose name begins with prefix, and hands its
	// messages to h until ctx ends; they need no Settle (it is set, and does
	// nothing). opened is called with the queue's name each time there is a new
	// one, and with "" when that is lost together with what was in it, but not when
	// ctx ends; a name is never used twice. The queue is gone when Inbox returns.
	Inbox(ctx context.Context, prefix string, opened func(name string), h Handler) error

	// Inspect tells a queue's status; ErrUnroutable when it does not exist. To look
	// at a queue may renew its Expires.
	Inspect(ctx context.Context, queue string) (Status, error)

	// Delete removes a shared queue with what is in it. Deleting one that does
	// not exist is no error.
	Delete(ctx context.Context, queue string) error

	// Err is nil while messages can be published, else ErrDown with the cause.
	Err() error
}
