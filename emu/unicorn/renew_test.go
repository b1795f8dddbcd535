//go:build cgo

package unicorn

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
)

const (
	nop  = 0xd503201f
	ldxr = 0xc85f7c20 // ldxr x0, [x1]
	stxr = 0xc8027c20 // stxr w2, x0, [x1]
	fmov = 0x1e604000 // fmov d0, d0: refused
)

// Stepping translates an instruction anew each time. 2.0.1 does not survive a
// full buffer, so the library is renewed long before.
func TestStep_ForLongNeverFillsTheLibrarysBuffer(t *testing.T) {
	h := newHostile(t, 0)
	h.fill(func() uint32 { return nop })
	c := h.cpu.(*CPU)
	first, renewed := c.state.uc, 0
	for i := range uint64(200_000) {
		c.regs.PC = hostileText + 4*(i%(hostileSize/4))
		before := c.state.v.translated
		_, err := c.Step()
		require.NoError(t, err)
		if c.state.v.translated < before {
			renewed++
		}
		require.LessOrEqual(t, uint64(c.state.v.translated), uint64(maxTranslated+1<<20))
	}
	assert.EqualValues(t, 200_000, c.Count())
	assert.NotZero(t, renewed)
	assert.NotSame(t, first, c.state.uc)
}

// Whatever the CPU had is there when the library is renewed: registers, the
// exclusive monitor, what may be executed, and what may not.
func TestStep_RenewingTheLibraryChangesNothing(t *testing.T) {
	h := newHostile(t, 0)
	c := h.cpu.(*CPU)
	for i, w := range []uint32{ldxr, nop, stxr, fmov, nop} {
		binary.LittleEndian.PutUint32(h.text[4*i:], w)
	}
	h.mem.SyncText(hostileText, 20)
	c.regs = emu.Regs{PC: hostileText, SP: hostileData, NZCV: 0x60000000, TPIDREL1: 7, SPEL0: 8}
	c.regs.X[1], c.regs.X[2], c.regs.X[28] = hostileData, 9, 28
	step := func() error {
		c.state.v.translated = maxTranslated + 1
		was := c.state.uc
		exit, err := c.Step()
		require.NotSame(t, was, c.state.uc)
		if err == nil {
			require.Equal(t, emu.ExitBudget, exit.Reason, exit)
		}
		return err
	}
	for range 3 {
		require.NoError(t, step())
	}
	assert.Zero(t, c.regs.X[2], "the exclusive store")
	assert.Equal(t, uint64(hostileText+12), c.regs.PC)
	assert.EqualValues(t, 28, c.regs.X[28])
	assert.Equal(t, [3]uint64{0x60000000, 7, 8}, [3]uint64{uint64(c.regs.NZCV), c.regs.TPIDREL1, c.regs.SPEL0})
	var unsupported *emu.UnsupportedError
	require.ErrorAs(t, step(), &unsupported)

	binary.LittleEndian.PutUint32(h.text[12:], nop)
	h.mem.SyncText(hostileText+12, 4)
	require.NoError(t, step())
	require.NoError(t, step())
	assert.EqualValues(t, 5, c.Count())
	assert.Equal(t, []uint64{hostileText, hostileText + 4, hostileText + 8, hostileText + 12, hostileText + 16}, c.Recent(9))
	h.probe()
}

// What is counted is never less than what the library takes, with the
// instructions that are translated to most code.
func TestRun_TranslatedCodeTakesNoMoreThanIsCounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc/self/statm")
	}
	for _, tt := range []struct {
		name string
		word uint32
	}{
		{"nop", nop},
		{"casp x4, x5, x6, x7, [x1]", 0x48247c26},
		{"stxp w2, x4, x5, [x1]", 0xc8221424},
		{"ldp x4, x5, [x1]", 0xa9401424},
		{"mrs x4, cntvct_el0", 0xd53be044},
		{"mrs x4, tpidr_el1", 0xd538d084},
	} {
		for _, budget := range []uint64{1, 64} {
			t.Run(fmt.Sprint(tt.name, "/", budget), func(t *testing.T) {
				h := newHostile(t, 0)
				h.fill(func() uint32 { return tt.word })
				c := h.cpu.(*CPU)
				run := func(n uint64) {
					for i := range n {
						c.regs.PC = hostileText + 4*64*(i%128)
						c.regs.X[1] = hostileData
						_, err := c.Run(t.Context(), budget)
						require.NoError(t, err)
					}
				}
				run(128)
				rss, counted := resident(t), c.state.v.translated
				run(12_000 / budget)
				took, bound := resident(t)-rss, int(c.state.v.translated-counted)
				assert.Less(t, took, bound)
				t.Logf("%d KiB, counted as %d KiB", took>>10, bound>>10)
			})
		}
	}
}

// resident returns the bytes of memory that the process has.
func resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	var size, pages int
	_, err = fmt.Sscan(string(b), &size, &pages)
	require.NoError(t, err)
	return pages * os.Getpagesize()
}

// Pages full of words that the library may not be given, between which code goes back and forth,
// as a C function and the vector code beside it: they are translated a few times, not at each call.
func TestText_PagesThatAreNeededAgainStayOpen(t *testing.T) {
	const text, pages, ret = hostileText, 4, 0xd65f03c0
	mem := emu.NewMemory()
	_, err := mem.Map("text", text, pages*emu.PageSize, emu.Read|emu.Exec)
	require.NoError(t, err)
	for page := uint64(text); page < text+pages*emu.PageSize; page += emu.PageSize {
		require.NoError(t, mem.Store32(page, ret))
		for i := range uint64(2 * fewExits) {
			require.NoError(t, mem.Store32(page+64+4*i, fmov))
		}
	}
	engine, err := New(mem)
	require.NoError(t, err)
	defer func() {
		assert.NoError(t, engine.Close())
		assert.NoError(t, mem.Close())
	}()
	cpu, err := engine.NewCPU(0)
	require.NoError(t, err)
	c := cpu.(*CPU)
	round := func() {
		for page := uint64(text); page < text+pages*emu.PageSize; page += emu.PageSize {
			c.regs = emu.Regs{PC: page}
			c.regs.X[30] = emu.ReturnGate
			exit, err := c.Run(t.Context(), 100)
			require.NoError(t, err)
			require.Equal(t, emu.ExitGate, exit.Reason)
		}
	}
	round()
	assert.Len(t, c.state.text.open, 1, "few exits, as long as that will do")
	for range 4 {
		round()
	}
	assert.Len(t, c.state.text.open, pages)
}
