package trampolines

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/kernel"
)

// setInC is ftrace_ops_set_func as Linux would have it, of aarch64-linux-gnu-gcc 12.2 with -O2
// -mgeneral-regs-only -mbranch-protection=pac-ret:
//
//	struct ftrace_ops_set { struct ftrace_ops ops; struct ftrace_ops *member[]; };
//
//	void ftrace_ops_set_func(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs)
//	{
//		struct ftrace_ops **member = ((struct ftrace_ops_set *)op)->member;
//
//		do {
//			(*member)->func(ip, parent_ip, *member, fregs);
//		} while (*++member);
//	}
var setInC = []uint32{
	0xd503233f, // paciasp
	0xa9bd7bfd, // stp x29, x30, [sp, #-48]!
	0x910003fd, // mov x29, sp
	0xa90153f3, // stp x19, x20, [sp, #16]
	0x91036053, // add x19, x2, #0xd8
	0xaa0303f4, // mov x20, x3
	0xa9025bf5, // stp x21, x22, [sp, #32]
	0xaa0003f6, // mov x22, x0
	0xaa0103f5, // mov x21, x1
	0xd503201f, // nop
	0xf9400262, // ldr x2, [x19]
	0xaa1403e3, // mov x3, x20
	0xaa1503e1, // mov x1, x21
	0xaa1603e0, // mov x0, x22
	0xf9400044, // ldr x4, [x2]
	0xd63f0080, // blr x4
	0xf8408e62, // ldr x2, [x19, #8]!
	0xb5ffff22, // cbnz x2, -28
	0xa94153f3, // ldp x19, x20, [sp, #16]
	0xa9425bf5, // ldp x21, x22, [sp, #32]
	0xa8c37bfd, // ldp x29, x30, [sp], #48
	0xd50323bf, // autiasp
	0xd65f03c0, // ret
}

// In C the func of a set takes 6 instructions more, and 2 more for each further ops.
func TestCost_SetInC(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		p, err := m.k.PlaceCode("ftrace_ops_set_func_in_c", kernel.CodeOptions{Core: true}, func(base uint64) (*asm.Program, error) {
			b := asm.NewBuilder()
			b.Func("ftrace_ops_set_func_in_c")
			for _, w := range setInC {
				b.Emit(asm.Word32(w))
			}
			b.EndFunc()
			return b.Assemble(base)
		})
		require.NoError(t, err)
		r := m.recorder()
		ops := []uint64{m.newOps(opsSpec{fn: r.fn}), m.newOps(opsSpec{fn: r.fn})}
		inC := func(ops ...uint64) uint64 {
			set := m.newSet(false, ops...)
			m.put64(set+uint64(m.l.Ops.Func), p.Base)
			return set
		}
		m.enable("dump", inC(ops...))
		m.requireUntouched(m.mustCall("dump"))
		assert.Equal(t, ops, r.take())
		m.disable("dump")

		var plain []uint64
		for n := 1; n <= 10; n++ {
			plain = append(plain, m.newOps(opsSpec{fn: m.c.OpsFuncNop}))
			m.enable("dump", inC(plain...))
			assert.Equal(t, costSet+6+n*(costSetOps+2), m.overhead("dump"), "%d ops", n)
			m.disable("dump")
		}
	})
}
