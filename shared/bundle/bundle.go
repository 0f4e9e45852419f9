// Package bundle reads Func Bundles: a zip file (an uberjar is one) with a
// Swagger 2.0 document at its root and the code behind it.
//
// A Bundle that Open returned can be unpacked without surprise: its names stay
// inside the folder, no two of them are one, its sizes are bounded. What the
// entries say of their sizes is believed only as a bound: Unpack writes no byte
// more.
package bundle

import (
	"github.com/funcatron/funcatron/shared/swagger"
)

// Limits of a bundle, in bytes and counts.
const (
	MaxSize     = 256 << 20 // the zip file
	MaxUnpacked = 1 << 30   // all files together
	MaxFile     = 512 << 20 // one file
	MaxFiles    = 50_000    // files; as many folders again
)

// Bundle is what a Func Bundle says of itself.
type Bundle struct {
	Sha      string // SHA-256 of the zip file's bytes, 64 lowercase hex digits
	Size     int64  // of the zip file
	GitSha   string // of the code, "" where the bundle does not say
	Type     string // the runtime: exec, jvm, python, node
	DocName  string // funcatron.yaml, .yml or .json
	Document *swagger.Document

	// Platforms are those that an exec bundle has a file for where its command
	// names $GOOS or $GOARCH: "linux/amd64", or only the half that it names.
	// Empty means that the command does not depend on them.
	Platforms []string
	// Warnings is what is odd about the zip file; the document has its own.
	Warnings []string
}
