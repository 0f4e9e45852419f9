package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/funcatron/funcatron/runner/python"
)

// What a python bundle may have at its root.
const (
	pythonMain         = "__main__.py"      // it is a zipapp or a PEX, and runs as it is
	pythonRequirements = "requirements.txt" // it wants an environment of its own
)

// pythonProgram serves a bundle by the python package, which loads it; a zipapp or a
// PEX serves itself.
func (r *Runner) pythonProgram(ctx context.Context, n *run) (program, error) {
	path, err := r.interpreter("python", "python", r.opts.Python)
	if err != nil {
		return program{}, err
	}
	host, err := r.hosts.place("python", python.Files)
	if err != nil {
		return program{}, err
	}
	// What is printed is a log line, and not one for later.
	p := program{path: path, env: []string{"PYTHONUNBUFFERED=1"}}
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(n.files, name))
		return err == nil
	}
	switch {
	case has(pythonMain):
		app := filepath.Join(n.dir, "bundle.pyz")
		err := copyFile(n.zip, app, 0o600)
		if err == nil {
			err = ownReadOnly(app, n.user)
		}
		if err != nil {
			return program{}, fmt.Errorf("hand the bundle over as it is: %w", err)
		}
		p.args = []string{path, app}
		p.env = append(p.env, "PYTHONPATH="+host, "PEX_EXTRA_SYS_PATH="+host) // a PEX heeds only its own
		return p, nil
	case has(pythonRequirements):
		if p.path, err = r.pythonEnvironment(ctx, n, path, host); err != nil {
			return program{}, err
		}
	}
	p.args = []string{p.path, filepath.Join(host, "serve.py")}
	return p, nil
}

// pythonEnvironment makes the virtual environment with what the bundle requires, once
// a bundle and interpreter, and gives its interpreter.
func (r *Runner) pythonEnvironment(ctx context.Context, n *run, path, host string) (string, error) {
	file, err := identity(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(file))
	key := "python-" + n.bundle.Sha + "-" + hex.EncodeToString(sum[:4])
	link := filepath.Join(n.dir, madeName)
	dir, release, err := r.made.Get(ctx, key, func(dir string) error {
		if err := ownPrivate(dir, n.user); err != nil {
			return err
		}
		err := n.setUp(ctx, path, []string{path, filepath.Join(host, "environment.py"), dir, n.files}, installEnv())
		if err == nil {
			err = ownEverybody(dir, n.user)
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("install what %s names: %w", pythonRequirements, err)
	}
	n.releases = append(n.releases, release)
	// By a link: the command line is everybody's to see, and would give away where the
	// environment is.
	if err := os.Symlink(dir, link); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return filepath.Join(link, "bin", "python"), nil
}

// installEnv is what an operator set for pip, and for reaching the network.
func installEnv() []string {
	var env []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		switch upper := strings.ToUpper(name); {
		case strings.HasPrefix(upper, "PIP_"):
		case upper == "HTTP_PROXY", upper == "HTTPS_PROXY", upper == "ALL_PROXY", upper == "NO_PROXY":
		case upper == "SSL_CERT_FILE", upper == "SSL_CERT_DIR", upper == "REQUESTS_CA_BUNDLE":
		default:
			continue
		}
		env = append(env, entry)
	}
	return env
}
