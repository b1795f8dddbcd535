package ftrace

import (
	"encoding/binary"
	"fmt"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernelimage"
	"callops/trampolines"
)

// GraphEntry is a call that a graph user is told of. It is valid until the handler returns.
type GraphEntry struct {
	IP    uint64 // the call site
	Depth int    // calls of the task that fgraph traces above this one
	Regs  *Regs  // of the traced function at its entry; LR is its caller
}

// GraphReturn is the return of such a call.
type GraphReturn struct {
	IP       uint64
	Depth    int
	Value    uint64 // x0
	Overrun  uint32 // calls of the task that found its return stack full
	CallTime uint64 // CNTVCT_EL0 at the call: instructions that the CPU had executed
	RetTime  uint64 // and at the return
}

// GraphTracer is a graph user's handlers in Go. They cost no emulated instruction.
type GraphTracer struct {
	// Entry reports whether the return is wanted.
	Entry func(op *GraphOps, e *GraphEntry) bool

	// Return is called for each call of which Entry wanted it, unless the user has been unregistered since. nil: for
	// none is anything done.
	Return func(op *GraphOps, e *GraphReturn)
}

// NewGoGraphOps makes a graph user whose handlers are written in Go; see [Registry.NewGraphOps]. No CPU may be
// running.
func (r *Registry) NewGoGraphOps(name string, t GraphTracer) (*GraphOps, error) {
	if t.Entry == nil {
		return nil, fmt.Errorf("graph tracer %s: no entry handler: %w", name, errno.EINVAL)
	}
	var g *GraphOps
	gate := func(kind string, call func(args [8]uint64) (uint64, error)) (uint64, error) {
		addr, err := r.k.Gates.Add(name+kind, func(_ emu.CPU, args [8]uint64) (uint64, error) {
			if r.readers != nil {
				r.readers.enter()
				defer r.leaveReader()
			}
			return call(args)
		})
		if err == nil {
			r.k.Symbols.Add(kernelimage.Symbol{Name: name + kind, Addr: addr, Size: 1, Func: true})
		}
		return addr, err
	}
	entry, err := gate("_entry", func(args [8]uint64) (uint64, error) {
		ip, err := r.k.Mem.Load64(args[0] + trampolines.GraphEntFunc)
		if err != nil {
			return 0, err
		}
		depth, err := r.k.Mem.Load32(args[0] + trampolines.GraphEntDepth)
		if err != nil {
			return 0, err
		}
		regs := &Regs{mem: r.mem.Memory, layout: &r.layout.Regs, addr: args[2]}
		if t.Entry(g, &GraphEntry{IP: ip, Depth: int(int32(depth)), Regs: regs}) {
			return 1, regs.err
		}
		return 0, regs.err
	})
	if err != nil {
		return nil, err
	}
	ret, err := gate("_return", func(args [8]uint64) (uint64, error) {
		if t.Return == nil {
			return 0, nil
		}
		var p [trampolines.GraphRetSize]byte
		if err := r.k.Mem.Read(args[0], p[:]); err != nil {
			return 0, err
		}
		u64 := func(off int) uint64 { return binary.LittleEndian.Uint64(p[off:]) }
		t.Return(g, &GraphReturn{
			IP: u64(trampolines.GraphRetFunc), Value: u64(trampolines.GraphRetVal),
			Depth:    int(int32(binary.LittleEndian.Uint32(p[trampolines.GraphRetDepth:]))),
			Overrun:  binary.LittleEndian.Uint32(p[trampolines.GraphRetOverrun:]),
			CallTime: u64(trampolines.GraphRetCallTime), RetTime: u64(trampolines.GraphRetRetTime),
		})
		return 0, nil
	})
	if err != nil {
		return nil, err
	}
	g, err = r.NewGraphOps(name, GraphHandlers{Entry: entry, Return: ret})
	return g, err
}
