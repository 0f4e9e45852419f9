package tron

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/funcatron/funcatron/shared/bundle"
	"github.com/funcatron/funcatron/shared/swagger"
	"github.com/funcatron/funcatron/shared/wire"
	"github.com/funcatron/funcatron/tron/cluster"
	"github.com/funcatron/funcatron/tron/store"
)

const (
	// uploadSlots is how many uploads are taken at once; others wait. Each may
	// hold a bundle's size on disk, and a processor while it is checked.
	uploadSlots = 4
	// stallTime is how long an upload may send nothing.
	stallTime = 30 * time.Second
	// findingsTime bounds the full validation of a document.
	findingsTime = 10 * time.Second
)

// accepted is add_func's answer to a bundle that it took.
type accepted struct {
	Accepted bool            `json:"accepted"`
	Type     string          `json:"type"`
	Host     string          `json:"host"`
	Route    string          `json:"route"`
	Swagger  json.RawMessage `json:"swagger"`
	Sha      string          `json:"sha"`
	Warnings []string        `json:"warnings"`
}

// rejected is its answer to any other.
type rejected struct {
	Accepted bool     `json:"accepted"`
	Error    string   `json:"error"`
	Errors   []string `json:"errors"`
}

func (t *Tron) reject(w http.ResponseWriter, status int, reason string, all ...string) {
	t.counts.upload("rejected")
	if len(all) == 0 {
		all = []string{reason}
	}
	answer(w, status, rejected{Error: reason, Errors: all})
}

// addFunc takes a bundle. The content type says nothing: wget sends a form's.
func (t *Tron) addFunc(run context.Context, w http.ResponseWriter, r *http.Request) {
	if r.ContentLength > bundle.MaxSize {
		t.reject(w, http.StatusRequestEntityTooLarge, tooLarge)
		return
	}
	select {
	case t.uploads <- struct{}{}:
		defer func() { <-t.uploads }()
	case <-r.Context().Done():
		return
	case <-run.Done():
		t.reject(w, http.StatusServiceUnavailable, "the Tron is stopping")
		return
	}
	body := &arriving{r: http.MaxBytesReader(w, r.Body, bundle.MaxSize), ctl: http.NewResponseController(w)}
	file, err := t.store.Receive(body)
	if err != nil {
		t.rejectReceived(w, body, err)
		return
	}
	defer func() { // after Adopt there is nothing to discard
		if err := t.store.Discard(file); err != nil {
			t.log.Warn("upload leaves a file behind", "err", err)
		}
	}()

	b, err := bundle.Open(file)
	if err != nil {
		problems := problemsOf(err)
		if problems == nil {
			t.log.Error("upload cannot be read back", "err", err)
			t.reject(w, http.StatusInternalServerError, err.Error())
			return
		}
		if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
			problems = append(problems, "the upload is a multipart form; send the bare file, with wget --post-file=FILE or curl --data-binary @FILE")
		}
		t.reject(w, http.StatusBadRequest, err.Error(), problems...)
		return
	}
	record, err := t.store.Bundle(b.Sha)
	known := err == nil
	if !known {
		record = store.RecordOf(b, time.Now().UTC(), warningsOf(run, b))
	}
	if err := t.store.Adopt(file, record, b.Document.JSON); err != nil {
		if errors.Is(err, store.ErrNoRoom) {
			t.rejectFull(w, err)
			return
		}
		t.log.Error("bundle cannot be kept", "sha", b.Sha, "err", err)
		t.reject(w, http.StatusInternalServerError, err.Error())
		return
	}
	if known {
		t.counts.upload("known")
	} else {
		t.counts.upload("accepted")
		t.counts.uploaded(b.Size)
		t.log.Info("accepted Func Bundle", "sha", b.Sha, "type", b.Type, "path", b.Document.Host+path(b.Document.BasePath),
			"bytes", b.Size, "warnings", len(record.Warnings))
	}
	a := accepted{
		Accepted: true, Type: record.Type, Host: record.Host, Route: path(record.BasePath),
		Swagger: b.Document.JSON, Sha: record.Sha, Warnings: record.Warnings,
	}
	if w := unsupported(record.Type, t.cluster.View().Members); w != "" {
		a.Warnings = append(slices.Clone(a.Warnings), w) // of this moment: not to be kept
	}
	if a.Warnings == nil {
		a.Warnings = []string{}
	}
	answer(w, http.StatusOK, a)
}

var tooLarge = fmt.Sprintf("the bundle is larger than %d MiB", bundle.MaxSize>>20)

// rejectReceived answers an upload that did not arrive whole.
func (t *Tron) rejectReceived(w http.ResponseWriter, body *arriving, err error) {
	var large *http.MaxBytesError
	switch {
	case errors.As(body.err, &large):
		t.reject(w, http.StatusRequestEntityTooLarge, tooLarge)
	case errors.Is(body.err, os.ErrDeadlineExceeded):
		t.reject(w, http.StatusRequestTimeout, fmt.Sprintf("nothing of the upload came in for %v", stallTime))
	case body.err != nil:
		t.reject(w, http.StatusBadRequest, "the upload ended before it was complete: "+body.err.Error())
	case errors.Is(err, store.ErrNoRoom):
		// Clients such as wget look at the answer only when all is sent.
		_, _ = io.Copy(io.Discard, body) // one that has gone need not be told
		t.rejectFull(w, err)
	default:
		t.log.Error("upload cannot be written", "err", err)
		t.reject(w, http.StatusInternalServerError, err.Error())
	}
}

// rejectFull answers an upload that there is no room for.
func (t *Tron) rejectFull(w http.ResponseWriter, err error) {
	t.log.Error("no room for an upload", "err", err)
	t.reject(w, http.StatusInsufficientStorage, store.ErrNoRoom.Error())
}

// arriving is an upload's body: slow is fine, standing still is not. err is what
// ended it too early, to be told from an error of the disk's.
type arriving struct {
	r   io.Reader
	ctl *http.ResponseController
	err error
}

func (a *arriving) Read(b []byte) (int, error) {
	_ = a.ctl.SetReadDeadline(time.Now().Add(stallTime)) // without one it is just as right
	n, err := a.r.Read(b)
	if err != nil {
		_ = a.ctl.SetReadDeadline(time.Time{})
	}
	if err != nil && err != io.EOF {
		a.err = err
	}
	return n, err
}

// problemsOf are the reasons for which a bundle was refused; nil where it was not
// the bundle's fault.
func problemsOf(err error) []string {
	var b *bundle.Error
	var d *swagger.Error
	switch {
	case errors.As(err, &b):
		return slices.Clone(b.Problems)
	case errors.As(err, &d):
		return slices.Clone(d.Problems)
	}
	return nil
}

// unsupported warns of a type of bundle that no connected runner can run, or is "".
// Where none is connected, or one does not say, nobody knows.
func unsupported(kind string, members []cluster.Member) string {
	var known []string
	for _, m := range members {
		if m.Kind != wire.KindRunner {
			continue
		}
		if !m.Heard || len(m.Runtimes) == 0 || slices.Contains(m.Runtimes, kind) {
			return ""
		}
		known = append(known, m.Runtimes...)
	}
	if len(known) == 0 {
		return ""
	}
	slices.Sort(known)
	return fmt.Sprintf("no runner that is connected runs bundles of type %s (they run %s): it will not start on them", kind, strings.Join(slices.Compact(known), ", "))
}

// warningsOf is everything about b that is not as it should be, once each.
func warningsOf(ctx context.Context, b *bundle.Bundle) []string {
	limited, cancel := context.WithTimeout(ctx, findingsTime)
	defer cancel()
	found, complete := b.Document.Findings(limited)
	all := slices.Concat(b.Document.Warnings, b.Warnings, found)
	if !complete && len(found) == 0 {
		all = append(all, fmt.Sprintf("the full validation of the document was cut short after %v; there may be more to find", findingsTime))
	}
	seen := make(map[string]bool, len(all))
	return slices.DeleteFunc(all, func(s string) bool {
		was := seen[s]
		seen[s] = true
		return was
	})
}
