package interp

import (
	"context"
	"fmt"

	"callops/asm"
	"callops/emu"
)

// slice is how many instructions run between two looks at the context: about a
// millisecond, and less than ten of the slowest.
const slice = 1 << 18

// CPU implements [emu.CPU] and [emu.TextObserver].
type CPU struct {
	// x is the register file while the CPU runs; see the slots. It is as long
	// as a uint8 can index, so that no access needs a bounds check.
	x [256]uint64

	flags flags

	pc    uint64 // where the loop is not keeping it
	count uint64 // executed; in the loop, with all of the run being executed

	loads   tlb
	stores  tlb
	cache   [cachedPages]cachedPage
	targets [targets]target

	ring [ringSize]ringEntry
	head uint64 // entries made, ever

	monitor monitor
	fenced  uint32 // what the loop's fences add nothing to
	sys     sysregs
	fault   emu.Fault // the last refused access
	word    uint32    // what stopUndefined and its like are about

	supervised bool // Run returns for the next two
	irq        bool // an interrupt is pending
	waits      bool // WFI has been executed
	watchSpins bool // Run returns for the next one
	spins      bool // WFE or YIELD has been executed

	id     int
	engine *Engine
	regs   emu.Regs
	calls  emu.CallStack
	closed bool
	pages  map[uint64]*page

	changes changes
	traps   traps
}

func newCPU(e *Engine, id int) *CPU {
	c := &CPU{engine: e, id: id, pages: map[uint64]*page{}}
	c.loads.clear()
	c.stores.clear()
	for i := range c.cache {
		c.cache[i].base = noPage
	}
	for i := range c.targets {
		c.targets[i] = target{pc: gates.base, page: &gates, in: &gates.ops[0]}
	}
	c.monitor.clear()
	c.traps.passed = noCount
	c.sys.reset(id)
	return c
}

// ID implements [emu.CPU].
func (c *CPU) ID() int { return c.id }

// Regs implements [emu.CPU].
func (c *CPU) Regs() *emu.Regs { return &c.regs }

// Count implements [emu.CPU].
func (c *CPU) Count() uint64 { return c.count }

// Calls implements [emu.CPU].
func (c *CPU) Calls() *emu.CallStack { return &c.calls }

// Step implements [emu.CPU].
func (c *CPU) Step() (emu.Exit, error) {
	before := c.count
	c.traps.passed = before
	exit, err := c.Run(context.Background(), 1)
	c.traps.passed = noCount
	if c.count != before {
		exit.Reason = emu.ExitBudget // also when it led to a gate
	}
	return exit, err
}

// Run implements [emu.CPU].
func (c *CPU) Run(ctx context.Context, budget uint64) (emu.Exit, error) {
	if c.closed {
		return emu.Exit{PC: c.regs.PC}, errClosed
	}
	if emu.InGates(c.regs.PC) {
		return emu.Exit{Reason: emu.ExitGate, PC: c.regs.PC}, nil
	}
	c.enter()
	exit, err := c.run(ctx, c.count+min(budget, 1<<63))
	c.leave()
	return exit, err
}

// enter loads the registers.
func (c *CPU) enter() {
	r := &c.regs
	copy(c.x[:31], r.X[:])
	c.x[slotZR] = 0
	c.x[slotSP] = r.SP
	c.flags.set(r.NZCV >> 28)
	c.x[slotSPEL0], c.x[slotTPIDREL1], c.x[slotTPIDREL0] = r.SPEL0, r.TPIDREL1, r.TPIDREL0
	c.pc = r.PC
}

// leave stores them.
func (c *CPU) leave() {
	r := &c.regs
	copy(r.X[:], c.x[:31])
	r.SP, r.PC, r.NZCV = c.x[slotSP], c.pc, c.flags.get()<<28
	r.SPEL0, r.TPIDREL1, r.TPIDREL0 = c.x[slotSPEL0], c.x[slotTPIDREL1], c.x[slotTPIDREL0]
}

// run executes until something ends it, at the latest when count reaches end.
func (c *CPU) run(ctx context.Context, end uint64) (emu.Exit, error) {
	for {
		pc := c.pc
		if emu.InGates(pc) {
			return emu.Exit{Reason: emu.ExitGate, PC: pc}, nil
		}
		if err := ctx.Err(); err != nil {
			return emu.Exit{PC: pc}, err
		}
		if reason, ok := c.attention(); ok {
			return emu.Exit{Reason: reason, PC: pc}, nil
		}
		if c.count == end {
			return emu.Exit{PC: pc}, nil
		}
		if pc%4 != 0 {
			return fetchFault(pc, emu.Misaligned), nil
		}
		c.syncText()
		if c.traps.halted.Load() && c.traps.passed != c.count {
			c.traps.halted.Store(false)
			return emu.Exit{Reason: emu.ExitHalted, PC: pc}, nil
		}
		p := c.fetch(pc)
		if p == nil {
			return fetchFault(pc, c.refusal(pc)), nil
		}
		s := c.loop(p, c.count+min(end-c.count, sliceLength()))
		if sampling {
			c.sample()
		}
		if s != stopNone {
			return c.exit(s)
		}
	}
}

// stop is why the execution of instructions ended, or of one of them.
type stop uint8

const (
	stopNone        stop = iota
	stopBranch           // not an end: pc has been set
	stopFault            // described by fault
	stopUndefined        // unallocated
	stopException        // SVC and the like
	stopUnsupported      // allocated, but not executed here
	stopBreakpoint
)

// exit translates a stop. The instruction at pc has not been executed.
func (c *CPU) exit(s stop) (emu.Exit, error) {
	exit := emu.Exit{PC: c.pc, Word: c.word}
	switch s {
	case stopFault:
		f := c.fault
		f.PC = c.pc
		if c.traps.watched {
			c.traps.watched = false
			return emu.Exit{Reason: emu.ExitWatchpoint, PC: c.pc, Fault: &f}, nil
		}
		return emu.Exit{Reason: emu.ExitFault, PC: c.pc, Fault: &f}, nil
	case stopBreakpoint:
		return emu.Exit{Reason: emu.ExitBreakpoint, PC: c.pc}, nil
	case stopException:
		exit.Reason = emu.ExitException
		return exit, nil
	case stopUnsupported:
		return exit, &emu.UnsupportedError{PC: c.pc, Word: c.word, Text: asm.Disassemble(c.word, c.pc, nil)}
	case stopUndefined:
		exit.Reason = emu.ExitUndefined
		return exit, nil
	}
	return exit, fmt.Errorf("interp: cpu %d at %#x: stopped for reason %d", c.id, c.pc, s)
}

func fetchFault(pc uint64, kind emu.FaultKind) emu.Exit {
	return emu.Exit{Reason: emu.ExitFault, PC: pc, Fault: &emu.Fault{
		Addr: pc, Size: 4, Access: emu.Fetch, Kind: kind, PC: pc,
	}}
}
