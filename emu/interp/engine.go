package interp

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"callops/emu"
)

var errClosed = errors.New("interp: engine is closed")

// Engine is the interpreter over one Memory.
type Engine struct {
	mem *emu.Memory

	mu     sync.Mutex // guards what follows
	closed bool
	cpus   []*CPU

	// decoded holds the addresses of pages, writable and executable at once,
	// from which some CPU has decoded text. Stores to other pages need not look
	// for text: they either can't be executed or can't be written by guests.
	decoded sync.Map
}

// New opens the engine. Every CPU that it makes drops decoded text when mem is
// told that text changed.
func New(mem *emu.Memory) (emu.Engine, error) { return &Engine{mem: mem}, nil }

// Name implements [emu.Engine].
func (e *Engine) Name() string { return "interp" }

// NewCPU implements [emu.Engine].
func (e *Engine) NewCPU(id int) (emu.CPU, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, fmt.Errorf("cpu %d: %w", id, errClosed)
	}
	c := newCPU(e, id)
	e.cpus = append(e.cpus, c)
	e.mem.ObserveText(c)
	return c, nil
}

// Close implements [emu.Engine]. No CPU may be running.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sampled()
	for _, c := range e.cpus {
		e.mem.IgnoreText(c)
		c.closed = true
	}
	e.cpus, e.closed = nil, true
	return nil
}

// textStored is called after guest code wrote to a page that is writable and
// executable. CPUs that decoded it before the store drop it.
func (e *Engine) textStored(addr, size uint64) {
	// The store comes before the check for decoders; a decoder marks the page
	// before it reads. One of the two sees the other.
	fence()
	for page := addr &^ pageMask; page <= (addr+size-1)&^pageMask; page += emu.PageSize {
		if _, ok := e.decoded.LoadAndDelete(page); !ok {
			continue
		}
		e.mu.Lock()
		cpus := slices.Clone(e.cpus)
		e.mu.Unlock()
		for _, c := range cpus {
			c.TextChanged(page, emu.PageSize)
		}
	}
}
