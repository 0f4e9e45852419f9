// Package fn is what a Funcatron function in Go is written with. It is compiled
// into the function, so it needs nothing but the standard library.
//
// A Func Bundle is a Swagger 2.0 document and a program. The document says which
// operation serves which path; the program says, by the same operationIds, what
// each operation does:
//
//	package main
//
//	import (
//		"slices"
//
//		"github.com/funcatron/funcatron/runner/fn"
//	)
//
//	type Greeting struct {
//		Text  string `json:"text"`
//		Times int64  `json:"times"`
//	}
//
//	func main() {
//		fn.Serve(fn.Operations{
//			"greetings.Repeat": fn.Typed(repeat),
//		})
//	}
//
//	func repeat(ctx *fn.Context, in Greeting) ([]Greeting, error) {
//		cnt, err := fn.Param[int](ctx, "cnt") // a path parameter
//		if err != nil {
//			return nil, err
//		}
//		if cnt > 100 {
//			return nil, fn.Errorf(422, "%d greetings are too many", cnt)
//		}
//		ctx.Logger().Info("repeating", "cnt", cnt)
//		return slices.Repeat([]Greeting{in}, cnt), nil
//	}
//
// with, in the document,
//
//	x-funcatron:
//	  runtime: exec
//	  command: ["bin/$GOOS-$GOARCH/app"]
//
// (an operation of the document that has no function keeps the program from being
// started, and is named in the answer to enable) and `funcatron pack DIR -o FILE.zip` makes the bundle of the two.
//
// # What a function can rely on
//
// Requests have been matched and checked against the document before they arrive.
// Parameters come as the types that the document gives them, with its defaults.
// A request's Context ends at its deadline, or when nobody waits for the answer
// any more. Whatever a function vended from a service is given back, committed
// where the function returned no error and undone where it returned one, panicked
// or came too late, before its answer leaves. A panic is answered 500 and logged; the
// process goes on.
//
// Functions run concurrently, as many at once as the document's
// x-funcatron.concurrency allows; what they share is theirs to guard.
//
// # Answers
//
// A function made by Typed answers its Out as JSON with status 200. Errorf
// chooses another status for an error; any other error is a 500 whose text goes
// to the log, under the request's REQ id, and not to the client. Raw, or a
// *Response returned from Typed, chooses everything.
//
// # Services
//
// An Execution Property that is an object with a "type" describes a service, built when it is first asked
// for and kept until the process ends:
//
//	{"db": {"type": "database", "driver": "pgx", "url": "postgres://db/shop", "username": "shop", "password": "..."}}
//
//	tx, err := fn.Vend[*sql.Tx](ctx, "db")
//
// The type "database" is built in, on database/sql; the program imports the
// driver. RegisterVendor adds other types.
package fn
