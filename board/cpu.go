package board

import (
	"context"
	"errors"
	"fmt"

	"callops/asm"
	"callops/emu"
	"callops/emu/interp"
	"callops/emu/isa"
)

// cpu is a CPU of the board: the interpreter's, with exceptions, a timer and an MMU around it.
type cpu struct {
	*interp.CPU
	m *Machine

	online bool
	waits  bool // in WFI
	spins  bool // it has said so in its turn, see [Machine.Turn]
	held   bool // at a hypercall that is not served yet
	served bool // behind one whose server ends the turn
	point  bool // at one of the machine's points
	pass   bool // the turn began at one

	hypercalls uint64 // that have been served in the turn
	exits      uint64 // times that the board did something for the CPU, which a budget counts too
	timer      timer
	trap       map[asm.SysReg]uint64 // registers that are nothing but what was written to them
}

func (c *cpu) system(id asm.SysReg) uint64 {
	v, _ := c.System(id)
	return v
}

// now is the board's time as the CPU's counter has it: instructions, 1 ns each.
func (c *cpu) now() uint64 { return c.system(asm.CNTVCT_EL0) }

// run executes about n instructions, fewer where the CPU comes to wait for an interrupt or the board stops.
func (c *cpu) run(ctx context.Context, n uint64) error {
	for end := c.spent() + n; c.spent() < end && !c.waits && !c.m.stopped; {
		if err := c.execute(ctx, end-c.spent()); err != nil {
			return err
		}
	}
	return nil
}

// execute executes up to budget instructions, fewer where something has to be done for the CPU, and does that.
func (c *cpu) execute(ctx context.Context, budget uint64) error {
	if due, ok := c.timer.due(); ok && due > c.now() {
		budget = min(budget, due-c.now())
	}
	c.SetInterrupt(c.m.gic.signals(c.ID()))
	pc, count := c.Regs().PC, c.Count()
	exit, err := c.runOrStep(ctx, budget)
	if err = c.handle(ctx, exit, err); err != nil {
		return err
	}
	c.pass = c.pass && c.Regs().PC == pc && c.Count() == count // a page was found that it accesses: the instruction is still to be executed
	return c.m.err
}

// runOrStep is Run, one instruction of it where each is told of.
func (c *cpu) runOrStep(ctx context.Context, budget uint64) (emu.Exit, error) {
	if c.m.step == nil && !c.pass {
		return c.Run(ctx, budget)
	}
	before, count := *c.Regs(), c.Count()
	exit, err := c.oneStep(ctx)
	if c.Count() != count && c.m.step != nil {
		c.m.step(c, &before)
	}
	return exit, err
}

// oneStep executes an instruction, past a point where the turn began at it.
func (c *cpu) oneStep(ctx context.Context) (emu.Exit, error) {
	if c.pass {
		return c.Step()
	}
	return c.Run(ctx, 1)
}

// spent is what the CPU took of a budget.
func (c *cpu) spent() uint64 { return c.Count() + c.exits }

// handle does what hardware does where the CPU stopped.
func (c *cpu) handle(ctx context.Context, exit emu.Exit, err error) error {
	if err != nil || exit.Reason != emu.ExitBudget {
		c.exits++
	}
	var trapped *emu.UnsupportedError
	if errors.As(err, &trapped) {
		return c.trapped(trapped)
	}
	if err != nil {
		return err
	}
	switch exit.Reason {
	case emu.ExitInterrupt:
		c.except(vectorIRQ, 0, c.Regs().PC)
	case emu.ExitWait:
		c.waits = true
	case emu.ExitBreakpoint, emu.ExitWatchpoint:
		if c.m.points[exit.PC] {
			c.point, c.pass = c.m.turning, !c.m.turning
			return nil
		}
		return c.stopAt(ctx, exit)
	case emu.ExitSpin:
		c.spins = true
	case emu.ExitFault:
		return c.fault(exit.Fault)
	case emu.ExitException:
		return c.exception(exit)
	case emu.ExitUndefined:
		c.sync(ecUnknown, 0)
	case emu.ExitGate:
		if _, ok := c.m.gates.Name(exit.PC); ok && exit.PC != emu.ReturnGate {
			return c.m.gates.Serve(c, exit.PC)
		}
		// Nothing can be fetched there.
		return c.fault(&emu.Fault{Addr: exit.PC, Access: emu.Fetch, Kind: emu.Unmapped})
	}
	return nil
}

// Offsets in the vector table, from EL1 with SP_EL1 (Arm ARM, D1.3.6).
const (
	vectorSync = 0x200
	vectorIRQ  = 0x280
)

// Exception classes and what ESR_EL1 says beside them (Arm ARM, D24.2.40).
const (
	ecUnknown     = 0x00
	ecSysreg      = 0x18
	ecFetchAbort  = 0x21
	ecPC          = 0x22
	ecDataAbort   = 0x25
	ecBRK         = 0x3c
	il            = 1 << 25
	issWrite      = 1 << 6
	fscAlignment  = 0x21
	fscExternal   = 0x10
	fscTranslate3 = 0x07
	fscPermission = 0x0f
)

// Bits of PSTATE as SPSR_EL1 has them.
const (
	psEL1h = 5
	psPAN  = 1 << 22
	psUAO  = 1 << 23
	psDAIF = 0x3c0
	psNZCV = 0xf << 28

	sctlrSPAN = 1 << 23
)

// sync takes a synchronous exception at the instruction that PC stands on.
func (c *cpu) sync(class, iss uint64) { c.except(vectorSync, class<<26|il|iss, c.Regs().PC) }

// except takes an exception that returns to pc. One at the vector for such is the end: others would follow from it for ever.
func (c *cpu) except(vector, syndrome, pc uint64) {
	r := c.Regs()
	if vector == vectorSync && pc == c.system(vbar)+vectorSync {
		c.m.keep(fmt.Errorf("an exception at %#x, and no vector to go to: at %#x is another, with ESR_EL1 %#x", c.system(elr), pc, syndrome))
		return
	}
	c.SetSystem(spsr, uint64(r.NZCV)|c.system(asm.DAIF)|c.system(isa.PAN)|c.system(isa.UAO)|psEL1h)
	c.SetSystem(elr, pc)
	if vector == vectorSync {
		c.SetSystem(esr, syndrome)
	}
	c.SetSystem(asm.DAIF, psDAIF)
	if c.system(sctlr)&sctlrSPAN == 0 {
		c.SetSystem(isa.PAN, psPAN)
	}
	c.SetSystem(isa.UAO, 0)
	r.PC = c.system(vbar) + vector
}

// eret returns from an exception.
func (c *cpu) eret() error {
	r, state := c.Regs(), c.system(spsr)
	if state&0x1f != psEL1h {
		return fmt.Errorf("ERET to %#x with SPSR_EL1 %#x: the board has EL1 alone", c.system(elr), state)
	}
	r.NZCV, r.PC = uint32(state&psNZCV), c.system(elr)
	c.SetSystem(asm.DAIF, state&psDAIF)
	c.SetSystem(isa.PAN, state&psPAN)
	c.SetSystem(isa.UAO, state&psUAO)
	c.ClearExclusive()
	return nil
}

// exception is an instruction that makes one.
func (c *cpu) exception(exit emu.Exit) error {
	const hvc, smc, imm16 = 2, 3, 0xffff
	imm := uint64(exit.Word >> 5 & imm16)
	switch {
	case exit.Word>>21 == 0x6a0 && exit.Word&31 == hvc:
		c.Regs().PC += 4
		return c.m.hypercall(c, imm)
	case exit.Word>>21 == 0x6a1 && exit.Word&31 == 0:
		c.sync(ecBRK, imm)
	default:
		c.sync(ecUnknown, 0)
	}
	return nil
}

// fault is an access that no region permits: to a page that has not been touched yet, to a device, or
// one that the tables do not permit either.
func (c *cpu) fault(f *emu.Fault) error {
	if f.Kind == emu.Misaligned {
		if f.Access == emu.Fetch {
			c.SetSystem(far, f.Addr)
			c.sync(ecPC, 0)
			return nil
		}
		c.abort(f, fscAlignment)
		return nil
	}
	at, ok := c.translate(f.Addr)
	if !ok {
		c.abort(f, fscTranslate3)
		return nil
	}
	if r := c.m.mem.Region(f.Addr); r != nil && r.Perm == at.perm {
		c.abort(f, fscPermission)
		return nil
	}
	filled, err := c.fill(at)
	if filled || err != nil {
		return err
	}
	if f.Access != emu.Fetch && c.device(at.pa+f.Addr-at.va) {
		return nil
	}
	c.abort(f, fscExternal)
	return nil
}

// abort takes a data or an instruction abort.
func (c *cpu) abort(f *emu.Fault, status uint64) {
	c.SetSystem(far, f.Addr)
	switch f.Access {
	case emu.Fetch:
		c.sync(ecFetchAbort, status)
	case emu.Store:
		c.sync(ecDataAbort, status|issWrite)
	default:
		c.sync(ecDataAbort, status)
	}
}

// device does the load or store that PC stands on at a register of a device, and reports whether there is
// one. Drivers use plain loads and stores of one register.
func (c *cpu) device(pa uint64) bool {
	read, write := c.m.at(c.ID(), pa)
	if read == nil {
		return false
	}
	r := c.Regs()
	w, err := c.m.mem.Load32(r.PC)
	if err != nil {
		return false
	}
	switch {
	case w&0x3b000000 == 0x39000000: // unsigned offset
	case w&0x3b200c00 == 0x38000000: // LDUR, STUR
	case w&0x3b200c00 == 0x38200800: // register offset
	default:
		return false
	}
	rt := w & 31
	if w>>22&3 == 0 {
		v := uint64(0)
		if rt != 31 {
			v = r.X[rt]
		}
		write(uint32(v))
	} else if v := read(); rt != 31 {
		r.X[rt] = uint64(v)
	}
	r.PC += 4
	return true
}
