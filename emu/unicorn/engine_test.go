//go:build cgo

package unicorn

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
)

func TestRun_RegionBeyond48BitsIsEINVAL(t *testing.T) {
	for _, base := range []uint64{1 << 48, 0xdead_0000_0000_0000, 0xfffe_0000_0000_0000} {
		mem := emu.NewMemory()
		_, err := mem.Map("far", base, emu.PageSize, emu.Read)
		require.NoError(t, err)
		e, err := New(mem)
		require.NoError(t, err)
		cpu, err := e.NewCPU(0)
		require.NoError(t, err)
		_, err = cpu.Run(context.Background(), 1)
		require.ErrorIs(t, err, errno.EINVAL, "%#x", base)
		require.NoError(t, e.Close())
		require.NoError(t, mem.Close())
	}
}

// Code can leave EL1, or change what an address means. What the CPU runs
// next must not suffer.
func TestRun_CPUIsUsableAfterPrivilegedCode(t *testing.T) {
	const text, stack = 0xffff_8000_8000_0000, 0xffff_8000_9000_0000
	// ELR_EL1 = X0, SPSR_EL1 = X1, ERET
	eret := []uint32{0xd5184020, 0xd5184001, 0xd69f03e0}
	tests := []struct {
		name  string
		words []uint32
		x1    uint64
	}{
		{"eret to EL0", eret, 0},
		{"eret to EL1 with SP_EL0", eret, 4},
		{"msr spsel, #0", []uint32{0xd50040bf, 0xd61f0000}, 0},                 // br x0
		{"msr ttbr1_el1, x1", []uint32{0xd5182021, 0xd503209f, 0xd61f0000}, 0}, // and br x0
		{"msr sctlr_el1, x1", []uint32{0xd5181001, 0xd5033fdf, 0xd61f0000}, 0x30d00800 | 1<<25},
		{"msr tcr_el1, x1", []uint32{0xd5182041, 0xd5033fdf, 0xd61f0000}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mem := emu.NewMemory()
			defer mem.Close()
			_, err := mem.Map("text", text, emu.PageSize, emu.Read|emu.Exec)
			require.NoError(t, err)
			_, err = mem.Map("stack", stack, emu.PageSize, emu.Read|emu.Write)
			require.NoError(t, err)
			// str x0, [sp, #-16]!; ldr x2, [sp], #16; ret
			for i, w := range append([]uint32{0xf81f0fe0, 0xf84107e2, 0xd65f03c0}, tt.words...) {
				require.NoError(t, mem.Store32(text+4*uint64(i), w))
			}
			e, err := New(mem)
			require.NoError(t, err)
			defer e.Close()
			cpu, err := e.NewCPU(0)
			require.NoError(t, err)
			regs := cpu.Regs()
			regs.PC, regs.X[0], regs.X[1], regs.SP = text+12, emu.ReturnGate, tt.x1, stack+emu.PageSize
			_, err = cpu.Run(context.Background(), 1000)
			require.NoError(t, err)
			count := cpu.Count()

			for i := range uint64(3) {
				*regs = emu.Regs{PC: text, SP: stack + emu.PageSize}
				regs.X[0], regs.X[30] = 100+i, emu.ReturnGate
				exit, err := cpu.Run(context.Background(), 1000)
				require.NoError(t, err)
				require.Equal(t, emu.ExitGate, exit.Reason, exit)
				assert.Equal(t, 100+i, regs.X[2])
				count += 3
				assert.Equal(t, count, cpu.Count())
			}
		})
	}
}

func TestEngine_AbandonedOneIsFreed(t *testing.T) {
	freed := make(chan struct{})
	func() {
		mem := emu.NewMemory()
		e, err := New(mem)
		require.NoError(t, err)
		_, err = e.NewCPU(0)
		require.NoError(t, err)
		runtime.AddCleanup(e.(*Engine), func(c chan struct{}) { close(c) }, freed)
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		select {
		case <-freed:
			return true
		default:
			return false
		}
	}, 10*time.Second, time.Millisecond)
}

func TestChanges_NeighboursBecomeOneSpan(t *testing.T) {
	var c changes
	for i := range uint64(1000) {
		c.add(0x1000+4*i, 4)
	}
	c.add(0x9000, 4)
	c.add(0xa000, 0)
	assert.Equal(t, []span{{0x1000, 4000}, {0x9000, 4}}, dropped(t, &c, nil))
	assert.Empty(t, dropped(t, &c, nil), "once")
}

func TestChanges_ManySpansDropAllText(t *testing.T) {
	regions := []*emu.Region{
		{Base: 0x1000, Size: 0x2000, Perm: emu.Read | emu.Exec},
		{Base: 0x8000, Size: 0x1000, Perm: emu.Read | emu.Write},
	}
	var c changes
	for i := range uint64(maxSpans + 1) {
		c.add(0x1000+8*i, 4)
	}
	assert.Equal(t, []span{{0x1000, 0x2000}}, dropped(t, &c, regions))
	assert.Empty(t, dropped(t, &c, regions), "once")
}

func dropped(t *testing.T, c *changes, regions []*emu.Region) (spans []span) {
	t.Helper()
	require.NoError(t, c.drop(regions, func(addr, size uint64) error {
		spans = append(spans, span{addr, size})
		return nil
	}))
	return spans
}
