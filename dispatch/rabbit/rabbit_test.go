package rabbit_test

import (
	"context"
	"testing"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/brokertest"
	"github.com/funcatron/funcatron/dispatch/rabbit"
)

func TestContract(t *testing.T) {
	url := brokertest.RabbitURL(t)
	brokertest.Run(t, func(t *testing.T) dispatch.Broker { return open(t, rabbit.Options{URL: url}) })
}

// open runs a broker until the test ends, and waits until it is up.
func open(t *testing.T, o rabbit.Options) *rabbit.Broker {
	t.Helper()
	o.Name = t.Name()
	b, err := rabbit.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	up(t, b)
	return b
}

// up waits until both connections work.
func up(t *testing.T, b *rabbit.Broker) {
	t.Helper()
	brokertest.Eventually(t, "connections to RabbitMQ", func() bool {
		return b.Err() == nil && b.Delete(t.Context(), brokertest.Name()) == nil
	})
}
