package tron

import (
	"errors"
	"net/http"

	"github.com/funcatron/funcatron/tron/store"
)

// bundle serves a bundle's bytes, to runners above all.
func (t *Tron) bundle(w http.ResponseWriter, r *http.Request) {
	sha := r.PathValue("sha")
	if !store.IsSha(sha) {
		fail(w, http.StatusBadRequest, "the path does not end in 64 lowercase hex digits")
		return
	}
	f, err := t.store.OpenBundle(sha)
	if err != nil {
		if errors.Is(err, store.ErrDamaged) {
			t.log.Error("bundle cannot be served", "err", err)
			fail(w, http.StatusInternalServerError, err.Error())
			return
		}
		t.failWith(w, err)
		return
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		t.failWith(w, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("ETag", `"`+sha+`"`)
	h.Set("Cache-Control", "private, max-age=31536000, immutable") // a sha's bytes never change
	http.ServeContent(w, r, sha+".zip", info.ModTime(), f)
	if c, ok := w.(*counting); ok {
		t.counts.served(c.bytes)
	}
}
