package runner

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/funcatron/funcatron/runner/process"
	"github.com/funcatron/funcatron/shared/swagger"
)

// setUp runs a program to its end in the jail of n's function: it may run code of the
// bundle. Its working directory is the bundle. The error has its last lines.
func (n *run) setUp(ctx context.Context, path string, args, env []string) error {
	home := filepath.Join(n.dir, "setup")
	err := makeHome(home)
	if err == nil {
		err = ownPrivate(home, n.user)
	}
	if err != nil {
		return fmt.Errorf("make folder of process: %w", err)
	}
	defer func() { _ = removeAll(home) }() // the run's folder goes with all in it anyway
	spec := process.Spec{Path: path, Args: args, Dir: n.files, Env: append(homeEnv(home), env...), Mark: markOf(home)}
	// The bundle's own limits are for what serves; an installation needs more.
	rt := swagger.Runtime{Memory: n.jails.memory, Instances: 1}
	if err := n.jails.confine(&spec, filepath.Base(n.dir)+"-setup", n.user, rt); err != nil {
		return err
	}
	p, err := process.Start(spec)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		kill, cancel := context.WithTimeout(context.Background(), 0)
		defer cancel()
		p.Stop(kill)
		return context.Cause(ctx)
	}
	if n.user != nil { // nothing of it may go on while its files change hands
		if _, err := n.user.Kill(); err != nil {
			return err
		}
	}
	if !p.Succeeded() {
		return &startError{fmt.Errorf("%s ended: %s", filepath.Base(path), p.Exit()), p.Tail()}
	}
	return nil
}
