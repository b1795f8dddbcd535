package interp

import "callops/emu"

// Loads and stores of one and two registers.

// element is what one register's transfer is, from size and opc.
type element struct {
	size   uint64
	load   bool
	signed bool
	to32   bool // a signed load that extends to 32 bits only
}

// transfer decodes size and opc; PRFM is for the caller to tell apart.
func transfer(w uint32) (element, bool) {
	size, opc := w>>30, w>>22&3
	e := element{size: 1 << size, load: opc != 0, signed: opc >= 2, to32: opc == 3}
	return e, opc < 2 || size < 2 || size == 2 && opc == 2
}

func isPrefetch(w uint32) bool { return w>>30 == 3 && w>>22&3 == 2 }

// move does the transfer between register and memory.
func (c *CPU) move(e element, rt uint32, addr uint64) stop {
	if !e.load {
		if !c.store(addr, e.size, c.reg(rt)) {
			return stopFault
		}
		return stopNone
	}
	v, ok := c.load(addr, e.size)
	if !ok {
		return stopFault
	}
	c.setReg(rt, e.extend(v))
	return stopNone
}

func (e *element) extend(v uint64) uint64 {
	if !e.signed {
		return v
	}
	shift := 64 - 8*e.size
	v = uint64(int64(v<<shift) >> shift)
	if e.to32 {
		v = uint64(uint32(v))
	}
	return v
}

func execScaled(c *CPU, w uint32) stop {
	if isPrefetch(w) {
		return stopNone
	}
	e, ok := transfer(w)
	if !ok {
		return stopUndefined
	}
	return c.move(e, fieldRd(w), c.regSP(fieldRn(w))+uint64(w>>10&0xfff)*e.size)
}

func execUnscaled(c *CPU, w uint32) stop {
	if isPrefetch(w) {
		return stopNone
	}
	e, ok := transfer(w)
	if !ok {
		return stopUndefined
	}
	return c.move(e, fieldRd(w), c.regSP(fieldRn(w))+signedField(w, 12, 9))
}

// execUnprivileged is LDTR and STTR, which access memory as EL0 would unless
// PSTATE.UAO says otherwise: only regions of EL0 (emu.User).
func execUnprivileged(c *CPU, w uint32) stop {
	e, ok := transfer(w)
	if !ok {
		return stopUndefined
	}
	addr := c.regSP(fieldRn(w)) + signedField(w, 12, 9)
	if c.sys.uao || c.engine.mem.IsUser(addr, e.size) {
		return c.move(e, fieldRd(w), addr)
	}
	access := emu.Store
	if e.load {
		access = emu.Load
	}
	c.refuse(addr, e.size, access, c.refusal(addr))
	return stopFault
}

// execIndexed is the pre- and post-indexed forms. Where the register loaded is
// also the base, which is CONSTRAINED UNPREDICTABLE, the base wins.
func execIndexed(c *CPU, w uint32) stop {
	e, ok := transfer(w)
	if !ok {
		return stopUndefined
	}
	base := c.regSP(fieldRn(w))
	moved := base + signedField(w, 12, 9)
	addr := moved
	if w>>11&1 == 0 { // post
		addr = base
	}
	s := c.move(e, fieldRd(w), addr)
	if s == stopNone {
		c.setRegSP(fieldRn(w), moved)
	}
	return s
}

func execRegOffset(c *CPU, w uint32) stop {
	option := w >> 13 & 7
	if option&2 == 0 {
		return stopUndefined
	}
	if isPrefetch(w) {
		return stopNone
	}
	e, ok := transfer(w)
	if !ok {
		return stopUndefined
	}
	shift := uint32(0)
	if w>>12&1 == 1 {
		shift = w >> 30
	}
	return c.move(e, fieldRd(w), c.regSP(fieldRn(w))+extendReg(c.reg(fieldRm(w)), option, shift))
}

func execLiteral(c *CPU, w uint32) stop {
	addr := c.pc + signedField(w, 5, 19)<<2
	switch w >> 30 {
	case 0:
		return c.move(element{size: 4, load: true}, fieldRd(w), addr)
	case 1:
		return c.move(element{size: 8, load: true}, fieldRd(w), addr)
	case 2:
		return c.move(element{size: 4, load: true, signed: true}, fieldRd(w), addr)
	}
	return stopNone // PRFM
}

// execPair is LDP, STP, LDPSW, LDNP and STNP. As in QEMU, the first store stays
// done when the second faults, and of a register loaded twice the first value
// stays.
func execPair(c *CPU, w uint32) stop {
	opc, mode, load := w>>30, w>>23&3, w>>22&1 == 1
	if opc == 3 || opc == 1 && (!load || mode == 0) {
		return stopUndefined
	}
	e := element{size: 4, load: load, signed: opc == 1}
	if opc == 2 {
		e.size = 8
	}
	base := c.regSP(fieldRn(w))
	moved := base + signedField(w, 15, 7)*e.size
	addr := moved
	if mode == 1 { // post
		addr = base
	}
	rt, rt2 := fieldRd(w), fieldRa(w)
	if load {
		a, ok := c.load(addr, e.size)
		if !ok {
			return stopFault
		}
		b, ok := c.load(addr+e.size, e.size)
		if !ok {
			return stopFault
		}
		c.setReg(rt2, e.extend(b))
		c.setReg(rt, e.extend(a))
	} else if !c.store(addr, e.size, c.reg(rt)) || !c.store(addr+e.size, e.size, c.reg(rt2)) {
		return stopFault
	}
	if mode&1 == 1 {
		c.setRegSP(fieldRn(w), moved)
	}
	return stopNone
}

// execLoadAuth is LDRAA and LDRAB, with pointer authentication off.
func execLoadAuth(c *CPU, w uint32) stop {
	if w>>30 != 3 {
		return stopUndefined
	}
	addr := c.regSP(fieldRn(w)) + (signedField(w, 22, 1)<<9|uint64(w>>12&0x1ff))<<3
	s := c.move(element{size: 8, load: true}, fieldRd(w), addr)
	if s == stopNone && w>>11&1 == 1 {
		c.setRegSP(fieldRn(w), addr)
	}
	return s
}
