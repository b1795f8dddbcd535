package lockstep

import (
	"errors"
	"fmt"
	"sync"

	"callops/emu"
)

// defaultEvery is long enough that comparing memory does not count and short
// enough that narrowing takes a second.
const defaultEvery = 1 << 20

// Options control how two engines are run; the zero value is usable.
type Options struct {
	// Every is after how many instructions, at the latest, the engines are
	// compared; 0 means about a million. Exits are always compared.
	Every uint64
}

// Of makes one engine, "both", of two. The first gives the results, as far as
// that matters when the second must give the same.
func Of(a, b emu.NewEngine) emu.NewEngine { return With(Options{}, a, b) }

// With is [Of] with options.
func With(opts Options, a, b emu.NewEngine) emu.NewEngine {
	if opts.Every == 0 {
		opts.Every = defaultEvery
	}
	return func(mem *emu.Memory) (emu.Engine, error) {
		e := &Engine{every: opts.Every, open: [2]emu.NewEngine{a, b}, mirror: newMirror(mem)}
		if err := e.openBoth(); err != nil {
			return nil, errors.Join(fmt.Errorf("lockstep: %w", err), e.Close())
		}
		mem.ObserveText(&e.mirror.text)
		return e, nil
	}
}

// Engine implements [emu.Engine].
type Engine struct {
	every uint64
	open  [2]emu.NewEngine

	mu      sync.Mutex // held for a chunk: guards what follows and all memory but the real one
	mirror  *mirror
	engines [2]emu.Engine
	closed  bool
}

func (e *Engine) openBoth() (err error) {
	for i, open := range e.open {
		if e.engines[i], err = open(e.mirror.sides[i]); err != nil {
			return err
		}
	}
	return nil
}

// Name implements [emu.Engine].
func (e *Engine) Name() string { return "both" }

// NewCPU implements [emu.Engine].
func (e *Engine) NewCPU(id int) (emu.CPU, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, fmt.Errorf("lockstep: cpu %d: engine is closed", id)
	}
	c := &CPU{engine: e, id: id}
	for i, engine := range e.engines {
		var err error
		if c.cpus[i], err = engine.NewCPU(id); err != nil {
			return nil, fmt.Errorf("lockstep: %w", err)
		}
	}
	return c, nil
}

// Close implements [emu.Engine].
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	e.mirror.real.IgnoreText(&e.mirror.text)
	var errs []error
	for _, engine := range e.engines {
		if engine != nil {
			errs = append(errs, engine.Close())
		}
	}
	return errors.Join(append(errs, e.mirror.close())...)
}

// names of the two, made different where they are not.
func (e *Engine) names() [2]string {
	a, b := e.engines[0].Name(), e.engines[1].Name()
	if a == b {
		a, b = a+" (1)", b+" (2)"
	}
	return [2]string{a, b}
}
