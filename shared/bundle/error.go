package bundle

import (
	"fmt"
	"strings"
)

// Error is why a bundle was refused: every reason that was found, each a
// sentence that names the entry.
type Error struct {
	Problems []string
}

func (e *Error) Error() string {
	switch len(e.Problems) {
	case 0:
		return "bundle refused"
	case 1:
		return "bundle refused: " + e.Problems[0]
	}
	return fmt.Sprintf("bundle refused for %d reasons: %s", len(e.Problems), strings.Join(e.Problems, "; "))
}
