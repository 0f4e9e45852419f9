package cluster

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/funcatron/funcatron/shared/swagger"
	"github.com/funcatron/funcatron/shared/wire"
	"github.com/funcatron/funcatron/tron/credentials"
	"github.com/funcatron/funcatron/tron/store"
)

// verifiers are how gateways check the credentials that a deployment's operations
// require, by security definition. They never change.
type verifiers = map[string]wire.Verifier

// maxVerifiers is what those of all deployments may take in a route table, in
// bytes: a table travels in one message.
const maxVerifiers = wire.MaxMessage / 2

// secure makes the verifiers of b with props: nothing that requires credentials is
// served without.
func (c *Cluster) secure(b *store.Bundle, props json.RawMessage) (verifiers, error) {
	data, err := c.opts.Store.Document(b.Sha)
	if err != nil {
		return nil, err
	}
	doc, err := swagger.Parse(data)
	var refused *swagger.Error
	switch {
	case errors.As(err, &refused): // it was uploaded to a version that took it
		return nil, &credentials.Error{Problems: refused.Problems}
	case err != nil:
		return nil, fmt.Errorf("read the document: %w", err)
	}
	all, err := credentials.Verifiers(doc, props)
	if all == nil {
		return nil, err
	}
	if used := c.verifierBytes(b.Place()); used+credentials.MaxSize > maxVerifiers {
		return nil, &credentials.Error{Problems: []string{fmt.Sprintf("those of all that is enabled take %d bytes of the route table, and %d are the most: disable a bundle, or accept fewer users and keys", used, maxVerifiers)}}
	}
	return all, nil
}

// verifierBytes is what the verifiers of all current deployments but that of place
// take in a route table.
func (c *Cluster) verifierBytes(place store.Place) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at, d := range c.current {
		if at == place {
			continue
		}
		for _, v := range d.security {
			n += len(v.JWKS) + (len(v.Digests)+1)*48 + 256
		}
	}
	return n
}
