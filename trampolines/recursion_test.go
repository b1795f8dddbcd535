package trampolines

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
)

// A tracer that calls a traced function gets in once more, on the transition
// bit, and no further.
func TestRecursion_EndsAfterTheTransition(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		for _, v := range []struct {
			name string
			call func(m *machine) (fn uint64)
		}{
			{"list", func(m *machine) uint64 { return m.c.ListFunc }},
			{"assist", func(m *machine) uint64 { return m.c.AssistFunc }},
			{"set", func(m *machine) uint64 { return m.c.SetAssistFunc }},
		} {
			t.Run(v.name, func(t *testing.T) {
				m := bootCallOps(t, newEngine)
				var recursion, preempt []uint64
				var op uint64
				arg := func() uint64 {
					if fn := v.call(m); fn == m.c.SetAssistFunc {
						return m.newSet(true, op)
					}
					return op
				}
				nested := func() {
					_, err := m.k.Call(context.Background(), 0, nil, v.call(m), 1, 2, arg(), 4)
					require.NoError(t, err)
				}
				op = m.newOps(opsSpec{fn: m.goTracer(func(emu.CPU, uint64, uint64, uint64, uint64) {
					p, r := m.task()
					preempt, recursion = append(preempt, p), append(recursion, r)
					if len(recursion) > 10 {
						t.Fatal("recursion without end")
					}
					nested()
				})})
				m.register(op)
				nested()
				assert.Equal(t, []uint64{1 << 8, 1<<8 | 1<<9}, recursion)
				assert.Equal(t, []uint64{preemptEnabled + 1, preemptEnabled + 2}, preempt)
				m.requireIdle()
			})
		}
	})
}

// An interrupt at any instruction of a traced call traces as well: on its own
// context's bit, or, before preempt_count tells, on the transition bit. The
// call that it interrupted notices nothing.
func TestRecursion_InterruptAtEveryInstruction(t *testing.T) {
	const hardirq = 0x10000
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		for _, v := range []struct {
			name  string
			count uint64
			set   bool
		}{
			{"hardirq", hardirq, false},
			{"transition", 0, false},
			{"hardirq, set", hardirq, true},
			{"transition, set", 0, true},
		} {
			count := v.count
			t.Run(v.name, func(t *testing.T) {
				m := bootCallOps(t, newEngine)
				op := m.newOps(opsSpec{fn: m.c.OpsFuncCount})
				m.register(op)
				literal := m.c.ListOps
				if v.set {
					literal = m.newSet(true, op)
				}
				m.enable("dump", literal)
				preempt := m.k.CPUs[0].Task + uint64(m.l.Task.PreemptCount)
				for at := 0; ; at++ {
					m.put64(op+uint64(m.l.Ops.Size), 0)
					steps := 0
					dump, _, err := m.call("dump", &emu.CallOptions{OnStep: func(emu.CPU, *emu.Regs) {
						if steps++; steps-1 == at {
							before := m.get64(preempt)
							m.put64(preempt, before+count)
							m.callList(1)
							m.put64(preempt, before)
						}
					}})
					require.NoError(t, err)
					m.requireUntouched(dump)
					m.requireIdle()
					if steps <= at {
						return
					}
					// A count between load and store is lost: it is not atomic.
					counted := m.get64(op + uint64(m.l.Ops.Size))
					assert.True(t, counted == 2 || counted == 1, "%d calls counted, after instruction %d", counted, at)
				}
			})
		}
	})
}

func TestRecursion_BitOfEachContext(t *testing.T) {
	const nmi, hardirq, softirq, bhOff = 0x100000, 0x10000, 0x100, 0x200
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		for _, v := range []struct {
			name  string
			count uint32
			bit   int
		}{
			{"normal", 0, 3},
			{"preemption off", 1, 3},
			{"softirqs off", bhOff, 3},
			{"softirq", softirq, 2},
			{"softirq with softirqs off", softirq | bhOff, 2},
			{"hardirq", hardirq, 1},
			{"hardirq in softirq", hardirq | softirq, 1},
			{"nested hardirqs", 15 * hardirq, 1},
			{"nmi", nmi, 0},
			{"nmi in all else", 3*nmi | hardirq | softirq | 7, 0},
		} {
			t.Run(v.name, func(t *testing.T) {
				m.setPreemptCount(v.count)
				for fn, start := range map[uint64]int{
					m.c.ListFunc: traceListStart, m.c.AssistFunc: traceListStart, m.c.FunctionTracer: traceFtraceStart,
				} {
					var seen uint64
					opts := &emu.CallOptions{OnStep: func(emu.CPU, *emu.Regs) {
						_, recursion := m.task()
						seen |= recursion
					}}
					_, err := m.k.Call(context.Background(), 0, opts, fn, 1, 2, m.c.NopOps, 4)
					require.NoError(t, err)
					assert.Equal(t, uint64(1)<<(start+v.bit), seen)
					preempt, after := m.task()
					assert.EqualValues(t, preemptEnabled|uint64(v.count), preempt)
					assert.Zero(t, after)
				}
				m.setPreemptCount(0)
			})
		}
	})
}

// Bits of other kinds and contexts do not stand in the way, and stay.
func TestRecursion_OtherBitsStay(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		r := m.recorder()
		m.register(m.newOps(opsSpec{fn: r.fn}))
		word := m.k.CPUs[0].Task + uint64(m.l.Task.TraceRecursion)
		for _, v := range []struct {
			before, after uint64
			called        int
		}{
			{1 << 3, 1 << 3, 1},             // a callback's
			{7 << 5, 7 << 5, 1},             // NMI, IRQ, softirq
			{1 << 8, 1 << 8, 1},             // normal: goes in on the transition bit
			{1 << 9, 1 << 9, 1},             // the transition bit alone
			{3 << 8, 3 << 8, 0},             // both
			{1<<40 | 1<<16, 1 << 16, 1},     // an unsigned int is written back
			{3<<8 | 1<<40, 3<<8 | 1<<40, 0}, // nothing is
			{0xffff_fcff, 0xffff_fcff, 1},   // all others
			{0xffff_feff, 0xffff_feff, 1},   // all but normal
			{0xffff_ffff, 0xffff_ffff, 0},   // all
		} {
			m.put64(word, v.before)
			m.callList(1)
			assert.Len(t, r.take(), v.called, "%#x", v.before)
			assert.Equal(t, hex(v.after), hex(m.get64(word)), "%#x", v.before)
		}
		m.put64(word, 0)
		m.requireIdle()
	})
}

func TestRecursion_ReschedulesOnce(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		var scheduled []uint64
		var m *machine
		schedule := func(cpu emu.CPU, _ [8]uint64) (uint64, error) {
			preempt, recursion := m.task()
			scheduled = append(scheduled, recursion)
			assert.Zero(t, preempt, "preemption is enabled and a reschedule is due")
			for i := range 18 {
				cpu.Regs().X[i] = poison(i)
			}
			return 0, m.k.Mem.Store32(cpu.Regs().SPEL0+uint64(m.l.Task.PreemptCount)+4, 1)
		}
		m = boot(t, newEngine, bootOptions{Options: Options{CallOps: true, PreemptSchedule: schedule}})
		resched := func() { m.put32(m.k.CPUs[0].Task+uint64(m.l.Task.PreemptCount)+4, 0) }

		r := m.recorder()
		op := m.newOps(opsSpec{fn: r.fn})
		m.register(op)
		m.enable("dump", m.c.ListOps)
		m.requireUntouched(m.mustCall("dump"))
		assert.Empty(t, scheduled)

		resched()
		m.requireUntouched(m.mustCall("dump"))
		assert.Equal(t, []uint64{1 << 8}, scheduled, "once, with the bit still held")
		m.requireIdle()

		// Not while the caller has preemption disabled.
		resched()
		m.setPreemptCount(1)
		m.mustCall("dump")
		assert.Len(t, scheduled, 1)
		m.setPreemptCount(0)

		_, err := m.k.Call(context.Background(), 0, nil, m.c.AssistFunc, 1, 2, op, 4)
		require.NoError(t, err)
		assert.Len(t, scheduled, 2)
		m.requireIdle()
	})
}

// An interrupt can ask for a reschedule at any instruction. While preemption is
// disabled it cannot act on it, so the code that enables preemption has to.
func TestRecursion_LosesNoReschedule(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		scheduled := 0
		var m *machine
		schedule := func(cpu emu.CPU, _ [8]uint64) (uint64, error) {
			scheduled++
			return 0, m.k.Mem.Store32(cpu.Regs().SPEL0+uint64(m.l.Task.PreemptCount)+4, 1)
		}
		m = boot(t, newEngine, bootOptions{Options: Options{CallOps: true, PreemptSchedule: schedule}})
		op := m.newOps(opsSpec{fn: m.c.OpsFuncNop})
		m.register(op)
		word := m.k.CPUs[0].Task + uint64(m.l.Task.PreemptCount)
		for _, fn := range []uint64{m.c.ListFunc, m.c.AssistFunc, m.c.FunctionTracer} {
			late := 0
			for at := 0; ; at++ {
				scheduled = 0
				steps, want := 0, 0
				_, err := m.k.Call(context.Background(), 0, &emu.CallOptions{OnStep: func(emu.CPU, *emu.Regs) {
					if steps++; steps-1 != at {
						return
					}
					if uint32(m.get64(word)) != 0 {
						m.put32(word+4, 0)
						want = 1
					}
				}}, fn, 1, 2, op, 4)
				require.NoError(t, err)
				if steps <= at {
					break
				}
				assert.Equal(t, want, scheduled, "%s, after instruction %d", m.k.Symbols.Format(fn), at)
				late += want
				m.requireIdle()
			}
			assert.Greater(t, late, 5)
		}
	})
}

func TestPreemptSchedule_DefaultClearsNeedResched(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		m.put64(m.k.CPUs[0].Task+uint64(m.l.Task.PreemptCount), 0)
		m.callList(1)
		m.requireIdle()
	})
}
