package sched

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "callops/asm"
	"callops/emu"
	"callops/emu/engines"
	"callops/emu/interp"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

// machine is a kernel under a scheduler, with helpers that fail the test.
type machine struct {
	*Scheduler
	t  *testing.T
	fn map[string]uint64
}

func boot(t *testing.T, cpus int, opts *Options) *machine {
	t.Helper()
	return bootOn(t, interp.New, cpus, opts)
}

func bootOn(t *testing.T, engine emu.NewEngine, cpus int, opts *Options) *machine {
	t.Helper()
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	k, err := kernel.Boot(img, engine, &kernel.BootOptions{CPUs: cpus})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, k.Close()) })
	s, err := New(t.Context(), k, opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	m := &machine{Scheduler: s, t: t, fn: map[string]uint64{}}
	p, err := k.PlaceCode("test", kernel.CodeOptions{}, m.functions)
	require.NoError(t, err)
	for _, sym := range append(p.Symbols, Symbol{Name: "fib"}, Symbol{Name: "do_overflow"}, Symbol{Name: "spin_forever"}) {
		if m.fn[sym.Name] = sym.Addr; sym.Addr == 0 {
			m.fn[sym.Name], err = k.Func(sym.Name)
			require.NoError(t, err)
		}
	}
	return m
}

// functions are the guest code of the tests.
func (m *machine) functions(base uint64) (*Program, error) {
	b := NewBuilder()
	count := m.k.Layout.Task.PreemptCount
	preempt := func(add func(Reg, Reg, uint64) Inst) {
		b.Emit(Mrs(X9, SP_EL0), Ldr(W10, Off(X9, int64(count))), add(W10, W10, 1), Str(W10, Off(X9, int64(count))))
	}
	add, sub := func(d, n Reg, i uint64) Inst { return AddImm(d, n, i) }, func(d, n Reg, i uint64) Inst { return SubImm(d, n, i) }
	until := func() {
		l := b.Here("until")
		b.Emit(Ldr(X2, Base(X0)), Cbz(X2, l))
	}

	// spin_until(flag): loops until the word is not 0.
	b.Func("spin_until")
	until()
	b.Emit(Ret())

	// atomic_until(flag, entered): the same with preemption disabled.
	b.Func("atomic_until")
	preempt(add)
	b.Emit(Str(X9, Base(X1)))
	until()
	preempt(sub)
	b.Emit(Ret())

	// bump_*(word, n): adds 1 to the word, n times, protected one way or the other.
	for name, body := range map[string]func(){
		"bump_plain": func() { b.Emit(Ldr(X2, Base(X0)), AddImm(X2, X2, 1), Str(X2, Base(X0))) },
		"bump_atomic": func() {
			preempt(add)
			b.Emit(Ldr(X2, Base(X0)), AddImm(X2, X2, 1), Str(X2, Base(X0)))
			preempt(sub)
		},
		"bump_masked": func() {
			b.Emit(
				Mrs(X3, DAIF), Word32(0xd50342df), // msr daifset, #2
				Ldr(X2, Base(X0)), AddImm(X2, X2, 1), Str(X2, Base(X0)),
				Msr(DAIF, X3),
			)
		},
		"bump_exclusive": func() {
			again := b.Here("again")
			b.Emit(Ldxr(X2, X0), AddImm(X2, X2, 1), Stxr(W3, X2, X0), Cbnz(W3, again))
		},
	} {
		b.Func(name)
		l := b.Here("loop")
		body()
		b.Emit(SubImm(X1, X1, 1), Cbnz(X1, l), Ret())
	}

	// call_schedule(n): calls schedule n times. x19 and the stack have to survive it.
	b.Func("call_schedule")
	b.Emit(Stp(FP, LR, Pre(SP, -32)), Mov(FP, SP), Stp(X19, X20, Off(SP, 16)), Mov(X19, X0), Mov(X20, XZR))
	l := b.Here("loop")
	b.Emit(MovImm(X16, m.Gate())...)
	b.Emit(
		Blr(X16), AddImm(X20, X20, 1), SubImm(X19, X19, 1), Cbnz(X19, l),
		Mov(X0, X20), Ldp(X19, X20, Off(SP, 16)), Ldp(FP, LR, Post(SP, 32)), Ret(),
	)

	// atomic_schedule(): calls schedule with preemption disabled.
	b.Func("atomic_schedule")
	b.Emit(Stp(FP, LR, Pre(SP, -16)), Mov(FP, SP))
	preempt(add)
	b.Emit(MovImm(X16, m.Gate())...)
	b.Emit(Blr(X16), Ldp(FP, LR, Post(SP, 16)), Ret())

	// call_masked(fn): calls fn with interrupts masked, and returns DAIF as it is then.
	b.Func("call_masked")
	b.Emit(
		Stp(FP, LR, Pre(SP, -32)), Mov(FP, SP), Str(X19, Off(SP, 16)),
		Mrs(X19, DAIF), Word32(0xd50342df), // msr daifset, #2
		Blr(X0),
		Mrs(X0, DAIF), Msr(DAIF, X19),
		Ldr(X19, Off(SP, 16)), Ldp(FP, LR, Post(SP, 32)), Ret(),
	)
	b.EndFunc()
	return b.Assemble(base)
}

func (m *machine) word() uint64 {
	m.t.Helper()
	addr, err := m.k.AllocData("word", 16, emu.Read|emu.Write)
	require.NoError(m.t, err)
	return addr
}

func (m *machine) load(addr uint64) uint64 {
	m.t.Helper()
	v, err := m.k.Mem.Load64(addr)
	require.NoError(m.t, err)
	return v
}

func (m *machine) set(addr uint64) {
	m.t.Helper()
	require.NoError(m.t, m.k.Mem.Store64(addr, 1))
}

// until waits for something that needs no help.
func until(cond func() bool) {
	for !cond() {
		runtime.Gosched()
	}
}

func (m *machine) spawn(name string, body func(t *Task) error) *Task {
	m.t.Helper()
	t, err := m.Spawn(name, body)
	require.NoError(m.t, err)
	return t
}

// call spawns a task that calls one function.
func (m *machine) call(fn string, args ...uint64) *Task {
	m.t.Helper()
	return m.spawn(fn, func(t *Task) error {
		_, err := t.Call(nil, m.fn[fn], args...)
		return err
	})
}

func TestTasks_SharedCPUsDoNotDisturbOneAnother(t *testing.T) {
	for _, cpus := range []int{1, 2} {
		for _, slice := range []uint64{1, 5, 1000} {
			t.Run(fmt.Sprintf("%d CPUs, slices up to %d", cpus, slice), func(t *testing.T) {
				m := boot(t, cpus, &Options{Slice: slice})
				for i := range uint64(5) {
					m.spawn("fib", func(t *Task) error {
						res, err := t.Call(nil, m.fn["fib"], 8+i)
						assert.Equal(m.t, []uint64{21, 34, 55, 89, 144}[i], res.X0)
						return err
					})
				}
				require.NoError(t, m.Wait())
			})
		}
	}
}

// One CPU is driven on any engine.
func TestTasks_OnEveryEngine(t *testing.T) {
	for _, e := range engines.All() {
		t.Run(e.Name, func(t *testing.T) {
			m := bootOn(t, e.New, 1, &Options{Slice: 50})
			w := m.word()
			for range 3 {
				m.call("bump_masked", w, 200)
				m.call("bump_exclusive", w+8, 200)
				m.call("call_schedule", 20)
			}
			require.NoError(t, m.SynchronizeRCUTasks())
			require.NoError(t, m.Wait())
			assert.EqualValues(t, 600, m.load(w))
			assert.EqualValues(t, 600, m.load(w+8))
		})
	}
}

func TestTask_CountsItsOwnInstructions(t *testing.T) {
	m := boot(t, 2, &Options{Slice: 20})
	var counts [3]uint64
	for i := range counts {
		m.spawn("fib", func(t *Task) error {
			res, err := t.Call(nil, m.fn["fib"], 10)
			counts[i] = res.Count
			return err
		})
	}
	require.NoError(t, m.Wait())
	require.NoError(t, m.Close())
	res, err := m.k.CallName(t.Context(), 1, nil, "fib", 10)
	require.NoError(t, err, "the CPUs are the kernel's again")
	assert.Equal(t, [3]uint64{res.Count, res.Count, res.Count}, counts)
}

// What must not be preempted is not, and what is preempted must not pass its
// exclusive store. The plain addition is the proof that preemption hits.
func TestPreemption_RespectsCriticalSections(t *testing.T) {
	const each, tasks = 3000, 3
	bump := func(t *testing.T, cpus int, fn string) uint64 {
		m := boot(t, cpus, &Options{Slice: 40})
		w := m.word()
		for range tasks {
			m.call(fn, w, each)
		}
		require.NoError(t, m.Wait())
		return m.load(w)
	}
	assert.Less(t, bump(t, 1, "bump_plain"), uint64(tasks*each))
	assert.EqualValues(t, tasks*each, bump(t, 1, "bump_atomic"))
	assert.EqualValues(t, tasks*each, bump(t, 1, "bump_masked"))
	assert.EqualValues(t, tasks*each, bump(t, 1, "bump_exclusive"))
	assert.EqualValues(t, tasks*each, bump(t, 2, "bump_exclusive"))
}

func TestTask_MovesBetweenCPUs(t *testing.T) {
	m := boot(t, 2, &Options{Slice: 10})
	const tasks = 3 // there is always one waiting, so each has to leave its CPU
	var moved atomic.Int32
	for range tasks {
		m.spawn("mover", func(t *Task) error {
			seen := map[uint64]bool{}
			for moved.Load() < tasks {
				if _, err := t.Call(nil, m.fn["fib"], 6); err != nil {
					return err
				}
				regs := t.cpu.Regs()
				assert.Equal(m.t, t.cpu.PerCPU, regs.TPIDREL1)
				assert.Equal(m.t, t.Addr(), regs.SPEL0)
				id, err := m.k.Mem.Load32(t.Addr() + uint64(m.k.Layout.Task.CPU))
				assert.NoError(m.t, err)
				assert.EqualValues(m.t, t.cpu.id, id)
				if len(seen) < 2 {
					if seen[regs.TPIDREL1] = true; len(seen) == 2 {
						moved.Add(1)
					}
				}
			}
			return nil
		})
	}
	require.NoError(t, m.Wait())
}

func TestScheduleGate_LeavesAndComesBack(t *testing.T) {
	m := boot(t, 2, nil)
	for range 3 {
		m.spawn("polite", func(t *Task) error {
			res, err := t.Call(nil, m.fn["call_schedule"], 50)
			assert.EqualValues(m.t, 50, res.X0)
			return err
		})
	}
	require.NoError(t, m.Wait())
}

func TestSchedule_AtomicIsRefused(t *testing.T) {
	m := boot(t, 1, nil)
	m.spawn("rude", func(t *Task) error {
		_, err := t.Call(nil, m.fn["atomic_schedule"])
		assert.ErrorIs(m.t, err, ErrAtomic)
		assert.ErrorContains(m.t, err, "atomic_schedule")
		return t.Schedule() // preempt_count is as it was
	})
	require.NoError(t, m.Wait())
}

func TestTask_ErrorsSayWhereAndLeaveTheTaskUsable(t *testing.T) {
	m := boot(t, 2, &Options{Slice: 50})
	for range 3 {
		m.spawn("overflow", func(t *Task) error {
			_, err := t.Call(nil, m.fn["do_overflow"])
			var run *kernel.RunError
			if assert.ErrorAs(m.t, err, &run) {
				assert.ErrorIs(m.t, err, errno.EFAULT)
				assert.Contains(m.t, run.Func, "do_overflow+0x0/")
				assert.Greater(m.t, len(run.Backtrace), 100)
				var overflow *kernel.StackOverflowError
				assert.ErrorAs(m.t, err, &overflow)
			}
			res, err := t.Call(nil, m.fn["fib"], 9)
			assert.EqualValues(m.t, 34, res.X0)
			return err
		})
	}
	require.NoError(t, m.Wait())
}

// A gate is passed its CPU, so the task stays there while the gate makes calls.
func TestGate_CallsOnTheSameCPU(t *testing.T) {
	m := boot(t, 2, &Options{Slice: 5})
	var outer *Task
	gate, err := m.k.Gates.Add("outer", func(cpu emu.CPU, args [8]uint64) (uint64, error) {
		res, err := outer.Call(nil, m.fn["fib"], args[0])
		assert.Equal(t, cpu.ID(), outer.cpu.id)
		assert.True(t, cpu.Regs() == outer.cpu.Regs(), "the engine's own CPU")
		return res.X0, err
	})
	require.NoError(t, err)
	m.spawn("outer", func(t *Task) error {
		outer = t
		for range 20 {
			res, err := t.Call(nil, gate, 9)
			if err != nil {
				return err
			}
			assert.EqualValues(m.t, 34, res.X0)
		}
		return nil
	})
	for range 3 {
		m.call("fib", 14)
	}
	require.NoError(t, m.Wait())
}

func TestUser_TakesNoCPU(t *testing.T) {
	m := boot(t, 1, nil)
	back := make(chan struct{})
	away := m.spawn("away", func(t *Task) error { return t.User(func(context.Context) { <-back }) })
	require.NoError(t, m.call("fib", 5).Wait())
	close(back)
	require.NoError(t, away.Wait())
}

func TestClose_EndsWhatDoesNotEnd(t *testing.T) {
	m := boot(t, 2, nil)
	var all []*Task
	for range 3 {
		all = append(all, m.call("spin_forever"))
	}
	all = append(all,
		m.spawn("user", func(t *Task) error { return t.User(func(ctx context.Context) { <-ctx.Done() }) }),
		m.spawn("yields", func(t *Task) error {
			for {
				if err := t.Schedule(); err != nil {
					return err
				}
			}
		}))
	require.NoError(t, m.Close())
	for _, task := range all {
		require.ErrorIs(t, task.Wait(), context.Canceled, task.Name)
	}
	require.NoError(t, m.Close(), "again")
	_, err := m.Spawn("late", func(*Task) error { return nil })
	require.ErrorIs(t, err, os.ErrClosed)
	require.NoError(t, m.SynchronizeRCUTasks())
}

func TestContext_EndsCalls(t *testing.T) {
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	k, err := kernel.Boot(img, interp.New, nil)
	require.NoError(t, err)
	defer k.Close()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := New(ctx, k, nil)
	require.NoError(t, err)
	spin, err := k.Func("spin_forever")
	require.NoError(t, err)
	task, err := s.Spawn("spinner", func(t *Task) error {
		_, err := t.Call(nil, spin)
		return err
	})
	require.NoError(t, err)
	cancel()
	require.ErrorIs(t, task.Wait(), context.Canceled)
	require.NoError(t, s.Close())
}

func TestClose_ReturnsOnlyWhatNoWaitHas(t *testing.T) {
	failed := func(m *machine, err error) *Task {
		task := m.spawn("fails", func(*Task) error { return err })
		<-task.done
		return task
	}
	m := boot(t, 1, nil)
	require.ErrorIs(t, failed(m, errno.EFAULT).Wait(), errno.EFAULT)
	failed(m, errno.ENOMEM)
	err := m.Close()
	require.ErrorIs(t, err, errno.ENOMEM)
	require.NotErrorIs(t, err, errno.EFAULT)

	m = boot(t, 1, nil)
	failed(m, errno.EFAULT)
	require.ErrorIs(t, m.Wait(), errno.EFAULT)
	require.NoError(t, m.Close())
}

func TestTask_ThatEndsItsGoroutineLeavesTheCPUWorking(t *testing.T) {
	m := boot(t, 1, nil)
	gone := m.spawn("gone", func(*Task) error { runtime.Goexit(); return nil })
	require.ErrorIs(t, gone.Wait(), errGoexit)
	require.NoError(t, m.call("fib", 5).Wait())
	require.NoError(t, m.Close(), "Wait has returned it")
}

// A panic ends the program, and tells where it comes from.
func TestTask_PanicKeepsItsStack(t *testing.T) {
	const env = "SCHED_TEST_PANIC"
	if os.Getenv(env) != "" {
		m := boot(t, 1, nil)
		m.spawn("careless", func(*Task) error { return fmt.Errorf("%d", divide(0)) })
		<-t.Context().Done()
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), env+"=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s", out)
	assert.Contains(t, string(out), "task careless: runtime error: integer divide by zero")
	assert.Contains(t, string(out), "callops/sched.divide(")
	assert.NotContains(t, string(out), errGoexit.Error())
}

//go:noinline
func divide(by int) int { return 1 / by }

// The gate's caller goes on as it was when what the gate called has failed.
func TestCall_FailedInAGateLeavesInterruptsMasked(t *testing.T) {
	m := boot(t, 1, nil)
	var outer *Task
	gate, err := m.k.Gates.Add("outer", func(emu.CPU, [8]uint64) (uint64, error) {
		_, err := outer.Call(nil, m.fn["do_overflow"])
		assert.ErrorIs(t, err, errno.EFAULT)
		return 0, nil
	})
	require.NoError(t, err)
	m.spawn("outer", func(t *Task) error {
		outer = t
		res, err := t.Call(nil, m.fn["call_masked"], gate)
		assert.NotZero(m.t, res.X0&daifI, "after the gate")
		return err
	})
	require.NoError(t, m.Wait())
}

// 64 tasks on two CPUs do all that tasks may do, while several goroutines wait
// for grace periods, and tasks come and go.
func TestScheduler_UnderLoad(t *testing.T) {
	m := boot(t, 2, &Options{Slice: 200})
	w := m.word()
	var stop atomic.Bool
	const each = 3
	var bumped atomic.Uint64
	for i := range 64 {
		m.spawn("busy", func(t *Task) error {
			for n := i; !stop.Load(); n++ {
				var err error
				switch n % 5 {
				case 0:
					_, err = t.Call(nil, m.fn["fib"], 7)
				case 1:
					_, err = t.Call(nil, m.fn["bump_exclusive"], w, each)
					bumped.Add(each)
				case 2:
					_, err = t.Call(nil, m.fn["call_schedule"], 3)
				case 3:
					err = t.Schedule()
				case 4:
					err = t.User(func(context.Context) { runtime.Gosched() })
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	var wg sync.WaitGroup
	for _, wait := range []func() error{
		m.SynchronizeRCU, m.SynchronizeRCUTasks, m.SynchronizeRCUTasks, m.SynchronizeRCUTasksRude, m.SynchronizeRCUTasksRude,
		func() error {
			short, err := m.Spawn("short", func(t *Task) error { _, err := t.Call(nil, m.fn["fib"], 5); return err })
			if err != nil {
				return err
			}
			return short.Wait()
		},
	} {
		wg.Go(func() {
			for range 500 {
				assert.NoError(t, wait())
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	require.NoError(t, m.Wait())
	assert.Equal(t, bumped.Load(), m.load(w))
}

// Tasks that are waited for may end in any way, and the scheduler be closed by
// several.
func TestGracePeriods_EndWithTheirReaders(t *testing.T) {
	for range 20 {
		m := boot(t, 2, &Options{Slice: 100})
		flag, failed := m.word(), errors.New("failed")
		for _, end := range []func() error{
			func() error { return failed },
			func() error { runtime.Goexit(); return nil },
			func() error { return nil },
		} {
			m.spawn("reader", func(t *Task) error {
				if _, err := t.Call(nil, m.fn["spin_until"], flag); err != nil {
					return err
				}
				return end()
			})
		}
		m.call("spin_forever")
		freed := false
		m.CallRCUTasks(func() { freed = true })
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { assert.NoError(t, m.SynchronizeRCUTasks()) })
			wg.Go(func() { assert.NoError(t, m.SynchronizeRCUTasksRude()) })
		}
		m.set(flag)
		until(func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.alive == 1
		})
		var closed atomic.Int32
		for range 2 {
			wg.Go(func() {
				if err := m.Close(); err != nil {
					assert.ErrorIs(t, err, failed)
					assert.ErrorIs(t, err, errGoexit)
					closed.Add(1)
				}
				assert.Zero(t, m.cpus[0].Task-m.cpus[0].idle.Addr(), "restored")
			})
		}
		wg.Wait()
		assert.EqualValues(t, 1, closed.Load())
		assert.True(t, freed)
	}
}

func TestTask_MemoryIsUsedAgain(t *testing.T) {
	m := boot(t, 1, nil)
	addrs := map[uint64]bool{}
	for range 50 {
		task := m.call("fib", 3)
		require.NoError(t, task.Wait())
		addrs[task.Addr()] = true
	}
	assert.Less(t, len(addrs), 3)
}

func TestSpawnOn_NeverLeavesItsCPU(t *testing.T) {
	m := boot(t, 3, &Options{Slice: 30})
	var tasks []*Task
	for i := range 6 {
		cpu := i % 3
		gate, err := m.k.Gates.Add(fmt.Sprintf("where%d", i), func(c emu.CPU, _ [8]uint64) (uint64, error) {
			assert.Equal(t, cpu, c.ID())
			return 0, nil
		})
		require.NoError(t, err)
		task, err := m.SpawnOn(cpu, "bound", func(t *Task) error {
			for range 20 {
				if _, err := t.Call(nil, gate); err != nil {
					return err
				}
				if _, err := t.Call(nil, m.fn["fib"], 7); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(t, err)
		tasks = append(tasks, task)
	}
	for _, task := range tasks {
		require.NoError(t, task.Wait())
	}
	_, err := m.SpawnOn(3, "nowhere", func(*Task) error { return nil })
	assert.ErrorIs(t, err, errno.EINVAL)
}

func TestSwitched_TellsEachTaskAndWhyTheLastLeft(t *testing.T) {
	type change struct {
		task  uint64
		state int
	}
	var got []change // of the one CPU
	m := boot(t, 1, &Options{Slice: 50, Switched: func(on emu.CPU, task uint64, state int) {
		assert.Zero(t, on.ID())
		got = append(got, change{task, state})
	}})
	begin := make(chan struct{})
	a, err := m.Spawn("a", func(t *Task) error {
		<-begin
		_, err := t.Call(nil, m.fn["fib"], 10)
		return err
	})
	require.NoError(t, err)
	b, err := m.Spawn("b", func(t *Task) error { return t.Schedule() })
	require.NoError(t, err)
	close(begin)
	require.NoError(t, m.Wait())
	assert.Equal(t, []change{{a.Addr(), 0}, {b.Addr(), 0}, {a.Addr(), 0}, {b.Addr(), 0}, {a.Addr(), 0x10}}, got,
		"a is preempted, b leaves voluntarily, a is preempted, b ends")
}
