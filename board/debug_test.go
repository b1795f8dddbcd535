package board

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
	"callops/trace"
)

func TestProfile_CountsACall(t *testing.T) {
	m, ctx := booted(t), t.Context()
	before := m.Count()
	_, err := m.Call(ctx, "gcd", 84, 36)
	require.NoError(t, err)
	plain := m.Count() - before

	before = m.Count()
	p, err := m.Profile(func() error {
		_, err := m.Call(ctx, "gcd", 84, 36)
		return err
	})
	require.NoError(t, err)
	assert.Equal(t, plain, m.Count()-before, "it executes the same")
	list := p.Functions()
	require.Len(t, list, 1)
	assert.Equal(t, "gcd", list[0].Name)
	assert.Equal(t, plain, list[0].Count)
}

func TestProfile_OfWhatSleeps(t *testing.T) {
	m, ctx := booted(t), t.Context()
	counts := make(map[string]uint64)
	before := m.Count()
	p, err := m.Profile(func() error {
		_, again := m.Profile(func() error { return nil })
		assert.ErrorIs(t, again, errno.EBUSY)
		_, err := m.Call(ctx, "msleep", 1)
		return err
	})
	require.NoError(t, err)
	total := uint64(0)
	for _, f := range p.Functions() {
		counts[f.Name] += f.Count
		total += f.Count
	}
	assert.Equal(t, m.Count()-before, total)
	assert.NotZero(t, counts["cpu_switch_to"])
	assert.NotZero(t, counts["msleep"])
}

func TestTraceInsns_WritesEach(t *testing.T) {
	m, ctx := booted(t), t.Context()
	var out strings.Builder
	require.NoError(t, m.TraceInsns(trace.NewInsnText(&out, 0), func() error {
		_, err := m.Call(ctx, "gcd", 84, 36)
		return err
	}))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	assert.Regexp(t, `^\[000\] +1  ffff8000[0-9a-f]{8}  gcd +(bti|mov x9, x30)`, lines[1])
	before := m.Count()
	_, err := m.Call(ctx, "gcd", 84, 36)
	require.NoError(t, err)
	assert.EqualValues(t, len(lines)-1, m.Count()-before)
}

func TestBreak_StopsAndGoesOn(t *testing.T) {
	m, ctx := traced(t), t.Context()
	stops := 0
	require.NoError(t, m.Break("vfs_open", func(s *Stop) error {
		if stops++; stops == 1 {
			assert.Regexp(t, `^vfs_open\+0x0/`, s.Callers[0])
			assert.Contains(t, strings.Join(s.Callers, "\n"), "kernel_execve")
			assert.Nil(t, s.Fault)
		}
		return nil
	}))
	_, err := m.ReadFile(ctx, tracing+"/tracing_on")
	require.NoError(t, err)
	assert.Equal(t, 1, stops)
	require.NoError(t, m.SetTraps(nil, nil))
	_, err = m.ReadFile(ctx, tracing+"/tracing_on")
	require.NoError(t, err)
	assert.Equal(t, 1, stops)
	require.ErrorIs(t, m.Break("no_such_function", func(*Stop) error { return nil }), errno.ENOENT)
	require.ErrorIs(t, m.Break("vfs_open", nil), errno.EINVAL)
}

func TestWatchpoint_StopsBeforeTheAccess(t *testing.T) {
	m, ctx := booted(t), t.Context()
	data, err := m.Alloc(ctx, 64)
	require.NoError(t, err)
	stop := errors.New("the test says so")
	require.NoError(t, m.SetTraps(&emu.Traps{Watchpoints: []emu.Watchpoint{{Addr: data + 8, Size: 8, Store: true}}}, func(s *Stop) error {
		assert.Equal(t, emu.Store, s.Fault.Access)
		assert.Contains(t, s.Callers[0], "memset")
		v, err := m.Load64(data + 8)
		assert.NoError(t, err)
		if v != 0 {
			return stop
		}
		return nil
	}))
	_, err = m.Call(ctx, "__memset", data+16, 1, 8)
	require.NoError(t, err)
	_, err = m.Call(ctx, "__memset", data, 1, 16)
	require.NoError(t, err)
	v, err := m.Load64(data + 8)
	require.NoError(t, err)
	assert.EqualValues(t, 0x0101010101010101, v)
	_, err = m.Call(ctx, "__memset", data, 2, 16)
	require.ErrorIs(t, err, stop)
}

func TestBreak_StopsInThePlaceOfPoints(t *testing.T) {
	m, ctx := booted(t), t.Context()
	at, err := m.Symbol("gcd")
	require.NoError(t, err)
	m.SetPoints(map[uint64]bool{at: true})
	r, err := m.Call(ctx, "gcd", 84, 36)
	require.NoError(t, err, "points end turns, and nothing else")
	assert.EqualValues(t, 12, r)
	stops := 0
	require.NoError(t, m.Break("gcd", func(*Stop) error { stops++; return nil }))
	_, err = m.Call(ctx, "gcd", 84, 36)
	require.NoError(t, err)
	assert.Equal(t, 1, stops)
}

func TestCall_IsOverWhenAFunctionOfTheHostPanics(t *testing.T) {
	m, ctx := booted(t), t.Context()
	require.NoError(t, m.Break("gcd", func(*Stop) error { panic("the host's") }))
	assert.PanicsWithValue(t, "the host's", func() { _, _ = m.Call(ctx, "gcd", 84, 36) })
	_, err := m.Call(ctx, "gcd", 84, 36)
	require.ErrorContains(t, err, "the host left it")
}
