package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// What this package needs beside Funcatron runs in processes of the same program,
// which knows by the name it is called what it is to be.
const (
	childPrefix   = "funcatron-bench-"
	functionChild = "fn"       // the function that is measured
	bareChild     = "fasthttp" // the same answers, with nothing in front
	netHTTPChild  = "nethttp"
	proxyChild    = "proxy" // of the function's socket
	amqpChild     = "amqp"  // answers on a queue
)

var children = map[string]func(args []string) error{
	functionChild: serveFunction,
	bareChild:     serveBare,
	netHTTPChild:  serveNetHTTP,
	proxyChild:    serveProxy,
	amqpChild:     serveAMQP,
}

// Child tells whether this process was started as one of the bench's own, and if
// so has been that, to its end. It is the first thing that main calls.
func Child() bool {
	name, ok := strings.CutPrefix(filepath.Base(os.Args[0]), childPrefix)
	run := children[name]
	if !ok || run == nil {
		return false
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[0], err)
		os.Exit(1)
	}
	return true
}
