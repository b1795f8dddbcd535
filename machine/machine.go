package machine

import (
	"context"
	"errors"
	"fmt"

	"callops/emu"
	"callops/emu/interp"
	"callops/emu/isa"
	"callops/ftrace"
	"callops/ftrace/guestcore"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernel/services"
	"callops/kernelimage"
	"callops/sched"
)

// Config describes what to set up; the zero value is the built-in kernel on the
// interpreter, with one CPU and without ftrace.
type Config struct {
	Image *kernelimage.Image // nil: the built-in kernel
	// Engine executes; nil: the interpreter.
	Engine emu.NewEngine
	CPUs   int    // 1 when 0
	Heap   uint64 // bytes, see [kernel.BootOptions]
	// Features are what the ID registers tell the kernel of.
	Features isa.Features

	// KeepInit leaves the kernel as it is before free_initmem: init text runs,
	// and read-only data can be written.
	KeepInit bool
	// Modules are files of kernel modules to load, in this order.
	Modules []string

	// Warn is called for each WARN(), see [kernel.BootOptions].
	Warn func(*kernel.Bug)

	// Printk is called for each line that a Linux kernel logs, see [services.Options].
	Printk func(services.Line)

	// Services select what surrounds the services, and where they report to; nil: as
	// [services.Options] does. Their Printk is the one above, unless that is nil.
	Services *services.Options

	// Ftrace returns the options of ftrace on the kernel that is set up, see
	// [Options]; nil starts none. Where there is a scheduler and the options name no grace
	// periods, they are the scheduler's.
	Ftrace func(k *kernel.Kernel) (*ftrace.Options, error)

	// Guest runs the kernel's own ftrace core, in the place of the one that Ftrace
	// describes, which is nil then. It is started before init text is freed. Unless its options
	// have a Call, operations run on the first CPU, or in the caller's task or one of their own where there is a
	// scheduler.
	Guest *guestcore.Options

	// Sched runs tasks on the CPUs, and is started with several of them anyhow.
	Sched *sched.Options

	// Unscheduled starts no scheduler, whatever the number of CPUs: the caller
	// decides what each of them does.
	Unscheduled bool
}

// Options is the Config.Ftrace of options that do not depend on the kernel; opts may
// be nil.
func Options(opts *ftrace.Options) func(*kernel.Kernel) (*ftrace.Options, error) {
	return func(*kernel.Kernel) (*ftrace.Options, error) { return opts, nil }
}

// Machine is a kernel that is set up.
type Machine struct {
	Kernel   *kernel.Kernel
	Services *services.Services
	Ftrace   ftrace.Core      // nil: none was asked for
	Sched    *sched.Scheduler // nil: the caller drives the CPUs
}

// New sets a machine up; cfg may be nil. Tasks end with ctx, and operations of the kernel's
// own ftrace core. After an error nothing is left.
func New(ctx context.Context, cfg *Config) (*Machine, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	m := &Machine{}
	if err := m.setUp(ctx, cfg); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *Machine) setUp(ctx context.Context, cfg *Config) (err error) {
	img, engine := cfg.Image, cfg.Engine
	if img == nil {
		if img, err = kernelimage.Builtin(nil); err != nil {
			return err
		}
	}
	if engine == nil {
		engine = interp.New
	}
	if cfg.Guest != nil && cfg.Ftrace != nil {
		return fmt.Errorf("machine: both callops' ftrace and the kernel's own: %w", errno.EINVAL)
	}
	m.Kernel, err = kernel.Boot(img, engine, &kernel.BootOptions{
		CPUs: cfg.CPUs, HeapSize: cfg.Heap, Features: cfg.Features, WritableRodata: cfg.KeepInit || cfg.Guest != nil, Warn: m.warn(cfg.Warn),
	})
	if err != nil {
		return err
	}
	if !cfg.KeepInit && cfg.Guest == nil {
		if err := m.Kernel.FreeInitMem(); err != nil {
			return err
		}
	}
	scheduled := !cfg.Unscheduled && (cfg.Sched != nil || len(m.Kernel.CPUs) > 1)
	opts := cfg.services()
	if scheduled {
		m.surround(opts)
	}
	if m.Services, err = services.Install(m.Kernel, opts); err != nil {
		return err
	}
	if scheduled {
		if m.Sched, err = sched.New(ctx, m.Kernel, m.schedOptions(cfg.Sched)); err != nil {
			return err
		}
	}
	if cfg.Guest != nil {
		if err := m.startGuest(ctx, cfg); err != nil {
			return err
		}
	}
	for _, file := range cfg.Modules {
		if _, err := m.Kernel.LoadModuleFile(ctx, file, nil); err != nil {
			return err
		}
	}
	if cfg.Ftrace == nil {
		return nil
	}
	return m.startFtrace(cfg)
}

// services are the options of the services.
func (cfg *Config) services() *services.Options {
	opts := services.Options{}
	if cfg.Services != nil {
		opts = *cfg.Services
	}
	if cfg.Printk != nil {
		opts.Printk = cfg.Printk
	}
	return &opts
}

// warn tells the services' listener of a WARN() too.
func (m *Machine) warn(fn func(*kernel.Bug)) func(*kernel.Bug) {
	if fn == nil {
		return nil
	}
	return func(b *kernel.Bug) {
		if m.Services != nil {
			m.Services.Warned(b)
		}
		fn(b)
	}
}

// surround has the scheduler's tasks and CPUs be those of the services, but for what the
// caller supplies.
func (m *Machine) surround(opts *services.Options) {
	s := surroundings{m}
	if opts.Grace == nil {
		opts.Grace = s
	}
	if opts.Tasks == nil {
		opts.Tasks = s
	}
	if opts.Interrupts == nil {
		opts.Interrupts = s
	}
}

// schedOptions are the scheduler's, with callbacks run where a task leaves the kernel.
func (m *Machine) schedOptions(cfg *sched.Options) *sched.Options {
	opts := sched.Options{}
	if cfg != nil {
		opts = *cfg
	}
	if opts.Returned == nil {
		opts.Returned = m.Services.RunCallbacks
	}
	return &opts
}

func (m *Machine) startFtrace(cfg *Config) error {
	opts, err := cfg.Ftrace(m.Kernel)
	if err != nil {
		return err
	}
	if opts == nil {
		opts = &ftrace.Options{}
	}
	if opts.Grace == nil && m.Sched != nil {
		opts.Grace = m.Sched
	}
	r, err := ftrace.New(m.Kernel, opts)
	if err == nil {
		m.Ftrace = r
	}
	return err
}

// startGuest has the kernel start its ftrace, and frees init text. What the core does
// ends with ctx.
func (m *Machine) startGuest(ctx context.Context, cfg *Config) error {
	opts := *cfg.Guest
	switch {
	case opts.Call != nil:
	case m.Sched != nil:
		opts.Call = m.inTask
	default:
		opts.Call = func(_ context.Context, opts *emu.CallOptions, addr uint64, args ...uint64) (emu.Result, error) {
			return m.Kernel.Call(ctx, 0, opts, addr, args...)
		}
	}
	c, err := guestcore.New(m.Kernel, &opts)
	if err != nil {
		return err
	}
	m.Ftrace = c
	if cfg.KeepInit {
		return nil
	}
	return m.Kernel.FreeInitMem()
}

// inTask calls a function of the kernel in the task that asks, a tracer's for one, or else in
// one of its own.
func (m *Machine) inTask(_ context.Context, opts *emu.CallOptions, addr uint64, args ...uint64) (res emu.Result, err error) {
	if t := m.Sched.Caller(); t != nil {
		return t.Call(opts, addr, args...)
	}
	t, err := m.Sched.Spawn("ftrace", func(t *sched.Task) (err error) {
		res, err = t.Call(opts, addr, args...)
		return err
	})
	if err != nil {
		return res, err
	}
	return res, t.Wait()
}

// Close ends tasks, what they logged last, and closes the kernel; ops that are registered stay so.
// The image stays open, and what is asked of the parts afterwards is os.ErrClosed. A
// second Close does nothing.
func (m *Machine) Close() error {
	if m == nil {
		return nil
	}
	var errs []error
	if m.Sched != nil {
		errs = append(errs, m.Sched.Close())
	}
	if m.Services != nil {
		m.Services.Flush()
	}
	if m.Kernel != nil {
		errs = append(errs, m.Kernel.Close())
	}
	return errors.Join(errs...)
}
