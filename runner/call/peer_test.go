package call

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
)

// A connection to somebody else's socket is not used, not even for its first byte.
func TestOnly(t *testing.T) {
	for _, tc := range []struct {
		uid  int
		want string
	}{{os.Geteuid(), ""}, {os.Geteuid() + 1, "who listens there"}} {
		got := make(chan int, 2)
		p := function(t, func(_ int, c net.Conn, r *bufio.Reader) {
			if _, err := r.ReadString('\n'); err == nil {
				got <- 1
				_, _ = io.WriteString(c, answerOK)
			}
		})
		p.Only(tc.uid)
		err := p.Connect(t.Context())
		var a Answer
		if err == nil {
			err = p.Do(request("GET", ""), &a)
		}
		if tc.want == "" && err != nil || tc.want != "" && (!errors.Is(err, ErrUnsent) || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("user %d: %v, want %q", tc.uid, err, tc.want)
		}
		if tc.want != "" && len(got) > 0 {
			t.Error("something was sent nevertheless")
		}
	}
}
