package board

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"callops/asm"
	"callops/emu"
	"callops/emu/interp"
	"callops/emu/isa"
	"callops/internal/errno"
	"callops/internal/hostmem"
	"callops/internal/text"
	"callops/kernel"
	"callops/kernelimage"
)

// What a board has.
const (
	// MaxCPUs is how many CPUs a board has at most: as many as a GICv2.
	MaxCPUs = 8

	ramSize  = 256 << 20
	fdtAt    = ramBase + 128<<20
	initrdAt = fdtAt + 2<<20

	// recent is how many instructions an error shows.
	recent = 8

	// slice is how many instructions a CPU executes in turn with others.
	slice = 10_000
	// aloneSlice is how many one CPU does between two looks at the budget.
	aloneSlice = 1 << 20
)

// commandLineSize is COMMAND_LINE_SIZE (arch/arm64/include/uapi/asm/setup.h), which has the final NUL in it.
const commandLineSize = 2048

// imageAlign is what the address of a kernel without text_offset is a multiple of, in bytes (Documentation/arch/arm64/booting.rst).
const imageAlign = 2 << 20

// mpidr is MPIDR_EL1 of the first CPU.
const mpidr = 1 << 31

// panicWords is what a panic's first line begins with (kernel/panic.c).
const panicWords = "Kernel panic - not syncing: "

// oopsWords is how a line begins with which the kernel tells of a fault of its own, or of what it found (arch/arm64/mm/fault.c,
// arch/arm64/kernel/traps.c, lib/bug.c).
var oopsWords = []string{"Unable to handle kernel ", "kernel BUG at ", "Internal error: "}

// DefaultBudget is how many instructions a boot may take; those of Debian's cloud kernels take a billion.
const DefaultBudget = 20_000_000_000

// Options describe a board and what its kernel is told; the zero value is usable.
type Options struct {
	CPUs   int    // 1 when 0
	Append string // to the kernel's command line
	Budget uint64 // instructions until the first process starts; DefaultBudget when 0

	// Sites are the functions whose call sites ftrace has records of; nil: all that the kernel lists. What ftrace does to
	// every record costs a kernel of 40,000 a million instructions each time.
	Sites []uint64

	// Console is given each line that the kernel prints, on the goroutine that drives the board. nil
	// drops them.
	Console func(line string)
}

// Machine is a board with a kernel on it.
type Machine struct {
	img       *kernelimage.Image
	release   func() error
	symbols   *kernel.Symbols   // the image's and those of placed code
	code      map[uint64]placed // by base
	gates     *emu.Gates
	served    []gate            // in their order
	loaded    []string          // modules whose functions have names
	funcTypes map[string]uint32 // ids in BTF, once they are wanted

	ram    []byte
	mem    *emu.Memory
	engine emu.Engine
	cpus   []*cpu
	gic    *gic
	uart   uart
	page   uint64 // the kernel's, in bytes

	running int    // the CPU that executes, or did last
	now     uint64 // the time at which the CPUs' turn began
	stopped bool   // the CPUs are not to go on
	err     error  // what ended the board

	init  *cpu   // that the first process is on, once it has started
	panic string // what the console said of one
	oops  string // and of the fault before it

	sites *keepSites // that ftrace_init is to find, until it has been called; nil: as the kernel is

	step    StepFunc // nil: instructions are not told of
	trapped StopFunc

	checkpoints *Checkpoints // nil: none

	calling bool   // a call of the host's is in progress
	task    uint64 // of the process that makes the call
	tasks   *tasks // nil: the first process makes all
	serve   Hypercall
	points  map[uint64]bool // at which turns end
	turning bool            // a turn is in progress
	counted uint64          // instructions before the board was made
}

// StopError is a kernel that stopped the board.
type StopError struct {
	Reset bool   // it asked for a reset, as after a panic
	Panic string // why it panicked, in its own words; "": it did not
	Oops  string // the fault that it died of, in its own words; "": it told of none
}

func (e *StopError) Error() string {
	switch {
	case e.Panic != "" && e.Oops != "":
		return "Kernel panic: " + e.Panic + ", after " + e.Oops
	case e.Panic != "":
		return "Kernel panic: " + e.Panic
	case e.Reset:
		return "the kernel reset the board"
	}
	return "the kernel turned the board off"
}

// Boot loads a kernel and runs it until it starts its first process.
func Boot(ctx context.Context, img *kernelimage.Image, opts *Options) (*Machine, error) {
	if opts == nil {
		opts = &Options{}
	}
	m, err := newMachine(img, opts)
	if err != nil {
		return nil, fmt.Errorf("boot %s: %w", img.Name(), err)
	}
	budget := opts.Budget
	if budget == 0 {
		budget = DefaultBudget
	}
	if err := m.load(opts); err != nil {
		return nil, errors.Join(fmt.Errorf("boot %s: %w", img.Name(), err), m.Close())
	}
	if err := m.run(ctx, budget); err != nil {
		run := m.runError("boot "+img.Name(), err)
		run.Func += ", " + bootStep(append([]string{run.PC}, run.Callers...))
		return nil, errors.Join(run, m.Close())
	}
	return m, nil
}

// runError tells where the CPU that executed last was when something ended what the board did.
func (m *Machine) runError(what string, err error) *kernel.RunError {
	c := m.cpus[m.running]
	trace := c.backtrace()
	e := &kernel.RunError{Func: what, PC: m.where(trace[0]), Backtrace: trace, Err: err}
	for _, pc := range trace[1:] {
		e.Callers = append(e.Callers, m.where(pc))
	}
	for _, pc := range c.Recent(recent) {
		e.Recent = append(e.Recent, m.where(pc))
	}
	return e
}

// where is an address as %pS. Before the MMU is on, the kernel runs at physical addresses.
func (m *Machine) where(pc uint64) string {
	if name, ok := m.gates.Name(pc); ok {
		return name
	}
	if pc-ramBase < uint64(len(m.ram)) {
		pc += m.img.Linux().Base - ramBase
	}
	return m.symbols.Format(pc)
}

// newMachine makes a board with nothing in its RAM.
func newMachine(img *kernelimage.Image, opts *Options) (m *Machine, err error) {
	switch linux := img.Linux(); {
	case linux == nil:
		return nil, fmt.Errorf("it is no raw Image of a Linux kernel (arch/arm64/boot/Image), which has an entry point for boot loaders: %w", errno.ENOEXEC)
	case linux.Base%imageAlign != 0:
		return nil, fmt.Errorf("its text_offset is %#x, that of a kernel before 5.8: %w", linux.Base%imageAlign, errno.ENOEXEC)
	}
	n := max(opts.CPUs, 1)
	if opts.CPUs < 0 || n > MaxCPUs {
		return nil, fmt.Errorf("%d CPUs, there are 1 to %d: %w", opts.CPUs, MaxCPUs, errno.EINVAL)
	}
	m = &Machine{img: img, symbols: kernel.SymbolsOf(img), mem: emu.NewMemory(), page: img.PageSize(), code: make(map[uint64]placed), gates: emu.NewGates()}
	m.uart.emit = func(line string) {
		m.listen(line)
		if opts.Console != nil {
			opts.Console(line)
		}
	}
	if m.release, err = img.Hold(); err != nil {
		return nil, err
	}
	if m.ram, err = hostmem.Alloc(ramSize + windowSize); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	m.mem.SetTranslation(m)
	m.mem.SetRegister(uint16(cntfrq), frequency)
	for _, f := range features {
		r, _ := isa.Lookup(f.register)
		m.mem.SetRegister(uint16(f.register), r.Value|f.bits)
	}
	m.gic = newGIC(n, m.level)
	if m.engine, err = interp.New(m.mem); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	for i := range n {
		c, err := m.engine.NewCPU(i)
		if err != nil {
			return nil, errors.Join(err, m.Close())
		}
		m.cpus = append(m.cpus, &cpu{CPU: c.(*interp.CPU), m: m, trap: make(map[asm.SysReg]uint64), waits: true})
		m.cpus[i].Supervise()
		m.cpus[i].SetSystem(asm.MPIDR_EL1, mpidr|uint64(i))
	}
	return m, nil
}

// listen keeps what a line of the console says of a fault or a panic: of faults the first, which the others follow from.
func (m *Machine) listen(line string) {
	if _, why, ok := strings.Cut(line, panicWords); ok {
		m.panic = text.Printable(why)
	}
	for _, words := range oopsWords {
		if at := strings.Index(line, words); at >= 0 && m.oops == "" {
			m.oops = text.Printable(line[at:])
		}
	}
}

// load puts the kernel, the device tree and the root file system into RAM, and has the first CPU begin
// as Documentation/arch/arm64/booting.rst asks for.
func (m *Machine) load(opts *Options) error {
	args := opts.Append
	base, b := m.img.Linux().Base, m.img.Bounds()
	if b.Start < base || b.End-base > fdtAt-ramBase {
		return fmt.Errorf("its memory from %#x to %#x does not fit: %w", b.Start, b.End, errno.ENOMEM)
	}
	for _, s := range m.img.Segments() {
		at := m.ram[s.Addr-base:][:s.End()-s.Addr]
		if _, err := m.img.ReadAt(at, s.Addr); err != nil {
			return err
		}
	}
	if err := m.hook("kernel_execve"); err != nil {
		return err
	}
	if opts.Sites != nil {
		if err := m.hookSites(opts.Sites); err != nil {
			return err
		}
	}
	initrd := initramfs()
	copy(m.ram[initrdAt-ramBase:], initrd)
	cmdline := commandLine(args)
	switch {
	case strings.Contains(args, "\x00"):
		return fmt.Errorf("command line %q, which has a NUL: %w", args, errno.EINVAL)
	case len(cmdline) >= commandLineSize:
		return fmt.Errorf("a command line of %d bytes, the kernel takes less than %d: %w", len(cmdline), commandLineSize, errno.E2BIG)
	}
	copy(m.ram[fdtAt-ramBase:], deviceTree(len(m.cpus), ramSize, cmdline, extent{initrdAt, initrdAt + uint64(len(initrd))}))
	m.cpus[0].reset(ramBase, fdtAt)
	return nil
}

// commandLine is what the kernel is told, with what is added to it.
func commandLine(args string) string {
	cmdline := earlycon + " nokaslr panic=-1 cryptomgr.notests rdinit=" + initPath
	if args != "" {
		cmdline += " " + args
	}
	return cmdline
}

// level are the interrupt lines of a CPU that are high.
func (m *Machine) level(cpu int) uint32 {
	c := m.cpus[cpu]
	if c.timer.level(c.now()) {
		return 1 << (16 + timerVirtual)
	}
	return 0
}

// at finds the device register at a physical address.
func (m *Machine) at(cpu int, pa uint64) (read func() uint32, write func(uint32)) {
	switch {
	case pa-gicDistributor < gicSize:
		off := pa - gicDistributor
		return func() uint32 { return m.gic.readDistributor(cpu, off) }, func(v uint32) { m.gic.writeDistributor(cpu, off, v) }
	case pa-gicInterface < gicSize:
		off := pa - gicInterface
		return func() uint32 { return m.gic.readInterface(cpu, off) }, func(v uint32) { m.gic.writeInterface(cpu, off, v) }
	case pa-uartBase < uartSize:
		off := pa - uartBase
		return func() uint32 { return m.uart.read(off) }, func(v uint32) { m.uart.write(off, v) }
	}
	return nil, nil
}

// keep remembers an error that ends the board.
func (m *Machine) keep(err error) {
	if m.err == nil {
		m.err = err
	}
}

func (m *Machine) stop(err *StopError) {
	err.Panic, err.Oops = m.panic, m.oops
	m.keep(err)
}

// run has the CPUs execute, each in its turn, until the board is stopped.
func (m *Machine) run(ctx context.Context, budget uint64) error {
	m.stopped = false
	for end := m.spent() + budget; !m.stopped; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := uint64(slice)
		if len(m.cpus) == 1 {
			n = aloneSlice
		}
		busy := false
		for i, c := range m.cpus {
			c.SetSystem(asm.CNTVCT_EL0, m.now)
			if c.waits && c.online && m.gic.waiting(i) != 0 {
				c.waits = false
			}
			if c.waits {
				continue
			}
			busy = true
			m.running = i
			if err := c.run(ctx, n); err != nil {
				return err
			}
			if m.stopped {
				m.passed()
				return nil
			}
		}
		switch {
		case !busy:
			at, ok := m.nextTimer()
			if !ok {
				return fmt.Errorf("all CPUs wait for interrupts, and no timer is armed: %w", errno.EDEADLK)
			}
			m.now = at
		case len(m.cpus) == 1:
			m.now = m.cpus[0].now()
		default:
			m.now += n
		}
		if m.spent() > end {
			return emu.OutOfBudget(m.cpus[m.running].Regs().PC)
		}
	}
	return nil
}

// passed moves time on to where the CPUs are, for a turn that ends before all have had theirs: no CPU's counter goes back.
func (m *Machine) passed() {
	for _, c := range m.cpus {
		m.now = max(m.now, c.now())
	}
}

// Count returns how many instructions the CPUs have executed, those of the board that this one was forked
// from included.
func (m *Machine) Count() uint64 {
	n := m.counted
	for _, c := range m.cpus {
		n += c.Count()
	}
	return n
}

// spent is what the CPUs took of a budget.
func (m *Machine) spent() (n uint64) {
	for _, c := range m.cpus {
		n += c.spent()
	}
	return n
}

// nextTimer is when the first of the CPUs' timers is due that is not yet: one whose interrupt is disabled wakes no CPU.
func (m *Machine) nextTimer() (at uint64, ok bool) {
	for _, c := range m.cpus {
		if due, armed := c.timer.due(); armed && c.online && due > m.now && (!ok || due < at) {
			at, ok = due, true
		}
	}
	return at, ok
}

// errClosed is what a board says that is used after its Close.
var errClosed = fmt.Errorf("the board is closed: %w", fs.ErrClosed)

// Close frees the board.
func (m *Machine) Close() error {
	m.err = errClosed
	var errs []error
	if m.engine != nil {
		errs = append(errs, m.engine.Close())
		m.engine = nil
	}
	errs = append(errs, m.mem.Close())
	if m.ram != nil {
		errs = append(errs, hostmem.Free(m.ram))
		m.ram = nil
	}
	if m.release != nil {
		errs = append(errs, m.release())
		m.release = nil
	}
	return errors.Join(errs...)
}
