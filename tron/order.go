package tron

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/funcatron/funcatron/tron/store"
)

// maxOrder is the largest body of enable and disable in bytes.
const maxOrder = 1 << 20

// order is the body of enable, and of disable, which takes no props.
type order struct {
	sha      string
	props    json.RawMessage // a JSON object, compact; nil where there was none: what is served there keeps its own
	warnings []string        // what was passed over
}

// parseOrder reads the body of enable or disable, whose fields may be those given.
// What else is in it is warned of. The error is for the client.
func parseOrder(body []byte, fields ...string) (order, error) {
	var o order
	if len(bytes.TrimSpace(body)) == 0 {
		return o, errors.New(`the body is empty; it should be like {"sha":"THE-SHA-HERE"}`)
	}
	if !utf8.Valid(body) {
		return o, errors.New("the body is not UTF-8 (RFC 8259 section 8.1)")
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return o, fmt.Errorf("the body is not a JSON object: %w", err)
	}
	if raw == nil {
		return o, errors.New("the body is null, not a JSON object")
	}
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		if !slices.Contains(fields, name) {
			o.warnings = append(o.warnings, fmt.Sprintf("field %q is not known here and was passed over", name))
		}
	}
	if raw["sha"] == nil {
		return o, errors.New(`"sha" is missing: the 64 hex digits that add_func answered`)
	}
	if err := json.Unmarshal(raw["sha"], &o.sha); err != nil {
		return o, errors.New(`"sha" is no string`)
	}
	o.sha = strings.ToLower(strings.TrimSpace(o.sha))
	if !store.IsSha(o.sha) {
		return o, fmt.Errorf(`"sha" is not 64 hex digits: %.80q`, o.sha)
	}
	if p := raw["props"]; p != nil && slices.Contains(fields, "props") && string(p) != "null" {
		if p[0] != '{' {
			return o, errors.New(`"props" is not a JSON object`)
		}
		var b bytes.Buffer
		if err := json.Compact(&b, p); err != nil {
			return o, fmt.Errorf(`"props": %w`, err)
		}
		o.props = b.Bytes()
	}
	return o, nil
}

// readOrder reads the body, or answers why not.
func readOrder(w http.ResponseWriter, r *http.Request, fields ...string) (order, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		fail(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxOrder))
		return order{}, false
	case err != nil:
		fail(w, http.StatusBadRequest, "the body did not arrive: "+err.Error())
		return order{}, false
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // what is asked may take longer
	o, err := parseOrder(body, fields...)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return order{}, false
	}
	return o, true
}

// ordered is the answer to an enable or disable that succeeded.
type ordered struct {
	Success    bool     `json:"success"`
	Msg        string   `json:"msg"`
	State      string   `json:"state,omitempty"`
	Deployment string   `json:"deployment,omitempty"`
	Sha        string   `json:"sha"`
	Host       string   `json:"host"`
	Path       string   `json:"path"`
	Replaced   string   `json:"replaced,omitempty"` // the sha that was served there before
	Warnings   []string `json:"warnings,omitempty"`
}

// enable waits under run, not under the request: a client that hangs up does not
// leave a deployment half made.
func (t *Tron) enable(run context.Context, w http.ResponseWriter, r *http.Request) {
	o, ok := readOrder(w, r, "sha", "props")
	if !ok {
		return
	}
	done, err := t.cluster.Enable(run, o.sha, o.props)
	if err != nil {
		t.failWith(w, err)
		return
	}
	a := ordered{
		Success: true, State: done.State, Deployment: done.Deployment, Sha: o.sha,
		Replaced: done.Replaced, Warnings: o.warnings,
	}
	if b, err := t.store.Bundle(o.sha); err == nil {
		a.Host, a.Path = b.Host, path(b.BasePath)
	}
	switch {
	case done.State == "pending":
		a.Msg = fmt.Sprintf("Enabled %s%s; no runner is connected, the first that is will start it", a.Host, a.Path)
	case done.Already:
		a.Msg = fmt.Sprintf("%s%s is live already", a.Host, a.Path)
	default:
		a.Msg = fmt.Sprintf("Deployed %s%s", a.Host, a.Path)
	}
	answer(w, http.StatusOK, a)
}

func (t *Tron) disable(run context.Context, w http.ResponseWriter, r *http.Request) {
	o, ok := readOrder(w, r, "sha")
	if !ok {
		return
	}
	found, err := t.cluster.Disable(run, o.sha)
	if err != nil {
		t.failWith(w, err)
		return
	}
	a := ordered{Success: true, Sha: o.sha, Warnings: o.warnings, Msg: "was not enabled"}
	if b, err := t.store.Bundle(o.sha); err == nil {
		a.Host, a.Path = b.Host, path(b.BasePath)
	}
	if found {
		a.Msg = fmt.Sprintf("Disabled %s%s", a.Host, a.Path)
	}
	answer(w, http.StatusOK, a)
}

// path is a base path as people write it.
func path(basePath string) string {
	if basePath == "" {
		return "/"
	}
	return basePath
}
