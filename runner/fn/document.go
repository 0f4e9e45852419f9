package fn

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// methods are the members of a path item that are operations.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch"}

// operationsOf are the names of a Swagger document's operations, sorted, each
// once. The document is JSON.
func operationsOf(document []byte) ([]string, error) {
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, fmt.Errorf("read the Swagger document: %w", err)
	}
	var names []string
	for path, item := range doc.Paths {
		for _, method := range methods {
			raw, ok := item[method]
			if !ok {
				continue
			}
			var op struct {
				ID string `json:"operationId"`
			}
			if err := json.Unmarshal(raw, &op); err != nil {
				return nil, fmt.Errorf("read the Swagger document: %s of %s: %w", method, path, err)
			}
			if op.ID == "" {
				op.ID = strings.ToUpper(method) + " " + path
			}
			names = append(names, op.ID)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// serveAll says which operations of the document ops lacks, all at once.
func (ops Operations) serveAll(document []byte) error {
	names, err := operationsOf(document)
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(names, func(name string) bool { return ops[name] != nil })
	if len(missing) > 0 {
		return fmt.Errorf("serve the Swagger document: these operations of it have no function in fn.Operations: %s", strings.Join(missing, ", "))
	}
	return nil
}
