package board

import (
	"bytes"
	"maps"
	"slices"
	"unsafe"

	"callops/asm"
	"callops/emu"
)

// Checkpoints go back and forth between states of one machine, by the pages that differ. Decoded text and regions stay where
// they hold for both, so that going back costs what was written since, and not a machine.
type Checkpoints struct {
	m *Machine

	first map[uint32][]byte // what pages that were written to held when the first checkpoint was made
	dirty []uint32          // pages written to since the machine stood at current
	isNew []bool            // by page: it is not among dirty
	at    *Checkpoint       // where the machine stood last

	tables []bool // by page: a walk has read it
}

// Checkpoint is a state of the machine. It holds the pages that differ from the first one's.
type Checkpoint struct {
	pages   map[uint32][]byte
	regions []*emu.Region
	cpus    []cpuMark
	gic     gicState
	line    []byte
	now     uint64
	running int
	init    *cpu
	calling bool
	tasks   *tasks
	panic   string
	oops    string
}

// cpuMark is what a checkpoint has of a CPU.
type cpuMark struct {
	state  emu.CPUState
	trap   map[asm.SysReg]uint64
	timer  timer
	exits  uint64
	online bool
	waits  bool
	point  bool
}

const pageShift = 12

// Checkpoints begins to note what is written, and returns the state as it is. It can be called once in a machine's life.
func (m *Machine) Checkpoints() (*Checkpoints, *Checkpoint) {
	n := len(m.ram) >> pageShift
	s := &Checkpoints{m: m, first: make(map[uint32][]byte), isNew: slices.Repeat([]bool{true}, n), tables: make([]bool, n)}
	m.checkpoints = s
	m.mem.ObserveStores(s)
	m.Invalidate(true, 0) // the walks that made the regions were not noted
	s.at = &Checkpoint{}
	s.forget()
	return s, s.Make()
}

// HostStore implements [emu.StoreObserver].
func (s *Checkpoints) HostStore(addr, _ uint64, store func()) {
	s.GuestStores(addr)
	store()
}

// GuestStores implements [emu.StoreObserver].
func (s *Checkpoints) GuestStores(va uint64) {
	if r := s.m.mem.Region(va); r != nil {
		s.m.wrote(r.Host()[va-r.Base:][:1])
	}
}

// wrote notes that a part of RAM is about to be written to.
func (m *Machine) wrote(part []byte) {
	s := m.checkpoints
	if s == nil || len(part) == 0 {
		return
	}
	offset := uintptr(unsafe.Pointer(&part[0])) - uintptr(unsafe.Pointer(&m.ram[0]))
	for p := uint32(offset >> pageShift); p <= uint32((offset+uintptr(len(part))-1)>>pageShift); p++ {
		if !s.isNew[p] {
			continue
		}
		s.isNew[p] = false
		s.dirty = append(s.dirty, p)
		if s.first[p] == nil {
			s.first[p] = bytes.Clone(s.page(p))
		}
	}
}

func (s *Checkpoints) page(p uint32) []byte { return s.m.ram[int(p)<<pageShift:][:1<<pageShift] }

// forget has the next store to any page noticed.
func (s *Checkpoints) forget() {
	for _, p := range s.dirty {
		s.isNew[p] = true
	}
	s.dirty = s.dirty[:0]
	for _, c := range s.m.cpus {
		c.ForgetPages()
	}
}

// Make returns the state as it is.
func (s *Checkpoints) Make() *Checkpoint {
	m := s.m
	c := &Checkpoint{
		pages: maps.Clone(s.at.pages), regions: m.mem.Regions(), gic: gicState{m.gic.enabled, slices.Clone(m.gic.cpus)},
		line: slices.Clone(m.uart.line), now: m.now, running: m.running, init: m.init, calling: m.calling, panic: m.panic, oops: m.oops,
		tasks: m.tasks.clone(),
	}
	if c.pages == nil {
		c.pages = make(map[uint32][]byte)
	}
	for _, p := range s.dirty {
		c.pages[p] = bytes.Clone(s.page(p))
	}
	for _, cpu := range m.cpus {
		c.cpus = append(c.cpus, cpuMark{cpu.Save(), maps.Clone(cpu.trap), cpu.timer, cpu.exits, cpu.online, cpu.waits, cpu.point})
	}
	s.at = c
	s.forget()
	return c
}

// Return has the machine be what it was at a checkpoint of its own.
func (s *Checkpoints) Return(c *Checkpoint) {
	m, walked := s.m, false
	put := func(p uint32) {
		now, then := s.page(p), c.pages[p]
		if then == nil {
			then = s.first[p]
		}
		if bytes.Equal(now, then) {
			return
		}
		copy(now, then)
		walked = walked || s.tables[p]
		s.textChanged(p)
	}
	for _, p := range s.dirty {
		put(p)
	}
	if s.at != c {
		for p := range s.at.pages {
			put(p)
		}
		for p := range c.pages {
			put(p)
		}
	}
	for i, mark := range c.cpus {
		cpu := m.cpus[i]
		cpu.Restore(mark.state)
		cpu.trap, cpu.timer, cpu.exits = maps.Clone(mark.trap), mark.timer, mark.exits
		cpu.online, cpu.waits, cpu.point = mark.online, mark.waits, mark.point
		cpu.spins, cpu.held, cpu.served, cpu.pass = false, false, false, false
	}
	m.gic.enabled = c.gic.Enabled
	copy(m.gic.cpus, c.gic.CPUs)
	m.uart.line = append(m.uart.line[:0], c.line...)
	m.now, m.running, m.init, m.calling, m.panic, m.oops = c.now, c.running, c.init, c.calling, c.panic, c.oops
	m.tasks = c.tasks.clone()
	m.err, m.stopped = nil, false
	if walked {
		s.checkRegions(c)
	}
	s.at = c
	s.forget()
}

// textChanged has CPUs decode a page again wherever it is executed.
func (s *Checkpoints) textChanged(p uint32) {
	host := uintptr(unsafe.Pointer(&s.page(p)[0]))
	for _, r := range s.m.mem.Regions() {
		if r.Perm&emu.Exec == 0 {
			continue
		}
		if off := uint64(host - uintptr(unsafe.Pointer(&r.Host()[0]))); off < r.Size {
			s.m.mem.SyncText(r.Base+off, 1<<pageShift)
		}
	}
}

// checkRegions drops regions that the tables at a checkpoint do not describe. Those that were there when it was made are right.
func (s *Checkpoints) checkRegions(c *Checkpoint) {
	known := make(map[*emu.Region]bool, len(c.regions))
	for _, r := range c.regions {
		known[r] = true
	}
	for _, r := range s.m.mem.Regions() {
		if !known[r] {
			s.m.checkRegion(r)
		}
	}
	c.regions = s.m.mem.Regions()
}
