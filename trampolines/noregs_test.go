package trampolines

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/kernel"
)

// placeNoRegs places an ftrace_caller for ops that look at no registers: it has no struct
// ftrace_regs, and passes none. All else is as in ftrace_caller: what a callee may change is saved,
// and both frame records are there. It is no piece, for docs/beyond-call-ops.md argues against it;
// this is what it would cost.
//
//	entry sp ->  +--------------------------+
//	             | x29, x9   frame record 1 |
//	     sp+96   +--------------------------+
//	             | &record1, x30   record 2 |
//	     sp+80   | x0 ... x8                |
//	        sp ->+--------------------------+
func (m *machine) placeNoRegs() uint64 {
	m.t.Helper()
	p, err := m.k.PlaceCode("ftrace_noregs_caller", kernel.CodeOptions{Core: true}, func(base uint64) (*asm.Program, error) {
		b := asm.NewBuilder()
		direct := b.Label("direct call")
		b.Func("ftrace_noregs_caller")
		b.Emit(
			asm.Bti(asm.BTIC),
			asm.AndImm(asm.X11, asm.LR, ^uint64(literalAlign-1)),
			asm.Ldr(asm.X11, asm.Off(asm.X11, -literalBack)),
			asm.Ldr(asm.X17, at(asm.X11, m.l.Ops.DirectCall)),
			asm.Cbnz(asm.X17, direct),
			asm.Stp(asm.X0, asm.X1, asm.Pre(asm.SP, -112)),
			asm.Stp(asm.X2, asm.X3, asm.Off(asm.SP, 16)),
			asm.Stp(asm.X4, asm.X5, asm.Off(asm.SP, 32)),
			asm.Stp(asm.X6, asm.X7, asm.Off(asm.SP, 48)),
			asm.Str(asm.X8, asm.Off(asm.SP, 64)),
			asm.Stp(asm.FP, asm.X9, asm.Off(asm.SP, 96)),
			asm.AddImm(asm.X10, asm.SP, 96),
			asm.Stp(asm.X10, asm.LR, asm.Off(asm.SP, 80)),
			asm.AddImm(asm.FP, asm.SP, 80),
			asm.SubImm(asm.X0, asm.LR, insnSize),
			asm.Mov(asm.X1, asm.X9),
			asm.Mov(asm.X2, asm.X11),
			asm.Mov(asm.X3, asm.XZR),
			asm.Ldr(asm.X4, at(asm.X2, m.l.Ops.Func)),
			asm.Blr(asm.X4),
			asm.Ldp(asm.X2, asm.X3, asm.Off(asm.SP, 16)),
			asm.Ldp(asm.X4, asm.X5, asm.Off(asm.SP, 32)),
			asm.Ldp(asm.X6, asm.X7, asm.Off(asm.SP, 48)),
			asm.Ldr(asm.X8, asm.Off(asm.SP, 64)),
			asm.Ldr(asm.X9, asm.Off(asm.SP, 88)),
			asm.Ldp(asm.FP, asm.LR, asm.Off(asm.SP, 96)),
			asm.Ldp(asm.X0, asm.X1, asm.Post(asm.SP, 112)),
			asm.RetReg(asm.X9),
		)
		b.Bind(direct)
		b.Emit(asm.Br(asm.X17))
		b.EndFunc()
		return b.Assemble(base)
	})
	require.NoError(m.t, err)
	return p.Base
}

// An ops that declares that it looks at no registers would save 3 instructions of 34.
func TestCost_WithoutRegs(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		caller := m.placeNoRegs()
		m.enable("dump", m.newOps(opsSpec{fn: m.c.OpsFuncNop}))
		ip := m.site("dump")
		bl, err := asm.EncodeBL(ip, caller)
		require.NoError(t, err)
		require.NoError(t, m.k.Mem.Store32(ip, bl))
		m.k.Mem.SyncText(ip, insnSize)
		m.requireUntouched(m.mustCall("dump"))
		assert.Equal(t, costDirect-3, m.overhead("dump"))
	})
}
