package auth

import (
	"crypto/sha256"
	"sync"
)

// maxVerified is how many tokens of one definition are remembered.
const maxVerified = 4096

// grant is what a verified token is good for.
type grant struct {
	until  int64 // seconds since 1970: when it ends, leeway included
	scopes []string
}

// cache remembers verified tokens by their digest until they end, so that a client
// pays for its signature once. Tokens that were refused leave nothing in it. The
// zero value is ready.
type cache struct {
	mu     sync.RWMutex
	grants map[[sha256.Size]byte]grant // at most maxVerified; guarded by mu
}

func (c *cache) get(token [sha256.Size]byte, now int64) (scopes []string, ok bool) {
	c.mu.RLock()
	g, ok := c.grants[token]
	c.mu.RUnlock()
	return g.scopes, ok && now < g.until
}

// put remembers a token. Where there is no room, it looks at a few and drops those
// that have ended, or else one that has not.
func (c *cache) put(token [sha256.Size]byte, g grant, now int64) {
	const few = 8
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.grants == nil {
		c.grants = make(map[[sha256.Size]byte]grant)
	}
	if _, known := c.grants[token]; !known && len(c.grants) >= maxVerified {
		looked := 0
		for name, old := range c.grants { // begins anywhere
			if now >= old.until {
				delete(c.grants, name)
			}
			if looked++; looked == few {
				break
			}
		}
		for name := range c.grants {
			if len(c.grants) < maxVerified {
				break
			}
			delete(c.grants, name)
		}
	}
	c.grants[token] = g
}
