package kernel

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/emu/engines"
	"callops/emu/interp"
	"callops/internal/kernels"
	"callops/kernelimage"
)

// eachEngineWarned is eachEngine with a kernel that keeps its warnings.
func eachEngineWarned(t *testing.T, img *kernelimage.Image, test func(m *machine, warnings *[]*Bug)) {
	for _, e := range engines.All() {
		t.Run(e.Name, func(t *testing.T) {
			var warnings []*Bug
			k, err := Boot(img, e.New, &BootOptions{Warn: func(b *Bug) { warnings = append(warnings, b) }})
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, k.Close()) })
			test(&machine{k, t}, &warnings)
		})
	}
}

func TestBug_IsNamedWithItsPlace(t *testing.T) {
	eachEngineWarned(t, workload(t, "bug.elf"), func(m *machine, warnings *[]*Bug) {
		assert.EqualValues(m.t, 6, m.call("bug_on", 5))
		err := m.fails("bug_on", ^uint64(0))
		var bug *BugError
		require.ErrorAs(m.t, err, &bug)
		assert.Equal(m.t, "lib/bug.c", bug.File)
		assert.Equal(m.t, 33, bug.Line)
		assert.False(m.t, bug.Warning)
		assert.Equal(m.t, err.Backtrace[0], bug.Addr)
		assert.EqualError(m.t, err, "bug_on+0x0/0x20: stopped in bug_on+0x14/0x20: kernel BUG at lib/bug.c:33!")
		var exit *emu.ExitError
		require.ErrorAs(m.t, err, &exit)
		assert.Equal(m.t, emu.ExitException, exit.Exit.Reason)
		assert.Empty(m.t, *warnings)
	})
}

func TestBug_OtherBreakpointsAreNone(t *testing.T) {
	eachEngineWarned(t, workload(t, "bug.elf"), func(m *machine, warnings *[]*Bug) {
		for _, name := range []string{"bug_untold", "bug_unprintable", "brk_other"} {
			err := m.fails(name)
			var bug *BugError
			assert.NotErrorAs(m.t, err, &bug, name)
			var exit *emu.ExitError
			assert.ErrorAs(m.t, err, &exit, name)
		}
		assert.Empty(m.t, *warnings)
	})
}

func TestWarn_TheKernelGoesOn(t *testing.T) {
	eachEngineWarned(t, workload(t, "bug.elf"), func(m *machine, warnings *[]*Bug) {
		for range 2 {
			res, err := m.try("warn_on", ^uint64(0))
			require.NoError(m.t, err)
			assert.Zero(m.t, res.X0)
			assert.EqualValues(m.t, 5, res.Count, "the BRK was not executed")
		}
		require.Len(m.t, *warnings, 2)
		w := (*warnings)[0]
		assert.Equal(m.t, "WARNING: CPU: 0 PID: 100 at lib/warn.c:11 "+w.Where, w.String())
		assert.Contains(m.t, w.Where, "warn_on+0x")

		*warnings = nil
		assert.EqualValues(m.t, 15, m.call("warn_once", 5))
		assert.EqualValues(m.t, 6, m.call("warn_once", 2))
		require.Len(m.t, *warnings, 1, "WARN_ONCE, and the table remembers")
		assert.Equal(m.t, 22, (*warnings)[0].Line)
	})
}

func TestWarn_ThatIsNotListenedToEndsTheCall(t *testing.T) {
	img := workload(t, "bug.elf")
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, img)
		err := m.fails("warn_on", ^uint64(0))
		var bug *BugError
		require.ErrorAs(t, err, &bug)
		assert.True(t, bug.Warning)
		assert.ErrorContains(t, err, "WARNING: CPU: 0 PID: 100 at lib/warn.c:11 warn_on+0x")
	})
}

// A loop of warnings is out of its budget as one of gates is.
func TestWarn_CountsAgainstTheBudget(t *testing.T) {
	eachEngineWarned(t, workload(t, "bug.elf"), func(m *machine, _ *[]*Bug) {
		_, err := m.CallName(t.Context(), 0, &emu.CallOptions{Budget: 6}, "warn_on", ^uint64(0))
		require.NoError(m.t, err)
		_, err = m.CallName(t.Context(), 0, &emu.CallOptions{Budget: 5}, "warn_on", ^uint64(0))
		require.ErrorIs(m.t, err, emu.ErrBudget)
	})
}

func TestBugString_IsTheKernels(t *testing.T) {
	for want, b := range map[string]Bug{
		"kernel BUG at lib/a.c:7!":                                   {File: "lib/a.c", Line: 7, Where: "f+0x8/0x10"},
		"Kernel BUG at f+0x8/0x10 [verbose debug info unavailable]":  {Where: "f+0x8/0x10"},
		"WARNING: CPU: 3 PID: 12 at lib/a.c:7 f+0x8/0x10 [a_module]": {File: "lib/a.c", Line: 7, Where: "f+0x8/0x10 [a_module]", Warning: true, CPU: 3, Pid: 12},
		"WARNING: CPU: 0 PID: 100 at f+0x8/0x10":                     {Where: "f+0x8/0x10", Warning: true, Pid: 100},
	} {
		assert.Equal(t, want, b.String())
	}
}

func TestLinux_BugAndWarn(t *testing.T) {
	for _, series := range append(slices.Clone(kernels.All), kernels.Linux716K) {
		t.Run(series, func(t *testing.T) {
			img, _ := linux(t, series)
			eachEngineWarned(t, img, func(m *machine, warnings *[]*Bug) {
				idr := m.bytes(make([]byte, 64))
				for range 2 { // WARN_ON_ONCE(start < 0)
					assert.EqualValues(m.t, -22, int32(m.call("idr_alloc", idr, 0, ^uint64(0), 0, 0)))
				}
				require.Len(m.t, *warnings, 1)
				assert.Regexp(m.t, `^WARNING: CPU: 0 PID: 100 at lib/idr\.c:86 idr_alloc\+0x`, (*warnings)[0].String())

				iter := m.bytes(make([]byte, 64)) // BUG_ON(direction != READ)
				assert.ErrorContains(m.t, m.fails("iov_iter_discard", iter, 1, 0), "kernel BUG at lib/iov_iter.c:")
			})
		})
	}
}

// An entry is found from the address of its BRK alone. Where the kernel names its
// table, that is the very entry.
func TestLinux_EveryBugIsFoundFromItsBreakpoint(t *testing.T) {
	img, _ := linux(t, kernels.Linux612)
	k, err := Boot(img, interp.New, nil)
	require.NoError(t, err)
	defer func() { assert.NoError(t, k.Close()) }()
	start, err := k.Symbols.Lookup("__start___bug_table")
	require.NoError(t, err)
	stop, err := k.Symbols.Lookup("__stop___bug_table")
	require.NoError(t, err)
	size := uint64(k.Layout.Bug.Size)
	n := (stop.Addr - start.Addr) / size
	require.Greater(t, n, uint64(5000))
	for i := uint64(0); i < n; i++ {
		entry := start.Addr + i*size
		d, err := k.Mem.Load32(entry)
		require.NoError(t, err)
		pc := entry + uint64(int64(int32(d)))
		w, err := k.Mem.Load32(pc)
		require.NoError(t, err)
		imm, ok := asm.DecodeBrk(w)
		require.True(t, ok)
		require.EqualValues(t, bugBrkImm, imm)
		require.NotNil(t, k.bugEntry(entry, pc))
		if i%500 != 0 {
			continue
		}
		b, _ := k.hit(pc)
		require.NotNil(t, b)
		require.Equal(t, entry, b.entry)
	}
}

func TestLinux_AModuleHasATableOfItsOwn(t *testing.T) {
	img, path := linux(t, kernels.Linux612)
	found, err := filepath.Glob(filepath.Join(filepath.Dir(path), "../lib/modules/*/kernel/lib/lru_cache.ko.xz"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	eachEngineWarned(t, img, func(m *machine, warnings *[]*Bug) {
		_, err := m.LoadModuleFile(t.Context(), found[0], nil)
		require.NoError(m.t, err)
		cache := m.bytes(make([]byte, 512)) // WARN_ON(cache_obj_size < e_size)
		assert.Zero(m.t, m.call("lc_create", m.string("name"), cache, 1, 10, 100, 0))
		require.Len(m.t, *warnings, 1)
		assert.Contains(m.t, (*warnings)[0].String(), " at lib/lru_cache.c:88 lc_create+0x")
		assert.Contains(m.t, (*warnings)[0].String(), "[lru_cache]")
	})
}

// Whatever a table says, a call ends in a result or an error.
func FuzzBugTable(f *testing.F) {
	img := workload(f, "bug.elf")
	var data kernelimage.Segment
	for _, s := range img.Segments() {
		if s.Perm&emu.Write != 0 {
			data = s
		}
	}
	bytes, err := data.Bytes()
	require.NoError(f, err)
	require.NotEmpty(f, bytes)
	f.Add(bytes)
	k, err := Boot(img, interp.New, &BootOptions{Warn: func(b *Bug) { _ = b.String() }})
	require.NoError(f, err)
	f.Cleanup(func() { assert.NoError(f, k.Close()) })
	f.Fuzz(func(t *testing.T, table []byte) {
		require.NoError(t, k.Mem.Write(data.Addr, table[:min(len(table), len(bytes))]))
		for _, name := range []string{"warn_on", "warn_once", "bug_on", "bug_untold"} {
			_, err := k.CallName(t.Context(), 0, &emu.CallOptions{Budget: 100}, name, 1<<63)
			if err != nil {
				_ = err.Error()
			}
		}
	})
}
