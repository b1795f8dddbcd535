package enginetest

import (
	"github.com/stretchr/testify/assert"

	"callops/asm"
	"callops/emu"
)

var systemCases = []testCase{
	{"the CPU is at EL1 on its own stack pointer", func(m *machine) {
		m.do(nil, asm.Mrs(asm.X0, asm.CurrentEL), asm.Mrs(asm.X1, spsel))
		assert.Equal(m, []uint64{1 << 2, 1}, m.regs.X[:2])
	}},
	{"current task, per-CPU base and thread pointer reach the guest", func(m *machine) {
		f := m.code(asm.Mrs(asm.X0, asm.SP_EL0), asm.Mrs(asm.X1, asm.TPIDR_EL1), asm.Mrs(asm.X2, asm.TPIDR_EL0))
		for i := range uint64(2) {
			m.enter(f)
			m.regs.SPEL0, m.regs.TPIDREL1, m.regs.TPIDREL0 = 10+i, 20+i, 30+i
			m.run(100)
			assert.Equal(m, []uint64{10 + i, 20 + i, 30 + i}, m.regs.X[:3])
		}
	}},
	{"and back", func(m *machine) {
		m.do([]uint64{1, 2, 3}, asm.Msr(asm.SP_EL0, asm.X0), asm.Msr(asm.TPIDR_EL1, asm.X1), asm.Msr(asm.TPIDR_EL0, asm.X2))
		assert.Equal(m, []uint64{1, 2, 3}, []uint64{m.regs.SPEL0, m.regs.TPIDREL1, m.regs.TPIDREL0})
		assert.Equal(m, uint64(stackTop), m.regs.SP)
	}},
	{"flags by name", func(m *machine) {
		m.do([]uint64{flagC | flagZ}, asm.Msr(asm.NZCV, asm.X0), asm.Mrs(asm.X1, asm.NZCV))
		assert.Equal(m, uint64(flagC|flagZ), m.regs.X[1])
		assert.Equal(m, uint32(flagC|flagZ), m.regs.NZCV)
	}},
	{"interrupts can be masked", func(m *machine) {
		const daifset, daifclr = 0xd5034fdf, 0xd5034fff
		m.do(nil, asm.Word32(daifset), asm.Mrs(asm.X0, asm.DAIF), asm.Word32(daifclr), asm.Mrs(asm.X1, asm.DAIF), asm.Msr(asm.DAIF, asm.X0), asm.Mrs(asm.X2, asm.DAIF))
		assert.Equal(m, []uint64{0x3c0, 0, 0x3c0}, m.regs.X[:3])
		assert.Equal(m, uint64(7), m.cpu.Count())
	}},
	{"identification registers can be read", func(m *machine) {
		m.do(nil, asm.Mrs(asm.X0, asm.CTR_EL0), asm.Mrs(asm.X1, asm.DCZID_EL0), asm.Mrs(asm.X2, asm.MIDR_EL1))
		assert.NotZero(m, m.regs.X[0])
		assert.Equal(m, uint64(4), m.regs.X[1]&0xf, "DC ZVA zeroes 64 bytes")
	}},
	{"cache maintenance executes", func(m *machine) {
		f := m.code(
			asm.DcCvau(asm.X0), asm.Dsb(asm.ISH), asm.IcIvau(asm.X0), asm.Dsb(asm.ISH), asm.Isb(),
			asm.DcCivac(asm.X0), asm.IcIallu(), asm.Isb(), asm.Movz(asm.X1, 1, 0))
		m.call(f, f)
		assert.Equal(m, uint64(1), m.regs.X[1])
		assert.Equal(m, uint64(10), m.cpu.Count())
	}},
	{"DC ZVA zeroes its block", func(m *machine) {
		for i := range uint64(24) {
			m.store64(dataBase+8*i, ^uint64(0))
		}
		m.do([]uint64{dataBase + 64 + 20}, asm.DcZva(asm.X0))
		assert.Equal(m, ^uint64(0), m.load64(dataBase+56))
		for i := range uint64(8) {
			assert.Zero(m, m.load64(dataBase+64+8*i))
		}
		assert.Equal(m, ^uint64(0), m.load64(dataBase+128))
		f := m.code(asm.DcZva(asm.X0))
		m.enter(f, rodataBase+1)
		assert.Equal(m, &emu.Fault{Addr: rodataBase, Size: 64, Access: emu.Store, Kind: emu.Denied, PC: f}, m.run(10).Fault)
	}},
	{"the counter is the instructions before it", func(m *machine) {
		f := m.code(asm.Nop(), asm.Mrs(asm.X0, asm.CNTVCT_EL0), asm.Nop(), asm.Nop(), asm.Mrs(asm.X1, asm.CNTVCT_EL0), asm.Mrs(asm.X28, asm.CNTVCT_EL0), asm.Mrs(asm.X29, asm.CNTVCT_EL0))
		for range 2 {
			start := m.cpu.Count()
			m.call(f)
			assert.Equal(m, []uint64{start + 1, start + 4, start + 5, start + 6}, []uint64{m.regs.X[0], m.regs.X[1], m.regs.X[28], m.regs.X[29]})
		}
	}},
	{"the counter can be read into any register", func(m *machine) {
		for i := range 30 {
			start := m.cpu.Count()
			m.do(nil, asm.Nop(), asm.Mrs(asm.X(i), asm.CNTVCT_EL0))
			assert.Equal(m, start+1, m.regs.X[i], "x%d", i)
		}
		start := m.cpu.Count()
		m.enter(m.code(asm.Mrs(asm.X30, asm.CNTVCT_EL0)))
		m.run(1)
		assert.Equal(m, start, m.regs.X[30])
		m.do(nil, asm.Mrs(asm.XZR, asm.CNTVCT_EL0))
		assert.Equal(m, make([]uint64, 30), m.regs.X[:30])
	}},
	{"the counter goes on in single steps", func(m *machine) {
		start := m.cpu.Count()
		m.enter(m.code(asm.Nop(), asm.Nop(), asm.Mrs(asm.X0, asm.CNTVCT_EL0)))
		for m.run(1).Reason == emu.ExitBudget {
		}
		assert.Equal(m, start+2, m.regs.X[0])
	}},
}

// spsel is SPSel: op0 3, op1 0, CRn 4, CRm 2, op2 0.
const spsel asm.SysReg = 3<<14 | 4<<7 | 2<<3
