package emu_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
)

func TestAlias_SameBytesAtSeveralAddresses(t *testing.T) {
	m := newMemory(t)
	ram := make([]byte, 4*emu.PageSize)
	for _, at := range []uint64{base, base + 0x100000} {
		_, err := m.Alias("ram", at, ram, emu.Read|emu.Write)
		require.NoError(t, err)
	}
	require.NoError(t, m.Store64(base+emu.PageSize, 42))
	v, err := m.Load64(base + 0x100000 + emu.PageSize)
	require.NoError(t, err)
	assert.EqualValues(t, 42, v)
	_, err = m.Alias("again", base+emu.PageSize, ram, emu.Read)
	require.ErrorIs(t, err, errno.EINVAL, "it overlaps")
	_, err = m.Alias("odd", base+0x200000, ram[:100], emu.Read)
	require.ErrorIs(t, err, errno.EINVAL, "it is no whole page")
}

func TestUnmap_KeepsWhatItDoesNotCover(t *testing.T) {
	const pages = 8
	tests := []struct {
		name       string
		start, end int // pages unmapped
	}{
		{"the middle", 3, 5}, {"the start", 0, 2}, {"the end", 6, 8}, {"all", 0, 8}, {"more on both sides", -1, 9}, {"nothing", 10, 12},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory(t)
			ram := make([]byte, pages*emu.PageSize)
			_, err := m.Alias("ram", base, ram, emu.Read|emu.Write)
			require.NoError(t, err)
			at := func(page int) uint64 { return base + uint64(page*emu.PageSize) }
			require.NoError(t, m.Unmap(at(tt.start), uint64(tt.end-tt.start)*emu.PageSize))
			for page := range pages {
				err := m.Store64(at(page), uint64(page)+1)
				if page >= tt.start && page < tt.end {
					require.ErrorIs(t, err, errno.EFAULT, page)
					continue
				}
				require.NoError(t, err, page)
				assert.EqualValues(t, page+1, ram[page*emu.PageSize], page)
			}
		})
	}
}

func TestUnmap_RefusesWhatIsNoAlias(t *testing.T) {
	m := twoRegions(t)
	require.ErrorIs(t, m.Unmap(base, emu.PageSize), errno.EINVAL)
	require.NoError(t, m.Store64(base, 1), "nothing was unmapped")
	require.ErrorIs(t, m.Unmap(base+1, emu.PageSize), errno.EINVAL)
	require.ErrorIs(t, m.Unmap(base, 0), errno.EINVAL)
}

func TestIsUser_WantsAllOfTheAccess(t *testing.T) {
	m := newMemory(t)
	ram := make([]byte, 2*emu.PageSize)
	_, err := m.Alias("user", base, ram[:emu.PageSize], emu.Read|emu.User)
	require.NoError(t, err)
	_, err = m.Alias("kernel", base+emu.PageSize, ram[emu.PageSize:], emu.Read)
	require.NoError(t, err)
	assert.True(t, m.IsUser(base+emu.PageSize-8, 8))
	assert.False(t, m.IsUser(base+emu.PageSize-4, 8))
	assert.False(t, m.IsUser(base+emu.PageSize, 8))
	assert.False(t, m.IsUser(base-8, 8))
}
