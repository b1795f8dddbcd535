package bench

import (
	"encoding/binary"

	"callops/asm"
	"callops/emu"
	"callops/kernel"
)

// Names in the kernel's symbol table.
const (
	loopModule = "callops_bench"
	loopSymbol = "bench_loop"
	argsSymbol = "bench_args"
)

// callLoop is the code that makes the calls, in a kernel's memory.
type callLoop struct {
	addr uint64
	args uint64 // the block of argument registers
}

// loadLoop places the loop and the arguments in the kernel.
func loadLoop(k *kernel.Kernel, args []uint64) (*callLoop, error) {
	block, err := k.AllocModuleData(loopModule, argsSymbol, 8*emu.MaxArgs, emu.Read)
	if err != nil {
		return nil, err
	}
	var b []byte
	for _, v := range args {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	if err := k.Mem.Write(block, b); err != nil {
		return nil, err
	}
	p, err := k.PlaceCode(loopModule, kernel.CodeOptions{}, func(base uint64) (*asm.Program, error) {
		return loopCode(len(args)).Assemble(base)
	})
	if err != nil {
		return nil, err
	}
	addr, _ := p.Addr(loopSymbol)
	return &callLoop{addr: addr, args: block}, nil
}

// loopCode is bench_loop(fn, n, args): it calls fn n times and returns what
// the last call returned.
//
// An iteration is 5 instructions, as in the sample module, where one of them
// loads nr_function_calls: here it loads the first two arguments, which the
// call before has destroyed. Each further pair of arguments takes one more.
//
// CBZ is executed whether or not it branches, so for n = 0 the function
// executes exactly what it does for any other n without its iterations.
func loopCode(args int) *asm.Builder {
	const (
		fn, n, block, i = asm.X19, asm.X20, asm.X21, asm.X22
		frame           = 48
	)
	b := asm.NewBuilder()
	loop, out := b.Label("loop"), b.Label("out")
	b.Func(loopSymbol)
	b.Emit(
		asm.Stp(asm.FP, asm.LR, asm.Pre(asm.SP, -frame)),
		asm.Mov(asm.FP, asm.SP),
		asm.Stp(fn, n, asm.Off(asm.SP, 16)),
		asm.Stp(block, i, asm.Off(asm.SP, 32)),
		asm.Mov(fn, asm.X0),
		asm.Mov(n, asm.X1),
		asm.Mov(block, asm.X2),
		asm.Mov(i, asm.XZR),
		asm.Cbz(n, out),
	)
	b.Bind(loop)
	for r := 0; r == 0 || r < args; r += 2 {
		b.Emit(asm.Ldp(asm.X(r), asm.X(r+1), asm.Off(block, int64(8*r))))
	}
	b.Emit(
		asm.Blr(fn),
		asm.AddImm(i, i, 1),
		asm.Cmp(i, n),
		asm.BCond(asm.LO, loop),
	)
	b.Bind(out)
	b.Emit(
		asm.Ldp(block, i, asm.Off(asm.SP, 32)),
		asm.Ldp(fn, n, asm.Off(asm.SP, 16)),
		asm.Ldp(asm.FP, asm.LR, asm.Post(asm.SP, frame)),
		asm.Ret(),
	)
	b.EndFunc()
	return b
}
