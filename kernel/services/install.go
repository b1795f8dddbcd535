package services

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"callops/asm"
	"callops/emu"
	"callops/kernel"
	"callops/kernelimage"
)

// Options select what surrounds the services, and where they report to.
type Options struct {
	// Grace decides when grace periods end; nil: at once where no other CPU is in the
	// kernel, and never otherwise.
	Grace GracePeriods

	// Tasks are those beside the one that is on a CPU; nil: there are none.
	Tasks Tasks

	// Interrupts reach other CPUs; nil: those that are not in the kernel, which run
	// at once what they are to.
	Interrupts Interrupts

	// Text is what stores to text go through; nil: nothing.
	Text TextWriter

	// Event is given what the services do, on the goroutine of the CPU that asked. It
	// must not map memory.
	Event func(Event)

	// Printk is given each line of the kernel's log, one at a time, on the
	// goroutine of the CPU that wrote it; nil drops them.
	Printk func(Line)

	// FailAlloc is the number of the allocation that fails, counted from 1; 0: none
	// does. See [Services.FailAlloc].
	FailAlloc uint64
	// AllocFailed is given the allocation that was made to fail, on the goroutine of
	// the CPU that asked for it.
	AllocFailed func(FailedAlloc)
}

// Services are the Go functions in a kernel.
type Services struct {
	k        *kernel.Kernel
	opts     Options
	replaced []Replaced
	objects  objects
	boot     bootCaches
	linear   linear
	failing  failing
	log      log
	graces   graces

	preemptible bool   // CONFIG_PREEMPTION
	irqCall     uint64 // calls x0(x1) with interrupts masked
	trylock     uint64 // makes the word at x0 w1 if it is 0
	jiffies     uint64 // the variable; 0: not known
	clock       clock
	stopper     stopper
}

// Replaced is a function of the kernel that a Go function replaces.
type Replaced struct {
	Name   string
	Addr   uint64 // of the function
	Branch uint64 // the word that leaves it
	What   string // what the Go function stands in for
}

// insnSize is the size of an instruction, in bytes.
const insnSize = 4

// Install replaces what an image of Linux has of the table. Any other image is left
// as it is: what its functions do is their own affair. No CPU may run meanwhile.
func Install(k *kernel.Kernel, opts *Options) (*Services, error) {
	if opts == nil {
		opts = &Options{}
	}
	s := &Services{k: k, opts: *opts, log: log{emit: opts.Printk}, failing: failing{report: opts.AllocFailed, at: opts.FailAlloc}}
	if s.opts.Grace == nil {
		s.opts.Grace = turns{k}
	}
	if s.opts.Tasks == nil {
		s.opts.Tasks = alone{}
	}
	s.clock.s = s
	if s.opts.Interrupts == nil {
		s.opts.Interrupts = turns{k}
	}
	if !k.Image.IsLinux() {
		return s, nil
	}
	if err := s.install(); err != nil {
		return nil, fmt.Errorf("services: %w", err)
	}
	return s, nil
}

// Replaced returns what was replaced, in the order of the table.
func (s *Services) Replaced() []Replaced { return slices.Clone(s.replaced) }

func (s *Services) install() error {
	_, err := s.k.Symbols.Lookup("preempt_schedule")
	s.preemptible = err == nil
	if sym, err := s.k.Symbols.Lookup("jiffies_64"); err == nil && !sym.Func {
		s.jiffies = sym.Addr
	}
	s.k.OnReturn(func(ctx context.Context, c *kernel.CPU) error { return s.RunCallbacks(ctx, c.CPU) })
	var gates []uint64
	for _, row := range table {
		for _, name := range row.names {
			r, ok := s.find(name)
			if !ok {
				continue
			}
			r.What = row.what
			fn := row.serve(s, r)
			if fn == nil {
				continue
			}
			gate, err := s.k.Gates.Add(row.what, fn)
			if err != nil {
				return err
			}
			gates, s.replaced = append(gates, gate), append(s.replaced, r)
		}
	}
	if len(gates) == 0 {
		return nil
	}
	if err := cmp.Or(s.placeIrqCall(), s.placeTrylock()); err != nil {
		return err
	}
	if s.opts.Event != nil {
		s.k.Mem.ObserveText(maintenance{s})
	}
	return cmp.Or(s.branch(gates), s.staticCaches())
}

// find finds a function of the kernel that can be replaced. Where the image has none
// of that name, or several, or one that is not text that stays, there is none.
func (s *Services) find(name string) (r Replaced, ok bool) {
	sym, err := s.k.Symbols.Lookup(name)
	if err != nil || !sym.Func || sym.Addr%insnSize != 0 {
		return r, false
	}
	r = Replaced{Name: name, Addr: sym.Addr, Branch: sym.Addr}
	if site, ok := s.k.Image.Site(sym.Addr); ok {
		r.Branch = site.IP + insnSize
	} else if w, err := s.k.Mem.Load32(sym.Addr); err == nil && asm.IsBTI(w) {
		r.Branch += insnSize
	}
	return r, s.isText(r)
}

// isText reports whether the word to be replaced is the function's own, is text of
// the kernel that stays after boot, and was not replaced under another name.
func (s *Services) isText(r Replaced) bool {
	if in, _, ok := s.k.Symbols.At(r.Branch); !ok || in.Addr != r.Addr {
		return false
	}
	if l := s.k.Image.Linux(); l != nil && l.InitText.Contains(r.Addr) {
		return false
	}
	return slices.ContainsFunc(s.k.Image.Text(), func(t kernelimage.Range) bool { return t.Contains(r.Branch) }) &&
		!slices.ContainsFunc(s.replaced, func(other Replaced) bool { return other.Branch == r.Branch })
}

// branch makes the veneers to the gates, and then has each function go to its own.
func (s *Services) branch(gates []uint64) error {
	p, err := s.k.PlaceCode("services", kernel.CodeOptions{Core: true}, func(base uint64) (*asm.Program, error) {
		b := asm.NewBuilder()
		for i, gate := range gates {
			b.Func("callops_" + s.replaced[i].Name)
			b.Emit(asm.MovImm(asm.X16, gate)...)
			b.Emit(asm.Br(asm.X16))
		}
		b.EndFunc()
		return b.Assemble(base)
	})
	if err != nil {
		return err
	}
	words := make([]uint32, len(gates))
	for i, r := range s.replaced {
		if words[i], err = asm.EncodeB(r.Branch, p.Symbols[i].Addr); err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
	}
	for i, r := range s.replaced {
		if err := s.k.Mem.Store32(r.Branch, words[i]); err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
		s.k.Mem.SyncText(r.Branch, insnSize)
	}
	return nil
}

// leave has a CPU that is at a replaced function's gate stand on the branch that
// led there, so that a report names the function.
func (r Replaced) leave(cpu emu.CPU, err error) (uint64, error) {
	cpu.Regs().PC = r.Branch
	return 0, err
}
