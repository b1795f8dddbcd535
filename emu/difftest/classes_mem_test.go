package difftest

// Loads and stores. Bits 31:30 are the size.
var memoryClasses = concat(
	indexed("unsigned offset", 0x3f000000, 0x39000000, nil),
	indexed("unscaled offset", 0x3f200c00, 0x38000000, nil),
	indexed("post-indexed", 0x3f200c00, 0x38000400, writeback),
	indexed("pre-indexed", 0x3f200c00, 0x38000c00, writeback),
	indexed("unprivileged", 0x3f200c00, 0x38000800, nil),
	indexed("register offset", 0x3f200c00, 0x38200800, nil),
	pairs("no allocate", 0x28000000, nil),
	pairs("post-indexed", 0x28800000, writeback),
	pairs("offset", 0x29000000, nil),
	pairs("pre-indexed", 0x29800000, writeback),
	indexed("ordered, unscaled", 0x3f200c00, 0x19000000, nil),
	[]class{
		{name: "ldr, ldrsw, prfm (literal)", mask: 0x3f000000, value: 0x18000000, fix: near(5, 19)},
		{name: "ldraa, ldrab", mask: 0xff200400, value: 0xf8200400, skip: writebackIf(1 << 11), kind: memory},

		{name: "ldxr, ldaxr", mask: 0x3fff7c00, value: 0x085f7c00, kind: atomic},
		{name: "ldxp, ldaxp", mask: 0xbfff0000, value: 0x887f0000, skip: samePair, kind: atomic},
		{name: "stxr, stlxr", mask: 0x3fe07c00, value: 0x08007c00, skip: status, prefix: reserve, kind: atomic},
		{name: "stxp, stlxp", mask: 0xbfe00000, value: 0x88200000, skip: status, prefix: reserve, kind: atomic},
		{name: "ldar, ldlar", mask: 0x3fff7c00, value: 0x08df7c00, kind: atomic},
		{name: "stlr, stllr", mask: 0x3fff7c00, value: 0x089f7c00, kind: atomic},
		{name: "ldapr", mask: 0x3ffffc00, value: 0x38bfc000, kind: atomic},
		{name: "cas", mask: 0x3fa07c00, value: 0x08a07c00, kind: atomic},
		{name: "casp", mask: 0xbfa07c00, value: 0x08207c00, fix: evenPairs, kind: atomic},

		{name: "ldadd", mask: 0x3f20fc00, value: 0x38200000, kind: atomic},
		{name: "ldclr", mask: 0x3f20fc00, value: 0x38201000, kind: atomic},
		{name: "ldeor", mask: 0x3f20fc00, value: 0x38202000, kind: atomic},
		{name: "ldset", mask: 0x3f20fc00, value: 0x38203000, kind: atomic},
		{name: "ldsmax", mask: 0x3f20fc00, value: 0x38204000, kind: atomic},
		{name: "ldsmin", mask: 0x3f20fc00, value: 0x38205000, kind: atomic},
		{name: "ldumax", mask: 0x3f20fc00, value: 0x38206000, kind: atomic},
		{name: "ldumin", mask: 0x3f20fc00, value: 0x38207000, kind: atomic},
		{name: "swp", mask: 0x3f20fc00, value: 0x38208000, kind: atomic},
	},
)

// indexed are stores, loads, and loads with sign extension (among them what is
// prfm or unallocated) of one addressing mode: opc in bits 23:22.
func indexed(form string, mask, value uint32, skip func(uint32) string) []class {
	list := []class{
		{name: "str (" + form + ")", mask: mask | 3<<22, value: value, skip: skip, kind: memory},
		{name: "ldr (" + form + ")", mask: mask | 3<<22, value: value | 1<<22, skip: skip, kind: memory},
		{name: "ldrs, prfm (" + form + ")", mask: mask | 1<<23, value: value | 2<<22, skip: skip, kind: memory},
	}
	if value == 0x38200800 {
		for i := range list {
			list[i].fix = extension
		}
	}
	return list
}

// extension sets the bit of an extension that is allocated, five times in six.
func extension(s *source, w uint32) uint32 {
	if s.one(6) {
		return w
	}
	return w | 1<<14
}

// pairs are stp, ldp and ldpsw of one addressing mode.
func pairs(form string, value uint32, skip func(uint32) string) []class {
	loads := func(w uint32) string {
		if why := samePair(w); why != "" || skip == nil {
			return why
		}
		return skip(w)
	}
	list := []class{
		{name: "stp (" + form + ")", mask: 0x7fc00000, value: value, skip: skip, kind: memory},
		{name: "ldp (" + form + ")", mask: 0x7fc00000, value: value | 1<<22, skip: loads, kind: memory},
		{name: "ldpsw (" + form + ")", mask: 0xffc00000, value: value | 1<<22 | 1<<30, skip: loads, kind: memory},
	}
	if value == 0x28000000 {
		return list[:2] // there is no such ldpsw
	}
	return list
}

func concat(lists ...[]class) []class {
	var all []class
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

const (
	becauseWriteback = "CONSTRAINED UNPREDICTABLE: writeback to a register that is transferred"
	becausePair      = "CONSTRAINED UNPREDICTABLE: a pair loaded to one register"
	becauseStatus    = "CONSTRAINED UNPREDICTABLE: status register of an exclusive store that is its data or base too"
)

// writeback leaves out a base that is transferred as well.
func writeback(w uint32) string {
	pair := w&0x3a000000 == 0x28000000
	if n := rn(w); n != 31 && (rd(w) == n || pair && ra(w) == n) {
		return becauseWriteback
	}
	return ""
}

func writebackIf(bit uint32) func(uint32) string {
	return func(w uint32) string {
		if w&bit != 0 && rn(w) != 31 && rd(w) == rn(w) {
			return becauseWriteback
		}
		return ""
	}
}

func samePair(w uint32) string {
	if rd(w) == ra(w) {
		return becausePair
	}
	return ""
}

func status(w uint32) string {
	s := rm(w)
	pair := w>>21&1 == 1
	if s == rd(w) || pair && s == ra(w) || s == rn(w) && s != 31 {
		return becauseStatus
	}
	return ""
}

// reserve makes, or does not make, the reservation that an exclusive store
// needs. It never leaves an older one standing.
func reserve(s *source, w uint32) []uint32 {
	const clrex = 0xd503305f
	if s.one(4) {
		return []uint32{clrex}
	}
	// The load has the store's base and size: with another size it would be
	// CONSTRAINED UNPREDICTABLE whether the store passes. What it loads goes to the zero register, and for a pair to one that the store does
	// not use.
	const size, pair, ordered, base = 3 << 30, 1 << 21, 1 << 15, 31 << 5
	load := 0x085f7c1f | w&(size|pair|ordered|base)
	if w&pair != 0 {
		load = load&^(31<<10) | unused(w)<<10
	}
	words := []uint32{load}
	if s.one(8) {
		words = append(words, clrex)
	}
	return words
}

// unused is a register that the word does not name.
func unused(w uint32) uint32 {
	for r := uint32(0); ; r++ {
		if r != rd(w) && r != rn(w) && r != ra(w) && r != rm(w) {
			return r
		}
	}
}

// evenPairs makes the registers of casp even, four times in five; odd ones are
// undefined.
func evenPairs(s *source, w uint32) uint32 {
	if s.one(5) {
		return w
	}
	return w &^ (1<<16 | 1)
}

// near makes an offset in words small, half of the time.
func near(lsb, n int) func(*source, uint32) uint32 {
	return func(s *source, w uint32) uint32 {
		if s.one(2) {
			return w
		}
		field := uint32(1<<n-1) << lsb
		return w&^field | uint32(int32(s.n(64))-32)<<lsb&field
	}
}
