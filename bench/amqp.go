package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sys/unix"

	"github.com/funcatron/funcatron/bench/load"
)

// rabbitVersion asks RabbitMQ which one it is.
func rabbitVersion(url string) (string, error) {
	conn, err := dialAMQP(url)
	if err != nil {
		return "", err
	}
	version, _ := conn.Properties["version"].(string) // "" where it does not say
	return version, conn.Close()
}

func dialAMQP(url string) (*amqp.Connection, error) {
	conn, err := amqp.DialConfig(url, amqp.Config{Dial: amqp.DefaultDial(5 * time.Second), Heartbeat: 10 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	return conn, nil
}

// bus is a connection to publish over and one to consume over: what flow control
// does to the one leaves the other alone.
type bus struct {
	conns      []*amqp.Connection
	out, in    *amqp.Channel
	queue      string
	deliveries <-chan amqp.Delivery // closed when the connection is lost
}

// amqpQueue is a queue that the bare responder serves.
type amqpQueue struct {
	name string
	// safe is with what the system itself promises: a bounded queue that outlives a
	// restart, requests acknowledged after the reply, everything confirmed. Nothing
	// waits for an acknowledgement or a confirm. Without it there is none of that.
	safe bool
}

// openBus opens both connections. safe has what is published confirmed.
func openBus(url string, safe bool) (_ *bus, err error) {
	b := &bus{}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	var channels [2]*amqp.Channel
	for i := range channels {
		conn, err := dialAMQP(url)
		if err != nil {
			return nil, err
		}
		b.conns = append(b.conns, conn)
		if channels[i], err = conn.Channel(); err != nil {
			return nil, fmt.Errorf("open channel: %w", err)
		}
	}
	b.out, b.in = channels[0], channels[1]
	if safe {
		if err := b.out.Confirm(false); err != nil {
			return nil, fmt.Errorf("ask for confirms: %w", err)
		}
		confirms := b.out.NotifyPublish(make(chan amqp.Confirmation, 1024))
		go func() { // ends with the connection
			for range confirms {
			}
		}()
	}
	return b, nil
}

// inbox consumes an exclusive queue, and takes what comes for acknowledged.
func (b *bus) inbox(name string) error {
	q, err := b.in.QueueDeclare(name, false, true, true, false, nil)
	if err != nil {
		return fmt.Errorf("declare queue: %w", err)
	}
	b.queue = q.Name
	if b.deliveries, err = b.in.Consume(q.Name, "", true, true, false, false, nil); err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	return nil
}

// shared consumes a bounded durable queue.
func (b *bus) shared(name string) error {
	args := amqp.Table{"x-max-length": 10_000, "x-overflow": "reject-publish", "x-expires": time.Minute.Milliseconds()}
	if _, err := b.in.QueueDeclare(name, true, false, false, false, args); err != nil {
		return fmt.Errorf("declare queue: %w", err)
	}
	if err := b.in.Qos(concurrency, 0, false); err != nil {
		return fmt.Errorf("set prefetch: %w", err)
	}
	b.queue = name
	var err error
	if b.deliveries, err = b.in.Consume(name, "", false, false, false, false, nil); err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	return nil
}

func (b *bus) close() {
	for _, c := range b.conns {
		_ = c.Close() // an exclusive queue goes with it
	}
}

// serveAMQP answers what comes on a queue: RabbitMQ's URL, the queue's name, and
// "safe" or "bare".
func serveAMQP(args []string) error {
	if len(args) != 3 {
		return errors.New("want RabbitMQ's URL, a queue, and safe or bare")
	}
	safe := args[2] == "safe"
	b, err := openBus(args[0], safe)
	if err != nil {
		return err
	}
	defer b.close()
	open := b.inbox
	if safe {
		open = b.shared
	}
	if err := open(args[1]); err != nil {
		return err
	}
	fmt.Printf("listening on %s\n", b.queue)
	ctx := context.Background()
	for d := range b.deliveries {
		err := b.out.PublishWithContext(ctx, "", d.ReplyTo, false, false, amqp.Publishing{
			ContentType: d.ContentType, CorrelationId: d.CorrelationId, Body: helloAnswer,
		})
		if err == nil && safe {
			err = d.Ack(false)
		}
		if err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
	return errors.New("the connection to RabbitMQ is lost")
}

// deleteQueue takes a queue away that does not go by itself at once.
func deleteQueue(url, name string) error {
	conn, err := dialAMQP(url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing is left to be said
	ch, err := conn.Channel()
	if err == nil {
		_, err = ch.QueueDelete(name, false, false, false)
	}
	if err != nil {
		return fmt.Errorf("delete queue %s: %w", name, err)
	}
	return nil
}

// runAMQP keeps inFlight requests under way over RabbitMQ, each a message with
// body, and measures until each is answered. One goroutine does it all: as a reply
// comes the next request leaves.
func runAMQP(ctx context.Context, url string, queue amqpQueue, body []byte, inFlight int, warmup, duration time.Duration) (*load.Result, error) {
	b, err := openBus(url, queue.safe)
	if err != nil {
		return nil, err
	}
	defer b.close()
	if err := b.inbox(""); err != nil {
		return nil, err
	}
	sent := make([]time.Time, inFlight)
	send := func(i int) error {
		sent[i] = time.Now()
		err := b.out.PublishWithContext(ctx, "", queue.name, false, false, amqp.Publishing{
			ContentType: "application/http", CorrelationId: strconv.Itoa(i), ReplyTo: b.queue, Body: body,
		})
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		return nil
	}
	r := &load.Result{Latency: load.NewHistogram(), Lag: load.NewHistogram(), Elapsed: duration, Statuses: make(map[int]int64)}
	began := time.Now()
	from, to := began.Add(warmup), began.Add(warmup+duration)
	for i := range inFlight {
		if err := send(i); err != nil {
			return nil, err
		}
	}
	var cpu time.Duration
	limit := time.NewTimer(warmup + duration)
	defer limit.Stop()
	for {
		select {
		case d, ok := <-b.deliveries:
			if !ok {
				return nil, errors.New("the connection to RabbitMQ is lost")
			}
			i, err := strconv.Atoi(d.CorrelationId)
			if err != nil || i < 0 || i >= inFlight {
				return nil, fmt.Errorf("a reply to %q, which was not asked", d.CorrelationId)
			}
			now := time.Now()
			r.Total++
			if now.After(from) && now.Before(to) {
				if cpu == 0 {
					cpu = ownCPU()
				}
				r.Answered++
				if sent[i].After(from) {
					r.Record(now.Sub(sent[i]))
				}
			}
			if err := send(i); err != nil {
				return nil, err
			}
		case <-limit.C:
			if cpu > 0 {
				r.CPU = ownCPU() - cpu
				r.Busy = r.CPU.Seconds() / duration.Seconds() / float64(runtime.NumCPU())
			}
			return r, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// ownCPU is the processor time of this process.
func ownCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0 // it only fails for arguments that are wrong
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
