package main

import (
	"net/http"
	"strconv"

	"github.com/funcatron/funcatron/runner/fn"
)

// Data is what PostOrDelete takes and gives.
type Data struct {
	Name string `json:"name"`
	Age  int64  `json:"age"`
}

// postOrDelete answers each method differently: with a list, with one Data, and
// with a status and text of its own.
func postOrDelete(ctx *fn.Context, data Data) (any, error) {
	// The document guarantees the path parameter cnt.
	cnt, err := fn.Param[int64](ctx, "cnt")
	if err != nil {
		return nil, err
	}
	switch ctx.Method() {
	case http.MethodDelete:
		return Data{"Deleted " + strconv.FormatInt(cnt, 10), cnt}, nil
	case http.MethodPost:
		all := []Data{} // not nil: no Data at all is [], not null
		for i := int64(1); i <= cnt; i++ {
			all = append(all, Data{data.Name + strconv.FormatInt(i, 10), data.Age + i})
		}
		return all, nil
	default:
		return &fn.Response{
			Status:      http.StatusBadRequest,
			ContentType: "text/plain",
			Body:        []byte("Expecting a POST or DELETE, but got " + ctx.Method()),
		}, nil
	}
}
