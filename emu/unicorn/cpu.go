//go:build cgo

package unicorn

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	uc "github.com/unicorn-engine/unicorn/bindings/go/unicorn"

	"callops/emu"
)

/*
#cgo darwin pkg-config: unicorn
#cgo !darwin LDFLAGS: -lunicorn
#include <stdlib.h>
#include "vcpu.h"
*/
import "C"

// slice is how many instructions run between two looks at the context: some
// ten milliseconds of the slowest code, a fraction of one of the fastest.
const slice = 1 << 18

// CPU implements [emu.CPU] and [emu.TextObserver].
type CPU struct {
	engine  *Engine
	id      int
	regs    emu.Regs
	calls   emu.CallStack
	state   *state
	seen    []*emu.Region // what the regions were when last looked at
	mapped  map[*emu.Region]bool
	changes changes
}

// state is what has to be freed.
type state struct {
	uc      uc.Unicorn
	v       *C.struct_vcpu
	cleanup runtime.Cleanup
}

func newCPU(e *Engine, id int) (*CPU, error) {
	c := &CPU{engine: e, id: id}
	return c, c.renew()
}

// renew gives the CPU an instance of the library as it is after reset. What was
// counted goes on.
func (c *CPU) renew() error {
	u, err := uc.NewUnicorn(uc.ARCH_ARM64, uc.MODE_ARM)
	if err != nil {
		return err
	}
	s := &state{uc: u, v: (*C.struct_vcpu)(C.calloc(1, C.sizeof_struct_vcpu))}
	if err := s.setup(c.engine.tables); err != nil {
		return errors.Join(err, s.free())
	}
	if old := c.state; old != nil {
		s.v.count, s.v.head, s.v.ring = old.v.count, old.v.head, old.v.ring
		if err := old.free(); err != nil {
			return errors.Join(err, s.free())
		}
	}
	c.state, c.seen, c.mapped = s, nil, map[*emu.Region]bool{}
	s.cleanup = runtime.AddCleanup(c, func(s *state) { _ = s.free() }, s)
	return nil
}

func (s *state) setup(tables *pageTable) error {
	u, v := s.uc, s.v
	// The default model has no LSE atomics.
	if err := u.SetCPUModel(uc.CPU_ARM64_MAX); err != nil {
		return err
	}
	if err := u.MemMapPtr(tablesAt, tablesSize, uc.PROT_ALL, unsafe.Pointer(unsafe.SliceData(tables.host))); err != nil {
		return fmt.Errorf("page tables: %w", err)
	}
	v.uc = (*C.uc_engine)(unsafe.Pointer(u.Handle()))
	v.standin = C.aligned_alloc(emu.PageSize, emu.PageSize)
	ttbr0, ttbr1 := tables.roots()
	return asError(C.vcpu_setup(v, C.uint64_t(ttbr0), C.uint64_t(ttbr1)))
}

// free may be called again.
func (s *state) free() error {
	if s.v == nil {
		return nil
	}
	s.cleanup.Stop()
	err := s.uc.Close()
	C.free(s.v.standin)
	C.free(unsafe.Pointer(s.v))
	s.v = nil
	return err
}

func (c *CPU) close() error { return c.state.free() }

// ID implements [emu.CPU].
func (c *CPU) ID() int { return c.id }

// Regs implements [emu.CPU].
func (c *CPU) Regs() *emu.Regs { return &c.regs }

// Calls implements [emu.CPU].
func (c *CPU) Calls() *emu.CallStack { return &c.calls }

// Count implements [emu.CPU].
func (c *CPU) Count() uint64 {
	defer runtime.KeepAlive(c)
	if c.state.v == nil {
		return 0
	}
	return uint64(c.state.v.count)
}

// TextChanged implements [emu.TextObserver].
func (c *CPU) TextChanged(addr, size uint64) { c.changes.add(addr, size) }

// Recent implements [emu.CPU].
func (c *CPU) Recent(n int) []uint64 {
	defer runtime.KeepAlive(c)
	v := c.state.v
	if v == nil || n <= 0 {
		return nil
	}
	var pcs []uint64
	for i := v.head; i > 0 && v.head-i < C.VCPU_RING && len(pcs) < n; i-- {
		b := v.ring[(i-1)%C.VCPU_RING]
		for w := b.words; w > 0 && len(pcs) < n; w-- {
			pcs = append(pcs, uint64(b.start+4*(w-1)))
		}
	}
	for i, j := 0, len(pcs)-1; i < j; i, j = i+1, j-1 {
		pcs[i], pcs[j] = pcs[j], pcs[i]
	}
	return pcs
}

// Step implements [emu.CPU].
func (c *CPU) Step() (emu.Exit, error) {
	before := c.Count()
	exit, err := c.Run(context.Background(), 1)
	// Run names the gate it arrived at; for Step, that it executed comes first.
	if exit.Reason == emu.ExitGate && c.Count() != before {
		exit.Reason = emu.ExitBudget
	}
	return exit, err
}

// Run implements [emu.CPU].
func (c *CPU) Run(ctx context.Context, budget uint64) (emu.Exit, error) {
	if c.state.v == nil {
		return emu.Exit{PC: c.regs.PC}, errors.New("unicorn: cpu is closed")
	}
	exit, err := c.runTo(ctx, budget)
	// Code that went to another exception level, or changed how addresses are
	// translated, must not spoil what the CPU runs next.
	failed := err != nil || exit.Reason != emu.ExitGate && exit.Reason != emu.ExitBudget
	if v := c.state.v; !bool(v.el1h) || failed && bool(C.vcpu_astray(v)) {
		err = errors.Join(err, c.renew())
	}
	return exit, err
}

func (c *CPU) runTo(ctx context.Context, budget uint64) (emu.Exit, error) {
	v := c.state.v
	end := uint64(v.count) + min(budget, 1<<63)
	for {
		pc := c.regs.PC
		if emu.InGates(pc) {
			return emu.Exit{Reason: emu.ExitGate, PC: pc}, nil
		}
		if err := ctx.Err(); err != nil {
			return emu.Exit{PC: pc}, err
		}
		left := end - uint64(v.count)
		if left == 0 {
			return emu.Exit{PC: pc}, nil
		}
		if pc%4 != 0 {
			return fetchFault(pc, emu.Misaligned), nil
		}
		if err := c.sync(); err != nil {
			return emu.Exit{PC: pc}, fmt.Errorf("unicorn: cpu %d: %w", c.id, err)
		}
		exit, done, err := c.run(left)
		if done || err != nil {
			return exit, err
		}
	}
}

// run executes a slice of at most left instructions; done says that exit ends
// the Run.
func (c *CPU) run(left uint64) (exit emu.Exit, done bool, err error) {
	v := c.state.v
	before := v.count
	v.limit = before + C.uint64_t(min(left, slice))
	// A block is entered whole or not at all. Where it is longer than the
	// budget, it is made to end where the budget would; that costs translating
	// it, so a budget of more than one instruction is tried without first.
	stop, err := C.enum_vcpu_stop(C.STOP_LIMIT), error(nil)
	if left > 1 {
		stop, err = c.enter(0)
	}
	if err == nil && stop == C.STOP_LIMIT && v.count == before {
		stop, err = c.enter(c.regs.PC + 4*min(left, slice))
	}
	if err != nil {
		return emu.Exit{PC: c.regs.PC}, true, err
	}
	return c.exit(stop, uint64(v.limit))
}

// enter runs C code with the registers.
func (c *CPU) enter(until uint64) (C.enum_vcpu_stop, error) {
	v, r := c.state.v, &c.regs
	*(*[31]uint64)(unsafe.Pointer(&v.x)) = r.X
	v.sp, v.pc, v.nzcv = C.uint64_t(r.SP), C.uint64_t(r.PC), C.uint32_t(r.NZCV)
	v.sp_el0, v.tpidr_el1, v.tpidr_el0 = C.uint64_t(r.SPEL0), C.uint64_t(r.TPIDREL1), C.uint64_t(r.TPIDREL0)
	err := asError(C.vcpu_run(v, C.uint64_t(until)))
	r.X = *(*[31]uint64)(unsafe.Pointer(&v.x))
	r.SP, r.PC, r.NZCV = uint64(v.sp), uint64(v.pc), uint32(v.nzcv)
	r.SPEL0, r.TPIDREL1, r.TPIDREL0 = uint64(v.sp_el0), uint64(v.tpidr_el1), uint64(v.tpidr_el0)
	if err != nil && v.stop != C.STOP_NONE {
		err = nil // the hooks said it better
	}
	if err != nil {
		err = fmt.Errorf("unicorn: cpu %d at pc %#x: %w", c.id, r.PC, err)
	}
	return v.stop, err
}

// exit says what a stop means. When nothing ends the Run, the caller goes on.
func (c *CPU) exit(stop C.enum_vcpu_stop, limit uint64) (emu.Exit, bool, error) {
	pc := c.regs.PC
	switch stop {
	case C.STOP_NONE, C.STOP_LIMIT:
		return emu.Exit{}, false, nil
	case C.STOP_MISALIGNED, C.STOP_FETCH:
		// The instruction that cannot be fetched is not among those allowed, if
		// all of them have been executed.
		if uint64(c.state.v.count) == limit || emu.InGates(pc) {
			return emu.Exit{}, false, nil
		}
		if stop == C.STOP_MISALIGNED || pc%4 != 0 {
			return fetchFault(pc, emu.Misaligned), true, nil
		}
		return fetchFault(pc, c.refusal(pc)), true, nil
	case C.STOP_DATA:
		return c.dataFault()
	}
	word, err := c.engine.mem.Load32(pc)
	if err != nil {
		return emu.Exit{PC: pc}, true, err
	}
	if stop == C.STOP_EXCEPTION || raisesException(word) {
		return emu.Exit{Reason: emu.ExitException, PC: pc, Word: word}, true, nil
	}
	return emu.Exit{Reason: emu.ExitUndefined, PC: pc, Word: word}, true, nil
}

// sync brings the library up to date with mapped regions and changed text.
func (c *CPU) sync() error {
	regions := c.engine.mem.Regions()
	if len(regions) != len(c.seen) || len(regions) > 0 && &regions[0] != &c.seen[0] {
		for _, r := range regions {
			if c.mapped[r] {
				continue
			}
			if err := c.engine.mapRegion(c.state.uc, r); err != nil {
				return err
			}
			c.mapped[r] = true
		}
		c.seen = regions
	}
	return c.changes.drop(regions, func(addr, size uint64) error {
		return asError(C.vcpu_drop(c.state.v, C.uint64_t(addr), C.uint64_t(size)))
	})
}

func asError(code C.uc_err) error {
	if code != C.UC_ERR_OK {
		return uc.UcError(code)
	}
	return nil
}
