package enginetest

import (
	"github.com/stretchr/testify/assert"

	"callops/asm"
	"callops/emu"
)

var exceptionCases = []testCase{
	{"exception instructions stop the CPU on them", func(m *machine) {
		for name, inst := range map[string]asm.Inst{
			"svc": asm.Svc(7), "hvc": asm.Hvc(1), "smc": asm.Smc(2), "brk": asm.Brk(0x800), "hlt": asm.Hlt(3),
		} {
			m.stopsAt(name, inst, emu.ExitException)
		}
	}},
	{"words that are no instruction", func(m *machine) {
		for name, word := range map[string]uint32{
			"zero": 0, "udf": 0xdead, "unallocated": 0xffff_ffff, "system register": 0xd53fffe0,
		} {
			m.stopsAt(name, asm.Word32(word), emu.ExitUndefined)
		}
	}},
}

// stopsAt runs the word after two others and tries the CPU afterwards.
func (m *machine) stopsAt(name string, inst asm.Inst, reason emu.ExitReason) {
	m.Helper()
	before := m.cpu.Count()
	f := m.code(asm.Movz(asm.X0, 1, 0), asm.Nop(), inst, asm.Movz(asm.X0, 2, 0))
	m.enter(f)
	want := *m.regs
	want.PC, want.X[0] = f+8, 1
	exit := m.run(100)
	assert.Equal(m, emu.Exit{Reason: reason, PC: f + 8, Word: m.word(inst)}, exit, name)
	assert.Equal(m, want, *m.regs, name)
	assert.Equal(m, uint64(2), m.cpu.Count()-before, name)
	assert.Equal(m, exit, m.run(100), "%s: once more, from there", name)
	m.regs.PC += 4
	assert.Equal(m, emu.ExitGate, m.run(100).Reason, name)
	assert.Equal(m, uint64(2), m.regs.X[0], name)
}
