package memory_test

import (
	"testing"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/dispatch/brokertest"
	"github.com/funcatron/funcatron/dispatch/memory"
)

func TestContract(t *testing.T) {
	brokertest.Run(t, func(*testing.T) dispatch.Broker { return memory.New() })
}
