package main

import "callops/asm"

// workload is what a program repeats. X20 is how often and X22 how often it was, X21 is a buffer; X0 to X15 are free.
type workload struct {
	name   string
	loop   uint64 // how many instructions it has; 0: a kernel's function has them
	kernel bool
	emit   func(b *code) error // main returns X0, the same in every run of as many repetitions
}

// code is a program that is being assembled.
type code struct {
	*asm.Builder
	tracee asm.Label
	addr   func(name string) (uint64, error) // of a function of the kernel
}

var workloads = []workload{
	{name: "traced call", loop: 38, emit: tracedCalls},
	{name: "registers", loop: 10, emit: loopOf(asm.MovImm(asm.X1, 0x9e3779b97f4a7c15),
		asm.Mul(asm.X0, asm.X0, asm.X1), asm.LsrImm(asm.X2, asm.X0, 29), asm.Eor(asm.X0, asm.X0, asm.X2), asm.AddImm(asm.X0, asm.X0, 77),
		asm.RorImm(asm.X2, asm.X0, 17), asm.Add(asm.X0, asm.X0, asm.X2), asm.LslImm(asm.X2, asm.X0, 3))},
	{name: "sha256, the kernel's, of 64 KiB", kernel: true, emit: kernelCalls("sha256", 64,
		[]asm.Inst{asm.Mov(asm.X0, asm.X21), asm.Movz(asm.X1, bufferLen>>16, 16), asm.AddImm(asm.X2, asm.SP, 48)}, asm.Ldr(asm.X0, asm.Off(asm.SP, 48)))},
	{name: "memcpy, the kernel's, of 4 KiB", kernel: true, emit: kernelCalls("memcpy", 4,
		[]asm.Inst{asm.AddImm(asm.X0, asm.X21, bufferLen), asm.Mov(asm.X1, asm.X21), asm.Movz(asm.X2, 4<<10, 0)}, asm.Ldr(asm.X0, asm.Off(asm.X0, 4<<10-8)))},
	{name: "LSE atomics", loop: 8, emit: loopOf([]asm.Inst{asm.Movz(asm.X1, 3, 0), asm.Str(asm.X20, asm.Base(asm.X21))},
		asm.Ldaddal(asm.X1, asm.X0, asm.X21), asm.Ldsetal(asm.X1, asm.X3, asm.X21), asm.Swpal(asm.X0, asm.X4, asm.X21),
		asm.Casal(asm.X0, asm.X1, asm.X21), asm.Ldclral(asm.X1, asm.X0, asm.X21))},
	{name: "exclusives", loop: 7, emit: exclusives},
}

// closeLoop ends a loop that begins at the label.
func closeLoop(b *code, loop asm.Label) {
	b.Emit(asm.AddImm(asm.X22, asm.X22, 1), asm.Cmp(asm.X22, asm.X20), asm.BCond(asm.LO, loop))
}

// loopOf is some instructions, after others that are executed once, and three that close the loop.
func loopOf(once []asm.Inst, insts ...asm.Inst) func(*code) error {
	return func(b *code) error {
		b.Emit(once...)
		loop := b.Here("loop")
		b.Emit(insts...)
		closeLoop(b, loop)
		return nil
	}
}

// exclusives is an addition as it is made without LSE.
func exclusives(b *code) error {
	b.Emit(asm.Str(asm.XZR, asm.Base(asm.X21)))
	loop := b.Here("loop")
	b.Emit(asm.Ldaxr(asm.X0, asm.X21), asm.AddImm(asm.X0, asm.X0, 1), asm.Stlxr(asm.W1, asm.X0, asm.X21), asm.Cbnz(asm.W1, loop))
	closeLoop(b, loop)
	return nil
}

// kernelCalls calls a function of the kernel, each time for so many KiB, until it has been through as many as there are to be
// repetitions. What then follows makes a result of what it left.
func kernelCalls(name string, kib uint64, args []asm.Inst, then ...asm.Inst) func(*code) error {
	return func(b *code) error {
		at, err := b.addr(name)
		if err != nil {
			return err
		}
		b.Emit(asm.MovImm(asm.X19, at)...)
		loop := b.Here("loop")
		b.Emit(args...)
		b.Emit(asm.Blr(asm.X19), asm.AddImm(asm.X22, asm.X22, kib), asm.Cmp(asm.X22, asm.X20), asm.BCond(asm.LO, loop))
		b.Emit(then...)
		return nil
	}
}

// tracedCalls calls a function whose site calls ftrace_caller with one ops, laid out as the sample module's: the loop and the
// tracee on one page, the tracer after them, the trampoline far away.
func tracedCalls(b *code) error {
	b.Emit(asm.Adr(asm.X19, b.tracee))
	loop := b.Here("loop")
	b.Emit(asm.Ldp(asm.X0, asm.X1, asm.Base(asm.X21)), asm.Blr(asm.X19))
	closeLoop(b, loop)
	return nil
}

// emitTracee emits the tracee with its literal, and the tracer, whose name it returns.
func emitTracee(b *code) string {
	caller := b.Abs("ftrace_caller", farBase)
	b.Align(8)
	b.Emit(asm.Quad(opsAt))
	b.Bind(b.tracee)
	b.Emit(asm.Mov(asm.X9, asm.LR), asm.BL(caller), asm.Add(asm.X0, asm.X0, asm.X1), asm.Ret())
	b.Func("ops_func_nop")
	b.Emit(asm.Bti(asm.BTIC), asm.Ret())
	b.EndFunc()
	return "ops_func_nop"
}

// emitCaller emits ftrace_caller as Linux has it with CALL_OPS (arch/arm64/kernel/entry-ftrace.S).
func emitCaller(b *asm.Builder) {
	b.Func("ftrace_caller")
	b.Emit(
		asm.Bti(asm.BTIC),
		asm.Mov(asm.X10, asm.SP),
		asm.Stp(asm.X0, asm.X1, asm.Pre(asm.SP, -144)),
		asm.Stp(asm.X2, asm.X3, asm.Off(asm.SP, 16)),
		asm.Stp(asm.X4, asm.X5, asm.Off(asm.SP, 32)),
		asm.Stp(asm.X6, asm.X7, asm.Off(asm.SP, 48)),
		asm.Str(asm.X8, asm.Off(asm.SP, 64)),
		asm.Stp(asm.FP, asm.X9, asm.Off(asm.SP, 80)),
		asm.Stp(asm.X10, asm.LR, asm.Off(asm.SP, 96)),
		asm.Stp(asm.FP, asm.X9, asm.Pre(asm.X10, -16)),
		asm.Stp(asm.X10, asm.LR, asm.Off(asm.SP, 112)),
		asm.AddImm(asm.FP, asm.SP, 112),
		asm.SubImm(asm.X0, asm.LR, 4),
		asm.Mov(asm.X1, asm.X9),
		asm.AndImm(asm.X2, asm.LR, ^uint64(7)),
		asm.Ldr(asm.X2, asm.Off(asm.X2, -16)),
		asm.Mov(asm.X3, asm.SP),
		asm.Ldr(asm.X4, asm.Off(asm.X2, 0)),
		asm.Blr(asm.X4),
		asm.Ldp(asm.X2, asm.X3, asm.Off(asm.SP, 16)),
		asm.Ldp(asm.X4, asm.X5, asm.Off(asm.SP, 32)),
		asm.Ldp(asm.X6, asm.X7, asm.Off(asm.SP, 48)),
		asm.Ldr(asm.X8, asm.Off(asm.SP, 64)),
		asm.Ldp(asm.FP, asm.LR, asm.Off(asm.SP, 80)),
		asm.Ldr(asm.X9, asm.Off(asm.SP, 104)),
		asm.Ldp(asm.X0, asm.X1, asm.Post(asm.SP, 144)),
		asm.RetReg(asm.X9),
	)
	b.EndFunc()
}
