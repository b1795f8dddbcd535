//go:build cgo

package unicorn

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
)

// One CPU writes a word that would end the process, and takes it back, while
// others execute it: it is executed as it was, or refused.
func TestWritable_WordsThatAnotherCPUWritesAreLookedAt(t *testing.T) {
	const text, jit = 0xffff_8000_8000_0000, 0xffff_8000_d000_0000
	const fp16, movz, ret = 0x6ed03e07, 0xd2800020, 0xd65f03c0
	mem := emu.NewMemory()
	_, err := mem.Map("text", text, emu.PageSize, emu.Read|emu.Exec)
	require.NoError(t, err)
	_, err = mem.Map("jit", jit, 2*emu.PageSize, emu.Read|emu.Write|emu.Exec)
	require.NoError(t, err)
	engine, err := New(mem)
	require.NoError(t, err)
	defer func() {
		assert.NoError(t, engine.Close())
		assert.NoError(t, mem.Close())
	}()
	require.NoError(t, mem.Store32(text, 0xb9000001)) // str w1, [x0]
	require.NoError(t, mem.Store32(text+4, ret))
	for page := uint64(jit); page < jit+2*emu.PageSize; page += emu.PageSize {
		require.NoError(t, mem.Store32(page, movz))
		require.NoError(t, mem.Store32(page+4, ret))
	}
	rounds := 300
	if testing.Short() || raceEnabled {
		rounds = 50
	}
	run := func(cpu emu.CPU, pc, x0, x1 uint64) error {
		r := cpu.Regs()
		*r = emu.Regs{PC: pc}
		r.X[0], r.X[1], r.X[30] = x0, x1, emu.ReturnGate
		exit, err := cpu.Run(context.Background(), 100)
		if err == nil && exit.Reason != emu.ExitGate {
			err = errors.New(exit.String())
		}
		return err
	}
	var all sync.WaitGroup
	for id := range 3 {
		cpu, err := engine.NewCPU(id)
		require.NoError(t, err)
		all.Go(func() {
			for i := range rounds {
				page := jit + uint64(i%2)*emu.PageSize
				if id == 0 {
					assert.NoError(t, run(cpu, text, page, fp16))
					assert.NoError(t, run(cpu, text, page, movz))
				} else if err := run(cpu, page, 0, 0); err != nil {
					assert.ErrorIs(t, err, errors.ErrUnsupported)
				}
			}
		})
	}
	all.Wait()
}
