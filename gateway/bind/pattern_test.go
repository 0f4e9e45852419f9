package bind

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// A pattern is compiled once for all that have it, and forgotten behind the last.
func TestPatternsAreSharedAndForgotten(t *testing.T) {
	known := func() int {
		patterns.Lock()
		defer patterns.Unlock()
		return len(patterns.compiled)
	}
	first, err := compilePattern("^shared[a-z]{10}$")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := compilePattern("^shared[a-z]{10}$"); err != nil || again != first {
		t.Errorf("compiled again: %v", err)
	}
	if _, err := compilePattern("("); err == nil {
		t.Error("( is taken")
	}
	before := known()
	for i := range 1000 {
		if _, err := compilePattern(fmt.Sprintf("^passing%d$", i)); err != nil {
			t.Fatal(err)
		}
	}
	limit := time.After(20 * time.Second)
	for known() > before {
		runtime.GC()
		select {
		case <-limit:
			t.Fatalf("%d patterns are known, %d before", known(), before)
		case <-time.After(time.Millisecond):
		}
	}
	if again, err := compilePattern("^shared[a-z]{10}$"); err != nil || again != first {
		t.Error("what is in use was forgotten")
	}
	runtime.KeepAlive(first)
}
