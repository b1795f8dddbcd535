package guest

import (
	"fmt"
	"sort"

	"callops/asm"
	"callops/asm/effects"
	"callops/check/internal/weak"
	"callops/check/property"
	"callops/emu"
	"callops/kernel"
	"callops/kernelimage"
)

// Config describes the code and the machine.
type Config struct {
	// Kernel is as it is before anything happens. Its CPUs' stacks, registers
	// and tasks are scratch from now on, and so is what History stores to.
	Kernel  *kernel.Kernel
	History *weak.History

	// Tasks are the functions that each kind of task calls, one after another.
	// The kinds run on CPUs 0, 1, ... of Kernel, for all CPUs that run such a
	// task: what is a task's own is invisible to others, so it may as well be
	// at the same place.
	Tasks [][]uint64

	// Args has, by function, what x0 holds at the begin of its calls; Entry(0) where there is none.
	Args map[uint64]uint64

	// Scratch is memory of each kind of task's own whose content does not matter between
	// calls; nil: there is none.
	Scratch []kernelimage.Range

	// Objects are what is freed at some time.
	Objects []kernelimage.Range

	// Arrive is called where the PC comes to one of these addresses, before
	// anything executes there. What it returns is broken, if anything.
	Arrive map[uint64]func(*Visit) *property.Broken

	// Ended checks a call that returned.
	Ended func(*Visit) *property.Broken

	// EachInstruction makes every instruction a step of its own.
	EachInstruction bool
}

// Machine executes the tasks. It is for one goroutine at a time.
type Machine struct {
	cfg   Config
	tasks []*task
	insns map[uint64]*effects.Operands
	preem int // offset of preempt_count in a task

	news int

	executed func(pc uint64) // may be nil
}

// task is what a CPU runs.
type task struct {
	cpu     *kernel.CPU
	calls   []uint64
	base    uint64 // sp at the beginning of each call
	fp      uint64
	areas   []kernelimage.Range // its own: the task, the CPU's area
	scratch kernelimage.Range   // of these, what a call need not leave as it was
	first   []ownWord           // what the words of areas held, once stored to
	low     uint64              // the lowest sp so far

	nodes []*Node // by number
	index map[string]*Node
	short []*Node // Between of each call, then Done
}

// New prepares a machine.
func New(cfg Config) (*Machine, error) {
	if n := cfg.History.Locations(); n > MaxLocations {
		return nil, fmt.Errorf("%d locations are stored to, at most %d can be told apart", n, MaxLocations)
	}
	if cfg.Kernel.Layout.Task.PreemptCount%8 != 0 {
		return nil, fmt.Errorf("preempt_count is at %#x of a task, which is not a multiple of 8", cfg.Kernel.Layout.Task.PreemptCount)
	}
	m := &Machine{cfg: cfg, insns: map[uint64]*effects.Operands{}, preem: cfg.Kernel.Layout.Task.PreemptCount}
	for kind, calls := range cfg.Tasks {
		c := cfg.Kernel.CPUs[kind]
		t := &task{cpu: c, calls: calls, index: map[string]*Node{}, areas: cfg.Kernel.Own(c)}
		if kind < len(cfg.Scratch) {
			t.areas, t.scratch = append(t.areas, cfg.Scratch[kind]), cfg.Scratch[kind]
		}
		// A frame record that ends the chain, as a task's first frame has.
		t.fp = c.StackTop - 16
		t.base, t.low = t.fp, t.fp
		m.tasks = append(m.tasks, t)
		pre := m.preemptible(t, &state{})
		for call := range len(calls) + 1 {
			n := &Node{Kind: Between, Fetch: -1, Call: call, Preemptible: pre}
			if call == len(calls) {
				n.Kind = Done
			}
			t.add(n)
			t.short = append(t.short, n)
			if call > 0 {
				t.short[call-1].leadsTo(n)
			}
		}
	}
	return m, nil
}

// Node returns a node of a kind of task by its number.
func (m *Machine) Node(kind int, id uint32) *Node { return m.tasks[kind].nodes[id] }

func (t *task) add(n *Node) *Node {
	n.ID = uint32(len(t.nodes))
	t.nodes = append(t.nodes, n)
	return n
}

// News counts how often it came out that a node may read more than was known.
func (m *Machine) News() int { return m.news }

// Next returns the node that follows n when its task goes on and sees in.
func (m *Machine) Next(kind int, n *Node, in Input) (*Node, error) {
	if to := n.find(in); to != nil {
		return to, nil
	}
	to, err := m.follow(m.tasks[kind], n, in)
	if err != nil {
		return nil, fmt.Errorf("task %d at %s: %w", kind, m.cfg.Kernel.Symbols.Format(n.PC), err)
	}
	if n.leadsTo(to) {
		m.news++
	}
	n.edges = append(n.edges, edge{in, to})
	return to, nil
}

// Path returns the addresses of the instructions that Next executes.
func (m *Machine) Path(kind int, n *Node, in Input) ([]uint64, error) {
	var path []uint64
	m.executed = func(pc uint64) { path = append(path, pc) }
	defer func() { m.executed = nil }()
	_, err := m.follow(m.tasks[kind], n, in)
	return path, err
}

func (m *Machine) follow(t *task, n *Node, in Input) (*Node, error) {
	switch n.Kind {
	case Between:
		return m.run(t, m.begin(t, n.Call), n)
	case End:
		return t.short[n.Call+1], nil
	case Gate:
		s := n.state.clone()
		s.x[0], s.pc = 0, s.x[30]
		s.after[0] = 0
		return m.run(t, s, n)
	case Run:
		s := n.state.clone()
		if m.executed != nil {
			m.executed(s.pc)
		}
		m.load(t, s)
		if broken, err := m.exec(t, s, n, in); broken != nil || err != nil {
			return m.bad(t, s, broken), err
		}
		return m.run(t, s, n)
	}
	return nil, fmt.Errorf("a node of kind %d goes nowhere", n.Kind)
}

// Values that the registers hold at a call's begin; each is different.
const (
	argument = 0xa000_0000_0000_0000
	scratch  = 0xdead_0000_0000_0000
)

// Entry is what register n, one that a function finds as its caller left it,
// holds at the begin of each call, unless Config.Args has it.
func Entry(n int) uint64 { return argument + uint64(n)<<32 + 0x5a5a0000 + uint64(n) }

// begin sets up a call, as a caller does that keeps nothing in scratch registers.
func (m *Machine) begin(t *task, call int) *state {
	s := &state{call: call, pc: t.calls[call], sp: t.base, stack: make([]slot, 2)}
	for i := range s.x {
		s.x[i] = Entry(i)
		if i >= 9 && i <= 17 {
			s.x[i] = scratch + uint64(i)
		}
	}
	if arg, ok := m.cfg.Args[s.pc]; ok {
		s.x[0] = arg
	}
	s.x[29], s.x[30] = t.fp, emu.ReturnGate
	return s
}

// bad is a node that ends in a broken property.
func (m *Machine) bad(t *task, s *state, b *property.Broken) *Node {
	if b == nil {
		return nil
	}
	return t.add(&Node{Kind: Bad, PC: s.pc, Fetch: -1, Call: s.call, Broken: b})
}

// node returns the one node of a state.
func (m *Machine) node(t *task, s *state, n *Node) *Node {
	key := string(s.key([]byte{byte(n.Kind)}))
	if have := t.index[key]; have != nil {
		return have
	}
	n.state, n.PC, n.Call, n.Seen = *s, s.pc, s.call, s.seen
	t.index[key] = t.add(n)
	if n.Fetch >= 0 {
		n.reads(n.Fetch)
	}
	for _, l := range n.Loads {
		n.reads(l.Loc)
	}
	return n
}

// object returns the numbers of the objects that [addr, addr+size) is in.
func (m *Machine) objects(to []int, addr, size uint64) []int {
	for i, o := range m.cfg.Objects {
		if addr < o.End && addr+size > o.Start {
			if at := sort.SearchInts(to, i); at == len(to) || to[at] != i {
				to = append(to, i)
				sort.Ints(to)
			}
		}
	}
	return to
}

// operands decodes the instruction word at pc.
func (m *Machine) operands(pc uint64, word uint32) (*effects.Operands, error) {
	o, ok := effects.Decode(word)
	if !ok {
		return nil, fmt.Errorf("the operands of %s are not known", asm.Disassemble(word, pc, nil))
	}
	if o.Exclusive || o.Writes.Has(effects.SetSystem) {
		return nil, fmt.Errorf("%s changes what is not part of a task's state here", asm.Disassemble(word, pc, nil))
	}
	return &o, nil
}

// fixed returns the operands of an instruction that never changes.
func (m *Machine) fixed(pc uint64) (*effects.Operands, error) {
	if o := m.insns[pc]; o != nil {
		return o, nil
	}
	w, err := m.cfg.Kernel.Mem.Load32(pc)
	if err != nil {
		return nil, err
	}
	o, err := m.operands(pc, w)
	if err != nil {
		return nil, err
	}
	m.insns[pc] = o
	return o, nil
}
