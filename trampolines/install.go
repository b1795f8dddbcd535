package trampolines

import (
	"errors"
	"fmt"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

// Options configure ftrace's code; the zero value is the scheme before
// CALL_OPS, within branch range.
type Options struct {
	// CallOps makes ftrace_caller take the ops from each site's literal.
	// Without it there is one function_trace_op and one patched call.
	CallOps bool

	// Far places the code where no BL of the image's text reaches it.
	Far bool

	// Warn is called for an ops on the list that has no func (FTRACE_WARN_ON),
	// after which the list function stops its walk. nil makes the traced call
	// fail with [ErrNoFunc].
	Warn func(op uint64)

	// PreemptSchedule is preempt_schedule_notrace, called when a tracer
	// enables preemption and a reschedule is due. nil clears need_resched and
	// goes on.
	PreemptSchedule emu.GateFunc

	// Direct is how ftrace_caller finds direct calls; the zero value is Linux's.
	Direct Direct

	// Fault builds ftrace_caller with a defect. Only that of CALL_OPS can have
	// one: elsewhere it is refused with EINVAL.
	Fault Fault
}

// ErrNoFunc is an ops on the list whose func is NULL.
var ErrNoFunc = errors.New("ops on the list has no func")

// ErrReturnStack is a return to return_to_handler for which the task's return stack has no frame.
var ErrReturnStack = errors.New("bad function graph return stack")

// Code holds the addresses, in emulated memory, of what ftrace consists of on
// a kernel. 0 stands for what the kernel does not have.
type Code struct {
	Caller    uint64 // ftrace_caller, which is FTRACE_ADDR
	CallSlot  uint64 // the BL at label ftrace_call; 0 with CALL_OPS
	CallerEnd uint64 // first address after ftrace_caller

	// RegsCaller is ftrace_regs_caller, which is FTRACE_REGS_ADDR; 0 where there is none, as in
	// all that is callops' own, and from 6.2 on.
	RegsCaller uint64

	Stub            uint64 // ftrace_stub
	ListFunc        uint64 // arch_ftrace_ops_list_func
	AssistFunc      uint64 // ftrace_ops_assist_func
	NopFunc         uint64 // ftrace_ops_nop_func
	CallDirectFuncs uint64 // call_direct_funcs; 0 where ops have no direct_call
	StubDirectTramp uint64 // ftrace_stub_direct_tramp; 0 likewise
	SetFunc         uint64 // the func of a set, see set.go; 0 without CALL_OPS
	SetAssistFunc   uint64 // and of one whose ops ask for protection; 0 likewise
	ListDirectFunc  uint64 // ftrace_list_direct_func; 0 but with DirectMini

	ListOps   uint64 // ftrace_list_ops, read-only
	NopOps    uint64 // ftrace_nop_ops, read-only
	ListEnd   uint64 // ftrace_list_end
	GlobalOps uint64 // global_ops

	OpsList         uint64 // the variable ftrace_ops_list
	FunctionTraceOp uint64 // the variable function_trace_op
	EmptyHash       uint64 // EMPTY_HASH, one bucket, read-only

	OpsFuncNop     uint64 // ops_func_nop of the sample module
	OpsFuncCount   uint64 // ops_func_count: counts in 32 bits after struct ftrace_ops
	FunctionTracer uint64 // function_trace_call; 0 where the layout has no ring

	FunctionArgsTracer uint64 // function_args_trace_call: with arguments, in a wide ring; 0 likewise

	// fgraph; all 0 where tasks have no return stack.
	GraphFunc        uint64 // ftrace_graph_func
	ReturnToHandler  uint64 // return_to_handler
	GraphReturn      uint64 // ftrace_return_to_handler
	GraphEntryStub   uint64 // ftrace_graph_entry_stub
	GraphRetStub     uint64 // ftrace_graph_ret_stub
	GraphTraceEntry  uint64 // trace_graph_entry, the entryfunc of the function_graph tracer
	GraphTraceReturn uint64 // trace_graph_return, its retfunc
	ProfileEntry     uint64 // profile_graph_entry, the entryfunc of the function profiler
	ProfileReturn    uint64 // profile_graph_return, its retfunc
	GraphOps         uint64 // graph_ops
	GraphArray       uint64 // fgraph_array
	GraphBitmask     uint64 // fgraph_array_bitmask
	GraphStub        uint64 // fgraph_stub, read-only

	PreemptSchedule uint64 // the gate of Options.PreemptSchedule
	graphStop       uint64 // the gate where a bad return stack ends the call

	Direct Direct              // how direct calls are found
	Layout *kernelimage.Layout // of the structures, as the code takes them to be

	veneers veneers
}

// code is one program under construction.
type code struct {
	*asm.Builder
	l    *kernelimage.Layout
	data *Code // addresses of objects and gates; the functions' are still 0
	warn uint64

	callOps bool
	direct  Direct
	bti     bool // functions that are called through pointers begin with BTI C
	fault   Fault

	labels map[string]asm.Label // of the pieces in code, by name
}

// Install places ftrace's code and objects in a booted kernel and adds their
// symbols. Objects hold what they do in a kernel that has just started:
// nothing is registered. A layout that the code cannot be built for matches
// errors.ErrUnsupported.
//
// Where the image has an ftrace_caller of its own, the symbols belong to
// module "callops".
func Install(k *kernel.Kernel, opts *Options) (*Code, error) {
	if opts == nil {
		opts = &Options{}
	}
	if k == nil {
		return nil, fmt.Errorf("install trampolines: no kernel: %w", errno.EINVAL)
	}
	c, err := install(k, opts)
	if err != nil {
		return nil, fmt.Errorf("install trampolines: %w", err)
	}
	return c, nil
}

func install(k *kernel.Kernel, opts *Options) (*Code, error) {
	if err := opts.Fault.check(opts.CallOps, opts.Direct); err != nil {
		return nil, err
	}
	if err := checkLayout(k.Layout); err != nil {
		return nil, err
	}
	if err := opts.Direct.check(k.Layout, opts.CallOps); err != nil {
		return nil, err
	}
	c := &Code{Direct: opts.Direct, Layout: opts.Direct.layout(k.Layout)}
	module := ""
	if _, err := k.Symbols.Lookup("ftrace_caller"); !errors.Is(err, errno.ENOENT) {
		module = "callops"
	}
	if err := c.allocObjects(k, module, opts.CallOps); err != nil {
		return nil, err
	}
	warn, err := c.addGates(k, opts)
	if err != nil {
		return nil, err
	}
	var src *code
	p, err := k.PlaceCode("callops", kernel.CodeOptions{Core: module == "", Far: opts.Far},
		func(base uint64) (*asm.Program, error) {
			src = &code{
				Builder: asm.NewBuilder(), l: c.Layout, data: c, warn: warn,
				callOps: opts.CallOps, direct: opts.Direct, bti: k.Image.BTI(), fault: opts.Fault,
			}
			src.emit()
			return src.Assemble(base)
		})
	if err != nil {
		return nil, err
	}
	c.placed(src, p)
	if c.CallSlot != 0 {
		k.Symbols.Add(kernelimage.Symbol{Name: "ftrace_call", Addr: c.CallSlot, Func: true, Module: module})
	}
	return c, c.initObjects(k)
}

// addGates adds the Go functions that the code calls.
func (c *Code) addGates(k *kernel.Kernel, opts *Options) (warn uint64, err error) {
	resched := opts.PreemptSchedule
	if resched == nil {
		resched = clearNeedResched(k)
	}
	if c.PreemptSchedule, err = k.Gates.Add("preempt_schedule_notrace", resched); err != nil {
		return 0, err
	}
	stop := func(_ emu.CPU, args [8]uint64) (uint64, error) {
		return 0, fmt.Errorf("task %#x: %w", args[0], ErrReturnStack)
	}
	if c.graphStop, err = k.Gates.Add("ftrace_graph_stop", stop); err != nil {
		return 0, err
	}
	return k.Gates.Add("ftrace_warn", func(_ emu.CPU, args [8]uint64) (uint64, error) {
		if opts.Warn == nil {
			return 0, fmt.Errorf("op=%#x %s: %w", args[0], k.Symbols.Format(args[0]), ErrNoFunc)
		}
		opts.Warn(args[0])
		return 0, nil
	})
}

// clearNeedResched is a scheduler that finds nothing better to run.
func clearNeedResched(k *kernel.Kernel) emu.GateFunc {
	// thread_info.preempt.need_resched is the upper half, and inverted.
	need := uint64(k.Layout.Task.PreemptCount) + 4
	return func(cpu emu.CPU, _ [8]uint64) (uint64, error) {
		return 0, k.Mem.Store32(cpu.Regs().SPEL0+need, 1)
	}
}

// call calls a function or gate at any distance.
func (c *code) call(addr uint64) {
	c.Emit(asm.MovImm(asm.X16, addr)...)
	c.Emit(asm.Blr(asm.X16))
}

// at is the operand [base, #field].
func at(base asm.Reg, field int) asm.Mem { return asm.Off(base, int64(field)) }

// checkLayout refuses what the code cannot be built for. The pairs are moved
// by one instruction.
func checkLayout(l *kernelimage.Layout) error {
	for _, f := range []struct {
		what string
		ok   bool
	}{
		{"ftrace_regs: x0 first, then direct_tramp after x8", l.Regs.X0 == 0 && l.Regs.DirectTramp == 9*8},
		{"ftrace_regs: fp, lr", l.Regs.LR == l.Regs.FP+8},
		{"ftrace_regs: sp, pc", l.Regs.PC == l.Regs.SP+8},
		{"ftrace_regs: size a multiple of 16", l.Regs.Size%16 == 0},
		{"ftrace_ops_hash: notrace_hash, filter_hash", l.OpsHash.Filter == l.OpsHash.Notrace+8},
		{"ftrace_hash: size_bits, buckets", l.Hash.Buckets == l.Hash.SizeBits+8},
		{"ftrace_hash: count, flags", l.Hash.Flags == l.Hash.Count+8},
		{"thread_info: preempt_count", l.Task.PreemptCount != kernelimage.Absent},
		{"task_struct: trace_recursion", l.Task.TraceRecursion != kernelimage.Absent},
		{"context_tracking: state", l.PerCPU.ContextState != kernelimage.Absent},
	} {
		if !f.ok {
			return fmt.Errorf("layout of %s: %w", f.what, errors.ErrUnsupported)
		}
	}
	return nil
}
