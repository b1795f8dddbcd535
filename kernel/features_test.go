package kernel

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/emu/engines"
	"callops/emu/isa"
	"callops/emu/lockstep"
)

// What a kernel's cpufeature code reads is what Features say, on every engine and for each CPU.
func TestBoot_IDRegistersTellOfFeatures(t *testing.T) {
	pfr0, isar1 := isa.ID(3, 0, 0, 4, 0), isa.ID(3, 0, 0, 6, 1)
	list := engines.All()
	boots := map[string]emu.NewEngine{"both": lockstep.Of(list[0].New, list[len(list)-1].New)}
	for _, e := range list {
		boots[e.Name] = e.New
	}
	for name, engine := range boots {
		t.Run(name, func(t *testing.T) {
			for _, f := range []isa.Features{{}, {FP: true}, {SVE: true, PAuth: true}} {
				k, err := Boot(builtin(t, nil), engine, &BootOptions{CPUs: 2, Features: f})
				require.NoError(t, err)
				p, err := k.PlaceCode("ids", CodeOptions{}, func(base uint64) (*asm.Program, error) {
					b := asm.NewBuilder()
					for _, id := range []asm.SysReg{pfr0, isar1} {
						b.Func(id.String())
						b.Emit(asm.Mrs(asm.X0, id), asm.Ret())
					}
					b.EndFunc()
					return b.Assemble(base)
				})
				require.NoError(t, err)
				want := f.Registers()
				for cpu := range k.CPUs {
					for i, id := range []asm.SysReg{pfr0, isar1} {
						res, err := k.Call(t.Context(), cpu, nil, p.Base+8*uint64(i))
						require.NoError(t, err)
						assert.Equal(t, want[id], res.X0, "%+v: %v", f, id)
						assert.EqualValues(t, 2, res.Count)
					}
				}
				require.NoError(t, k.Close())
			}
		})
	}
	assert.EqualValues(t, 0xff2222, isa.Features{}.Registers()[pfr0], "neither FP nor Advanced SIMD")
}
