package gateway

import (
	"math/rand/v2"
	"time"
)

// maxRuns is how many runners may have a request, each after the one before it is
// gone, since it may be the request that kills them, or could not run it.
const maxRuns = 3

// againPause is the longest wait before a request goes to its second runner; the
// one before its third is four times that.
const againPause = 50 * time.Millisecond

// again waits before a request goes to another runner; runs have had it. All
// that was with the last one comes back in the same moment, together with what
// may have killed it; spread out, the rest does not meet that again.
func (g *Gateway) again(runs int, deadline time.Time) {
	g.repeats.Inc()
	time.Sleep(min(rand.N(againPause<<(2*(runs-1))), time.Until(deadline)))
}
