package main

import "github.com/funcatron/funcatron/runner/fn"

// Logged is the answer of Log.
type Logged struct {
	RequestID string `json:"requestId"`
}

// logText writes lines that can be found by the id that it answers with.
func logText(ctx *fn.Context, _ fn.None) (Logged, error) {
	text, err := fn.Param[string](ctx, "text")
	if err != nil {
		return Logged{}, err
	}
	ctx.Logger().Info(text)
	ctx.Logger().Warn(text)
	return Logged{ctx.RequestID()}, nil
}
