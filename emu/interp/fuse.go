package interp

import "callops/emu"

// fuse looks for pairs of instructions in the run that begins at index first
// which the loop executes as one. The first of a pair is replaced by an
// operation that does both; the second stays what it was, for whoever enters
// there, and for the first half's being executed alone.
func (c *CPU) fuse(p *page, first int) {
	for i := first; i+1 < pageWords; i++ {
		a, b := &p.ops[i], &p.ops[i+1]
		if a.left <= 1 {
			return
		}
		fusePair(a, b)
	}
}

func fusePair(a, b *inst) {
	switch {
	case b.op == opBcond:
		fuseCompare(a, b)
	case a.op == opMovImm && b.op == opMovk64 && a.rd == b.rd:
		a.op, a.imm = opMovImm2, a.imm&^(0xffff<<b.ra)|b.imm
	case a.op == opMovImm && b.op == opMovk32 && a.rd == b.rd:
		a.op, a.imm = opMovImm2, uint64(uint32(a.imm)&^(0xffff<<b.ra))|b.imm
	case a.op == opMovImm && b.op == opAddImm64 && a.rd == b.rd && a.rd == b.rn:
		a.op, a.imm = opMovImm2, a.imm+b.imm // ADRP, ADD
	case a.op == opStp64 && follows(a, b):
		a.op = opStp64x2
		if d := next(b, 1); b.left > 1 && follows(b, d) && d.imm-a.imm < maxSpan {
			a.op = opStp64x3
		}
	case a.op == opLdp64 && follows(a, b) && a.rd != a.rn && a.rm != a.rn:
		a.op = opLdp64x2
		if d := next(b, 1); b.left > 1 && follows(b, d) && d.imm-a.imm < maxSpan && b.rd != b.rn && b.rm != b.rn {
			a.op = opLdp64x3
		}
	default:
		for _, p := range pairsOf[a.op] {
			if p.second == b.op {
				a.op = p.both
				return
			}
		}
	}
}

// maxSpan is how far apart the offsets of pairs may be that share one look at
// the TLB: their first and last byte are in one page or in two side by side.
const maxSpan = emu.PageSize / 2

// follows reports whether b is the same operation as a, further up from the same base.
func follows(a, b *inst) bool {
	return a.op == b.op && a.rn == b.rn && int64(b.imm) >= int64(a.imm) && b.imm-a.imm < maxSpan
}

// pairs are the operations that do two. None of the second ones is changed by
// being, in turn, the first of a pair: only its op is.
var pairs = map[[2]op]op{
	{opNop, opNop}:           opNopThenNop,
	{opNop, opMov64}:         opNopThenMov64,
	{opMov64, opMov64}:       opMov64ThenMov64,
	{opMov64, opBlFar}:       opMov64ThenBlFar,
	{opStpW64, opMov64}:      opStpW64ThenMov64,
	{opLdpW64, opBr}:         opLdpW64ThenBr,
	{opAddImm64, opAddImm64}: opAddImm64ThenAddImm64,
	{opLdr64, opBlr}:         opLdr64ThenBlr,
	{opAndImm, opLdr64}:      opAndImmThenLdr64,
	{opMov64, opLdr64}:       opMov64ThenLdr64,
	{opAdd64, opBr}:          opAdd64ThenBr,
	{opNop, opBr}:            opNopThenBr,
	{opNop, opStpW64}:        opNopThenStpW64,
	{opRor32, opEorRor32}:    opRor32ThenEorRor32,
	{opAdd32, opAdd32}:       opAdd32ThenAdd32,
	{opEorRor32, opEorRor32}: opEorRor32ThenEorRor32,
	{opMov64, opBl}:          opMov64ThenBl,
}

// pairsOf are the pairs by their first operation.
var pairsOf = func() (all [numOps][]struct{ second, both op }) {
	for p, both := range pairs {
		all[p[0]] = append(all[p[0]], struct{ second, both op }{p[1], both})
	}
	return all
}()

// compareBranch are the forms of a comparison by half of the condition, whose
// low bit inverts it where the forms of EQ and NE are not two.
var compareBranch = [numOps]struct{ eq, ne, lo, hi, lt, gt op }{
	opSubsImm64: {opSubsImmEq64, opSubsImmNe64, opSubsImmLo64, opSubsImmHi64, opSubsImmLt64, opSubsImmGt64},
	opSubsImm32: {opSubsImmEq32, opSubsImmNe32, opSubsImmLo32, opSubsImmHi32, opSubsImmLt32, opSubsImmGt32},
	opSubs64:    {opSubsEq64, opSubsNe64, opSubsLo64, opSubsHi64, opSubsLt64, opSubsGt64},
	opSubs32:    {opSubsEq32, opSubsNe32, opSubsLo32, opSubsHi32, opSubsLt32, opSubsGt32},
}

func fuseCompare(a, b *inst) {
	forms := &compareBranch[a.op]
	form := [8]op{1: forms.lo, 4: forms.hi, 5: forms.lt, 6: forms.gt}[b.ra>>1]
	switch b.ra {
	case 0:
		form = forms.eq
	case 1:
		form = forms.ne
	}
	if form == opDecode {
		return
	}
	a.op, a.ra, a.imm = form, b.ra, packed(b.imm+uint64(instSize), a.imm)
}
