package ftrace

import (
	"fmt"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

// TracerFunc is a tracer written in Go (ftrace_func_t). It costs no emulated
// instruction. ip is the call site, parentIP where the traced function was
// called from.
type TracerFunc func(ip, parentIP uint64, op *Ops, regs *Regs)

// GoTracer makes fn callable by the kernel and returns the address to give to
// NewOps. No CPU may be running.
func (r *Registry) GoTracer(name string, fn TracerFunc) (uint64, error) {
	return AddTracer(r.k, r.mem.Memory, name, fn, func(addr uint64, call func(*Ops) error) error {
		if r.readers != nil {
			r.readers.enter()
			defer r.leaveReader()
		}
		return call(r.opsAt(addr))
	})
}

// AddTracer is GoTracer for a [Core]: with looks up the live ops at an address, nil for
// none, and passes it to call.
func AddTracer(k *kernel.Kernel, mem Memory, name string, fn TracerFunc, with func(addr uint64, call func(*Ops) error) error) (uint64, error) {
	if fn == nil {
		return 0, fmt.Errorf("tracer %s: no function: %w", name, errno.EINVAL)
	}
	addr, err := k.Gates.Add(name, func(_ emu.CPU, args [8]uint64) (uint64, error) {
		return 0, with(args[2], func(op *Ops) error {
			if op == nil {
				return fmt.Errorf("called with %s, which is not a live ops: %w", k.Symbols.Format(args[2]), errno.EFAULT)
			}
			regs := RegsAt(mem, &k.Layout.Regs, args[3])
			fn(args[0], args[1], op, regs)
			return regs.err
		})
	})
	if err != nil {
		return 0, err
	}
	k.Symbols.Add(kernelimage.Symbol{Name: name, Addr: addr, Size: 1, Func: true})
	return addr, nil
}

// leaveReader ends a Go tracer's part in our own grace periods. What waited for
// it is freed under mu, as everything else is.
func (r *Registry) leaveReader() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readers.leave()
}

// Regs is struct ftrace_regs: the traced function's registers at its entry.
// Changes take effect when the tracer has returned. It is valid until then.
type Regs struct {
	mem    RegsMemory
	layout *kernelimage.RegsLayout
	addr   uint64
	err    error // the first access that failed; it ends the call
}

// RegsMemory is the memory that registers are saved in.
type RegsMemory interface {
	Load64(addr uint64) (uint64, error)
	Store64(addr uint64, v uint64) error
}

// RegsAt returns the struct ftrace_regs at an address.
func RegsAt(mem RegsMemory, layout *kernelimage.RegsLayout, addr uint64) *Regs {
	return &Regs{mem: mem, layout: layout, addr: addr}
}

// Err returns the first access to the registers that failed.
func (g *Regs) Err() error { return g.err }

// regsArgs is how many registers are saved from x0 on.
const regsArgs = 9

// Arg returns xN, for N from 0 to 8; 0 for any other.
func (g *Regs) Arg(n int) uint64 {
	if n < 0 || n >= regsArgs {
		return 0
	}
	return g.load(g.layout.X0 + 8*n)
}

// SetArg sets xN, for N from 0 to 8; any other is ignored.
func (g *Regs) SetArg(n int, v uint64) {
	if n >= 0 && n < regsArgs {
		g.store(g.layout.X0+8*n, v)
	}
}

// PC is where the traced function goes on; setting it redirects the call.
func (g *Regs) PC() uint64     { return g.load(g.layout.PC) }
func (g *Regs) SetPC(v uint64) { g.store(g.layout.PC, v) }

// LR is where the traced function returns to; setting it hooks the return.
func (g *Regs) LR() uint64     { return g.load(g.layout.LR) }
func (g *Regs) SetLR(v uint64) { g.store(g.layout.LR, v) }

// Return makes the traced function return v at once, without running
// (ftrace_override_function_with_return).
func (g *Regs) Return(v uint64) {
	g.SetArg(0, v)
	g.SetPC(g.LR())
}

func (g *Regs) load(off int) uint64 {
	v, err := g.mem.Load64(g.addr + uint64(off))
	g.keep(err)
	return v
}

func (g *Regs) store(off int, v uint64) { g.keep(g.mem.Store64(g.addr+uint64(off), v)) }

func (g *Regs) keep(err error) {
	if g.err == nil {
		g.err = err
	}
}
