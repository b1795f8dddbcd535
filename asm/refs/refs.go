// Package refs finds the constant addresses that a function's code loads from, stores to
// and compares with. So a variable that has no symbol is found by the functions that use
// it.
//
// It follows the constants that ADR, ADRP, ADD, MOV and MOVZ make from one register to the
// next, along all paths of the function. A register is constant where it is so on
// every path to an instruction, with the same value. Left out: constants in memory, as
// those that are spilled, what a branch to a register leads to, and the paths that static
// keys open.
//
// Start at [Of]. Nothing here has state.
package refs

import (
	"callops/asm"
	"callops/asm/effects"
)

// Kind is what an instruction does with an address.
type Kind uint8

// The kinds.
const (
	Load    Kind = iota
	Store        // also a load and a store that are one
	Compare      // of a register with the address
)

// Ref is one use of a constant address. An instruction that accesses two elements has a Ref
// for each.
type Ref struct {
	PC    uint64
	Kind  Kind
	Addr  uint64
	Size  int    // bytes accessed
	Value uint64 // that a Store stores, if Known
	Known bool
}

// insnSize is the size of an instruction, in bytes.
const insnSize = 4

// MostWords bounds the code that is looked at, in instructions: the rest of a longer
// function is left out.
const MostWords = 1 << 14

// Of returns the uses in the code of a function, [start, end), in the order of their
// instructions. word reads an instruction; the code ends where it can't.
func Of(word func(addr uint64) (uint32, bool), start, end uint64) []Ref {
	f := function{start: start}
	for pc := start; pc < end && len(f.words) < MostWords; pc += insnSize {
		w, ok := word(pc)
		if !ok {
			break
		}
		f.words = append(f.words, w)
	}
	return f.refs()
}

// constants are the registers whose value is known. Bit n of known is Xn's.
type constants struct {
	known uint32
	x     [31]uint64
}

func (c *constants) get(n uint8) (uint64, bool) {
	if n == 31 { // the zero register
		return 0, true
	}
	if n > 31 || c.known>>n&1 == 0 {
		return 0, false
	}
	return c.x[n], true
}

func (c *constants) set(n uint8, v uint64) {
	if n < 31 {
		c.x[n] = v
		c.known |= 1 << n
	}
}

// meet forgets what another path has otherwise, and reports whether that was anything.
func (c *constants) meet(other *constants) (changed bool) {
	known := c.known
	for n := range c.x {
		if other.known>>n&1 == 0 || c.x[n] != other.x[n] {
			c.known &^= 1 << n
		}
	}
	return c.known != known
}

// function is code, and what is known before each of its instructions.
type function struct {
	start  uint64
	words  []uint32
	before []*constants // nil: no path found yet
	work   []int
}

func (f *function) refs() (found []Ref) {
	f.before = make([]*constants, len(f.words))
	for i := range f.words {
		// What no path leads to is that of a branch to a register.
		f.reach(i, &constants{}, f.before[i] == nil)
		f.settle()
	}
	for i := range f.words {
		found = append(found, f.uses(i)...)
	}
	return found
}

// reach has a path come to an instruction, if wanted.
func (f *function) reach(i int, c *constants, wanted bool) {
	switch {
	case !wanted || i < 0 || i >= len(f.words):
	case f.before[i] == nil:
		state := *c
		f.before[i] = &state
		f.work = append(f.work, i)
	case f.before[i].meet(c):
		f.work = append(f.work, i)
	}
}

// settle follows all paths, until nothing changes.
func (f *function) settle() {
	for len(f.work) > 0 {
		i := f.work[len(f.work)-1]
		f.work = f.work[:len(f.work)-1]
		after := *f.before[i]
		f.step(i, &after)
		next, target, jumps := f.successors(i)
		f.reach(i+1, &after, next)
		f.reach(target, &after, jumps)
	}
}

// successors reports whether the next instruction follows, and which other one does.
func (f *function) successors(i int) (next bool, target int, jumps bool) {
	pc, w := f.pc(i), f.words[i]
	if to, ok := asm.DecodeBranchCond(pc, w); ok {
		return true, f.index(to), true
	}
	if to, link, ok := asm.DecodeBranch(pc, w); ok && !link {
		return false, f.index(to), true
	}
	o, _ := effects.Decode(w)
	return !o.Branch || o.Call, 0, false
}

func (f *function) pc(i int) uint64 { return f.start + uint64(i)*insnSize }

// index is the place of an instruction, -1 outside of the function.
func (f *function) index(pc uint64) int {
	if pc < f.start || pc >= f.pc(len(f.words)) {
		return -1
	}
	return int((pc - f.start) / insnSize)
}

// callerSaved are the registers that a call may change (AAPCS64).
const callerSaved = 1<<19 - 1 | 1<<30

// step does what an instruction does to the registers.
func (f *function) step(i int, c *constants) {
	w := f.words[i]
	if rd, v, ok := constant(f.pc(i), w, c); ok {
		c.set(rd, v)
		return
	}
	o, ok := effects.Decode(w)
	switch {
	case !ok: // floating point, among others
		c.known = 0
	case o.Call:
		c.known &^= callerSaved
	default:
		c.known &^= uint32(o.Writes)
	}
}

// constant is what an instruction makes of constants alone.
func constant(pc uint64, w uint32, c *constants) (rd uint8, v uint64, ok bool) {
	if rd, addr, _, ok := asm.DecodeAdr(pc, w); ok {
		return uint8(rd.Num()), addr, true
	}
	if rd, rn, imm, ok := asm.DecodeAddImm(w); ok && rd != asm.SP && rn != asm.SP {
		v, known := c.get(uint8(rn.Num()))
		return uint8(rd.Num()), v + imm, known
	}
	if rd, v, ok := asm.DecodeMovz(w); ok {
		return uint8(rd.Num()), v, true
	}
	if rd, rm, ok := asm.DecodeMov(w); ok {
		v, known := c.get(uint8(rm.Num()))
		return uint8(rd.Num()), v, known
	}
	return 0, 0, false
}

// uses returns the constant addresses that an instruction uses.
func (f *function) uses(i int) []Ref {
	c, w := f.before[i], f.words[i]
	o, ok := effects.Decode(w)
	if !ok {
		return nil
	}
	if o.Access == effects.NoAccess {
		return f.compares(i)
	}
	known := true
	addr := o.Address(f.pc(i), func(n uint8) uint64 {
		v, ok := uint64(0), false
		if n < 31 { // of a base that is SP
			v, ok = c.get(n)
		}
		known = known && ok
		return v
	})
	if !known || o.Base == effects.NoReg && !o.Literal {
		return nil
	}
	var found []Ref
	for n := range min(o.Count, 2) {
		r := Ref{PC: f.pc(i), Addr: addr + uint64(n)*uint64(o.Size), Size: int(o.Size)}
		if o.Access != effects.Loads {
			r.Kind = Store
		}
		if o.Access == effects.Stores && !o.Exclusive {
			r.Value, r.Known = c.get(o.Data[n])
		}
		found = append(found, r)
	}
	return found
}

// compares is CMP of registers.
func (f *function) compares(i int) []Ref {
	rn, rm, ok := asm.DecodeCmp(f.words[i])
	if !ok {
		return nil
	}
	var found []Ref
	for _, r := range []asm.Reg{rn, rm} {
		if v, known := f.before[i].get(uint8(r.Num())); known && r.Num() != 31 {
			found = append(found, Ref{PC: f.pc(i), Kind: Compare, Addr: v})
		}
	}
	return found
}
