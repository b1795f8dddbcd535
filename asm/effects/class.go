package effects

// class is a set of words: those for which word&mask is value.
type class struct {
	mask, value uint32
	decode      func(o *Operands, w insn) bool
}

// classes are those of Arm ARM C4.1, "A64 instruction set encoding". No
// two overlap; what is unallocated in one, its function knows.
var classes = []class{
	// Data processing, immediate.
	{0x1f000000, 0x10000000, (*Operands).adr},        // adr, adrp
	{0x1f800000, 0x11000000, (*Operands).addSubImm},  // add, sub (immediate)
	{0x1f800000, 0x12000000, (*Operands).logicalImm}, // and, orr, eor, ands (immediate)
	{0x1f800000, 0x12800000, (*Operands).moveWide},   // movn, movz, movk
	{0x1f800000, 0x13000000, (*Operands).bitfield},   // sbfm, bfm, ubfm
	{0x1f800000, 0x13800000, (*Operands).extract},    // extr

	// Branches, exception generating and system instructions.
	{0x7c000000, 0x14000000, (*Operands).branchImm},     // b, bl
	{0x7e000000, 0x34000000, (*Operands).compareBranch}, // cbz, cbnz
	{0x7e000000, 0x36000000, (*Operands).compareBranch}, // tbz, tbnz
	{0xff000010, 0x54000000, (*Operands).branchCond},    // b.cond
	{0xff000000, 0xd4000000, (*Operands).exception},     // svc, hvc, smc, brk, hlt
	{0xfffff01f, 0xd503201f, (*Operands).hint},          // nop, yield, paciasp, bti, ...
	{0xfffff01f, 0xd503301f, (*Operands).barrier},       // clrex, dsb, dmb, isb, sb
	{0xfff8f01f, 0xd500401f, (*Operands).msrImmediate},  // msr (immediate), cfinv, xaflag, axflag
	{0xfff80000, 0xd5080000, (*Operands).sys},           // sys: ic, dc, at, tlbi
	{0xfff00000, 0xd5100000, (*Operands).msr},           // msr (register)
	{0xfff00000, 0xd5300000, (*Operands).mrs},           // mrs
	{0xfe000000, 0xd6000000, (*Operands).branchReg},     // br, blr, ret, eret, braa, ...

	// Loads and stores.
	{0x3f000000, 0x08000000, (*Operands).exclusive},       // ldxr, stxr, ldar, stlr, cas, casp
	{0x3f000000, 0x18000000, (*Operands).literal},         // ldr, ldrsw, prfm (literal)
	{0x3e000000, 0x28000000, (*Operands).pair},            // ldp, stp, ldpsw, ldnp, stnp
	{0x3f200c00, 0x19000000, (*Operands).orderedUnscaled}, // ldapur, stlur
	{0x3f200c00, 0x38000000, (*Operands).unscaled},        // ldur, stur, prfum
	{0x3f200c00, 0x38000400, (*Operands).postIndexed},     // ldr, str (post-indexed)
	{0x3f200c00, 0x38000800, (*Operands).unprivileged},    // ldtr, sttr
	{0x3f200c00, 0x38000c00, (*Operands).preIndexed},      // ldr, str (pre-indexed)
	{0x3f200c00, 0x38200000, (*Operands).atomic},          // ldadd, swp, ldapr, ...
	{0x3f200c00, 0x38200800, (*Operands).registerOffset},  // ldr, str, prfm (register)
	{0x3f000000, 0x39000000, (*Operands).scaled},          // ldr, str, prfm (unsigned offset)

	// Data processing, register.
	{0x1f000000, 0x0a000000, (*Operands).logicalShifted},    // and, bic, orr, ... (shifted register)
	{0x1f200000, 0x0b000000, (*Operands).addSubShifted},     // add, sub (shifted register)
	{0x1fe00000, 0x0b200000, (*Operands).addSubExtended},    // add, sub (extended register)
	{0x1fe0fc00, 0x1a000000, (*Operands).addCarry},          // adc, sbc
	{0xffe07c10, 0xba000400, (*Operands).rotateIntoFlags},   // rmif
	{0xffffbc1f, 0x3a00080d, (*Operands).evaluateIntoFlags}, // setf8, setf16
	{0x3fe00410, 0x3a400000, (*Operands).condCompare},       // ccmn, ccmp
	{0x3fe00800, 0x1a800000, (*Operands).condSelect},        // csel, csinc, csinv, csneg
	{0x7f000000, 0x1b000000, (*Operands).threeSources},      // madd, msub, smulh, ...
	{0x7fe00000, 0x1ac00000, (*Operands).twoSources},        // udiv, sdiv, lslv, crc32, ...
	{0x7fe00000, 0x5ac00000, (*Operands).oneSource},         // rbit, rev, clz, cls, pacia, ...
}

// buckets are the indexes of classes that a word with these bits 28:25
// can be of.
var buckets = func() (b [16][]uint8) {
	for bits := range uint32(16) {
		for i, c := range classes {
			if (c.value^bits<<25)&c.mask&(15<<25) == 0 {
				b[bits] = append(b[bits], uint8(i))
			}
		}
	}
	return b
}()

// insn is an instruction, with its fields by the manual's names.
type insn uint32

func (w insn) bit(n uint) bool { return w>>n&1 == 1 }

func (w insn) rd() uint8 { return uint8(w & 31) } // also Rt
func (w insn) rn() uint8 { return uint8(w >> 5 & 31) }
func (w insn) ra() uint8 { return uint8(w >> 10 & 31) } // also Rt2
func (w insn) rm() uint8 { return uint8(w >> 16 & 31) } // also Rs

func (w insn) is64() bool { return w.bit(31) }

// signed is the field of n bits at lsb, sign-extended.
func (w insn) signed(lsb, n uint) int64 { return int64(uint64(w)<<(64-lsb-n)) >> (64 - n) }

// setFlagsIf is what an instruction under a condition reads: nothing if it is
// always.
func setFlagsIf(cond insn) RegSet {
	if cond&15 >= 14 {
		return 0
	}
	return SetFlags
}
