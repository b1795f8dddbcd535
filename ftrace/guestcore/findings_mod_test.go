package guestcore_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/ftrace"
	"callops/ftrace/guestcore"
	"callops/internal/kernels"
	"callops/kernel"
)

// ftrace_filter=FUNC:mod:MODULE on the command line marks the filter that all ops without one share.
func TestFinding_ABootFilterForAModuleChangesTheEmptyHash(t *testing.T) {
	l := newLab(t, kernels.Linux7, &guestcore.Options{Before: func(k *kernel.Kernel) error {
		buf, err := k.Symbol("ftrace_filter_buf")
		if err != nil {
			return err
		}
		return k.Mem.Write(buf.Addr, []byte("none_such:mod:none_such\x00"))
	}})
	empty := l.sym("empty_hash")
	require.Equal(t, empty, l.load(l.sym("global_ops")+uint64(l.k.Layout.Ops.LocalHash+l.k.Layout.OpsHash.Filter)))
	assert.EqualValues(t, 1, l.load(empty+uint64(l.k.Layout.Hash.Flags)), "FTRACE_HASH_FL_MOD, in a const")

	// An ops whose filter is reset traces all functions. Now it traces none.
	o := l.ops("o", 0, "gcd")
	require.NoError(t, l.SetFilter(o, "", &ftrace.FilterOptions{Reset: true}))
	assert.False(t, l.Matches(o, l.ip("gcd")))
	l.register(o)
	assert.Equal(t, 0, l.Count(l.record("gcd")))
}
