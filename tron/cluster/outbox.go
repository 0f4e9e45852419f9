package cluster

import (
	"errors"
	"sync"
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/shared/wire"
)

// letter is a message that was decided on.
type letter struct {
	to       string // queue
	name     string // of the member, "" where it is not known
	msg      wire.Message
	document string // the sha of the bundle whose Swagger document is to go into msg
}

// outbox keeps letters in the order in which they were decided on. It has a lock
// of its own, the innermost of all.
type outbox struct {
	ready   chan struct{} // of capacity 1: there are letters
	mu      sync.Mutex
	letters []letter
}

func (o *outbox) put(l letter) {
	o.mu.Lock()
	o.letters = append(o.letters, l)
	o.mu.Unlock()
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

func (o *outbox) take() []letter {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.letters
	o.letters = nil
	return l
}

// question is a message whose acknowledgement is outstanding.
type question struct {
	action     wire.Action
	member     string
	deployment string    // enable, disable
	epoch      string    // route
	version    int64     // route
	at         time.Time // when it was asked
}

// send puts msg on its way to m and returns its id. mu is held.
func (c *Cluster) send(m *member, msg wire.Message) string {
	msg.ID, msg.From = wire.NewID(), c.opts.Queue
	c.outbox.put(letter{to: m.queue, name: m.Name, msg: msg})
	return msg.ID
}

// sendAsking sends msg, which m is to acknowledge. mu is held.
func (c *Cluster) sendAsking(m *member, msg wire.Message, q question) {
	q.action, q.member, q.at = msg.Action, m.Name, time.Now()
	c.questions[c.send(m, msg)] = q
}

// deliver publishes letters until done is closed and none is left.
func (c *Cluster) deliver(done <-chan struct{}) {
	for {
		select {
		case <-c.outbox.ready:
			c.publish(c.outbox.take())
		case <-done:
			c.publish(c.outbox.take())
			return
		}
	}
}

func (c *Cluster) publish(letters []letter) {
	for _, l := range letters {
		if l.document != "" {
			l.msg.Document = c.document(l.document)
		}
		m := dispatch.Message{Body: wire.Encode(l.msg), ContentType: dispatch.TypeControl}
		c.opts.Broker.Publish(l.to, m, func(err error) {
			if err != nil {
				c.returned(l, err)
			}
		})
	}
}

func (c *Cluster) document(sha string) *wire.Document {
	doc, err := c.opts.Store.Document(sha)
	if err != nil {
		return &wire.Document{Sha: sha, Error: err.Error()}
	}
	return &wire.Document{Sha: sha, Swagger: doc}
}

// returned learns that a letter did not arrive. Where its queue is gone, the member
// is, unless it comes back with another within a moment; otherwise what the letter
// said is still to be said.
func (c *Cluster) returned(l letter, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.wake()
	q := c.questions[l.msg.ID]
	delete(c.questions, l.msg.ID)
	m := c.members[l.name]
	if m == nil || m.queue != l.to {
		return
	}
	c.counts.returned.Inc()
	if errors.Is(err, dispatch.ErrUnroutable) {
		switch {
		case !m.heard:
			c.remove(m, "of before the restart is gone")
		case m.lost.IsZero():
			m.lost = time.Now()
		}
		return
	}
	c.log.Debug("control message was not taken", "to", m.Name, "action", l.msg.Action, "err", err)
	m.again = true
	switch l.msg.Action {
	case wire.TronInfo:
		m.welcomed = false
	case wire.Route:
		m.routed = time.Time{}
	case wire.Enable:
		if r := m.runs[q.deployment]; r != nil {
			r.asked = time.Time{}
		}
	case wire.Disable:
		if r := m.runs[q.deployment]; r != nil {
			r.told = time.Time{}
		}
	}
}
