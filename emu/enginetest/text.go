package enginetest

import (
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
)

var textCases = []testCase{
	{"what guest code invalidates is seen", func(m *machine) {
		f := m.code(asm.Nop(), asm.Nop())
		for name, maintain := range map[string]asm.Inst{
			"ic ivau": asm.IcIvau(asm.X1), "ic iallu": asm.Word32(0xd508751f), "ic ialluis": asm.Word32(0xd508711f),
		} {
			flush := m.place(func(b *asm.Builder) { b.Emit(maintain, maintain, asm.Ret()) }).Base
			for i := range uint64(3) {
				m.call(f)
				require.NoError(m, m.mem.Store32(f+4, m.word(asm.Movz(asm.X0, uint16(i), 0))))
				before := m.cpu.Count()
				m.call(flush, 0, f+4)
				assert.Equal(m, uint64(3), m.cpu.Count()-before, name)
				assert.Equal(m, []uint64{flush, flush + 4, flush + 8}, m.cpu.Recent(3), name)
				m.call(f)
				assert.Equal(m, i, m.regs.X[0], name)
			}
		}
	}},
	{"a step invalidates text", func(m *machine) {
		f := m.place(func(b *asm.Builder) { b.Emit(asm.IcIvau(asm.X1), asm.Movz(asm.X0, 1, 0), asm.Ret()) }).Base
		m.enter(f, 0, f+4)
		require.NoError(m, m.mem.Store32(f+4, m.word(asm.Movz(asm.X0, 2, 0))))
		m.run(1)
		assert.Equal(m, f+4, m.regs.PC)
		m.run(1)
		assert.Equal(m, uint64(2), m.regs.X[0])
	}},
	{"the last line of the address space is invalidated", func(m *machine) {
		f := m.code(asm.Movz(asm.X0, 1, 0))
		m.call(f)
		flush := m.place(func(b *asm.Builder) { b.Emit(asm.IcIvau(asm.X1), asm.Ret()) }).Base
		m.call(flush, 0, ^uint64(0))
		m.mem.SyncText(1<<63, 1<<63)
		m.call(f)
		assert.Equal(m, uint64(1), m.regs.X[0])
	}},
	{"a patch between runs", func(m *machine) {
		f := m.code(asm.Nop(), asm.Nop(), asm.Nop())
		for i := range uint16(4) {
			m.patch(f+4, asm.Movz(asm.X0, i, 0))
			m.call(f)
			assert.Equal(m, uint64(i), m.regs.X[0])
			m.patch(f+4, asm.Nop())
			m.call(f)
			assert.Zero(m, m.regs.X[0])
		}
	}},
	{"a patch in a loop that ran hot", func(m *machine) {
		site := uint64(0)
		p := m.place(func(b *asm.Builder) {
			loop := b.Here("loop")
			b.Here("site")
			b.Emit(asm.Nop(), asm.SubImm(asm.X1, asm.X1, 1), asm.Cbnz(asm.X1, loop), asm.Ret())
		})
		site = p.Base
		m.call(p.Base, 0, 10000)
		m.patch(site, asm.AddImm(asm.X0, asm.X0, 1))
		m.call(p.Base, 0, 10)
		assert.Equal(m, uint64(10), m.regs.X[0])
	}},
	{"a patch made inside a gate", func(m *machine) {
		f := m.place(func(b *asm.Builder) {
			b.Emit(asm.Mov(asm.X19, asm.LR), asm.Blr(asm.X9), asm.Nop(), asm.RetReg(asm.X19))
		}).Base
		value := uint16(0)
		g := m.gate("patch", func(emu.CPU, [8]uint64) (uint64, error) {
			value++
			m.patch(f+8, asm.Movz(asm.X0, value, 0))
			return 0, nil
		})
		for i := range uint64(3) {
			res, err := m.guestCall(nil, f, g)
			require.NoError(m, err)
			assert.Equal(m, emu.Result{X0: i + 1, Count: 4}, res)
		}
	}},
	{"a patch between single steps", func(m *machine) {
		f := m.code(asm.Nop(), asm.Nop())
		m.call(f)
		m.enter(f)
		m.run(1)
		m.patch(f+4, asm.Movz(asm.X0, 3, 0))
		m.run(1)
		assert.Equal(m, uint64(3), m.regs.X[0])
	}},
	{"a branch for a nop, and back", func(m *machine) {
		p := m.place(func(b *asm.Builder) {
			b.Emit(asm.Mov(asm.X9, asm.LR), asm.Nop(), asm.Ret())
			b.Here("trampoline")
			b.Emit(asm.AddImm(asm.X0, asm.X0, 1), asm.Mov(asm.X10, asm.LR), asm.Mov(asm.LR, asm.X9), asm.RetReg(asm.X10))
		})
		to, ok := p.Addr("trampoline")
		require.True(m, ok)
		bl, err := asm.EncodeBL(p.Base+4, to)
		require.NoError(m, err)
		for i := range 4 {
			before := m.cpu.Count()
			m.call(p.Base)
			want := uint64(3)
			if i%2 == 1 {
				want = 7
			}
			assert.Equal(m, want, m.cpu.Count()-before)
			assert.Equal(m, uint64(i%2), m.regs.X[0])
			if i%2 == 0 {
				m.patch(p.Base+4, asm.Word32(bl))
			} else {
				m.patch(p.Base+4, asm.Nop())
			}
		}
	}},
	{"patches at the edges of pages", func(m *machine) {
		const edge = textBase + 4*emu.PageSize
		m.placeAt(edge-8, func(b *asm.Builder) {
			b.Emit(asm.Nop(), asm.Nop(), asm.Nop(), asm.Nop(), asm.Ret())
		})
		for _, site := range []uint64{edge - 4, edge, edge + 4} {
			m.call(edge - 8)
			m.patch(site, asm.AddImm(asm.X0, asm.X0, 1))
			m.call(edge - 8)
			assert.Equal(m, uint64(1), m.regs.X[0], "%#x", site)
			m.patch(site, asm.Nop())
		}
	}},
	{"a literal beside code", func(m *machine) {
		p := m.place(func(b *asm.Builder) {
			b.Align(8)
			b.Emit(asm.Quad(1))
			b.Func("f")
			b.Emit(asm.Ldur(asm.X0, asm.Off(asm.X0, -8)), asm.Ret())
		})
		for i := range uint64(3) {
			m.store64(p.Base, i)
			m.call(p.Base+8, p.Base+8)
			assert.Equal(m, i, m.regs.X[0], "data needs no maintenance")
		}
	}},
	{"a range of many functions", func(m *machine) {
		const n = 200
		const step = 128
		for i := range uint64(n) {
			m.placeAt(textBase+i*step, func(b *asm.Builder) { b.Emit(asm.Nop(), asm.Ret()) })
			m.call(textBase + i*step)
		}
		w := m.word(asm.Movz(asm.X0, 7, 0))
		for i := range uint64(n) {
			require.NoError(m, m.mem.Store32(textBase+i*step, w))
		}
		m.mem.SyncText(textBase, textSize)
		for i := range uint64(n) {
			m.call(textBase + i*step)
			require.Equal(m, uint64(7), m.regs.X[0], "function %d", i)
		}
	}},
	{"more patches than one by one", func(m *machine) {
		const n = textSize / 64
		for i := range uint64(n) {
			m.placeAt(textBase+i*64, func(b *asm.Builder) { b.Emit(asm.Nop(), asm.Nop(), asm.Ret()) })
			m.call(textBase + i*64)
		}
		for i := range uint64(n) {
			m.patch(textBase+i*64+4, asm.Movz(asm.X0, uint16(i), 0))
		}
		for i := range uint64(n) {
			m.call(textBase + i*64)
			require.Equal(m, i, m.regs.X[0])
		}
	}},
	{"code written by the guest itself", func(m *machine) {
		jit := m.region("jit", 0xffff_8000_d000_0000, emu.PageSize, emu.Read|emu.Write|emu.Exec).Base
		ret := m.word(asm.Ret())
		f := m.place(func(b *asm.Builder) {
			b.Emit(asm.Mov(asm.X19, asm.LR), asm.Str(asm.W1, asm.Base(asm.X0)), asm.Str(asm.W2, asm.Off(asm.X0, 4)))
			b.Emit(asm.DcCvau(asm.X0), asm.Dsb(asm.ISH), asm.IcIvau(asm.X0), asm.Dsb(asm.ISH), asm.Isb())
			b.Emit(asm.Blr(asm.X0), asm.RetReg(asm.X19))
		}).Base
		for i := range uint16(3) {
			m.call(f, jit, uint64(m.word(asm.Movz(asm.X3, i, 0))), uint64(ret))
			assert.Equal(m, uint64(i), m.regs.X[3])
		}
	}},
}
