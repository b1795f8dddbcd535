package enginetest

import (
	"context"
	"errors"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
)

var refusedCases = []testCase{
	{"what the architecture defines and no engine executes", func(m *machine) {
		for name, word := range map[string]uint32{
			"fmov d0, x0": 0x9e670000, "fadd d0, d0, d1": 0x1e612800, "ldr q0, [sp]": 0x3dc003e0, "stp d8, d9, [sp]": 0x6d0027e8,
			"ld1 {v0.16b}, [x0]": 0x4c407000, "sha256h": 0x5e024020, "fp16, three registers": 0x6ed03e07, "fp16, two registers": 0x5ef849eb,
			"ptrue p0.b": 0x2518e3e0, "eret": 0xd69f03e0, "eretaa": 0xd69f0bff, "msr spsel, #0": 0xd50040bf, "at s1e1r, x0": 0xd5087800,
		} {
			m.isRefused(name, word)
		}
	}},
	{"registers that control translation, FP and debugging", func(m *machine) {
		for name, reg := range map[string]asm.SysReg{
			"actlr_el1": sysReg(3, 0, 1, 0, 1), "apiakeylo_el1": sysReg(3, 0, 2, 1, 0), "fpcr": sysReg(3, 3, 4, 4, 0), "spsel": sysReg(3, 0, 4, 2, 0),
			"dbgbcr1_el1": sysReg(2, 0, 0, 1, 5), "dbgwcr1_el1": sysReg(2, 0, 0, 1, 7), "oslar_el1": sysReg(2, 0, 1, 0, 4), "mdscr_el1": sysReg(2, 0, 0, 2, 2),
			"csselr_el1": sysReg(3, 2, 0, 0, 0),
		} {
			for _, x0 := range []uint64{0, ^uint64(0), 0x1ff1} {
				m.regs.X[0] = x0
				m.isRefused(name, m.word(asm.Msr(reg, asm.X0)))
			}
		}
		m.do(nil, asm.Mrs(asm.X0, sysReg(3, 0, 1, 0, 0)), asm.Mrs(asm.X1, sysReg(3, 0, 2, 0, 2)))
		assert.Equal(m, []uint64{0xc50839, 0x5_b510_3510}, m.regs.X[:2])
	}},
	{"registers that are only kept change nothing", func(m *machine) {
		for _, value := range []uint64{^uint64(0), 0} {
			for name, reg := range map[string]asm.SysReg{
				"spsr_el1": sysReg(3, 0, 4, 0, 0), "elr_el1": sysReg(3, 0, 4, 0, 1), "afsr0_el1": sysReg(3, 0, 5, 1, 0), "esr_el1": sysReg(3, 0, 5, 2, 0),
				"far_el1": sysReg(3, 0, 6, 0, 0), "par_el1": sysReg(3, 0, 7, 4, 0), "mair_el1": sysReg(3, 0, 10, 2, 0), "amair_el1": sysReg(3, 0, 10, 3, 0),
				"sctlr_el1": sysReg(3, 0, 1, 0, 0), "cpacr_el1": sysReg(3, 0, 1, 0, 2), "ttbr0_el1": sysReg(3, 0, 2, 0, 0),
				"ttbr1_el1": sysReg(3, 0, 2, 0, 1), "tcr_el1": sysReg(3, 0, 2, 0, 2), "vbar_el1": sysReg(3, 0, 12, 0, 0), "contextidr_el1": sysReg(3, 0, 13, 0, 1), "cntkctl_el1": sysReg(3, 0, 14, 1, 0),
			} {
				const daifclr = 0xd5034fff
				m.do([]uint64{value, dataBase}, asm.Msr(reg, asm.X0), asm.Isb(), asm.Word32(daifclr), asm.Nop(),
					asm.Str(asm.X0, asm.Base(asm.X1)), asm.Ldr(asm.X2, asm.Base(asm.X1)), asm.DcZva(asm.X1), asm.Ldr(asm.X3, asm.Base(asm.X1)))
				assert.Equal(m, []uint64{value, 0}, m.regs.X[2:4], name)
				m.stopsAt(name, asm.Brk(1), emu.ExitException)
				m.next = textBase
			}
		}
	}},
	{"registers of translation hold what was written", func(m *machine) {
		for _, reg := range []asm.SysReg{sysReg(3, 0, 1, 0, 0), sysReg(3, 0, 1, 0, 2), sysReg(3, 0, 2, 0, 0), sysReg(3, 0, 2, 0, 1), sysReg(3, 0, 2, 0, 2)} {
			before := m.cpu.Count()
			m.do([]uint64{0x1234_5678_9abc}, asm.Mrs(asm.X2, reg), asm.Msr(reg, asm.X0), asm.Mrs(asm.X1, reg), asm.Msr(reg, asm.XZR), asm.Mrs(asm.X3, reg),
				asm.Msr(reg, asm.X2), asm.Mrs(asm.X4, reg), asm.Mrs(asm.XZR, reg))
			assert.Equal(m, []uint64{0x1234_5678_9abc, m.regs.X[2], 0, m.regs.X[2]}, m.regs.X[1:5], "%v", reg)
			assert.EqualValues(m, 9, m.cpu.Count()-before)
		}
	}},
	{"a refused word does nothing where it is not reached", func(m *machine) {
		p := m.place(func(b *asm.Builder) {
			over := b.Label("over")
			b.Emit(asm.Movz(asm.X0, 1, 0), asm.B(over), asm.Word32(fp16))
			b.Bind(over)
			b.Emit(asm.AddImm(asm.X0, asm.X0, 1), asm.Ret(), asm.Word32(fp16))
		})
		m.call(p.Base)
		assert.Equal(m, uint64(2), m.regs.X[0])
	}},
	{"and is met by every way to it", func(m *machine) {
		p := m.place(func(b *asm.Builder) {
			bad := b.Label("bad")
			b.Func("fall")
			b.Emit(asm.Nop(), asm.Nop())
			b.Bind(bad)
			b.Emit(asm.Word32(fp16), asm.Ret())
			b.Func("branch")
			b.Emit(asm.Nop(), asm.B(bad))
			b.Func("cbz")
			b.Emit(asm.Nop(), asm.Cbz(asm.XZR, bad))
			b.Func("jump")
			b.Emit(asm.Adr(asm.X9, bad), asm.Br(asm.X9))
		})
		for _, name := range []string{"fall", "branch", "cbz", "jump"} {
			f, ok := p.Addr(name)
			require.True(m, ok)
			for range 3 {
				m.refuses(name, f, p.Base+8, fp16, 2)
			}
		}
	}},
	{"budgets end before it, and within it", func(m *machine) {
		f := m.code(asm.Nop(), asm.Nop(), asm.Word32(fp16), asm.Nop(), asm.Nop())
		for n := range uint64(3) {
			m.enter(f)
			before := m.cpu.Count()
			assert.Equal(m, emu.Exit{PC: f + 4*n}, m.run(n))
			assert.Equal(m, n, m.cpu.Count()-before)
		}
		m.refuses("all of it", f, f+8, fp16, 2)
		for n := range uint64(3) { // after it, with the word on the page
			m.enter(f + 12)
			m.run(n)
			assert.Equal(m, f+12+4*n, m.regs.PC)
		}
	}},
	{"text that becomes one, and ceases to be", func(m *machine) {
		const page = textBase + 2*emu.PageSize
		for _, f := range []uint64{page, page + 64, page + emu.PageSize - 8} {
			m.placeAt(f, func(b *asm.Builder) { b.Emit(asm.Nop(), asm.Ret()) })
			for range 3 {
				m.call(f)
				m.patch(f, asm.Word32(fp16))
				m.refuses("patched", f, f, fp16, 0)
				m.patch(f, asm.Nop())
			}
			m.call(f)
		}
	}},
	{"a page of nothing else", func(m *machine) {
		const page = textBase + 4*emu.PageSize
		m.placeAt(page, func(b *asm.Builder) {
			for range emu.PageSize / 4 {
				b.Emit(asm.Word32(fp16))
			}
		})
		for off := uint64(0); off < emu.PageSize; off += 252 {
			m.refuses("page", page+off, page+off, fp16, 0)
		}
		m.placeAt(page, func(b *asm.Builder) { b.Emit(asm.Nop(), asm.Ret()) })
		m.call(page)
		m.refuses("page", page+8, page+8, fp16, 0)
	}},
	{"words that the guest itself writes", func(m *machine) {
		jit := m.region("jit", 0xffff_8000_d000_0000, 2*emu.PageSize, emu.Read|emu.Write|emu.Exec).Base
		f := m.place(func(b *asm.Builder) {
			b.Emit(asm.Mov(asm.X19, asm.LR), asm.Str(asm.W1, asm.Base(asm.X0)), asm.Str(asm.W2, asm.Off(asm.X0, 4)))
			b.Emit(asm.DcCvau(asm.X0), asm.Dsb(asm.ISH), asm.IcIvau(asm.X0), asm.Dsb(asm.ISH), asm.Isb())
			b.Emit(asm.Blr(asm.X0), asm.RetReg(asm.X19))
		}).Base
		for i, at := range []uint64{jit, jit + 8, jit + emu.PageSize - 4, jit + emu.PageSize} {
			ret := uint64(m.word(asm.Ret()))
			m.call(f, at, uint64(m.word(asm.Movz(asm.X3, uint16(i), 0))), ret)
			assert.Equal(m, uint64(i), m.regs.X[3])
			m.enter(f, at, fp16, ret)
			_, err := m.cpu.Run(context.Background(), 100)
			var u *emu.UnsupportedError
			require.ErrorAs(m, err, &u)
			assert.Equal(m, at, u.PC)
			m.call(f, at, uint64(m.word(asm.Movz(asm.X3, 7, 0))), ret)
			assert.Equal(m, uint64(7), m.regs.X[3])
		}
	}},
	{"words that another CPU writes", func(m *machine) {
		jit := m.region("jit", 0xffff_8000_d000_0000, emu.PageSize, emu.Read|emu.Write|emu.Exec).Base
		other, err := m.engine.NewCPU(1)
		require.NoError(m, err)
		store := m.code(asm.Str(asm.W1, asm.Base(asm.X0)), asm.Str(asm.W2, asm.Off(asm.X0, 4)))
		write := func(word uint32) {
			r := other.Regs()
			*r = emu.Regs{PC: store}
			r.X[0], r.X[1], r.X[2], r.X[30] = jit, uint64(word), uint64(m.word(asm.Ret())), emu.ReturnGate
			exit, err := other.Run(context.Background(), 100)
			require.NoError(m, err)
			require.Equal(m, emu.ExitGate, exit.Reason, exit)
			m.mem.SyncText(jit, 8)
		}
		for i := range uint16(3) {
			write(m.word(asm.Movz(asm.X3, i, 0)))
			m.call(jit)
			assert.Equal(m, uint64(i), m.regs.X[3])
			write(fp16)
			m.refuses("written", jit, jit, fp16, 0)
		}
	}},
	{"nothing is mapped that was not asked for", func(m *machine) {
		load, store := m.code(asm.Ldr(asm.X1, asm.Base(asm.X0))), m.code(asm.Str(asm.X1, asm.Base(asm.X0)))
		for bit := 12; bit < 64; bit++ {
			for _, addr := range []uint64{1 << bit, 1<<bit + 1<<36, 1<<bit + 1<<26, -(uint64(1) << bit)} {
				if m.mem.Region(addr) != nil {
					continue
				}
				for _, f := range []uint64{load, store} {
					m.enter(f, addr)
					fault := m.run(10).Fault
					if assert.NotNil(m, fault, "%#x", addr) {
						assert.Equal(m, emu.Unmapped, fault.Kind, "%#x", addr)
					}
				}
			}
		}
	}},
}

// sysReg is op0, op1, CRn, CRm and op2.
func sysReg(op0, op1, crn, crm, op2 uint16) asm.SysReg {
	return asm.SysReg(op0<<14 | op1<<11 | crn<<7 | crm<<3 | op2)
}

// fp16 is FMAXNMP of half-precision elements with a reserved opcode.
const fp16 = 0x6ed03e07

// isRefused runs the word after two others, and tries the CPU afterwards.
func (m *machine) isRefused(name string, word uint32) {
	m.Helper()
	x0 := m.regs.X[0]
	f := m.code(asm.Nop(), asm.Nop(), asm.Word32(word), asm.Movz(asm.X0, 2, 0))
	m.refuses(name, f, f+8, word, 2, x0)
	m.regs.PC += 4
	assert.Equal(m, emu.ExitGate, m.run(100).Reason, name)
	assert.Equal(m, uint64(2), m.regs.X[0], name)
	m.next = textBase
}

// refuses runs the function at f into the refused word at pc, count
// instructions later.
func (m *machine) refuses(name string, f, pc uint64, word uint32, count uint64, args ...uint64) {
	m.Helper()
	before := m.cpu.Count()
	m.enter(f, args...)
	exit, err := m.cpu.Run(context.Background(), 100)
	var u *emu.UnsupportedError
	require.ErrorAs(m, err, &u, name)
	assert.True(m, errors.Is(err, errors.ErrUnsupported), name)
	assert.Equal(m, []uint64{pc, uint64(word), pc, pc}, []uint64{u.PC, uint64(u.Word), exit.PC, m.regs.PC}, name)
	assert.Equal(m, count, m.cpu.Count()-before, name)
}
