package trampolines

import (
	"callops/asm"
	"callops/emu"
	"callops/kernelimage"
)

// piece is a function, an object, or a place in a function, of which ftrace
// consists.
type piece struct {
	name string
	addr func(*Code) *uint64

	emit    func(*code) // writes a function; nil for a place that another one's binds
	pointer bool        // the function is called through a pointer: where the image has BTI, BTI C comes first

	size func(*kernelimage.Layout) uint64 // of an object; nil for code
	perm emu.Perm

	when   condition // it is built
	direct Direct    // it is built for this design of direct calls alone; DirectOps: for all
	own    condition // [FromImage] takes the image's; nil if never

	optional bool // an image may lack it
}

// condition tells by a layout, and by whether there is CALL_OPS.
type condition func(l *kernelimage.Layout, callOps bool) bool

func always(*kernelimage.Layout, bool) bool { return true }

func never(*kernelimage.Layout, bool) bool { return false }

func withCallOps(_ *kernelimage.Layout, callOps bool) bool { return callOps }

func withoutCallOps(_ *kernelimage.Layout, callOps bool) bool { return !callOps }

func withDirect(l *kernelimage.Layout, _ bool) bool { return l.Ops.DirectCall != kernelimage.Absent }

func withRing(l *kernelimage.Layout, _ bool) bool {
	return l.PerCPU.RingBuffer != kernelimage.Absent && l.Task.CPU != kernelimage.Absent
}

// Sizes of objects.

func sizeOfOps(l *kernelimage.Layout) uint64       { return uint64(l.Ops.Size) }
func sizeOfPointer(*kernelimage.Layout) uint64     { return wordSize }
func sizeOfOneBucket(l *kernelimage.Layout) uint64 { return uint64(l.Hash.Size) + wordSize }

// pieces are all, the code in the order in which it lies in memory. [Install]
// places them, FromImage looks them up, and both fill [Code] by them.
var pieces = []piece{
	{name: "ftrace_regs_caller", addr: func(c *Code) *uint64 { return &c.RegsCaller }, when: never, own: withoutCallOps, optional: true},
	{name: "ftrace_caller", addr: func(c *Code) *uint64 { return &c.Caller }, emit: (*code).caller, when: always, own: always},
	{name: "ftrace_call", addr: func(c *Code) *uint64 { return &c.CallSlot }, when: withoutCallOps, own: withoutCallOps},
	{name: "ftrace_stub", addr: func(c *Code) *uint64 { return &c.Stub }, emit: (*code).empty, pointer: true, when: always, own: always},
	{name: "ftrace_ops_nop_func", addr: func(c *Code) *uint64 { return &c.NopFunc }, emit: (*code).empty, pointer: true, when: always, own: withCallOps},
	{name: "ftrace_stub_direct_tramp", addr: func(c *Code) *uint64 { return &c.StubDirectTramp }, emit: (*code).stubDirectTramp, when: withDirect, own: withDirect},
	{name: "call_direct_funcs", addr: func(c *Code) *uint64 { return &c.CallDirectFuncs }, emit: (*code).callDirectFuncs, pointer: true, when: withDirect, own: withDirect},
	{name: "ftrace_list_direct_func", addr: func(c *Code) *uint64 { return &c.ListDirectFunc }, emit: (*code).listDirectFunc, pointer: true, when: withDirect, direct: DirectMini},
	{name: "arch_ftrace_ops_list_func", addr: func(c *Code) *uint64 { return &c.ListFunc }, emit: (*code).listFunc, pointer: true, when: always, own: always},
	{name: "ftrace_ops_assist_func", addr: func(c *Code) *uint64 { return &c.AssistFunc }, emit: (*code).assistFunc, pointer: true, when: always, own: always},
	{name: "ops_func_nop", addr: func(c *Code) *uint64 { return &c.OpsFuncNop }, emit: (*code).opsFuncNop, pointer: true, when: always},
	{name: "ops_func_count", addr: func(c *Code) *uint64 { return &c.OpsFuncCount }, emit: (*code).opsFuncCount, pointer: true, when: always},
	{name: "function_trace_call", addr: func(c *Code) *uint64 { return &c.FunctionTracer }, emit: (*code).functionTracer, pointer: true, when: withRing},
	{name: "ftrace_ops_set_func", addr: func(c *Code) *uint64 { return &c.SetFunc }, emit: (*code).setFunc, pointer: true, when: withCallOps},
	{name: "ftrace_ops_set_assist_func", addr: func(c *Code) *uint64 { return &c.SetAssistFunc }, emit: (*code).setAssistFunc, pointer: true, when: withCallOps},
	{name: "ftrace_graph_func", addr: func(c *Code) *uint64 { return &c.GraphFunc }, emit: (*code).graphFunc, pointer: true, when: withGraph},
	{name: "return_to_handler", addr: func(c *Code) *uint64 { return &c.ReturnToHandler }, emit: (*code).returnToHandler, when: withGraph},
	{name: "ftrace_return_to_handler", addr: func(c *Code) *uint64 { return &c.GraphReturn }, emit: (*code).graphReturn, when: withGraph},
	{name: "ftrace_graph_entry_stub", addr: func(c *Code) *uint64 { return &c.GraphEntryStub }, emit: (*code).graphEntryStub, pointer: true, when: withGraph},
	{name: "ftrace_graph_ret_stub", addr: func(c *Code) *uint64 { return &c.GraphRetStub }, emit: (*code).empty, pointer: true, when: withGraph},
	{name: "trace_graph_entry", addr: func(c *Code) *uint64 { return &c.GraphTraceEntry }, emit: (*code).graphTraceEntry, pointer: true, when: withGraphRing},
	{name: "trace_graph_return", addr: func(c *Code) *uint64 { return &c.GraphTraceReturn }, emit: (*code).graphTraceReturn, pointer: true, when: withGraphRing},
	{name: "profile_graph_entry", addr: func(c *Code) *uint64 { return &c.ProfileEntry }, emit: (*code).profileEntry, pointer: true, when: withGraphRing},
	{name: "profile_graph_return", addr: func(c *Code) *uint64 { return &c.ProfileReturn }, emit: (*code).profileReturn, pointer: true, when: withGraphRing},
	{name: "function_args_trace_call", addr: func(c *Code) *uint64 { return &c.FunctionArgsTracer }, emit: (*code).functionArgsTracer, pointer: true, when: withRing},
	{name: "ftrace_call_veneers", addr: func(c *Code) *uint64 { return &c.veneers.base }, emit: (*code).veneerArea, when: withoutCallOps},

	{name: "ftrace_list_end", addr: func(c *Code) *uint64 { return &c.ListEnd }, size: sizeOfOps, perm: emu.Read | emu.Write, when: always, own: always},
	{name: "global_ops", addr: func(c *Code) *uint64 { return &c.GlobalOps }, size: sizeOfOps, perm: emu.Read | emu.Write, when: always},
	{name: "ftrace_ops_list", addr: func(c *Code) *uint64 { return &c.OpsList }, size: sizeOfPointer, perm: emu.Read | emu.Write, when: always, own: always},
	{name: "function_trace_op", addr: func(c *Code) *uint64 { return &c.FunctionTraceOp }, size: sizeOfPointer, perm: emu.Read | emu.Write, when: always, own: always},
	{name: "ftrace_list_ops", addr: func(c *Code) *uint64 { return &c.ListOps }, size: sizeOfOps, perm: emu.Read, when: always, own: withCallOps},
	{name: "ftrace_nop_ops", addr: func(c *Code) *uint64 { return &c.NopOps }, size: sizeOfOps, perm: emu.Read, when: always, own: withCallOps},
	{name: "graph_ops", addr: func(c *Code) *uint64 { return &c.GraphOps }, size: sizeOfOps, perm: emu.Read | emu.Write, when: withGraph},
	{name: "fgraph_array", addr: func(c *Code) *uint64 { return &c.GraphArray }, size: sizeOfGraphArray, perm: emu.Read | emu.Write, when: withGraph},
	{name: "fgraph_array_bitmask", addr: func(c *Code) *uint64 { return &c.GraphBitmask }, size: sizeOfPointer, perm: emu.Read | emu.Write, when: withGraph},
	{name: "fgraph_stub", addr: func(c *Code) *uint64 { return &c.GraphStub }, size: sizeOfGraphOps, perm: emu.Read, when: withGraph},
	{name: "empty_hash", addr: func(c *Code) *uint64 { return &c.EmptyHash }, size: sizeOfOneBucket, perm: emu.Read, when: always},
}

// variable reports whether the piece is one of those that have no symbol
// without CONFIG_KALLSYMS_ALL. (ftrace_list_ops and ftrace_nop_ops have none
// either, but nothing else leads to them.)
func (p *piece) variable() bool { return p.size != nil && p.perm&emu.Write != 0 }

// built reports whether the piece is.
func (p *piece) built(l *kernelimage.Layout, callOps bool, direct Direct) bool {
	return p.when(l, callOps) && (p.direct == DirectOps || p.direct == direct)
}

// emit writes the whole program.
func (c *code) emit() {
	c.labels = make(map[string]asm.Label)
	var built []piece
	for _, p := range pieces {
		if p.size == nil && p.built(c.l, c.callOps, c.direct) {
			c.labels[p.name] = c.Label(p.name)
			built = append(built, p)
		}
	}
	for _, p := range built {
		if p.emit == nil {
			continue
		}
		c.BindFunc(c.labels[p.name])
		if p.pointer && c.bti {
			c.Emit(asm.Bti(asm.BTIC))
		}
		p.emit(c)
		c.EndFunc()
	}
}

// placed fills in where the functions lie, and the places in them.
func (c *Code) placed(src *code, prog *asm.Program) {
	for _, p := range pieces {
		if l, ok := src.labels[p.name]; ok {
			*p.addr(c), _ = prog.AddrOf(l)
		}
	}
	for _, s := range prog.Symbols {
		if s.Addr == c.Caller {
			c.CallerEnd = s.Addr + s.Size
		}
	}
}
