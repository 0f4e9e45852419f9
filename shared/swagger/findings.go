package swagger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/go-openapi/loads"
	"github.com/go-openapi/strfmt"
	"github.com/go-openapi/validate"
)

const (
	// maxFindings is how many findings are worth reading.
	maxFindings = 100
	// maxExpanded is the number of objects beyond which a document is not fully
	// validated: go-openapi expands it several times over, with every reference.
	// Real documents of 160 operations have up to 9,000, which take 2 s.
	maxExpanded = 25_000
	// maxValidated is the same in bytes of JSON.
	maxValidated = 1 << 20
)

// validating holds a token while a document is validated: one at a time in the
// whole process. A validation cannot be stopped, so one that nobody waits for
// any more runs on to its end; this way it is at most one.
var validating = make(chan struct{}, 1)

// abandoned is of the validation that holds the token: whether nobody waits for it.
var abandoned atomic.Pointer[atomic.Bool]

// Findings is go-openapi's full validation of the document: what the Swagger
// specification asks for and the document does not keep to, at most 100 findings
// in order. It takes seconds on big documents; complete is false where ctx ended
// first, and, with a finding that says so, where the document is too big, or another
// one's validation still runs that was given up. Findings decide nothing: the
// document is usable.
func (d *Document) Findings(ctx context.Context) (findings []string, complete bool) {
	if len(d.JSON) > maxValidated {
		return []string{fmt.Sprintf("not fully validated: as JSON the document has more than %d bytes", maxValidated)}, false
	}
	if n := expandedSize(d.JSON); n > maxExpanded {
		return []string{fmt.Sprintf("not fully validated: with its references expanded the document has more than %d objects", maxExpanded)}, false
	}
	select {
	case validating <- struct{}{}:
	default:
		if given := abandoned.Load(); given != nil && given.Load() {
			return []string{"not fully validated: another document's validation takes long, and there is one at a time"}, false
		}
		select {
		case validating <- struct{}{}:
		case <-ctx.Done():
			return nil, false
		}
	}
	if ctx.Err() != nil { // both were ready
		<-validating
		return nil, false
	}
	given := &atomic.Bool{}
	abandoned.Store(given)
	done := make(chan []string, 1)
	go func() {
		defer func() { <-validating }()
		done <- validateAll(d.JSON)
	}()
	select {
	case findings = <-done:
		return findings, true
	case <-ctx.Done():
		given.Store(true)
		return nil, false
	}
}

func validateAll(document []byte) (findings []string) {
	found := map[string]bool{}
	defer func() {
		if p := recover(); p != nil { // go-openapi panics on schemas that it cannot expand
			found[fmt.Sprintf("validation stopped: %v", p)] = true
		}
		findings = slices.Sorted(maps.Keys(found))
		if len(findings) > maxFindings {
			findings = append(findings[:maxFindings], "and "+strconv.Itoa(len(findings)-maxFindings)+" more")
		}
	}()
	doc, err := loads.Analyzed(document, "2.0")
	if err != nil {
		found[clipFinding(err.Error())] = true
		return nil
	}
	v := validate.NewSpecValidator(doc.Schema(), strfmt.Default)
	v.SetContinueOnErrors(true)
	result, warnings := v.Validate(doc)
	for _, list := range [][]error{result.Errors, result.Warnings, warnings.Errors, warnings.Warnings} {
		for _, err := range list {
			found[clipFinding(err.Error())] = true
		}
	}
	return nil
}

func clipFinding(s string) string {
	if len(s) > maxMessage {
		return s[:maxMessage] + "..."
	}
	return s
}

// expandedSize is about how many objects the document has once every reference
// is replaced by what it leads to, those that lead back to themselves left out.
func expandedSize(document []byte) int {
	root, err := decode(document)
	if err != nil {
		return 0
	}
	object, _ := root.(map[string]any)
	r := &reader{root: object}
	sizes := map[string]int{}
	var size func(v any) int
	size = func(v any) int {
		switch v := v.(type) {
		case []any:
			sum := len(v) / 2 // each value of an enum is looked at, too, wherever it is referred to
			for _, item := range v {
				sum = min(sum+size(item), maxExpanded+1)
			}
			return sum
		case map[string]any:
			ref, _ := v["$ref"].(string)
			if tokens, ok := pointer(ref); ok {
				name := join(tokens)
				if n, known := sizes[name]; known {
					return n
				}
				target, _ := r.lookup(tokens)
				sizes[name] = 1 // what a reference back to itself costs
				sizes[name] = size(target)
				return sizes[name]
			}
			sum := 1
			for _, item := range v {
				sum = min(sum+size(item), maxExpanded+1)
			}
			return sum
		}
		return 0
	}
	return size(root)
}
