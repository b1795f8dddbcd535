package asm

// What an instruction reads and writes: the registers and the memory through
// which instructions depend on one another (Arm ARM B2.3, "Definition of the
// Arm memory model").

// RegSet is a set of registers: bits 0 to 30 are X0 to X30, the rest has
// names. The zero register is in no set.
type RegSet uint64

const (
	SetSP    RegSet = 1 << 31
	SetFlags RegSet = 1 << 32 // NZCV

	// SetSystem stands for every system register at once (SP_EL0, TPIDR_EL1,
	// ...) and the rest of PSTATE, so an instruction that writes it need not
	// write all of what another reads.
	SetSystem RegSet = 1 << 33
)

// SetOf is the set of one register, 31 being the zero register: empty.
func SetOf(n uint8) RegSet { return 1 << n & (1<<31 - 1) }

// Has says whether every register of other is in s.
func (s RegSet) Has(other RegSet) bool { return s&other == other }

// Access is what an instruction does to memory.
type Access uint8

const (
	// NoAccess is also what a prefetch and cache maintenance do: they have an
	// address and no effect on contents or order of memory.
	NoAccess Access = iota
	// Loads is every load, the exclusive ones too.
	Loads
	// Stores is every store, DC ZVA, and the exclusive ones, which may store or
	// not.
	Stores
	// LoadsAndStores is a read and a write that are one: CAS, SWP, LDADD and
	// the like. CAS may write or not.
	LoadsAndStores
)

// NoReg is where [Operands] has a register that the instruction does not name.
const NoReg uint8 = 0xff

// Operands is what an instruction reads and writes.
//
// Registers that are not sets are numbers. Of them Base has 31 for SP, all
// others have 31 for the zero register.
type Operands struct {
	Reads  RegSet // all registers read, also those for the address
	Writes RegSet // all that may be written: also the base with write-back, and X30 by BL
	Addr   RegSet // those that the address of an access, or the target of a branch, comes from

	Access Access

	Base   uint8 // NoReg if the address is PC-relative, or 0
	Index  uint8 // added to the base, or NoReg
	Extend Ext   // of Index: UXTW, UXTX, SXTW or SXTX
	Shift  uint8 // of Index, to the left, after it was extended
	Offset int64 // added to Base, or to the PC; with PostIndex added only to what is written back

	Size  uint8    // bytes of one element
	Count uint8    // elements, one behind the other: 0 without an access, 2 for pairs, else 1
	Data  [2]uint8 // per element the register that it is loaded to or stored from

	// Of LoadsAndStores, Data is where the old value goes, and Source what the
	// new one is made from: by CAS it is stored if the old value is what Data
	// holds.
	Source [2]uint8

	// Status is the register in which an exclusive store says whether it was
	// done, or NoReg.
	Status uint8

	PostIndex bool // the address is the base alone
	WriteBack bool // Base+Offset is written to the base
	Literal   bool // PC-relative load
	Signed    bool // what is loaded is sign-extended, to 64 bits unless Narrow
	Narrow    bool // what is sign-extended has 32 bits in the end

	Acquire   bool // also AcquirePC
	AcquirePC bool // LDAPR and LDAPUR: may pass an earlier store-release
	Release   bool

	Exclusive    bool // uses the exclusive monitor; CLREX does so without an access
	Unprivileged bool // accesses memory as EL0 would: LDTR, STTR

	Barrier bool  // DMB, DSB
	Domain  uint8 // of a Barrier, CRm: bits 3:2 the domain; bits 1:0 are 1 for loads, 2 for stores, 3 for both
	Waits   bool  // DSB: also for completion

	Context   bool // ISB, ERET: context synchronization event
	Branch    bool // may change the PC other than by 4; exceptions are Exception alone
	Call      bool // BL, BLR
	Exception bool // SVC, HVC, SMC, BRK, HLT
}

// DecodeOperands decodes word. ok is false for a word whose operands it doesn't
// know: what is unallocated, floating point and SIMD, loads with pointer
// authentication, SYS operations other than those kernels use on caches and
// TLBs. That ok is true does not say that a given processor has the
// instruction, or the system register.
//
// Forms that are CONSTRAINED UNPREDICTABLE (a base written back that is also
// loaded, say) are taken as they stand, every register in every role.
func DecodeOperands(word uint32) (o Operands, ok bool) {
	for _, i := range operandBuckets[word>>25&15] {
		c := &operandClasses[i]
		if word&c.mask != c.value {
			continue
		}
		o.none()
		if c.decode(&o, operandWord(word)) {
			return o, true
		}
		break
	}
	o = Operands{}
	o.none()
	return o, false
}

// Address is where the access begins, given register values: x(n) returns X0
// to X30, and SP for 31. Without an access it is what is prefetched or
// maintained; the address means nothing where Base is NoReg then.
func (o *Operands) Address(pc uint64, x func(n uint8) uint64) uint64 {
	var addr uint64
	switch {
	case o.Literal:
		addr = pc
	case o.Base != NoReg:
		addr = x(o.Base)
	}
	if !o.PostIndex {
		addr += uint64(o.Offset)
	}
	if o.Index != NoReg && o.Index != 31 {
		v := x(o.Index)
		switch o.Extend {
		case UXTW:
			v = uint64(uint32(v))
		case SXTW:
			v = uint64(int64(int32(v)))
		}
		addr += v << o.Shift
	}
	if o.Size == zeroBlock {
		addr &^= zeroBlock - 1
	}
	return addr
}

// zeroBlock is how many bytes DC ZVA clears, on every arm64 processor that
// Linux is likely to meet; DCZID_EL0 has the truth.
const zeroBlock = 64

// operandClass is a set of words: those for which word&mask is value.
type operandClass struct {
	mask, value uint32
	decode      func(o *Operands, w operandWord) bool
}

// operandClasses are those of Arm ARM C4.1, "A64 instruction set encoding". No
// two overlap; what is unallocated in one, its function knows.
var operandClasses = []operandClass{
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

// operandBuckets are the indexes of classes that a word with these bits 28:25
// can be of.
var operandBuckets = func() (b [16][]uint8) {
	for bits := range uint32(16) {
		for i, c := range operandClasses {
			if (c.value^bits<<25)&c.mask&(15<<25) == 0 {
				b[bits] = append(b[bits], uint8(i))
			}
		}
	}
	return b
}()

// operandWord is an instruction, with its fields by the manual's names.
type operandWord uint32

func (w operandWord) bit(n uint) bool { return w>>n&1 == 1 }

func (w operandWord) rd() uint8 { return uint8(w & 31) } // also Rt
func (w operandWord) rn() uint8 { return uint8(w >> 5 & 31) }
func (w operandWord) ra() uint8 { return uint8(w >> 10 & 31) } // also Rt2
func (w operandWord) rm() uint8 { return uint8(w >> 16 & 31) } // also Rs

func (w operandWord) is64() bool { return w.bit(31) }

// signed is the field of n bits at lsb, sign-extended.
func (w operandWord) signed(lsb, n uint) int64 { return int64(uint64(w)<<(64-lsb-n)) >> (64 - n) }

// setSP is the set of a register where 31 is SP.
func setSP(n uint8) RegSet { return 1 << n }

// setFlagsIf is what an instruction under a condition reads: nothing if it is
// always.
func setFlagsIf(cond operandWord) RegSet {
	if cond&15 >= 14 {
		return 0
	}
	return SetFlags
}

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

// writeBack says that the base is written.
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
func (o *Operands) sizedTransfer(w operandWord, prefetch bool) bool {
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

func (o *Operands) scaled(w operandWord) bool {
	o.address(w.rn(), NoReg)
	o.Offset = int64(w>>10&0xfff) << (w >> 30)
	return o.sizedTransfer(w, true)
}

func (o *Operands) nineBits(w operandWord, prefetch bool) bool {
	o.address(w.rn(), NoReg)
	o.Offset = w.signed(12, 9)
	return o.sizedTransfer(w, prefetch)
}

func (o *Operands) unscaled(w operandWord) bool { return o.nineBits(w, true) }

func (o *Operands) unprivileged(w operandWord) bool {
	o.Unprivileged = true
	return o.nineBits(w, false)
}

func (o *Operands) postIndexed(w operandWord) bool {
	ok := o.nineBits(w, false)
	o.writeBack(true)
	return ok
}

func (o *Operands) preIndexed(w operandWord) bool {
	ok := o.nineBits(w, false)
	o.writeBack(false)
	return ok
}

func (o *Operands) orderedUnscaled(w operandWord) bool {
	ok := o.nineBits(w, false)
	o.Release = o.Access == Stores
	o.Acquire, o.AcquirePC = !o.Release, !o.Release
	return ok
}

func (o *Operands) registerOffset(w operandWord) bool {
	o.address(w.rn(), w.rm())
	o.Extend = Ext(w >> 13 & 7)
	if w.bit(12) {
		o.Shift = uint8(w >> 30)
	}
	return w.bit(14) && o.sizedTransfer(w, true)
}

func (o *Operands) literal(w operandWord) bool {
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

func (o *Operands) pair(w operandWord) bool {
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
func (o *Operands) exclusive(w operandWord) bool {
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
func (o *Operands) atomic(w operandWord) bool {
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

// Data processing, immediate (Arm ARM C4.1, "Data Processing -- Immediate").

// result says that Rd is written, 31 being SP if sp.
func (o *Operands) result(w operandWord, sp bool) {
	if sp {
		o.Writes |= setSP(w.rd())
	} else {
		o.Writes |= SetOf(w.rd())
	}
}

// addSub is the rest of ADD, ADDS, SUB and SUBS. sp says that their result may
// be SP, which that of the forms that set flags never is.
func (o *Operands) addSub(w operandWord, sp bool) {
	flags := w.bit(29)
	if flags {
		o.Writes |= SetFlags
	}
	o.result(w, sp && !flags)
}

func (o *Operands) adr(w operandWord) bool {
	o.result(w, false)
	return true
}

func (o *Operands) addSubImm(w operandWord) bool {
	o.Reads = setSP(w.rn())
	o.addSub(w, true)
	return true
}

func (o *Operands) logicalImm(w operandWord) bool {
	o.Reads = SetOf(w.rn())
	o.logical(w, true)
	_, ok := decodeBitmask(uint32(w>>22&1), uint32(w>>16&63), uint32(w>>10&63), w.is64())
	return ok
}

// logical is the rest of AND, ORR, EOR and ANDS.
func (o *Operands) logical(w operandWord, sp bool) {
	flags := w>>29&3 == 3
	if flags {
		o.Writes |= SetFlags
	}
	o.result(w, sp && !flags)
}

func (o *Operands) moveWide(w operandWord) bool {
	opc := w >> 29 & 3
	if opc == 3 { // MOVK keeps the rest of Rd
		o.Reads = SetOf(w.rd())
	}
	o.result(w, false)
	return opc != 1 && (w.is64() || !w.bit(22))
}

func (o *Operands) bitfield(w operandWord) bool {
	opc := w >> 29 & 3
	o.Reads = SetOf(w.rn())
	if opc == 1 { // BFM keeps the rest of Rd
		o.Reads |= SetOf(w.rd())
	}
	o.result(w, false)
	return opc != 3 && w.bit(22) == w.is64() && (w.is64() || !w.bit(21) && !w.bit(15))
}

func (o *Operands) extract(w operandWord) bool {
	o.Reads = SetOf(w.rn()) | SetOf(w.rm())
	o.result(w, false)
	return w>>29&3 == 0 && !w.bit(21) && w.bit(22) == w.is64() && (w.is64() || !w.bit(15))
}

// Data processing, register (Arm ARM C4.1, "Data Processing -- Register").

// operands are Rn and Rm, both of which can be the zero register.
func (o *Operands) operands(w operandWord) { o.Reads |= SetOf(w.rn()) | SetOf(w.rm()) }

func (o *Operands) logicalShifted(w operandWord) bool {
	o.operands(w)
	o.logical(w, false)
	return w.is64() || !w.bit(15)
}

func (o *Operands) addSubShifted(w operandWord) bool {
	o.operands(w)
	o.addSub(w, false)
	return w>>22&3 != 3 && (w.is64() || !w.bit(15))
}

func (o *Operands) addSubExtended(w operandWord) bool {
	o.Reads = setSP(w.rn()) | SetOf(w.rm())
	o.addSub(w, true)
	return w>>10&7 <= 4
}

func (o *Operands) addCarry(w operandWord) bool {
	o.operands(w)
	o.Reads |= SetFlags
	o.addSub(w, false)
	return true
}

// rotateIntoFlags is RMIF, which keeps the flags that its mask leaves out.
func (o *Operands) rotateIntoFlags(w operandWord) bool {
	o.Reads, o.Writes = SetOf(w.rn()), SetFlags
	if w&15 != 15 {
		o.Reads |= SetFlags
	}
	return true
}

// evaluateIntoFlags is SETF8 and SETF16, which keep C.
func (o *Operands) evaluateIntoFlags(w operandWord) bool {
	o.Reads, o.Writes = SetOf(w.rn())|SetFlags, SetFlags
	return true
}

func (o *Operands) condCompare(w operandWord) bool {
	o.Reads = SetOf(w.rn()) | setFlagsIf(w>>12)
	if !w.bit(11) { // or else Rm is a number
		o.Reads |= SetOf(w.rm())
	}
	o.Writes = SetFlags
	return true
}

func (o *Operands) condSelect(w operandWord) bool {
	o.operands(w)
	o.Reads |= setFlagsIf(w >> 12)
	o.result(w, false)
	return true
}

func (o *Operands) threeSources(w operandWord) bool {
	o.operands(w)
	o.result(w, false)
	switch op := w>>21&7<<1 | w>>15&1; op {
	case 0, 1, 2, 3, 10, 11: // MADD, MSUB, SMADDL, SMSUBL, UMADDL, UMSUBL
		o.Reads |= SetOf(w.ra())
		return op <= 1 || w.is64()
	case 4, 12: // SMULH, UMULH
		return w.is64()
	}
	return false
}

func (o *Operands) twoSources(w operandWord) bool {
	o.operands(w)
	o.result(w, false)
	switch op := w >> 10 & 63; {
	case op == 2, op == 3, op >= 8 && op <= 11: // UDIV, SDIV, LSLV and so on
		return true
	case op >= 16 && op <= 23: // CRC32
		return (op&3 == 3) == w.is64()
	}
	return false
}

func (o *Operands) oneSource(w operandWord) bool {
	op := w >> 10 & 63
	o.result(w, false)
	switch w.rm() {
	case 0: // RBIT, REV16, REV32 or REV, REV, CLZ, CLS
		o.Reads = SetOf(w.rn())
		return op <= 5 && (op != 3 || w.is64())
	case 1: // PACIA and so on sign Rd; XPACI has no modifier
		o.Reads = SetOf(w.rd())
		if op < 8 {
			o.Reads |= setSP(w.rn())
		}
		return w.is64() && op <= 17 && (op < 8 || w.rn() == 31)
	}
	return false
}

// Branches, exceptions and system (Arm ARM C4.1, "Branches, Exception
// Generating and System instructions").

func (o *Operands) branchImm(w operandWord) bool {
	o.Branch = true
	if w.is64() {
		o.Call = true
		o.Writes = SetOf(30)
	}
	return true
}

func (o *Operands) branchCond(w operandWord) bool {
	o.Branch = true
	o.Reads = setFlagsIf(w)
	return true
}

func (o *Operands) compareBranch(w operandWord) bool {
	o.Branch = true
	o.Reads = SetOf(w.rd())
	return true
}

// branchReg is BR, BLR, RET, ERET and their forms with pointer authentication,
// which have a modifier.
func (o *Operands) branchReg(w operandWord) bool {
	opc, op3, op4, rn := w>>21&15, w>>10&63, w&31, w.rn()
	if w>>16&31 != 31 {
		return false
	}
	o.Branch = true
	auth := op3 == 2 || op3 == 3
	switch {
	case opc == 4 && rn == 31 && op3 == 0 && op4 == 0: // ERET
		o.Reads, o.Addr = SetSystem, SetSystem
	case opc == 4 && rn == 31 && auth && op4 == 31: // ERETAA
		o.Reads, o.Addr = SetSystem|SetSP, SetSystem
	case opc <= 2 && op3 == 0 && op4 == 0: // BR, BLR, RET
		o.Addr = SetOf(rn)
	case opc <= 1 && auth && op4 == 31: // BRAAZ, BLRAAZ
		o.Addr = SetOf(rn)
	case opc == 2 && auth && op4 == 31 && rn == 31: // RETAA
		o.Addr = SetOf(30)
		o.Reads = SetSP
	case opc&^1 == 8 && auth: // BRAA, BLRAA
		o.Addr = SetOf(rn)
		o.Reads = setSP(w.rd())
	default:
		return false
	}
	o.Reads |= o.Addr
	switch {
	case opc == 4:
		// The new PSTATE, and with it the stack pointer that SP names.
		o.Context = true
		o.Writes = SetFlags | SetSystem | SetSP
	case opc&7 == 1:
		o.Call = true
		o.Writes = SetOf(30)
	}
	return true
}

func (o *Operands) exception(w operandWord) bool {
	o.Exception = true
	switch w & 0xffe0001f {
	case 0xd4000001, 0xd4000002, 0xd4000003, 0xd4200000, 0xd4400000:
		return true
	}
	return false
}

// hint is the hints, in which all that is not allocated is NOP. Those that sign
// or authenticate write what they read: the same, where pointer authentication
// is off.
func (o *Operands) hint(w operandWord) bool {
	const x16, x17, x30 = 1 << 16, 1 << 17, 1 << 30
	switch w >> 5 & 127 {
	case 7: // XPACLRI
		o.Reads, o.Writes = x30, x30
	case 8, 10, 12, 14: // PACIA1716, PACIB1716, AUTIA1716, AUTIB1716
		o.Reads, o.Writes = x16|x17, x17
	case 24, 26, 28, 30: // PACIAZ, PACIBZ, AUTIAZ, AUTIBZ
		o.Reads, o.Writes = x30, x30
	case 25, 27, 29, 31: // PACIASP, PACIBSP, AUTIASP, AUTIBSP
		o.Reads, o.Writes = x30|SetSP, x30
	case 40: // CHKFEAT
		o.Reads, o.Writes = x16, x16
	}
	return true
}

// barrier is CLREX, DSB, DMB, ISB and SB. Two DSB are not what they seem: SSBB
// and PSSBB order speculation, not accesses.
func (o *Operands) barrier(w operandWord) bool {
	crm := uint8(w >> 8 & 15)
	switch w >> 5 & 7 {
	case 2:
		o.Exclusive = true
		return true
	case 4:
		o.Barrier = crm&^4 != 0
		o.Waits = o.Barrier
	case 5:
		o.Barrier = true
	case 6:
		o.Context = true
		return true
	case 7:
		return crm == 0
	default:
		return false
	}
	if o.Barrier {
		o.Domain = crm
		if crm&3 == 0 { // reserved, and everything
			o.Domain = 15
		}
	}
	return true
}

func (o *Operands) msrImmediate(w operandWord) bool {
	switch w>>16&7<<3 | w>>5&7 {
	case 0, 1, 2: // CFINV, XAFLAG, AXFLAG
		o.Reads, o.Writes = SetFlags, SetFlags
	case 5: // SPSel
		o.Reads, o.Writes = SetSystem|SetSP, SetSystem|SetSP
	case 3, 4, 3<<3 | 1, 3<<3 | 2, 3<<3 | 4, 3<<3 | 6, 3<<3 | 7: // UAO, PAN, SSBS, DIT, TCO, DAIFSet, DAIFClr
		o.Writes = SetSystem
	default:
		return false
	}
	return true
}

// The system registers that are not, or not only, [SetSystem]: as MRS and MSR
// have them in bits 20:5.
const (
	operandNZCV   = 0xda10
	operandSPSel  = 0xc210
	operandRNDR   = 0xd920
	operandRNDRRS = 0xd921
)

func (o *Operands) mrs(w operandWord) bool {
	o.result(w, false)
	o.Reads = SetSystem
	switch w >> 5 & 0xffff {
	case operandNZCV:
		o.Reads = SetFlags
	case operandRNDR, operandRNDRRS: // say in the flags whether there was one
		o.Writes |= SetFlags
	}
	return true
}

func (o *Operands) msr(w operandWord) bool {
	o.Reads, o.Writes = SetOf(w.rd()), SetSystem
	switch w >> 5 & 0xffff {
	case operandNZCV:
		o.Writes = SetFlags
	case operandSPSel:
		o.Reads |= SetSystem | SetSP
		o.Writes |= SetSP
	}
	return true
}

// sys is cache and TLB maintenance and address translation (Arm ARM C5,
// "The A64 System Instruction Class").
func (o *Operands) sys(w operandWord) bool {
	op1, crn, crm, op2 := w>>16&7, w>>12&15, w>>8&15, w>>5&7
	o.Reads = SetOf(w.rd())
	byAddress := func() bool {
		o.Addr = SetOf(w.rd())
		if w.rd() != 31 {
			o.Base = w.rd()
		}
		return true
	}
	switch {
	case crn == 7 && op1 == 3 && crm == 4 && op2 == 1: // DC ZVA
		o.transfers(Stores, zeroBlock, 31)
		return byAddress()
	case crn == 7 && op1 == 3 && op2 == 1:
		switch crm {
		case 5, 10, 11, 12, 13, 14: // IC IVAU, DC CVAC, CVAU, CVAP, CVADP, CIVAC
			return byAddress()
		}
	case crn == 7 && op1 == 0 && crm == 6 && op2 == 1: // DC IVAC
		return byAddress()
	case crn == 7 && op1 == 0 && (crm == 6 || crm == 10 || crm == 14) && op2 == 2: // DC ISW, CSW, CISW
		return true
	case crn == 7 && op1 == 0 && (crm == 1 || crm == 5) && op2 == 0: // IC IALLUIS, IALLU
		return true
	case crn == 7 && op1 == 0 && (crm == 8 && op2 <= 3 || crm == 9 && op2 <= 1): // AT, to PAR_EL1
		o.Writes = SetSystem
		return byAddress()
	case crn == 8 && op1 == 0 && (crm == 3 || crm == 7) && op2 != 4 && op2 != 6: // TLBI
		return true
	}
	return false
}
