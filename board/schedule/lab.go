package schedule

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"callops/asm"
	"callops/board"
	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

// Lab is a kernel on which a workload's threads are about to begin, again and again.
type Lab struct {
	m        *board.Machine
	workload *Workload
	opts     Options
	setup    *Setup
	points   *board.Checkpoints
	root     *board.Checkpoint
	begun    *watch // at the root
	key      uint32 // of what a token depends on
	schedule uint64 // the kernel's functions schedule
	sleep    uint64 // and schedule_timeout_uninterruptible

	watch    *watch
	failure  *Failure
	segments []Segment
	events   []event
	record   bool   // events are kept
	last     int    // the CPU that executed last
	base     uint64 // instructions executed before the root
	began    uint64 // the time there
	dead     uint64 // ftrace_disabled; 0 where the kernel has none
	printed  []string
	shared   map[uint64]bool // instructions that make accesses that CPUs share
	shares   uint64          // of them in the schedule without a choice
	usual    uint64          // instructions of the schedule without a choice
}

// Options of a Lab; the zero value is usable.
type Options struct {
	Fault *Fault // a deliberate one to be found; nil: the kernel as it is

	// AllSites boots a kernel with all of its call sites. Otherwise it has those that the workload traces and some more: what ftrace does to
	// each of 40,000 records is most of what a schedule takes.
	AllSites bool

	// Budget is how many instructions a schedule may take, of all CPUs; when 0, twenty times what it takes without a choice, and 20 million.
	Budget uint64

	Console func(line string) // given what the kernel prints in schedules
}

// firstBudget bounds the schedule without a choice.
const firstBudget = 2_000_000_000

// longest is how long a schedule may take of the kernel's time, in ns. A thread that waits for nothing is found by it: idle
// kernels have timers.
const longest = 120_000_000_000

// bootArgs have the kernel end at what it would otherwise only report, and poison what it frees from kmalloc's caches.
const bootArgs = "panic_on_warn=1 oops=panic slub_debug=P,kmalloc-*"

// New boots a kernel, or begins from a snapshot of it, and prepares a workload on it.
func New(ctx context.Context, img *kernelimage.Image, w *Workload, opts *Options) (l *Lab, err error) {
	l = &Lab{workload: w}
	if opts != nil {
		l.opts = *opts
	}
	budget := l.opts.Budget
	if budget == 0 {
		l.opts.Budget = firstBudget
	}
	boot := &board.Options{CPUs: w.cpus(), Append: bootArgs, Console: l.print}
	if !l.opts.AllSites {
		if boot.Sites, err = someSites(img, w.Sites); err != nil {
			return nil, err
		}
	}
	if l.m, err = board.Start(ctx, img, boot); err != nil {
		return nil, err
	}
	err = l.prepare(ctx)
	if err == nil {
		var o *Outcome
		if o, err = l.Run(ctx, NewFixed(nil)); err == nil {
			l.usual = o.Count
			if budget == 0 {
				l.opts.Budget = 20*l.usual + 20_000_000
			}
			err = l.findShared(ctx)
		}
	}
	if err == nil {
		counter := &counting{}
		l.m.SetPoints(l.shared)
		_, err = l.Run(ctx, counter)
		l.shares = counter.events
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", w.Name, err), l.m.Close())
	}
	return l, nil
}

func (l *Lab) prepare(ctx context.Context) error {
	l.setup = &Setup{Machine: l.m, probed: l.probed}
	var err error
	if l.schedule, err = l.m.Symbol("schedule"); err != nil {
		return err
	}
	if l.sleep, err = l.m.Symbol("schedule_timeout_uninterruptible"); err != nil {
		return err
	}
	if addr, err := l.m.Symbol("ftrace_disabled"); err == nil {
		l.dead = addr
	}
	build := func(base uint64) (*asm.Program, error) { return l.setup.body.assemble(base, l.schedule) }
	if _, err := l.m.PlaceCode(ctx, "schedule", build); err != nil {
		return err
	}
	starter := &thread{name: "init", calls: -1}
	l.setup.threads = []*thread{starter}
	if err := l.workload.Prepare(ctx, l.setup); err != nil {
		return err
	}
	if l.opts.Fault != nil {
		if err := l.opts.Fault.plant(l.m); err != nil {
			return fmt.Errorf("fault %s: %w", l.opts.Fault.Name, err)
		}
	}
	if err := l.makeThreads(ctx, starter); err != nil {
		return err
	}
	l.points, _ = l.m.Checkpoints()
	l.watch = newWatch(l.setup)
	l.watch.change(l.setup, l.setup.expected)
	if err := l.m.Interleave(l.serve, l.setup.body.start, 0); err != nil {
		return err
	}
	return l.settle(ctx)
}

// makeThreads makes the kernel threads, which the first process is to wake.
func (l *Lab) makeThreads(ctx context.Context, starter *thread) error {
	format, err := l.setup.Kmalloc(ctx, 8)
	if err != nil {
		return err
	}
	if err := l.m.WriteMemory(format, []byte("thread\x00")); err != nil {
		return err
	}
	wake, err := l.m.Symbol("wake_up_process")
	if err != nil {
		return err
	}
	const anyNode = ^uint64(0) // NUMA_NO_NODE
	for i, t := range l.setup.threads[1:] {
		task, err := l.m.Call(ctx, "kthread_create_on_node", l.setup.body.start, uint64(i+1), anyNode, format)
		if err != nil {
			return err
		}
		if int64(task) < 0 && int64(task) > -4096 {
			return fmt.Errorf("thread %s: kthread_create_on_node returned %d", t.name, int64(task))
		}
		if _, err := l.m.Call(ctx, "kthread_bind", task, uint64(t.cpu)); err != nil {
			return err
		}
		t.task = task
		starter.steps = append(starter.steps, Step{Func: "wake_up_process", Args: []uint64{task}})
		starter.addrs = append(starter.addrs, wake)
	}
	return nil
}

// settle runs the kernel until each thread stands at its first step and the first process sleeps.
func (l *Lab) settle(ctx context.Context) error {
	const turn, limit = 10_000, 100_000
	for range limit {
		held, busy := 0, false
		ready := l.m.Ready()
		for cpu := range l.m.CPUs() {
			switch {
			case ready>>cpu&1 == 0:
			case l.atStep(cpu):
				held++
			default:
				busy = true
				if _, _, err := l.m.Turn(ctx, cpu, turn); err != nil {
					return err
				}
			}
		}
		if held == len(l.setup.threads)-1 && l.watch.asleep == 1 && !busy {
			l.root, l.begun = l.points.Make(), l.watch.clone()
			l.base, l.began = l.m.Count(), l.m.Now()
			l.key = crc32.ChecksumIEEE(fmt.Appendf(nil, "%s %s %d %d", l.workload.Name, l.m.Image().Name(), l.m.Now(), l.m.Count()))
			return nil
		}
		if !busy && !l.m.Skip() {
			break
		}
	}
	return errors.New("its threads do not come to their first steps")
}

// atStep reports whether a CPU stands at a thread's hypercall.
func (l *Lab) atStep(cpu int) bool { return l.m.Regs(cpu).PC == l.setup.body.step }

// serve serves hypercalls.
func (l *Lab) serve(cpu int, imm uint16, regs *emu.Regs) (board.Served, error) {
	if imm != hvcStep {
		return board.ServedNothing, fmt.Errorf("CPU %d: HVC #%#x: %w", cpu, imm, errno.EINVAL)
	}
	return l.step(cpu, regs)
}

// otherSites is of how many call sites one stays that the workload does not trace.
const otherSites = 512

// someSites are the functions whose call sites stay.
func someSites(img *kernelimage.Image, functions []string) (list []uint64, err error) {
	symbols := kernel.NewSymbols(img.Symbols()...)
	for _, fn := range functions {
		s, err := symbols.Lookup(fn)
		if err != nil {
			return nil, err
		}
		list = append(list, s.Addr)
	}
	for i, s := range img.Sites() {
		if i%otherSites == 0 && !s.Init {
			list = append(list, s.Func())
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// print keeps what the kernel prints in a schedule.
func (l *Lab) print(line string) {
	const kept = 200
	if len(l.printed) < kept {
		l.printed = append(l.printed, line)
	}
	if l.opts.Console != nil {
		l.opts.Console(line)
	}
}

// Close frees the kernel.
func (l *Lab) Close() error { return l.m.Close() }
