package gateway

import (
	"fmt"
	"time"

	"github.com/valyala/fasthttp"
)

// expect answers Expect: 100-continue (RFC 9110 section 10.1.1): 100, or in its
// place what the request would be answered whatever its body were, so that the
// body is never sent. fasthttp closes the connection then: a client may have begun
// to send.
func (g *Gateway) expect(rc *fasthttp.RequestCtx) (status int) {
	status = fasthttp.StatusInternalServerError // where admit panics
	x := g.begin(rc)
	defer x.done(time.Now())
	x.continues = x.admit() && x.fits()
	if x.continues {
		return fasthttp.StatusContinue
	}
	return rc.Response.StatusCode()
}

// fits looks at what is announced of the body, or answers.
func (x *exchange) fits() bool {
	length := x.rc.Request.Header.ContentLength() // negative if it is chunked
	if length > x.g.opts.MaxBody {
		fail(x.rc, x.id, fasthttp.StatusRequestEntityTooLarge, x.g.tooLarge())
		return false
	}
	return x.negotiate(length > 0)
}

func (g *Gateway) tooLarge() string {
	return fmt.Sprintf("The body is larger than %d bytes.", g.opts.MaxBody)
}
