package enginetest

import (
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
)

const pattern = 0x8182_8384_f5f6_f7f8

var memoryCases = []testCase{
	{"loads of every size", func(m *machine) {
		m.store64(dataBase+8, pattern)
		at := asm.Off(asm.X0, 8)
		m.do([]uint64{dataBase},
			asm.Ldr(asm.X1, at), asm.Ldr(asm.W2, at), asm.Ldrh(asm.W3, at), asm.Ldrb(asm.W4, at),
			asm.Ldrsw(asm.X5, at), asm.Ldrsh(asm.X6, at), asm.Ldrsb(asm.X7, at), asm.Ldrsb(asm.W8, at))
		assert.Equal(m, []uint64{
			pattern, 0xf5f6_f7f8, 0xf7f8, 0xf8,
			0xffff_ffff_f5f6_f7f8, 0xffff_ffff_ffff_f7f8, 0xffff_ffff_ffff_fff8, 0xffff_fff8,
		}, m.regs.X[1:9])
	}},
	{"stores of every size", func(m *machine) {
		m.do([]uint64{dataBase, pattern},
			asm.Str(asm.X1, asm.Off(asm.X0, 0)), asm.Str(asm.W1, asm.Off(asm.X0, 8)),
			asm.Strh(asm.W1, asm.Off(asm.X0, 16)), asm.Strb(asm.W1, asm.Off(asm.X0, 24)))
		for i, want := range []uint64{pattern, 0xf5f6_f7f8, 0xf7f8, 0xf8} {
			assert.Equal(m, want, m.load64(dataBase+8*uint64(i)))
		}
	}},
	{"addressing modes", func(m *machine) {
		for i := range uint64(8) {
			m.store64(dataBase+8*i, i)
		}
		m.do([]uint64{dataBase + 16, 3, 0xffff_ffff},
			asm.Ldr(asm.X3, asm.Idx(asm.X0, asm.X1, 3)),
			asm.Ldur(asm.X4, asm.Off(asm.X0, -8)),
			asm.Ldr(asm.X5, asm.IdxExt(asm.X0, asm.W2, asm.SXTW, 3)),
			asm.Ldr(asm.X6, asm.Post(asm.X0, 8)),
			asm.Ldr(asm.X7, asm.Pre(asm.X0, 8)),
			asm.Ldp(asm.X8, asm.X9, asm.Off(asm.X0, -16)))
		assert.Equal(m, []uint64{5, 1, 1, 2, 4, 2, 3}, m.regs.X[3:10])
		assert.Equal(m, uint64(dataBase+32), m.regs.X[0])
	}},
	{"unaligned access, also across pages", func(m *machine) {
		addr := uint64(dataBase + emu.PageSize - 3)
		require.NoError(m, m.mem.Write(addr, le64(pattern)))
		m.do([]uint64{addr}, asm.Ldr(asm.X1, asm.Base(asm.X0)), asm.Str(asm.X1, asm.Off(asm.X0, 16)))
		assert.Equal(m, uint64(pattern), m.regs.X[1])
		assert.Equal(m, le64(pattern), m.bytes(addr+16, 8))
	}},
	{"what the host writes is read, also to what the guest may not write", func(m *machine) {
		f := m.code(asm.Ldr(asm.X0, asm.Base(asm.X0)))
		for _, v := range []uint64{1, 2} {
			m.store64(rodataBase, v)
			m.call(f, rodataBase)
			assert.Equal(m, v, m.regs.X[0])
		}
	}},
	{"a region mapped after NewCPU is seen", func(m *machine) {
		f := m.code(asm.Ldr(asm.X1, asm.Base(asm.X0)), asm.Str(asm.X1, asm.Off(asm.X0, 8)))
		const late = 0xffff_8000_c000_0000
		m.enter(f, late)
		require.Equal(m, emu.ExitFault, m.run(10).Reason)
		m.region("late", late, emu.PageSize, emu.Read|emu.Write)
		m.store64(late, 5)
		m.call(f, late)
		assert.Equal(m, uint64(5), m.load64(late+8))
	}},
	{"regions of any place and size", func(m *machine) {
		f := m.code(asm.Ldr(asm.X1, asm.Base(asm.X0)), asm.AddImm(asm.X1, asm.X1, 1), asm.Str(asm.X1, asm.Base(asm.X0)))
		for _, r := range []struct{ base, size uint64 }{
			{0x1000, 0x1000},
			{0x0000_7fff_ffe0_0000, 0x40_0000},
			{0xffff_0000_001f_f000, 0x60_2000}, // pages, blocks, pages
			{0xffff_ffff_ffff_e000, 0x1000},
		} {
			m.region("r", r.base, r.size, emu.Read|emu.Write)
			for _, addr := range []uint64{r.base, r.base + r.size/2, r.base + r.size - 8} {
				m.store64(addr, addr)
				m.call(f, addr)
				assert.Equal(m, addr+1, m.load64(addr), "%#x", addr)
			}
		}
	}},
	{"a doubleword is never torn", testTearing},
}

// testTearing has the guest read a doubleword while the host changes it.
func testTearing(m *machine) {
	const n = 2000
	f := m.place(func(b *asm.Builder) {
		loop, torn := b.Here("loop"), b.Label("torn")
		b.Emit(asm.Ldr(asm.X2, asm.Base(asm.X0)))
		b.Emit(asm.LsrImm(asm.X3, asm.X2, 32), asm.Cmp(asm.W3, asm.W2), asm.BCond(asm.NE, torn))
		b.Emit(asm.SubImm(asm.X1, asm.X1, 1), asm.Cbnz(asm.X1, loop))
		b.Bind(torn)
		b.Emit(asm.Ret())
	}).Base
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := uint64(0); ; i++ {
			select {
			case <-stop:
				return
			default:
				_ = m.mem.Store64(dataBase, i&0xffff_ffff<<32|i&0xffff_ffff)
			}
		}
	}()
	m.call(f, dataBase, n)
	close(stop)
	<-done
	assert.Zero(m, m.regs.X[1], "torn: %#x", m.regs.X[2])
}
