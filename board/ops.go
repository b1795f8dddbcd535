package board

import (
	"context"
	"fmt"

	"callops/internal/errno"
	"callops/kernelimage"
)

// Ops is a struct ftrace_ops in the kernel's memory.
type Ops struct {
	m    *Machine
	name string
	addr uint64
}

// NewOps makes an ops whose func is fn: a GoTracer's address, placed code, or a function of the kernel. flags are FTRACE_OPS_FL_*
// (include/linux/ftrace.h).
func (m *Machine) NewOps(ctx context.Context, name string, fn uint64, flags uint64) (*Ops, error) {
	l := &m.img.Layout().Ops
	addr, err := m.Alloc(ctx, uint64(l.Size))
	if err == nil {
		err = m.Store64(addr+uint64(l.Func), fn)
	}
	if err == nil {
		err = m.Store64(addr+uint64(l.Flags), flags)
	}
	if err != nil {
		return nil, fmt.Errorf("ops %s: %w", name, err)
	}
	m.symbols.AddRange(name, addr, addr+uint64(l.Size))
	m.symbols.Add(kernelimage.Symbol{Name: name, Addr: addr, Size: uint64(l.Size), Module: name})
	return &Ops{m, name, addr}, nil
}

// Addr returns the address of the ftrace_ops.
func (o *Ops) Addr() uint64 { return o.addr }

// In returns the ops as it is in a machine that was forked from the ops' own.
func (o *Ops) In(m *Machine) *Ops { return &Ops{m, o.name, o.addr} }

// call calls a function of ftrace's with the ops as its first argument.
func (o *Ops) call(ctx context.Context, name string, args ...uint64) error {
	if o.addr == 0 {
		return fmt.Errorf("ops %s has been freed: %w", o.name, errno.EINVAL)
	}
	if _, err := o.m.callInt(ctx, name, append([]uint64{o.addr}, args...)...); err != nil {
		return fmt.Errorf("ops %s: %w", o.name, err)
	}
	return nil
}

// SetFilter adds the functions that a glob matches to those that the ops traces, by ftrace_set_filter. An ops with no filter traces all.
func (o *Ops) SetFilter(ctx context.Context, glob string) error {
	return o.set(ctx, "ftrace_set_filter", glob)
}

// SetNotrace adds to those that the ops does not trace, by ftrace_set_notrace.
func (o *Ops) SetNotrace(ctx context.Context, glob string) error {
	return o.set(ctx, "ftrace_set_notrace", glob)
}

func (o *Ops) set(ctx context.Context, fn, glob string) error {
	addrs, err := o.m.strings(glob)
	if err != nil {
		return fmt.Errorf("ops %s: %w", o.name, err)
	}
	return o.call(ctx, fn, addrs[0], uint64(len(glob)), 0)
}

// SetFilterIP adds the function at an address to those that the ops traces, by ftrace_set_filter_ip.
func (o *Ops) SetFilterIP(ctx context.Context, ip uint64) error {
	return o.call(ctx, "ftrace_set_filter_ip", ip, 0, 0)
}

// SetFilterIPs is SetFilterIP of many, by ftrace_set_filter_ips.
func (o *Ops) SetFilterIPs(ctx context.Context, ips []uint64) error {
	p, err := o.m.pieces()
	if err == nil && 8*len(ips) > len(p.w) {
		err = fmt.Errorf("%d functions: %w", len(ips), errno.E2BIG)
	}
	if err != nil {
		return fmt.Errorf("ops %s: %w", o.name, err)
	}
	return o.call(ctx, "ftrace_set_filter_ips", p.put(words(ips...)), uint64(len(ips)), 0, 0)
}

// Register has the ops trace, by register_ftrace_function.
func (o *Ops) Register(ctx context.Context) error { return o.call(ctx, "register_ftrace_function") }

// Unregister ends that.
func (o *Ops) Unregister(ctx context.Context) error { return o.call(ctx, "unregister_ftrace_function") }

// RegisterDirect has the filter's functions call the trampoline at addr directly (register_ftrace_direct). ENOENT of a kernel that has no direct
// calls.
func (o *Ops) RegisterDirect(ctx context.Context, addr uint64) error {
	return o.call(ctx, "register_ftrace_direct", addr)
}

// ModifyDirect has them call another one.
func (o *Ops) ModifyDirect(ctx context.Context, addr uint64) error {
	return o.call(ctx, "modify_ftrace_direct", addr)
}

// UnregisterDirect ends the direct calls. The filter stays.
func (o *Ops) UnregisterDirect(ctx context.Context, addr uint64) error {
	return o.call(ctx, "unregister_ftrace_direct", addr, 0)
}

// Free frees the ops and its filter. It is not registered.
func (o *Ops) Free(ctx context.Context) error {
	if o.addr == 0 {
		return fmt.Errorf("ops %s has been freed: %w", o.name, errno.EINVAL)
	}
	if _, err := o.m.Call(ctx, "ftrace_free_filter", o.addr); err != nil {
		return err
	}
	o.m.symbols.Remove(o.name)
	addr := o.addr
	o.addr = 0
	return o.m.Free(ctx, addr)
}
