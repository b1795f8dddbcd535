package ftrace

import (
	"fmt"
	"sync"

	"callops/internal/errno"
)

// GracePeriods waits for readers. The core calls it where Linux calls the
// functions of these names. A wait that can't end is an error that matches
// EDEADLK: the caller must not free what it waited for.
type GracePeriods interface {
	// SynchronizeRCUTasksRude returns after every CPU has been through its
	// scheduler once.
	SynchronizeRCUTasksRude() error

	// SynchronizeRCUTasks returns after every task that was running or
	// preempted has left its CPU voluntarily once.
	SynchronizeRCUTasks() error

	// CallRCU and CallRCUTasks call free after such a grace period, during an
	// operation of the Registry or between two, never concurrently with one.
	CallRCU(free func())
	CallRCUTasks(free func())
}

// oneTask serves grace periods where guest code runs on the caller's own
// goroutine: they end at once when none is running, and never while an outer
// call waits for a tracer to return.
type oneTask struct {
	mu      sync.Mutex
	readers int // Go tracers being called
	pending []func()
}

func (g *oneTask) enter() {
	g.mu.Lock()
	g.readers++
	g.mu.Unlock()
}

// leave ends a reader and, after the last, runs what waited for it.
func (g *oneTask) leave() {
	g.mu.Lock()
	g.readers--
	var run []func()
	if g.readers == 0 {
		run, g.pending = g.pending, nil
	}
	g.mu.Unlock()
	for _, free := range run {
		free()
	}
}

func (g *oneTask) SynchronizeRCUTasksRude() error { return g.synchronize("synchronize_rcu_tasks_rude") }
func (g *oneTask) SynchronizeRCUTasks() error     { return g.synchronize("synchronize_rcu_tasks") }

func (g *oneTask) synchronize(name string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.readers > 0 {
		return fmt.Errorf("%s called from a tracer waits for that tracer: %w", name, errno.EDEADLK)
	}
	return nil
}

func (g *oneTask) CallRCU(free func()) {
	g.mu.Lock()
	busy := g.readers > 0
	if busy {
		g.pending = append(g.pending, free)
	}
	g.mu.Unlock()
	if !busy {
		free()
	}
}

func (g *oneTask) CallRCUTasks(free func()) { g.CallRCU(free) }
