package trace

import (
	"callops/kernel"
	"callops/trampolines"
)

// wide is what trace_graph_entry, trace_graph_return and function_args_trace_call write.
var wide = entryFormat{trampolines.WideEntryShift, (*Ring).readWide}

func (r *Ring) readWide(at uint64) Event {
	cpu, task := r.load(at+trampolines.WideCPU), r.load(at+trampolines.WidePID)
	e := Event{
		CPU: uint32(cpu), PID: uint32(task), IP: r.load(at + trampolines.WideIP), Time: r.load(at+trampolines.WideTime) - r.start,
	}
	kind := cpu >> 32
	switch kind &^ trampolines.WideHasArgs {
	case trampolines.WideReturn:
		e.Kind, e.Depth = KindGraphReturn, int32(task>>32)
		e.Start = r.load(at+trampolines.WideCallTime) - r.start
		e.Value = r.load(at + trampolines.WideRetVal)
		return e
	case trampolines.WideEntry:
		e.Kind, e.Depth = KindGraphEntry, int32(task>>32)
	default:
		e.Kind, kind = KindFunction, trampolines.WideHasArgs
	}
	e.ParentIP = r.load(at + trampolines.WideParentIP)
	if kind&trampolines.WideHasArgs != 0 {
		e.Args = new([8]uint64)
		for i := range e.Args {
			e.Args[i] = r.load(at + trampolines.WideArgs + 8*uint64(i))
		}
	}
	return e
}

// NewArgsRings gives every CPU a ring in which function_args_trace_call records; entries is for all together.
// They take the place of the CPUs' rings so far.
func NewArgsRings(k *kernel.Kernel, entries int) (Rings, error) {
	slot, err := ringSlot(k)
	if err != nil {
		return nil, err
	}
	rings, err := newRings(k, entries, wide)
	if err != nil {
		return nil, err
	}
	for cpu, r := range rings {
		if err := k.Mem.Store64(k.CPUs[cpu].PerCPU+slot, r.base); err != nil {
			return nil, err
		}
	}
	return rings, nil
}
