package swagger

import (
	"fmt"
	"strings"
)

// Error is why a document was refused: every reason that Parse found, each a
// sentence that names the place.
type Error struct {
	Problems []string
}

func (e *Error) Error() string {
	switch len(e.Problems) {
	case 0:
		return "swagger document refused"
	case 1:
		return "swagger document refused: " + e.Problems[0]
	}
	return fmt.Sprintf("swagger document refused for %d reasons: %s", len(e.Problems), strings.Join(e.Problems, "; "))
}
