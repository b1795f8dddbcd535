//go:build cgo

package unicorn

import (
	"errors"
	"fmt"
	"sync"

	"callops/emu"
)

// Engine is the Unicorn engine over one Memory.
type Engine struct {
	mem *emu.Memory

	mu     sync.Mutex // guards what follows
	closed bool
	cpus   []*CPU

	writable writable
}

// New opens the engine. Every CPU that it makes drops translated code when mem
// is notified that text changed.
func New(mem *emu.Memory) (emu.Engine, error) {
	return &Engine{mem: mem}, nil
}

// Name implements [emu.Engine].
func (e *Engine) Name() string { return "unicorn" }

// NewCPU implements [emu.Engine].
func (e *Engine) NewCPU(id int) (emu.CPU, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, fmt.Errorf("unicorn: cpu %d: engine is closed", id)
	}
	c, err := newCPU(e, id)
	if err != nil {
		return nil, fmt.Errorf("unicorn: cpu %d: %w", id, err)
	}
	e.cpus = append(e.cpus, c)
	e.mem.ObserveText(c)
	return c, nil
}

// Close implements [emu.Engine]. No CPU may be running.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	var errs []error
	for _, c := range e.cpus {
		e.mem.IgnoreText(c)
		errs = append(errs, c.close())
	}
	e.cpus, e.closed = nil, true
	return errors.Join(errs...)
}
