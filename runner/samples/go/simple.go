package main

import (
	"math/rand/v2"
	"time"

	"github.com/funcatron/funcatron/runner/fn"
)

// Simple is the answer of SimpleGet.
type Simple struct {
	NumParam    *int64         `json:"num-param,omitempty"`
	Bools       bool           `json:"bools"`
	Numero      float64        `json:"numero"`
	QueryParams map[string]any `json:"query-params"`
	Time        string         `json:"time"`
}

// timeFormat is how a java.util.Date prints.
const timeFormat = "Mon Jan 02 15:04:05 MST 2006"

// simpleGet serves /simple and /simple/{num}; num is there on the latter.
func simpleGet(ctx *fn.Context, _ fn.None) (Simple, error) {
	num, err := fn.ParamOr[*int64](ctx, "num", nil)
	if err != nil {
		return Simple{}, err
	}
	ctx.Logger().Info("In Go 'SimpleGet... yay!")
	return Simple{
		NumParam:    num,
		Bools:       true,
		Numero:      rand.Float64(),
		QueryParams: ctx.QueryParams(),
		Time:        time.Now().UTC().Format(timeFormat),
	}, nil
}
