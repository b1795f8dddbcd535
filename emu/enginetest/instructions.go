package enginetest

import (
	"github.com/stretchr/testify/assert"

	"callops/asm"
)

// Flags as NZCV holds them.
const (
	flagN = 1 << 31
	flagZ = 1 << 30
	flagC = 1 << 29
	flagV = 1 << 28
)

var instructionCases = []testCase{
	{"addition sets flags", func(m *machine) {
		for _, c := range []struct {
			a, b, sum uint64
			nzcv      uint32
		}{
			{1, 2, 3, 0},
			{0, 0, 0, flagZ},
			{^uint64(0), 1, 0, flagZ | flagC},
			{1<<63 - 1, 1, 1 << 63, flagN | flagV},
			{1 << 63, 1 << 63, 0, flagZ | flagC | flagV},
		} {
			m.do([]uint64{c.a, c.b}, asm.Adds(asm.X0, asm.X0, asm.X1))
			assert.Equal(m, c.sum, m.regs.X[0], "%#x + %#x", c.a, c.b)
			assert.Equal(m, c.nzcv, m.regs.NZCV, "%#x + %#x", c.a, c.b)
		}
	}},
	{"comparison decides branch and select", func(m *machine) {
		f := m.place(func(b *asm.Builder) {
			less := b.Label("less")
			b.Emit(asm.Cmp(asm.X0, asm.X1), asm.Cset(asm.X2, asm.EQ), asm.BCond(asm.LT, less))
			b.Emit(asm.Csel(asm.X0, asm.X0, asm.X1, asm.GE), asm.Ret())
			b.Bind(less)
			b.Emit(asm.Movn(asm.X0, 0, 0), asm.Ret())
		}).Base
		m.call(f, 7, 5)
		assert.Equal(m, uint64(7), m.regs.X[0])
		assert.Zero(m, m.regs.X[2])
		m.call(f, 5, 5)
		assert.Equal(m, uint64(1), m.regs.X[2])
		m.call(f, ^uint64(0), 5)
		assert.Equal(m, ^uint64(0), m.regs.X[0], "-1 is less than 5")
	}},
	{"flags given are the flags used", func(m *machine) {
		f := m.code(asm.Cset(asm.X0, asm.CS), asm.Cset(asm.X1, asm.MI), asm.Cset(asm.X2, asm.EQ), asm.Cset(asm.X3, asm.VS))
		m.enter(f)
		m.regs.NZCV = flagC | flagN
		m.run(100)
		assert.Equal(m, []uint64{1, 1, 0, 0}, m.regs.X[:4])
		assert.Equal(m, uint32(flagC|flagN), m.regs.NZCV)
	}},
	{"32-bit results clear the upper half", func(m *machine) {
		m.do([]uint64{0xffff_ffff_ffff_ffff}, asm.AddImm(asm.W0, asm.W0, 2))
		assert.Equal(m, uint64(1), m.regs.X[0])
	}},
	{"multiplication and division", func(m *machine) {
		m.do([]uint64{1 << 40, 1 << 30, 7},
			asm.Umulh(asm.X3, asm.X0, asm.X1), asm.Mul(asm.X4, asm.X1, asm.X2), asm.Udiv(asm.X5, asm.X0, asm.X2),
			asm.Udiv(asm.X6, asm.X0, asm.XZR), asm.Msub(asm.X7, asm.X5, asm.X2, asm.X0))
		assert.Equal(m, []uint64{1 << 6, 7 << 30, (1 << 40) / 7, 0, (1 << 40) % 7}, m.regs.X[3:8])
	}},
	{"bit fields and shifts", func(m *machine) {
		m.do([]uint64{0x1234_5678_9abc_def0, 4},
			asm.Ubfx(asm.X2, asm.X0, 8, 16), asm.Sbfx(asm.X3, asm.X0, 4, 4), asm.Bfi(asm.X1, asm.X0, 8, 8),
			asm.LsrImm(asm.X4, asm.X0, 60), asm.Rev(asm.X5, asm.X0), asm.Clz(asm.X6, asm.X0))
		assert.Equal(m, []uint64{0xf004, 0xbcde, ^uint64(0), 1, 0xf0de_bc9a_7856_3412, 3}, m.regs.X[1:7])
	}},
	{"constants and addresses", func(m *machine) {
		p := m.place(func(b *asm.Builder) {
			here := b.Here("here")
			b.Emit(asm.Adr(asm.X0, here), asm.Adrp(asm.X1, here))
			b.Emit(asm.MovImm(asm.X2, 0x0123_4567_89ab_cdef)...)
			b.Emit(asm.LdrLit(asm.X3, b.Literal(0xfeed)), asm.Ret())
		})
		m.call(p.Base)
		assert.Equal(m, []uint64{p.Base, p.Base &^ 0xfff, 0x0123_4567_89ab_cdef, 0xfeed}, m.regs.X[:4])
	}},
	{"call and return", func(m *machine) {
		f := m.place(func(b *asm.Builder) {
			double, loop := b.Label("double"), b.Label("loop")
			b.Emit(asm.Stp(asm.FP, asm.LR, asm.Pre(asm.SP, -16)), asm.Mov(asm.FP, asm.SP))
			b.Emit(asm.Movz(asm.X1, 10, 0))
			b.Bind(loop)
			b.Emit(asm.BL(double), asm.SubImm(asm.X1, asm.X1, 1), asm.Cbnz(asm.X1, loop))
			b.Emit(asm.Ldp(asm.FP, asm.LR, asm.Post(asm.SP, 16)), asm.Ret())
			b.Bind(double)
			b.Emit(asm.Add(asm.X0, asm.X0, asm.X0), asm.Ret())
		}).Base
		m.call(f, 1)
		assert.Equal(m, uint64(1024), m.regs.X[0])
		assert.Equal(m, uint64(stackTop), m.regs.SP)
	}},
	{"every register is kept", func(m *machine) {
		f := m.code(asm.Nop())
		m.enter(f)
		for i := range 30 {
			m.regs.X[i] = 0x1111 * uint64(i+1)
		}
		m.regs.SPEL0, m.regs.TPIDREL1, m.regs.TPIDREL0 = 1, 2, 3
		want := *m.regs
		want.PC = m.regs.X[30]
		m.run(100)
		assert.Equal(m, want, *m.regs)
	}},
	{"pointer authentication does nothing", func(m *machine) {
		m.do(nil, asm.Paciasp(), asm.Mov(asm.X0, asm.LR), asm.Autiasp())
		assert.Equal(m, uint64(0xffff_a000_0000_0000), m.regs.X[0])
	}},
	{"landing pads and hints do nothing", func(m *machine) {
		m.do(nil, asm.Bti(asm.BTIC), asm.Nop(), asm.Yield(), asm.Hint(2), asm.Hint(3), asm.Movz(asm.X0, 1, 0))
		assert.Equal(m, uint64(1), m.regs.X[0])
		assert.Equal(m, uint64(7), m.cpu.Count())
	}},
}
