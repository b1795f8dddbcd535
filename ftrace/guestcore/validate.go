package guestcore

import "errors"

// Validate reads all that the core keeps, and returns what of it is corrupt, or what
// crashed it.
func (c *Core) Validate() error {
	_, recs := c.records()
	_, list := c.registered()
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.crash, recs, list)
}
