package trace

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernelimage"
	"callops/trampolines"
)

func ips(entries []Event) (ips []uint64) {
	for _, e := range entries {
		ips = append(ips, e.IP)
	}
	return ips
}

func sequence(first, n uint64) (s []uint64) {
	for i := range n {
		s = append(s, first+i)
	}
	return s
}

func TestFunctionTracer_RecordsCalls(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := boot(t, newEngine, 1)
		r, err := NewRing(m.k, 0, 100)
		require.NoError(t, err)
		assert.EqualValues(t, 128, r.slots)
		before := m.k.CPUs[0].Count()
		m.traceCalls(0, 50, 3)
		m.requireIdle()
		entries := r.Read()
		require.Len(t, entries, 3)
		last := before
		for i, e := range entries {
			ip := 50 + uint64(i)
			assert.Equal(t, Event{CPU: 0, IP: ip, ParentIP: ip + 1000, Time: e.Time}, e)
			assert.Greater(t, e.Time, last)
			last = e.Time
		}
		assert.LessOrEqual(t, last, m.k.CPUs[0].Count())
		assert.Empty(t, r.Read())
		assert.Zero(t, r.Overrun())
	})
}

func TestFunctionTracer_RecursionBit(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := boot(t, newEngine, 1)
		r, err := NewRing(m.k, 0, 16)
		require.NoError(t, err)
		word := m.k.CPUs[0].Task + uint64(m.l.Task.TraceRecursion)
		for _, v := range []struct {
			bits uint64
			want int
		}{
			{0x1f << 5, 1}, // the list's do not matter
			{1 << 3, 1},    // the transition
			{1<<3 | 1<<4, 0},
		} {
			m.put64(word, v.bits)
			m.traceCalls(0, 1, 1)
			assert.Len(t, r.Read(), v.want, "%#x", v.bits)
			assert.Equal(t, v.bits, m.get64(word))
		}
	})
}

func TestRing_OverwritesTheOldest(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := boot(t, newEngine, 1)
		r, err := NewRing(m.k, 0, 16)
		require.NoError(t, err)

		m.traceCalls(0, 0, 16)
		assert.Equal(t, sequence(0, 16), ips(r.Read()), "all slots hold entries")
		m.traceCalls(0, 16, 10)
		assert.Equal(t, sequence(16, 10), ips(r.Read()), "around the end")
		m.traceCalls(0, 26, 17)
		assert.Equal(t, sequence(27, 16), ips(r.Read()))
		assert.EqualValues(t, 1, r.Overrun())
		m.traceCalls(0, 100, 1000)
		assert.Equal(t, sequence(1084, 16), ips(r.Read()))
		assert.EqualValues(t, 1+984, r.Overrun())
	})
}

// An entry whose slot is claimed anew while it is read may be torn.
func TestRing_OverwrittenWhileRead(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := boot(t, newEngine, 1)
		r, err := NewRing(m.k, 0, 16)
		require.NoError(t, err)
		m.traceCalls(0, 0, 16)
		m.put64(r.base+trampolines.RingReserve, 18) // the writer is two entries further
		assert.Equal(t, sequence(2, 14), ips(r.Read()))
		assert.EqualValues(t, 2, r.Overrun())
	})
}

// interrupted runs the function tracer up to each of its instructions in turn
// and lets an interrupt trace there.
func TestRing_InterruptAtEveryInstruction(t *testing.T) {
	const hardirq = 0x10000
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		for at := 0; ; at++ {
			m := boot(t, newEngine, 1)
			r, err := NewRing(m.k, 0, 16)
			require.NoError(t, err)
			m.traceCalls(0, 0, 14) // so that the slots wrap
			steps := 0
			opts := &emu.CallOptions{OnStep: func(cpu emu.CPU, _ *emu.Regs) {
				if steps++; steps-1 != at {
					return
				}
				saved := *cpu.Regs()
				preempt := m.k.CPUs[0].Task + uint64(m.l.Task.PreemptCount)
				count := m.get64(preempt)
				m.put64(preempt, count+hardirq)
				m.traceCalls(0, 200, 3)
				m.put64(preempt, count)
				*cpu.Regs() = saved
			}}
			_, err = m.k.Call(context.Background(), 0, opts, m.c.FunctionTracer, 100, 1100, 0, 0)
			require.NoError(t, err)
			m.requireIdle()
			if steps <= at {
				break
			}
			var nested, outer []uint64
			entries := r.Read()
			require.Len(t, entries, 16, "interrupt after instruction %d", at)
			for _, e := range entries[12:] {
				assert.Equal(t, e.IP+1000, e.ParentIP, "whole entries")
				if e.IP == 100 {
					outer = append(outer, e.IP)
				} else {
					nested = append(nested, e.IP)
				}
			}
			assert.Equal(t, sequence(200, 3), nested, "interrupt after instruction %d", at)
			assert.Len(t, outer, 1)
			assert.EqualValues(t, 2, r.Overrun())
		}
	})
}

// More calls in an interrupt than there are slots must not touch the entry
// that was being written.
func TestRing_InterruptStorm(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := boot(t, newEngine, 1)
		r, err := NewRing(m.k, 0, 16)
		require.NoError(t, err)
		claimed := false
		opts := &emu.CallOptions{OnStep: func(cpu emu.CPU, _ *emu.Regs) {
			if claimed || m.get64(r.base+trampolines.RingReserve) == 0 {
				return
			}
			claimed = true
			saved := *cpu.Regs()
			preempt := m.k.CPUs[0].Task + uint64(m.l.Task.PreemptCount)
			count := m.get64(preempt)
			m.put64(preempt, count+0x10000)
			m.traceCalls(0, 200, 40)
			m.put64(preempt, count)
			*cpu.Regs() = saved
		}}
		_, err = m.k.Call(context.Background(), 0, opts, m.c.FunctionTracer, 100, 1100, 0, 0)
		require.NoError(t, err)
		assert.Equal(t, append([]uint64{100}, sequence(200, 15)...), ips(r.Read()))
		assert.EqualValues(t, 25, r.Overrun())
		m.requireIdle()
	})
}

func TestRing_HammerReadWhileWritten(t *testing.T) {
	const calls = 20_000
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := boot(t, newEngine, 1)
		r, err := NewRing(m.k, 0, 64)
		require.NoError(t, err)
		done := make(chan error)
		go func() {
			for i := range uint64(calls) {
				if _, err := m.k.Call(context.Background(), 0, nil, m.c.FunctionTracer, i, i+1000, 0, 0); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		read, next := uint64(0), uint64(0)
		check := func() { // asserts only: the writer has to end before the kernel is closed
			for _, e := range r.Read() {
				assert.Equal(t, e.IP+1000, e.ParentIP, "a whole entry")
				assert.GreaterOrEqual(t, e.IP, next, "in order")
				next = e.IP + 1
				read++
			}
			assert.Equal(t, r.next, read+r.Overrun(), "none is lost unnoticed")
		}
		for running := true; running; {
			select {
			case err := <-done:
				assert.NoError(t, err)
				running = false
			default:
			}
			check()
		}
		assert.EqualValues(t, calls, r.next)
	})
}

func TestRing_OneForEachCPU(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := boot(t, newEngine, 2)
		var rings []*Ring
		for cpu := range 2 {
			r, err := NewRing(m.k, cpu, 16)
			require.NoError(t, err)
			rings = append(rings, r)
		}
		m.traceCalls(0, 10, 2)
		m.traceCalls(1, 20, 3)
		for cpu, want := range [][]uint64{sequence(10, 2), sequence(20, 3)} {
			entries := rings[cpu].Read()
			assert.Equal(t, want, ips(entries))
			for _, e := range entries {
				assert.EqualValues(t, cpu, e.CPU)
			}
		}
	})
}

func TestNewRing_Refuses(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := boot(t, newEngine, 1)
		for _, v := range [][2]int{{-1, 16}, {1, 16}, {0, 0}, {0, -5}, {0, MaxSlots + 1}} {
			_, err := NewRing(m.k, v[0], v[1])
			assert.True(t, errors.Is(err, errno.EINVAL), "%v: %v", v, err)
		}
	})
}

func TestNewRing_NoPlaceForIt(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		img, err := kernelimage.Builtin(nil)
		require.NoError(t, err)
		without := img.Parts()
		without.Layout.PerCPU.RingBuffer = kernelimage.Absent
		m := bootImage(t, newEngine, kernelimage.New(without), 1)
		assert.Zero(t, m.c.FunctionTracer)
		_, err = NewRing(m.k, 0, 16)
		assert.ErrorIs(t, err, errno.EOPNOTSUPP)
		_, err = NewRing(nil, 0, 16)
		assert.ErrorIs(t, err, errno.EINVAL)
	})
}
