// Package python carries the Python package that serves bundles of runtime python.
package python

import "embed"

// Files are what a Runner needs of it: serve.py, which loads a bundle by the package
// beside it, and environment.py, which makes a bundle's virtual environment.
//
//go:embed serve.py environment.py funcatron/*.py
var Files embed.FS
