package machine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu/engines"
	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/internal/kernels/kept"
	"callops/kernel"
	"callops/kernel/services"
	"callops/machine"
	"callops/sched"
)

// scheduled is a kernel with tasks on several CPUs, and what its services did.
type scheduled struct {
	*machine.Machine
	t *testing.T

	mu     sync.Mutex
	events []services.Event
}

// eachScheduled runs a test on each kernel that has several CPUs: on three of them where the engine's
// atomics are atomic between CPUs (package interp), and with tasks that take turns on one elsewhere.
func eachScheduled(t *testing.T, test func(m *scheduled)) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			img := kept.Image(t, series)
			for _, e := range engines.All() {
				t.Run(e.Name, func(t *testing.T) {
					s, cpus := &scheduled{t: t}, 3
					if e.Name != "interp" {
						cpus = 1
					}
					m, err := machine.New(t.Context(), &machine.Config{
						Image: img, Engine: e.New, CPUs: cpus, Heap: 1 << 20,
						Sched: &sched.Options{Slice: 300, Stall: 2 * time.Second},
						Services: &services.Options{Event: func(e services.Event) {
							s.mu.Lock()
							defer s.mu.Unlock()
							s.events = append(s.events, e)
						}},
					})
					require.NoError(t, err)
					s.Machine = m
					test(s)
					require.NoError(t, m.Close())
				})
			}
		})
	}
}

func (m *scheduled) began(kind services.EventKind) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		if e.Kind == kind {
			return true
		}
	}
	return false
}

func (m *scheduled) words(n uint64) uint64 {
	m.t.Helper()
	addr, err := m.Kernel.Heap.Alloc("test", 8*n)
	require.NoError(m.t, err)
	require.NoError(m.t, m.Kernel.Mem.Write(addr, make([]byte, 8*n)))
	return addr
}

func (m *scheduled) word(addr uint64) uint64 {
	m.t.Helper()
	v, err := m.Kernel.Mem.Load64(addr)
	require.NoError(m.t, err)
	return v
}

func (m *scheduled) fn(name string) uint64 {
	m.t.Helper()
	addr, err := m.Kernel.Func(name)
	require.NoError(m.t, err)
	return addr
}

// place assembles a function with a frame, in which x19 and x20 may be used.
func (m *scheduled) place(name string, body func(b *asm.Builder)) uint64 {
	m.t.Helper()
	p, err := m.Kernel.PlaceCode(name, kernel.CodeOptions{}, func(base uint64) (*asm.Program, error) {
		b := asm.NewBuilder()
		b.Func(name)
		b.Emit(asm.Stp(asm.X29, asm.X30, asm.Pre(asm.SP, -32)), asm.Mov(asm.X29, asm.SP), asm.Stp(asm.X19, asm.X20, asm.Off(asm.SP, 16)))
		body(b)
		b.Emit(asm.Ldp(asm.X19, asm.X20, asm.Off(asm.SP, 16)), asm.Ldp(asm.X29, asm.X30, asm.Post(asm.SP, 32)), asm.Ret())
		b.EndFunc()
		return b.Assemble(base)
	})
	require.NoError(m.t, err)
	return p.Base
}

func call(b *asm.Builder, fn uint64, args ...uint64) {
	for i, a := range args {
		b.Emit(asm.MovImm(asm.X0+asm.Reg(i), a)...)
	}
	b.Emit(asm.MovImm(asm.X16, fn)...)
	b.Emit(asm.Blr(asm.X16))
}

// add assembles a counter that only one task at a time counts right.
func add(b *asm.Builder, at uint64) {
	b.Emit(asm.MovImm(asm.X9, at)...)
	b.Emit(asm.Ldr(asm.X10, asm.Off(asm.X9, 0)), asm.AddImm(asm.X10, asm.X10, 1))
	for range 40 {
		b.Emit(asm.Nop())
	}
	b.Emit(asm.Str(asm.X10, asm.Off(asm.X9, 0)))
}

// loop assembles what is done n times.
func loop(b *asm.Builder, name string, n uint64, body func()) {
	b.Emit(asm.MovImm(asm.X19, n)...)
	again := b.Here(name)
	body()
	b.Emit(asm.SubImm(asm.X19, asm.X19, 1), asm.Cbnz(asm.X19, again))
}

func (m *scheduled) spawn(name string, body func(t *sched.Task) error) *sched.Task {
	m.t.Helper()
	t, err := m.Sched.Spawn(name, body)
	require.NoError(m.t, err)
	return t
}

// run has a task call a function.
func (m *scheduled) run(name string, addr uint64, args ...uint64) *sched.Task {
	return m.spawn(name, func(t *sched.Task) error {
		_, err := t.Call(nil, addr, args...)
		return err
	})
}

func TestScheduled_LocksExclude(t *testing.T) {
	const each, tasks = 60, 5
	eachScheduled(t, func(m *scheduled) {
		for _, l := range []struct{ lock, unlock string }{
			{"mutex_lock", "mutex_unlock"}, {"down_write", "up_write"},
		} {
			lock, count := m.words(8), m.words(1)
			take, give := m.fn(l.lock), m.fn(l.unlock)
			f := m.place("count", func(b *asm.Builder) {
				loop(b, "again", each, func() {
					call(b, take, lock)
					add(b, count)
					call(b, give, lock)
				})
			})
			var all []*sched.Task
			for i := range tasks {
				all = append(all, m.run(fmt.Sprint(l.lock, i), f))
			}
			for _, task := range all {
				require.NoError(m.t, task.Wait(), l.lock)
			}
			assert.EqualValues(m.t, each*tasks, m.word(count), l.lock)
			assert.Zero(m.t, m.word(lock), "%s: it is free, and has no flags", l.lock)
		}
	})
}

// Readers share, a writer has it alone.
func TestScheduled_SpinLocksExclude(t *testing.T) {
	const each, tasks = 60, 5
	eachScheduled(t, func(m *scheduled) {
		lock, count := m.words(1), m.words(1)
		slow := m.fn("queued_spin_lock_slowpath")
		f := m.place("count", func(b *asm.Builder) {
			loop(b, "again", each, func() {
				taken := b.Label("taken")
				b.Emit(asm.MovImm(asm.X0, lock)...)
				b.Emit(asm.Movz(asm.W1, 0, 0), asm.Movz(asm.W2, 1, 0), asm.Casa(asm.W1, asm.W2, asm.X0), asm.Cbz(asm.W1, taken))
				b.Emit(asm.MovImm(asm.X16, slow)...)
				b.Emit(asm.Blr(asm.X16))
				b.Bind(taken)
				add(b, count)
				b.Emit(asm.MovImm(asm.X9, lock)...)
				b.Emit(asm.Stlrb(asm.WZR, asm.X9))
			})
		})
		var all []*sched.Task
		for i := range tasks {
			all = append(all, m.run(fmt.Sprint("spin", i), f))
		}
		for _, task := range all {
			require.NoError(m.t, task.Wait())
		}
		assert.EqualValues(m.t, each*tasks, m.word(count))
	})
}

func (m *scheduled) completion() uint64 {
	m.t.Helper()
	x := m.words(8)
	require.NoError(m.t, m.run("init", m.fn("__init_swait_queue_head"), x+8, x+40, x+48).Wait())
	return x
}

func TestScheduled_OneTaskWakesAnother(t *testing.T) {
	eachScheduled(t, func(m *scheduled) {
		x, y, n := m.completion(), m.completion(), m.words(1)
		wait, complete := m.fn("wait_for_completion"), m.fn("complete")
		ping := m.place("ping", func(b *asm.Builder) {
			loop(b, "again", 20, func() { call(b, complete, x); call(b, wait, y); add(b, n) })
		})
		pong := m.place("pong", func(b *asm.Builder) {
			loop(b, "again", 20, func() { call(b, wait, x); call(b, complete, y) })
		})
		a, z := m.run("ping", ping), m.run("pong", pong)
		require.NoError(m.t, a.Wait())
		require.NoError(m.t, z.Wait())
		assert.EqualValues(m.t, 20, m.word(n))
	})
}

func TestScheduled_TimeoutsPassWhenAllSleep(t *testing.T) {
	eachScheduled(t, func(m *scheduled) {
		x := m.completion()
		order := make(chan string, 2)
		var awake sync.WaitGroup // not all sleep before both have come to it
		awake.Add(2)
		holder := m.spawn("holder", func(t *sched.Task) error { return t.User(func(context.Context) { awake.Wait() }) })
		sleeper := func(name string, jiffies uint64) *sched.Task {
			return m.spawn(name, func(t *sched.Task) error {
				awake.Done()
				res, err := t.Call(nil, m.fn("wait_for_completion_timeout"), x, jiffies)
				assert.Zero(m.t, res.X0)
				order <- name
				return err
			})
		}
		long, short := sleeper("long", 500), sleeper("short", 5)
		require.NoError(m.t, short.Wait())
		require.NoError(m.t, long.Wait())
		require.NoError(m.t, holder.Wait())
		assert.Equal(m.t, "short", <-order)
		assert.Equal(m.t, "long", <-order)
	})
}

// Two tasks, each with a mutex that the other wants.
func TestScheduled_DeadlockNamesLockAndOwner(t *testing.T) {
	eachScheduled(t, func(m *scheduled) {
		a, b := m.words(8), m.words(8)
		var locked atomic.Int32
		both := func(name string, first, second uint64) *sched.Task {
			return m.spawn(name, func(t *sched.Task) error {
				if _, err := t.Call(nil, m.fn("mutex_lock"), first); err != nil {
					return err
				}
				locked.Add(1)
				for locked.Load() < 2 {
					if err := t.Schedule(); err != nil {
						return err
					}
				}
				_, err := t.Call(nil, m.fn("mutex_lock"), second)
				if err != nil {
					_, unlocked := t.Call(nil, m.fn("mutex_unlock"), first)
					err = errors.Join(err, unlocked)
				}
				return err
			})
		}
		one, two := both("one", a, b), both("two", b, a)
		errs := []error{one.Wait(), two.Wait()}
		err := errors.Join(errs...)
		var dead *services.DeadlockError
		require.ErrorAs(m.t, err, &dead)
		require.ErrorIs(m.t, err, errno.EDEADLK)
		assert.Equal(m.t, "mutex", dead.Lock.Kind)
		assert.ElementsMatch(m.t, []string{"one", "two"}, []string{dead.Waiter.Comm, dead.Lock.Owner.Comm})
		m.forget()
	})
}

// forget has the errors of tasks that were looked at not be the scheduler's too.
func (m *scheduled) forget() { _ = m.Sched.Close() }

// turned returns when a grace period has begun and a task has since been round its loop many times,
// and through many slices.
func (m *scheduled) turned(turns uint64) {
	m.t.Helper()
	soon := func(ok func() bool) { require.Eventually(m.t, ok, time.Minute, time.Millisecond) }
	soon(func() bool { return m.began(services.GraceBegan) })
	from := m.word(turns)
	soon(func() bool { return m.word(turns) > from+1000 })
}

// A grace period that guest code waits for ends after what ran when it began.
func TestScheduled_GracePeriodWaitsForATaskInTheKernel(t *testing.T) {
	eachScheduled(t, func(m *scheduled) {
		names := []string{"synchronize_rcu_tasks"}
		if _, err := m.Kernel.Symbols.Lookup(names[0]); err != nil {
			names = []string{"synchronize_rcu"} // not preemptible
		}
		for _, name := range names {
			stop, left, turns := m.words(1), m.words(1), m.words(1)
			spin := m.place("reader", func(b *asm.Builder) {
				b.Emit(asm.MovImm(asm.X19, stop)...)
				again := b.Here("again")
				add(b, turns)
				b.Emit(asm.Ldr(asm.X0, asm.Off(asm.X19, 0)), asm.Cbz(asm.X0, again))
				add(b, left)
			})
			inside := make(chan struct{})
			reader := m.spawn("reader", func(t *sched.Task) error {
				close(inside)
				_, err := t.Call(nil, spin)
				return err
			})
			<-inside
			seen := uint64(99)
			waiter := m.spawn("waiter", func(t *sched.Task) error {
				_, err := t.Call(nil, m.fn(name))
				seen = m.word(left)
				return err
			})
			m.turned(turns)
			assert.False(m.t, m.began(services.GraceEnded))
			require.NoError(m.t, m.Kernel.Mem.Store64(stop, 1))
			require.NoError(m.t, waiter.Wait())
			require.NoError(m.t, reader.Wait())
			assert.EqualValues(m.t, 1, seen, name)
		}
	})
}

// A reader that rcu_read_lock marks may be preempted; synchronize_rcu waits for it all the same. Debian's kernels have no
// CONFIG_PREEMPT_RCU: a word at the end of the task stands in for rcu_read_lock_nesting.
func TestScheduled_GracePeriodWaitsForAPreemptedReader(t *testing.T) {
	eachScheduled(t, func(m *scheduled) {
		l := *m.Kernel.Layout
		off := l.Task.Size - 8
		l.Task.RCULocked = off
		m.Kernel.Layout = &l
		stop, left, turns := m.words(1), m.words(1), m.words(1)
		lock := func(b *asm.Builder, n uint16) { // rcu_read_lock_nesting
			b.Emit(asm.Mrs(asm.X9, asm.SP_EL0))
			b.Emit(asm.MovImm(asm.X10, uint64(off))...)
			b.Emit(asm.Add(asm.X9, asm.X9, asm.X10), asm.Movz(asm.W10, n, 0), asm.Str(asm.W10, asm.Off(asm.X9, 0)))
		}
		inside := m.words(1)
		reader := m.run("reader", m.place("reader", func(b *asm.Builder) {
			lock(b, 1)
			add(b, inside)
			b.Emit(asm.MovImm(asm.X19, stop)...)
			again := b.Here("again")
			add(b, turns)
			b.Emit(asm.Ldr(asm.X0, asm.Off(asm.X19, 0)), asm.Cbz(asm.X0, again))
			add(b, left)
			lock(b, 0)
		}))
		require.Eventually(m.t, func() bool { return m.word(inside) == 1 }, time.Minute, time.Millisecond)
		seen := uint64(99)
		waiter := m.spawn("waiter", func(t *sched.Task) error {
			_, err := t.Call(nil, m.fn("synchronize_rcu"))
			seen = m.word(left)
			return err
		})
		m.turned(turns)
		require.NoError(m.t, m.Kernel.Mem.Store64(stop, 1))
		require.NoError(m.t, waiter.Wait())
		require.NoError(m.t, reader.Wait())
		assert.EqualValues(m.t, 1, seen)
	})
}

func TestScheduled_CallbackRunsAfterItsGracePeriod(t *testing.T) {
	eachScheduled(t, func(m *scheduled) {
		count, head := m.words(1), m.words(2)
		fn := m.place("callback", func(b *asm.Builder) { add(b, count) })
		queue := m.place("queue", func(b *asm.Builder) {
			call(b, m.fn("call_rcu"), head, fn)
			call(b, m.fn("rcu_barrier"))
		})
		require.NoError(m.t, m.run("queue", queue).Wait())
		assert.EqualValues(m.t, 1, m.word(count))
	})
}

// An IPI is taken between two instructions of a task that does not leave its CPU.
func TestScheduled_IPIsInterruptTasks(t *testing.T) {
	eachScheduled(t, func(m *scheduled) {
		others := uint64(len(m.Kernel.CPUs) - 1)
		stop, count := m.words(1), m.words(1)
		spin := m.place("busy", func(b *asm.Builder) {
			b.Emit(asm.MovImm(asm.X19, stop)...)
			again := b.Here("again")
			b.Emit(asm.Ldr(asm.X0, asm.Off(asm.X19, 0)), asm.Cbz(asm.X0, again))
		})
		fn := m.place("interrupt", func(b *asm.Builder) {
			b.Emit(asm.MovImm(asm.X9, count)...)
			b.Emit(asm.Movz(asm.X10, 1, 0), asm.Ldaddal(asm.X10, asm.X11, asm.X9))
		})
		var busy sync.WaitGroup
		busy.Add(int(others))
		var all []*sched.Task
		for id := 1; id < len(m.Kernel.CPUs); id++ {
			task, err := m.Sched.SpawnOn(id, "busy", func(t *sched.Task) error {
				busy.Done()
				_, err := t.Call(nil, spin)
				return err
			})
			require.NoError(m.t, err)
			all = append(all, task)
		}
		busy.Wait()
		sender, err := m.Sched.SpawnOn(0, "sender", func(t *sched.Task) error {
			for range 10 {
				if _, err := t.Call(nil, m.fn("on_each_cpu_cond_mask"), 0, fn, 0, 1, m.Kernel.OnlineMask()); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(m.t, err)
		require.NoError(m.t, sender.Wait())
		assert.EqualValues(m.t, 10*(others+1), m.word(count))
		require.NoError(m.t, m.run("stop", m.fn("stop_machine"), fn, 0, m.Kernel.OnlineMask()).Wait())
		assert.EqualValues(m.t, 11*(others+1), m.word(count))
		require.NoError(m.t, m.Kernel.Mem.Store64(stop, 1))
		for _, task := range all {
			require.NoError(m.t, task.Wait())
		}
	})
}

// A WARN is one of the events, in its place among them.
func TestServices_TellOfWarnings(t *testing.T) {
	img := kept.Image(t, kernels.Linux612)
	var events []services.Event
	var bugs []*kernel.Bug
	m, err := machine.New(t.Context(), &machine.Config{
		Image: img, Heap: 1 << 20, Warn: func(b *kernel.Bug) { bugs = append(bugs, b) },
		Services: &services.Options{Event: func(e services.Event) { events = append(events, e) }},
	})
	require.NoError(t, err)
	defer func() { assert.NoError(t, m.Close()) }()
	count, err := m.Kernel.Heap.Alloc("refcount", 8)
	require.NoError(t, err)
	_, err = m.Kernel.CallName(t.Context(), 0, nil, "refcount_warn_saturate", count, 2) // REFCOUNT_ADD_UAF
	require.NoError(t, err)
	require.Len(t, bugs, 1)
	assert.Equal(t, "lib/refcount.c", bugs[0].File)
	require.NotEmpty(t, events)
	last := events[len(events)-1]
	assert.Equal(t, services.Event{Kind: services.Warned, Func: bugs[0].String(), Addr: bugs[0].Addr}, last)
	assert.Equal(t, bugs[0].String(), last.String())
}

// A task that is never preempted lets another one run where it says so.
func TestScheduled_TasksYield(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			img := kept.Image(t, series)
			mach, err := machine.New(t.Context(), &machine.Config{Image: img, Heap: 1 << 20, Sched: &sched.Options{Slice: 1 << 60}})
			require.NoError(t, err)
			defer func() { assert.NoError(t, mach.Close()) }()
			m := &scheduled{Machine: mach, t: t}
			for _, name := range []string{"schedule", "yield", "__cond_resched"} {
				if _, err := m.Kernel.Symbols.Lookup(name); err != nil {
					assert.Equal(t, []string{kernels.Linux7, "__cond_resched"}, []string{series, name}, "7.x is preempted instead")
					continue
				}
				flag := m.words(1)
				wait := m.place("wait", func(b *asm.Builder) {
					again := b.Here("again")
					call(b, m.fn(name))
					b.Emit(asm.MovImm(asm.X9, flag)...)
					b.Emit(asm.Ldr(asm.X0, asm.Off(asm.X9, 0)), asm.Cbz(asm.X0, again))
				})
				waiter := m.run("waiter", wait)
				setter := m.run("setter", m.place("set", func(b *asm.Builder) { add(b, flag) }))
				require.NoError(t, waiter.Wait(), name)
				require.NoError(t, setter.Wait(), name)
			}
		})
	}
}
