//go:build cgo

package unicorn

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	uc "github.com/unicorn-engine/unicorn/bindings/go/unicorn"

	"callops/asm"
	"callops/emu"
	"callops/emu/isa"
)

/*
#cgo darwin pkg-config: unicorn
#cgo !darwin LDFLAGS: -lunicorn
#include <stdlib.h>
#include <string.h>
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
	shares  bool // it has regions that guest code can write and execute
	changes changes
	kept    map[asm.SysReg]uint64 // registers that are nothing but what was written: see isa.Emulated
}

// state is what has to be freed.
type state struct {
	uc      uc.Unicorn
	v       *C.struct_vcpu
	text    *text
	cleanup runtime.Cleanup
}

func newCPU(e *Engine, id int) (*CPU, error) {
	s := &state{v: (*C.struct_vcpu)(C.calloc(1, C.sizeof_struct_vcpu))}
	if err := s.setup(); err != nil {
		return nil, errors.Join(err, s.free())
	}
	c := &CPU{engine: e, id: id, state: s, mapped: map[*emu.Region]bool{}, kept: map[asm.SysReg]uint64{}}
	s.cleanup = runtime.AddCleanup(c, func(s *state) { _ = s.free() }, s)
	return c, nil
}

func (s *state) setup() (err error) {
	v := s.v
	if s.text, err = newText(); err != nil {
		return err
	}
	v.standin = C.aligned_alloc(emu.PageSize, emu.PageSize)
	C.memset(v.standin, 0, emu.PageSize)
	v.spare = tablesAt + tablesSize
	if s.uc, err = s.open(); err != nil {
		return err
	}
	v.uc = handle(s.uc)
	return nil
}

// open makes an instance of the library that has nothing mapped but the page
// tables.
func (s *state) open() (opened uc.Unicorn, err error) {
	u, err := uc.NewUnicorn(uc.ARCH_ARM64, uc.MODE_ARM)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			opened, err = nil, errors.Join(err, u.Close())
		}
	}()
	// The default model has no LSE atomics.
	if err := u.SetCPUModel(uc.CPU_ARM64_MAX); err != nil {
		return nil, err
	}
	tables := s.text.tables
	if err := u.MemMapPtr(tablesAt, tablesSize, uc.PROT_ALL, unsafe.Pointer(unsafe.SliceData(tables.host))); err != nil {
		return nil, fmt.Errorf("page tables: %w", err)
	}
	ttbr0, ttbr1 := tables.roots()
	return u, asError(C.vcpu_setup(s.v, handle(u), isa.TCR, C.uint64_t(ttbr0), C.uint64_t(ttbr1)))
}

func handle(u uc.Unicorn) *C.uc_engine { return (*C.uc_engine)(unsafe.Pointer(u.Handle())) }

// free may be called again.
func (s *state) free() error {
	if s.v == nil {
		return nil
	}
	s.cleanup.Stop()
	var err error
	if s.uc != nil {
		err = s.uc.Close()
	}
	if s.text != nil {
		err = errors.Join(err, s.text.tables.close())
	}
	C.free(s.v.standin)
	C.free(unsafe.Pointer(s.v.exits))
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

// PermChanged implements [emu.PermObserver].
func (c *CPU) PermChanged(r *emu.Region) {
	c.changes.mu.Lock()
	defer c.changes.mu.Unlock()
	c.changes.sealed = append(c.changes.sealed, r)
}

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

// executed notes an instruction that the library has not executed.
func (c *CPU) executed(pc uint64) {
	v := c.state.v
	b := &v.ring[v.head%C.VCPU_RING]
	b.start, b.words = C.uint64_t(pc), 1
	v.head++
	v.count++
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
	return c.runTo(ctx, budget)
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
		if v.translated > maxTranslated {
			if err := c.renew(); err != nil {
				return emu.Exit{PC: pc}, fmt.Errorf("unicorn: cpu %d: %w", c.id, err)
			}
		}
		if err := c.sync(ctx); err != nil {
			return emu.Exit{PC: pc}, fmt.Errorf("unicorn: cpu %d: %w", c.id, err)
		}
		if c.state.text.refuses(pc) {
			if exit, done, err := c.atExit(pc); done || err != nil {
				return exit, err
			}
			if c.regs.PC != pc {
				continue
			}
		}
		exit, done, err := c.run(left)
		if done || err != nil {
			return exit, err
		}
	}
}

// run executes a slice of at most left instructions; done reports whether exit ends
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
	if c.shares {
		c.engine.writable.running.RLock()
		defer c.engine.writable.running.RUnlock()
	}
	if c.state.text.pending.Load() {
		if err := c.state.prepare(); err != nil {
			return C.STOP_NONE, err
		}
	}
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

// prepare tells the library what has changed about text.
func (s *state) prepare() error {
	t, v := s.text, s.v
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending.Store(false)
	if t.stale {
		n := int(t.nexits.Load())
		// One more has room for the end of a run.
		p := C.realloc(unsafe.Pointer(v.exits), C.size_t(n+1)*8)
		v.exits, v.nexits, v.exits_set = (*C.uint64_t)(p), C.size_t(n), false
		list := unsafe.Slice((*uint64)(p), n)[:0]
		for _, exits := range t.exits {
			list = append(list, exits...)
		}
		t.stale = false
	}
	if t.flush {
		if err := asError(C.vcpu_flush(v)); err != nil {
			return err
		}
		t.flush = false
	}
	for _, page := range t.drops {
		if err := asError(C.vcpu_drop(v, C.uint64_t(page), emu.PageSize)); err != nil {
			return err
		}
	}
	t.drops = t.drops[:0]
	return nil
}

// exit translates a stop. When nothing ends the Run, the caller goes on.
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
		c.state.v.translated += 4096 // the fault may have ended a translation half done
		if stop == C.STOP_MISALIGNED || pc%4 != 0 {
			return fetchFault(pc, emu.Misaligned), true, nil
		}
		return c.fetch(pc)
	case C.STOP_DATA:
		return c.dataFault()
	}
	word, err := c.engine.mem.Load32(pc)
	if err != nil {
		return emu.Exit{PC: pc}, true, err
	}
	exit, err := refused(word, pc)
	if stop == C.STOP_EXCEPTION || raisesException(word) {
		exit.Reason = emu.ExitException
	}
	return exit, true, err
}

// maxTranslated is how many bytes of translated code the library may have when
// a slice begins. Its buffer of 1 GiB must never be full: 2.0.1 then begins to
// fill it anew without forgetting what it had there, and soon crashes. A slice
// adds at most 2 KiB for each instruction.
const maxTranslated = 256 << 20

// renew has the CPU go on with another instance of the library. That is done
// in a millisecond, whereas flushing the buffer writes to all of it. What was
// found out about text lives in the page tables, and holds on.
func (c *CPU) renew() error {
	s := c.state
	u, err := s.open()
	if err != nil {
		return fmt.Errorf("renew the library: %w", err)
	}
	if err := asError(C.vcpu_move(s.v, handle(u))); err != nil {
		return errors.Join(fmt.Errorf("renew the library: %w", err), u.Close())
	}
	old := s.uc
	s.uc = u
	c.seen = nil
	clear(c.mapped)
	return old.Close()
}

// sync brings the library up to date with mapped regions and changed text. It ends
// with ctx, for the library takes the longer for a region the more it has.
func (c *CPU) sync(ctx context.Context) error {
	regions := c.engine.mem.Regions()
	if len(regions) != len(c.seen) || len(regions) > 0 && &regions[0] != &c.seen[0] {
		for _, r := range regions {
			if c.mapped[r] {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := c.mapRegion(r); err != nil {
				return err
			}
			c.mapped[r] = true
		}
		c.seen = regions
	}
	for _, r := range c.changes.takeSealed() {
		if err := c.state.text.seal(r); err != nil {
			return err
		}
	}
	return c.changes.drop(regions, c.textChanged)
}

func (c *CPU) textChanged(addr, size uint64) error {
	return c.state.text.changed(addr, size, func(addr, size uint64) error {
		return asError(C.vcpu_drop(c.state.v, C.uint64_t(addr), C.uint64_t(size)))
	})
}

// mapRegion gives the CPU the memory of a region, at its physical address and
// at its virtual one: 2.0.1 translates an address, but checks the one before
// translation against what is mapped. Permissions are left to the MMU, whose
// faults are exact.
func (c *CPU) mapRegion(r *emu.Region) error {
	pa, err := c.state.text.add(r)
	if err != nil {
		return err
	}
	host := unsafe.Pointer(unsafe.SliceData(r.Host()))
	for _, addr := range []uint64{pa, r.Base} {
		if err := c.state.uc.MemMapPtr(addr, r.Size, uc.PROT_ALL, host); err != nil {
			return fmt.Errorf("map %s at %#x: %w", r.Name, r.Base, err)
		}
	}
	if isWritable(r) {
		c.shares = true
		return c.engine.writable.add(r, c)
	}
	return nil
}

func asError(code C.uc_err) error {
	if code != C.UC_ERR_OK {
		return uc.UcError(code)
	}
	return nil
}
