package interp_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
)

// The figures that docs/interpreter.md has, for each engine: time per
// instruction and millions of them a second. Engines are to be compared within
// one run.

const (
	benchStack = 0xffff_8000_9000_0000
	benchData  = 0xffff_8000_a000_0000
	benchText  = 0xffff_8000_8000_0000
	benchFar   = 0xffff_8000_8100_0000
)

// workload is a function to call, over and over.
type workload struct {
	name  string
	setUp func(tb testing.TB, m *emu.Memory) (addr uint64, args func(cpu int) []uint64)
	check func(tb testing.TB, m *emu.Memory, res emu.Result)
}

// tracedCalls is a loop that calls a function whose site calls ftrace_caller with
// one ops, laid out as the sample module's: the loop and the tracee on one
// page, the tracer after them, the trampoline far away.
const tracedCalls = 10000

func setUpTracedCalls(tb testing.TB, m *emu.Memory) (uint64, func(int) []uint64) {
	mapRegion(tb, m, "trampoline", benchFar, 0x1000, emu.Read|emu.Exec)
	mapRegion(tb, m, "text", benchText, 0x1000, emu.Read|emu.Exec)
	mapRegion(tb, m, "data", benchData, 0x10000, emu.Read|emu.Write)

	b := asm.NewBuilder()
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
	tramp, err := b.Assemble(benchFar)
	require.NoError(tb, err)
	require.NoError(tb, m.Write(tramp.Base, tramp.Code))

	b = asm.NewBuilder()
	loop := b.Label("loop")
	caller := b.Abs("ftrace_caller", benchFar)
	tracee := b.Label("tracee")
	b.Func("bench_loop")
	b.Emit(
		asm.Stp(asm.FP, asm.LR, asm.Pre(asm.SP, -48)),
		asm.Stp(asm.X19, asm.X20, asm.Off(asm.SP, 16)),
		asm.Stp(asm.X21, asm.X22, asm.Off(asm.SP, 32)),
		asm.Mov(asm.X20, asm.X1), asm.Mov(asm.X21, asm.X0), asm.Mov(asm.X22, asm.XZR),
		asm.Adr(asm.X19, tracee),
	)
	b.Bind(loop)
	b.Emit(
		asm.Ldp(asm.X0, asm.X1, asm.Base(asm.X21)),
		asm.Blr(asm.X19),
		asm.AddImm(asm.X22, asm.X22, 1),
		asm.Cmp(asm.X22, asm.X20),
		asm.BCond(asm.LO, loop),
		asm.Mov(asm.X0, asm.X22),
		asm.Ldp(asm.X21, asm.X22, asm.Off(asm.SP, 32)),
		asm.Ldp(asm.X19, asm.X20, asm.Off(asm.SP, 16)),
		asm.Ldp(asm.FP, asm.LR, asm.Post(asm.SP, 48)),
		asm.Ret(),
	)
	b.EndFunc()
	b.Align(8)
	b.Emit(asm.Quad(benchData + 0x100))
	b.Bind(tracee)
	b.Emit(asm.Mov(asm.X9, asm.LR), asm.BL(caller), asm.Add(asm.X0, asm.X0, asm.X1), asm.Ret())
	b.Func("ops_func_nop")
	b.Emit(asm.Bti(asm.BTIC), asm.Ret())
	b.EndFunc()
	p, err := b.Assemble(benchText)
	require.NoError(tb, err)
	require.NoError(tb, m.Write(p.Base, p.Code))
	tracer, _ := p.Addr("ops_func_nop")
	require.NoError(tb, m.Store64(benchData+0x100, tracer))
	return benchText, func(int) []uint64 { return []uint64{benchData, tracedCalls} }
}

const shaLen = 1 << 20

func shaInput() []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, shaLen)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// setUpSHA loads the image with the C compiler's sha256.
func setUpSHA(tb testing.TB, m *emu.Memory) (uint64, func(int) []uint64) {
	f, err := elf.Open("../../kernelimage/testdata/workload/workload-callops.elf")
	require.NoError(tb, err)
	defer func() { require.NoError(tb, f.Close()) }()
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		base := p.Vaddr &^ (emu.PageSize - 1)
		end := (p.Vaddr + p.Memsz + emu.PageSize - 1) &^ (emu.PageSize - 1)
		perm := emu.Read
		if p.Flags&elf.PF_X != 0 {
			perm |= emu.Exec
		}
		if p.Flags&elf.PF_W != 0 {
			perm |= emu.Write
		}
		mapRegion(tb, m, "image", base, end-base, perm)
		b := make([]byte, p.Filesz)
		_, err := p.ReadAt(b, 0)
		require.NoError(tb, err)
		require.NoError(tb, m.Write(p.Vaddr, b))
	}
	mapRegion(tb, m, "data", benchData, shaLen+2*emu.PageSize, emu.Read|emu.Write)
	require.NoError(tb, m.Write(benchData, shaInput()))
	syms, err := f.Symbols()
	require.NoError(tb, err)
	for _, s := range syms {
		if s.Name == "sha256" {
			return s.Value, func(cpu int) []uint64 {
				return []uint64{benchData, shaLen, benchData + shaLen + 64*uint64(cpu)}
			}
		}
	}
	require.Fail(tb, "no sha256 in the image")
	return 0, nil
}

var workloads = []workload{
	{"traced call", setUpTracedCalls, func(tb testing.TB, _ *emu.Memory, res emu.Result) {
		require.EqualValues(tb, tracedCalls, res.X0)
	}},
	{"sha256", setUpSHA, func(tb testing.TB, m *emu.Memory, _ emu.Result) {
		got := make([]byte, sha256.Size)
		require.NoError(tb, m.Read(benchData+shaLen, got))
		want := sha256.Sum256(shaInput())
		require.True(tb, bytes.Equal(want[:], got))
	}},
}

func mapRegion(tb testing.TB, m *emu.Memory, name string, base, size uint64, perm emu.Perm) {
	tb.Helper()
	_, err := m.Map(name, base, size, perm)
	require.NoError(tb, err)
}

// rig is CPUs ready to run a workload.
type rig struct {
	mem    *emu.Memory
	cpus   []emu.CPU
	addr   uint64
	args   func(int) []uint64
	caller emu.Caller
}

func newRig(tb testing.TB, w *workload, newEngine emu.NewEngine, cpus int) *rig {
	r := &rig{mem: emu.NewMemory(), caller: emu.Caller{Gates: emu.NewGates()}}
	const stack = 16 << 10
	mapRegion(tb, r.mem, "stacks", benchStack, uint64(cpus)*stack, emu.Read|emu.Write)
	r.addr, r.args = w.setUp(tb, r.mem)
	e, err := newEngine(r.mem)
	require.NoError(tb, err)
	for i := range cpus {
		cpu, err := e.NewCPU(i)
		require.NoError(tb, err)
		cpu.Regs().SP = benchStack + uint64(i+1)*stack
		r.cpus = append(r.cpus, cpu)
	}
	tb.Cleanup(func() {
		require.NoError(tb, e.Close())
		require.NoError(tb, r.mem.Close())
	})
	return r
}

func (r *rig) call(i int) (emu.Result, error) {
	return r.caller.Call(context.Background(), r.cpus[i], nil, r.addr, r.args(i)...)
}

func BenchmarkEngine(b *testing.B) {
	for i := range workloads {
		w := &workloads[i]
		for _, e := range benchEngines {
			b.Run(w.name+"/"+e.name, func(b *testing.B) {
				r := newRig(b, w, e.open, 1)
				res, err := r.call(0)
				require.NoError(b, err)
				w.check(b, r.mem, res)
				for b.Loop() {
					_, err = r.call(0)
				}
				require.NoError(b, err)
				report(b, float64(res.Count)*float64(b.N))
			})
		}
	}
}

// BenchmarkParallel runs one and two CPUs, each with work of its own.
func BenchmarkParallel(b *testing.B) {
	w := &workloads[1]
	for _, cpus := range []int{1, 2} {
		b.Run(map[int]string{1: "1 cpu", 2: "2 cpus"}[cpus], func(b *testing.B) {
			r := newRig(b, w, benchEngines[0].open, cpus)
			res, err := r.call(0)
			require.NoError(b, err)
			for b.Loop() {
				var wg sync.WaitGroup
				for i := range r.cpus {
					wg.Go(func() { _, _ = r.call(i) })
				}
				wg.Wait()
			}
			report(b, float64(res.Count)*float64(b.N)*float64(cpus))
		})
	}
}

func report(b *testing.B, insns float64) {
	ns := float64(b.Elapsed().Nanoseconds())
	b.ReportMetric(ns/insns, "ns/insn")
	b.ReportMetric(insns/ns*1e3, "MIPS")
}
