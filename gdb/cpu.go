package gdb

import (
	"context"
	"errors"
	"fmt"

	"callops/emu"
)

// cpu implements [emu.CPU]: one that the debugger can stop between two instructions.
type cpu struct {
	emu.Debuggable
	stub   *Stub
	thread *thread
	traps  *emu.Traps // that the CPU has
}

// Step implements [emu.CPU].
func (c *cpu) Step() (emu.Exit, error) {
	before := c.Count()
	exit, err := c.Run(context.Background(), 1)
	if c.Count() != before {
		exit.Reason = emu.ExitBudget // also when it led to a gate
	}
	return exit, err
}

// Run implements [emu.CPU].
func (c *cpu) Run(ctx context.Context, budget uint64) (emu.Exit, error) {
	s := c.stub
	if !s.armed.Load() || s.quiet[c.Regs().PC] {
		return c.undebugged(ctx, budget)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inCall = true
	if s.reversible && s.history == nil {
		s.history = newHistory(s.m.Kernel.Mem, c.Debuggable)
	}
	exit, err := c.debugged(ctx, c.Count()+min(budget, 1<<62))
	t := c.thread
	t.seen, t.stepped = *c.Regs(), t.action == step
	if over(c, exit, err) {
		s.inCall = false
		s.changed.Broadcast()
	}
	return exit, err
}

// undebugged is Run where no debugger looks. A Halt that is left was for a Run that ended otherwise.
func (c *cpu) undebugged(ctx context.Context, budget uint64) (emu.Exit, error) {
	for end := c.Count() + min(budget, 1<<62); ; {
		exit, err := c.Debuggable.Run(ctx, end-c.Count())
		if err != nil || exit.Reason != emu.ExitHalted {
			return exit, err
		}
	}
}

// over reports whether the outermost call ends with such an end of Run.
func over(c emu.CPU, exit emu.Exit, err error) bool {
	switch {
	case err != nil || exit.Reason == emu.ExitFault || exit.Reason == emu.ExitUndefined:
		return true
	case emu.InGates(exit.PC):
		return exit.PC == emu.ReturnGate && c.Calls().Depth() <= 1
	}
	return false
}

// debugged is Run until count, stopping where the debugger wants. Stub.mu is held.
func (c *cpu) debugged(ctx context.Context, end uint64) (emu.Exit, error) {
	s, t := c.stub, c.thread
	for {
		if t.stepped {
			t.stepped = false
			s.halt(t, &stop{signal: sigTrap})
		}
		if err := c.hold(ctx, nil); err != nil {
			return emu.Exit{PC: c.Regs().PC}, err
		}
		pc := c.Regs().PC
		switch {
		case c.Count() == end:
			return emu.Exit{PC: pc}, nil
		case emu.InGates(pc) && t.action == run && s.traps.Load().At(pc):
			s.halt(t, s.breakpoint(pc))
			continue
		case emu.InGates(pc):
			return emu.Exit{Reason: emu.ExitGate, PC: pc}, nil
		}
		most := end - c.Count()
		if t.action == step {
			most = 1
		}
		exit, err := c.execute(ctx, most)
		if why, ends := c.meaning(exit, err); why != nil {
			s.halt(t, why)
			if !ends {
				continue
			}
			if failed := c.hold(ctx, why); failed != nil {
				return exit, failed
			}
			if c.Regs().PC == exit.PC {
				return exit, err
			}
			continue // the debugger has it go on elsewhere
		}
		switch {
		case err != nil:
			return exit, err
		case exit.Reason == emu.ExitException:
			return exit, nil // which the kernel handles
		}
		t.stepped = t.action == step && exit.Reason != emu.ExitHalted
	}
}

// hold waits until the CPU is to go on in the present, and moves it in its history until then. Where it comes back
// to the present it stops there for why, unless that is nil.
func (c *cpu) hold(ctx context.Context, why *stop) error {
	s, t := c.stub, c.thread
	for away := false; ; {
		err := s.wait(ctx, t)
		h := s.history
		switch {
		case err != nil && h != nil:
			h.toPresent() // which Go code goes on in
			return err
		case err != nil:
			return err
		case h != nil && (h.past() || t.action.reverse()):
			c.travel(ctx)
			away = true
		case away && why != nil && !s.closed:
			s.halt(t, why)
			away = false
		default:
			return nil
		}
	}
}

// execute runs guest code, without Stub.mu.
func (c *cpu) execute(ctx context.Context, most uint64) (emu.Exit, error) {
	s, t := c.stub, c.thread
	if h := s.history; h != nil {
		most = h.enterGuest(most)
	}
	traps := s.traps.Load()
	t.running = true
	s.mu.Unlock()
	c.setTraps(traps)
	exit, err := c.Debuggable.Run(ctx, most)
	s.mu.Lock()
	t.running, t.seen = false, *c.Regs()
	if h := s.history; h != nil {
		h.leaveGuest()
	}
	s.changed.Broadcast()
	return exit, err
}

// meaning is the stop that an end of Run is to the debugger, nil: none, and whether it ends the call.
func (c *cpu) meaning(exit emu.Exit, err error) (why *stop, ends bool) {
	var unsupported *emu.UnsupportedError
	switch {
	case errors.As(err, &unsupported) || err == nil && exit.Reason == emu.ExitUndefined:
		return &stop{signal: sigIll}, true
	case err != nil:
		return nil, true
	}
	switch exit.Reason {
	case emu.ExitFault:
		return &stop{signal: sigSegv}, true
	case emu.ExitBreakpoint:
		return c.stub.breakpoint(exit.PC), false
	case emu.ExitWatchpoint:
		return watched(c.traps.Hit(exit.Fault.Addr, exit.Fault.Size, exit.Fault.Access), exit.Fault.Addr), false
	}
	return nil, false
}

// watched is the stop at a watchpoint, for an access at addr.
func watched(w *emu.Watchpoint, addr uint64) *stop {
	kind := "awatch"
	switch {
	case !w.Load:
		kind = "watch"
	case !w.Store:
		kind = "rwatch"
	}
	return &stop{signal: sigTrap, reason: fmt.Sprintf("%s:%x;", kind, max(addr, w.Addr))}
}
