package difftest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"

	"callops/asm"
	"callops/emu"
	"callops/emu/lockstep"
)

// engineCases is after how many cases the engines are opened anew: a
// translator keeps what it made of each.
const engineCases = 100_000

// rig is two engines, each over its own memory with the same contents.
type rig struct {
	newEngines [2]emu.NewEngine
	sides      [2]*side
	before     [][]byte // what was in writable memory before the case
	cases      int
	ctx        context.Context
}

type side struct {
	mem      *emu.Memory
	engine   emu.Engine
	cpu      emu.CPU
	text     []byte
	writable [][]byte
}

func newRig(ctx context.Context, a, b emu.NewEngine) (*rig, error) {
	r := &rig{newEngines: [2]emu.NewEngine{a, b}, ctx: ctx}
	if err := r.reopen(); err != nil {
		return nil, errors.Join(err, r.close())
	}
	for _, w := range r.sides[0].writable {
		r.before = append(r.before, make([]byte, len(w)))
	}
	return r, nil
}

func newSide(newEngine emu.NewEngine) (*side, error) {
	s := &side{mem: emu.NewMemory()}
	for _, reg := range regions {
		mapped, err := s.mem.Map(reg.name, reg.base, reg.size, reg.perm)
		if err != nil {
			return s, err
		}
		if reg.perm&emu.Write != 0 {
			s.writable = append(s.writable, mapped.Host())
		}
		if reg.perm&emu.Exec != 0 {
			s.text = mapped.Host()
		}
	}
	var err error
	if s.engine, err = newEngine(s.mem); err != nil {
		return s, err
	}
	s.cpu, err = s.engine.NewCPU(0)
	return s, err
}

func (s *side) close() error {
	var err error
	if s.engine != nil {
		err = s.engine.Close()
	}
	return errors.Join(err, s.mem.Close())
}

func (r *rig) close() error {
	var errs []error
	for _, s := range r.sides {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	return errors.Join(errs...)
}

func (r *rig) reopen() error {
	if err := r.close(); err != nil {
		return err
	}
	for i, newEngine := range r.newEngines {
		var err error
		if r.sides[i], err = newSide(newEngine); err != nil {
			return err
		}
	}
	r.cases = 0
	return nil
}

// fill puts values worth loading into all memory but text.
func (r *rig) fill(s *source) error {
	page := make([]byte, emu.PageSize)
	for _, reg := range regions {
		if reg.perm&emu.Exec != 0 {
			continue
		}
		for i := 0; i < len(page); i += 8 {
			binary.LittleEndian.PutUint64(page[i:], s.value())
		}
		for _, side := range r.sides {
			if err := side.mem.Write(reg.base, page); err != nil {
				return err
			}
		}
	}
	return nil
}

// place puts the cases into text, each followed by a branch to a gate. It
// returns how many found room.
func (r *rig) place(cases []*testCase) (int, error) {
	text := r.sides[0].text
	at, placed := 0, 0
	for _, c := range cases {
		if at+4*(len(c.words)+1) > len(text) {
			break
		}
		c.regs.PC = textBase + uint64(at)
		for _, w := range c.words {
			binary.LittleEndian.PutUint32(text[at:], w)
			at += 4
		}
		out, err := asm.EncodeB(textBase+uint64(at), emu.ReturnGate)
		if err != nil {
			return 0, err
		}
		binary.LittleEndian.PutUint32(text[at:], out)
		at += 4
		placed++
	}
	clear(text[at:])
	copy(r.sides[1].text, text)
	for _, s := range r.sides {
		s.mem.SyncText(textBase, textSize)
	}
	return placed, nil
}

// outcome is what a case became on each side.
type outcome struct {
	after  [2]lockstep.State
	memory bool // differs
}

// run executes a case on both sides.
func (r *rig) run(c *testCase) (o outcome, equal bool, err error) {
	for i, w := range r.sides[0].writable {
		copy(r.before[i], w)
	}
	for i, s := range r.sides {
		regs, start := s.cpu.Regs(), s.cpu.Count()
		*regs = c.regs
		exit, err := runGuarded(r.ctx, s.cpu, c.budget)
		if err != nil {
			return o, false, fmt.Errorf("engine %d: %w\n%sx %#x\nsp %#x", i, err, c, c.regs.X, c.regs.SP)
		}
		o.after[i] = lockstep.State{Regs: *regs, Exit: exit, Count: s.cpu.Count() - start}
	}
	r.cases++
	for i, w := range r.sides[0].writable {
		o.memory = o.memory || !bytes.Equal(w, r.sides[1].writable[i])
	}
	a, b := &o.after[0], &o.after[1]
	return o, !o.memory && a.Regs == b.Regs && a.Count == b.Count && lockstep.SameExit(a.Exit, b.Exit), nil
}

// runGuarded makes a panic of an engine an error, which names the case.
func runGuarded(ctx context.Context, cpu emu.CPU, budget uint64) (exit emu.Exit, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return cpu.Run(ctx, budget)
}

// level makes both sides the same again after a difference.
func (r *rig) level() {
	for i, w := range r.sides[1].writable {
		copy(r.sides[0].writable[i], w)
	}
}

// aroundCase returns what the second side's memory held before the case, and
// holds after it.
func (r *rig) aroundCase(addr, size uint64) (before, after uint64, ok bool) {
	var buf [2][8]byte
	side, i := r.sides[1], 0
	for _, reg := range regions {
		if reg.perm&emu.Write == 0 {
			continue
		}
		if off := addr - reg.base; off < reg.size && size <= reg.size-off {
			copy(buf[0][:size], r.before[i][off:])
			copy(buf[1][:size], side.writable[i][off:])
			return binary.LittleEndian.Uint64(buf[0][:]), binary.LittleEndian.Uint64(buf[1][:]), true
		}
		i++
	}
	return 0, 0, false
}

// explain runs a case once more, in lockstep, on the memory that it met.
func (r *rig) explain(c *testCase, o *outcome) string {
	s, err := newSide(lockstep.Of(r.newEngines[0], r.newEngines[1]))
	if err != nil {
		return err.Error()
	}
	defer func() { _ = s.close() }()
	copy(s.text, r.sides[0].text)
	for i := range s.writable {
		copy(s.writable[i], r.before[i])
	}
	if err := s.mem.Write(readOnly, r.sides[0].mem.Region(readOnly).Host()); err != nil {
		return err.Error()
	}
	*s.cpu.Regs() = c.regs
	_, err = s.cpu.Run(r.ctx, c.budget)
	var d *lockstep.DifferenceError
	if errors.As(err, &d) {
		return fmt.Sprintf("%s%s", c, d.Report())
	}
	return fmt.Sprintf("%snot seen in lockstep (%v): %v, memory %v", c, err, o.after[0].Differences(&o.after[1]), o.memory)
}

func (c *testCase) String() string {
	var sb bytes.Buffer
	for i, w := range c.words {
		pc := c.regs.PC + 4*uint64(i)
		fmt.Fprintf(&sb, "%x: %08x  %s\n", pc, w, asm.Disassemble(w, pc, nil))
	}
	return sb.String()
}
