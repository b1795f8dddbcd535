package emu_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
)

const base = 0xffff_8000_8000_0000

func newMemory(t *testing.T) *emu.Memory {
	t.Helper()
	m := emu.NewMemory()
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// twoRegions has adjacent regions, the second read-only, and nothing around.
func twoRegions(t *testing.T) *emu.Memory {
	t.Helper()
	m := newMemory(t)
	_, err := m.Map("low", base, emu.PageSize, emu.Read|emu.Write)
	require.NoError(t, err)
	_, err = m.Map("high", base+emu.PageSize, emu.PageSize, emu.Read)
	require.NoError(t, err)
	return m
}

func TestMap_RefusesWhatIsNoRegion(t *testing.T) {
	m := twoRegions(t)
	for name, r := range map[string]struct{ base, size uint64 }{
		"base off a page":   {base + 0x10001, emu.PageSize},
		"size off a page":   {base + 0x10000, 100},
		"empty":             {base + 0x10000, 0},
		"wraps":             {^uint64(emu.PageSize - 1), 2 * emu.PageSize},
		"too large":         {0, 1 << 41},
		"the same":          {base, emu.PageSize},
		"overlaps a start":  {base - emu.PageSize, 2 * emu.PageSize},
		"overlaps an end":   {base + emu.PageSize, 2 * emu.PageSize},
		"covers everything": {base - emu.PageSize, 8 * emu.PageSize},
		"reaches the gates": {emu.GateBase - emu.PageSize, 2 * emu.PageSize},
		"among the gates":   {emu.GateBase + emu.GateSize - emu.PageSize, emu.PageSize},
	} {
		_, err := m.Map(name, r.base, r.size, emu.Read)
		assert.ErrorIs(t, err, errno.EINVAL, name)
	}
	assert.Len(t, m.Regions(), 2)
}

func TestMap_NextToTheGates(t *testing.T) {
	m := newMemory(t)
	for _, addr := range []uint64{emu.GateBase - emu.PageSize, emu.GateBase + emu.GateSize} {
		_, err := m.Map("neighbour", addr, emu.PageSize, emu.Read)
		assert.NoError(t, err)
	}
}

func TestMap_LastPageOfTheAddressSpace(t *testing.T) {
	m := newMemory(t)
	last := ^uint64(emu.PageSize - 1)
	_, err := m.Map("last", last, emu.PageSize, emu.Read|emu.Write)
	require.NoError(t, err)
	require.NoError(t, m.Store64(last+emu.PageSize-8, 1))
	_, err = m.Map("before", last-emu.PageSize, emu.PageSize, emu.Read)
	require.NoError(t, err)
	_, err = m.Map("again", last, emu.PageSize, emu.Read)
	require.ErrorIs(t, err, errno.EINVAL)
}

func TestRegion_FindsByAddress(t *testing.T) {
	m := twoRegions(t)
	for addr, want := range map[uint64]string{
		base - 1: "", base: "low", base + emu.PageSize - 1: "low",
		base + emu.PageSize: "high", base + 2*emu.PageSize: "", 0: "", ^uint64(0): "",
	} {
		got := ""
		if r := m.Region(addr); r != nil {
			got = r.Name
		}
		assert.Equal(t, want, got, "%#x", addr)
	}
}

func TestFreeRange_TakesTheLowestGap(t *testing.T) {
	m := newMemory(t)
	for _, page := range []uint64{1, 2, 5} {
		_, err := m.Map("r", base+page*emu.PageSize, emu.PageSize, emu.Read)
		require.NoError(t, err)
	}
	for _, c := range []struct {
		lo, pages, want uint64
		ok              bool
	}{
		{0, 1, 0, true},
		{1, 1, 3, true},
		{1, 2, 3, true},
		{1, 3, 6, true},
		{4, 1, 4, true},
		{0, 5, 6, false}, // ends beyond hi
	} {
		addr, ok := m.FreeRange(base+c.lo*emu.PageSize, base+10*emu.PageSize, c.pages*emu.PageSize)
		assert.Equal(t, c.ok, ok, "%+v", c)
		if ok {
			assert.Equal(t, base+c.want*emu.PageSize, addr, "%+v", c)
		}
	}
}

func TestLoadStore_FaultsAreTyped(t *testing.T) {
	m := twoRegions(t)
	_, err := m.Load64(base + 4)
	assert.Equal(t, &emu.Fault{Addr: base + 4, Size: 8, Access: emu.Load, Kind: emu.Misaligned}, err)
	err = m.Store32(base+2, 0)
	assert.Equal(t, &emu.Fault{Addr: base + 2, Size: 4, Access: emu.Store, Kind: emu.Misaligned}, err)
	err = m.Store64(base-8, 0)
	assert.Equal(t, &emu.Fault{Addr: base - 8, Size: 8, Access: emu.Store, Kind: emu.Unmapped}, err)
	_, err = m.Load32(base + 2*emu.PageSize)
	require.ErrorIs(t, err, errno.EFAULT)
	assert.NotErrorIs(t, err, errno.EINVAL)
}

func TestStore_PermissionsDoNotBindTheHost(t *testing.T) {
	m := twoRegions(t)
	require.NoError(t, m.Store64(base+emu.PageSize, 7))
	v, err := m.Load64(base + emu.PageSize)
	require.NoError(t, err)
	assert.Equal(t, uint64(7), v)
}

func TestReadWrite_SpanRegions(t *testing.T) {
	m := twoRegions(t)
	addr := uint64(base + emu.PageSize - 3)
	require.NoError(t, m.Write(addr, []byte("abcdef")))
	got := make([]byte, 6)
	require.NoError(t, m.Read(addr, got))
	assert.Equal(t, "abcdef", string(got))
}

func TestWrite_NothingWhenPartIsUnmapped(t *testing.T) {
	m := twoRegions(t)
	end := uint64(base + 2*emu.PageSize)
	err := m.Write(end-2, []byte{1, 2, 3})
	assert.Equal(t, &emu.Fault{Addr: end, Size: 1, Access: emu.Store, Kind: emu.Unmapped}, err)
	got := make([]byte, 2)
	require.NoError(t, m.Read(end-2, got))
	assert.Equal(t, []byte{0, 0}, got)
}

func TestReadString_StopsAtNULAndLimit(t *testing.T) {
	m := twoRegions(t)
	addr := uint64(base + emu.PageSize - 4)
	require.NoError(t, m.Write(addr, []byte("across\x00tail")))
	s, err := m.ReadString(addr, 100)
	require.NoError(t, err)
	assert.Equal(t, "across", s)
	s, err = m.ReadString(addr, 3)
	require.NoError(t, err)
	assert.Equal(t, "acr", s)

	end := uint64(base + 2*emu.PageSize)
	require.NoError(t, m.Write(end-2, []byte("xy")))
	_, err = m.ReadString(end-2, 100)
	require.ErrorIs(t, err, errno.EFAULT)
}

func TestReadWords_ReadsLittleEndian(t *testing.T) {
	m := twoRegions(t)
	require.NoError(t, m.Store64(base, 1))
	require.NoError(t, m.Store64(base+8, 2))
	w, err := m.ReadWords(base, 2)
	require.NoError(t, err)
	assert.Equal(t, []uint64{1, 2}, w)
	_, err = m.ReadWords(base-8, 2)
	require.Error(t, err)
}

func TestAtomics_AreNeverTorn(t *testing.T) {
	m := twoRegions(t)
	var wg sync.WaitGroup
	for i := range uint64(2) {
		wg.Go(func() {
			for range 20000 {
				_ = m.Store64(base, i<<32|i)
				_ = m.Store32(base+8, uint32(i*0x01010101))
			}
		})
	}
	wg.Go(func() {
		for range 20000 {
			v, _ := m.Load64(base)
			w, _ := m.Load32(base + 8)
			if v>>32 != v&0xffff_ffff || w>>16 != w&0xffff {
				t.Errorf("torn: %#x %#x", v, w)
				return
			}
		}
	})
	wg.Wait()
}

type textLog struct{ spans []string }

func (l *textLog) TextChanged(addr, size uint64) {
	l.spans = append(l.spans, strings.Repeat("x", int(size)))
}

func TestSyncText_TellsEveryObserver(t *testing.T) {
	m := twoRegions(t)
	var a, b textLog
	m.ObserveText(&a)
	m.ObserveText(&b)
	m.SyncText(base, 4)
	m.IgnoreText(&a)
	m.IgnoreText(&a)
	m.SyncText(base, 8)
	assert.Equal(t, []string{"xxxx"}, a.spans)
	assert.Equal(t, []string{"xxxx", "xxxxxxxx"}, b.spans)
}

func TestMap_WhileOthersRead(t *testing.T) {
	m := twoRegions(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 5000 {
			if _, err := m.Load64(base); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range uint64(100) {
		_, err := m.Map("r", base+(4+2*i)*emu.PageSize, emu.PageSize, emu.Read)
		require.NoError(t, err)
	}
	wg.Wait()
}

func TestStrings_AreForPeople(t *testing.T) {
	assert.Equal(t, "r-x", (emu.Read | emu.Exec).String())
	assert.Equal(t, "-w-", emu.Write.String())
	f := &emu.Fault{Addr: 0x10, Access: emu.Store, Kind: emu.Denied, PC: 0x20}
	assert.Equal(t, "store at 0x10: not permitted, from pc 0x20", f.Error())
	f = &emu.Fault{Addr: 0x10, Access: emu.Fetch, Kind: emu.Unmapped, PC: 0x10}
	assert.Equal(t, "fetch at 0x10: unmapped", f.Error())
	assert.Equal(t, "exception from instruction 0xd4200000 at 0x8",
		emu.Exit{Reason: emu.ExitException, PC: 8, Word: 0xd4200000}.String())
}
