package interp_test

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
)

// atomicLoops are what a loop repeats unrolled: one instruction, or a pair that needs both.
// X0 is an address, X1 what is there, X2 an operand.
var atomicLoops = []struct {
	name  string
	insts []asm.Inst
}{
	{"ldar", []asm.Inst{asm.Ldar(asm.X3, asm.X0)}},
	{"stlr", []asm.Inst{asm.Stlr(asm.X1, asm.X0)}},
	{"stlrb", []asm.Inst{asm.Word32(0x089ffc01)}},
	{"dmb ish", []asm.Inst{asm.Dmb(asm.ISH)}},
	{"dmb ishld", []asm.Inst{asm.Dmb(asm.ISHLD)}},
	{"ldaddal", []asm.Inst{asm.Ldaddal(asm.X2, asm.X3, asm.X0)}},
	{"ldset", []asm.Inst{asm.Ldset(asm.X2, asm.X3, asm.X0)}},
	{"swpal", []asm.Inst{asm.Swpal(asm.X2, asm.X3, asm.X0)}},
	{"swpab", []asm.Inst{asm.Word32(0x38a28003)}},
	{"casal", []asm.Inst{asm.Casal(asm.X1, asm.X1, asm.X0)}},
	{"casal, another value", []asm.Inst{asm.Mov(asm.X3, asm.X2), asm.Casal(asm.X3, asm.X1, asm.X0)}},
	{"casp", []asm.Inst{asm.Casp(asm.X4, asm.X6, asm.X0)}},
	{"ldaxr, stlxr", []asm.Inst{asm.Ldaxr(asm.X3, asm.X0), asm.Stlxr(asm.W5, asm.X1, asm.X0)}},
}

// BenchmarkAtomic is the time of one instruction that nobody else wants the memory of.
func BenchmarkAtomic(b *testing.B) {
	const loops, unrolled = 1000, 16
	for _, l := range atomicLoops {
		b.Run(l.name, func(b *testing.B) {
			w := workload{setUp: func(tb testing.TB, m *emu.Memory) (uint64, func(int) []uint64) {
				mapRegion(tb, m, "text", benchText, emu.PageSize, emu.Read|emu.Exec)
				mapRegion(tb, m, "data", benchData, emu.PageSize, emu.Read|emu.Write)
				bl := asm.NewBuilder()
				bl.Emit(asm.MovImm(asm.X9, loops)...)
				loop := bl.Here("loop")
				for range unrolled {
					bl.Emit(l.insts...)
				}
				bl.Emit(asm.SubsImm(asm.X9, asm.X9, 1), asm.BCond(asm.NE, loop), asm.Ret())
				p, err := bl.Assemble(benchText)
				require.NoError(tb, err)
				require.NoError(tb, m.Write(p.Base, p.Code))
				return benchText, func(int) []uint64 { return []uint64{benchData, 0, 5} }
			}}
			r := newRig(b, &w, benchEngines[0].open, 1)
			for b.Loop() {
				_, err := r.call(0)
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*loops*unrolled*len(l.insts)), "ns/insn")
		})
	}
}

var hostWord uint64

// BenchmarkHostAtomic is the host's own, in Go.
func BenchmarkHostAtomic(b *testing.B) {
	const loops = 16000
	for name, f := range map[string]func(){
		"load":             func() { atomic.LoadUint64(&hostWord) },
		"store":            func() { atomic.StoreUint64(&hostWord, 0) },
		"add":              func() { atomic.AddUint64(&hostWord, 1) },
		"swap":             func() { atomic.SwapUint64(&hostWord, 0) },
		"compare and swap": func() { atomic.CompareAndSwapUint64(&hostWord, 0, 0) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				for range loops {
					f()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*loops), "ns/insn")
		})
	}
}
