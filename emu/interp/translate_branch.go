package interp

// Branches. A conditional one that leaves its page has no fast form.

// within returns the distance in insts from pc to the target as a number of
// bytes, and whether they are on one page.
func within(pc, target uint64) (uint64, bool) {
	return (target - pc) * (uint64(instSize) / 4), (pc^target)&^pageMask == 0
}

// fastTo makes op of a conditional branch.
func fastTo(in inst, w uint32, pc uint64, width int) inst {
	var ok bool
	if in.imm, ok = within(pc, pc+signedField(w, 5, width)<<2); !ok {
		return inst{}
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
	return fastTo(inst{op: opBcond, ra: uint8(w & 15)}, w, pc, 19)
}

func fastCbz(w uint32, pc uint64) inst {
	in := inst{rn: uint8(fieldRd(w))}
	if w>>24&1 == 0 {
		in.op = sized(w, opCbz64, opCbz32)
	} else {
		in.op = sized(w, opCbnz64, opCbnz32)
	}
	return fastTo(in, w, pc, 19)
}

func fastTbz(w uint32, pc uint64) inst {
	in := inst{op: opTbz, rn: uint8(fieldRd(w)), ra: uint8(w>>31<<5 | w>>19&31)}
	if w>>24&1 == 1 {
		in.op = opTbnz
	}
	return fastTo(in, w, pc, 14)
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
