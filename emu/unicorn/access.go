//go:build cgo

package unicorn

import "callops/emu"

// access is what a load or store instruction does to memory: n elements of
// size bytes from addr up.
type access struct {
	addr    uint64
	size    uint64
	n       uint64
	kind    emu.Access
	aligned bool // the library wants addr aligned
	user    bool // made as EL0, which has no access to anything here
}

// dataAccess works out the access of the instruction word from the registers
// before it. It is needed only after a data abort: the library says where the
// CPU stood, but not which address was refused.
func dataAccess(word uint32, r *emu.Regs) (access, bool) {
	for i := range accessForms {
		if f := &accessForms[i]; word&f.mask == f.value {
			return f.access(word, r), true
		}
	}
	return access{}, false
}

// accessForms are the encodings of the Arm ARM's section "Loads and Stores" but
// for SIMD registers, and of DC those that look at permissions. An earlier row
// wins.
var accessForms = []struct {
	mask, value uint32
	access      func(word uint32, r *emu.Regs) access
}{
	{0x3f000000, 0x08000000, exclusive},       // LDXR, STXR, LDAR, STLR, pairs, CAS, CASP
	{0x3f000000, 0x18000000, literal},         // LDR (literal)
	{0x3e000000, 0x28000000, pair},            // LDP, STP and the like
	{0x3f200c00, 0x38200000, readModifyWrite}, // LDADD, SWP, LDAPR, ...
	{0x3f200c00, 0x38200800, indexed},         // LDR, STR (register)
	{0x3f200400, 0x38200400, authenticated},   // LDRAA, LDRAB
	{0x3f200000, 0x38000000, unscaled},        // LDUR, LDTR, LDR pre- and post-indexed
	{0x3f000000, 0x39000000, scaled},          // LDR, STR (unsigned offset)
	{0x3f200c00, 0x19000000, ordered},         // LDAPUR, STLUR
	{0xffffffe0, 0xd50b7420, zeroBlock},       // DC ZVA
	{0xfffffee0, 0xd50b7c20, persist},         // DC CVAP, DC CVADP
}

// xsp is register n with 31 meaning SP, as in a base; xzr is it with 31
// meaning zero.
func xsp(r *emu.Regs, n uint32) uint64 {
	if n == 31 {
		return r.SP
	}
	return r.X[n]
}

func xzr(r *emu.Regs, n uint32) uint64 {
	if n == 31 {
		return 0
	}
	return r.X[n]
}

func base(w uint32, r *emu.Regs) uint64 { return xsp(r, w>>5&31) }

// signed is the field of n bits at lsb, sign-extended.
func signed(w uint32, lsb, n int) uint64 {
	return uint64(int64(uint64(w)<<(64-lsb-n)) >> (64 - n))
}

// element is size and direction of a single register's transfer.
func element(w uint32) (uint64, emu.Access) { return 1 << (w >> 30), direction(w>>22&3 != 0) }

func direction(load bool) emu.Access {
	if load {
		return emu.Load
	}
	return emu.Store
}

func single(w uint32, addr uint64) access {
	size, kind := element(w)
	return access{addr: addr, size: size, n: 1, kind: kind}
}

func scaled(w uint32, r *emu.Regs) access {
	size, _ := element(w)
	return single(w, base(w, r)+uint64(w>>10&0xfff)*size)
}

func unscaled(w uint32, r *emu.Regs) access {
	if w>>10&3 == 1 { // post-indexed
		return single(w, base(w, r))
	}
	a := single(w, base(w, r)+signed(w, 12, 9))
	a.user = w>>10&3 == 2 // LDTR, STTR
	return a
}

func indexed(w uint32, r *emu.Regs) access {
	off := xzr(r, w>>16&31)
	switch w >> 13 & 7 {
	case 2: // UXTW
		off = uint64(uint32(off))
	case 6: // SXTW
		off = uint64(int32(off))
	}
	a := single(w, 0)
	if w>>12&1 == 1 {
		off *= a.size
	}
	a.addr = base(w, r) + off
	return a
}

func pair(w uint32, r *emu.Regs) access {
	size := uint64(4) << (w >> 31)
	addr := base(w, r)
	if w>>23&3 != 1 { // not post-indexed
		addr += signed(w, 15, 7) * size
	}
	return access{addr: addr, size: size, n: 2, kind: direction(w>>22&1 == 1)}
}

func literal(w uint32, r *emu.Regs) access {
	size := uint64(4)
	if w>>30 == 1 {
		size = 8
	}
	return access{addr: r.PC + signed(w, 5, 19)*4, size: size, n: 1, kind: emu.Load}
}

// exclusive are exclusives, ordered accesses and compare-and-swap. A
// compare-and-swap counts as a store, as the architecture reports it. 2.0.1
// does not ask ordered accesses to be aligned.
func exclusive(w uint32, r *emu.Regs) access {
	a := access{addr: base(w, r), size: 1 << (w >> 30), n: 1, kind: direction(w>>22&1 == 1), aligned: true}
	o2, o1 := w>>23&1, w>>21&1
	switch {
	case o2 == 1 && o1 == 0: // LDAR, STLR
		a.aligned = false
	case o2 == 1: // CAS
		a.kind = emu.Store
	case o1 == 1 && w>>31 == 0: // CASP
		a.size, a.n, a.kind = 4<<(w>>30&1), 2, emu.Store
	case o1 == 1: // LDXP, STXP
		a.n = 2
	}
	return a
}

func readModifyWrite(w uint32, r *emu.Regs) access {
	a := access{addr: base(w, r), size: 1 << (w >> 30), n: 1, kind: emu.Store, aligned: true}
	if w&0xfff000 == 0xbfc000 { // LDAPR
		a.kind, a.aligned = emu.Load, false
	}
	return a
}

func ordered(w uint32, r *emu.Regs) access {
	return single(w, base(w, r)+signed(w, 12, 9))
}

func authenticated(w uint32, r *emu.Regs) access {
	off := uint64(int64(signed(w, 22, 1)<<9 | uint64(w>>12&0x1ff)))
	return access{addr: base(w, r) + off*8, size: 8, n: 1, kind: emu.Load}
}

func zeroBlock(w uint32, r *emu.Regs) access {
	const size = 64 // DCZID_EL0 of the CPU model
	return access{addr: xzr(r, w&31) &^ (size - 1), size: size, n: 1, kind: emu.Store}
}

// persist is the one byte of a line that cleaning to persistence looks at.
func persist(w uint32, r *emu.Regs) access {
	return access{addr: xzr(r, w&31), size: 1, n: 1, kind: emu.Load}
}
