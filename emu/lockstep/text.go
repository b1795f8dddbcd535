package lockstep

import (
	"sync"

	"callops/emu"
)

// maxSpans is how many changes of text are kept apart.
const maxSpans = 64

type span struct{ addr, size uint64 }

// changes implements [emu.TextObserver] and [emu.PermObserver]: it keeps what changed until the next
// chunk, from whichever goroutine it comes.
type changes struct {
	mu     sync.Mutex
	spans  []span
	sealed []*emu.Region // write-protected
}

// TextChanged implements [emu.TextObserver].
func (c *changes) TextChanged(addr, size uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if size == 0 {
		return
	}
	if n := len(c.spans); n == maxSpans {
		last := &c.spans[n-1]
		lo, hi := min(last.addr, addr), max(last.addr+last.size, addr+size)
		*last = span{lo, hi - lo}
		return
	}
	c.spans = append(c.spans, span{addr, size})
}

// PermChanged implements [emu.PermObserver].
func (c *changes) PermChanged(r *emu.Region) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sealed = append(c.sealed, r)
}

func (c *changes) take() (spans []span, sealed []*emu.Region) {
	c.mu.Lock()
	defer c.mu.Unlock()
	spans, sealed = c.spans, c.sealed
	c.spans, c.sealed = nil, nil
	return spans, sealed
}
