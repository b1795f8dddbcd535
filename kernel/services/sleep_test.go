package services

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/internal/errno"
	"callops/kernelimage/ctype"
)

// taskUninterruptible is TASK_UNINTERRUPTIBLE.
const taskUninterruptible = 2

func (r *rig) deadlock(name string, args ...uint64) *DeadlockError {
	r.t.Helper()
	_, err := r.try(name, args...)
	var dead *DeadlockError
	require.ErrorAs(r.t, err, &dead)
	require.ErrorIs(r.t, err, errno.EDEADLK)
	return dead
}

func TestMutex_ThatItsTaskHoldsIsADeadlock(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		lock := r.words(make([]uint64, 8))
		for range 3 {
			r.call("mutex_lock", lock)
			assert.Equal(r.t, r.CPUs[0].Task, r.word(lock))
			r.call("mutex_unlock", lock)
		}
		r.call("mutex_lock", lock)
		assert.Zero(r.t, uint32(r.call("mutex_trylock", lock)))
		for _, name := range []string{"mutex_lock", "mutex_lock_interruptible", "mutex_lock_killable"} {
			dead := r.deadlock(name, lock)
			assert.Equal(r.t, Lock{Kind: "mutex", Addr: lock, Name: "at 0 of input", Owner: dead.Waiter}, dead.Lock)
			assert.Equal(r.t, "callops/0", dead.Waiter.Comm)
			assert.Contains(r.t, dead.Error(), "for the mutex")
			assert.Contains(r.t, dead.Error(), "which it holds itself")
			assert.Contains(r.t, dead.Caller, name)
		}
		r.call("mutex_unlock", lock)
		r.call("mutex_lock", lock)
	})
}

func TestRwsem_ThatCannotBeHadIsADeadlock(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		sem := r.words(make([]uint64, 8))
		r.call("down_read", sem)
		r.call("down_read", sem)
		dead := r.deadlock("down_write", sem)
		assert.Equal(r.t, "rwsem", dead.Lock.Kind)
		r.call("up_read", sem)
		r.call("up_read", sem)
		r.call("down_write", sem)
		assert.Equal(r.t, r.CPUs[0].Task, r.deadlock("down_write", sem).Lock.Owner.Task)
	})
}

// A lock that is taken where it is free is as the kernel's own slow path leaves it.
func TestLocks_AreTakenWhenTheyAreFreed(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		word := r.words(make([]uint64, 8))
		r.call("queued_spin_lock_slowpath", word, 1)
		assert.EqualValues(r.t, 1, r.word(word))
		dead := r.deadlock("queued_spin_lock_slowpath", word, 1)
		assert.Equal(r.t, "spin lock", dead.Lock.Kind)
		assert.NoError(r.t, r.Mem.Store64(word, 0))
		r.call("queued_write_lock_slowpath", word)
		assert.EqualValues(r.t, 0xff, r.word(word))
		assert.Equal(r.t, "rwlock", r.deadlock("queued_read_lock_slowpath", word).Lock.Kind)

		sem := r.words(make([]uint64, 8))
		assert.NoError(r.t, r.Mem.Store64(sem, 1<<8))
		assert.Equal(r.t, sem, r.call("rwsem_down_read_slowpath", sem, 1<<8, taskUninterruptible))
		assert.Equal(r.t, r.CPUs[0].Task|1, r.word(sem+8), "rwsem_set_reader_owned")
	})
}

// completion makes a struct completion.
func (r *rig) completion() uint64 {
	x := r.words(make([]uint64, 8))
	r.call("__init_swait_queue_head", x+8, r.string("x"), r.words([]uint64{0}))
	return x
}

func TestCompletion_IsWaitedFor(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		x := r.completion()
		r.call("complete", x)
		r.call("wait_for_completion", x)
		dead := r.deadlock("wait_for_completion", x)
		assert.Empty(r.t, dead.Lock.Kind)
		assert.Equal(r.t, "schedule_timeout", dead.Func)
		assert.True(r.t, slices.ContainsFunc(dead.Trace, func(at string) bool { return at[:len("wait_for_com")] == "wait_for_com" }), "%v", dead.Trace)

		// A timeout, in jiffies, passes while nothing else can be done.
		x = r.completion()
		before := r.jiffiesNow()
		assert.Zero(r.t, r.call("wait_for_completion_timeout", x, 25))
		if r.jiffies != 0 {
			assert.EqualValues(r.t, 25, r.jiffiesNow()-before)
		}
		r.call("complete", x)
		assert.EqualValues(r.t, 25, r.call("wait_for_completion_timeout", x, 25), "all of it is left")
	})
}

func (r *rig) jiffiesNow() uint64 {
	if r.jiffies == 0 {
		return 0
	}
	return r.word(r.jiffies)
}

// A callback that wakes the task that waits for it, as synchronize_rcu's own does
// (kernel/rcu/update.c: wakeme_after_rcu).
func TestCompletion_OfACallback(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		x := r.completion()
		head := r.words(make([]uint64, 2))
		wakeme := r.place("wakeme", func(b *asm.Builder) { frame(b, func() { r.callFunc(b, "complete", x) }) })
		wait := r.place("wait", func(b *asm.Builder) {
			frame(b, func() {
				r.callFunc(b, "call_rcu", head, wakeme)
				r.callFunc(b, "wait_for_completion_timeout", x, 100)
			})
		})
		assert.EqualValues(r.t, 100, r.must(wait))
	})
}

func TestSleep_PassesTime(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		before := r.clock.read()
		r.call("msleep", 50)
		assert.GreaterOrEqual(r.t, r.clock.read()-before, uint64(50_000_000))
		before = r.clock.read()
		r.call("usleep_range_state", 100, 200, taskUninterruptible)
		assert.EqualValues(r.t, 100_000, r.clock.read()-before)
		expires := r.words([]uint64{5_000})
		require.NoError(r.t, r.Mem.Store32(r.state(r.CPUs[0].Task), 1))
		assert.Zero(r.t, r.call("schedule_hrtimeout_range_clock", expires, 0, hrtimerModeRel, 1))
		r.call("schedule")
		r.call("yield")
	})
}

func TestSemaphore_TimesOut(t *testing.T) {
	const etime = 62
	eachKernel(t, 1, func(r *rig) {
		sem := r.words(make([]uint64, 4))
		require.NoError(r.t, r.Mem.Store32(sem+4, 1))
		list, err := r.Image.Structures(func(name string) bool { return name == "semaphore" })
		require.NoError(r.t, err)
		require.Len(r.t, list, 1)
		i := slices.IndexFunc(list[0].Fields, func(f ctype.Field) bool { return f.Name == "wait_list" })
		if i >= 0 { // until 7.x the list has a head
			at := sem + uint64(list[0].Fields[i].Offset)
			require.NoError(r.t, r.Mem.Store64(at, at))
			require.NoError(r.t, r.Mem.Store64(at+8, at))
		}
		assert.Zero(r.t, uint32(r.call("down_timeout", sem, 10)))
		assert.EqualValues(r.t, -etime, int32(r.call("down_timeout", sem, 10)))
		r.call("up", sem)
		r.call("down", sem)
		assert.Empty(r.t, r.deadlock("down", sem).Lock.Kind)
	})
}

func TestSRCU_WaitsForTheReadersThatAreCounted(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		name := r.first("console_srcu", "vmcore_cb_srcu", "tracepoint_srcu")
		if name == "" {
			assert.Zero(r.t, r.jiffies, "a kernel with symbols of variables has one")
			return
		}
		sym, err := r.Symbols.Lookup(name)
		require.NoError(r.t, err)
		ssp := sym.Addr
		fn, count := r.counter("callback")
		head := r.words(make([]uint64, 2))
		r.call("synchronize_srcu", ssp)
		idx := r.call("__srcu_read_lock", ssp)
		assert.Equal(r.t, "synchronize_srcu", r.deadlock("synchronize_srcu", ssp).Func)
		r.call("call_srcu", ssp, head, fn)
		assert.Zero(r.t, r.word(count))
		assert.Equal(r.t, 1, r.Pending())
		r.call("__srcu_read_unlock", ssp, idx)
		assert.EqualValues(r.t, 1, r.word(count))
	})
}
