package interp

// row is a class of encodings: words for which word&mask is value.
type row struct {
	mask, value uint32
	name        string
	exec        func(c *CPU, w uint32) stop
	ends        bool // it ends a straight run: execution may not continue after it

	// fast, if not nil, knows forms for the loop; see translate.
	fast func(w uint32, pc uint64) inst
}

// rows are the classes of the Arm ARM's chapter "A64 Instruction Set Encoding".
// No two of them overlap but the last, which catches the rest: what isa.Classify
// does not call executed. What is reserved within a class, its function knows.
var rows = []row{
	// Data processing, immediate.
	{0x1f000000, 0x10000000, "adr, adrp", execAdr, false, fastAdr},
	{0x1f800000, 0x11000000, "add, sub (immediate)", execAddSubImm, false, fastAddSubImm},
	{0x1f800000, 0x12000000, "and, orr, eor, ands (immediate)", execLogicalImm, false, fastLogicalImm},
	{0x1f800000, 0x12800000, "movn, movz, movk", execMoveWide, false, fastMoveWide},
	{0x1f800000, 0x13000000, "sbfm, bfm, ubfm", execBitfield, false, fastBitfield},
	{0x1f800000, 0x13800000, "extr", execExtract, false, fastExtract},

	// Branches, exceptions, system.
	{0x7c000000, 0x14000000, "b, bl", execB, true, fastB},
	{0x7e000000, 0x34000000, "cbz, cbnz", execCbz, true, fastCbz},
	{0x7e000000, 0x36000000, "tbz, tbnz", execTbz, true, fastTbz},
	{0xff000010, 0x54000000, "b.cond", execBCond, true, fastBCond},
	{0xff000000, 0xd4000000, "svc, hvc, smc, brk, hlt", execException, true, nil},
	{0xfffff01f, 0xd503201f, "hint", execHint, false, fastHint},
	{0xfffff01f, 0xd503301f, "clrex, dsb, dmb, isb, sb", execBarrier, false, fastBarrier},
	{0xfff8f000, 0xd5004000, "msr (immediate)", execMsrImmediate, false, nil},
	{0xfff80000, 0xd5080000, "sys", execSys, false, nil},
	{0xfff00000, 0xd5100000, "msr (register)", execMsr, false, fastMsr},
	{0xfff00000, 0xd5300000, "mrs", execMrs, false, fastMrs},
	{0xfe000000, 0xd6000000, "br, blr, ret", execBranchReg, true, fastBranchReg},

	// Loads and stores.
	{0x3f000000, 0x08000000, "exclusive, ordered, cas", execExclusive, false, fastExclusive},
	{0x3f000000, 0x18000000, "ldr (literal)", execLiteral, false, fastLiteral},
	{0x3e000000, 0x28000000, "ldp, stp", execPair, false, fastPair},
	{0x3f200c00, 0x19000000, "ldapur, stlur", execOrderedUnscaled, false, fastOrderedUnscaled},
	{0x3f200c00, 0x38000000, "ldur, stur", execUnscaled, false, fastUnscaled},
	{0x3f200400, 0x38000400, "ldr, str (pre-, post-indexed)", execIndexed, false, fastIndexed},
	{0x3f200c00, 0x38000800, "ldtr, sttr", execUnprivileged, false, nil},
	{0x3f200c00, 0x38200000, "ldadd, swp, ldapr", execAtomic, false, fastAtomic},
	{0x3f200c00, 0x38200800, "ldr, str (register)", execRegOffset, false, fastRegOffset},
	{0x3f200400, 0x38200400, "ldraa, ldrab", execLoadAuth, false, nil},
	{0x3f000000, 0x39000000, "ldr, str (unsigned offset)", execScaled, false, fastScaled},

	// Data processing, register.
	{0x1f000000, 0x0a000000, "and, orr, eor, ands (register)", execLogicalShifted, false, fastLogicalShifted},
	{0x1f200000, 0x0b000000, "add, sub (shifted register)", execAddSubShifted, false, fastAddSubShifted},
	{0x1f200000, 0x0b200000, "add, sub (extended register)", execAddSubExtended, false, fastAddSubExtended},
	{0x1fe0fc00, 0x1a000000, "adc, sbc", execAddCarry, false, nil},
	{0xffe07c10, 0xba000400, "rmif", execRmif, false, nil},
	{0xffffbc1f, 0x3a00080d, "setf8, setf16", execSetf, false, nil},
	{0x3fe00410, 0x3a400000, "ccmn, ccmp", execCondCompare, false, fastCondCompare},
	{0x3fe00800, 0x1a800000, "csel, csinc, csinv, csneg", execCondSelect, false, fastCondSelect},
	{0x1f000000, 0x1b000000, "madd, msub", exec3Source, false, fast3Source},
	{0x7fe00000, 0x1ac00000, "udiv, sdiv, shifts, crc32", exec2Source, false, fast2Source},
	{0x7fe00000, 0x5ac00000, "rbit, rev, clz, cls", exec1Source, false, fast1Source},

	{0, 0, "refused", execRefused, true, nil},
}

// buckets are the indexes of rows that a word with these bits 28:25 can match.
var buckets = func() (b [16][]int) {
	for bits := range uint32(16) {
		for i := range rows {
			common := rows[i].mask & (15 << 25)
			if rows[i].value&common == bits<<25&common {
				b[bits] = append(b[bits], i)
			}
		}
	}
	return b
}()

// lookupRow returns the class of a word.
func lookupRow(w uint32) int {
	for _, i := range buckets[w>>25&15] {
		if r := &rows[i]; w&r.mask == r.value {
			return i
		}
	}
	return len(rows) - 1 // not reached: the last row matches everything
}
