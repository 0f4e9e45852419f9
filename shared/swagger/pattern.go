package swagger

import (
	"regexp/syntax"
	"strings"
)

// Bounds on patterns: each is compiled by every gateway, and kept. go-openapi keeps
// every pattern that it ever compiled, and copies that whole table for each new one.
const (
	maxPatterns     = 1_000
	maxPattern      = 4_096   // bytes
	maxPatternSize  = 20_000  // instructions: about 1 MB and some ms
	maxPatternsSize = 200_000 // of all patterns together
)

// compiles refuses a pattern that Go's RE2 does not take (no lookahead, no
// backreference): a check that cannot be made must not be taken for one that
// passed. (Swagger means ECMA 262 expressions, most of which are RE2's too.)
// RE2 matches in time linear in the text; what has to be bounded is the program,
// which a few bytes can make large: a{1000} has a thousand instructions.
func (r *reader) compiles(where, pattern string) bool {
	good, known := r.patterns[pattern]
	if known {
		if !good {
			r.refuse(where, "pattern %s cannot be used", quote(pattern))
		}
		return good
	}
	switch {
	case len(pattern) > maxPattern:
		r.refuse(where, "pattern %s has %d bytes, more than %d", quote(pattern), len(pattern), maxPattern)
		return false
	case len(r.patterns) == maxPatterns:
		r.refuse("document", "more than %d different patterns", maxPatterns)
		return false
	}
	r.patterns[pattern] = false
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		r.refuse(where, "pattern %s cannot be used: %s", quote(pattern), clip(strings.TrimPrefix(err.Error(), "error parsing regexp: ")))
		return false
	}
	size := programSize(tree)
	if r.patternsSize += size; size > maxPatternSize {
		r.refuse(where, "pattern %s repeats so much that it becomes more than %d instructions", quote(pattern), maxPatternSize)
		return false
	}
	if r.patternsSize > maxPatternsSize {
		r.refuse("document", "its patterns together become more than %d instructions", maxPatternsSize)
		return false
	}
	r.patterns[pattern] = true
	return true
}

// programSize is about how many instructions tree is compiled to; a class of
// characters counts by its ranges, which the program holds. It stops counting well
// above the bound.
func programSize(tree *syntax.Regexp) int {
	size := 1
	switch tree.Op {
	case syntax.OpLiteral:
		size = len(tree.Rune)
	case syntax.OpCharClass:
		size += len(tree.Rune) / 16
	}
	for _, sub := range tree.Sub {
		size = min(size+programSize(sub), 1<<30)
	}
	if tree.Op == syntax.OpRepeat {
		times := max(tree.Min, tree.Max, 1) // Max is -1 where there is none
		size = min(size*(times+1), 1<<30)
	}
	return size
}
