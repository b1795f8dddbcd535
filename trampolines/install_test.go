package trampolines

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

func TestInstall_SymbolsAreTheKernels(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		for _, callOps := range []bool{true, false} {
			m := boot(t, newEngine, bootOptions{Options: Options{CallOps: callOps}})
			want := map[string]uint64{
				"ftrace_caller": m.c.Caller, "ftrace_stub": m.c.Stub,
				"arch_ftrace_ops_list_func": m.c.ListFunc, "ftrace_ops_assist_func": m.c.AssistFunc,
				"ftrace_ops_nop_func": m.c.NopFunc, "call_direct_funcs": m.c.CallDirectFuncs,
				"ftrace_stub_direct_tramp": m.c.StubDirectTramp, "ops_func_nop": m.c.OpsFuncNop,
				"ops_func_count": m.c.OpsFuncCount, "function_trace_call": m.c.FunctionTracer,
				"ftrace_list_ops": m.c.ListOps, "ftrace_nop_ops": m.c.NopOps, "ftrace_list_end": m.c.ListEnd,
				"global_ops": m.c.GlobalOps, "ftrace_ops_list": m.c.OpsList, "function_trace_op": m.c.FunctionTraceOp,
			}
			if !callOps {
				want["ftrace_call"] = m.c.CallSlot
			}
			for name, addr := range want {
				sym, err := m.k.Symbols.Lookup(name)
				require.NoError(t, err)
				assert.NotZero(t, addr, name)
				assert.Equal(t, hex(addr), hex(sym.Addr), name)
				assert.Empty(t, sym.Module, name)
			}
			assert.Equal(t, callOps, m.c.CallSlot == 0)
			_, err := m.c.Reach(m.k.Mem, m.c.Stub)
			assert.Equal(t, callOps, errors.Is(err, errno.EINVAL), "%v", err)
		}
	})
}

func TestInstall_Objects(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		c, o := m.c, &m.l.Ops
		field := func(ops uint64, off int) uint64 { return m.get64(ops + uint64(off)) }
		for _, v := range []struct {
			name      string
			ops       uint64
			fn, flags uint64
			hashed    bool
			filter    uint64
			writable  bool
		}{
			{"ftrace_list_ops", c.ListOps, c.ListFunc, stub, false, 0, false},
			{"ftrace_nop_ops", c.NopOps, c.NopFunc, stub, false, 0, false},
			{"ftrace_list_end", c.ListEnd, c.Stub, stub, true, 0, true},
			{"global_ops", c.GlobalOps, c.Stub, 1<<opsInitializedBit | 1<<opsPIDBit, true, c.EmptyHash, true},
		} {
			assert.Equal(t, v.fn, field(v.ops, o.Func), v.name)
			assert.Equal(t, v.flags, field(v.ops, o.Flags), v.name)
			assert.Zero(t, field(v.ops, o.Next), v.name)
			assert.Zero(t, field(v.ops, o.DirectCall), v.name)
			assert.Equal(t, v.filter, field(v.ops, o.LocalHash+m.l.OpsHash.Filter), v.name)
			assert.Equal(t, v.filter, field(v.ops, o.LocalHash+m.l.OpsHash.Notrace), v.name)
			var hash, subops uint64
			if v.hashed {
				hash, subops = v.ops+uint64(o.LocalHash), v.ops+uint64(o.SubopList)
			}
			assert.Equal(t, hash, field(v.ops, o.FuncHash), v.name)
			assert.Equal(t, []uint64{subops, subops}, m.words(v.ops+uint64(o.SubopList), 2), v.name)
			assert.Equal(t, v.writable, m.k.Mem.Region(v.ops).Perm&emu.Write != 0, v.name)
		}
		assert.Equal(t, c.ListEnd, m.get64(c.OpsList))
		assert.Equal(t, c.ListEnd, m.get64(c.FunctionTraceOp))

		buckets := m.get64(c.EmptyHash + uint64(m.l.Hash.Buckets))
		assert.Zero(t, m.get64(c.EmptyHash+uint64(m.l.Hash.SizeBits)))
		assert.Zero(t, m.get64(c.EmptyHash+uint64(m.l.Hash.Count)))
		assert.Zero(t, m.get64(buckets))
		assert.Zero(t, m.k.Mem.Region(c.EmptyHash).Perm&emu.Write)
	})
}

func TestInstall_Distance(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		for _, far := range []bool{false, true} {
			m := boot(t, newEngine, bootOptions{Options: Options{CallOps: true, Far: far}})
			for _, text := range m.k.Image.Text() {
				_, first := asm.EncodeBL(text.Start, m.c.Caller)
				_, last := asm.EncodeBL(text.End-4, m.c.CallerEnd-4)
				assert.Equal(t, far, first != nil)
				assert.Equal(t, far, last != nil)
			}
		}
	})
}

func TestInstall_BTI(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		img, err := kernelimage.Builtin(&kernelimage.BuiltinOptions{BTI: true})
		require.NoError(t, err)
		k, err := kernel.Boot(img, newEngine, nil)
		require.NoError(t, err)
		defer k.Close()
		c, err := Install(k, &Options{CallOps: true})
		require.NoError(t, err)
		for _, fn := range []uint64{
			c.Caller, c.Stub, c.ListFunc, c.AssistFunc, c.NopFunc, c.CallDirectFuncs,
			c.StubDirectTramp, c.OpsFuncNop, c.OpsFuncCount, c.FunctionTracer,
		} {
			w, err := k.Mem.Load32(fn)
			require.NoError(t, err)
			assert.True(t, asm.IsBTI(w), k.Symbols.Format(fn))
		}
	})
}

// An image that has an ftrace of its own keeps its names.
func TestInstall_BesideTheImagesOwn(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		second, err := Install(m.k, &Options{CallOps: true})
		require.NoError(t, err)
		sym, err := m.k.Symbols.Lookup("callops:ftrace_caller")
		require.NoError(t, err)
		assert.Equal(t, second.Caller, sym.Addr)
		_, err = m.k.Call(context.Background(), 0, nil, second.ListFunc, 1, 2, 3, 4)
		assert.NoError(t, err)
	})
}

func TestInstall_RefusesLayout(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		l := *m.k.Layout
		l.Regs.DirectTramp = 0
		m.k.Layout = &l
		_, err := Install(m.k, nil)
		assert.True(t, errors.Is(err, errors.ErrUnsupported), "%v", err)
	})
}
