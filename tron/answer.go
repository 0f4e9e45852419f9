package tron

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/tron/cluster"
	"github.com/funcatron/funcatron/tron/credentials"
	"github.com/funcatron/funcatron/tron/store"
)

// refusal is the body of every answer that is no success, but for add_func's.
type refusal struct {
	Success bool     `json:"success"`
	Error   string   `json:"error"`
	Errors  []string `json:"errors,omitempty"` // each thing that is wrong, where there can be several
	Logs    []string `json:"logs,omitempty"`   // the last lines of a function that did not start
}

func fail(w http.ResponseWriter, status int, reason string) {
	answer(w, status, refusal{Error: reason})
}

// answer writes v as JSON. Whoever asked may have gone, so writing may fail.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}

func text(w http.ResponseWriter, status int, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(s))
}

// failWith answers with what err means in HTTP; nobody else turns errors into
// statuses. What is nobody's fault but the Tron's is logged here.
func (t *Tron) failWith(w http.ResponseWriter, err error) {
	var start *cluster.StartError
	var security *credentials.Error
	switch {
	case errors.As(err, &security):
		answer(w, http.StatusBadRequest, refusal{Error: err.Error(), Errors: security.Problems})
	case errors.As(err, &start):
		answer(w, http.StatusUnprocessableEntity, refusal{Error: start.Reason, Logs: start.Logs})
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDamaged):
		fail(w, http.StatusNotFound, err.Error())
	case errors.Is(err, store.ErrNoRoom):
		t.log.Error("nothing was changed", "err", err)
		fail(w, http.StatusInsufficientStorage, "nothing was changed: "+store.ErrNoRoom.Error())
	case errors.Is(err, cluster.ErrStopping), errors.Is(err, dispatch.ErrDown):
		w.Header().Set("Retry-After", "2")
		fail(w, http.StatusServiceUnavailable, err.Error())
	default:
		t.log.Error("admin request failed", "err", err)
		fail(w, http.StatusInternalServerError, err.Error())
	}
}
