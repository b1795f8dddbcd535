package enginetest

import (
	"context"
	"errors"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
)

// gate adds a gate and returns its address.
func (m *machine) gate(name string, f emu.GateFunc) uint64 {
	m.Helper()
	addr, err := m.gates.Add(name, f)
	require.NoError(m, err)
	return addr
}

// callThrough is a function that calls the address in x9 and adds 1 to what
// it returned: 7 instructions.
func (m *machine) callThrough() uint64 {
	return m.code(
		asm.Stp(asm.FP, asm.LR, asm.Pre(asm.SP, -16)), asm.Mov(asm.FP, asm.SP), asm.Blr(asm.X9),
		asm.AddImm(asm.X0, asm.X0, 1), asm.Ldp(asm.FP, asm.LR, asm.Post(asm.SP, 16)), asm.Nop())
}

// guestCall calls f through the Caller, on a fresh stack, with x9 set.
func (m *machine) guestCall(opts *emu.CallOptions, f, x9 uint64, args ...uint64) (emu.Result, error) {
	*m.regs = emu.Regs{SP: stackTop}
	m.regs.X[9] = x9
	return m.caller.Call(context.Background(), m.cpu, opts, f, args...)
}

var gateCases = []testCase{
	{"a run that starts on a gate ends at once", func(m *machine) {
		g := m.gate("g", nil)
		m.enter(g)
		assert.Equal(m, emu.Exit{Reason: emu.ExitGate, PC: g}, m.run(10))
		m.enter(emu.GateBase + emu.GateSize - 4)
		assert.Equal(m, emu.ExitGate, m.run(0).Reason, "whatever the budget, wherever in the area")
		assert.Zero(m, m.cpu.Count())
	}},
	{"a gate gets arguments and returns a result", func(m *machine) {
		var got [8]uint64
		g := m.gate("g", func(_ emu.CPU, args [8]uint64) (uint64, error) { got = args; return 41, nil })
		res, err := m.guestCall(nil, m.callThrough(), g, 1, 2, 3, 4, 5, 6, 7, 8)
		require.NoError(m, err)
		assert.Equal(m, [8]uint64{1, 2, 3, 4, 5, 6, 7, 8}, got)
		assert.Equal(m, emu.Result{X0: 42, Count: 7}, res)
	}},
	{"registers are the caller's again after a call", func(m *machine) {
		g := m.gate("g", func(emu.CPU, [8]uint64) (uint64, error) { return 0, nil })
		f := m.callThrough()
		*m.regs = emu.Regs{SP: stackTop - 8, NZCV: flagC, PC: 4}
		m.regs.X[9] = g
		want := *m.regs
		_, err := m.caller.Call(context.Background(), m.cpu, nil, f)
		require.NoError(m, err)
		assert.Equal(m, want, *m.regs)
	}},
	{"a gate calls guest code on the same CPU", func(m *machine) {
		double := m.code(asm.Add(asm.X0, asm.X0, asm.X0))
		g := m.gate("g", func(cpu emu.CPU, args [8]uint64) (uint64, error) {
			res, err := m.caller.Call(context.Background(), cpu, nil, double, args[0])
			assert.Equal(m, uint64(2), res.Count)
			return res.X0, err
		})
		res, err := m.guestCall(nil, m.callThrough(), g, 21)
		require.NoError(m, err)
		assert.Equal(m, emu.Result{X0: 43, Count: 9}, res, "the nested call counts")
	}},
	{"gates nest", func(m *machine) {
		f := m.callThrough()
		var g uint64
		g = m.gate("g", func(cpu emu.CPU, args [8]uint64) (uint64, error) {
			if args[0] == 0 {
				return 0, nil
			}
			cpu.Regs().X[9] = g
			res, err := m.caller.Call(context.Background(), cpu, nil, f, args[0]-1)
			return res.X0, err
		})
		res, err := m.guestCall(nil, f, g, 10)
		require.NoError(m, err)
		assert.Equal(m, uint64(11), res.X0)
	}},
	{"a gate's error ends the call", func(m *machine) {
		boom := errors.New("boom")
		g := m.gate("explode", func(emu.CPU, [8]uint64) (uint64, error) { return 0, boom })
		_, err := m.guestCall(nil, m.callThrough(), g)
		require.ErrorIs(m, err, boom)
		assert.ErrorContains(m, err, "explode")
	}},
	{"a gate that was not added is a fault", func(m *machine) {
		f := m.callThrough()
		for _, addr := range []uint64{emu.GateBase + 0x800, emu.GateBase + 4} {
			_, err := m.guestCall(nil, f, addr)
			var fault *emu.Fault
			require.ErrorAs(m, err, &fault)
			assert.Equal(m, addr, fault.Addr)
		}
	}},
	{"a call that does not return is an error", func(m *machine) {
		f := m.place(func(b *asm.Builder) { loop := b.Here("loop"); b.Emit(asm.Nop(), asm.B(loop)) }).Base
		res, err := m.guestCall(&emu.CallOptions{Budget: 1001}, f, 0)
		require.ErrorIs(m, err, emu.ErrBudget)
		var ce *emu.CallError
		require.ErrorAs(m, err, &ce)
		assert.Equal(m, uint64(1001), res.Count)
		assert.Equal(m, f+4, ce.Regs.PC)
		assert.Equal(m, f, ce.Recent[len(ce.Recent)-1])
	}},
	{"a budget that is just enough", func(m *machine) {
		g := m.gate("g", func(emu.CPU, [8]uint64) (uint64, error) { return 0, nil })
		f := m.callThrough()
		res, err := m.guestCall(&emu.CallOptions{Budget: 8}, f, g)
		require.NoError(m, err)
		assert.Equal(m, uint64(7), res.Count, "the gate takes one of the budget, and is no instruction")
		_, err = m.guestCall(&emu.CallOptions{Budget: 7}, f, g)
		require.ErrorIs(m, err, emu.ErrBudget)
	}},
	{"a fault ends the call and reports where", func(m *machine) {
		f := m.code(asm.Nop(), asm.Ldr(asm.X0, asm.Base(asm.X0)))
		_, err := m.guestCall(nil, f, 0, unmapped)
		require.ErrorIs(m, err, errno.EFAULT)
		var ce *emu.CallError
		require.ErrorAs(m, err, &ce)
		assert.Equal(m, f+4, ce.Regs.PC)
		assert.Equal(m, []uint64{f}, ce.Recent)
	}},
	{"an exception ends the call", func(m *machine) {
		_, err := m.guestCall(nil, m.code(asm.Brk(1)), 0)
		var ee *emu.ExitError
		require.ErrorAs(m, err, &ee)
		assert.Equal(m, emu.ExitException, ee.Exit.Reason)
	}},
	{"an exception that is handled does not end the call", func(m *machine) {
		for name, step := range map[string]func(emu.CPU, *emu.Regs){"run": nil, "steps": func(emu.CPU, *emu.Regs) {}} {
			var seen []emu.Exit
			caller := &emu.Caller{Gates: m.gates, Exception: func(cpu emu.CPU, exit emu.Exit) error {
				seen = append(seen, exit)
				cpu.Regs().X[0]++
				cpu.Regs().PC += 4
				return nil
			}}
			f := m.code(asm.Brk(1), asm.AddImm(asm.X0, asm.X0, 1), asm.Brk(2))
			call := func(budget uint64) (emu.Result, error) {
				*m.regs = emu.Regs{SP: stackTop}
				return caller.Call(context.Background(), m.cpu, &emu.CallOptions{Budget: budget, OnStep: step}, f, 5)
			}
			res, err := call(4)
			require.NoError(m, err, name)
			assert.Equal(m, emu.Result{X0: 8, Count: 2}, res, "%s: no instruction, and one of the budget", name)
			require.Len(m, seen, 2, name)
			assert.Equal(m, emu.Exit{Reason: emu.ExitException, PC: f, Word: m.word(asm.Brk(1))}, seen[0], name)
			_, err = call(3)
			require.ErrorIs(m, err, emu.ErrBudget, name)
		}
	}},
	{"single steps are shown", func(m *machine) {
		g := m.gate("g", func(emu.CPU, [8]uint64) (uint64, error) { return 5, nil })
		f := m.callThrough()
		var pcs []uint64
		res, err := m.guestCall(&emu.CallOptions{OnStep: func(_ emu.CPU, before *emu.Regs) { pcs = append(pcs, before.PC) }}, f, g)
		require.NoError(m, err)
		assert.Equal(m, emu.Result{X0: 6, Count: 7}, res)
		assert.Equal(m, []uint64{f, f + 4, f + 8, f + 12, f + 16, f + 20, f + 24}, pcs)
	}},
	{"a tail call reaches a gate with the caller's return address", func(m *machine) {
		g := m.gate("g", func(cpu emu.CPU, _ [8]uint64) (uint64, error) { return cpu.Regs().X[30], nil })
		res, err := m.guestCall(nil, m.code(asm.Br(asm.X9)), g)
		require.NoError(m, err)
		assert.Equal(m, emu.Result{X0: emu.ReturnGate, Count: 1}, res)
	}},
}
