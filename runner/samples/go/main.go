// Command go is the Go sample of Funcatron: what the announcement's Java and
// Scala samples do, a guest book in a database, and one function for each thing
// that functions in every language can do. The samples in other languages have
// the same API.
//
// `funcatron pack` makes a Func Bundle of this folder. Each operationId of
// funcatron.yaml is in the map below.
package main

import (
	"github.com/funcatron/funcatron/runner/fn"

	// The driver of the database that the property "db" describes.
	_ "modernc.org/sqlite"
)

func main() {
	fn.Serve(fn.Operations{
		"funcatron.go_sample.SimpleGet":    fn.Typed(simpleGet),
		"funcatron.go_sample.PostOrDelete": fn.Typed(postOrDelete),
		"funcatron.go_sample.AddVisit":     fn.Typed(addVisit),
		"funcatron.go_sample.ListVisits":   fn.Typed(listVisits),
		"funcatron.go_sample.Echo":         fn.Typed(echo),
		"funcatron.go_sample.Record":       fn.Typed(record),
		"funcatron.go_sample.Params":       fn.Typed(params),
		"funcatron.go_sample.Status":       fn.Typed(status),
		"funcatron.go_sample.Fail":         fn.Typed(fail),
		"funcatron.go_sample.Log":          fn.Typed(logText),
		"funcatron.go_sample.Sleep":        fn.Typed(sleep),
	})
}
