package play

import (
	"callops/emu"
	"callops/ftrace"
	"callops/kernel"
)

// patcher does the actions, one at a time, on a goroutine of its own that never runs beside the
// CPU: perform returns once the operation has ended, or waits for a grace period that the CPU's call
// holds back. It is the ftrace.Memory and the ftrace.GracePeriods of the machine, to record what the
// operation does that a CPU can notice.
type patcher struct {
	ftrace.Memory
	names
	frame     func(Frame)
	literals  map[uint64]string // from the address of a literal to its function
	original  map[uint64]string // what stood in text before the first store to it
	recording bool              // set-up is not recorded

	inCall  bool // whether a task is between two quiescent states
	busy    bool // whether an operation waits
	queue   []func() error
	stopped chan string // the grace period that is waited for, "" when the operation has ended
	goOn    chan struct{}
	pending []func() // callbacks
	err     error
}

func newPatcher(k *kernel.Kernel, frame func(Frame)) *patcher {
	p := &patcher{
		Memory: ftrace.LiveMemory(k), names: names{k}, frame: frame, literals: make(map[uint64]string), original: make(map[uint64]string),
		stopped: make(chan string), goOn: make(chan struct{}),
	}
	for _, s := range k.Sites() {
		p.literals[s.Literal] = p.short(s.Func())
	}
	return p
}

// perform does an operation, or has it wait for ftrace_lock, which the one before it holds.
func (p *patcher) perform(name string, op func() error) {
	do := func() error {
		p.frame(Frame{Kind: Begin, Text: name})
		err := op()
		text := name + " returns"
		if err != nil {
			text = err.Error()
		}
		p.frame(Frame{Kind: End, Text: text})
		return err
	}
	if p.busy {
		p.frame(Frame{Kind: Notice, Text: name + " waits for ftrace_lock"})
		p.queue = append(p.queue, do)
		return
	}
	p.start(do)
}

func (p *patcher) start(do func() error) {
	go func() {
		p.err = do()
		p.stopped <- ""
	}()
	p.follow()
}

// follow returns when the operation has ended or waits.
func (p *patcher) follow() {
	p.busy = <-p.stopped != ""
}

// quiesce is that the task has left the kernel: what waits for it goes on. It returns when nothing
// waits any more.
func (p *patcher) quiesce() {
	p.inCall = false
	p.callbacks()
	for p.busy {
		p.goOn <- struct{}{}
		p.follow()
		p.callbacks()
	}
	for len(p.queue) > 0 {
		do := p.queue[0]
		p.queue = p.queue[1:]
		p.start(do)
		p.callbacks()
	}
}

func (p *patcher) callbacks() {
	run := p.pending
	p.pending = nil
	for _, free := range run {
		free()
	}
}

func (p *patcher) wait(name string) error {
	if !p.inCall {
		p.frame(Frame{Kind: Notice, Text: name + " returns at once: no task is in the kernel"})
		return nil
	}
	p.frame(Frame{Kind: Notice, Text: name + " waits: a task is in traced code"})
	p.stopped <- name
	<-p.goOn
	p.frame(Frame{Kind: Notice, Text: name + " returns: the task has left"})
	return nil
}

// SynchronizeRCUTasksRude implements ftrace.GracePeriods.
func (p *patcher) SynchronizeRCUTasksRude() error { return p.wait("synchronize_rcu_tasks_rude") }

// SynchronizeRCUTasks implements ftrace.GracePeriods.
func (p *patcher) SynchronizeRCUTasks() error { return p.wait("synchronize_rcu_tasks") }

// CallRCU implements ftrace.GracePeriods.
func (p *patcher) CallRCU(free func()) {
	if p.inCall {
		p.pending = append(p.pending, free)
		return
	}
	free()
}

// CallRCUTasks implements ftrace.GracePeriods.
func (p *patcher) CallRCUTasks(free func()) { p.CallRCU(free) }

// Store32 is a store of an instruction, or of data.
func (p *patcher) Store32(addr uint64, v uint32) error {
	old, err := p.Load32(addr)
	if err != nil {
		return err
	}
	if err := p.Memory.Store32(addr, v); err != nil || !p.recording || !p.isText(addr) {
		return err
	}
	p.stored(addr, Frame{Where: p.short(addr), Old: p.disassemble(old, addr), New: p.disassemble(v, addr)})
	return nil
}

// Store64 is a store of a literal, or of data.
func (p *patcher) Store64(addr uint64, v uint64) error {
	old, err := p.Load64(addr)
	if err != nil {
		return err
	}
	if err := p.Memory.Store64(addr, v); err != nil || !p.recording {
		return err
	}
	if site, ok := p.literals[addr]; ok {
		p.stored(addr, Frame{Literal: true, Where: "literal of " + site, Old: p.pointer(old), New: p.pointer(v)})
	}
	return nil
}

func (p *patcher) stored(addr uint64, f Frame) {
	if _, ok := p.original[addr]; !ok {
		p.original[addr] = f.Old
	}
	f.Kind, f.Addr = Store, hex(addr)
	p.frame(f)
}

// SyncCPUs implements ftrace.Memory.
func (p *patcher) SyncCPUs() {
	p.Memory.SyncCPUs()
	if p.recording {
		p.frame(Frame{Kind: Notice, Text: "every CPU is interrupted, and has answered"})
	}
}

// Free implements ftrace.Memory.
func (p *patcher) Free(addr uint64) error {
	name := p.pointer(addr)
	if err := p.Memory.Free(addr); err != nil || !p.recording {
		return err
	}
	p.frame(Frame{Kind: Notice, Text: "frees " + name})
	return nil
}

func (p *patcher) isText(addr uint64) bool {
	r := p.k.Mem.Region(addr)
	return r != nil && r.Perm&emu.Exec != 0
}
