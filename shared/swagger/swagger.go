// Package swagger reads Swagger 2.0 documents into what routing and checking
// requests need, and nothing else.
//
// A Document that Parse returned is usable: every operation has a unique method
// and path, every `$ref` in its requests is resolved, every security definition
// that it requires is there, nothing in it names a file or URL. Parse takes bounded time and memory whatever it is given. A Document
// never changes.
package swagger

import (
	"encoding/json"
	"time"

	"github.com/go-openapi/spec"
)

// MaxDocument is the largest document in bytes that Parse reads.
const MaxDocument = 4 << 20

// Document is a checked Swagger 2.0 document.
type Document struct {
	Title, Version string // of info
	Host           string // lower case, perhaps with a port; "" serves any host
	BasePath       string // "" or "/a/b", never with a slash at its end
	Runtime        Runtime
	Operations     []*Operation // sorted by path, then method

	// JSON is the document as JSON, with every `$ref` to elsewhere taken out. It
	// parses to an equal Document.
	JSON json.RawMessage
	// Warnings is what Parse found not to be valid and passed over.
	Warnings []string
}

// Runtime is the document's `x-funcatron` object, defaults filled in.
type Runtime struct {
	Kind        string        // "exec", ...; "" where the document does not say
	Command     []string      // exec: the words to start, $GOOS and $GOARCH not yet filled in
	JVMOptions  []string      // jvm: options of java
	Warmup      []Warmup      // what a process is warmed up with
	Listen      string        // "unix" or "tcp"
	Concurrency int           // requests one process handles at once
	Instances   int           // processes a runner
	Timeout     time.Duration // of a request, where its operation has none of its own

	// Limits of one process and what it starts. 0 sets none.
	Memory    int64 // bytes
	CPU       int64 // thousandths of a processor
	Files     int   // open at once, by one process
	Processes int   // and threads, at once
}

// Operation is one method on one path, its parameters merged with those of the
// path (Swagger 2.0, Path Item Object) and its references resolved.
type Operation struct {
	ID       string // operationId, or "METHOD path" where there is none; not unique
	Method   string // upper case
	Path     string // the template below BasePath, "/simple/{num}"
	Consumes []string
	Produces []string
	Params   []Parameter // everything but the body
	Body     *Body       // nil where the operation takes none
	Timeout  time.Duration
	// Security is what a request has to show: one of these. Nil lets everybody in.
	// Operations without a list of their own share the document's.
	Security []Requirement
	Retry    bool // x-funcatron: {retry: true}: may be run again although its method is not idempotent
}

// Body is an operation's `in: body` parameter.
type Body struct {
	Name     string
	Required bool
	// Schema has its references in place: expanded, a small document could fill
	// the memory. All of them, and those of the definitions, lead to definitions
	// of Root that are no references themselves. A definition may lead back to
	// itself, but never by allOf, anyOf, oneOf and not alone.
	Schema *spec.Schema
	Root   *spec.Swagger
}

// Parameter is a resolved non-body parameter. It is go-openapi's, so that its
// validators can be made from it.
type Parameter = spec.Parameter
