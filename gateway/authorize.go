package gateway

import (
	"time"

	"github.com/valyala/fasthttp"

	"github.com/funcatron/funcatron/gateway/auth"
	"github.com/funcatron/funcatron/gateway/route"
)

// authorize asks the operation's guard, which there is, and answers where it says no.
func (x *exchange) authorize() bool {
	no := x.op.guard.Check(&x.rc.Request, time.Now())
	if no == nil {
		return true
	}
	fail(x.rc, x.id, no.Status, no.Detail)
	for _, c := range no.Challenges {
		x.rc.Response.Header.Add(fasthttp.HeaderWWWAuthenticate, c)
	}
	return false
}

// guards are those of a route's operations, in the order of its bundle's Ops.
func (r *routes) guards(item *route.Item) []*auth.Guard {
	place := item.Host + item.BasePath
	if place == "" {
		place = "/"
	}
	guards, err := auth.Compile(item.Bundle.Document().Operations, item.Security, place)
	if err != nil {
		r.log.Error("operations that require credentials are closed: enable the bundle again", "path", place, "sha", item.Sha, "err", err)
	}
	return guards
}
