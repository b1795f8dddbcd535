package guestcore_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/ftrace"
	"callops/ftrace/guestcore"
	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/internal/kernels/kept"
	"callops/kernel"
	"callops/kernelimage"
)

// tracedSqrt makes an ops on int_sqrt, with a tracer in Go that counts.
func tracedSqrt(t *testing.T, m guest, opts *ftrace.OpsOptions) (o *ftrace.Ops, calls *int) {
	t.Helper()
	calls = new(int)
	tracer, err := m.Ftrace.GoTracer("tracer", func(ip, _ uint64, op *ftrace.Ops, regs *ftrace.Regs) {
		assert.Equal(t, o, op)
		assert.EqualValues(t, 100, regs.Arg(0))
		*calls++
	})
	require.NoError(t, err)
	o, err = m.Ftrace.NewOps("mine", tracer, opts)
	require.NoError(t, err)
	require.NoError(t, m.Ftrace.SetFilter(o, "int_sqrt", nil))
	return o, calls
}

func sqrt(t *testing.T, m guest) {
	t.Helper()
	res, err := m.Kernel.CallName(t.Context(), 0, nil, "int_sqrt", 100)
	require.NoError(t, err)
	assert.EqualValues(t, 10, res.X0)
}

func TestCore_CallsWhatIsRegisteredUntilItIsNot(t *testing.T) {
	eachSeries(t, func(t *testing.T, series string) {
		m := start(t, series, nil)
		o, calls := tracedSqrt(t, m, nil)
		sqrt(t, m)
		assert.Zero(t, *calls)
		require.NoError(t, m.Ftrace.Register(o))
		assert.Equal(t, []*ftrace.Ops{o}, m.Ftrace.Registered())
		sqrt(t, m)
		assert.Equal(t, 1, *calls)
		require.ErrorIs(t, m.Ftrace.Register(o), errno.EBUSY)
		require.ErrorIs(t, m.Ftrace.FreeFilter(o), errno.EBUSY)

		ip := m.Ftrace.Records()[slices.IndexFunc(m.Ftrace.Records(), func(r ftrace.Record) bool { return m.Ftrace.Matches(o, r.IP) })].IP
		assert.Equal(t, ip, m.Ftrace.Location(ip-4))
		var enabled bytes.Buffer
		require.NoError(t, m.Ftrace.WriteEnabled(&enabled))
		assert.Regexp(t, `^int_sqrt \(1\)\s+O\s+ops: 0x[0-9a-f]+ \(`, enabled.String())

		require.NoError(t, m.Ftrace.Unregister(o))
		sqrt(t, m)
		assert.Equal(t, 1, *calls)
		require.ErrorIs(t, m.Ftrace.Unregister(o), errno.EBUSY)
		require.NoError(t, m.Ftrace.FreeFilter(o))
		require.NoError(t, m.Ftrace.FreeOps(o))
		require.ErrorIs(t, m.Ftrace.Register(o), errno.EINVAL)
		require.NoError(t, m.Ftrace.Validate())
		require.NoError(t, m.Ftrace.Close())
	})
}

func TestCore_FiltersAreTheKernelsOwn(t *testing.T) {
	eachSeries(t, func(t *testing.T, series string) {
		m := start(t, series, nil)
		found, err := m.Ftrace.Match("*_sqr[st]")
		require.NoError(t, err)
		assert.Len(t, found, 1)
		_, err = m.Ftrace.Match("nothing*")
		require.ErrorIs(t, err, errno.EINVAL)
		var status *guestcore.StatusError
		require.ErrorAs(t, err, &status)
		assert.Equal(t, "ftrace_set_filter", status.Func)
		assert.EqualValues(t, -22, status.Status)

		o, err := m.Ftrace.NewOps("all but one", m.Ftrace.Code().OpsFuncNop, nil)
		require.NoError(t, err)
		require.NoError(t, m.Ftrace.SetNotrace(o, "gcd", nil))
		require.NoError(t, m.Ftrace.Register(o))
		enabled := 0
		for _, rec := range m.Ftrace.Records() {
			enabled += m.Ftrace.Count(rec)
		}
		assert.Equal(t, len(m.Ftrace.Records())-1, enabled)
		require.ErrorIs(t, m.Ftrace.SetFilterIP(o, found[0].IP+8, nil), errno.EINVAL)
		require.NoError(t, m.Ftrace.Close())
	})
}

func TestCore_AStaticOpsIsNotDynamic(t *testing.T) {
	eachSeries(t, func(t *testing.T, series string) {
		m := start(t, series, nil)
		o, calls := tracedSqrt(t, m, &ftrace.OpsOptions{Static: true})
		require.NoError(t, m.Ftrace.Register(o))
		assert.Zero(t, o.Flags()&ftrace.OpsDynamic)
		sqrt(t, m)
		assert.Equal(t, 1, *calls)
		require.ErrorIs(t, m.Ftrace.FreeOps(o), errno.EINVAL)
	})
}

func TestCore_TheSysctlIsTheKernelsOwn(t *testing.T) {
	for series, off := range map[string]error{kernels.Linux612: nil, kernels.Linux7: errno.EOPNOTSUPP} {
		t.Run(series, func(t *testing.T) {
			m := start(t, series, nil)
			o, calls := tracedSqrt(t, m, nil)
			require.NoError(t, m.Ftrace.Register(o))
			require.ErrorIs(t, m.Ftrace.SetEnabled(0), off)
			sqrt(t, m)
			assert.Equal(t, off != nil, *calls == 1)
			require.NoError(t, m.Ftrace.SetEnabled(5))
			v, err := m.Ftrace.Enabled()
			require.NoError(t, err)
			assert.Equal(t, 5, v)
		})
	}
}

func TestCore_AvailableFunctionsAreWhatTheBootedKernelLists(t *testing.T) {
	img := kept.Image(t, kernels.Linux612)
	k := boot(t, img)
	c, err := guestcore.New(k, nil)
	require.NoError(t, err)
	require.NoError(t, k.FreeInitMem())
	var own bytes.Buffer
	require.NoError(t, c.WriteAvailable(&own, false))
	assert.Equal(t, 42069, strings.Count(own.String(), "\n"), "lines, as when it was booted")

	k = boot(t, img)
	require.NoError(t, k.FreeInitMem())
	ours, err := ftrace.New(k, nil)
	require.NoError(t, err)
	var listed bytes.Buffer
	require.NoError(t, ours.WriteAvailable(&listed, false))
	assert.True(t, listed.String() == own.String(), "callops' core lists the same")
}

// What goes wrong in the kernel's own code is a result.

func patch(name string, off uint64, words ...asm.Inst) func(k *kernel.Kernel) error {
	return func(k *kernel.Kernel) error {
		addr, err := k.Func(name)
		if err != nil {
			return err
		}
		p, err := assemble(addr+off, words)
		if err != nil {
			return err
		}
		if err := k.Mem.Write(addr+off, p); err != nil {
			return err
		}
		k.Mem.SyncText(addr+off, uint64(len(p)))
		return nil
	}
}

func assemble(base uint64, words []asm.Inst) ([]byte, error) {
	b := asm.NewBuilder()
	b.Func("patch")
	b.Emit(words...)
	b.EndFunc()
	p, err := b.Assemble(base)
	if err != nil {
		return nil, err
	}
	return p.Code, nil
}

func TestCore_ThatDoesNotReturnIsAResult(t *testing.T) {
	const afterSite = 8
	for name, word := range map[string]asm.Inst{
		"loops":      asm.Word32(0x14000000), // b .
		"faults":     asm.Word32(0xf9400000), // ldr x0, [x0]: first the ops' func, then where that lies
		"has a BUG":  asm.Word32(0xd4210000), // brk #0x800
		"is not one": asm.Word32(0),          // udf #0
	} {
		t.Run(name, func(t *testing.T) {
			m := start(t, kernels.Linux612, patch("unregister_ftrace_function", afterSite, word, word))
			o, _ := tracedSqrt(t, m, nil)
			require.NoError(t, m.Ftrace.Register(o))
			err := m.Ftrace.Unregister(o)
			var crash *guestcore.CrashError
			require.ErrorAs(t, err, &crash)
			require.ErrorIs(t, err, errno.ENODEV)
			assert.Equal(t, "unregister_ftrace_function", crash.Func)
			assert.ErrorContains(t, err, "unregister_ftrace_function+0x")
			assert.ErrorIs(t, m.Ftrace.Register(o), errno.ENODEV, "nothing more is asked of it")
			assert.True(t, m.Ftrace.Dead())
			assert.ErrorAs(t, m.Ftrace.Validate(), &crash)
		})
	}
}

type counter int

func (n *counter) Write(b []byte) (int, error) { *n += counter(len(b)); return len(b), nil }

func TestCore_AControlFileThatDoesNotEndIsCorrupt(t *testing.T) {
	const afterSite = 8 // each read fills the buffer: movz x0, #2, lsl #16
	m := start(t, kernels.Linux612, patch("seq_read_iter", afterSite, asm.Word32(0xd2a00040), asm.Ret()))
	var n counter
	var corrupt *guestcore.CorruptError
	require.ErrorAs(t, m.Ftrace.WriteEnabled(&n), &corrupt)
	assert.LessOrEqual(t, int(n), 256<<20)
}

func TestNewOps_ThatHasNoRoomIsRefused(t *testing.T) {
	m := start(t, kernels.Linux612, nil)
	for _, opts := range []*ftrace.OpsOptions{{Extra: 1 << 62}, {Extra: 1 << 40, Static: true}} {
		_, err := m.Ftrace.NewOps("large", m.Ftrace.Code().OpsFuncNop, opts)
		assert.ErrorIs(t, err, errno.ENOMEM)
	}
}

func TestMatch_LeavesNoOpsWhereThePatternIsRefused(t *testing.T) {
	m := start(t, kernels.Linux612, nil)
	var live int
	m.Kernel.Heap.Observe(func(o emu.Object) {
		if o.Name == "ops match" && o.Freed {
			live--
		} else if o.Name == "ops match" {
			live++
		}
	})
	_, err := m.Ftrace.Match("nothing*")
	require.ErrorIs(t, err, errno.EINVAL)
	assert.Zero(t, live)
}

func TestValidate_NamesWhatIsCorrupt(t *testing.T) {
	for name, spoil := range map[string]func(k *kernel.Kernel, o *ftrace.Ops) (uint64, uint64, error){
		"ftrace_ops_list": func(k *kernel.Kernel, o *ftrace.Ops) (uint64, uint64, error) {
			return o.Addr() + uint64(k.Layout.Ops.Next), o.Addr(), nil // it does not end
		},
		"struct ftrace_page": func(k *kernel.Kernel, _ *ftrace.Ops) (uint64, uint64, error) {
			s, err := k.Symbol("ftrace_pages_start")
			return s.Addr, 0x1000, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := start(t, kernels.Linux612, nil)
			o, _ := tracedSqrt(t, m, nil)
			require.NoError(t, m.Ftrace.Register(o))
			require.NoError(t, m.Ftrace.Validate())
			at, v, err := spoil(m.Kernel, o)
			require.NoError(t, err)
			require.NoError(t, m.Kernel.Mem.Store64(at, v))
			var corrupt *guestcore.CorruptError
			require.ErrorAs(t, m.Ftrace.Validate(), &corrupt)
			assert.Equal(t, name, corrupt.What)
			assert.ErrorIs(t, corrupt, errno.EFAULT)
			if name == "struct ftrace_page" {
				_, err := m.Ftrace.Match("int_sqrt")
				assert.ErrorIs(t, err, errno.ENODEV, "the kernel's own walk faults on them")
			}
		})
	}
}

func TestNew_NamesWhatTheKernelLacks(t *testing.T) {
	builtin, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	_, err = guestcore.New(boot(t, builtin), nil)
	require.ErrorIs(t, err, errno.EOPNOTSUPP)

	img := kept.Image(t, kernels.Linux612)
	k := boot(t, img)
	without := slices.DeleteFunc(img.Symbols(), func(s kernelimage.Symbol) bool {
		return s.Name == "register_ftrace_function" || s.Name == "seq_read_iter"
	})
	k.Symbols = kernel.NewSymbols(without...)
	_, err = guestcore.New(k, nil)
	var missing *guestcore.MissingError
	require.ErrorAs(t, err, &missing)
	assert.Equal(t, []string{"register_ftrace_function", "seq_read_iter"}, missing.Names)
	assert.ErrorIs(t, err, errno.ENOENT)
}

func TestNew_OnlyBeforeInitTextIsFreed(t *testing.T) {
	img := kept.Image(t, kernels.Linux612)
	sites := sitesOf(t, img)
	k := boot(t, img)
	require.NoError(t, k.FreeInitMem())
	_, err := guestcore.New(k, &guestcore.Options{Sites: sites})
	require.ErrorIs(t, err, errno.EBUSY)
}

func TestNew_RefusesSitesThatAreNone(t *testing.T) {
	img := kept.Image(t, kernels.Linux612)
	sites := sitesOf(t, img)
	for _, ips := range [][]uint64{{}, {sites[0] + 4}} {
		_, err := guestcore.New(boot(t, img), &guestcore.Options{Sites: ips})
		assert.ErrorIs(t, err, errno.EINVAL)
	}
}
