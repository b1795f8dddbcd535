package lockstep_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/emu/lockstep"
)

// Pages of a file are seen by both engines though nothing has touched them. The
// region is so large that untouched pages of others are passed over.
func TestEngine_RunsWhatIsMappedFromAFile(t *testing.T) {
	const size, at = 1 << 20, 0x81000
	program := asm.NewBuilder()
	program.Emit(asm.Movz(asm.X0, 42, 0), asm.Ret())
	code, err := program.Assemble(textBase + at)
	require.NoError(t, err)
	b := make([]byte, size)
	copy(b[at:], code.Code)
	path := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()

	mem := emu.NewMemory()
	defer mem.Close()
	_, err = mem.Map("text", textBase, size, emu.Read|emu.Exec)
	require.NoError(t, err)
	require.NoError(t, mem.MapFile(textBase, f, 0, size))
	e, err := lockstep.Of(reference, other)(mem)
	require.NoError(t, err)
	defer e.Close()
	cpu, err := e.NewCPU(0)
	require.NoError(t, err)
	_, err = mem.Map("stack", dataBase, emu.PageSize, emu.Read|emu.Write)
	require.NoError(t, err)
	cpu.Regs().SP = dataBase + emu.PageSize
	caller := emu.Caller{Gates: emu.NewGates()}
	res, err := caller.Call(t.Context(), cpu, nil, textBase+at)
	require.NoError(t, err)
	assert.EqualValues(t, 42, res.X0)
}
