package ftrace

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/emu/interp"
	"callops/internal/kernels"
	"callops/kernel"
	"callops/kernelimage"
	"callops/trampolines"
)

// What the kernel's own arch_stack_walk shows from inside of code that a site calls, or jumps to.
// The code makes the frame records that it can: one that is called those of a BPF trampoline, for the
// traced function and for itself; one that is jumped to knows the traced function only where it has
// the site's address in itself.
func TestDirect_StackTraces(t *testing.T) {
	img, err := kernelimage.Open(t.Context(), kernels.Path(t, kernels.Linux612), nil)
	require.NoError(t, err)
	defer img.Close()
	for _, tt := range []struct {
		name    string
		design  trampolines.Direct
		knows   bool
		records int
		want    string
	}{
		{"called", trampolines.DirectOps, false, 2, "direct_call, TRACED, outer"},
		{"jumped to", trampolines.DirectJump, false, 1, "direct_call, outer"},
		{"jumped to, with the site's address", trampolines.DirectJump, true, 2, "direct_call, TRACED, outer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := kernel.Boot(img, interp.New, nil)
			require.NoError(t, err)
			defer k.Close()
			r, err := New(k, &Options{Direct: tt.design})
			require.NoError(t, err)
			fn := img.EmptyFuncs(1)[0]
			ip := r.Location(fn.Addr)
			save, err := k.Func("stack_trace_save")
			require.NoError(t, err)
			const depth = 8
			store, err := k.AllocModuleData("stack", "stack_store", 8*depth, emu.Read|emu.Write)
			require.NoError(t, err)

			p, err := k.PlaceCode("stack", kernel.CodeOptions{}, func(base uint64) (*asm.Program, error) {
				b := asm.NewBuilder()
				b.Func("direct_call")
				b.Emit(asm.Bti(asm.BTIC))
				record := func(lr asm.Reg) {
					b.Emit(asm.Stp(asm.FP, lr, asm.Pre(asm.SP, -16)), asm.Mov(asm.FP, asm.SP))
				}
				switch {
				case tt.design == trampolines.DirectOps:
					record(asm.X9)
					record(asm.LR)
				case tt.knows:
					record(asm.LR)
					b.Emit(asm.MovImm(asm.X10, ip+4)...)
					record(asm.X10)
				default:
					record(asm.LR)
				}
				b.Emit(asm.MovImm(asm.X0, store)...)
				b.Emit(asm.MovImm(asm.X1, depth)...)
				b.Emit(asm.Mov(asm.X2, asm.XZR))
				b.Emit(asm.MovImm(asm.X16, save)...)
				b.Emit(asm.Blr(asm.X16))
				resume := asm.X10
				if tt.records == 2 {
					b.Emit(asm.Ldp(asm.FP, resume, asm.Post(asm.SP, 16)))
				} else {
					b.Emit(asm.MovImm(resume, ip+4)...)
				}
				b.Emit(asm.Ldp(asm.FP, asm.LR, asm.Post(asm.SP, 16)), asm.RetReg(resume))
				b.EndFunc()
				b.Func("outer")
				// What a task has at the top of its stack is a pt_regs, whose record ends the walk.
				b.Emit(asm.Stp(asm.FP, asm.LR, asm.Pre(asm.SP, -480)), asm.Mov(asm.FP, asm.SP))
				b.Emit(asm.MovImm(asm.X16, fn.Addr)...)
				b.Emit(asm.Blr(asm.X16), asm.Ldp(asm.FP, asm.LR, asm.Post(asm.SP, 480)), asm.Ret())
				b.EndFunc()
				return b.Assemble(base)
			})
			require.NoError(t, err)
			o, err := r.NewDirectOps("d")
			require.NoError(t, err)
			require.NoError(t, r.SetFilterIP(o, ip, nil))
			direct, _ := p.Addr("direct_call")
			outer, _ := p.Addr("outer")
			require.NoError(t, r.RegisterDirect(o, direct))
			require.NoError(t, r.Validate())
			_, err = k.Call(t.Context(), 0, nil, outer)
			require.NoError(t, err)

			words, err := k.Mem.ReadWords(store, depth)
			require.NoError(t, err)
			var names []string
			for _, pc := range words {
				sym, _, ok := k.Symbols.At(pc)
				if !ok {
					break // what called outer is no function
				}
				names = append(names, strings.Replace(sym.Name, fn.Name, "TRACED", 1))
			}
			assert.Equal(t, tt.want, strings.Join(names, ", "))
		})
	}
}
