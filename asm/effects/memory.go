package effects

import "callops/asm"

// none names no register.
func (o *Operands) none() {
	o.Base, o.Index, o.Status = NoReg, NoReg, NoReg
	o.Data, o.Source = [2]uint8{NoReg, NoReg}, [2]uint8{NoReg, NoReg}
}

// address sets the base, and a register offset if there is one.
func (o *Operands) address(base, index uint8) {
	o.Base, o.Index = base, index
	o.Addr = setSP(base)
	if index != NoReg {
		o.Addr |= SetOf(index)
	}
	o.Reads |= o.Addr
}

// writeBack notes that the base is written.
func (o *Operands) writeBack(post bool) {
	o.WriteBack, o.PostIndex = true, post
	o.Writes |= setSP(o.Base)
}

// transfers sets what moves between memory and registers.
func (o *Operands) transfers(access Access, size uint8, data ...uint8) {
	o.Access, o.Size, o.Count = access, size, uint8(copy(o.Data[:], data))
	for _, r := range data {
		if access == Stores {
			o.Reads |= SetOf(r)
		} else {
			o.Writes |= SetOf(r)
		}
	}
}

// replaces sets where a read and write takes what it writes from.
func (o *Operands) replaces(source ...uint8) {
	for i, r := range source {
		o.Source[i] = r
		o.Reads |= SetOf(r)
	}
}

// sizedTransfer is what size and opc of a load or store say; where it is
// allowed there, one of the combinations is a prefetch.
func (o *Operands) sizedTransfer(w insn, prefetch bool) bool {
	size, opc := w>>30, w>>22&3
	if size == 3 && opc == 2 {
		return prefetch
	}
	if opc >= 2 && size+opc > 4 { // what is sign-extended is shorter than its register
		return false
	}
	access := Loads
	if opc == 0 {
		access = Stores
	}
	o.transfers(access, 1<<size, w.rd())
	o.Signed, o.Narrow = opc >= 2, opc == 3
	return true
}

// Loads and stores (Arm ARM C4.1, "Loads and Stores").

func (o *Operands) scaled(w insn) bool {
	o.address(w.rn(), NoReg)
	o.Offset = int64(w>>10&0xfff) << (w >> 30)
	return o.sizedTransfer(w, true)
}

func (o *Operands) nineBits(w insn, prefetch bool) bool {
	o.address(w.rn(), NoReg)
	o.Offset = w.signed(12, 9)
	return o.sizedTransfer(w, prefetch)
}

func (o *Operands) unscaled(w insn) bool { return o.nineBits(w, true) }

func (o *Operands) unprivileged(w insn) bool {
	o.Unprivileged = true
	return o.nineBits(w, false)
}

func (o *Operands) postIndexed(w insn) bool {
	ok := o.nineBits(w, false)
	o.writeBack(true)
	return ok
}

func (o *Operands) preIndexed(w insn) bool {
	ok := o.nineBits(w, false)
	o.writeBack(false)
	return ok
}

func (o *Operands) orderedUnscaled(w insn) bool {
	ok := o.nineBits(w, false)
	o.Release = o.Access == Stores
	o.Acquire, o.AcquirePC = !o.Release, !o.Release
	return ok
}

func (o *Operands) registerOffset(w insn) bool {
	o.address(w.rn(), w.rm())
	o.Extend = asm.Ext(w >> 13 & 7)
	if w.bit(12) {
		o.Shift = uint8(w >> 30)
	}
	return w.bit(14) && o.sizedTransfer(w, true)
}

func (o *Operands) literal(w insn) bool {
	o.Offset = w.signed(5, 19) * 4
	o.Literal = true
	switch w >> 30 {
	case 0:
		o.transfers(Loads, 4, w.rd())
	case 1:
		o.transfers(Loads, 8, w.rd())
	case 2:
		o.transfers(Loads, 4, w.rd())
		o.Signed = true
	}
	return true // 3 is PRFM
}

func (o *Operands) pair(w insn) bool {
	opc, mode, access := w>>30, w>>23&3, Stores
	if w.bit(22) {
		access = Loads
	}
	if opc == 3 || opc == 1 && (access == Stores || mode == 0) {
		return false
	}
	size := uint8(4)
	if opc == 2 {
		size = 8
	}
	o.address(w.rn(), NoReg)
	o.Offset = w.signed(15, 7) * int64(size)
	o.transfers(access, size, w.rd(), w.ra())
	o.Signed = opc == 1
	if mode == 1 || mode == 3 {
		o.writeBack(mode == 1)
	}
	return true
}

// exclusive is "Load/store exclusive", "Load/store ordered", "Compare and swap"
// and "Compare and swap pair", told apart by o2 (bit 23) and o1 (bit 21). LDLAR
// and STLLR, ordered within their region only, are taken for LDAR and STLR.
func (o *Operands) exclusive(w insn) bool {
	size := uint8(1) << (w >> 30)
	load, ordered := w.bit(22), w.bit(15)
	o.address(w.rn(), NoReg)
	switch {
	case w.bit(23) && w.bit(21), w.bit(21) && !w.is64():
		// Acquire is L here, also when nothing is loaded to a register.
		o.Acquire, o.Release = load, ordered
		if w.ra() != 31 {
			return false
		}
		if w.bit(23) {
			o.compareAndSwap(size, 1, w.rm(), w.rd())
			return true
		}
		o.compareAndSwap(4<<(w>>30&1), 2, w.rm(), w.rd())
		return (w.rm()|w.rd())&1 == 0
	case w.bit(23) && load:
		o.transfers(Loads, size, w.rd())
		o.Acquire = true
		return true
	case w.bit(23):
		o.transfers(Stores, size, w.rd())
		o.Release = true
		return true
	}
	data := []uint8{w.rd(), w.ra()}
	if !w.bit(21) {
		data = data[:1]
	}
	o.Exclusive = true
	if load {
		o.transfers(Loads, size, data...)
		o.Acquire = ordered
		return true
	}
	o.transfers(Stores, size, data...)
	o.Release = ordered
	o.Status = w.rm()
	o.Writes |= SetOf(o.Status)
	return true
}

// compareAndSwap of n elements, in as many registers from rs and rt on.
func (o *Operands) compareAndSwap(size, n, rs, rt uint8) {
	for i := range n {
		o.Reads |= SetOf(rs + i)
	}
	o.transfers(LoadsAndStores, size, []uint8{rs, rs + 1}[:n]...)
	o.replaces([]uint8{rt, rt + 1}[:n]...)
}

// atomic is "Atomic memory operations": LDADD, LDCLR, LDEOR, LDSET, LDSMAX,
// LDSMIN, LDUMAX, LDUMIN, SWP and LDAPR.
func (o *Operands) atomic(w insn) bool {
	size, acquire, release := uint8(1)<<(w>>30), w.bit(23), w.bit(22)
	o.address(w.rn(), NoReg)
	op := w >> 12 & 15
	if op == 12 && acquire && !release && w.rm() == 31 {
		o.transfers(Loads, size, w.rd())
		o.Acquire, o.AcquirePC = true, true
		return true
	}
	o.transfers(LoadsAndStores, size, w.rd())
	o.replaces(w.rm())
	// What loads to the zero register has no acquire semantics (C6.2, LDADD).
	o.Acquire, o.Release = acquire && w.rd() != 31, release
	return op <= 8
}
