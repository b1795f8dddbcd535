// Package effects describes what each instruction reads and writes: the registers
// and the memory through which instructions depend on one another (Arm ARM
// B2.3, "Definition of the Arm memory model"), and what it does to the flow of
// control. Where package asm encodes an instruction, this package decodes it.
//
// Left out: floating point and SIMD, loads with pointer authentication, and
// SYS operations that kernels don't use on caches and TLBs. Nothing here has
// state; all of it is safe for any goroutine.
package effects

import "callops/asm"

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

// CacheOp is maintenance that changed instructions need before other CPUs fetch
// them (Arm ARM B2.7.4.2). Of other maintenance there is none: it makes no
// instruction visible.
type CacheOp uint8

const (
	NoCacheOp CacheOp = iota
	// CleanData is DC by address that cleans to the point of unification at least:
	// CVAU, CVAC, CVAP, CVADP, CIVAC.
	CleanData
	// InvalidateText is IC IVAU, and InvalidateAllText IC IALLUIS.
	InvalidateText
	InvalidateAllText
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

	Base   uint8   // NoReg if the address is PC-relative, or 0
	Index  uint8   // added to the base, or NoReg
	Extend asm.Ext // of Index: UXTW, UXTX, SXTW or SXTX
	Shift  uint8   // of Index, to the left, after it was extended
	Offset int64   // added to Base, or to the PC; with PostIndex added only to what is written back

	Size  uint8    // bytes of one element
	Count uint8    // elements, one after the other: 0 without an access, 2 for pairs, else 1
	Data  [2]uint8 // per element the register that it is loaded to or stored from

	// Of LoadsAndStores, Data is where the old value goes, and Source what the
	// new one is made from: by CAS it is stored if the old value is what Data
	// holds.
	Source [2]uint8

	// Status is the register in which an exclusive store reports whether it was
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

	Cache CacheOp // at Address, unless it is of all

	Context   bool // ISB, ERET: context synchronization event
	Branch    bool // may change the PC other than by 4; exceptions are Exception alone
	Call      bool // BL, BLR
	Exception bool // SVC, HVC, SMC, BRK, HLT
}

// Decode decodes word. ok is false for a word whose operands it doesn't
// know: what is unallocated, floating point and SIMD, loads with pointer
// authentication, SYS operations other than those kernels use on caches and
// TLBs. That ok is true does not say that a given processor has the
// instruction, or the system register.
//
// Forms that are CONSTRAINED UNPREDICTABLE (a base written back that is also
// loaded, say) are taken as they stand, every register in every role.
func Decode(word uint32) (o Operands, ok bool) {
	for _, i := range buckets[word>>25&15] {
		c := &classes[i]
		if word&c.mask != c.value {
			continue
		}
		o.none()
		if c.decode(&o, insn(word)) {
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
		case asm.UXTW:
			v = uint64(uint32(v))
		case asm.SXTW:
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
