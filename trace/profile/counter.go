package profile

import "callops/emu"

// Counter makes a profile from instructions as they are executed.
type Counter struct {
	names Names
	cpus  []*stack
}

// NewCounter returns the counter of so many CPUs.
func NewCounter(cpus int, names Names) *Counter {
	c := &Counter{names: names}
	for range cpus {
		c.cpus = append(c.cpus, newStack(names))
	}
	return c
}

// Step counts an instruction that a CPU has executed: its address, its word, and the address of
// the one that comes next. Each CPU may have a goroutine of its own.
func (c *Counter) Step(cpu int, pc uint64, word uint32, next uint64) {
	c.cpus[cpu].step(pc, word, next)
}

// Profile is what all CPUs have executed. None may run meanwhile.
func (c *Counter) Profile() *Profile {
	p := &Profile{names: c.names}
	for _, s := range c.cpus {
		p.root.merge(s.root)
	}
	return p
}

// merge adds what another tree has counted.
func (n *node) merge(other *node) {
	for i, count := range other.counts {
		if count != 0 {
			n.count(n.fn+uint64(i)*4, count)
		}
	}
	for key, c := range other.children {
		n.child(key.call, key.fn).merge(c)
	}
}

// frame is a call that has not returned.
type frame struct {
	node *node
	ret  uint64 // where it returns to
}

// stack follows the calls of one CPU.
type stack struct {
	names      Names
	root       *node
	frames     []frame
	next       uint64 // address of the next instruction, unless Go code comes between
	start, end uint64 // of the function that is executed
}

func newStack(names Names) *stack { return &stack{names: names, root: &node{}} }

// maxFrames bounds a stack; calls below count for the function that was called last.
const maxFrames = 1024

func (s *stack) step(pc uint64, word uint32, next uint64) {
	if pc != s.next && !s.returned(pc) || len(s.frames) == 0 {
		s.push(0, pc, emu.ReturnGate) // by Go code
	}
	if pc < s.start || pc >= s.end {
		s.enter(pc)
	}
	s.frames[len(s.frames)-1].node.count(pc, 1)
	s.next = next
	if isCall(word) {
		s.push(pc, next, pc+4)
	} else if isIndirect(word) {
		s.returned(next)
	}
}

// push enters a function.
func (s *stack) push(call, fn, ret uint64) {
	if len(s.frames) >= maxFrames {
		return
	}
	parent := s.root
	if n := len(s.frames); n > 0 {
		parent = s.frames[n-1].node
	}
	s.locate(fn)
	s.frames = append(s.frames, frame{parent.child(call, s.start), ret})
}

// enter goes on in another function without a call: a tail call, or one that falls through.
func (s *stack) enter(pc uint64) {
	s.locate(pc)
	top := &s.frames[len(s.frames)-1]
	if top.node.fn != s.start {
		top.node = top.node.parent.child(top.node.call, s.start)
	}
}

// locate finds the function at an address.
func (s *stack) locate(addr uint64) {
	_, s.start, s.end = s.names(addr)
	if s.end == 0 {
		s.start, s.end = addr, addr+4
	}
}

// returned leaves the frames that return to addr, and reports whether there was one.
func (s *stack) returned(addr uint64) bool {
	for i := len(s.frames) - 1; i >= 0; i-- {
		if s.frames[i].ret == addr {
			s.frames = s.frames[:i]
			s.locate(addr)
			return true
		}
	}
	return false
}

// isCall reports whether a word is BL or BLR.
func isCall(word uint32) bool {
	return word&0xfc00_0000 == 0x9400_0000 || word&0xffff_fc1f == 0xd63f_0000
}

// isIndirect reports whether a word is RET or BR.
func isIndirect(word uint32) bool { return word&0xff9f_fc1f == 0xd61f_0000 }
