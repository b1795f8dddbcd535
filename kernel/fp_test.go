package kernel

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/internal/kernels"
	"callops/kernelimage"
)

// fpWords use FP and SIMD registers, each in another way.
var fpWords = map[string]uint32{
	"movi d0, #0x0":     0x2f00e400,
	"fadd d0, d0, d1":   0x1e612800,
	"stp q0, q1, [x0]":  0xad000400,
	"ldr d0, [x0]":      0xfd400000,
	"fmov x0, d0":       0x9e660000,
	"ld1 {v0.16b}, [0]": 0x4c407000,
}

func TestFP_TheErrorSaysHowToBuild(t *testing.T) {
	for name, img := range map[string]*kernelimage.Image{"builtin": builtin(t, nil), "elf": workload(t, "bug.elf")} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, boot bootFunc) {
				m := boot(t, img)
				for insn, word := range fpWords {
					name := "half" + insn[:3]
					_, err := m.PlaceCode(name, CodeOptions{}, func(base uint64) (*asm.Program, error) {
						b := asm.NewBuilder()
						b.Func(name)
						b.Emit(asm.Nop(), asm.Word32(word), asm.Ret())
						b.EndFunc()
						return b.Assemble(base)
					})
					require.NoError(t, err)
					err = m.fails(name, m.buf())
					var fp *FPError
					require.ErrorAs(t, err, &fp, insn)
					assert.Equal(t, name, fp.Func)
					assert.ErrorContains(t, err, "stopped in "+name+"+0x4/0xc ["+name+"]: "+name+" uses FP or SIMD registers (")
					assert.ErrorContains(t, err, "build it with -mgeneral-regs-only")
					assert.ErrorIs(t, err, errors.ErrUnsupported)
				}
			})
		})
	}
}

func TestFP_OtherUnsupportedInstructionsAreNone(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, builtin(t, nil))
		_, err := m.PlaceCode("leave", CodeOptions{}, func(base uint64) (*asm.Program, error) {
			b := asm.NewBuilder()
			b.Func("leave")
			b.Emit(asm.Word32(0xd69f03e0)) // eret
			b.EndFunc()
			return b.Assemble(base)
		})
		require.NoError(t, err)
		err = m.fails("leave")
		var fp *FPError
		assert.NotErrorAs(t, err, &fp)
		assert.ErrorIs(t, err, errors.ErrUnsupported)
	})
}

func TestLinux_ItsFPCodeIsRefused(t *testing.T) {
	for series, fn := range map[string]string{kernels.Linux7: "__aes_ce_sub", kernels.Linux612: "fpsimd_save_state", kernels.Linux61: "fpsimd_save_state"} {
		t.Run(series, func(t *testing.T) {
			img, _ := linux(t, series)
			eachEngine(t, func(t *testing.T, boot bootFunc) {
				m := boot(t, img)
				err := m.fails(fn, m.buf())
				assert.ErrorContains(t, err, ": "+fn+" uses FP or SIMD registers (")
				assert.ErrorContains(t, err, "), which callops does not have: it runs no FP or SIMD code of a kernel")
			})
		})
	}
}

func (m *machine) buf() uint64 { m.t.Helper(); return m.bytes(make([]byte, 1024)) }
