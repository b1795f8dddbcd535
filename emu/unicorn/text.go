//go:build cgo

package unicorn

import (
	"sync"

	"callops/emu"
)

// maxSpans is how many changed ranges are dropped one by one; beyond it, all
// executable regions are. Dropping a range costs some 200 ns and 100 ns per page;
// flushing the translator in 2.0.1, a tenth of a second.
const maxSpans = 64

type span struct{ addr, size uint64 }

// changes are the ranges of text changed since the CPU last ran. They may come
// from any goroutine.
type changes struct {
	mu     sync.Mutex
	spans  []span
	all    bool
	sealed []*emu.Region // write-protected since
}

func (c *changes) takeSealed() []*emu.Region {
	c.mu.Lock()
	defer c.mu.Unlock()
	sealed := c.sealed
	c.sealed = nil
	return sealed
}

func (c *changes) add(addr, size uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all || size == 0 {
		return
	}
	if n := len(c.spans); n > 0 {
		last := &c.spans[n-1]
		if addr == last.addr+last.size {
			last.size += size
			return
		}
	}
	if len(c.spans) == maxSpans {
		c.spans, c.all = c.spans[:0], true
		return
	}
	c.spans = append(c.spans, span{addr, size})
}

// drop calls f for each range and forgets them.
func (c *changes) drop(regions []*emu.Region, f func(addr, size uint64) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if err := f(s.addr, s.size); err != nil {
			return err
		}
	}
	for _, r := range regions {
		if !c.all || r.Perm&emu.Exec == 0 {
			continue
		}
		if err := f(r.Base, r.Size); err != nil {
			return err
		}
	}
	c.spans, c.all = c.spans[:0], false
	return nil
}
