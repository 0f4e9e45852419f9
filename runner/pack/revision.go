package pack

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// gitSha is the file that names the code's revision.
const gitSha = "gitsha.txt"

// revision is the git revision of dir, 40 hex digits, with "-dirty" after them
// where dir has changed since, or "" where git does not track it. note is what the user should know of it. The file out, which may lie
// in dir, counts for nothing.
func revision(ctx context.Context, dir, out string) (sha, note string) {
	// A folder that merely lies somewhere inside a repository is not of its revision.
	tracked, err := git(ctx, dir, "ls-files", "--", ".")
	if err != nil {
		return "", "no git revision in the bundle: " + err.Error()
	}
	if tracked == "" {
		return "", "no git revision in the bundle: git does not track the folder"
	}
	sha, err = git(ctx, dir, "rev-parse", "--verify", "HEAD")
	if err != nil {
		return "", "no git revision in the bundle: " + err.Error()
	}
	status := []string{"status", "--porcelain", "--", "."}
	if rel, ok := within(dir, out); ok {
		status = append(status, ":(exclude,literal)"+filepath.ToSlash(rel))
	}
	changes, err := git(ctx, dir, status...)
	if err != nil {
		return sha, fmt.Sprintf("git revision %s, whether changed since is not known: %s", sha, err)
	}
	if changes != "" {
		sha += "-dirty"
		return sha, fmt.Sprintf("warning: git revision %s: the folder has changes that are not committed", sha)
	}
	return sha, "git revision " + sha
}

// within is path as seen from dir, where it lies in there.
func within(dir, path string) (string, bool) {
	d, err1 := filepath.Abs(dir)
	p, err2 := filepath.Abs(path)
	if err1 != nil || err2 != nil {
		return "", false
	}
	rel, err := filepath.Rel(d, p)
	return rel, err == nil && filepath.IsLocal(rel)
}

// git runs git in dir, whatever repository the environment points at.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{"LC_ALL=C", "GIT_OPTIONAL_LOCKS=0"}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GIT_") && !strings.HasPrefix(v, "LC_ALL=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if first, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n"); first != "" {
			return "", fmt.Errorf("git: %s", strings.TrimPrefix(first, "fatal: "))
		}
		return "", fmt.Errorf("git: %w", err)
	}
	return strings.TrimSpace(stdout.String()), nil
}
