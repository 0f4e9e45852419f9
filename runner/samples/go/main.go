// Command go is the Go sample of Funcatron: what the announcement's Java and
// Scala samples do, and a guest book in a database.
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
	})
}
