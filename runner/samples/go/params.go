package main

import (
	"errors"

	"github.com/funcatron/funcatron/runner/fn"
)

// Parameters are the answer of Params.
type Parameters struct {
	ID    int64    `json:"id"`
	Name  string   `json:"name"`
	Limit int32    `json:"limit"`
	On    bool     `json:"on"`
	Tags  []string `json:"tags"`
}

// params reads parameters as the types that the document gives them. Those that
// the client left out have the document's defaults.
func params(ctx *fn.Context, _ fn.None) (p Parameters, err error) {
	return p, errors.Join(
		read(ctx, "id", &p.ID),
		read(ctx, "name", &p.Name),
		read(ctx, "limit", &p.Limit),
		read(ctx, "on", &p.On),
		read(ctx, "tags", &p.Tags),
	)
}

func read[T any](ctx *fn.Context, name string, into *T) (err error) {
	*into, err = fn.Param[T](ctx, name)
	return err
}
