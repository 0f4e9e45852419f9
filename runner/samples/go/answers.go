package main

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/funcatron/funcatron/runner/fn"
)

// status answers with the status that it is asked for.
func status(ctx *fn.Context, _ fn.None) (*fn.Response, error) {
	code, err := fn.Param[int](ctx, "code")
	if err != nil {
		return nil, err
	}
	r := &fn.Response{Status: code, Header: http.Header{"X-Sample-Status": {strconv.Itoa(code)}}}
	if code >= 300 && code <= 399 {
		r.Header.Set("Location", "/elsewhere")
	}
	if code != http.StatusNoContent && code != http.StatusNotModified {
		r.ContentType, r.Body = "text/plain", fmt.Appendf(nil, "status %d", code)
	}
	return r, nil
}

// fail shows the two kinds of errors: the text of the one is logged and the
// client is told 500, the other says what the client is told.
func fail(ctx *fn.Context, _ fn.None) (fn.None, error) {
	how, err := fn.Param[string](ctx, "how")
	switch {
	case err != nil:
		return fn.None{}, err
	case how == "refuse":
		return fn.None{}, fn.Errorf(http.StatusUnprocessableEntity, "the sample refuses on purpose")
	}
	return fn.None{}, errors.New("the sample fails on purpose")
}
