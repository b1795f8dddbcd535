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
	"callops/kernelimage"
)

// callers are the variants of ftrace_caller, each with a tracee it suits.
var callers = []struct {
	name    string
	opts    bootOptions
	tracee  string
	perCall int // instructions of ftrace_caller
}{
	{"call_ops", bootOptions{Options: Options{CallOps: true}}, "dump", 31},
	{"call_ops_bti_site", bootOptions{Options: Options{CallOps: true}}, "dump_bti", 31},
	{"call_ops_far", bootOptions{Options: Options{CallOps: true, Far: true}}, "dump", 31},
	{"call_ops_v3", bootOptions{Options: Options{CallOps: true}, profile: kernelimage.ProfileV3}, "dump", 27},
	{"global", bootOptions{}, "dump", 26},
	{"global_6.1", bootOptions{profile: kernelimage.Profile61}, "dump", 26},
}

func forCallers(t *testing.T, f func(t *testing.T, m *machine, tracee string)) {
	t.Helper()
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		for _, v := range callers {
			t.Run(v.name, func(t *testing.T) { f(t, boot(t, newEngine, v.opts), v.tracee) })
		}
	})
}

// attach makes the tracee's site call an ops with func fn, and returns the ops.
func (m *machine) attach(tracee string, fn uint64) uint64 {
	m.t.Helper()
	op := m.newOps(opsSpec{fn: fn})
	m.attachOps(tracee, op, fn)
	return op
}

func (m *machine) attachOps(tracee string, op, fn uint64) {
	m.t.Helper()
	m.enable(tracee, op)
	if m.c.CallSlot == 0 {
		return
	}
	near, err := m.c.Reach(m.k.Mem, fn)
	require.NoError(m.t, err)
	bl, err := asm.EncodeBL(m.c.CallSlot, near)
	require.NoError(m.t, err)
	m.put64(m.c.FunctionTraceOp, op)
	require.NoError(m.t, m.k.Mem.Store32(m.c.CallSlot, bl))
	m.k.Mem.SyncText(m.c.CallSlot, 4)
}

// requireUntouched asserts what a traced function may expect of its registers.
func (m *machine) requireUntouched(dump []uint64) {
	m.t.Helper()
	for i := range 8 {
		require.EqualValues(m.t, 100+i, dump[i], "x%d", i)
	}
	require.Equal(m.t, poison(8), dump[8], "x8")
	for i := 18; i < 29; i++ {
		require.Equal(m.t, poison(i), dump[i], "x%d", i)
	}
	require.Zero(m.t, dump[29], "x29")
	require.EqualValues(m.t, uint64(emu.ReturnGate), dump[30], "x30")
	require.Equal(m.t, m.k.CPUs[0].StackTop, dump[dumpSP], "sp")
}

func TestCaller_TracedFunctionFindsItsRegisters(t *testing.T) {
	forCallers(t, func(t *testing.T, m *machine, tracee string) {
		calls := 0
		m.attach(tracee, m.goTracer(func(emu.CPU, uint64, uint64, uint64, uint64) { calls++ }))
		dump, res, err := m.call(tracee, nil)
		require.NoError(t, err)
		m.requireUntouched(dump)
		assert.EqualValues(t, 1, res.X0, "the function's own result")
		assert.Equal(t, 1, calls)

		m.disable(tracee)
		m.requireUntouched(m.mustCall(tracee))
		assert.Equal(t, 1, calls)
	})
}

func TestCaller_TracerGetsSiteAndRegisters(t *testing.T) {
	forCallers(t, func(t *testing.T, m *machine, tracee string) {
		var op uint64
		calls := 0
		op = m.attach(tracee, m.goTracer(func(cpu emu.CPU, ip, parent, ops, fregs uint64) {
			calls++
			top := m.k.CPUs[0].StackTop
			regs := cpu.Regs()
			assert.Equal(t, m.site(tracee), ip)
			assert.EqualValues(t, uint64(emu.ReturnGate), parent)
			assert.Equal(t, hex(op), hex(ops))
			assert.Equal(t, regs.SP, fregs)
			assert.Zero(t, regs.SP%16, "stack alignment")
			assert.Equal(t, top-144, regs.SP)
			assert.Equal(t, regs.X[30], m.afterCall(), "returns after the call in ftrace_caller")

			f := m.fregs(fregs)
			for i := range 8 {
				assert.EqualValues(t, 100+i, f.Regs[i], "x%d", i)
			}
			assert.Equal(t, poison(8), f.Regs[8])
			if m.l.Ops.DirectCall != kernelimage.Absent && m.c.CallSlot == 0 {
				assert.Zero(t, f.DirectTramp)
			}
			assert.Zero(t, f.FP)
			assert.EqualValues(t, uint64(emu.ReturnGate), f.LR)
			assert.Equal(t, top, f.SP)
			assert.Equal(t, ip+4, f.PC)

			// Both frame records, innermost first.
			record2, record1 := top-32, top-16
			assert.Equal(t, record2, regs.X[29])
			assert.Equal(t, []uint64{record1, ip + 4}, m.words(record2, 2))
			assert.Equal(t, []uint64{0, emu.ReturnGate}, m.words(record1, 2))
			assert.Equal(t, []uint64{ip + 4, emu.ReturnGate}, m.k.Backtrace(0)[2:])
		}))
		m.mustCall(tracee)
		assert.Equal(t, 1, calls)
	})
}

// afterCall is the address after ftrace_caller's call of the tracer.
func (m *machine) afterCall() uint64 {
	for pc := m.c.Caller; pc < m.c.CallerEnd; pc += 4 {
		w, err := m.k.Mem.Load32(pc)
		require.NoError(m.t, err)
		if asm.IsBL(w) || w&0xfffffc1f == 0xd63f0000 {
			return pc + 4
		}
	}
	return 0
}

func (m *machine) words(addr uint64, n int) []uint64 {
	m.t.Helper()
	w, err := m.k.Mem.ReadWords(addr, n)
	require.NoError(m.t, err)
	return w
}

func TestCaller_TracerChangesRegisters(t *testing.T) {
	forCallers(t, func(t *testing.T, m *machine, tracee string) {
		r := &m.l.Regs
		m.attach(tracee, m.goTracer(func(_ emu.CPU, _, _, _, fregs uint64) {
			for i := range 9 {
				m.put64(fregs+uint64(r.X0+8*i), uint64(200+i))
			}
			m.put64(fregs+uint64(r.FP), 0x7777)
			m.put64(fregs+uint64(r.SP), 0x8888)
		}))
		dump := m.mustCall(tracee)
		for i := range 9 {
			assert.EqualValues(t, 200+i, dump[i], "x%d", i)
		}
		assert.EqualValues(t, 0x7777, dump[29])
		assert.Equal(t, m.k.CPUs[0].StackTop, dump[dumpSP], "sp is not read back")
	})
}

func TestCaller_TracerRedirects(t *testing.T) {
	forCallers(t, func(t *testing.T, m *machine, tracee string) {
		m.attach(tracee, m.goTracer(func(_ emu.CPU, _, _, _, fregs uint64) {
			m.put64(fregs+uint64(m.l.Regs.PC), m.addr("other"))
		}))
		dump, res, err := m.call(tracee, nil)
		require.NoError(t, err)
		assert.EqualValues(t, 2, res.X0, "other's result, returned to the caller")
		assert.Zero(t, dump[dumpSP], "the function itself did not run")
	})
}

func TestCaller_TracerChangesReturnAddress(t *testing.T) {
	forCallers(t, func(t *testing.T, m *machine, tracee string) {
		m.attach(tracee, m.goTracer(func(_ emu.CPU, _, _, _, fregs uint64) {
			m.put64(fregs+uint64(m.l.Regs.LR), m.addr("landing"))
		}))
		dump, res, err := m.call(tracee, nil)
		require.NoError(t, err)
		assert.Equal(t, m.addr("landing"), dump[30])
		assert.EqualValues(t, 1, dump[dumpResult], "the function's result")
		assert.EqualValues(t, 3, res.X0)
	})
}

func TestCaller_Instructions(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		for _, v := range callers {
			t.Run(v.name, func(t *testing.T) {
				m := boot(t, newEngine, v.opts)
				m.attach(v.tracee, m.c.OpsFuncNop)
				within := 0
				opts := &emu.CallOptions{OnStep: func(_ emu.CPU, before *emu.Regs) {
					if before.PC >= m.c.Caller && before.PC < m.c.CallerEnd {
						within++
					}
				}}
				_, _, err := m.call(v.tracee, opts)
				require.NoError(t, err)
				assert.Equal(t, v.perCall, within)
				assert.Equal(t, v.perCall+3, m.overhead(v.tracee))
			})
		}
	})
}

// overhead is how many instructions more a call takes with the site enabled,
// the machine code of tracers included.
func (m *machine) overhead(tracee string) int {
	m.t.Helper()
	_, traced, err := m.call(tracee, nil)
	require.NoError(m.t, err)
	ip := m.site(tracee)
	bl, err := m.k.Mem.Load32(ip)
	require.NoError(m.t, err)
	m.disable(tracee)
	_, plain, err := m.call(tracee, nil)
	require.NoError(m.t, err)
	require.NoError(m.t, m.k.Mem.Store32(ip, bl))
	m.k.Mem.SyncText(ip, 4)
	return int(traced.Count) - int(plain.Count)
}

// before returns the registers as they were when the call reached pc first.
func (m *machine) before(tracee string, pc uint64) *emu.Regs {
	m.t.Helper()
	var at *emu.Regs
	_, _, err := m.call(tracee, &emu.CallOptions{OnStep: func(_ emu.CPU, before *emu.Regs) {
		if before.PC == pc && at == nil {
			r := *before
			at = &r
		}
	}})
	require.NoError(m.t, err)
	require.NotNil(m.t, at, "did not reach %#x", pc)
	return at
}

func TestCaller_DirectCallAlone(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		op := m.newOps(opsSpec{fn: m.c.CallDirectFuncs, direct: m.addr("direct")})
		m.enable("dump", op)
		at := m.before("dump", m.addr("direct"))
		m.requireDirectState(at)
		assert.Equal(t, hex(op), hex(at.X[11]), "x11 is the ops")
		assert.Equal(t, poison(10), at.X[10], "x10 is untouched")
		assert.Equal(t, m.addr("direct"), at.X[17])
		m.requireUntouched(m.mustCall("dump"))
	})
}

// requireDirectState asserts how a direct trampoline is entered: as if the
// site's BL had led straight there.
func (m *machine) requireDirectState(at *emu.Regs) {
	m.t.Helper()
	for i := range 8 {
		require.EqualValues(m.t, 100+i, at.X[i], "x%d", i)
	}
	require.Equal(m.t, poison(8), at.X[8], "x8")
	for i := 18; i < 29; i++ {
		require.Equal(m.t, poison(i), at.X[i], "x%d", i)
	}
	require.Zero(m.t, at.X[29], "x29")
	require.EqualValues(m.t, uint64(emu.ReturnGate), at.X[9], "x9 is where the function returns to")
	require.Equal(m.t, m.site("dump")+4, at.X[30], "x30 is after the site")
	require.Equal(m.t, m.k.CPUs[0].StackTop, at.SP)
}

func TestCaller_DirectCallAfterTracers(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		calls := 0
		tracer := m.newOps(opsSpec{fn: m.goTracer(func(emu.CPU, uint64, uint64, uint64, uint64) { calls++ })})
		direct := m.newOps(opsSpec{fn: m.c.CallDirectFuncs, direct: m.addr("direct")})
		m.register(direct, tracer)
		m.enable("dump", m.c.ListOps)
		m.requireDirectState(m.before("dump", m.addr("direct")))
		m.requireUntouched(m.mustCall("dump"))
		assert.Equal(t, 2, calls)
		m.requireIdle()

		// An ops whose direct_call was taken away while it runs asks for nothing.
		m.put64(direct+uint64(m.l.Ops.DirectCall), 0)
		m.requireUntouched(m.mustCall("dump"))
		assert.Equal(t, 3, calls)
	})
}

func TestCallDirectFuncs_WithoutDirectCallAsksForNothing(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		op := m.newOps(opsSpec{direct: 0x1234})
		regs := m.alloc("fregs", m.l.Regs.Size)
		for _, v := range []struct{ directCall, want uint64 }{{0x1234, 0x1234}, {0, 0x1234}, {0x5678, 0x5678}} {
			m.put64(op+uint64(m.l.Ops.DirectCall), v.directCall)
			_, err := m.k.Call(context.Background(), 0, nil, m.c.CallDirectFuncs, 1, 2, op, regs)
			require.NoError(t, err)
			assert.Equal(t, v.want, m.fregs(regs).DirectTramp)
		}
	})
}

func TestStubDirectTramp_GoesOnAtTheSite(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		m.enable("dump", m.newOps(opsSpec{direct: m.c.StubDirectTramp}))
		m.requireUntouched(m.mustCall("dump"))

		// And where the site's BL goes straight to it.
		ip := m.site("dump")
		bl, err := asm.EncodeBL(ip, m.c.StubDirectTramp)
		require.NoError(t, err)
		require.NoError(t, m.k.Mem.Store32(ip, bl))
		m.k.Mem.SyncText(ip, 4)
		m.requireUntouched(m.mustCall("dump"))
	})
}

func TestCaller_InitialStateCallsNothing(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		t.Run("call_ops", func(t *testing.T) {
			m := bootCallOps(t, newEngine)
			m.enable("dump", m.c.NopOps)
			m.requireUntouched(m.mustCall("dump"))
			m.enable("dump", m.c.ListOps)
			m.requireUntouched(m.mustCall("dump"))
			m.requireIdle()
		})
		t.Run("global", func(t *testing.T) {
			m := boot(t, newEngine, bootOptions{})
			m.enable("dump", 0)
			m.requireUntouched(m.mustCall("dump"))
		})
	})
}

func TestReach_VeneersAreSharedAndBounded(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := boot(t, newEngine, bootOptions{})
		near, err := m.c.Reach(m.k.Mem, m.c.ListFunc)
		require.NoError(t, err)
		assert.Equal(t, m.c.ListFunc, near)

		first, err := m.c.Reach(m.k.Mem, emu.GateBase+16)
		require.NoError(t, err)
		again, err := m.c.Reach(m.k.Mem, emu.GateBase+16)
		require.NoError(t, err)
		assert.Equal(t, first, again)
		for i := range uint64(maxVeneers - 1) {
			_, err := m.c.Reach(m.k.Mem, 0x1234_5678_9abc_0000+4*i)
			require.NoError(t, err)
		}
		_, err = m.c.Reach(m.k.Mem, 0x42)
		assert.True(t, errors.Is(err, errno.ENOSPC), "%v", err)
	})
}

func TestFunctionTracer_WithoutRingDrops(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		m.enable("dump", m.newOps(opsSpec{fn: m.c.FunctionTracer}))
		m.requireUntouched(m.mustCall("dump"))
		m.requireIdle()
	})
}
