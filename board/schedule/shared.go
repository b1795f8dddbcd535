package schedule

import (
	"context"
	"math/bits"

	"callops/board"
	"callops/emu"
)

// granule is the unit in which accesses are compared: a doubleword.
const granule = 8

// recordings is how many schedules are looked at for accesses that CPUs share.
const recordings = 5

// hot is how often an instruction may be executed in a schedule to be one of them: what goes through all records under ftrace_lock is none.
const hot = 64

// others are functions that are not looked into: the scheduler, allocators and RCU, which share memory between all CPUs whatever the
// workload does.
var others = []string{
	"schedule", "__schedule", "preempt_schedule_common", "preempt_schedule", "try_to_wake_up", "wake_up_q", "__cond_resched",
	"kfree", "__kmalloc_noprof", "__kmalloc_cache_noprof", "__kmalloc", "kmalloc_trace",
	"call_rcu", "call_rcu_hurry", "__wait_rcu_gp", "synchronize_rcu", "synchronize_rcu_tasks", "synchronize_rcu_tasks_rude",
}

// use is what has been seen of a granule.
type use struct {
	loads, stores uint // CPUs
	pcs           map[uint64]bool
}

// recorder looks for accesses that threads share.
type recorder struct {
	l       *Lab
	threads map[uint64]*recorded // by task_struct
	others  map[uint64]bool
	uses    map[uint64]*use
	times   map[uint64]int // that an instruction has been executed
}

// recorded is a thread.
type recorded struct {
	thread int
	stack  uint64
	until  uint64 // it is in one of the others, which returns here
	sp     uint64
}

// threadSize is THREAD_SIZE, but with pages of 64K or KASAN.
const threadSize = 16 << 10

// findShared finds the instructions at which threads of the workload access memory that threads on other CPUs access too, one of them with a
// store. Interrupts are not looked at; fetches are, of what callers execute, so that patched text is shared.
func (l *Lab) findShared(ctx context.Context) error {
	r, err := l.newRecorder()
	if err != nil {
		return err
	}
	l.m.OnAccess(r.access)
	defer l.m.OnAccess(nil)
	for seed := range uint64(recordings) {
		for _, t := range r.threads {
			t.until = 0
		}
		if _, err := l.Run(ctx, NewPCT(seed, 2*int(seed), l.usual, 0)); err != nil {
			return err
		}
	}
	l.shared = make(map[uint64]bool)
	for _, u := range r.uses {
		if u.stores == 0 || bits.OnesCount(u.loads|u.stores) < 2 {
			continue
		}
		for pc := range u.pcs {
			if r.times[pc] <= hot*recordings {
				l.shared[pc] = true
			}
		}
	}
	return nil
}

func (l *Lab) newRecorder() (*recorder, error) {
	r := &recorder{
		l: l, threads: make(map[uint64]*recorded), others: make(map[uint64]bool), uses: make(map[uint64]*use), times: make(map[uint64]int),
	}
	for _, name := range others {
		if addr, err := l.m.Symbol(name); err == nil {
			r.others[addr] = true
		}
	}
	for i, t := range l.setup.threads[1:] {
		stack, err := l.m.Load64(t.task + uint64(l.m.Image().Layout().Task.Stack))
		if err != nil {
			return nil, err
		}
		r.threads[t.task] = &recorded{thread: i + 1, stack: stack}
	}
	return r, nil
}

// access is told of each access.
func (r *recorder) access(a *board.Access) {
	t := r.threads[a.Before.SPEL0]
	if t == nil || a.Before.SP-t.stack >= threadSize || !r.l.watch.threads[t.thread].inCall {
		return
	}
	if a.Kind == emu.Fetch {
		switch {
		case a.PC == r.l.setup.body.step+8: // the call has returned
			r.l.watch.threads[t.thread].inCall = false
			return
		case t.until != 0 && a.PC == t.until && a.Before.SP == t.sp:
			t.until = 0
		case t.until == 0 && r.others[a.PC]:
			t.until, t.sp = a.Before.X[30], a.Before.SP
		}
	}
	if t.until != 0 {
		return
	}
	if a.Kind == emu.Fetch {
		r.times[a.PC]++
		if r.l.setup.threads[t.thread].calls < 0 {
			return
		}
	}
	for g := a.Offset / granule; g <= (a.Offset+a.Size-1)/granule; g++ {
		u := r.uses[g]
		if u == nil {
			u = &use{pcs: make(map[uint64]bool)}
			r.uses[g] = u
		}
		u.pcs[a.PC] = true
		if a.Kind == emu.Store {
			u.stores |= 1 << a.CPU
		} else {
			u.loads |= 1 << a.CPU
		}
	}
}
