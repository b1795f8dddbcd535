package lockstep_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/emu/lockstep"
)

// BenchmarkRun is a long loop, compared at the usual intervals; BenchmarkStep
// compares after each instruction.
func BenchmarkRun(b *testing.B) {
	cpu := benchCPU(b)
	b.ReportMetric(0, "ns/op")
	start := cpu.Count()
	for b.Loop() {
		_, err := cpu.Run(context.Background(), 1<<22)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(cpu.Count()-start)/b.Elapsed().Seconds()/1e6, "Minsn/s")
}

func BenchmarkStep(b *testing.B) {
	cpu := benchCPU(b)
	for b.Loop() {
		_, err := cpu.Step()
		require.NoError(b, err)
	}
}

// benchCPU is about to run a loop that never ends, with a store in it, in a
// machine whose heap is mostly untouched.
func benchCPU(b *testing.B) emu.CPU {
	mem := emu.NewMemory()
	for _, r := range []struct {
		name       string
		base, size uint64
		perm       emu.Perm
	}{
		{"text", textBase, emu.PageSize, emu.Read | emu.Exec},
		{"data", dataBase, 1 << 20, emu.Read | emu.Write},
		{"heap", heapBase, 64 << 20, emu.Read | emu.Write},
	} {
		_, err := mem.Map(r.name, r.base, r.size, r.perm)
		require.NoError(b, err)
	}
	a := asm.NewBuilder()
	loop := a.Here("loop")
	a.Emit(asm.Madd(asm.X1, asm.X1, asm.X4, asm.X2), asm.Adds(asm.X3, asm.X3, asm.X1), asm.Cinc(asm.X5, asm.X5, asm.CS))
	a.Emit(asm.Eor(asm.X6, asm.X1, asm.X3), asm.LsrImm(asm.X7, asm.X6, 50), asm.Str(asm.X3, asm.Idx(asm.X0, asm.X7, 3)))
	a.Emit(asm.AddImm(asm.X2, asm.X2, 1), asm.B(loop))
	p, err := a.Assemble(textBase)
	require.NoError(b, err)
	require.NoError(b, mem.Write(textBase, p.Code))
	engine, err := lockstep.Of(reference, other)(mem)
	require.NoError(b, err)
	cpu, err := engine.NewCPU(0)
	require.NoError(b, err)
	b.Cleanup(func() {
		require.NoError(b, engine.Close())
		require.NoError(b, mem.Close())
	})
	*cpu.Regs() = emu.Regs{PC: textBase, SP: dataBase + emu.PageSize}
	copy(cpu.Regs().X[:], []uint64{dataBase, 3, 0, 0, 0x5851_f42d_4c95_7f2d})
	return cpu
}
