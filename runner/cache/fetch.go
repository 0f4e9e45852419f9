package cache

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/funcatron/funcatron/shared/statefile"
)

// A fetch is tried fetchTries times, with a pause between that doubles; one that
// brings no byte for stall has failed.
const (
	fetchTries = 5
	fetchPause = 250 * time.Millisecond
	stall      = 30 * time.Second
	dialTime   = 5 * time.Second
)

// errFinal marks what another try would not change.
var errFinal = errors.New("")

func final(format string, args ...any) error {
	return fmt.Errorf(format+"%w", append(args, errFinal)...)
}

// newClient makes a client that goes straight to the Tron: no proxy may see the
// token, no redirect may take it elsewhere.
func newClient(o Options) *http.Client {
	tr := &http.Transport{
		DialContext:           o.Dial,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   dialTime,
		ResponseHeaderTimeout: stall,
		IdleConnTimeout:       stall,
	}
	if tr.DialContext == nil {
		tr.DialContext = (&net.Dialer{Timeout: dialTime}).DialContext
	}
	if o.TLS != nil {
		tr.DialTLSContext = o.TLS.Dial
	}
	return &http.Client{
		Transport:     tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// fetch brings the bundle sha to path.
func (c *Cache) fetch(ctx context.Context, sha, path string) error {
	pause := fetchPause
	for try := 1; ; try++ {
		err := c.fetchOnce(ctx, sha, path)
		c.opts.Fetched(err)
		if err == nil {
			c.check(sha)
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, errFinal) || try == fetchTries {
			return err
		}
		c.opts.Log.Warn("bundle is not fetched yet", "sha", sha, "try", try, "err", err)
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return err
		}
	}
}

func (c *Cache) fetchOnce(ctx context.Context, sha, path string) error {
	src, err := c.opts.Source(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	url := strings.TrimRight(src.URL, "/") + "/api/v1/bundle/" + sha
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return final("fetch from %s (--tron-url): %w", src.URL, err)
	}
	if src.Token != "" {
		req.Header.Set("Authorization", "Bearer "+src.Token)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // whatever it says, the digest has been checked or not
	switch {
	case resp.StatusCode == http.StatusOK:
	case resp.StatusCode == http.StatusNotFound:
		return final("fetch %s: the Tron does not have it", url)
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("fetch %s: %s", url, resp.Status)
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		// The Tron may have a new token, which it is about to tell.
		return fmt.Errorf("fetch %s: %s: the Tron does not accept the token that it gave; is --tron-url another Tron's?", url, resp.Status)
	default:
		return final("fetch %s: %s", url, resp.Status)
	}
	if resp.ContentLength > c.opts.MaxBundle {
		return final("fetch %s: %d bytes, at most %d are allowed", url, resp.ContentLength, c.opts.MaxBundle)
	}

	p, err := statefile.Create(path, 0o600)
	if err != nil {
		return final("keep bundle: %w", err)
	}
	defer p.Abort()
	watch := time.AfterFunc(stall, func() { cancel(fmt.Errorf("nothing came for %v", stall)) })
	defer watch.Stop()
	h := sha256.New()
	body := &watched{io.LimitReader(resp.Body, c.opts.MaxBundle+1), watch}
	n, err := io.Copy(io.MultiWriter(h, p), body)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("fetch %s: after %d bytes: %w", url, n, err)
	}
	if n > c.opts.MaxBundle {
		return final("fetch %s: more than the %d bytes that are allowed", url, c.opts.MaxBundle)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != sha {
		return fmt.Errorf("fetch %s: what came is %s", url, got)
	}
	if err := p.Commit(); err != nil {
		return final("keep bundle: %w", err)
	}
	return nil
}

// watched puts the alarm off with each read that brings something.
type watched struct {
	r     io.Reader
	alarm *time.Timer
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	if n > 0 {
		w.alarm.Reset(stall)
	}
	return n, err
}
