// Package heap sets how often Go collects garbage.
//
// Go collects when the heap has doubled. A process that keeps a few megabytes and
// makes fifty a second then collects ten times a second, which costs a tenth of its
// processor time. Floor lets a small heap grow further, and leaves a large one as
// it is. Bound has it collected more often before a container's limit ends the process.
package heap

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// Bound makes Go's soft memory limit that part of the memory that the container
// (its cgroup) may use, where it is limited. GOMEMLIMIT in the environment has the
// last word.
func Bound(part float64) error {
	_, err := memlimit.Set(memlimit.WithProvider(memlimit.FromCgroup), memlimit.WithRatio(part))
	if err != nil && !errors.Is(err, memlimit.ErrNoCgroup) && !errors.Is(err, memlimit.ErrNoLimit) {
		return fmt.Errorf("read the memory limit: %w", err)
	}
	return nil
}

// usual is Go's own percentage (package runtime, GOGC).
const usual = 100

// floor is the size in bytes below which the heap is not collected; 0 before Floor.
var floor atomic.Int64

// Floor has the heap grow to at least size bytes before it is collected, for as
// long as the process lives. GOGC in the environment has the last word. A second
// call changes the size.
func Floor(size int64) {
	if os.Getenv("GOGC") != "" {
		return
	}
	if floor.Swap(size) == 0 {
		watch(&beat{})
	}
	adjust()
}

// beat is an object that nobody keeps: it is found at each collection.
type beat struct{ _ *beat }

func watch(b *beat) {
	runtime.SetFinalizer(b, func(b *beat) {
		adjust()
		watch(b)
	})
}

// adjust sets the percentage by what is live now.
func adjust() {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}, {Name: "/gc/gogc:percent"}}
	metrics.Read(samples)
	value := func(i int) int64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return int64(samples[i].Value.Uint64())
	}
	want := percent(floor.Load(), value(0), value(1)+value(2))
	// It stops the world to set it, so small changes do not count.
	if old := int(value(3)); want*10 > old*11 || want*10 < old*9 {
		debug.SetGCPercent(want)
	}
}

// percent has the next collection at size bytes of heap where the usual one would
// come before: Go collects at live + (live + roots) × percent / 100.
func percent(size, live, roots int64) int {
	const least = 1 << 20 // before the first collection nothing counts as live
	live = max(live, least)
	return int(max((size-live)*100/(live+roots), usual))
}
