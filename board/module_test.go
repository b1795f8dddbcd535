package board

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"callops/internal/errno"
	"callops/internal/kernels"
)

func TestModule_LoadsByTheKernelsOwnCode(t *testing.T) {
	m, ctx := traced(t), t.Context()
	require.NoError(t, m.Mount(ctx, "proc", "/proc"))
	packed, err := os.Open(kernels.Module(t, kernels.Linux612, "vsock"))
	require.NoError(t, err)
	defer func() { assert.NoError(t, packed.Close()) }()
	unpacked, err := xz.NewReader(packed)
	require.NoError(t, err)
	file, err := io.ReadAll(unpacked)
	require.NoError(t, err)
	require.NoError(t, m.LoadModule(ctx, file, ""))
	list, err := m.ReadFile(ctx, "/proc/modules")
	require.NoError(t, err)
	assert.Contains(t, string(list), "vsock ")
	require.NoError(t, m.WriteFile(ctx, tracing+"/set_ftrace_filter", os.O_TRUNC, "*:mod:vsock\n"))
	filter, err := m.ReadFile(ctx, tracing+"/set_ftrace_filter")
	require.NoError(t, err)
	assert.Contains(t, string(filter), "vsock_addr_init [vsock]\n")
	sym, err := m.symbols.Lookup("vsock_addr_init")
	require.NoError(t, err)
	assert.Regexp(t, `^vsock_addr_init\+0x4/0x[0-9a-f]+ \[vsock\]$`, m.where(sym.Addr+4))
	require.ErrorIs(t, m.LoadModule(ctx, file, ""), errno.EEXIST)
	require.NoError(t, m.WriteFile(ctx, tracing+"/set_ftrace_filter", os.O_TRUNC, "\n"))
	require.NoError(t, m.UnloadModule(ctx, "vsock"))
	require.ErrorIs(t, m.UnloadModule(ctx, "vsock"), errno.ENOENT)
	_, err = m.symbols.Lookup("vsock_addr_init")
	require.ErrorIs(t, err, errno.ENOENT)
	require.ErrorIs(t, m.LoadModule(ctx, bytes.Repeat([]byte{1}, 1000), ""), errno.ENOEXEC)
}
