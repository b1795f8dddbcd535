package enginetest

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
)

// Where a machine's regions lie. Between text and data nothing is mapped, and
// nothing after each.
const (
	textBase   = 0xffff_8000_8000_0000
	textSize   = 0x10000
	dataBase   = 0xffff_8000_9000_0000
	dataSize   = 0x10000
	rodataBase = 0xffff_8000_a000_0000
	rodataSize = 0x1000
	stackTop   = dataBase + dataSize
	noaccess   = 0xffff_8000_b000_0000
)

// machine is one CPU with text, data and gates.
type machine struct {
	*testing.T
	newEngine emu.NewEngine
	mem       *emu.Memory
	engine    emu.Engine
	cpu       emu.CPU
	regs      *emu.Regs
	gates     *emu.Gates
	caller    *emu.Caller
	next      uint64 // where the next program goes
}

func newMachine(t *testing.T, newEngine emu.NewEngine) *machine {
	t.Helper()
	m := &machine{T: t, newEngine: newEngine, mem: emu.NewMemory(), gates: emu.NewGates(), next: textBase}
	m.caller = &emu.Caller{Gates: m.gates}
	m.region("text", textBase, textSize, emu.Read|emu.Exec)
	m.region("data", dataBase, dataSize, emu.Read|emu.Write)
	m.region("rodata", rodataBase, rodataSize, emu.Read)
	m.region("noaccess", noaccess, emu.PageSize, 0)
	var err error
	m.engine, err = newEngine(m.mem)
	require.NoError(t, err)
	m.cpu, err = m.engine.NewCPU(0)
	require.NoError(t, err)
	m.regs = m.cpu.Regs()
	t.Cleanup(func() {
		require.NoError(t, m.engine.Close())
		require.NoError(t, m.mem.Close())
	})
	return m
}

func (m *machine) region(name string, base, size uint64, perm emu.Perm) *emu.Region {
	m.Helper()
	r, err := m.mem.Map(name, base, size, perm)
	require.NoError(m, err)
	return r
}

// place assembles a program at the next free 64 bytes of text.
func (m *machine) place(build func(b *asm.Builder)) *asm.Program {
	m.Helper()
	p := m.placeAt(m.next, build)
	m.next = (m.next + uint64(len(p.Code)) + 63) &^ 63
	return p
}

func (m *machine) placeAt(base uint64, build func(b *asm.Builder)) *asm.Program {
	m.Helper()
	b := asm.NewBuilder()
	build(b)
	p, err := b.Assemble(base)
	require.NoError(m, err)
	require.NoError(m, m.mem.Write(p.Base, p.Code))
	m.mem.SyncText(p.Base, uint64(len(p.Code)))
	return p
}

// code places instructions and a return, and gives their address.
func (m *machine) code(insts ...asm.Inst) uint64 {
	m.Helper()
	return m.place(func(b *asm.Builder) { b.Emit(insts...); b.Emit(asm.Ret()) }).Base
}

// enter makes the CPU ready to call the function at pc; x0 and up are args.
func (m *machine) enter(pc uint64, args ...uint64) {
	*m.regs = emu.Regs{PC: pc, SP: stackTop}
	m.regs.X[30] = emu.ReturnGate
	copy(m.regs.X[:], args)
}

// run runs from where the CPU stands.
func (m *machine) run(budget uint64) emu.Exit {
	m.Helper()
	exit, err := m.cpu.Run(context.Background(), budget)
	require.NoError(m, err)
	require.Equal(m, m.regs.PC, exit.PC, "the exit's PC and the register's")
	return exit
}

// call enters the function at pc and runs it to its return.
func (m *machine) call(pc uint64, args ...uint64) {
	m.Helper()
	m.enter(pc, args...)
	exit := m.run(1 << 20)
	require.Equal(m, emu.Exit{Reason: emu.ExitGate, PC: emu.ReturnGate}, exit, "%v", exit)
}

// do calls instructions followed by a return.
func (m *machine) do(args []uint64, insts ...asm.Inst) {
	m.Helper()
	m.call(m.code(insts...), args...)
}

func (m *machine) load64(addr uint64) uint64 {
	m.Helper()
	v, err := m.mem.Load64(addr)
	require.NoError(m, err)
	return v
}

func (m *machine) store64(addr, v uint64) {
	m.Helper()
	require.NoError(m, m.mem.Store64(addr, v))
}

// patch changes one instruction as a patcher does.
func (m *machine) patch(addr uint64, inst asm.Inst) {
	m.Helper()
	require.NoError(m, m.mem.Store32(addr, m.word(inst)))
	m.mem.SyncText(addr, 4)
}

func (m *machine) word(inst asm.Inst) uint32 {
	m.Helper()
	w, err := inst.Word()
	require.NoError(m, err)
	return w
}

func (m *machine) bytes(addr uint64, n int) []byte {
	m.Helper()
	b := make([]byte, n)
	require.NoError(m, m.mem.Read(addr, b))
	return b
}

func le64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }
