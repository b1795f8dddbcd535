package difftest

import (
	"callops/emu"
)

// known are the differences that no change of ours could mend, each told as
// exactly as possible: match says that the reference is wrong in this very way,
// and that the other engine is right. docs/differential.md has the reasons.
var known = []struct {
	reason string
	match  func(c *testCase, r *rig, o *outcome) bool
}{
	{"ldsmax, ldsmin, ldumax, ldumin of less than 64 bits: the reference compares more bits than the access has", narrowMinMax},
}

// reason returns why a difference is tolerated; "" when it is not.
func reason(c *testCase, r *rig, o *outcome) string {
	for _, k := range known {
		if k.match(c, r, o) {
			return k.reason
		}
	}
	return ""
}

// isNarrowMinMax are those words; blocks leave them out.
func isNarrowMinMax(w uint32) bool { return w&0x3f20cc00 == 0x38204000 && w>>30 != 3 }

// narrowMinMax checks the second engine's answer against the manual's.
func narrowMinMax(c *testCase, r *rig, o *outcome) bool {
	w := c.words[0]
	if len(c.words) != 1 || !isNarrowMinMax(w) || o.after[1].Exit.Reason != emu.ExitGate {
		return false
	}
	addr, n := c.regs.SP, rn(w)
	if n != 31 {
		addr = c.regs.X[n]
	}
	size := uint64(1) << (w >> 30)
	operand := uint64(0)
	if m := rm(w); m != 31 {
		operand = c.regs.X[m]
	}
	old, now, ok := r.aroundCase(addr, size)
	if !ok || now != minMax(w>>12&3, size, old, operand) {
		return false
	}
	want := c.regs
	if rd(w) != 31 {
		want.X[rd(w)] = old
	}
	want.PC = emu.ReturnGate
	return o.after[1].Regs == want && o.after[0].Regs == want && o.after[0].Count == o.after[1].Count
}

// minMax is smax, smin, umax and umin, by opc<1:0>, as the manual has them.
func minMax(opc uint32, size, a, b uint64) uint64 {
	shift := 64 - 8*size
	a, b = a<<shift, b<<shift
	less := a < b
	if opc < 2 {
		less = int64(a) < int64(b)
	}
	if less == (opc&1 == 0) {
		a = b
	}
	return a >> shift
}
