package brokertest

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/funcatron/funcatron/dispatch"
)

var inboxTests = []contract{
	{"hands over what comes, and needs no Settle", func(t *testing.T, b dispatch.Broker) {
		in := openInbox(t, b, "test-inbox-")
		name := in.name()
		if !strings.HasPrefix(name, "test-inbox-") || len(name) < len("test-inbox-")+16 {
			t.Errorf("name is %q", name)
		}
		const n = 3000 // more than is in flight at a time
		s := newSettlements(t)
		for i := range n {
			s.publish(b, name, dispatch.Message{Body: []byte(strconv.Itoa(i)), CorrelationID: "c"})
		}
		for i := range n {
			d := in.next()
			if string(d.Body) != strconv.Itoa(i) || d.CorrelationID != "c" {
				t.Fatalf("got %q, %q, want %d", d.Body, d.CorrelationID, i)
			}
			if i%3 == 0 {
				d.Settle(dispatch.Requeue) // set, and does nothing
			}
		}
		for _, err := range s.wait() {
			if err != nil {
				t.Fatalf("settled with %v", err)
			}
		}
		if len(in.got) > 0 {
			t.Errorf("%d messages too many", len(in.got))
		}
	}},

	{"its queue is private to it", func(t *testing.T, b dispatch.Broker) {
		one, two := openInbox(t, b, "test-inbox-"), openInbox(t, b, "test-inbox-")
		a, z := one.name(), two.name()
		if a == z {
			t.Fatalf("two inboxes are called %s", a)
		}
		send(t, b, a, "1")
		send(t, b, z, "2")
		if d := one.next(); string(d.Body) != "1" {
			t.Errorf("got %q", d.Body)
		}
		if d := two.next(); string(d.Body) != "2" {
			t.Errorf("got %q", d.Body)
		}
	}},

	{"its queue is gone when it returns", func(t *testing.T, b dispatch.Broker) {
		seen := make(map[string]bool)
		for range 5 {
			in := openInbox(t, b, "test-inbox-")
			name := in.name()
			if seen[name] {
				t.Fatalf("%s is used twice", name)
			}
			seen[name] = true
			send(t, b, name, "x")
			in.stop()
			if err := publish(t, b, name, dispatch.Message{}); !errors.Is(err, dispatch.ErrUnroutable) {
				t.Errorf("settled with %v, want ErrUnroutable", err)
			}
			if _, err := b.Inspect(t.Context(), name); !errors.Is(err, dispatch.ErrUnroutable) {
				t.Errorf("Inspect = %v, want ErrUnroutable", err)
			}
			if len(in.names) > 0 {
				t.Errorf("opened(%q) at the end: it was not lost", <-in.names)
			}
		}
	}},

	{"opened tells when it is lost, and the new name", func(t *testing.T, b dispatch.Broker) {
		in := openInbox(t, b, "test-inbox-")
		seen := map[string]bool{"": true}
		for range 3 {
			name := in.name()
			if seen[name] {
				t.Fatalf("opened(%q), which is no new name", name)
			}
			seen[name] = true
			send(t, b, name, "x")
			in.next()
			if err := b.Delete(t.Context(), name); err != nil {
				t.Fatalf("Delete = %v", err)
			}
			if lost := in.name(); lost != "" {
				t.Fatalf("opened(%q) when the queue was lost, want \"\"", lost)
			}
			if err := publish(t, b, name, dispatch.Message{}); !errors.Is(err, dispatch.ErrUnroutable) {
				t.Errorf("settled with %v, want ErrUnroutable", err)
			}
		}
	}},

	{"serves request and reply", func(t *testing.T, b dispatch.Broker) {
		q := newQueue(t, b)
		in := openInbox(t, b, "test-inbox-")
		name := in.name()
		consumeWith(t, b, q, 10, func(d *dispatch.Delivery) {
			b.Publish(d.ReplyTo, dispatch.Message{Body: d.Body, CorrelationID: d.CorrelationID}, func(error) { d.Settle(dispatch.Ack) })
		})
		for i := range 100 {
			id := strconv.Itoa(i)
			b.Publish(q.Name, dispatch.Message{Body: []byte("ping"), ReplyTo: name, CorrelationID: id}, nil)
			if d := in.next(); d.CorrelationID != id || string(d.Body) != "ping" {
				t.Fatalf("got %q, %q", d.CorrelationID, d.Body)
			}
		}
	}},
}
