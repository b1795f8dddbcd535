package guestcore

import (
	"errors"
	"fmt"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernelimage"
)

// NewOps makes an ops in the kernel's memory: zeroed, with fn as its func. EINVAL for what
// [ftrace.OpsOptions.Check] refuses, ENOMEM where there is no room. A static one lies in the
// stack of the initial task, which does not run here: the kernel takes what is there for its
// own data.
func (c *Core) NewOps(name string, fn uint64, opts *ftrace.OpsOptions) (*ftrace.Ops, error) {
	if opts == nil {
		opts = &ftrace.OpsOptions{}
	}
	if err := opts.Check(name, fn); err != nil {
		return nil, err
	}
	return c.newOps(name, fn, opts)
}

func (c *Core) newOps(name string, fn uint64, opts *ftrace.OpsOptions) (*ftrace.Ops, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.k.Layout.Ops
	alloc := c.k.Heap.Alloc
	if opts.Static {
		alloc = c.allocStatic
	}
	size := uint64(l.Size) + uint64(opts.Extra)
	addr, err := alloc("ops "+name, size)
	if err != nil {
		return nil, fmt.Errorf("ops %s: %w", name, err)
	}
	b := make([]byte, size)
	put64(b, l.Func, fn)
	put64(b, l.Flags, uint64(opts.Flags))
	if err := c.k.Mem.Write(addr, b); err != nil {
		return nil, fmt.Errorf("ops %s: %w", name, err)
	}
	o := ftrace.GuestOps(name, addr, c.k.Mem, l)
	c.all.Store(addr, o)
	return o, nil
}

// staticRoom is how much of the initial task's stack is used: THREAD_SIZE is 16 KiB at least.
const staticRoom = 16 << 10

func (c *Core) allocStatic(_ string, size uint64) (uint64, error) {
	s := c.sym
	if s.initStack == 0 || s.initStack < s.sdata || s.initStack+staticRoom > s.edata {
		return 0, fmt.Errorf("no init_stack in the kernel's data: %w", errno.EOPNOTSUPP)
	}
	if c.statics+size > staticRoom {
		return 0, errno.ENOMEM
	}
	addr := s.initStack + c.statics
	c.statics += (size + 63) &^ 63
	return addr, nil
}

// NewDirectOps makes an ops for RegisterDirect: one without a func.
func (c *Core) NewDirectOps(name string) (*ftrace.Ops, error) {
	o, err := c.newOps(name, 0, &ftrace.OpsOptions{})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.direct = append(c.direct, o)
	return o, nil
}

// FreeOps frees an ops' memory, whatever still uses it. EINVAL for one that is not there.
func (c *Core) FreeOps(o *ftrace.Ops) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.known(o); err != nil {
		return err
	}
	if c.isStatic(o.Addr()) {
		return fmt.Errorf("free of %s, which is the kernel's own: %w", o.Name, errno.EINVAL)
	}
	if err := c.unlistArray(o); err != nil {
		return err
	}
	if err := c.k.Heap.Free(o.Addr()); err != nil {
		return err
	}
	c.all.Delete(o.Addr())
	return nil
}

func (c *Core) isStatic(addr uint64) bool {
	return addr >= c.sym.initStack && addr < c.sym.initStack+staticRoom
}

// FreeFilter is ftrace_free_filter. EBUSY where the ops is registered.
func (c *Core) FreeFilter(o *ftrace.Ops) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.known(o); err != nil {
		return err
	}
	if o.Flags()&ftrace.OpsEnabled != 0 {
		return fmt.Errorf("free filter of %s: it is registered: %w", o.Name, errno.EBUSY)
	}
	if err := c.emptyArray(o); err != nil && (c.crash != nil || !errors.Is(err, errno.ENODEV)) { // a dead ftrace opens no file
		return err
	}
	if err := c.unlistArray(o); err != nil {
		return err
	}
	if _, err := c.call("ftrace_free_filter", c.sym.freeFilter, o.Addr()); err != nil {
		return err
	}
	return c.forgetFilter(o)
}

// forgetFilter has an ops with freed hashes be one without any: the kernel leaves the
// pointers.
func (c *Core) forgetFilter(o *ftrace.Ops) error {
	at := o.Addr() + uint64(c.k.Layout.Ops.LocalHash)
	return errors.Join(
		c.k.Mem.Store64(at+uint64(c.k.Layout.OpsHash.Filter), 0),
		c.k.Mem.Store64(at+uint64(c.k.Layout.OpsHash.Notrace), 0),
	)
}

// known refuses an ops that is nil, freed or another core's.
func (c *Core) known(o *ftrace.Ops) error {
	if o == nil {
		return fmt.Errorf("no ops: %w", errno.EINVAL)
	}
	if have := c.opsAt(o.Addr()); have != o {
		return fmt.Errorf("ops %s was freed, or belongs to another core: %w", o.Name, errno.EINVAL)
	}
	return nil
}

func (c *Core) opsAt(addr uint64) *ftrace.Ops {
	o, ok := c.all.Load(addr)
	if !ok {
		return nil
	}
	return o.(*ftrace.Ops)
}

// GoTracer makes fn callable by the kernel, see [ftrace.Registry.GoTracer].
func (c *Core) GoTracer(name string, fn ftrace.TracerFunc) (uint64, error) {
	return ftrace.AddTracer(c.k, ftrace.LiveMemory(c.k), name, fn, func(addr uint64, call func(*ftrace.Ops) error) error {
		return call(c.opsAt(addr))
	})
}

// shares writes ops_func of the DIRECT ops that have a [ftrace.Ops.Share].
func (c *Core) shares() error {
	off := c.k.Layout.Ops.OpsFunc
	for _, o := range c.direct {
		if c.opsAt(o.Addr()) != o || off == kernelimage.Absent {
			continue
		}
		fn := uint64(0)
		if o.Share != nil {
			var err error
			if fn, err = c.shareGate(); err != nil {
				return err
			}
		}
		if err := c.k.Mem.Store64(o.Addr()+uint64(off), fn); err != nil {
			return err
		}
	}
	return nil
}

// shareGate is the ops_func that asks Share. A refusal without an errno is EBUSY. Where
// an ops can have several direct trampolines, it is passed the site before the command.
func (c *Core) shareGate() (uint64, error) {
	if c.share != 0 {
		return c.share, nil
	}
	var err error
	c.share, err = c.k.Gates.Add("ops_func", func(_ emu.CPU, args [8]uint64) (uint64, error) {
		o := c.opsAt(args[0])
		if o == nil || o.Share == nil {
			return 0, fmt.Errorf("ops_func of %s: %w", c.k.Symbols.Format(args[0]), errno.EFAULT)
		}
		cmd := args[1]
		if c.sym.updateDirect != 0 {
			cmd = args[2]
		}
		return uint64(int64(statusOf(o.Share(o, ftrace.ShareCommand(cmd))))), nil
	})
	return c.share, err
}

// statusOf is what a kernel function returns for an error.
func statusOf(err error) int32 {
	if err == nil {
		return 0
	}
	if n, ok := errno.LinuxNumber(err); ok {
		return int32(-n)
	}
	return -16
}
