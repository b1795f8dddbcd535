package guestcore_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/internal/kernels"
)

// The kernel's own fgraph calls entryfunc and retfunc for each call, and none once the user has left.
func TestGraph_OfTheKernelsOwn(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			l := newLab(t, series, nil)
			var entries, returns []uint64
			gate := func(name string, to *[]uint64) uint64 {
				addr, err := l.k.Gates.Add(name, func(_ emu.CPU, args [8]uint64) (uint64, error) {
					var func_ [8]byte // of a packed structure
					err := l.k.Mem.Read(args[0], func_[:])
					*to = append(*to, binary.LittleEndian.Uint64(func_[:]))
					return 1, err
				})
				require.NoError(t, err)
				return addr
			}
			g, err := l.NewGraphOps("g", ftrace.GraphHandlers{Entry: gate("entry", &entries), Return: gate("return", &returns)})
			require.NoError(t, err)
			require.NoError(t, l.SetFilterIP(g.Ops, l.ip("int_sqrt"), nil))
			require.NoError(t, l.RegisterGraph(g))
			require.ErrorIs(t, l.FreeGraphOps(g), errno.EBUSY)
			assert.EqualValues(t, 9, l.call("int_sqrt", 81))
			assert.Equal(t, []uint64{l.ip("int_sqrt")}, entries)
			assert.Equal(t, []uint64{l.ip("int_sqrt")}, returns)

			require.NoError(t, l.UnregisterGraph(g))
			l.call("int_sqrt", 81)
			assert.Len(t, entries, 1)
			require.NoError(t, l.FreeGraphOps(g))
		})
	}
}

func TestGraph_OfOneUserIsRefused(t *testing.T) {
	l := newLab(t, kernels.Linux61, nil)
	_, err := l.NewGraphOps("g", ftrace.GraphHandlers{Entry: 1, Return: 1})
	require.ErrorIs(t, err, errno.EOPNOTSUPP)
}
