package interp

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
)

// trapped is a CPU at the beginning of a program, whose x1 and sp are in data.
func trapped(t *testing.T, program ...uint32) *testCPU {
	t.Helper()
	c := newTestCPU(t)
	c.put(t, agreeText, program...)
	*c.Regs() = emu.Regs{PC: agreeText, SP: agreeData + 0x800}
	c.Regs().X[1], c.Regs().X[30] = agreeData+0x100, emu.ReturnGate
	return c
}

func breakpoints(addrs ...uint64) *emu.Traps {
	traps := &emu.Traps{Breakpoints: map[uint64]bool{}}
	for _, a := range addrs {
		traps.Breakpoints[a] = true
	}
	return traps
}

// The instructions are ones that the loop executes in pairs, and a branch.
func TestSetTraps_RunStopsBeforeEachBreakpoint(t *testing.T) {
	program := append(words(asm.Movz(asm.X0, 1, 0), asm.Movk(asm.X0, 1, 16), asm.Mov(asm.X2, asm.X0), asm.Mov(asm.X3, asm.X2)), nop, ret)
	for i := range program {
		for _, decoded := range []bool{false, true} {
			c := trapped(t, program...)
			start := *c.Regs()
			if decoded {
				_, err := c.Run(context.Background(), math.MaxUint64)
				require.NoError(t, err)
				*c.Regs() = start
			}
			count := c.Count()
			c.SetTraps(breakpoints(agreeText + 4*uint64(i)))
			exit, err := c.Run(context.Background(), math.MaxUint64)
			require.NoError(t, err)
			assert.Equal(t, emu.Exit{Reason: emu.ExitBreakpoint, PC: agreeText + 4*uint64(i)}, exit)
			assert.EqualValues(t, i, c.Count()-count)

			again, err := c.Run(context.Background(), math.MaxUint64)
			require.NoError(t, err)
			assert.Equal(t, exit, again, "it stops there again")

			_, err = c.Step()
			require.NoError(t, err)
			assert.EqualValues(t, i+1, c.Count()-count, "a step passes it")
			exit, err = c.Run(context.Background(), math.MaxUint64)
			require.NoError(t, err)
			assert.Equal(t, emu.ExitGate, exit.Reason)
			assert.EqualValues(t, 0x10001, c.Regs().X[3])

			*c.Regs() = start
			c.SetTraps(nil)
			exit, err = c.Run(context.Background(), math.MaxUint64)
			require.NoError(t, err)
			assert.Equal(t, emu.ExitGate, exit.Reason)
		}
	}
}

func TestSetTraps_AnAccessIsStoppedBeforeItIsMade(t *testing.T) {
	const at = agreeData + 0x100
	load, store, access := emu.Watchpoint{Load: true}, emu.Watchpoint{Store: true}, emu.Watchpoint{Load: true, Store: true}
	for _, r := range []struct {
		text string
		word uint32
		kind emu.Watchpoint
		off  uint64 // of the watchpoint from x1
		size uint64
		hit  bool
	}{
		{"str x0, [x1]", 0xf9000020, store, 0, 8, true},
		{"str x0, [x1]", 0xf9000020, store, 7, 1, true},
		{"str x0, [x1]", 0xf9000020, store, 8, 8, false},
		{"str x0, [x1]", 0xf9000020, store, ^uint64(7), 8, false},
		{"str x0, [x1]", 0xf9000020, store, ^uint64(7), 9, true},
		{"str x0, [x1]", 0xf9000020, load, 0, 8, false},
		{"str x0, [x1]", 0xf9000020, access, 0, 8, true},
		{"ldr x0, [x1]", 0xf9400020, load, 4, 1, true},
		{"ldr x0, [x1]", 0xf9400020, store, 4, 1, false},
		{"ldr x0, [x1]", 0xf9400020, access, 4, 1, true},
		{"strb w0, [x1]", 0x39000020, store, 1, 1, false},
		{"strb w0, [x1]", 0x39000020, store, 0, 1, true},
		{"stp x0, x3, [x1]", 0xa9000c20, store, 8, 1, true},
		{"stp x0, x3, [x1]", 0xa9000c20, store, 16, 1, false},
		{"stlr x0, [x1]", 0xc89ffc20, store, 0, 8, true},
		{"ldar x0, [x1]", 0xc8dffc20, load, 0, 8, true},
		{"ldadd x2, x0, [x1]", 0xf8220020, store, 0, 8, true},
		{"ldxr x0, [x1]", 0xc85f7c20, load, 0, 8, true},
	} {
		t.Run(r.text, func(t *testing.T) {
			c := trapped(t, r.word, ret)
			before := *c.Regs()
			memory, err := c.mem.ReadWords(at, 2)
			require.NoError(t, err)
			w := r.kind
			w.Addr, w.Size = at+r.off, r.size
			c.SetTraps(&emu.Traps{Watchpoints: []emu.Watchpoint{w}})
			exit, err := c.Run(context.Background(), math.MaxUint64)
			require.NoError(t, err)
			if !r.hit {
				assert.Equal(t, emu.ExitGate, exit.Reason)
				return
			}
			require.Equal(t, emu.ExitWatchpoint, exit.Reason)
			assert.Equal(t, uint64(agreeText), exit.PC)
			assert.Equal(t, before, *c.Regs())
			after, err := c.mem.ReadWords(at, 2)
			require.NoError(t, err)
			assert.Equal(t, memory, after)

			_, err = c.Step()
			require.NoError(t, err)
			exit, err = c.Run(context.Background(), math.MaxUint64)
			require.NoError(t, err)
			assert.Equal(t, emu.ExitGate, exit.Reason)
		})
	}
}

func TestHalt_EndsALoop(t *testing.T) {
	c := trapped(t, nop, brSelf-1&0x03ffffff|brSelf)
	time.AfterFunc(5*time.Millisecond, c.Halt)
	exit, err := c.Run(t.Context(), math.MaxUint64)
	require.NoError(t, err)
	assert.Equal(t, emu.ExitHalted, exit.Reason)

	c.Halt() // which the next Run sees
	count := c.Count()
	exit, err = c.Run(t.Context(), math.MaxUint64)
	require.NoError(t, err)
	assert.Equal(t, emu.ExitHalted, exit.Reason)
	assert.Equal(t, count, c.Count())
}

func TestRestore_TheSameIsExecutedAgain(t *testing.T) {
	c := trapped(t, append(words(
		asm.Ldxr(asm.X0, asm.X1), asm.Mrs(asm.X4, asm.CNTVCT_EL0), asm.AddImm(asm.X0, asm.X0, 1), asm.CmpImm(asm.X0, 0),
	), 0xc8057c20, ret)...) // stxr w5, x0, [x1]
	step := func(n int) {
		for range n {
			_, err := c.Step()
			require.NoError(t, err)
		}
	}
	value, err := c.mem.Load64(agreeData + 0x100)
	require.NoError(t, err)
	step(1)
	saved := c.Save()
	assert.EqualValues(t, 1, saved.Count())
	step(4)
	after := *c.Regs()
	assert.Zero(t, after.X[5], "the monitor let the store pass")

	require.NoError(t, c.mem.Store64(agreeData+0x100, value))
	c.Restore(saved)
	step(4)
	assert.Equal(t, after, *c.Regs())
	assert.EqualValues(t, 5, c.Count())
}

func TestSystemRegister(t *testing.T) {
	c := trapped(t, nop)
	id := uint16(0xc290) // ESR_EL1
	require.True(t, c.SetSystemRegister(id, 0x12345))
	v, ok := c.SystemRegister(id)
	require.True(t, ok)
	assert.EqualValues(t, 0x12345, v)
	assert.False(t, c.SetSystemRegister(uint16(asm.CNTVCT_EL0), 1))
	_, ok = c.SystemRegister(0)
	assert.False(t, ok)
}

func TestWatchpoint_MayReachTheEndOfTheAddressSpace(t *testing.T) {
	c := trapped(t, 0xf9400020, 0xd65f03c0)
	for _, w := range []emu.Watchpoint{{Addr: math.MaxUint64 - 3, Size: 8, Load: true}, {Size: math.MaxUint64, Store: true}} {
		c.SetTraps(&emu.Traps{Watchpoints: []emu.Watchpoint{w}})
	}
	exit, err := c.Run(context.Background(), math.MaxUint64)
	require.NoError(t, err)
	assert.Equal(t, emu.ExitGate, exit.Reason)
}
