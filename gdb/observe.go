package gdb

import (
	"context"
	"fmt"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/errno"
)

// storeObserver implements [emu.StoreObserver].
type storeObserver Stub

// GuestStores implements [emu.StoreObserver]. It is called where the CPU runs, so the history is its own.
func (o *storeObserver) GuestStores(page uint64) {
	if o.history != nil {
		o.history.keep(page)
	}
}

// HostStore implements [emu.StoreObserver]: it stops before a store that a watchpoint is for, and after it where
// the debugger steps.
func (o *storeObserver) HostStore(addr, size uint64, store func()) {
	s := (*Stub)(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.history != nil {
		s.history.hostStores(addr, size)
	}
	w := s.traps.Load().Hit(addr, size, emu.Store)
	t := s.storing()
	if s.closed || s.writing || w == nil && t.cpu != nil {
		store()
		return
	}
	if w != nil {
		s.stopForGo(t, watched(w, addr))
	}
	store()
	if t.action == step {
		s.stopForGo(t, &stop{signal: sigTrap})
	}
}

// storing returns the thread whose Go code stores: an operation of the core where one goes on, or else a CPU that
// executes no guest code.
func (s *Stub) storing() *thread {
	for _, t := range s.threads {
		if t.cpu == nil && !t.parked {
			return t
		}
	}
	for _, t := range s.threads {
		if !t.parked && !t.running {
			return t
		}
	}
	return s.threads[0]
}

// stopForGo stops a thread in its Go code until the debugger has it go on.
func (s *Stub) stopForGo(t *thread, why *stop) {
	if s.halted {
		t.pending = why // which the debugger is told of as soon as it wants to go on
	} else {
		s.halt(t, why)
	}
	_ = s.wait(context.Background(), t) // Go code ends by itself
}

// Grace are the grace periods of a machine with one CPU and no scheduler. They end when no guest code is in a call.
func (s *Stub) Grace() ftrace.GracePeriods { return &grace{stub: s} }

// grace implements [ftrace.GracePeriods].
type grace struct {
	stub    *Stub
	pending []func() // the core's
}

func (g *grace) SynchronizeRCUTasksRude() error { return g.synchronize("synchronize_rcu_tasks_rude") }
func (g *grace) SynchronizeRCUTasks() error     { return g.synchronize("synchronize_rcu_tasks") }

func (g *grace) synchronize(name string) error {
	s := g.stub
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inCall {
		t := s.patcher()
		if t == nil {
			return fmt.Errorf("%s in a call that it waits for: %w", name, errno.EDEADLK)
		}
		t.waits = name
		s.changed.Broadcast()
		for s.inCall && !s.killed && !s.closed {
			s.tellMonitor()
			s.changed.Wait()
		}
		t.waits = ""
		if s.inCall {
			return fmt.Errorf("%s: %w", name, ErrKilled)
		}
	}
	free := g.pending
	g.pending = nil
	for _, f := range free {
		s.mu.Unlock()
		f()
		s.mu.Lock()
	}
	return nil
}

// patcher returns the operation of the core that goes on, or nil.
func (s *Stub) patcher() *thread {
	for _, t := range s.threads {
		if t.cpu == nil && !t.parked {
			return t
		}
	}
	return nil
}

func (g *grace) CallRCU(free func())      { g.call(free) }
func (g *grace) CallRCUTasks(free func()) { g.call(free) }

func (g *grace) call(free func()) {
	g.stub.mu.Lock()
	busy := g.stub.inCall
	if busy {
		g.pending = append(g.pending, free)
	}
	g.stub.mu.Unlock()
	if !busy {
		free()
	}
}
