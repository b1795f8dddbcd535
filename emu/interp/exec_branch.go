package interp

// Branches and exceptions. What changes the course sets pc.

func (c *CPU) branch(taken bool, w uint32, width int) stop {
	if !taken {
		return stopNone
	}
	c.pc += signedField(w, 5, width) << 2
	return stopBranch
}

func execB(c *CPU, w uint32) stop {
	if is64(w) { // BL
		c.x[30] = c.pc + 4
	}
	c.pc += signedField(w, 0, 26) << 2
	return stopBranch
}

func execBCond(c *CPU, w uint32) stop { return c.branch(c.cond(w&15), w, 19) }

func execCbz(c *CPU, w uint32) stop {
	v := c.reg(fieldRd(w))
	if !is64(w) {
		v = uint64(uint32(v))
	}
	return c.branch((v == 0) == (w>>24&1 == 0), w, 19)
}

func execTbz(c *CPU, w uint32) stop {
	n := w>>31<<5 | w>>19&31
	return c.branch(c.reg(fieldRd(w))>>n&1 == uint64(w>>24&1), w, 14)
}

// execBranchReg is BR, BLR, RET and those that authenticate, which with pointer
// authentication off do the same.
func execBranchReg(c *CPU, w uint32) stop {
	opc, op2, op3, op4 := w>>21&15, w>>16&31, w>>10&63, w&31
	if op2 != 31 {
		return stopUndefined
	}
	if opc == 4 || opc == 5 {
		return refused(w) // ERET: there are no exceptions to return from
	}
	var ok bool
	switch {
	case op3 == 0:
		ok = opc <= 2 && op4 == 0
	case op3 == 2 || op3 == 3: // BRAAZ, BLRAAZ, RETAA
		ok = opc <= 2 && op4 == 31 && (opc != 2 || fieldRn(w) == 31)
		// The word of RETAA has 31 for x30.
		if ok && opc == 2 {
			c.pc = c.x[30]
			return stopBranch
		}
		// BRAA and BLRAA take a modifier.
		if opc == 8 || opc == 9 {
			ok = true
		}
	}
	if !ok {
		return stopUndefined
	}
	target := c.reg(fieldRn(w))
	if opc&7 == 1 {
		c.x[30] = c.pc + 4
	}
	c.pc = target
	return stopBranch
}

// execException is SVC, HVC, SMC, BRK and HLT.
func execException(_ *CPU, w uint32) stop {
	switch w & 0xffe0001f {
	case 0xd4000001, 0xd4000002, 0xd4000003, 0xd4200000, 0xd4400000:
		return stopException
	}
	return stopUndefined // DCPS1 and its like are too, unless halted
}
