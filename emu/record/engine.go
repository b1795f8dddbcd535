package record

import "callops/emu"

// Of makes an engine whose CPUs can be observed, of one that executes.
func Of(inner emu.NewEngine) emu.NewEngine {
	return func(mem *emu.Memory) (emu.Engine, error) {
		e, err := inner(mem)
		if err != nil {
			return nil, err
		}
		return &engine{e, mem}, nil
	}
}

// engine implements emu.Engine; its name is that of the engine that executes.
type engine struct {
	emu.Engine
	mem *emu.Memory
}

// NewCPU implements emu.Engine.
func (e *engine) NewCPU(id int) (emu.CPU, error) {
	c, err := e.Engine.NewCPU(id)
	if err != nil {
		return nil, err
	}
	return &CPU{CPU: c, mem: e.mem}, nil
}
