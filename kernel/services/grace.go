package services

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
)

// GraceKind is a flavour of grace period.
type GraceKind uint8

// The flavours, by what waits for them.
const (
	RCU           GraceKind = iota // synchronize_rcu, call_rcu
	RCUTasks                       // synchronize_rcu_tasks, call_rcu_tasks
	RCUTasksRude                   // synchronize_rcu_tasks_rude
	RCUTasksTrace                  // synchronize_rcu_tasks_trace, call_rcu_tasks_trace
	SRCU                           // synchronize_srcu, call_srcu
)

var graceNames = [...]string{RCU: "RCU", RCUTasks: "RCU tasks", RCUTasksRude: "RCU tasks rude", RCUTasksTrace: "RCU tasks trace", SRCU: "SRCU"}

func (k GraceKind) String() string {
	if int(k) >= len(graceNames) {
		return "no grace period"
	}
	return graceNames[k]
}

// GracePeriods decide when a grace period ends.
type GracePeriods interface {
	// Begin begins one of a kind, for the task on cpu.
	//
	// SRCU is not among them: an srcu_struct counts its readers.
	//
	// In a kernel that is not preemptible (no CONFIG_PREEMPTION) code of the kernel
	// is a reader until its task leaves its CPU voluntarily; there RCUTasks is begun
	// for RCU too.
	Begin(cpu emu.CPU, kind GraceKind) (GracePeriod, error)
}

// GracePeriod is one that has begun.
type GracePeriod interface {
	// Ended reports whether it is over.
	Ended() bool
	// Wait returns when it is. The task on cpu sleeps meanwhile, and is no reader.
	Wait(cpu emu.CPU) error
}

// GraceError is a grace period that can't end. It matches EDEADLK.
type GraceError struct {
	Kind    GraceKind
	Readers []int // CPUs that are in the kernel
}

func (e *GraceError) Error() string {
	return fmt.Sprintf("a grace period of %s waits for CPUs %v, which are in the kernel and do not run", e.Kind, e.Readers)
}

// Is reports EDEADLK.
func (e *GraceError) Is(target error) bool { return target == errno.EDEADLK }

// turns are the grace periods of CPUs that take turns on one goroutine: they wait
// for what is being called on other CPUs. The one that asks sleeps, so it is no reader.
type turns struct{ k *kernel.Kernel }

type turn struct {
	turns
	cpu  int
	kind GraceKind
}

func (t turns) Begin(cpu emu.CPU, kind GraceKind) (GracePeriod, error) {
	return turn{t, cpu.ID(), kind}, nil
}

func (t turn) readers() (cpus []int) {
	for id, c := range t.k.CPUs {
		if id != t.cpu && c.Calls().InProgress() {
			cpus = append(cpus, id)
		}
	}
	return cpus
}

func (t turn) Ended() bool { return len(t.readers()) == 0 }

func (t turn) Wait(emu.CPU) error {
	if readers := t.readers(); len(readers) > 0 {
		return &GraceError{t.kind, readers}
	}
	return nil
}

// graces are the callbacks that wait for grace periods.
type graces struct {
	mu      sync.Mutex
	pending []*callback // in the order that they were queued
}

// callback is an rcu_head that is queued.
type callback struct {
	kind    GraceKind
	period  GracePeriod
	fn      uint64 // is called with arg
	arg     uint64
	head    uint64 // 0: none
	running bool
}

// begin begins a grace period that a function was asked for.
func (c *request) begin(kind GraceKind) (p GracePeriod, err error) {
	strong := kind
	if kind == RCU && !c.s.preemptible {
		strong = RCUTasks
	}
	if kind == SRCU {
		p = &srcuPeriod{*c, c.args[0]}
	} else if p, err = c.s.opts.Grace.Begin(c.cpu, strong); err != nil {
		return nil, err
	}
	c.s.event(c.cpu, Event{Kind: GraceBegan, Func: c.r.Name, Grace: kind})
	return p, nil
}

// synchronize makes functions that return after a grace period.
func synchronize(kind GraceKind) func(*Services, Replaced) emu.GateFunc {
	return serving(func(c *request) (uint64, error) {
		if err := cmp.Or(c.maySleep(), c.notReader(kind)); err != nil {
			return 0, err
		}
		p, err := c.begin(kind)
		if err != nil {
			return 0, err
		}
		if err := p.Wait(c.cpu); err != nil {
			return 0, err
		}
		c.s.event(c.cpu, Event{Kind: GraceEnded, Func: c.r.Name, Grace: kind})
		return 0, c.s.RunCallbacks(background, c.cpu)
	})
}

// call makes functions that queue a callback: call_rcu(head, func), with the
// arguments from xi on.
func call(kind GraceKind, i int) func(*Services, Replaced) emu.GateFunc {
	return serving(func(c *request) (uint64, error) {
		head, fn := c.args[i], c.args[i+1]
		if err := c.s.k.Mem.Store64(head, 0); err != nil {
			return 0, err
		}
		if err := c.s.k.Mem.Store64(head+8, fn); err != nil { // rcu_head.func
			return 0, err
		}
		return 0, c.queue(&callback{kind: kind, fn: fn, arg: head, head: head})
	})
}

// kvfreeCall is kvfree_call_rcu(head, ptr); until 6.3 the second argument is how far
// the rcu_head is into the object, and without a head it may sleep.
func kvfreeCall(s *Services, r Replaced) emu.GateFunc {
	free, err := s.k.Symbols.Lookup("kvfree")
	if err != nil {
		return nil
	}
	return serving(func(c *request) (uint64, error) {
		head, ptr := c.args[0], c.args[1]
		if head != 0 && ptr < 4096 { // __is_kvfree_rcu_offset
			ptr = head - ptr
		}
		if head == 0 {
			if err := c.maySleep(); err != nil {
				return 0, err
			}
		}
		return 0, c.queue(&callback{kind: RCU, fn: free.Addr, arg: ptr, head: head})
	})(s, r)
}

// CallbackError is an rcu_head that is queued twice. It matches EINVAL.
type CallbackError struct {
	Func   string
	Caller string // as %pS; "" where the call itself did
	Head   uint64
	Queued string // the function that it is queued for, as %pS
}

func (e *CallbackError) Error() string {
	by := ""
	if e.Caller != "" {
		by = " by " + e.Caller
	}
	return fmt.Sprintf("%s of %#x%s, which is queued already, for %s", e.Func, e.Head, by, e.Queued)
}

// Is reports EINVAL.
func (e *CallbackError) Is(target error) bool { return target == errno.EINVAL }

// queue begins a grace period for a callback.
func (c *request) queue(cb *callback) (err error) {
	g := &c.s.graces
	if old := g.find(cb.head); old != nil {
		return &CallbackError{c.r.Name, c.caller(), cb.head, c.s.k.Where(old.fn)}
	}
	if cb.period, err = c.begin(cb.kind); err != nil {
		return err
	}
	c.s.event(c.cpu, Event{Kind: CallbackQueued, Func: c.r.Name, Grace: cb.kind, Addr: cb.fn, Value: cb.arg})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending = append(g.pending, cb)
	return nil
}

// find finds a callback by its rcu_head that has not run.
func (g *graces) find(head uint64) *callback {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.IndexFunc(g.pending, func(c *callback) bool { return head != 0 && c.head == head && !c.running })
	if i < 0 {
		return nil
	}
	return g.pending[i]
}

// barrier makes functions that return when all callbacks of a kind that are queued
// have run.
func barrier(kind GraceKind) func(*Services, Replaced) emu.GateFunc {
	return serving(func(c *request) (uint64, error) {
		if err := c.maySleep(); err != nil {
			return 0, err
		}
		g := &c.s.graces
		g.mu.Lock()
		pending := slices.DeleteFunc(slices.Clone(g.pending), func(cb *callback) bool { return cb.kind != kind })
		g.mu.Unlock()
		for _, cb := range pending {
			if err := cb.period.Wait(c.cpu); err != nil {
				return 0, err
			}
		}
		if err := c.s.RunCallbacks(background, c.cpu); err != nil {
			return 0, err
		}
		_, err := c.sleep(func() bool { return g.haveRun(pending) }, 0, nil) // other CPUs may run some
		return 0, err
	})
}

// RunCallbacks runs on a CPU the callbacks whose grace period is over, in the order
// that they were queued; those too that they queue, if theirs is over at once. The services
// do so where a task may sleep, and where a CPU has returned from a [kernel.Kernel.Call]; whoever
// drives CPUs otherwise does it there.
func (s *Services) RunCallbacks(ctx context.Context, cpu emu.CPU) error {
	for {
		cb := s.graces.ripe()
		if cb == nil {
			return nil
		}
		s.event(cpu, Event{Kind: CallbackRun, Func: "rcu_do_batch", Grace: cb.kind, Addr: cb.fn, Value: cb.arg})
		err := s.inContext(ctx, cpu, softirqOffset, cb.fn, cb.arg)
		s.graces.done(cb)
		if err != nil {
			return fmt.Errorf("callback after a grace period of %s: %w", cb.kind, err)
		}
	}
}

func (g *graces) ripe() *callback {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, cb := range g.pending {
		if !cb.running && cb.period.Ended() {
			cb.running = true
			return cb
		}
	}
	return nil
}

// haveRun reports whether none of the callbacks is to run any more.
func (g *graces) haveRun(cbs []*callback) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !slices.ContainsFunc(g.pending, func(cb *callback) bool { return slices.Contains(cbs, cb) })
}

// isRipe reports whether there is a callback to run.
func (g *graces) isRipe() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.pending, func(cb *callback) bool { return !cb.running && cb.period.Ended() })
}

func (g *graces) done(cb *callback) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending = slices.DeleteFunc(g.pending, func(other *callback) bool { return other == cb })
}

// Pending returns how many callbacks wait for a grace period, or to be run after it.
func (s *Services) Pending() int {
	s.graces.mu.Lock()
	defer s.graces.mu.Unlock()
	return len(s.graces.pending)
}
