package guestcore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
	"callops/kernelimage/module"
	"callops/trampolines"
)

// Budget bounds one call of the kernel's core, in instructions, unless [Options.Budget] does. The longest, a filter
// by name over all functions of a large kernel, takes 2^27.
const Budget = 1 << 31

// CallFunc calls a function of the kernel, as [kernel.Kernel.Call] does.
type CallFunc func(ctx context.Context, opts *emu.CallOptions, addr uint64, args ...uint64) (emu.Result, error)

// Options configure the core; the zero value is the kernel as it is.
type Options struct {
	// Call runs the core's functions; nil: [kernel.Kernel.Call] on the first CPU.
	Call CallFunc
	// OnStep observes the core's instructions, see [emu.CallOptions].
	OnStep func(cpu emu.CPU, before *emu.Regs)
	// Sites are the call sites that the core is told of when it starts, by their IP; nil: all. A
	// core with few is quick to walk.
	Sites []uint64
	// Before is called before the core starts, for a change of its code; nil: none.
	Before func(k *kernel.Kernel) error
	// Budget bounds a call of the core, in instructions; 0: [Budget].
	Budget uint64
}

// Core is the ftrace of a kernel that runs its own.
type Core struct {
	k    *kernel.Kernel
	sym  *symbols
	code *trampolines.Code
	opts Options
	pack *kernelimage.CoreLayout

	unsubscribe func()

	all     sync.Map // *ftrace.Ops by address
	mu      sync.Mutex
	crash   error                   // what ended the core
	direct  []*ftrace.Ops           // those of NewDirectOps
	share   uint64                  // the gate of ops_func; 0 before its first use
	statics uint64                  // bytes taken of the initial task's stack
	modules map[string]*guestModule // by name
	arrays  map[*ftrace.Ops]uint64  // trace arrays

	openParams int // of ftrace_regex_open; 0: not known yet
}

var _ ftrace.Core = (*Core)(nil)

// New has the kernel start its ftrace (ftrace_init), and free what it keeps of init text
// when that goes. Modules that are loaded follow by themselves. [*MissingError]
// names what the kernel lacks; EBUSY where init text is gone.
func New(k *kernel.Kernel, opts *Options) (*Core, error) {
	if k == nil {
		return nil, fmt.Errorf("ftrace core of the image: no kernel: %w", errno.EINVAL)
	}
	c := &Core{k: k, modules: make(map[string]*guestModule), arrays: make(map[*ftrace.Ops]uint64), pack: &k.Layout.Core}
	if opts != nil {
		c.opts = *opts
	}
	c.opts.Budget = cmp.Or(c.opts.Budget, Budget)
	if c.opts.Call == nil {
		c.opts.Call = func(ctx context.Context, opts *emu.CallOptions, addr uint64, args ...uint64) (emu.Result, error) {
			return k.Call(ctx, 0, opts, addr, args...)
		}
	}
	if err := c.start(); err != nil {
		return nil, fmt.Errorf("ftrace core of %s: %w", k.Image.Name(), err)
	}
	c.unsubscribe = k.Subscribe(c.notified)
	return c, nil
}

func (c *Core) start() (err error) {
	if !c.k.Image.IsLinux() {
		return fmt.Errorf("it is no Linux kernel, and has no core of its own: %w", errno.EOPNOTSUPP)
	}
	if c.sym, err = find(c.k); err != nil {
		return err
	}
	if _, err := c.k.Func("ftrace_init"); err != nil {
		return fmt.Errorf("it has to start before init text is freed: %w", errors.Join(errno.EBUSY, err))
	}
	if pages, err := c.k.Mem.Load64(c.sym.pages); err != nil || pages != 0 {
		return fmt.Errorf("it has been started: %w", errors.Join(errno.EBUSY, err))
	}
	if c.code, err = trampolines.FromImage(c.k, &trampolines.Options{CallOps: c.CallOps()}); err != nil {
		return err
	}
	if c.opts.Before != nil {
		if err := c.opts.Before(c.k); err != nil {
			return err
		}
	}
	// What control files are read through has a cache of its own.
	if _, err := c.call("seq_file_init", c.sym.seqInit); err != nil {
		return err
	}
	if err := c.prepareFiles(); err != nil {
		return err
	}
	if c.opts.Sites != nil {
		return c.startWith(c.opts.Sites)
	}
	_, err = c.call("ftrace_init", c.sym.init)
	return err
}

// startWith is ftrace_init with an array of call sites of our own.
func (c *Core) startWith(ips []uint64) error {
	if c.sym.processLocs == 0 || c.sym.lastEnabled == 0 {
		return fmt.Errorf("some call sites only: %w", &MissingError{c.k.Image.Name(), []string{"ftrace_process_locs", "last_ftrace_enabled"}})
	}
	ips = slices.Compact(slices.Sorted(slices.Values(ips)))
	if len(ips) == 0 {
		return fmt.Errorf("no call sites: %w", errno.EINVAL)
	}
	var locs []byte
	for _, ip := range ips {
		site, ok := c.k.Image.Site(ip)
		if !ok {
			return fmt.Errorf("%s is not a call site: %w", c.k.Symbols.Format(ip), errno.EINVAL)
		}
		locs = appendWord(locs, site.Entry)
	}
	array, err := c.place("mcount_loc", locs)
	if err != nil {
		return err
	}
	if err := c.status("ftrace_process_locs", c.sym.processLocs, 0, array, array+uint64(len(locs))); err != nil {
		return err
	}
	for _, v := range []uint64{c.sym.enabled, c.sym.lastEnabled} {
		if err := c.k.Mem.Store32(v, 1); err != nil {
			return err
		}
	}
	return c.k.Heap.Free(array)
}

// CallOps reports whether sites call through their own ops.
func (c *Core) CallOps() bool { return c.k.Image.CallOps() }

// Code is what ftrace consists of in the kernel's memory: the kernel's own, and callops'
// tracers.
func (c *Core) Code() *trampolines.Code { return c.code }

// call runs a function of the kernel.
func (c *Core) call(name string, addr uint64, args ...uint64) (uint64, error) {
	if c.crash != nil {
		return 0, c.crash
	}
	res, err := c.opts.Call(context.Background(), &emu.CallOptions{Budget: c.opts.Budget, OnStep: c.opts.OnStep}, addr, args...)
	if err != nil {
		c.crash = &CrashError{name, slices.Clone(args), err}
		return 0, c.crash
	}
	return res.X0, nil
}

// status is call of a function that returns an int: 0, or an errno.
func (c *Core) status(name string, addr uint64, args ...uint64) error {
	x0, err := c.call(name, addr, args...)
	if err != nil {
		return err
	}
	if s := int32(x0); s != 0 {
		return &StatusError{name, s}
	}
	return nil
}

// Dead reports whether ftrace has been killed (ftrace_is_dead), or ended otherwise.
func (c *Core) Dead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead()
}

func (c *Core) dead() bool {
	x0, err := c.call("ftrace_is_dead", c.sym.isDead)
	return err != nil || int32(x0) != 0
}

// notified follows the kernel.
func (c *Core) notified(e kernel.Event, m *module.Module) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e {
	case kernel.InitFreeing:
		_, err := c.call("ftrace_free_init_mem", c.sym.freeInitMem)
		return err
	case kernel.ModuleComing:
		return c.moduleComing(m)
	case kernel.ModuleGoing:
		return c.moduleGoing(m)
	}
	return nil
}

// Close unregisters every ops that was made here, and unsubscribes from the kernel's
// events.
func (c *Core) Close() error {
	var errs []error
	for _, o := range c.Registered() {
		if c.known(o) == nil {
			errs = append(errs, c.Unregister(o))
		}
	}
	c.unsubscribe()
	return errors.Join(errs...)
}
