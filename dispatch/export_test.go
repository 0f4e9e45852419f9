package dispatch

// Kept is how many pending calls a leaving consumer has promised to answer.
func (c *Caller) Kept() int {
	n := 0
	for i := range c.table.shards {
		sh := &c.table.shards[i]
		sh.mu.Lock()
		for _, s := range sh.all {
			if s.id != 0 && s.kept {
				n++
			}
		}
		sh.mu.Unlock()
	}
	return n
}
