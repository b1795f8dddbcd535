package interp

import "callops/emu"

// shape is what joining instructions to super-instructions needs to know of an op.
type shape struct {
	joins   bool
	regs    uses // that it names
	writes  uses
	flags   flagKind // that it makes
	access  accessKind
	size    uint8 // of the access
	indexed bool  // imm is two offsets
}

// uses are operands.
type uses uint8

const (
	useD uses = 1 << iota
	useN
	useM
	useA
)

type accessKind uint8

const (
	noAccess accessKind = iota
	loadAccess
	storeAccess
)

// superNode is a part of super-instructions, behind the ones that lead to it.
type superNode struct {
	part       part
	kids, next uint16 // the first that may follow, and the next that may be here instead; 0: none
	op         op     // the super-instruction that ends here
}

// part is an instruction as super-instructions have it: its op, the form of
// the condition, how its access joins the ones before it, and registers by number, in the
// order in which the super-instruction first names them.
type part uint64

const (
	regSink = 29 + iota
	regZR
	regSP

	maxJoined = 24 // registers

	joinAbove = 1 << 20 // of the accesses of its group it goes the furthest up
	joinBelow = 2 << 20
	joinIn    = 3 << 20
)

// joiner makes elements of the instructions of a run, one after the other.
type joiner struct {
	regs   [maxJoined]uint8 // slots
	n      int
	flags  flagKind
	groups [3]accessGroup // by accessKind
}

// accessGroup are accesses whose addresses differ by constants.
type accessGroup struct {
	open         bool
	reg, version uint8
	first, low   int64
	end          int64 // of the highest
}

// number is the register's.
func (j *joiner) number(slot uint8) uint8 {
	switch slot {
	case slotZR:
		return regZR
	case slotSink:
		return regSink
	case slotSP:
		return regSP
	}
	for i, s := range j.regs[:j.n] {
		if s == slot {
			return uint8(i)
		}
	}
	if j.n == maxJoined {
		return maxJoined
	}
	j.regs[j.n] = slot
	j.n++
	return uint8(j.n - 1)
}

// add is the element of the next instruction, whose op is o, whatever in has.
func (j *joiner) add(in *inst, o op) (part, bool) {
	s := &shapes[o]
	if !s.joins {
		return 0, false
	}
	e := part(o) << 32
	switch {
	case o == opBcond || o == opBcondFar || o == opCsel:
		if j.flags == flagsValue || in.ra >= 14 || in.ra&^1 == 6 || j.flags == flagsAdd && condsOfSums>>in.ra&1 == 0 {
			return 0, false
		}
		variant := uint32(in.ra)
		if o == opCsel {
			variant |= uint32(in.imm&3) << 4
			if in.imm&32 == 0 {
				variant |= 64
			}
		}
		e |= part(variant) << 24
	case s.indexed && int64(int32(in.imm)) == 0:
		e |= 1 << 24
	}
	var regs [4]uint8
	slots := [4]uint8{in.rd, in.rn, in.rm, in.ra}
	for i := range slots {
		if s.regs>>i&1 == 1 {
			regs[i] = j.number(slots[i])
			if regs[i] == maxJoined {
				return 0, false
			}
			e |= part(regs[i]) << (5 * i)
		}
	}
	if s.access != noAccess {
		e |= j.access(in, s, regs[1])
	}
	for i, r := range regs {
		if s.writes>>i&1 == 1 {
			j.wrote(r)
		}
	}
	if s.flags != flagsValue {
		j.flags = s.flags
	}
	return e, true
}

// condsOfSums are the conditions that supers know of a sum: EQ, NE, MI and PL.
const condsOfSums = 1<<0 | 1<<1 | 1<<4 | 1<<5

func (j *joiner) wrote(reg uint8) {
	for k := range j.groups {
		if g := &j.groups[k]; g.open && g.reg == reg {
			if g.version == 0 {
				g.open = false
			}
			g.version = 0
		}
	}
}

// maxSpan is how far apart accesses may be that share one look at the TLB: their
// first and last byte are in one page or in two side by side.
const maxSpan = emu.PageSize / 2

// access joins an access to the ones before it of its kind.
func (j *joiner) access(in *inst, s *shape, base uint8) part {
	off := int64(in.imm)
	pre := false
	if s.indexed {
		off = int64(int32(in.imm))
		pre = off != 0
	}
	g := &j.groups[s.access]
	end := off + int64(s.size)
	if g.open && g.reg == base {
		switch {
		case end > g.end && end-g.low <= maxSpan && off >= g.low:
			g.end = end
			return joinAbove
		case off < g.low && g.end-off <= maxSpan && end <= g.end:
			g.low = off
			return joinBelow
		case off >= g.low && end <= g.end:
			return joinIn
		}
	}
	*g = accessGroup{open: true, reg: base, first: off, low: off, end: end}
	if pre { // what follows is relative to what this leaves in the base
		g.first, g.low, g.end = 0, 0, int64(s.size)
		g.version = 1
	}
	return 0
}

// firstOp is what an inst does alone.
func firstOp(o op) op {
	if o >= opSuper {
		return superFirst[o-opSuper]
	}
	return o
}

// join looks for super-instructions in the run that begins at index first, of
// which the insts up to last are new: the least number of operations
// from each to the end. What an inst holds is not changed by that but for
// its op, so whoever enters in the middle executes what is there.
func (c *CPU) join(p *page, first, last int) {
	var costs [pageWords + 1]uint16
	for i := last; i >= first; i-- {
		costs[i] = costs[i+1] + 1
		in := &p.ops[i]
		node := superRoots[in.op]
		if node == 0 {
			continue
		}
		var j joiner
		for k := i; node != 0; k++ {
			at := &p.ops[k]
			e, ok := j.add(at, firstOp(at.op))
			if !ok {
				break
			}
			for node != 0 && superNodes[node].part != e {
				node = superNodes[node].next
			}
			if node == 0 {
				break
			}
			n := &superNodes[node]
			if n.op != 0 && costs[k+1] < costs[i] {
				costs[i], in.op = costs[k+1]+1, n.op
			}
			if at.left <= 1 {
				break
			}
			node = n.kids
		}
	}
}
