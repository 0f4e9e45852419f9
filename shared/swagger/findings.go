package swagger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/go-openapi/loads"
	"github.com/go-openapi/strfmt"
	"github.com/go-openapi/validate"
)

const (
	// maxFindings is how many findings are worth reading.
	maxFindings = 100
	// maxExpanded is the number of schemas beyond which a document is not fully
	// validated: go-openapi expands it several times over, with every reference.
	maxExpanded = 200_000
)

// validating holds a token while a document is validated: one at a time in the
// whole process. A validation cannot be stopped, so one that nobody waits for
// any more runs on to its end; this way it is at most one.
var validating = make(chan struct{}, 1)

// Findings is go-openapi's full validation of the document: what the Swagger
// specification asks for and the document does not keep to, at most 100 findings
// in order. It takes seconds on big documents; complete is false where ctx ended
// first, or where the document is too big to be expanded. Findings decide
// nothing: the document is usable.
func (d *Document) Findings(ctx context.Context) (findings []string, complete bool) {
	if n := expandedSize(d.JSON); n > maxExpanded {
		return []string{fmt.Sprintf("not fully validated: with its references expanded the document has more than %d schemas", maxExpanded)}, false
	}
	select {
	case validating <- struct{}{}:
	case <-ctx.Done():
		return nil, false
	}
	if ctx.Err() != nil { // both were ready
		<-validating
		return nil, false
	}
	done := make(chan []string, 1)
	go func() {
		defer func() { <-validating }()
		done <- validateAll(d.JSON)
	}()
	select {
	case findings = <-done:
		return findings, true
	case <-ctx.Done():
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
			sum := 0
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
