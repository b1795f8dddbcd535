//go:build cgo

package unicorn

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	uc "github.com/unicorn-engine/unicorn/bindings/go/unicorn"

	"callops/emu"
)

// Engine is the Unicorn engine over one Memory.
type Engine struct {
	mem     *emu.Memory
	cleanup runtime.Cleanup

	mu     sync.Mutex // guards what follows
	tables *pageTable
	frames map[*emu.Region]uint64 // physical addresses
	cpus   []*CPU
}

// New opens the engine. Every CPU that it makes drops translated code when mem
// is told that text changed.
func New(mem *emu.Memory) (emu.Engine, error) {
	tables, err := newPageTable()
	if err != nil {
		return nil, fmt.Errorf("unicorn: %w", err)
	}
	e := &Engine{mem: mem, tables: tables, frames: map[*emu.Region]uint64{}}
	e.cleanup = runtime.AddCleanup(e, func(p *pageTable) { _ = p.close() }, tables)
	return e, nil
}

// Name implements [emu.Engine].
func (e *Engine) Name() string { return "unicorn" }

// NewCPU implements [emu.Engine].
func (e *Engine) NewCPU(id int) (emu.CPU, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tables == nil {
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
	if e.tables == nil {
		return nil
	}
	var errs []error
	for _, c := range e.cpus {
		e.mem.IgnoreText(c)
		errs = append(errs, c.close())
	}
	e.cleanup.Stop()
	errs = append(errs, e.tables.close())
	e.cpus, e.tables = nil, nil
	return errors.Join(errs...)
}

// frame returns the physical address of a region, giving it one the first time
// any CPU asks.
func (e *Engine) frame(r *emu.Region) (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if pa, ok := e.frames[r]; ok {
		return pa, nil
	}
	pa, err := e.tables.add(r)
	if err == nil {
		e.frames[r] = pa
	}
	return pa, err
}

// mapRegion gives a CPU the memory of a region, at its physical address and at
// its virtual one: 2.0.1 translates an address, but checks the one before
// translation against what is mapped. Permissions are left to the MMU, whose
// faults are exact.
func (e *Engine) mapRegion(u uc.Unicorn, r *emu.Region) error {
	pa, err := e.frame(r)
	if err != nil {
		return err
	}
	host := unsafe.Pointer(unsafe.SliceData(r.Host()))
	for _, addr := range []uint64{pa, r.Base} {
		if err := u.MemMapPtr(addr, r.Size, uc.PROT_ALL, host); err != nil {
			return fmt.Errorf("map %s at %#x: %w", r.Name, r.Base, err)
		}
	}
	return nil
}
