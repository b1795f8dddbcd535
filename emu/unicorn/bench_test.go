//go:build cgo

package unicorn_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/emu/unicorn"
)

const (
	benchText = 0xffff_8000_8000_0000
	benchData = 0xffff_8000_9000_0000
)

func benchCPU(tb testing.TB, build func(b *asm.Builder)) (*emu.Memory, emu.CPU) {
	mem := emu.NewMemory()
	_, err := mem.Map("text", benchText, 32<<20, emu.Read|emu.Exec)
	require.NoError(tb, err)
	_, err = mem.Map("data", benchData, 1<<20, emu.Read|emu.Write)
	require.NoError(tb, err)
	b := asm.NewBuilder()
	build(b)
	p, err := b.Assemble(benchText)
	require.NoError(tb, err)
	require.NoError(tb, mem.Write(p.Base, p.Code))
	engine, err := unicorn.New(mem)
	require.NoError(tb, err)
	cpu, err := engine.NewCPU(0)
	require.NoError(tb, err)
	tb.Cleanup(func() {
		require.NoError(tb, engine.Close())
		require.NoError(tb, mem.Close())
	})
	return mem, cpu
}

// loop runs body n times, n in x1.
func loop(body ...asm.Inst) func(b *asm.Builder) {
	return func(b *asm.Builder) {
		again := b.Here("again")
		b.Emit(body...)
		b.Emit(asm.SubImm(asm.X1, asm.X1, 1), asm.Cbnz(asm.X1, again), asm.Ret())
	}
}

func benchmarkLoop(b *testing.B, body ...asm.Inst) {
	_, cpu := benchCPU(b, loop(body...))
	r := cpu.Regs()
	r.PC, r.X[0], r.X[1], r.X[30] = benchText, benchData, uint64(b.N), emu.ReturnGate
	b.ResetTimer()
	exit, err := cpu.Run(context.Background(), 1<<62)
	require.NoError(b, err)
	require.Equal(b, emu.ExitGate, exit.Reason)
	b.ReportMetric(float64(cpu.Count())/b.Elapsed().Seconds()/1e6, "MIPS")
}

func BenchmarkCompute(b *testing.B) {
	benchmarkLoop(b,
		asm.Add(asm.X2, asm.X2, asm.X1), asm.Eor(asm.X3, asm.X3, asm.X2), asm.RorImm(asm.X4, asm.X3, 13),
		asm.Add(asm.X5, asm.X5, asm.X4), asm.And(asm.X6, asm.X5, asm.X2), asm.Add(asm.X7, asm.X7, asm.X6))
}

func BenchmarkLoads(b *testing.B) {
	benchmarkLoop(b, asm.Ldr(asm.X2, asm.Base(asm.X0)), asm.Ldr(asm.X3, asm.Off(asm.X0, 8)), asm.Ldr(asm.X4, asm.Off(asm.X0, 16)))
}

func BenchmarkStores(b *testing.B) {
	benchmarkLoop(b, asm.Str(asm.X2, asm.Base(asm.X0)), asm.Str(asm.X3, asm.Off(asm.X0, 8)), asm.Str(asm.X4, asm.Off(asm.X0, 16)))
}

func BenchmarkCurrentTask(b *testing.B) { benchmarkLoop(b, asm.Mrs(asm.X2, asm.SP_EL0)) }

// BenchmarkGate is a Run of one instruction that reaches a gate.
func BenchmarkGate(b *testing.B) {
	_, cpu := benchCPU(b, func(b *asm.Builder) { b.Emit(asm.Ret()) })
	r := cpu.Regs()
	r.X[30] = emu.ReturnGate
	b.ReportAllocs()
	for b.Loop() {
		r.PC = benchText
		if _, err := cpu.Run(context.Background(), 1000); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStep(b *testing.B) {
	_, cpu := benchCPU(b, func(b *asm.Builder) { b.Emit(asm.Nop(), asm.Nop(), asm.Nop(), asm.Ret()) })
	b.ReportAllocs()
	for b.Loop() {
		cpu.Regs().PC = benchText
		if _, err := cpu.Step(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFault(b *testing.B) {
	_, cpu := benchCPU(b, func(b *asm.Builder) { b.Emit(asm.Ldr(asm.X0, asm.Base(asm.X0)), asm.Ret()) })
	for b.Loop() {
		cpu.Regs().PC = benchText
		if _, err := cpu.Run(context.Background(), 1000); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPatchAll tells of 50,000 changed sites and runs once.
func BenchmarkPatchAll(b *testing.B) {
	mem, cpu := benchCPU(b, func(b *asm.Builder) { b.Emit(asm.Ret()) })
	cpu.Regs().X[30] = emu.ReturnGate
	for b.Loop() {
		for i := range uint64(50000) {
			mem.SyncText(benchText+i*640, 4)
		}
		cpu.Regs().PC = benchText
		if _, err := cpu.Run(context.Background(), 1000); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewCPU(b *testing.B) {
	mem, _ := benchCPU(b, func(b *asm.Builder) { b.Emit(asm.Ret()) })
	for b.Loop() {
		engine, err := unicorn.New(mem)
		require.NoError(b, err)
		cpu, err := engine.NewCPU(0)
		require.NoError(b, err)
		cpu.Regs().PC = benchText
		_, err = cpu.Step()
		require.NoError(b, err)
		require.NoError(b, engine.Close())
	}
}
