package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// WriteJSON writes the whole report, every sample with its curve.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("write report as JSON: %w", err)
	}
	return nil
}
