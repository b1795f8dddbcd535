package kernel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"callops/emu"
	"callops/emu/isa"
	"callops/internal/errno"
	"callops/kernelimage"
)

// What a CPU and its task get.
const (
	guardSize       = emu.PageSize
	defaultHeapSize = 64 << 20
	MaxCPUs         = 64
)

// The areas after an image, from the next multiple of areaAlign on.
// All of them stay within the 4 GiB that ADRP reaches.
const (
	areaAlign  = 256 << 20
	farArea    = 1 * areaAlign // modules that BL does not reach
	dataArea   = 3 * areaAlign
	perCPUArea = 4 * areaAlign
	taskArea   = 5 * areaAlign
	heapArea   = 6 * areaAlign
	endOfAreas = 12 * areaAlign
)

// Values in a fresh task and per-CPU area.
const (
	// preemptEnabled is PREEMPT_ENABLED (arch/arm64/include/asm/preempt.h): a
	// count of 0 in the low half, and in the upper half a 1 that means that no
	// rescheduling is needed.
	preemptEnabled = 1 << 32
	// rcuWatching is CT_RCU_WATCHING: one such increment means that RCU is watching
	// the CPU (include/linux/context_tracking_state.h).
	rcuWatching = 4
	// taskUsage is how many references a task has: init_task's (init/init_task.c).
	taskUsage = 2
	// firstPid is the first CPU's task's. 0 would be the idle task.
	firstPid = 100
	// canary stands where the stack protector reads it. Its lowest byte is
	// zero, as CANARY_MASK makes it, so that no string runs over it.
	canary = 0x5afe_57ac_ca4a_5100
)

// BootOptions are the size of the machine; the zero value will do.
type BootOptions struct {
	CPUs     int    // 1 when 0
	HeapSize uint64 // bytes; 64 MiB when 0

	// WritableRodata leaves a Linux kernel's read-only data as it is before
	// mark_rodata_ro, so that its init code can run, until [Kernel.FreeInitMem].
	WritableRodata bool

	// Features are what the ID registers tell the kernel of.
	Features isa.Features

	// Warn is called for each WARN() that a CPU reaches, by the goroutine that
	// drives the CPU, and the kernel goes on. nil: a WARN() ends the call, as a
	// BUG() does.
	Warn func(*Bug)
}

// Kernel is an image in memory, ready to run.
type Kernel struct {
	Image   *kernelimage.Image
	Layout  *kernelimage.Layout
	Mem     *emu.Memory
	Heap    *emu.Heap
	Gates   *emu.Gates
	Symbols *Symbols
	Engine  emu.Engine
	CPUs    []*CPU

	areas uint64 // where the areas after the image begin
	pools map[emu.Perm]*pool
	tasks tasks

	returnAddr atomic.Pointer[ReturnAddr] // nil: none was changed

	perCPU    *emu.Heap // of each CPU's area, on the first one's; nil: not yet asked for
	loaded    loaded    // modules
	notifiers []*Notifier

	warn    func(*Bug)
	bugs    bugs
	exTable exTable

	initFreed bool
	rodata    []*emu.Region      // still writable, see BootOptions.WritableRodata
	sites     []kernelimage.Site // the image's, less those that were freed

	claimed atomic.Bool // the CPUs belong to another than Call

	onlineMask uint64 // cpu_online_mask; 0: not known
	returned   []func(ctx context.Context, cpu *CPU) error

	release func() error // of the image's bytes; nil once closed
}

// CPU is an engine's CPU with the task that runs on it.
type CPU struct {
	emu.CPU
	Task     uint64            // task_struct; sp_el0 holds its address
	PerCPU   uint64            // tpidr_el1 holds it
	Stack    kernelimage.Range // the task's stack, between two unmapped pages
	StackTop uint64
}

// Boot loads img into a new memory, opens an engine over it and makes the
// CPUs, each with a task, a stack and a per-CPU area.
func Boot(img *kernelimage.Image, newEngine emu.NewEngine, opts *BootOptions) (*Kernel, error) {
	if img == nil || newEngine == nil {
		return nil, fmt.Errorf("boot without an image or an engine: %w", errno.EINVAL)
	}
	if opts == nil {
		opts = &BootOptions{}
	}
	o := *opts
	if o.CPUs == 0 {
		o.CPUs = 1
	}
	if o.HeapSize == 0 {
		o.HeapSize = defaultHeapSize
	}
	if o.CPUs < 0 || o.CPUs > MaxCPUs || o.HeapSize > endOfAreas-heapArea {
		return nil, fmt.Errorf("boot %s: %d CPUs, %#x bytes of heap: %w", img.Name(), o.CPUs, o.HeapSize, errno.EINVAL)
	}
	if img.Linux() != nil && img.Linux().OneCPU && o.CPUs > 1 {
		return nil, fmt.Errorf("boot %s: %d CPUs, and nothing tells where its per-CPU variables are, cpu_number among them: it runs on one: %w",
			img.Name(), o.CPUs, errno.EOPNOTSUPP)
	}
	release, err := img.Hold()
	if err != nil {
		return nil, fmt.Errorf("boot: %w", err)
	}
	k := &Kernel{
		Image: img, release: release, sites: img.Sites(), Layout: img.Layout(), Mem: emu.NewMemory(), Gates: emu.NewGates(),
		Symbols: SymbolsOf(img), pools: make(map[emu.Perm]*pool), warn: o.Warn,
	}
	if err := k.boot(newEngine, &o); err != nil {
		return nil, errors.Join(fmt.Errorf("boot %s: %w", img.Name(), err), k.Close())
	}
	return k, nil
}

func (k *Kernel) boot(newEngine emu.NewEngine, opts *BootOptions) error {
	for id, v := range opts.Features.Registers() {
		k.Mem.SetRegister(uint16(id), v)
	}
	if err := k.load(opts.WritableRodata); err != nil {
		return err
	}
	heap, err := k.Mem.Map("heap", k.areas+heapArea, pageUp(opts.HeapSize), emu.Read|emu.Write)
	if err != nil {
		return err
	}
	k.Heap = emu.NewHeap(k.Mem, heap)
	if k.Engine, err = newEngine(k.Mem); err != nil {
		return err
	}
	for id := range opts.CPUs {
		cpu, err := k.newCPU(id)
		if err != nil {
			return err
		}
		k.CPUs = append(k.CPUs, cpu)
	}
	return k.initCPUMasks()
}

// load maps the image's segments and fills them.
func (k *Kernel) load(writable bool) error {
	b := k.Image.Bounds()
	if b.End <= b.Start || b.End > math.MaxUint64-(endOfAreas+2*areaAlign) {
		return fmt.Errorf("segments from %#x to %#x leave no room after them: %w", b.Start, b.End, errno.ENOMEM)
	}
	k.areas = (b.End + areaAlign - 1) &^ (areaAlign - 1)
	if half := b.Start >> 48; half != 0 && half != 0xffff || (k.areas+endOfAreas-1)>>48 != half {
		return fmt.Errorf("segments from %#x to %#x, or what is placed after them, are not at 48-bit addresses: %w", b.Start, b.End, errno.EINVAL)
	}
	for _, p := range pagesOf(k.Image.Segments()) {
		readOnlyLater := writable && k.Image.Linux() != nil && p.perm == emu.Read
		if readOnlyLater {
			p.perm |= emu.Write
		}
		r, err := k.Mem.Map(p.name, p.Start, p.End-p.Start, p.perm)
		if err != nil {
			return err
		}
		if readOnlyLater {
			k.rodata = append(k.rodata, r)
		}
	}
	for _, s := range k.Image.Segments() {
		if err := s.Load(k.Mem); err != nil {
			return err
		}
		k.Symbols.AddRange("", s.Addr, s.End())
	}
	return nil
}

// pages is a run of whole pages with the same permissions.
type pages struct {
	kernelimage.Range
	name string
	perm emu.Perm
}

// pagesOf rounds segments, which are in address order, to pages. A page that
// two of them share gets both's permissions, and is a run of its own so that
// the rest of them keeps to theirs.
func pagesOf(segments []kernelimage.Segment) []pages {
	var runs []pages
	for _, s := range segments {
		start, end := s.Addr&^(emu.PageSize-1), pageUp(s.End())
		if n := len(runs); n > 0 && start < runs[n-1].End {
			last := &runs[n-1]
			start = last.End
			if perm := last.perm | s.Perm; perm != last.perm {
				shared := pages{kernelimage.Range{Start: last.End - emu.PageSize, End: last.End}, last.name + "+" + s.Name, perm}
				if last.End = shared.Start; last.End == last.Start {
					runs = runs[:n-1]
				}
				runs = append(runs, shared)
			}
		}
		if start < end {
			runs = append(runs, pages{kernelimage.Range{Start: start, End: end}, s.Name, s.Perm})
		}
	}
	return runs
}

// pages rounds n up to whole pages of the kernel's own, which may be larger than
// the emulator's.
func (k *Kernel) pages(n uint64) uint64 {
	size := k.Image.PageSize()
	return (n + size - 1) &^ (size - 1)
}

func pageUp(n uint64) uint64 { return (n + emu.PageSize - 1) &^ (emu.PageSize - 1) }

// newCPU makes a CPU, its per-CPU area, and the task that runs on it.
func (k *Kernel) newCPU(id int) (*CPU, error) {
	l := k.Layout
	n := uint64(id)
	perCPUSize := k.perCPUSize()
	area := k.areas + perCPUArea + n*(k.dynamicPerCPU()+k.pages(dynamicPerCPU+guardSize))
	c := &CPU{PerCPU: area - l.PerCPU.Start}
	if _, err := k.Mem.Map(fmt.Sprintf("percpu%d", id), area, perCPUSize, emu.Read|emu.Write); err != nil {
		return nil, err
	}
	if err := k.initPerCPU(c, id); err != nil {
		return nil, err
	}
	if err := k.put32(c.PerCPU, l.PerCPU.ContextState, rcuWatching); err != nil {
		return nil, err
	}
	task, err := k.NewTask(fmt.Sprintf("callops/%d", id), id)
	if err != nil {
		return nil, err
	}
	c.Task, c.Stack, c.StackTop = task.Addr, task.Stack, task.Stack.End
	cpu, err := k.Engine.NewCPU(id)
	if err != nil {
		return nil, err
	}
	c.CPU = cpu
	regs := cpu.Regs()
	regs.SP, regs.SPEL0, regs.TPIDREL1 = c.StackTop, c.Task, c.PerCPU
	return c, nil
}

// initPerCPU makes a CPU's copy of a Linux kernel's per-CPU variables, and tells
// the kernel where it is (arch/arm64/kernel/smp.c, setup_per_cpu_areas).
func (k *Kernel) initPerCPU(c *CPU, id int) error {
	l := k.Image.Linux()
	if l == nil {
		return nil
	}
	r := l.PerCPU
	linked := make([]byte, r.End-r.Start)
	n, err := k.Image.ReadAt(linked, r.Start)
	if err != nil {
		return err
	}
	if err := k.Mem.Write(r.Start+c.PerCPU, linked[:n]); err != nil {
		return err
	}
	if sym, err := k.Symbols.Lookup("__per_cpu_offset"); err == nil {
		if err := k.Mem.Store64(sym.Addr+8*uint64(id), c.PerCPU); err != nil {
			return err
		}
	}
	if n := l.CPUNumber; n != 0 {
		return k.Mem.Store32(n+c.PerCPU, uint32(id))
	}
	return nil
}

func (k *Kernel) put(base uint64, off int, b []byte) error {
	if off == kernelimage.Absent {
		return nil
	}
	return k.Mem.Write(base+uint64(off), b)
}

func (k *Kernel) put32(base uint64, off int, v uint32) error {
	if off == kernelimage.Absent {
		return nil
	}
	return k.Mem.Store32(base+uint64(off), v)
}

func (k *Kernel) put64(base uint64, off int, v uint64) error {
	if off == kernelimage.Absent {
		return nil
	}
	return k.Mem.Store64(base+uint64(off), v)
}

// Close closes the engine and unmaps the memory. A second Close does nothing.
func (k *Kernel) Close() error {
	var err error
	if k.Engine != nil {
		err = k.Engine.Close()
		k.Engine = nil
	}
	if err = errors.Join(err, k.Mem.Close()); k.release != nil {
		err = errors.Join(err, k.release())
		k.release = nil
	}
	return err
}
