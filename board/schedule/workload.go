package schedule

import (
	"context"
	"encoding/binary"
	"fmt"

	"callops/board"
	"callops/emu"
	"callops/internal/errno"
)

// Workload is what the threads of a kernel do in each schedule.
type Workload struct {
	Name string
	What string // in words
	CPUs int    // 2 when 0

	// Sites are the functions that are traced.
	Sites []string

	// Prepare is called once, on a booted kernel on which all else stands still.
	Prepare func(ctx context.Context, s *Setup) error
}

func (w *Workload) cpus() int { return max(w.CPUs, 2) }

// Setup is a booted kernel on which a workload is prepared. What [board.Machine] can do, such as [board.Machine.Call], can be done before
// the threads begin.
type Setup struct {
	*board.Machine
	functions []string // that are called while they may be traced
	probes    []*Probe
	threads   []*thread
	body      body
	expected  []Change
	probed    func(cpu, probe int)
}

// Probe is code that is called in a traced function's stead or beside it: an ops' func, or a direct call.
type Probe struct {
	Name  string
	Func  uint64 // its code, which tells the host of the call
	Ops   uint64 // struct ftrace_ops; 0 of code alone
	index int
}

// Expect is what is expected of a probe when a function is called.
type Expect uint8

// Expectations.
const (
	Never  Expect = iota // the call is not seen
	Maybe                // something is being changed
	Always               // the call is seen, once
	Gone                 // not even a call that began long ago may be seen: the probe may be freed
)

// Change is what becomes of a probe.
type Change struct {
	Probe *Probe
	Func  string // the function whose calls it sees
	To    Expect
}

// Step is a call that a thread makes.
type Step struct {
	Name string // "" is the function's
	Func string // of the kernel
	Args []uint64

	Begin []Change // when the call begins
	End   []Change // when it has returned 0, or what is no errno

	// Fails are the errnos that the call may return; it has then not done what it is for.
	Fails []errno.Errno
}

// thread is a kernel thread of a workload.
type thread struct {
	name  string
	cpu   int
	steps []Step
	addrs []uint64 // of the steps' functions
	// calls is the function that the thread calls until the other threads have ended; -1: it makes its steps.
	calls int
	task  uint64
}

// Thread adds a kernel thread on a CPU that makes the steps in turn.
func (s *Setup) Thread(cpu int, name string, steps ...Step) error {
	return s.thread(&thread{name: name, cpu: cpu, steps: steps, calls: -1})
}

// Caller adds a kernel thread on a CPU that calls a function again and again until the threads with steps have ended.
// Probes see its calls.
func (s *Setup) Caller(cpu int, name, fn string, args ...uint64) error {
	return s.thread(&thread{name: name, cpu: cpu, steps: []Step{{Func: fn, Args: args}}, calls: s.function(fn)})
}

func (s *Setup) thread(t *thread) error {
	if t.cpu < 0 || t.cpu >= s.CPUs() {
		return fmt.Errorf("thread %s: no CPU %d, there are %d: %w", t.name, t.cpu, s.CPUs(), errno.EINVAL)
	}
	for i := range t.steps {
		addr, err := s.Symbol(t.steps[i].Func)
		if err != nil {
			return fmt.Errorf("thread %s: %w", t.name, err)
		}
		t.addrs = append(t.addrs, addr)
	}
	for _, other := range s.threads[1:] {
		if other.cpu == t.cpu {
			return fmt.Errorf("thread %s: CPU %d has %s: %w", t.name, t.cpu, other.name, errno.EBUSY)
		}
	}
	for _, step := range t.steps {
		for _, c := range append(append([]Change(nil), step.Begin...), step.End...) {
			s.function(c.Func)
		}
	}
	s.threads = append(s.threads, t)
	return nil
}

// function is the number of a function that may be traced.
func (s *Setup) function(name string) int {
	for i, have := range s.functions {
		if have == name {
			return i
		}
	}
	s.functions = append(s.functions, name)
	return len(s.functions) - 1
}

// gfpKernel is GFP_KERNEL (include/linux/gfp_types.h).
const gfpKernel = 0xcc0

// kmallocs are the names of kmalloc, the newest kernels' first.
var kmallocs = []string{"__kmalloc_noprof", "__kmalloc"}

// Kmalloc allocates zeroed memory that kfree frees.
func (s *Setup) Kmalloc(ctx context.Context, size int) (uint64, error) {
	for _, fn := range kmallocs {
		if _, err := s.Symbol(fn); err != nil {
			continue
		}
		addr, err := s.Call(ctx, fn, uint64(size), gfpKernel)
		if err == nil && addr == 0 {
			err = errno.ENOMEM
		}
		if err != nil {
			return 0, fmt.Errorf("%s of %d bytes: %w", fn, size, err)
		}
		return addr, s.WriteMemory(addr, make([]byte, size))
	}
	return 0, fmt.Errorf("the kernel has no %s: %w", kmallocs[0], errno.ENOSYS)
}

// DirectOps allocates a struct ftrace_ops for direct calls, which has no func.
func (s *Setup) DirectOps(ctx context.Context) (uint64, error) {
	return s.Kmalloc(ctx, s.Image().Layout().Ops.Size)
}

// Ops allocates a struct ftrace_ops with a func that tells the host, and with flags (FTRACE_OPS_FL_*). It is not registered.
func (s *Setup) Ops(ctx context.Context, name string, flags uint64) (*Probe, error) {
	l := s.Image().Layout().Ops
	addr, err := s.Kmalloc(ctx, l.Size)
	if err != nil {
		return nil, fmt.Errorf("ops %s: %w", name, err)
	}
	p, err := s.probe(name, nil)
	if err != nil {
		return nil, err
	}
	p.Ops = addr
	var b [8]byte
	for _, w := range []struct {
		off   int
		value uint64
	}{{l.Func, p.Func}, {l.Flags, flags}} {
		binary.LittleEndian.PutUint64(b[:], w.value)
		if err := s.WriteMemory(addr+uint64(w.off), b[:]); err != nil {
			return nil, fmt.Errorf("ops %s: %w", name, err)
		}
	}
	return p, nil
}

// Direct returns the code of a direct call: it tells the host, and goes on in the traced function.
func (s *Setup) Direct(name string) (*Probe, error) {
	return s.probe(name, func(regs *emu.Regs) { regs.X[30] = regs.X[9] })
}

// probe makes a probe, whose code does something to the CPU's registers.
func (s *Setup) probe(name string, do func(regs *emu.Regs)) (*Probe, error) {
	p := &Probe{Name: name, index: len(s.probes)}
	var err error
	p.Func, err = s.Gate(name, func(_ *board.Machine, cpu emu.CPU, args [8]uint64) (uint64, error) {
		s.probed(cpu.ID(), p.index)
		if do != nil {
			do(cpu.Regs())
		}
		return args[0], nil
	})
	if err != nil {
		return nil, err
	}
	s.probes = append(s.probes, p)
	return p, nil
}

// Expect says what is expected of probes when the threads begin; without it nothing is seen.
func (s *Setup) Expect(list ...Change) {
	for _, c := range list {
		s.function(c.Func)
	}
	s.expected = append(s.expected, list...)
}

// Filter has an ops that is not registered trace a function alone.
func (s *Setup) Filter(ctx context.Context, p *Probe, fn string) error {
	addr, err := s.Symbol(fn)
	if err != nil {
		return err
	}
	x0, err := s.Call(ctx, "ftrace_set_filter_ip", p.Ops, addr, 0, 0)
	if n := int32(x0); err == nil && n != 0 {
		err = errno.Linux(int64(-n))
	}
	if err != nil {
		return fmt.Errorf("filter of %s: %w", p.Name, err)
	}
	return nil
}
