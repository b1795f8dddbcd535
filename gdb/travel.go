package gdb

import (
	"context"
	"fmt"

	"callops/emu"
)

// travel moves the CPU in its history as the debugger wants: back, or forward up to the present. Stub.mu is
// held, but not while guest code is executed again.
func (c *cpu) travel(ctx context.Context) {
	s, t := c.stub, c.thread
	traps, act := s.traps.Load(), t.action
	t.running = true
	s.mu.Unlock()
	c.setTraps(traps)
	why := c.replay(ctx, act)
	s.mu.Lock()
	t.running, t.seen = false, *c.Regs()
	if why != nil {
		s.halt(t, why)
	}
	s.changed.Broadcast()
}

func (c *cpu) setTraps(traps *emu.Traps) {
	if traps != c.traps {
		c.SetTraps(traps)
		c.traps = traps
	}
}

// Stops in the past.
func stepped() *stop   { return &stop{signal: sigTrap} }
func atBegin() *stop   { return &stop{signal: sigTrap, reason: "replaylog:begin;"} }
func cancelled() *stop { return &stop{signal: sigInt} }

// replay is travel without locks. It returns why it ended, nil where the CPU is to go on.
func (c *cpu) replay(ctx context.Context, act action) *stop {
	h := c.stub.history
	switch act {
	case stepBack:
		return c.stepBack(ctx, h)
	case runBack:
		return c.runBack(ctx, h)
	}
	e := h.epochs[h.at]
	end, regs := h.end(h.at)
	left := end - c.Count()
	switch {
	case !e.guest && act == run && emu.InGates(c.Regs().PC) && c.traps.At(c.Regs().PC):
		return c.stub.breakpoint(c.Regs().PC)
	case !e.guest:
		did, w := h.did(h.at, regs), h.changed(e, c.traps)
		h.forward()
		switch {
		case w != nil:
			return watched(w, w.Addr)
		case did && act == step:
			return stepped()
		}
		return nil
	case left == 0:
		h.forward()
		return nil
	case act == step:
		left = 1
	}
	exit, err := c.Debuggable.Run(ctx, left)
	why, _ := c.meaning(exit, err)
	switch {
	case why != nil:
		return why
	case err != nil:
		return cancelled()
	case act == step && exit.Reason != emu.ExitHalted:
		return stepped()
	}
	return nil
}

// stepBack goes back by one instruction, or to before what Go code did.
func (c *cpu) stepBack(ctx context.Context, h *history) *stop {
	count, within := c.Count(), h.behind // within: in Go code's epoch, the CPU is at the beginning
	for {
		e := h.epochs[h.at]
		if e.guest && count > e.begin.Count() {
			h.rewind()
			if ended := c.goTo(ctx, count-1); ended != nil {
				return ended
			}
			return stepped()
		}
		if !within {
			did := h.did(h.at, c.Regs())
			h.rewind()
			if !e.guest && did {
				return stepped()
			}
		}
		if h.at == 0 {
			return atBegin()
		}
		h.at, within = h.at-1, false
	}
}

// runBack goes back to the last place where the CPU would have stopped.
func (c *cpu) runBack(ctx context.Context, h *history) *stop {
	count, within := c.Count(), h.behind
	for {
		e := h.epochs[h.at]
		switch {
		case e.guest && count > e.begin.Count():
			h.rewind()
			if c.traps == nil {
				break
			}
			last, why := c.lastStop(ctx, count)
			h.rewind()
			if why != nil {
				if ended := c.goTo(ctx, last); ended != nil {
					return ended
				}
				return why
			}
		case !within:
			did := h.did(h.at, c.Regs())
			h.rewind()
			if e.guest || !did {
				break
			}
			if w := h.changed(e, c.traps); w != nil {
				return watched(w, w.Addr)
			}
			if pc := c.Regs().PC; emu.InGates(pc) && c.traps.At(pc) {
				return c.stub.breakpoint(pc)
			}
		}
		if h.at == 0 {
			return atBegin()
		}
		h.at, within = h.at-1, false
		count, _ = h.end(h.at)
	}
}

// lastStop executes from the beginning of an epoch up to a count, and returns the last stop before that, and the
// count there; nil: there is none.
func (c *cpu) lastStop(ctx context.Context, end uint64) (last uint64, why *stop) {
	for c.Count() < end {
		exit, err := c.Debuggable.Run(ctx, end-c.Count())
		switch {
		case err != nil || exit.Reason == emu.ExitHalted && c.stub.isHalted():
			return c.Count(), cancelled()
		case exit.Reason == emu.ExitHalted: // for something that is over
		case exit.Reason == emu.ExitBreakpoint || exit.Reason == emu.ExitWatchpoint:
			last = c.Count()
			why, _ = c.meaning(exit, nil)
			if _, err := c.Debuggable.Step(); err != nil {
				return last, cancelled()
			}
		case c.Count() < end:
			return last, c.diverged(exit)
		}
	}
	return last, why
}

// goTo executes from the beginning of an epoch up to a count. It returns what kept it from that.
func (c *cpu) goTo(ctx context.Context, count uint64) *stop {
	traps := c.traps
	c.setTraps(nil)
	defer c.setTraps(traps)
	for c.Count() < count {
		exit, err := c.Debuggable.Run(ctx, count-c.Count())
		switch {
		case err != nil:
			return cancelled()
		case exit.Reason != emu.ExitBudget && exit.Reason != emu.ExitHalted && c.Count() < count:
			return c.diverged(exit)
		}
	}
	return nil
}

// diverged is the stop where guest code that is executed again does not do what it did.
func (c *cpu) diverged(exit emu.Exit) *stop {
	c.stub.log(fmt.Sprintf("gdb: executed again, guest code does something else: %v", exit))
	return &stop{signal: sigTrap}
}
