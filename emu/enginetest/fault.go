package enginetest

import (
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
)

const unmapped = 0xffff_8000_c000_0000

var faultCases = []testCase{
	{"data accesses that memory refuses", testDataFaults},
	{"a region that is write-protected", testWriteProtect},
	{"a fault leaves everything as before the instruction", func(m *machine) {
		f := m.code(
			asm.Movz(asm.X1, 7, 0), asm.Str(asm.X1, asm.Base(asm.X2)), asm.AddImm(asm.X1, asm.X1, 1),
			asm.Ldr(asm.X3, asm.Post(asm.X0, 8)), asm.AddImm(asm.X1, asm.X1, 1))
		m.enter(f, unmapped, 0, dataBase, 9)
		want := *m.regs
		want.X[1], want.PC = 8, f+12
		exit := m.run(100)
		require.Equal(m, emu.ExitFault, exit.Reason)
		assert.Equal(m, want, *m.regs)
		assert.Equal(m, uint64(3), m.cpu.Count())
		assert.Equal(m, uint64(7), m.load64(dataBase), "a store before it in the same block")
	}},
	{"a chain of pointers faults at the right link", func(m *machine) {
		f := m.code(asm.Ldr(asm.X0, asm.Base(asm.X0)), asm.Ldr(asm.X0, asm.Base(asm.X0)), asm.Ldr(asm.X0, asm.Base(asm.X0)))
		m.store64(dataBase, dataBase+8)
		m.store64(dataBase+8, unmapped)
		for i, start := range []uint64{unmapped, dataBase + 8, dataBase} {
			before := m.cpu.Count()
			m.enter(f, start)
			exit := m.run(100)
			require.Equal(m, emu.ExitFault, exit.Reason)
			pc := f + 4*uint64(i)
			assert.Equal(m, &emu.Fault{Addr: unmapped, Size: 8, Access: emu.Load, Kind: emu.Unmapped, PC: pc}, exit.Fault)
			assert.Equal(m, uint64(i), m.cpu.Count()-before)
		}
	}},
	{"fetches that memory refuses", func(m *machine) {
		f := m.code(asm.Nop(), asm.Br(asm.X0))
		for _, c := range []struct {
			addr uint64
			kind emu.FaultKind
		}{
			{unmapped, emu.Unmapped},
			{0, emu.Unmapped},
			{0xdead_0000_0000_0000, emu.Unmapped},
			{0x00ff_8000_8000_0000, emu.Unmapped},
			{dataBase, emu.Denied},
			{noaccess, emu.Denied},
			{textBase + 2, emu.Misaligned},
			{unmapped + 1, emu.Misaligned},
		} {
			before := m.cpu.Count()
			m.enter(f, c.addr)
			exit := m.run(100)
			require.Equal(m, emu.ExitFault, exit.Reason)
			want := &emu.Fault{Addr: c.addr, Size: 4, Access: emu.Fetch, Kind: c.kind, PC: c.addr}
			assert.Equal(m, want, exit.Fault)
			assert.Equal(m, uint64(2), m.cpu.Count()-before)
			assert.Equal(m, want, m.run(100).Fault, "once more, from there")
		}
	}},
	{"running off the end of text", func(m *machine) {
		end := uint64(textBase + textSize)
		m.placeAt(end-8, func(b *asm.Builder) { b.Emit(asm.Nop(), asm.Nop()) })
		m.enter(end - 8)
		assert.Equal(m, &emu.Fault{Addr: end, Size: 4, Access: emu.Fetch, Kind: emu.Unmapped, PC: end}, m.run(100).Fault)
		assert.Equal(m, uint64(2), m.cpu.Count())
	}},
	{"guest stores to text are refused", func(m *machine) {
		f := m.code(asm.Str(asm.XZR, asm.Base(asm.X0)))
		m.enter(f, f)
		assert.Equal(m, &emu.Fault{Addr: f, Size: 8, Access: emu.Store, Kind: emu.Denied, PC: f}, m.run(10).Fault)
		assert.NotZero(m, m.load64(f))
	}},
	{"a fault is EFAULT", func(m *machine) {
		m.enter(m.code(asm.Ldr(asm.X0, asm.Base(asm.X0))), unmapped)
		assert.ErrorIs(m, m.run(10).Fault, errno.EFAULT)
	}},
	{"the CPU runs on after faults", func(m *machine) {
		f := m.code(asm.Ldr(asm.X0, asm.Base(asm.X0)))
		m.store64(dataBase, 4)
		for range 3 {
			m.enter(f, unmapped)
			require.Equal(m, emu.ExitFault, m.run(10).Reason)
			m.call(f, dataBase)
			assert.Equal(m, uint64(4), m.regs.X[0])
		}
	}},
}

// A store that went through before faults afterwards, and the other CPU's too.
func testWriteProtect(m *machine) {
	const base = dataBase + 16<<20
	r := m.region("sealed", base, 3*emu.PageSize, emu.Read|emu.Write)
	m.region("beside", r.End(), emu.PageSize, emu.Read|emu.Write)
	store, load := m.code(asm.Str(asm.X1, asm.Base(asm.X0))), m.code(asm.Ldr(asm.X0, asm.Base(asm.X0)))
	both := []*machine{m, m.second()}
	for _, c := range both {
		c.call(store, base+emu.PageSize, 1)
	}
	require.NoError(m, m.mem.WriteProtect(r))
	for _, c := range both {
		for _, addr := range []uint64{base, base + emu.PageSize, r.End() - 8} {
			c.enter(store, addr, 2)
			exit := c.run(1)
			require.Equal(m, emu.ExitFault, exit.Reason)
			assert.Equal(m, &emu.Fault{Addr: addr, Size: 8, Access: emu.Store, Kind: emu.Denied, PC: store}, exit.Fault)
		}
		c.call(store, r.End(), 2)
		c.call(load, base+emu.PageSize)
		assert.EqualValues(m, 1, c.regs.X[0])
	}
	require.NoError(m, m.mem.Store64(base, 3), "the host may still write")
	assert.EqualValues(m, 3, m.load64(base))
	require.ErrorIs(m, m.mem.WriteProtect(nil), errno.EINVAL)
}

func testDataFaults(m *machine) {
	const end = dataBase + dataSize
	for _, c := range []struct {
		name   string
		inst   asm.Inst
		x0     uint64
		addr   uint64
		size   uint64
		access emu.Access
		kind   emu.FaultKind
	}{
		{"ldr", asm.Ldr(asm.X1, asm.Off(asm.X0, 8)), unmapped, unmapped + 8, 8, emu.Load, emu.Unmapped},
		{"str", asm.Str(asm.W1, asm.Off(asm.X0, 4)), unmapped, unmapped + 4, 4, emu.Store, emu.Unmapped},
		{"null pointer", asm.Ldr(asm.X1, asm.Off(asm.X0, 16)), 0, 16, 8, emu.Load, emu.Unmapped},
		{"poison", asm.Ldr(asm.X1, asm.Off(asm.X0, 8)), 0xdead_0000_0001_0000, 0xdead_0000_0001_0008, 8, emu.Load, emu.Unmapped},
		{"tagged pointer", asm.Ldr(asm.X1, asm.Base(asm.X0)), dataBase&^(0xff<<56) | 0x56<<56, dataBase&^(0xff<<56) | 0x56<<56, 8, emu.Load, emu.Unmapped},
		{"one bit off", asm.Str(asm.X1, asm.Base(asm.X0)), dataBase ^ 1<<62, dataBase ^ 1<<62, 8, emu.Store, emu.Unmapped},
		{"ldrb", asm.Ldrb(asm.W1, asm.Base(asm.X0)), unmapped, unmapped, 1, emu.Load, emu.Unmapped},
		{"ldrsh", asm.Ldrsh(asm.X1, asm.Base(asm.X0)), unmapped, unmapped, 2, emu.Load, emu.Unmapped},
		{"ldur", asm.Ldur(asm.X1, asm.Off(asm.X0, -8)), dataBase, dataBase - 8, 8, emu.Load, emu.Unmapped},
		{"pre-indexed", asm.Str(asm.X1, asm.Pre(asm.X0, -16)), dataBase, dataBase - 16, 8, emu.Store, emu.Unmapped},
		{"post-indexed", asm.Str(asm.X1, asm.Post(asm.X0, -16)), unmapped, unmapped, 8, emu.Store, emu.Unmapped},
		{"register offset", asm.Ldr(asm.X1, asm.Idx(asm.X0, asm.X2, 3)), unmapped, unmapped + 8, 8, emu.Load, emu.Unmapped},
		{"extended offset", asm.Ldr(asm.W1, asm.IdxExt(asm.X0, asm.W3, asm.SXTW, 2)), dataBase, dataBase - 4, 4, emu.Load, emu.Unmapped},
		{"ldp", asm.Ldp(asm.X4, asm.X5, asm.Off(asm.X0, 16)), unmapped, unmapped + 16, 8, emu.Load, emu.Unmapped},
		{"ldp, second", asm.Ldp(asm.X4, asm.X5, asm.Base(asm.X0)), end - 8, end, 8, emu.Load, emu.Unmapped},
		{"stp pre-indexed", asm.Stp(asm.X4, asm.X5, asm.Pre(asm.X0, -16)), dataBase, dataBase - 16, 8, emu.Store, emu.Unmapped},
		{"ldpsw", asm.Ldpsw(asm.X4, asm.X5, asm.Base(asm.X0)), end - 4, end, 4, emu.Load, emu.Unmapped},
		{"over the end", asm.Ldr(asm.X1, asm.Base(asm.X0)), end - 3, end, 8, emu.Load, emu.Unmapped},
		{"store to read-only", asm.Str(asm.X1, asm.Base(asm.X0)), rodataBase + 8, rodataBase + 8, 8, emu.Store, emu.Denied},
		{"load without permission", asm.Ldr(asm.X1, asm.Base(asm.X0)), noaccess, noaccess, 8, emu.Load, emu.Denied},
		{"store without permission", asm.Str(asm.X1, asm.Base(asm.X0)), noaccess, noaccess, 8, emu.Store, emu.Denied},
		{"gates are no memory", asm.Ldr(asm.X1, asm.Base(asm.X0)), emu.GateBase, emu.GateBase, 8, emu.Load, emu.Unmapped},
		{"ldar", asm.Ldar(asm.X1, asm.X0), unmapped, unmapped, 8, emu.Load, emu.Unmapped},
		{"stlr", asm.Stlr(asm.W1, asm.X0), unmapped, unmapped, 4, emu.Store, emu.Unmapped},
		{"ldxr", asm.Ldxr(asm.X1, asm.X0), unmapped, unmapped, 8, emu.Load, emu.Unmapped},
		{"ldxr misaligned", asm.Ldxr(asm.X1, asm.X0), dataBase + 4, dataBase + 4, 8, emu.Load, emu.Misaligned},
		{"ldadd", asm.Ldadd(asm.X1, asm.X2, asm.X0), unmapped, unmapped, 8, emu.Store, emu.Unmapped},
		{"ldadd to read-only", asm.Ldadd(asm.X1, asm.X2, asm.X0), rodataBase, rodataBase, 8, emu.Store, emu.Denied},
		{"ldadd misaligned", asm.Ldaddal(asm.W1, asm.W2, asm.X0), dataBase + 2, dataBase + 2, 4, emu.Store, emu.Misaligned},
		{"swp", asm.Swp(asm.X1, asm.X2, asm.X0), unmapped, unmapped, 8, emu.Store, emu.Unmapped},
		{"cas", asm.Cas(asm.X1, asm.X2, asm.X0), unmapped, unmapped, 8, emu.Store, emu.Unmapped},
		{"ldapr", asm.Ldapr(asm.X1, asm.X0), unmapped, unmapped, 8, emu.Load, emu.Unmapped},
	} {
		before := m.cpu.Count()
		f := m.code(asm.Nop(), asm.Nop(), c.inst, asm.Nop())
		m.enter(f, c.x0, 0, 1, 0xffff_ffff)
		want := *m.regs
		want.PC = f + 8
		exit := m.run(100)
		if assert.Equal(m, emu.ExitFault, exit.Reason, "%s: %v", c.name, exit) {
			assert.Equal(m, &emu.Fault{Addr: c.addr, Size: c.size, Access: c.access, Kind: c.kind, PC: f + 8}, exit.Fault, "%s: %v", c.name, exit)
			assert.Equal(m, want, *m.regs, c.name)
			assert.Equal(m, uint64(2), m.cpu.Count()-before, c.name)
		}
	}
}
