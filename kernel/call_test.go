package kernel

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
)

// fails calls a function that does not return.
func (m *machine) fails(name string, args ...uint64) *RunError {
	m.t.Helper()
	_, err := m.try(name, args...)
	require.Error(m.t, err)
	var run *RunError
	require.ErrorAs(m.t, err, &run)
	return run
}

func TestCall_FailureSaysWhere(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, builtin(t, nil))

		t.Run("undefined_instruction", func(t *testing.T) {
			err := m.fails("do_undefined")
			assert.Equal(t, "do_undefined+0x8/0x18", err.PC)
			assert.ErrorContains(t, err, "do_undefined+0x0/0x18: stopped in do_undefined+0x8/0x18: undefined instruction 0x00000000 at 0xffff8000800")
			require.Len(t, err.Recent, 2)
			assert.Equal(t, "do_undefined+0x4/0x18: nop", err.Recent[1])
		})
		t.Run("fault", func(t *testing.T) {
			err := m.fails("do_fault", 0x10)
			assert.ErrorIs(t, err, errno.EFAULT)
			assert.ErrorContains(t, err, "do_fault+0x8/0x18: load at 0x10: unmapped")
			assert.Empty(t, err.Freed.Name)
		})
		t.Run("pointer_from_freed_memory_names_the_object", func(t *testing.T) {
			ops, err := m.Heap.Alloc("ops of my_tracer", 216)
			require.NoError(t, err)
			require.NoError(t, m.Heap.Free(ops))
			run := m.fails("do_fault", load64(t, m.Kernel, ops)+16)
			assert.Equal(t, "ops of my_tracer", run.Freed.Name)
			assert.ErrorContains(t, run, "taken from ops of my_tracer (0x")
			assert.ErrorContains(t, run, "216 bytes), which has been freed")
		})
		t.Run("stack_overflow_hits_the_guard_page", func(t *testing.T) {
			run := m.fails("do_overflow", 0)
			var fault *emu.Fault
			require.ErrorAs(t, run, &fault)
			assert.Equal(t, emu.Store, fault.Access)
			assert.Less(t, m.CPUs[0].Stack.Start-fault.Addr, uint64(emu.PageSize))
			var overflow *StackOverflowError
			require.ErrorAs(t, run, &overflow)
			assert.Equal(t, m.CPUs[0].Stack, overflow.Stack)
			assert.ErrorIs(t, run, errno.EFAULT)
			assert.ErrorContains(t, run, ": stopped in do_overflow+0x8/0x28: stack overflow, past the task's 16384 bytes: store at 0x")
			assert.Greater(t, len(run.Backtrace), 1000)
		})
		t.Run("endless_loop_uses_up_its_budget", func(t *testing.T) {
			_, err := m.CallName(context.Background(), 0, &emu.CallOptions{Budget: 1000}, "spin_forever")
			assert.ErrorIs(t, err, emu.ErrBudget)
			assert.ErrorContains(t, err, "spin_forever")
		})
		t.Run("the_cpu_stays_usable", func(t *testing.T) {
			assert.EqualValues(t, 55, m.call("fib", 10))
			assert.Equal(t, m.CPUs[0].StackTop, m.CPUs[0].Regs().SP)
		})
	})
}

func TestCall_ABranchToWhereNoCodeIs(t *testing.T) {
	const unmapped = 0x50
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, builtin(t, nil))
		data := m.bytes(make([]byte, 8))
		p, err := m.PlaceCode("branches", CodeOptions{}, func(base uint64) (*asm.Program, error) {
			b := asm.NewBuilder()
			for name, insts := range map[string][]asm.Inst{
				"tail_call": {asm.Br(asm.X0)},
				"returns":   {asm.Mov(asm.LR, asm.X0), asm.Ret()},
				"call_x30":  {asm.Mov(asm.LR, asm.X0), asm.Blr(asm.LR)},
				"far":       {asm.BL(b.Abs("far", base-64<<20))},
			} {
				b.Func(name)
				b.Emit(insts...)
			}
			b.EndFunc()
			return b.Assemble(base)
		})
		require.NoError(t, err)
		far := p.Base - 64<<20
		for name, c := range map[string]struct {
			fn     string
			arg    uint64
			target uint64
			want   BranchError
			says   string
		}{
			"a low address":        {"apply", 5 << 2, 20, BranchError{Reg: 2}, " called 0x14, the value of x2, as a function: fetch at 0x14: unmapped"},
			"a misaligned address": {"apply", 5, 5, BranchError{Reg: 2}, " called 0x5, the value of x2, as a function: fetch at 0x5: misaligned"},
			"data":                 {"apply", data, data, BranchError{Reg: 2}, ": not permitted"},
			"no gate":              {"apply", emu.GateBase + 4, emu.GateBase + 4, BranchError{Reg: 2}, ": unmapped"},
			"a tail call":          {"tail_call", unmapped, unmapped, BranchError{Reg: 0}, "tail_call+0x0/0x4 [branches] called 0x50, the value of x0, as a function"},
			"a return":             {"returns", unmapped, unmapped, BranchError{Reg: 30, Return: true}, "returned to 0x50, the value of x30"},
			"blr x30":              {"call_x30", unmapped, unmapped, BranchError{Reg: 30}, "called 0x50, the value of x30, as a function"},
			"an immediate":         {"far", 0, far, BranchError{Reg: -1}, "far+0x0/0x4 [branches] branched to 0x"},
		} {
			run := m.fails(c.fn, c.arg)
			var branch *BranchError
			require.ErrorAs(t, run, &branch, name)
			assert.Equal(t, c.target, branch.Target, name)
			assert.Equal(t, c.want.Reg, branch.Reg, name)
			assert.Equal(t, c.want.Return, branch.Return, name)
			assert.ErrorContains(t, run, c.says, name)
			assert.ErrorIs(t, run, errno.EFAULT, name)
		}

		_, err = m.Kernel.Call(t.Context(), 0, nil, unmapped)
		var branch *BranchError
		require.ErrorIs(t, err, errno.EFAULT)
		assert.False(t, errors.As(err, &branch), "the call itself")
		var run *RunError
		require.ErrorAs(t, err, &run)
		assert.Empty(t, run.Recent, "nothing was executed, whatever was before")
	})
}

func TestCall_FailurePutsTheTaskBack(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, builtin(t, nil))
		task := m.Layout.Task
		_, err := m.PlaceCode("exp", CodeOptions{}, func(base uint64) (*asm.Program, error) {
			b := asm.NewBuilder()
			b.Func("leave_a_mess")
			b.Emit(
				asm.Mrs(asm.X1, asm.SP_EL0),
				asm.Movz(asm.X2, 7, 0),
				asm.Str(asm.X2, asm.Off(asm.X1, int64(task.PreemptCount))),
				asm.Str(asm.X2, asm.Off(asm.X1, int64(task.TraceRecursion))),
				asm.Ldr(asm.X0, asm.Base(asm.X2)),
			)
			return b.Assemble(base)
		})
		require.NoError(t, err)
		m.fails("leave_a_mess")
		c := m.CPUs[0]
		assert.EqualValues(t, 1<<32, load64(t, m.Kernel, c.Task+uint64(task.PreemptCount)))
		assert.Zero(t, load64(t, m.Kernel, c.Task+uint64(task.TraceRecursion)))
	})
}

func TestCall_APanicInAGatePutsTheTaskBack(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, builtin(t, nil))
		c, task := m.CPUs[0], m.Layout.Task
		for name, leave := range map[string]func(){"panic": func() { panic("tracer") }, "goexit": runtime.Goexit} {
			gate, err := m.Gates.Add(name, func(emu.CPU, [8]uint64) (uint64, error) {
				assert.NoError(t, m.Mem.Store64(c.Task+uint64(task.PreemptCount), 7))
				assert.NoError(t, m.Mem.Store64(c.Task+uint64(task.TraceRecursion), 7))
				leave()
				return 0, nil
			})
			require.NoError(t, err)
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { _ = recover() }()
				_, _ = m.try("apply", gate, 1)
			}()
			<-done
			assert.EqualValues(t, 1<<32, load64(t, m.Kernel, c.Task+uint64(task.PreemptCount)), name)
			assert.Zero(t, load64(t, m.Kernel, c.Task+uint64(task.TraceRecursion)), name)
			assert.Equal(t, c.StackTop, c.Regs().SP, name)
			assert.EqualValues(t, 55, m.call("fib", 10), name)
		}
	})
}

func TestCall_RefusesWhatItCannotPass(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	_, err := k.Call(context.Background(), 0, nil, kernelBase, make([]uint64, 9)...)
	assert.ErrorIs(t, err, errno.E2BIG)
	_, err = k.Call(context.Background(), 1, nil, kernelBase)
	assert.ErrorIs(t, err, errno.EINVAL)
	assert.ErrorContains(t, err, "no CPU 1, there are 1")
}

func TestCall_AGateSeesTheBacktraceAndCallsBack(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, builtin(t, nil))
		var trace []string
		gate, err := m.Gates.Add("probe", func(_ emu.CPU, args [8]uint64) (uint64, error) {
			for _, addr := range m.Backtrace(0) {
				if name, ok := m.Gates.Name(addr); ok {
					trace = append(trace, name)
					continue
				}
				name, _, _ := m.Symbols.FormatName(addr)
				trace = append(trace, name)
			}
			res, err := m.CallName(context.Background(), 0, nil, "fib", args[0])
			return res.X0, err
		})
		require.NoError(t, err)

		// apply(probe) alone, then within another apply.
		assert.EqualValues(t, 55, m.call("apply", gate, 10))
		assert.Equal(t, []string{"probe", "apply", "return_to_host"}, trace)

		trace = nil
		apply, err := m.Func("apply")
		require.NoError(t, err)
		_, err = m.PlaceCode("exp", CodeOptions{}, func(base uint64) (*asm.Program, error) {
			b := asm.NewBuilder()
			b.Func("twice")
			b.Emit(asm.Stp(asm.FP, asm.LR, asm.Pre(asm.SP, -16)), asm.Mov(asm.FP, asm.SP))
			b.Emit(asm.MovImm(asm.X0, gate)...)
			b.Emit(asm.Movz(asm.X1, 9, 0), asm.BL(b.Abs("apply", apply)))
			b.Emit(asm.Ldp(asm.FP, asm.LR, asm.Post(asm.SP, 16)), asm.Ret())
			return b.Assemble(base)
		})
		require.NoError(t, err)
		assert.EqualValues(t, 34, m.call("twice"))
		assert.Equal(t, []string{"probe", "apply", "twice", "return_to_host"}, trace)
	})
}

func TestCall_AGatesErrorEndsIt(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, builtin(t, nil))
		broken := errors.New("tracer is broken")
		gate, err := m.Gates.Add("tracer", func(emu.CPU, [8]uint64) (uint64, error) { return 0, broken })
		require.NoError(t, err)
		run := m.fails("apply", gate, 1)
		assert.ErrorIs(t, run, broken)
		assert.Equal(t, "tracer", run.PC)
		require.NotEmpty(t, run.Recent)
		assert.True(t, strings.HasSuffix(run.Recent[len(run.Recent)-1], "blr x2"), run.Recent)
	})
}
