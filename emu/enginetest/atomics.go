package enginetest

import (
	"github.com/stretchr/testify/assert"

	"callops/asm"
	"callops/emu"
)

var atomicCases = []testCase{
	{"read-modify-write", func(m *machine) {
		for _, c := range []struct {
			name string
			inst asm.Inst
			want uint64
		}{
			{"ldadd", asm.Ldadd(asm.X1, asm.X2, asm.X0), 0xf5},
			{"ldaddal", asm.Ldaddal(asm.X1, asm.X2, asm.X0), 0xf5},
			{"ldclr", asm.Ldclr(asm.X1, asm.X2, asm.X0), 0xf0 &^ 5},
			{"ldset", asm.Ldset(asm.X1, asm.X2, asm.X0), 0xf5},
			{"ldeor", asm.Ldeor(asm.X1, asm.X2, asm.X0), 0xf5},
			{"swp", asm.Swpal(asm.X1, asm.X2, asm.X0), 5},
			{"cas, equal", asm.Casal(asm.X2, asm.X1, asm.X0), 5},
			{"cas, not equal", asm.Casal(asm.X3, asm.X1, asm.X0), 0xf0},
			{"stadd", asm.Stadd(asm.X1, asm.X0), 0xf5},
		} {
			m.store64(dataBase, 0xf0)
			m.do([]uint64{dataBase, 5, 0xf0, 1}, c.inst)
			assert.Equal(m, c.want, m.load64(dataBase), c.name)
		}
	}},
	{"the old value is returned", func(m *machine) {
		m.store64(dataBase, 0xf0)
		m.do([]uint64{dataBase, 5, 0, 1},
			asm.Ldadd(asm.X1, asm.X2, asm.X0), asm.Casal(asm.X3, asm.X1, asm.X0), asm.Swp(asm.W1, asm.W4, asm.X0))
		assert.Equal(m, []uint64{0xf0, 0xf5, 0xf5}, m.regs.X[2:5])
	}},
	{"exclusives", func(m *machine) {
		f := m.place(func(b *asm.Builder) {
			loop := b.Here("loop")
			b.Emit(asm.Ldaxr(asm.X1, asm.X0), asm.AddImm(asm.X1, asm.X1, 1), asm.Stlxr(asm.W2, asm.X1, asm.X0))
			b.Emit(asm.Cbnz(asm.W2, loop), asm.Ret())
		}).Base
		for i := range uint64(3) {
			m.call(f, dataBase)
			assert.Equal(m, i+1, m.load64(dataBase))
			assert.Zero(m, m.regs.X[2])
		}
	}},
	{"a store-exclusive without a reservation fails", func(m *machine) {
		m.do([]uint64{dataBase, 7}, asm.Hint(0), asm.Word32(clrex), asm.Stxr(asm.W2, asm.X1, asm.X0))
		assert.Equal(m, uint64(1), m.regs.X[2])
		assert.Zero(m, m.load64(dataBase))
	}},
	{"acquire and release", func(m *machine) {
		m.do([]uint64{dataBase, 7},
			asm.Stlr(asm.X1, asm.X0), asm.Dmb(asm.ISH), asm.Ldar(asm.X2, asm.X0), asm.Dmb(asm.ISHLD), asm.Ldapr(asm.X3, asm.X0),
			asm.Dmb(asm.ISHST), asm.Dsb(asm.SY))
		assert.Equal(m, []uint64{7, 7}, m.regs.X[2:4])
		assert.Equal(m, uint64(8), m.cpu.Count())
	}},
	{"exclusives step by step", func(m *machine) {
		f := m.code(asm.Ldxr(asm.X1, asm.X0), asm.Nop(), asm.Stxr(asm.W2, asm.X3, asm.X0))
		m.enter(f, dataBase, 0, 9, 5)
		for m.run(1).Reason == emu.ExitBudget {
		}
		assert.Zero(m, m.regs.X[2], "a step between the two does not end the reservation")
		assert.Equal(m, uint64(5), m.load64(dataBase))
	}},
}

const clrex = 0xd5033f5f
