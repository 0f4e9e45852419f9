// Package node carries the Node package that serves bundles of runtime node.
package node

import "embed"

// Files are what a Runner needs of it: serve.js, which loads a bundle, and the
// package funcatron beside it.
//
//go:embed package.json *.js *.mjs *.d.ts lib
var Files embed.FS
