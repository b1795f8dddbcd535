package enginetest

import (
	"context"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
)

// selfReturn is a function that jumps to the address in x9 with x30 there too,
// so that what serves the gate at x9 returns to it: 2 instructions.
func (m *machine) selfReturn() uint64 { return m.code(asm.Mov(asm.LR, asm.X9), asm.Br(asm.X9)) }

// forever is a function that does not return.
func (m *machine) forever() uint64 {
	return m.place(func(b *asm.Builder) { loop := b.Here("forever"); b.Emit(asm.Nop(), asm.B(loop)) }).Base
}

// callUnder calls f with x9 set, as guestCall, under a context.
func (m *machine) callUnder(ctx context.Context, opts *emu.CallOptions, f, x9 uint64) (emu.Result, error) {
	*m.regs = emu.Regs{SP: stackTop}
	m.regs.X[9] = x9
	return m.caller.Call(ctx, m.cpu, opts, f)
}

// Guest code that goes from gate to gate, and gates that call guest code: what
// ends a call ends those too.
var nestedCases = []testCase{
	{"a gate that returns to itself uses up the budget", func(m *machine) {
		for name, step := range map[string]func(emu.CPU, *emu.Regs){"run": nil, "steps": func(emu.CPU, *emu.Regs) {}} {
			served := 0
			g := m.gate("again", func(emu.CPU, [8]uint64) (uint64, error) { served++; return 0, nil })
			res, err := m.guestCall(&emu.CallOptions{Budget: 1000, OnStep: step}, m.selfReturn(), g)
			require.ErrorIs(m, err, emu.ErrBudget, name)
			var ce *emu.CallError
			require.ErrorAs(m, err, &ce, name)
			assert.Equal(m, g, ce.Regs.PC, name)
			assert.Equal(m, 998, served, name)
			assert.Equal(m, uint64(2), res.Count, "%s: what is counted was executed", name)
		}
	}},
	{"a context ends between two gates", func(m *machine) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		served := 0
		g := m.gate("again", func(emu.CPU, [8]uint64) (uint64, error) {
			if served++; served == 10 {
				cancel()
			}
			return 0, nil
		})
		_, err := m.callUnder(ctx, nil, m.selfReturn(), g)
		require.ErrorIs(m, err, context.Canceled)
		assert.Equal(m, 10, served)
	}},
	{"a call that has returned is not undone by its context", func(m *machine) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		g := m.gate("last", func(emu.CPU, [8]uint64) (uint64, error) { cancel(); return 7, nil })
		res, err := m.callUnder(ctx, nil, m.code(asm.Br(asm.X9)), g)
		require.NoError(m, err)
		assert.Equal(m, uint64(7), res.X0)
	}},
	{"a nested call has what is left of the budget", func(m *machine) {
		for name, opts := range map[string]*emu.CallOptions{"none of its own": nil, "a larger one": {Budget: 1 << 40}} {
			forever, inner := m.forever(), error(nil)
			g := m.gate("nest", func(cpu emu.CPU, _ [8]uint64) (uint64, error) {
				var res emu.Result
				res, inner = m.caller.Call(context.Background(), cpu, opts, forever)
				assert.Equal(m, uint64(1000-3-1), res.Count, name)
				return 0, nil
			})
			res, err := m.guestCall(&emu.CallOptions{Budget: 1000}, m.callThrough(), g)
			require.ErrorIs(m, inner, emu.ErrBudget, name)
			require.ErrorIs(m, err, emu.ErrBudget, "%s: also where the gate takes no notice", name)
			assert.Equal(m, uint64(999), res.Count, name)
		}
	}},
	{"a nested call's own budget ends that call alone", func(m *machine) {
		forever := m.forever()
		g := m.gate("nest", func(cpu emu.CPU, _ [8]uint64) (uint64, error) {
			_, err := m.caller.Call(context.Background(), cpu, &emu.CallOptions{Budget: 100}, forever)
			require.ErrorIs(m, err, emu.ErrBudget)
			return 41, nil
		})
		const needs = 7 + 1 + 100 // callThrough, the gate, what it calls
		res, err := m.guestCall(&emu.CallOptions{Budget: needs}, m.callThrough(), g)
		require.NoError(m, err)
		assert.Equal(m, emu.Result{X0: 42, Count: 107}, res)
		_, err = m.guestCall(&emu.CallOptions{Budget: needs - 1}, m.callThrough(), g)
		require.ErrorIs(m, err, emu.ErrBudget)
	}},
	{"steps that call guest code share the budget", func(m *machine) {
		double := m.code(asm.Add(asm.X0, asm.X0, asm.X0))
		opts := &emu.CallOptions{Budget: 9, OnStep: func(cpu emu.CPU, _ *emu.Regs) {
			_, _ = m.caller.Call(context.Background(), cpu, nil, double)
		}}
		res, err := m.guestCall(opts, m.code(asm.Nop(), asm.Nop()), 0)
		require.NoError(m, err)
		assert.Equal(m, uint64(9), res.Count, "three, and two in each step")
		opts.Budget = 8
		_, err = m.guestCall(opts, m.code(asm.Nop(), asm.Nop(), asm.Nop()), 0)
		require.ErrorIs(m, err, emu.ErrBudget)
	}},
	{"a nested call ends with the context of the call around it", func(m *machine) {
		own, drop := context.WithCancel(context.Background())
		defer drop()
		for name, inner := range map[string]context.Context{"without one": context.Background(), "with its own": own} {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			forever, nested := m.forever(), error(nil)
			g := m.gate("nest", func(cpu emu.CPU, _ [8]uint64) (uint64, error) {
				cancel()
				_, nested = m.caller.Call(inner, cpu, nil, forever)
				return 0, nil
			})
			_, err := m.callUnder(ctx, nil, m.callThrough(), g)
			require.ErrorIs(m, nested, context.Canceled, name)
			require.ErrorIs(m, err, context.Canceled, name)
		}
	}},
	{"a nested call's own context ends that call alone", func(m *machine) {
		outer, cancel := context.WithCancel(context.Background())
		defer cancel()
		forever := m.forever()
		g := m.gate("nest", func(cpu emu.CPU, _ [8]uint64) (uint64, error) {
			ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
			defer cancel()
			_, err := m.caller.Call(ctx, cpu, nil, forever)
			require.ErrorIs(m, err, context.DeadlineExceeded)
			return 41, nil
		})
		res, err := m.callUnder(outer, nil, m.callThrough(), g)
		require.NoError(m, err)
		assert.Equal(m, uint64(42), res.X0)
	}},
	{"calls nest so deep and no deeper", func(m *machine) {
		f, depth, innermost := m.callThrough(), 0, error(nil)
		var g uint64
		g = m.gate("nest", func(cpu emu.CPU, _ [8]uint64) (uint64, error) {
			depth++
			cpu.Regs().X[9] = g
			if _, err := m.caller.Call(context.Background(), cpu, nil, f); err != nil && innermost == nil {
				innermost = err
			}
			return 0, nil
		})
		res, err := m.guestCall(nil, f, g)
		require.NoError(m, err, "whose gate takes no notice")
		assert.Equal(m, emu.MaxDepth, depth)
		assert.Equal(m, uint64(7*emu.MaxDepth), res.Count)
		var de *emu.DepthError
		require.ErrorAs(m, innermost, &de)
		require.ErrorIs(m, innermost, errno.ELOOP)
		assert.Equal(m, f, de.Addr)

		depth = 0
		_, err = m.guestCall(nil, f, g)
		require.NoError(m, err)
		assert.Equal(m, emu.MaxDepth, depth, "as deep as before")
	}},
	{"a gate that panics leaves no call in progress", func(m *machine) {
		g := m.gate("panic", func(emu.CPU, [8]uint64) (uint64, error) { panic("gate") })
		assert.PanicsWithValue(m, "gate", func() { _, _ = m.guestCall(&emu.CallOptions{Budget: 10}, m.callThrough(), g) })
		assert.Equal(m, emu.CallStack{}, *m.cpu.Calls())
	}},
}
