package difftest

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"callops/emu"
)

// A difference in one class, and there in one situation of many, is found and
// put down to that class.
func TestDiff_FindsFaults(t *testing.T) {
	const (
		flagV = 1 << 28
		flagC = 1 << 29
	)
	for _, f := range []struct {
		name  string
		class string
		spoil func(w uint32, before, after *emu.Regs, mem *emu.Memory)
	}{
		{"sbcs sets V wrongly for the smallest number", "sbcs", func(w uint32, before, after *emu.Regs, _ *emu.Memory) {
			if rn(w) != 31 && before.X[rn(w)] == 1<<63 {
				after.NZCV ^= flagV
			}
		}},
		{"rmif loses C", "rmif", func(_ uint32, _, after *emu.Regs, _ *emu.Memory) { after.NZCV &^= flagC }},
		{"sdiv by -1 is off", "sdiv", func(w uint32, before, after *emu.Regs, _ *emu.Memory) {
			if rm(w) != 31 && rd(w) != 31 && before.X[rm(w)] == ^uint64(0) {
				after.X[rd(w)]++
			}
		}},
		{"stp writes the second register's low half only", "stp (offset)", func(w uint32, before, _ *emu.Regs, mem *emu.Memory) {
			if rn(w) != 31 && w>>31 == 1 {
				_ = mem.Write(before.X[rn(w)]+signed(w, 15, 7)*8+12, make([]byte, 4))
			}
		}},
		{"ldr forgets writeback to sp", "ldr (pre-indexed)", func(w uint32, before, after *emu.Regs, _ *emu.Memory) {
			if rn(w) == 31 {
				after.SP = before.SP
			}
		}},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			c := &classes[classByName(f.class)]
			bad := func(mem *emu.Memory) (emu.Engine, error) {
				e, err := engineB(mem)
				return &faultyEngine{e, mem, func(w uint32, before, after *emu.Regs) {
					if w&c.mask == c.value {
						f.spoil(w, before, after, mem)
					}
				}}, err
			}
			sh := runShard(t, engineB, bad, newSource(1, 0), 4*enoughCases)
			assert.Contains(t, sh.failures, f.class)
			for class, text := range sh.failures {
				if class != "block" {
					assert.True(t, class == f.class || strings.HasPrefix(class, "any: "), "%s:\n%s", class, text)
				}
			}
		})
	}
}

// faultyEngine spoils what a Run did, by its first instruction.
type faultyEngine struct {
	emu.Engine
	mem   *emu.Memory
	spoil func(w uint32, before, after *emu.Regs)
}

func (e *faultyEngine) NewCPU(id int) (emu.CPU, error) {
	c, err := e.Engine.NewCPU(id)
	return &faultyCPU{c, e}, err
}

type faultyCPU struct {
	emu.CPU
	engine *faultyEngine
}

func (c *faultyCPU) Run(ctx context.Context, budget uint64) (emu.Exit, error) {
	before := *c.Regs()
	exit, err := c.CPU.Run(ctx, budget)
	if w, bad := c.engine.mem.Load32(before.PC); bad == nil && exit.Reason == emu.ExitGate {
		c.engine.spoil(w, &before, c.Regs())
	}
	return exit, err
}
