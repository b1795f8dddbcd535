package trampolines

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"

	"callops/emu"
)

const recursion = 1 << 4 // FTRACE_OPS_FL_RECURSION

// newSet makes a set of these ops, with the func that package ftrace gives it.
func (m *machine) newSet(protect bool, ops ...uint64) uint64 {
	m.t.Helper()
	set := m.alloc("set", int(SetSize(m.l.Ops.Size, len(ops))))
	fn := m.c.SetFunc
	if protect {
		fn = m.c.SetAssistFunc
	}
	m.put64(set+uint64(m.l.Ops.Func), fn)
	m.put64(set+uint64(m.l.Ops.Flags), stub)
	for i, op := range ops {
		m.put64(set+uint64(m.l.Ops.Size+8*i), op)
	}
	return set
}

// forSets runs a test on every engine with both functions.
func forSets(t *testing.T, f func(t *testing.T, m *machine, protect bool)) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		for _, protect := range []bool{false, true} {
			t.Run(fmt.Sprintf("protect=%t", protect), func(t *testing.T) { f(t, bootCallOps(t, newEngine), protect) })
		}
	})
}

func TestSet_CallsInOrderWithAllArguments(t *testing.T) {
	forSets(t, func(t *testing.T, m *machine, protect bool) {
		var got [][4]uint64
		fn := m.goTracer(func(cpu emu.CPU, ip, parent, ops, fregs uint64) {
			got = append(got, [4]uint64{ip, parent, ops, fregs})
			assert.Zero(t, cpu.Regs().SP%16)
		})
		for n := 1; n <= 4; n++ {
			var ops []uint64
			var want [][4]uint64
			fregs := m.k.CPUs[0].StackTop - 144
			for range n {
				ops = append(ops, m.newOps(opsSpec{fn: fn}))
				want = append(want, [4]uint64{m.site("dump"), emu.ReturnGate, ops[len(ops)-1], fregs})
			}
			got = nil
			m.enable("dump", m.newSet(protect, ops...))
			m.requireUntouched(m.mustCall("dump"))
			assert.Equal(t, want, got)
			m.requireIdle()
		}
	})
}

func TestSet_LooksIntoNoFilterAndAtNoList(t *testing.T) {
	forSets(t, func(t *testing.T, m *machine, protect bool) {
		r := m.recorder()
		elsewhere := m.newOps(opsSpec{fn: r.fn, filter: m.newHash(0, 0, 0x1234)})
		m.register(m.newOps(opsSpec{fn: r.fn}))
		m.enable("dump", m.newSet(protect, elsewhere))
		m.mustCall("dump")
		assert.Equal(t, []uint64{elsewhere}, r.take())
	})
}

func TestSet_BacktraceShowsEveryFrame(t *testing.T) {
	forSets(t, func(t *testing.T, m *machine, protect bool) {
		var trace []uint64
		op := m.newOps(opsSpec{fn: m.goTracer(func(emu.CPU, uint64, uint64, uint64, uint64) { trace = m.k.Backtrace(0) })})
		m.enable("dump", m.newSet(protect, op, op))
		m.mustCall("dump")
		var names []string
		for _, pc := range trace[1:] {
			sym, _, _ := m.k.Symbols.At(pc)
			names = append(names, sym.Name)
		}
		fn := map[bool]string{false: "ftrace_ops_set_func", true: "ftrace_ops_set_assist_func"}[protect]
		assert.Equal(t, []string{fn, "ftrace_caller", "dump", ""}, names)
	})
}

// What is asked for is done: RCU for those that ask, the recursion bit and
// preemption for all of a set in which one does.
func TestSet_ProtectsWhatAsks(t *testing.T) {
	forSets(t, func(t *testing.T, m *machine, protect bool) {
		r := m.recorder()
		var words []uint64
		task := m.k.CPUs[0].Task
		probe := m.newOps(opsSpec{flags: recursion, fn: m.goTracer(func(emu.CPU, uint64, uint64, uint64, uint64) {
			words = []uint64{m.get64(task + uint64(m.l.Task.TraceRecursion)), m.get64(task+uint64(m.l.Task.PreemptCount)) & 0xff}
		})})
		plain, wantsRCU := m.newOps(opsSpec{fn: r.fn}), m.newOps(opsSpec{fn: r.fn, flags: rcu})
		m.enable("dump", m.newSet(protect, probe, wantsRCU, plain))
		state := m.k.CPUs[0].PerCPU + uint64(m.l.PerCPU.ContextState)
		for _, watching := range []bool{true, false} {
			m.put32(state, map[bool]uint32{true: 4}[watching])
			m.mustCall("dump")
			m.requireIdle()
			if !protect {
				assert.Equal(t, []uint64{0, 0}, words)
				assert.Equal(t, []uint64{wantsRCU, plain}, r.take())
				continue
			}
			assert.Equal(t, []uint64{1 << (traceListStart + ctxNormal), 1}, words)
			want := []uint64{plain}
			if watching {
				want = []uint64{wantsRCU, plain}
			}
			assert.Equal(t, want, r.take(), "watching %v", watching)
		}
	})
}

func TestSet_RefusesRecursion(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		r := m.recorder()
		m.enable("dump", m.newSet(true, m.newOps(opsSpec{fn: r.fn, flags: recursion})))
		word := m.k.CPUs[0].Task + uint64(m.l.Task.TraceRecursion)
		both := uint64(1<<(traceListStart+ctxNormal) | 1<<(traceListStart+ctxTransition))
		m.put64(word, both)
		m.requireUntouched(m.mustCall("dump"))
		assert.Empty(t, r.take())
		assert.Equal(t, both, m.get64(word), "what others hold stays")
	})
}

func TestSet_DirectCallOfAnOps(t *testing.T) {
	forSets(t, func(t *testing.T, m *machine, protect bool) {
		r := m.recorder()
		direct := m.newOps(opsSpec{fn: m.c.CallDirectFuncs, direct: m.addr("landing")})
		m.enable("dump", m.newSet(protect, m.newOps(opsSpec{fn: r.fn}), direct))
		_, res, err := m.call("dump", nil)
		assert.NoError(t, err)
		assert.EqualValues(t, 3, res.X0, "the trampoline goes to the direct call on its way out")
		assert.Len(t, r.take(), 1)
	})
}

// What a call costs on a site with a set, over an untraced one, with the
// sample's three-instruction tracer. Ops elsewhere cost nothing.
//
//	                       here    the list
//	plain, one              49         107
//	protected, one          76         107
//	each further one     9, 11          31
const (
	costSet        = 49 - costSetOps
	costSetOps     = 9
	costAssist     = 76 - costAssistOps
	costAssistOps  = 11
	costRCUWatched = 4
)

func TestCost_Set(t *testing.T) {
	forSets(t, func(t *testing.T, m *machine, protect bool) {
		var ops []uint64
		for n := 1; n <= 100; n++ {
			ops = append(ops, m.newOps(opsSpec{fn: m.c.OpsFuncNop}))
			if n > 4 && n%10 != 0 {
				continue
			}
			m.enable("dump", m.newSet(protect, ops...))
			want := costSet + n*costSetOps
			if protect {
				want = costAssist + n*costAssistOps
			}
			assert.Equal(t, want, m.overhead("dump"), "%d ops", n)
			m.disable("dump")
		}
	})
}

func TestCost_SetOfOpsThatAskForRCU(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		op := m.newOps(opsSpec{fn: m.c.OpsFuncNop, flags: rcu})
		m.enable("dump", m.newSet(true, op, op))
		assert.Equal(t, costAssist+2*(costAssistOps+costRCUWatched), m.overhead("dump"))
	})
}

// Any set calls what the list function calls where the list is the set.
func TestSet_CallsWhatTheListFunctionCalls(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		rnd := rand.New(rand.NewPCG(1, 1))
		m := bootCallOps(t, newEngine)
		r := m.recorder()
		state := m.k.CPUs[0].PerCPU + uint64(m.l.PerCPU.ContextState)
		for range 30 {
			var ops []uint64
			for range 1 + rnd.IntN(5) {
				ops = append(ops, m.newOps(opsSpec{fn: r.fn, flags: []uint64{0, rcu, recursion, rcu | recursion}[rnd.IntN(4)]}))
			}
			m.register(ops...)
			m.put32(state, []uint32{0, 4}[rnd.IntN(2)])
			m.enable("dump", m.c.ListOps)
			m.mustCall("dump")
			want := r.take()
			m.enable("dump", m.newSet(true, ops...))
			m.mustCall("dump")
			assert.Equal(t, want, r.take())
		}
	})
}
