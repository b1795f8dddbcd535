package effects

// pstate is what MSR (immediate) changes, by op1:op2.
var pstate = map[insn]struct{ reads, writes RegSet }{
	0:        {SetFlags, SetFlags},                   // CFINV
	1:        {SetFlags, SetFlags},                   // XAFLAG
	2:        {SetFlags, SetFlags},                   // AXFLAG
	3:        {0, SetSystem},                         // UAO
	4:        {0, SetSystem},                         // PAN
	5:        {SetSystem | SetSP, SetSystem | SetSP}, // SPSel
	3<<3 | 1: {0, SetSystem},                         // SSBS
	3<<3 | 2: {0, SetSystem},                         // DIT
	3<<3 | 4: {0, SetSystem},                         // TCO
	3<<3 | 6: {0, SetSystem},                         // DAIFSet
	3<<3 | 7: {0, SetSystem},                         // DAIFClr
}

func (o *Operands) msrImmediate(w insn) bool {
	field, ok := pstate[w>>16&7<<3|w>>5&7]
	o.Reads, o.Writes = field.reads, field.writes
	return ok
}

// The system registers that are not, or not only, [SetSystem]: as MRS and MSR
// have them in bits 20:5.
const (
	regNZCV   = 0xda10
	regSPSel  = 0xc210
	regRNDR   = 0xd920
	regRNDRRS = 0xd921
)

func (o *Operands) mrs(w insn) bool {
	o.result(w, false)
	o.Reads = SetSystem
	switch w >> 5 & 0xffff {
	case regNZCV:
		o.Reads = SetFlags
	case regRNDR, regRNDRRS: // report in the flags whether there was one
		o.Writes |= SetFlags
	}
	return true
}

func (o *Operands) msr(w insn) bool {
	o.Reads, o.Writes = SetOf(w.rd()), SetSystem
	switch w >> 5 & 0xffff {
	case regNZCV:
		o.Writes = SetFlags
	case regSPSel:
		o.Reads |= SetSystem | SetSP
		o.Writes |= SetSP
	}
	return true
}

// operand is what a SYS operation works on.
type operand uint8

const (
	onAll      operand = iota + 1 // or on what the register names by other than an address
	onAddress                     // on the address in the register
	translates                    // the address, to PAR_EL1
	zeroes                        // the block around the address
)

// sysOp is bits 18:5 of a SYS operation.
func sysOp(op1, crn, crm, op2 insn) insn { return op1<<11 | crn<<7 | crm<<3 | op2 }

// sysOps are the operations that kernels use (Arm ARM C5, "The A64 System
// Instruction Class").
var sysOps = map[insn]struct {
	operand operand
	cache   CacheOp
}{
	sysOp(0, 7, 1, 0):  {onAll, InvalidateAllText},  // IC IALLUIS
	sysOp(0, 7, 5, 0):  {onAll, NoCacheOp},          // IC IALLU: of its own CPU alone
	sysOp(3, 7, 5, 1):  {onAddress, InvalidateText}, // IC IVAU
	sysOp(0, 7, 6, 1):  {onAddress, NoCacheOp},      // DC IVAC
	sysOp(0, 7, 6, 2):  {onAll, NoCacheOp},          // DC ISW
	sysOp(0, 7, 10, 2): {onAll, NoCacheOp},          // DC CSW
	sysOp(0, 7, 14, 2): {onAll, NoCacheOp},          // DC CISW
	sysOp(3, 7, 4, 1):  {zeroes, NoCacheOp},         // DC ZVA
	sysOp(3, 7, 10, 1): {onAddress, CleanData},      // DC CVAC
	sysOp(3, 7, 11, 1): {onAddress, CleanData},      // DC CVAU
	sysOp(3, 7, 12, 1): {onAddress, CleanData},      // DC CVAP
	sysOp(3, 7, 13, 1): {onAddress, CleanData},      // DC CVADP
	sysOp(3, 7, 14, 1): {onAddress, CleanData},      // DC CIVAC

	sysOp(0, 7, 8, 0): {translates, NoCacheOp}, // AT S1E1R
	sysOp(0, 7, 8, 1): {translates, NoCacheOp}, // AT S1E1W
	sysOp(0, 7, 8, 2): {translates, NoCacheOp}, // AT S1E0R
	sysOp(0, 7, 8, 3): {translates, NoCacheOp}, // AT S1E0W
	sysOp(0, 7, 9, 0): {translates, NoCacheOp}, // AT S1E1RP
	sysOp(0, 7, 9, 1): {translates, NoCacheOp}, // AT S1E1WP

	sysOp(0, 8, 3, 0): {onAll, NoCacheOp}, // TLBI VMALLE1IS
	sysOp(0, 8, 3, 1): {onAll, NoCacheOp}, // TLBI VAE1IS
	sysOp(0, 8, 3, 2): {onAll, NoCacheOp}, // TLBI ASIDE1IS
	sysOp(0, 8, 3, 3): {onAll, NoCacheOp}, // TLBI VAAE1IS
	sysOp(0, 8, 3, 5): {onAll, NoCacheOp}, // TLBI VALE1IS
	sysOp(0, 8, 3, 7): {onAll, NoCacheOp}, // TLBI VAALE1IS
	sysOp(0, 8, 7, 0): {onAll, NoCacheOp}, // TLBI VMALLE1
	sysOp(0, 8, 7, 1): {onAll, NoCacheOp}, // TLBI VAE1
	sysOp(0, 8, 7, 2): {onAll, NoCacheOp}, // TLBI ASIDE1
	sysOp(0, 8, 7, 3): {onAll, NoCacheOp}, // TLBI VAAE1
	sysOp(0, 8, 7, 5): {onAll, NoCacheOp}, // TLBI VALE1
	sysOp(0, 8, 7, 7): {onAll, NoCacheOp}, // TLBI VAALE1
}

// sys is cache and TLB maintenance and address translation.
func (o *Operands) sys(w insn) bool {
	op := sysOps[w>>5&(1<<14-1)]
	o.Reads = SetOf(w.rd())
	o.Cache = op.cache
	switch op.operand {
	case 0, onAll:
		return op.operand == onAll
	case zeroes:
		o.transfers(Stores, zeroBlock, 31)
	case translates:
		o.Writes = SetSystem
	}
	o.Addr = SetOf(w.rd())
	if w.rd() != 31 {
		o.Base = w.rd()
	}
	return true
}
