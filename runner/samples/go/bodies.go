package main

import (
	"net/http"
	"strconv"

	"github.com/funcatron/funcatron/runner/fn"
)

// Record is what Record takes and gives.
type Record struct {
	ID    int64    `json:"id"`
	Text  string   `json:"text"`
	Ratio float64  `json:"ratio"`
	Tags  []string `json:"tags"`
}

// record answers with what the body was decoded to.
func record(_ *fn.Context, r Record) (Record, error) { return r, nil }

// echo takes the body as it stands, whatever it is.
func echo(ctx *fn.Context, body []byte) (*fn.Response, error) {
	return &fn.Response{
		ContentType: ctx.Header().Get("Content-Type"),
		Header:      http.Header{"X-Sample-Length": {strconv.Itoa(len(body))}},
		Body:        body,
	}, nil
}
