package difftest

// Data processing: registers and immediates to registers and flags. The width
// (bit 31) is free wherever both exist.
var dataClasses = []class{
	{name: "adr", mask: 0x9f000000, value: 0x10000000},
	{name: "adrp", mask: 0x9f000000, value: 0x90000000},
	{name: "add (immediate)", mask: 0x7f800000, value: 0x11000000},
	{name: "adds (immediate)", mask: 0x7f800000, value: 0x31000000},
	{name: "sub (immediate)", mask: 0x7f800000, value: 0x51000000},
	{name: "subs (immediate)", mask: 0x7f800000, value: 0x71000000},
	{name: "and (immediate)", mask: 0x7f800000, value: 0x12000000},
	{name: "orr (immediate)", mask: 0x7f800000, value: 0x32000000},
	{name: "eor (immediate)", mask: 0x7f800000, value: 0x52000000},
	{name: "ands (immediate)", mask: 0x7f800000, value: 0x72000000},
	{name: "movn", mask: 0x7f800000, value: 0x12800000},
	{name: "movz", mask: 0x7f800000, value: 0x52800000},
	{name: "movk", mask: 0x7f800000, value: 0x72800000},
	{name: "sbfm", mask: 0x7f800000, value: 0x13000000, fix: sameWidth},
	{name: "bfm", mask: 0x7f800000, value: 0x33000000, fix: sameWidth},
	{name: "ubfm", mask: 0x7f800000, value: 0x53000000, fix: sameWidth},
	{name: "extr", mask: 0x7fa00000, value: 0x13800000, fix: sameWidth},

	{name: "and (shifted register)", mask: 0x7f200000, value: 0x0a000000},
	{name: "bic (shifted register)", mask: 0x7f200000, value: 0x0a200000},
	{name: "orr (shifted register)", mask: 0x7f200000, value: 0x2a000000},
	{name: "orn (shifted register)", mask: 0x7f200000, value: 0x2a200000},
	{name: "eor (shifted register)", mask: 0x7f200000, value: 0x4a000000},
	{name: "eon (shifted register)", mask: 0x7f200000, value: 0x4a200000},
	{name: "ands (shifted register)", mask: 0x7f200000, value: 0x6a000000},
	{name: "bics (shifted register)", mask: 0x7f200000, value: 0x6a200000},
	{name: "add (shifted register)", mask: 0x7f200000, value: 0x0b000000},
	{name: "adds (shifted register)", mask: 0x7f200000, value: 0x2b000000},
	{name: "sub (shifted register)", mask: 0x7f200000, value: 0x4b000000},
	{name: "subs (shifted register)", mask: 0x7f200000, value: 0x6b000000},
	{name: "add (extended register)", mask: 0x7fe00000, value: 0x0b200000, fix: smallShift},
	{name: "adds (extended register)", mask: 0x7fe00000, value: 0x2b200000, fix: smallShift},
	{name: "sub (extended register)", mask: 0x7fe00000, value: 0x4b200000, fix: smallShift},
	{name: "subs (extended register)", mask: 0x7fe00000, value: 0x6b200000, fix: smallShift},

	{name: "adc", mask: 0x7fe0fc00, value: 0x1a000000},
	{name: "adcs", mask: 0x7fe0fc00, value: 0x3a000000},
	{name: "sbc", mask: 0x7fe0fc00, value: 0x5a000000},
	{name: "sbcs", mask: 0x7fe0fc00, value: 0x7a000000},
	{name: "ccmn (register)", mask: 0x7fe00c10, value: 0x3a400000},
	{name: "ccmp (register)", mask: 0x7fe00c10, value: 0x7a400000},
	{name: "ccmn (immediate)", mask: 0x7fe00c10, value: 0x3a400800},
	{name: "ccmp (immediate)", mask: 0x7fe00c10, value: 0x7a400800},
	{name: "csel", mask: 0x7fe00c00, value: 0x1a800000},
	{name: "csinc", mask: 0x7fe00c00, value: 0x1a800400},
	{name: "csinv", mask: 0x7fe00c00, value: 0x5a800000},
	{name: "csneg", mask: 0x7fe00c00, value: 0x5a800400},

	{name: "udiv", mask: 0x7fe0fc00, value: 0x1ac00800},
	{name: "sdiv", mask: 0x7fe0fc00, value: 0x1ac00c00},
	{name: "lslv", mask: 0x7fe0fc00, value: 0x1ac02000},
	{name: "lsrv", mask: 0x7fe0fc00, value: 0x1ac02400},
	{name: "asrv", mask: 0x7fe0fc00, value: 0x1ac02800},
	{name: "rorv", mask: 0x7fe0fc00, value: 0x1ac02c00},
	{name: "crc32, crc32c", mask: 0x7fe0e000, value: 0x1ac04000},
	{name: "rbit", mask: 0x7ffffc00, value: 0x5ac00000},
	{name: "rev16", mask: 0x7ffffc00, value: 0x5ac00400},
	{name: "rev, rev32", mask: 0x7ffffc00, value: 0x5ac00800},
	{name: "rev (64-bit)", mask: 0x7ffffc00, value: 0x5ac00c00},
	{name: "clz", mask: 0x7ffffc00, value: 0x5ac01000},
	{name: "cls", mask: 0x7ffffc00, value: 0x5ac01400},

	{name: "madd", mask: 0x7fe08000, value: 0x1b000000},
	{name: "msub", mask: 0x7fe08000, value: 0x1b008000},
	{name: "smaddl", mask: 0xffe08000, value: 0x9b200000},
	{name: "smsubl", mask: 0xffe08000, value: 0x9b208000},
	{name: "umaddl", mask: 0xffe08000, value: 0x9ba00000},
	{name: "umsubl", mask: 0xffe08000, value: 0x9ba08000},
	{name: "smulh", mask: 0xffe0fc00, value: 0x9b407c00},
	{name: "umulh", mask: 0xffe0fc00, value: 0x9bc07c00},

	{name: "rmif", mask: 0xffe07c10, value: 0xba000400},
	{name: "setf8", mask: 0xfffffc1f, value: 0x3a00080d},
	{name: "setf16", mask: 0xfffffc1f, value: 0x3a00480d},

	{name: "pac, aut (register)", mask: 0xffffc000, value: 0xdac10000},
	{name: "xpaci, xpacd", mask: 0xfffffbe0, value: 0xdac143e0},
}

// sameWidth sets N to the width, four times in five; it is undefined otherwise.
func sameWidth(s *source, w uint32) uint32 {
	if s.one(5) {
		return w
	}
	w = w&^(1<<22) | w>>31<<22
	if w>>31 == 0 {
		w &^= 1<<21 | 1<<15
	}
	return w
}

// smallShift makes the shift at most 4, four times in five.
func smallShift(s *source, w uint32) uint32 {
	if s.one(5) {
		return w
	}
	return w&^(7<<10) | uint32(s.n(5))<<10
}
