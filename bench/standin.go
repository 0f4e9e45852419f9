package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/funcatron/funcatron/shared/wire"
)

// standIn stands in for the Tron where tables are measured that no real one would
// come to without a thousand functions running: it tells runners of one
// deployment, and gateways of whatever table it is given.
type standIn struct {
	log   *slog.Logger
	queue string
	epoch string
	conn  *amqp.Connection
	ch    *amqp.Channel
	ln    net.Listener
	srv   *http.Server
	done  sync.WaitGroup

	mu         sync.Mutex                 // guards what follows, and publishing
	deployment wire.Deployment            // what runners run
	bundle     []byte                     // of it
	documents  map[string]json.RawMessage // by sha
	sent       map[string]time.Time       // by sha: when its document was sent
	table      wire.Routes
	gateways   map[int]string           // their queues, by process id
	gateway    int                      // the process id of the one that gets tables
	acks       map[string]chan wire.Ack // by message
}

// resend is when a document that is asked for again is sent again.
const resend = time.Second

// newStandIn takes the Tron's place at queue, with one bundle for runners.
func newStandIn(log *slog.Logger, url, queue string, d wire.Deployment, bundle []byte) (_ *standIn, err error) {
	t := &standIn{
		log: log, queue: queue, epoch: wire.NewID(), deployment: d, bundle: bundle,
		documents: make(map[string]json.RawMessage), sent: make(map[string]time.Time), acks: make(map[string]chan wire.Ack), gateways: make(map[int]string),
	}
	t.table.Epoch = t.epoch
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	if t.ln, err = net.Listen("tcp", anyPort); err != nil {
		return nil, fmt.Errorf("stand in for the Tron: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/bundle/{sha}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("sha") != d.Sha {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(bundle)
	})
	t.srv = &http.Server{Handler: mux}
	t.done.Go(func() {
		if err := t.srv.Serve(t.ln); !errors.Is(err, http.ErrServerClosed) {
			log.Error("stand-in serves no bundle", "err", err)
		}
	})
	if t.conn, err = dialAMQP(url); err != nil {
		return nil, err
	}
	if t.ch, err = t.conn.Channel(); err != nil {
		return nil, fmt.Errorf("stand in for the Tron: %w", err)
	}
	if _, err = t.ch.QueueDeclare(queue, false, true, true, false, nil); err != nil {
		return nil, fmt.Errorf("stand in for the Tron: %w", err)
	}
	messages, err := t.ch.Consume(queue, "", true, true, false, false, nil)
	if err != nil {
		return nil, fmt.Errorf("stand in for the Tron: %w", err)
	}
	t.done.Go(func() {
		for d := range messages {
			t.take(d.Body)
		}
	})
	return t, nil
}

func (t *standIn) close() {
	if t.conn != nil {
		_ = t.conn.Close() // the queue goes with it
	}
	if t.srv != nil {
		_ = t.srv.Close()
	}
	t.done.Wait()
}

// take answers a member.
func (t *standIn) take(body []byte) {
	m, err := wire.Decode(body)
	if err != nil {
		t.log.Warn("message to the stand-in is not read", "err", err)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch m.Action {
	case wire.Awake, wire.Heartbeat:
		t.send(m.From, wire.Message{Action: wire.TronInfo, Info: &wire.Info{Epoch: t.epoch, URL: "http://" + t.ln.Addr().String()}})
		if m.Member.Kind == wire.KindGateway {
			t.gateways[m.Member.PID] = m.From
			if m.Member.PID != t.gateway {
				return // the last one on its way out, or the next one
			}
			if m.Member.Epoch != t.epoch || m.Member.Table != t.table.Version {
				t.route(wire.NewID())
			}
			return
		}
		for _, d := range m.Member.Deployments {
			if d.ID == t.deployment.ID {
				return
			}
		}
		d := t.deployment
		t.send(m.From, wire.Message{Action: wire.Enable, Deployment: &d})
	case wire.Want:
		if m.Wants.Routes {
			t.route(wire.NewID())
		}
		for _, sha := range m.Wants.Documents {
			if time.Since(t.sent[sha]) < resend {
				continue // it is on its way
			}
			t.sent[sha] = time.Now()
			t.send(m.From, wire.Message{Action: wire.Swagger, Document: &wire.Document{Sha: sha, Swagger: t.documents[sha]}})
		}
	case wire.AckAction:
		if c := t.acks[m.Ack.Re]; c != nil {
			c <- *m.Ack // it has room
			delete(t.acks, m.Ack.Re)
		}
	}
}

// expect has tables go to another gateway, beginning with an empty one.
func (t *standIn) expect(pid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gateway = pid
	t.table.Version++
	t.table.Routes = nil
	clear(t.sent)
}

// route sends the gateway its table. mu is held.
func (t *standIn) route(id string) {
	table := t.table
	t.send(t.gateways[t.gateway], wire.Message{Action: wire.Route, ID: id, Routes: &table})
}

// send publishes m. mu is held.
func (t *standIn) send(to string, m wire.Message) {
	m.From = t.queue
	err := t.ch.PublishWithContext(context.Background(), "", to, false, false, amqp.Publishing{ContentType: "application/json", Body: wire.Encode(m)})
	if err != nil {
		t.log.Warn("the stand-in is not heard", "err", err)
	}
}

// set gives the gateway a new table, with the documents that it needs, and returns
// how long it took until the gateway serves by it.
func (t *standIn) set(ctx context.Context, rows []wire.RouteItem, documents map[string]json.RawMessage) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*startTime, errors.New("the gateway does not take the route table"))
	defer cancel()
	for { // the first table can only be sent to who has been heard
		t.mu.Lock()
		known := t.gateways[t.gateway] != ""
		t.mu.Unlock()
		if known {
			break
		}
		if err := pause(ctx, glance); err != nil {
			return 0, err
		}
	}
	t.mu.Lock()
	t.table.Version++
	t.table.Routes = rows
	if documents != nil {
		t.documents = documents
	}
	id, ack := wire.NewID(), make(chan wire.Ack, 1)
	t.acks[id] = ack
	began := time.Now()
	t.route(id)
	t.mu.Unlock()
	select {
	case a := <-ack:
		if !a.OK {
			return 0, fmt.Errorf("the gateway refuses the route table: %s", a.Error)
		}
		return time.Since(began), nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}
