package interp

// Branches.

// within returns the distance in insts from pc to the target as a number of
// bytes, and whether they are on one page.
func within(pc, target uint64) (uint64, bool) {
	return (target - pc) * (uint64(instSize) / 4), (pc^target)&^pageMask == 0
}

// fastTo makes near or, where it leaves the page, far of a conditional branch.
func fastTo(in inst, w uint32, pc uint64, width int, near, far op) inst {
	target := pc + signedField(w, 5, width)<<2
	dist, ok := within(pc, target)
	if in.op, in.imm = near, dist; !ok {
		in.op, in.imm = far, target
	}
	return in
}

func fastB(w uint32, pc uint64) inst {
	target := pc + signedField(w, 0, 26)<<2
	if dist, ok := within(pc, target); ok {
		return inst{op: sized(w, opBl, opB), imm: dist}
	}
	return inst{op: sized(w, opBlFar, opBFar), imm: target}
}

func fastBCond(w uint32, pc uint64) inst {
	return fastTo(inst{ra: uint8(w & 15)}, w, pc, 19, opBcond, opBcondFar)
}

func fastCbz(w uint32, pc uint64) inst {
	in := inst{rn: uint8(fieldRd(w))}
	if w>>24&1 == 0 {
		return fastTo(in, w, pc, 19, sized(w, opCbz64, opCbz32), sized(w, opCbz64Far, opCbz32Far))
	}
	return fastTo(in, w, pc, 19, sized(w, opCbnz64, opCbnz32), sized(w, opCbnz64Far, opCbnz32Far))
}

func fastTbz(w uint32, pc uint64) inst {
	in := inst{rn: uint8(fieldRd(w)), ra: uint8(w>>31<<5 | w>>19&31)}
	if w>>24&1 == 0 {
		return fastTo(in, w, pc, 14, opTbz, opTbzFar)
	}
	return fastTo(in, w, pc, 14, opTbnz, opTbnzFar)
}

func fastBranchReg(w uint32, _ uint64) inst {
	switch w & 0xfffffc1f {
	case 0xd61f0000, 0xd65f0000: // BR, RET
		return inst{op: opBr, rn: slotN(w)}
	case 0xd63f0000:
		return inst{op: opBlr, rn: slotN(w)}
	}
	return inst{}
}
