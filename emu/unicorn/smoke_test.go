//go:build cgo

package unicorn

import (
	"context"
	"testing"

	"callops/emu"
	"callops/asm"
	"github.com/stretchr/testify/require"
)

func TestSmoke(t *testing.T) {
	mem := emu.NewMemory()
	_, err := mem.Map("text", 0xffff800080000000, 0x10000, emu.Read|emu.Exec)
	require.NoError(t, err)
	_, err = mem.Map("data", 0xffff800090000000, 0x10000, emu.Read|emu.Write)
	require.NoError(t, err)
	b := asm.NewBuilder()
	b.Emit(asm.AddImm(asm.X0, asm.X0, 1), asm.AddImm(asm.X0, asm.X0, 1), asm.Ldr(asm.X1, asm.Off(asm.X2, 8)), asm.Mrs(asm.X3, asm.CNTVCT_EL0), asm.Ret())
	p, err := b.Assemble(0xffff800080000000)
	require.NoError(t, err)
	require.NoError(t, mem.Write(p.Base, p.Code))
	e, err := New(mem)
	require.NoError(t, err)
	c, err := e.NewCPU(0)
	require.NoError(t, err)
	r := c.Regs()
	for _, x2 := range []uint64{0xffff800090000000, 0, 0xdead000000000000, 0xffff800090000000-8, 0xffff800090010000-12} {
		*r = emu.Regs{PC: p.Base}
		r.X[30] = emu.ReturnGate
		r.X[2] = x2
		before := c.Count()
		exit, err := c.Run(context.Background(), 1000)
		t.Log(exit, err, c.Count()-before, r.X[:4], c.Recent(8))
	}
	for i := uint64(0); i < 8; i++ {
		*r = emu.Regs{PC: p.Base}
		r.X[30] = emu.ReturnGate
		r.X[2] = 0xffff800090000000
		before := c.Count()
		exit, err := c.Run(context.Background(), i)
		t.Log(i, exit, err, c.Count()-before, r.X[:4], c.Recent(8))
	}
	require.NoError(t, e.Close())
	require.NoError(t, mem.Close())
}
