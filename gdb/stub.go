package gdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/machine"
)

// ErrKilled is the error of guest code that the debugger has ended.
var ErrKilled = errors.New("killed by the debugger")

// Options are those of a [Stub]; the zero value is usable.
type Options struct {
	// Log is told of debuggers that come and go; nil: nobody is.
	Log func(line string)

	// Sites writes a table of the call sites that match a glob, all of them without one, for the
	// monitor command of that name; nil: there is none.
	Sites func(w io.Writer, globs []string) error
}

// Stub lets a debugger stop the CPUs of a machine. [Stub.Engine] goes into the machine's
// configuration; [Stub.Attach] has the debugger wait for the next guest code; [Stub.Serve] talks to it.
type Stub struct {
	opts  Options
	m     *machine.Machine
	elf   []byte // the file of symbols
	armed atomic.Bool

	mu      sync.Mutex
	changed *sync.Cond // what mu guards has
	threads []*thread  // CPUs first; their ids are their places from 1
	begun   int        // threads, ever
	halted  bool       // threads stop where they can
	stopped *thread    // whose pending stop is to be reported; nil: none
	started bool       // guest code has stopped once
	killed  bool
	closed  bool
	ends    chan struct{} // closed when closed is set
	halts   chan struct{} // told when something halted

	commands  sync.WaitGroup // of the monitor, and what is left of them
	operates  chan struct{}  // told when an operation of the core waits
	writing   bool           // the debugger stores
	guestCore bool           // the kernel's own core runs

	breakpoints map[uint64]inserted // by address
	watchpoints []emu.Watchpoint
	traps       atomic.Pointer[emu.Traps] // made of both
	quiet       map[uint64]bool           // functions that the scheduler executes between two instructions of a task
	inCall      bool                      // guest code of the only CPU is in a call
	reversible  bool                      // there is a history
	history     *history                  // from the first guest code on
}

// New returns a stub; opts may be nil.
func New(opts *Options) *Stub {
	s := &Stub{halts: make(chan struct{}, 1), operates: make(chan struct{}, 1), ends: make(chan struct{}), breakpoints: make(map[uint64]inserted)}
	if opts != nil {
		s.opts = *opts
	}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// Engine makes an engine whose CPUs the stub can stop, of one whose CPUs are [emu.Debuggable]; ENOTSUPP for
// another.
func (s *Stub) Engine(inner emu.NewEngine) emu.NewEngine {
	return func(mem *emu.Memory) (emu.Engine, error) {
		e, err := inner(mem)
		if err != nil {
			return nil, err
		}
		return &engine{e, s}, nil
	}
}

type engine struct {
	emu.Engine
	stub *Stub
}

// NewCPU implements [emu.Engine].
func (e *engine) NewCPU(id int) (emu.CPU, error) {
	c, err := e.Engine.NewCPU(id)
	if err != nil {
		return nil, err
	}
	d, ok := c.(emu.Debuggable)
	if !ok {
		return nil, fmt.Errorf("gdb: engine %s can't be stopped at breakpoints: %w", e.Name(), errno.EOPNOTSUPP)
	}
	t := e.stub.addThread(fmt.Sprintf("CPU %d", id))
	t.cpu = d
	return &cpu{Debuggable: d, stub: e.stub, thread: t}, nil
}

func (s *Stub) addThread(name string) *thread {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun++
	t := &thread{id: s.begun, name: name, action: run}
	s.threads = append(s.threads, t)
	return t
}

// Attach has each CPU of the machine stop before the next instruction that it executes, and wait for a
// debugger.
func (s *Stub) Attach(m *machine.Machine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m, s.halted, s.elf = m, true, symbolFile(m.Kernel)
	_, ours := m.Ftrace.(*ftrace.Registry)
	s.guestCore = m.Ftrace != nil && !ours
	s.quiet = make(map[uint64]bool)
	for _, sym := range m.Kernel.Symbols.All() {
		if sym.Module == "sched" {
			s.quiet[sym.Addr] = true
		}
	}
	if len(m.Kernel.CPUs) == 1 && m.Sched == nil {
		s.reversible = true
	}
	m.Kernel.Mem.ObserveStores((*storeObserver)(s))
	s.armed.Store(true)
}

// Close ends the debugging: guest code that waits for a debugger goes on without one, and a debugger that waits
// for it is told that it has ended. Operations of the core that have begun end before it returns.
func (s *Stub) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	s.armed.Store(false)
	close(s.ends)
	if s.m != nil && s.m.Kernel.Mem != nil {
		s.m.Kernel.Mem.ObserveStores(nil)
	}
	s.mu.Unlock()
	s.release()
	s.tell()
	s.commands.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.patchers() > 0 {
		s.changed.Wait()
	}
}

// release removes all breakpoints and has everything go on.
func (s *Stub) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.breakpoints)
	s.watchpoints = nil
	s.setTraps()
	s.stopped, s.halted = nil, false
	for _, t := range s.threads {
		t.action, t.pending = run, nil
	}
	s.changed.Broadcast()
}

// inserted are the breakpoints that the debugger has inserted at an address.
type inserted struct{ software, hardware bool }

// breakpoint is the stop at a breakpoint. Stub.mu is not needed: while guest code runs, the debugger inserts none.
func (s *Stub) breakpoint(pc uint64) *stop {
	if b := s.breakpoints[pc]; b.hardware && !b.software {
		return &stop{signal: sigTrap, reason: "hwbreak:;"}
	}
	return &stop{signal: sigTrap, reason: "swbreak:;"}
}

// tell wakes the goroutine that serves the debugger.
func (s *Stub) tell() {
	select {
	case s.halts <- struct{}{}:
	default:
	}
}

// setTraps has the CPUs stop where the debugger wants; each takes the traps before it runs on.
func (s *Stub) setTraps() {
	if len(s.breakpoints)+len(s.watchpoints) == 0 {
		s.traps.Store(nil)
		return
	}
	t := &emu.Traps{Breakpoints: make(map[uint64]bool), Watchpoints: slices.Clone(s.watchpoints)}
	for addr := range maps.Keys(s.breakpoints) {
		t.Breakpoints[addr] = true
	}
	s.traps.Store(t)
}

// halt stops everything, for t's stop. Where it has stopped for something else, a CPU comes to the same
// place again when it goes on.
func (s *Stub) halt(t *thread, why *stop) {
	if s.closed || s.halted {
		return
	}
	s.halted, s.stopped, t.pending = true, t, why
	for _, other := range s.threads {
		if other.running {
			other.cpu.Halt()
		}
	}
	s.tell()
}

// interrupt halts for the debugger's ^C.
func (s *Stub) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.threads[0]
	for _, other := range slices.Backward(s.threads) {
		if other.running {
			t = other
		}
	}
	s.halt(t, &stop{signal: sigInt})
}

// settle waits until no guest code runs any more, and returns why the machine stopped; nil where it goes on or
// is closed.
func (s *Stub) settle() (*thread, *stop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.halted && slices.ContainsFunc(s.threads, func(t *thread) bool { return t.running }) {
		s.changed.Wait()
	}
	t := s.stopped
	if !s.halted || t == nil || t.pending == nil {
		return nil, nil
	}
	why := t.pending
	s.stopped, t.pending = nil, nil
	for _, t := range s.threads {
		t.action, t.stepped = stay, false
	}
	return t, why
}

// resume has threads go on, each as the debugger says. It reports whether any does.
func (s *Stub) resume(what func(t *thread) action) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	any := false
	for _, t := range s.threads {
		t.action, t.stepped = what(t), false
		any = any || t.action != stay
	}
	if !any {
		return false
	}
	if s.closed { // nothing stops any more
		for _, t := range s.threads {
			t.action = run
		}
		return true
	}
	s.halted = false
	for _, t := range s.threads { // what was not told of yet
		if t.pending != nil && t.action != stay {
			s.halted, s.stopped = true, t
			s.tell()
			return true
		}
	}
	s.changed.Broadcast()
	return true
}

// attach stops the guest for a debugger that has come.
func (s *Stub) attach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halt(s.threads[0], &stop{signal: sigTrap})
}

// standing returns where the guest stands, once it does; nil: it has ended.
func (s *Stub) standing() (*thread, *stop) {
	s.mu.Lock()
	for !s.closed && s.halted && !s.started {
		s.changed.Wait()
	}
	if s.halted && s.stopped == nil {
		s.stopped = s.threads[0]
		for _, t := range slices.Backward(s.threads) {
			if t.parked {
				s.stopped = t
			}
		}
		if s.stopped.pending == nil {
			s.stopped.pending = &stop{signal: sigTrap}
		}
	}
	s.mu.Unlock()
	return s.settle()
}

func (s *Stub) isHalted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.halted
}

// kill has guest code end with ErrKilled.
func (s *Stub) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killed = true
	s.changed.Broadcast()
}

func (s *Stub) canReverse() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reversible
}

func (s *Stub) hasThread(id int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.thread(id) != nil
}

func (s *Stub) threadIDs() (ids []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.threads {
		ids = append(ids, t.id)
	}
	return ids
}

// mayGoBack refuses to leave the present while an operation of the core is under way, whose effects would be
// undone without it.
func (s *Stub) mayGoBack() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.patchers() > 0 {
		return textErrorf("an operation of ftrace's core goes on, and can't go back: %w", errno.EBUSY)
	}
	return nil
}

// inPast reports whether the CPU is in the past.
func (s *Stub) inPast() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.history != nil && s.history.past()
}

// gates is what a debugger sees of the gates: functions that return at once, since Go code runs there and returns to
// its caller. It begins a word earlier than they do: a debugger looks for the function that a frame
// belongs to before its return address.
var gates = span{"gates", emu.GateBase - 4, emu.GateSize + 4, emu.Read | emu.Exec}

var ret = []byte{0xc0, 0x03, 0x5f, 0xd6}

// read copies from guest memory as far as that is mapped, and returns how many bytes are.
func (s *Stub) read(addr uint64, b []byte) (n int) {
	mem := s.m.Kernel.Mem
	for n < len(b) {
		at := addr + uint64(n)
		if at-gates.start < gates.size {
			b[n] = ret[at%4]
			n++
			continue
		}
		r := mem.Region(at)
		if r == nil {
			break
		}
		part := b[n:][:min(uint64(len(b)-n), r.Size-(at-r.Base))]
		if mem.Read(at, part) != nil {
			break
		}
		n += len(part)
	}
	return n
}

// write is a store of the debugger's.
func (s *Stub) write(addr uint64, b []byte) error {
	s.mu.Lock()
	if s.history != nil && s.history.past() {
		s.mu.Unlock()
		return fmt.Errorf("write %#x: the CPU is in the past: %w", addr, errno.EPERM)
	}
	s.writing = true
	s.mu.Unlock()
	mem := s.m.Kernel.Mem
	err := mem.Write(addr, b)
	s.mu.Lock()
	s.writing = false
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("write %#x: %w", addr, err)
	}
	mem.SyncText(addr, uint64(len(b)))
	return nil
}

// mayGo reports whether the debugger lets a thread go on.
func (s *Stub) mayGo(t *thread) bool { return !s.halted && t.action != stay && t.pending == nil }

// patching reports whether an operation of the core goes on, and waits neither for the debugger nor for guest
// code: with one CPU it is the one or the other that stores, so that what either did can be told.
func (s *Stub) patching() bool {
	return slices.ContainsFunc(s.threads, func(t *thread) bool {
		return t.cpu == nil && t.waits == "" && (!t.parked || s.mayGo(t))
	})
}

// wait parks a thread until it may go on, until the end of the context or the debugger kills the guest.
func (s *Stub) wait(ctx context.Context, t *thread) error {
	stop := func() bool { return true }
	defer func() { stop() }()
	hooked := false
	for {
		switch {
		case s.killed:
			return ErrKilled
		case s.closed:
			return ctx.Err()
		case ctx.Err() != nil:
			return ctx.Err()
		case s.mayGo(t) && (t.cpu == nil || s.history == nil || !s.patching()):
			return nil
		}
		if !hooked && ctx.Done() != nil {
			hooked = true
			stop = context.AfterFunc(ctx, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.changed.Broadcast()
			})
		}
		t.parked, s.started = true, true
		s.tellMonitor()
		s.changed.Broadcast()
		s.changed.Wait()
		t.parked = false
	}
}
