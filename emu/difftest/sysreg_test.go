package difftest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/emu/isa"
)

// What emu/isa says of a register, both engines give.
func TestRegisters_ReadAlike(t *testing.T) {
	for i, newEngine := range []emu.NewEngine{engineA, engineB} {
		if newEngine == nil {
			continue // built without cgo
		}
		s, err := newSide(newEngine)
		require.NoError(t, err)
		read := func(id asm.SysReg, before uint64, first ...uint32) uint64 {
			words := append(first, 0xd5300000|uint32(id)<<5&0xfffe0|1, 0xd65f03c0) // mrs x1; ret
			for i, w := range words {
				require.NoError(t, s.mem.Store32(textBase+4*uint64(i), w))
			}
			s.mem.SyncText(textBase, 16)
			r := s.cpu.Regs()
			*r = emu.Regs{PC: textBase}
			r.X[0], r.X[30] = before, emu.ReturnGate
			exit, err := s.cpu.Run(t.Context(), 10)
			require.NoError(t, err, "engine %d: %v", i, id)
			require.Equal(t, emu.ExitGate, exit.Reason, "engine %d: %v: %v", i, id, exit)
			return r.X[1]
		}
		for _, r := range isa.Registers {
			if r.ID == asm.CNTVCT_EL0 || r.Kind == isa.Live && r.ID != asm.DAIF {
				continue
			}
			assert.Equal(t, r.Value, read(r.ID, 0), "engine %d: %v", i, r.ID)
			if r.Kind == isa.Stored {
				msr := 0xd5100000 | uint32(r.ID)<<5&0xfffe0
				for _, v := range []uint64{^uint64(0), 0, 0x0123_4567_89ab_cdef} {
					assert.Equal(t, v&r.Mask, read(r.ID, v, msr), "engine %d: %v", i, r.ID)
				}
			}
		}
		for op2 := range uint16(8) {
			for crm := range uint16(7) {
				id := isa.ID(3, 0, 0, crm+1, op2)
				want, ok := isa.Lookup(id)
				require.True(t, ok)
				assert.Equal(t, want.Value, read(id, 0), "engine %d: %v", i, id)
			}
		}
		assert.NoError(t, s.close())
	}
}
