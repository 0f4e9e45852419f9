package bundle

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Bounds on what is said about one bundle. A document's problems are counted in.
const (
	maxProblems = 600
	maxWarnings = 50
)

// notes collects what is wrong with a bundle.
type notes struct {
	problems []string
	warnings []string
}

// refuse notes a reason not to take the bundle; name is the entry's.
func (n *notes) refuse(name, format string, args ...any) {
	n.problems = note(n.problems, maxProblems, name, format, args)
}

// warn notes something odd that was passed over.
func (n *notes) warn(name, format string, args ...any) {
	n.warnings = note(n.warnings, maxWarnings, name, format, args)
}

func note(list []string, most int, name, format string, args []any) []string {
	if len(list) > most {
		return list
	}
	if len(list) == most {
		return append(list, fmt.Sprintf("and more: only the first %d are listed", most))
	}
	message := clip(name) + ": " + fmt.Sprintf(format, args...)
	if slices.Contains(list, message) {
		return list
	}
	return append(list, message)
}

// verdict is the *Error that the problems make, or nil.
func (n *notes) verdict() error {
	if len(n.problems) == 0 {
		return nil
	}
	return &Error{Problems: n.problems}
}

// refusal is an *Error with one problem.
func refusal(format string, args ...any) error {
	return &Error{Problems: []string{fmt.Sprintf(format, args...)}}
}

// quote is a name for a message.
func quote(s string) string { return strconv.Quote(clip(s)) }

func clip(s string) string {
	const longest = 160
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "..."
}
