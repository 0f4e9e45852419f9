package rabbit_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/brokertest"
	"github.com/funcatron/funcatron/dispatch/rabbit"
)

func TestNewNamesTheOptionThatIsWrong(t *testing.T) {
	const url = "amqp://user:secret@127.0.0.1:5672/"
	for _, tc := range []struct {
		o    rabbit.Options
		want string
	}{
		{rabbit.Options{}, "URL"},
		{rabbit.Options{URL: "http://user:secret@127.0.0.1/"}, "URL"},
		{rabbit.Options{URL: "amqp://user:sec%ret@127.0.0.1/"}, "URL"},
		{rabbit.Options{URL: "amqp://user:secret@127.0.0.1:port/"}, "URL"},
		{rabbit.Options{URL: "amqp://user:secret @127.0.0.1/"}, "URL"},
		{rabbit.Options{URL: url, Channels: -1}, "Channels"},
		{rabbit.Options{URL: url, Channels: 1000}, "Channels"},
		{rabbit.Options{URL: url, Buffer: -1}, "Buffer"},
		{rabbit.Options{URL: url, BufferBytes: -1}, "BufferBytes"},
		{rabbit.Options{URL: url, Heartbeat: time.Millisecond}, "Heartbeat"},
		{rabbit.Options{URL: url, DialTimeout: -1}, "DialTimeout"},
		{rabbit.Options{URL: url, Timeout: 2 * time.Hour}, "Timeout"},
	} {
		_, err := rabbit.New(tc.o)
		if err == nil || !strings.Contains(err.Error(), tc.want+" is ") {
			t.Errorf("New(%+v) = %v, want an error about %s", tc.o, err, tc.want)
		} else if strings.Contains(err.Error(), "sec") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
	for _, o := range []rabbit.Options{rabbit.DefaultOptions(), {URL: "amqp://127.0.0.1"}, {URL: "amqps://u:p@rabbit.example/vhost"}} {
		if _, err := rabbit.New(o); err != nil {
			t.Errorf("New(%+v) = %v", o, err)
		}
	}
}

func TestNewStartsNothing(t *testing.T) {
	brokertest.CheckGoroutines(t)
	b, err := rabbit.New(rabbit.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Err(); !errors.Is(err, dispatch.ErrDown) {
		t.Errorf("Err = %v, want ErrDown", err)
	}
	var settled error
	b.Publish("q", dispatch.Message{}, func(err error) { settled = err })
	if !errors.Is(settled, dispatch.ErrDown) {
		t.Errorf("settled with %v before Publish returned, want ErrDown", settled)
	}
	if _, err := b.Inspect(t.Context(), "q"); !errors.Is(err, dispatch.ErrDown) {
		t.Errorf("Inspect = %v, want ErrDown", err)
	}
	if err := b.Delete(t.Context(), "q"); !errors.Is(err, dispatch.ErrDown) {
		t.Errorf("Delete = %v, want ErrDown", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := b.Consume(ctx, dispatch.Queue{Name: "q"}, 1, func(*dispatch.Delivery) {}); err != nil {
		t.Errorf("Consume = %v, want nil when its context ends", err)
	}
	if err := b.Inbox(ctx, "q", func(string) { t.Error("opened") }, func(*dispatch.Delivery) {}); err != nil {
		t.Errorf("Inbox = %v, want nil when its context ends", err)
	}
}

func TestInboxRefusesALongPrefix(t *testing.T) {
	b, err := rabbit.New(rabbit.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Inbox(t.Context(), strings.Repeat("p", 250), func(string) {}, func(*dispatch.Delivery) {}); err == nil {
		t.Error("Inbox = nil")
	}
}

func TestNobodyAnswers(t *testing.T) {
	brokertest.CheckGoroutines(t)
	b, err := rabbit.New(rabbit.Options{URL: "amqp://guest:secret@127.0.0.1:1/"}) // tcpmux: nobody has that
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	brokertest.Eventually(t, "the reason why", func() bool { return strings.Contains(b.Err().Error(), "refused") })
	if err := b.Err(); !errors.Is(err, dispatch.ErrDown) || strings.Contains(err.Error(), "secret") {
		t.Errorf("Err = %v", err)
	}
	if err := b.Run(ctx); err == nil {
		t.Error("a second Run at the same time = nil")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
	if err := b.Err(); !errors.Is(err, dispatch.ErrDown) {
		t.Errorf("Err after Run = %v", err)
	}
}
