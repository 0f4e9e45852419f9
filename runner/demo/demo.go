// Package demo shows a running Funcatron off: it uploads and enables the Go sample
// as an operator would, over the Tron's HTTP API, and prints what to try.
package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/funcatron/funcatron/runner/pack"
)

// carried is where an installation without a Go tool keeps the built sample;
// sourced is where the repository keeps its source.
const (
	carried = "/usr/share/funcatron/sample-go.zip"
	sourced = "runner/samples/go"
)

// patience is how long the system may take to serve the sample.
const patience = 60 * time.Second

// Options says where the system is.
type Options struct {
	Tron     string // URL of the admin API
	Gateway  string // URL for clients
	Token    string // the admin token, "" for none
	StateDir string // the sample's database goes here
	Out      io.Writer
}

// Run uploads and enables the sample, waits until it answers through the gateway,
// prints the commands to try, and returns.
func Run(ctx context.Context, o Options) error {
	zip, cleanup, err := sample(ctx, o.Out)
	if err != nil {
		return err
	}
	defer cleanup()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()

	f, err := os.Open(zip)
	if err != nil {
		return fmt.Errorf("upload sample: %w", err)
	}
	defer f.Close()
	var added struct {
		Sha string `json:"sha"`
	}
	if err := o.post(ctx, "/api/v1/add_func", f, &added); err != nil {
		return fmt.Errorf("upload sample: %w", err)
	}
	dir, err := database(o.StateDir)
	if err != nil {
		return fmt.Errorf("make the sample's database folder: %w", err)
	}
	enable, err := json.Marshal(map[string]any{"sha": added.Sha, "props": map[string]any{
		"key": "value",
		"db":  map[string]any{"type": "database", "driver": "sqlite", "url": "file:" + filepath.Join(dir, databaseName) + "?_pragma=busy_timeout(5000)&_txlock=immediate"},
	}})
	if err != nil {
		panic("BUG: enable request does not encode: " + err.Error())
	}
	if err := o.post(ctx, "/api/v1/enable", bytes.NewReader(enable), nil); err != nil {
		return fmt.Errorf("enable sample: %w", err)
	}
	if err := o.await(ctx, "/sample/go/simple"); err != nil {
		return fmt.Errorf("call sample: %w", err)
	}
	fmt.Fprintf(o.Out, `
The Go sample is enabled. Try:

  curl -v '%[1]s/sample/go/simple/42?cool=yes'
  curl -H 'Content-Type: application/json' -d '{"name":"Ann","age":30}' %[1]s/sample/go/change/3
  curl -X DELETE %[1]s/sample/go/change/7
  curl %[1]s/sample/go/change/7
  curl -H 'Content-Type: application/json' -d '{"name":"Ann"}' %[1]s/sample/go/visits
  curl %[1]s/sample/go/visits
  curl %[3]s%[2]s/api/v1/stats

`, o.Gateway, o.Tron, o.header())
	return nil
}

// shared is the folder of the sample's database where functions run as users of
// their own, one that we cannot know: anybody may write there.
const shared = "/var/lib/funcatron-demo"

// database makes the folder of the sample's database, and the database with it
// where the sample could not.
func database(stateDir string) (string, error) {
	if os.Geteuid() != 0 {
		dir := filepath.Join(stateDir, "demo")
		return dir, os.MkdirAll(dir, 0o700)
	}
	err := os.Mkdir(shared, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return shared, nil // by now others may have put what they like into it: it is left alone
	}
	file := filepath.Join(shared, databaseName)
	if err == nil {
		err = os.WriteFile(file, nil, 0o600)
	}
	return shared, errors.Join(err, os.Chmod(file, 0o666), os.Chmod(shared, 0o777))
}

const databaseName = "visits.db"

// sample finds the built sample, or builds it from the repository it is run in.
func sample(ctx context.Context, out io.Writer) (zip string, cleanup func(), err error) {
	if _, err := os.Stat(carried); err == nil {
		return carried, func() {}, nil
	}
	if _, err := os.Stat(filepath.Join(sourced, "funcatron.yaml")); err != nil {
		return "", nil, fmt.Errorf("the Go sample is neither at %s nor at %s: run --demo in Funcatron's source folder", carried, sourced)
	}
	if _, err := exec.LookPath("go"); err != nil {
		return "", nil, errors.New("building the Go sample needs the go tool in PATH")
	}
	dir, err := os.MkdirTemp("", "funcatron-demo-")
	if err != nil {
		return "", nil, fmt.Errorf("make a folder for the sample: %w", err)
	}
	cleanup = func() { _ = os.RemoveAll(dir) } // at worst a file stays in the temporary folder
	fmt.Fprintln(out, "Building the Go sample; the first time takes a minute ...")
	zip = filepath.Join(dir, "sample-go.zip")
	if _, err := pack.Dir(ctx, pack.Options{Dir: sourced, Out: zip, Platforms: []string{pack.Host()}, Stderr: out}); err != nil {
		cleanup()
		return "", nil, fmt.Errorf("build sample: %w", err)
	}
	return zip, cleanup, nil
}

// header is what curl needs to be let in. The token itself is not printed.
func (o Options) header() string {
	if o.Token == "" {
		return ""
	}
	return `-H "Authorization: Bearer $FUNCATRON_ADMIN_TOKEN" `
}

func (o Options) post(ctx context.Context, path string, body io.Reader, answer any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.Tron+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if o.Token != "" {
		req.Header.Set("Authorization", "Bearer "+o.Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(text))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// await asks the gateway until it answers 200.
func (o Options) await(ctx context.Context, path string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		select {
		case <-ctx.Done():
			return errors.Join(last, ctx.Err())
		case <-tick.C:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.Gateway+path, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			last = err
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
		last = fmt.Errorf("GET %s: %s", path, resp.Status)
	}
}
