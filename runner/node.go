package runner

import (
	"context"
	"path/filepath"
	"strconv"

	"github.com/funcatron/funcatron/runner/node"
)

// nodeProgram serves a bundle by the node package, which loads it.
func (r *Runner) nodeProgram(_ context.Context, n *run) (program, error) {
	path, err := r.interpreter("node", "node", r.opts.Node)
	if err != nil {
		return program{}, err
	}
	host, err := r.hosts.place("node", node.Files)
	if err != nil {
		return program{}, err
	}
	args := []string{path}
	if n.runtime.Memory > 0 { // else it is sized by the machine's; what is not heap wants a part
		args = append(args, "--max-old-space-size="+strconv.FormatInt(max(n.runtime.Memory*3/4>>20, 1), 10))
	}
	return program{path: path, args: append(args, filepath.Join(host, "serve.js"))}, nil
}
