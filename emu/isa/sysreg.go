package isa

import "callops/asm"

// Kind is how a system register of the machine behaves.
type Kind uint8

const (
	// Constant registers read as Value; writing is undefined or unsupported.
	Constant Kind = iota
	// Stored registers are kept, of what is written the bits of Mask, and have
	// no effect: they are for exceptions, translation and traps, none of which
	// guest code meets. Value is what they reset to.
	Stored
	// Live registers are part of the CPU's state.
	Live
)

// Register is a system register that guest code may read.
type Register struct {
	ID    asm.SysReg
	Kind  Kind
	Value uint64
	Mask  uint64
}

// ID makes a register's number, as in bits 20:5 of MRS and MSR.
func ID(op0, op1, crn, crm, op2 uint16) asm.SysReg {
	return asm.SysReg(op0<<14 | op1<<11 | crn<<7 | crm<<3 | op2)
}

// Registers of the machine that package asm does not name.
var (
	SPSel = ID(3, 0, 4, 2, 0)
	PAN   = ID(3, 0, 4, 2, 3)
	UAO   = ID(3, 0, 4, 2, 4)
)

// TCR is what TCR_EL1 reads as: 48-bit addresses in both halves, 4 KiB
// granules, write-back tables, 48-bit output, the top byte not ignored. Kernels
// built for 52-bit addresses ask it for the size of theirs.
const TCR = 16 | 16<<16 | 2<<30 | 5<<32 | 0x3500 | 0x3500<<16

const all64 = ^uint64(0)

// Registers are the system registers of the machine. The constants are those
// of QEMU 5.0's CPU model "max", so that all engines answer alike, without the features that
// engines do not execute: see [Features].
//
// Reserved ID registers (3, 0, 0, 1..7, x) that are not here read as zero.
var Registers = []Register{
	{asm.SP_EL0, Live, 0, 0},
	{asm.TPIDR_EL1, Live, 0, 0},
	{asm.TPIDR_EL0, Live, 0, 0},
	{asm.NZCV, Live, 0, 0},
	{asm.DAIF, Live, 0x3c0, 0}, // all masked
	{PAN, Live, 0, 0},
	{UAO, Live, 0, 0},

	{ID(3, 0, 1, 0, 0), Stored, 0xc50839, all64},   // SCTLR_EL1
	{ID(3, 0, 1, 0, 2), Stored, 0, all64},          // CPACR_EL1
	{ID(3, 0, 2, 0, 0), Stored, 0, all64},          // TTBR0_EL1
	{ID(3, 0, 2, 0, 1), Stored, 0, all64},          // TTBR1_EL1
	{ID(3, 0, 2, 0, 2), Stored, TCR, all64},        // TCR_EL1
	{ID(3, 0, 4, 0, 0), Stored, 0, all64},          // SPSR_EL1
	{ID(3, 0, 4, 0, 1), Stored, 0, all64},          // ELR_EL1
	{ID(3, 0, 5, 1, 0), Stored, 0, 0},              // AFSR0_EL1
	{ID(3, 0, 5, 1, 1), Stored, 0, 0},              // AFSR1_EL1
	{ID(3, 0, 5, 2, 0), Stored, 0, all64},          // ESR_EL1
	{ID(3, 0, 6, 0, 0), Stored, 0, all64},          // FAR_EL1
	{ID(3, 0, 7, 4, 0), Stored, 0, all64},          // PAR_EL1
	{ID(3, 0, 10, 2, 0), Stored, 0xff, all64},      // MAIR_EL1
	{ID(3, 0, 10, 3, 0), Stored, 0, 0},             // AMAIR_EL1
	{ID(3, 0, 12, 0, 0), Stored, 0, ^uint64(0x1f)}, // VBAR_EL1
	{ID(3, 0, 13, 0, 1), Stored, 0, all64},         // CONTEXTIDR_EL1
	{ID(3, 3, 13, 0, 3), Stored, 0, all64},         // TPIDRRO_EL0
	{ID(3, 0, 14, 1, 0), Stored, 0, all64},         // CNTKCTL_EL1

	{ID(2, 0, 0, 2, 2), Constant, 0, 0}, // MDSCR_EL1; to write it could step
	{asm.CNTVCT_EL0, Constant, 0, 0},    // constant to writers; reads as the count of instructions
	{SPSel, Constant, 1, 0},
	{asm.CurrentEL, Constant, 4, 0}, // EL1
	{asm.MIDR_EL1, Constant, 0xf0510, 0},
	{asm.MPIDR_EL1, Constant, 0x80000000, 0},
	{ID(3, 0, 0, 0, 6), Constant, 0, 0},     // REVIDR_EL1
	{ID(3, 0, 0, 1, 0), Constant, 0x131, 0}, // ID_PFR0_EL1, and so on
	{ID(3, 0, 0, 1, 1), Constant, 0x11011, 0},
	{ID(3, 0, 0, 1, 2), Constant, 0x5010066, 0},
	{ID(3, 0, 0, 1, 4), Constant, 0x10101105, 0},
	{ID(3, 0, 0, 1, 5), Constant, 0x40000000, 0},
	{ID(3, 0, 0, 1, 6), Constant, 0x1260000, 0},
	{ID(3, 0, 0, 1, 7), Constant, 0x2122211, 0},
	{ID(3, 0, 0, 2, 0), Constant, 0x2101110, 0},
	{ID(3, 0, 0, 2, 1), Constant, 0x13112111, 0},
	{ID(3, 0, 0, 2, 2), Constant, 0x21232042, 0},
	{ID(3, 0, 0, 2, 3), Constant, 0x1112131, 0},
	{ID(3, 0, 0, 2, 4), Constant, 0x11142, 0},
	{ID(3, 0, 0, 2, 5), Constant, 0x11011121, 0},
	{ID(3, 0, 0, 2, 6), Constant, 0x11010, 0},
	{ID(3, 0, 0, 2, 7), Constant, 0x11111, 0},
	{ID(3, 0, 0, 3, 0), Constant, 0x10110222, 0},
	{ID(3, 0, 0, 3, 1), Constant, 0x12111111, 0},
	{ID(3, 0, 0, 3, 2), Constant, 0x43, 0},
	{ID(3, 0, 0, 4, 0), Constant, 0xff2222, 0},           // ID_AA64PFR0_EL1; see Features
	{ID(3, 0, 0, 4, 1), Constant, 0x1, 0},                // ID_AA64PFR1_EL1
	{ID(3, 0, 0, 5, 0), Constant, 0x10305506, 0},         // ID_AA64DFR0_EL1
	{ID(3, 0, 0, 6, 0), Constant, 0x0020000000210000, 0}, // ID_AA64ISAR0_EL1; see Features
	{ID(3, 0, 0, 6, 1), Constant, 0x11000200002, 0},      // ID_AA64ISAR1_EL1; see Features
	{ID(3, 0, 0, 7, 0), Constant, 0x1124, 0},             // ID_AA64MMFR0_EL1
	{ID(3, 0, 0, 7, 1), Constant, 0x211120, 0},           // ID_AA64MMFR1_EL1
	{ID(3, 0, 0, 7, 2), Constant, 0x11, 0},               // ID_AA64MMFR2_EL1
	{ID(3, 0, 12, 1, 0), Constant, 0, 0},                 // ISR_EL1
	{ID(3, 1, 0, 0, 0), Constant, 0x701fe00a, 0},         // CCSIDR_EL1
	{ID(3, 1, 0, 0, 1), Constant, 0xa200023, 0},          // CLIDR_EL1
	{ID(3, 1, 0, 0, 7), Constant, 0, 0},                  // AIDR_EL1
	{ID(3, 2, 0, 0, 0), Constant, 0, 0},                  // CSSELR_EL1; CCSIDR_EL1 is the first cache's
	{asm.CTR_EL0, Constant, 0x8444c004, 0},
	{asm.DCZID_EL0, Constant, 4, 0},             // blocks of 64 bytes
	{ID(3, 3, 14, 0, 0), Constant, 62500000, 0}, // CNTFRQ_EL0
}

var byID = func() map[asm.SysReg]Register {
	m := make(map[asm.SysReg]Register, len(Registers))
	for _, r := range Registers {
		m[r.ID] = r
	}
	return m
}()

// Lookup finds a register of the machine; reserved ID registers are among
// them.
func Lookup(id asm.SysReg) (Register, bool) {
	if r, ok := byID[id]; ok {
		return r, true
	}
	return Register{ID: id}, id >= ID(3, 0, 0, 1, 0) && id <= ID(3, 0, 0, 7, 7)
}

// others are registers that the CPU model has and the machine does not, or not
// to write, given as op0, op1, CRn, CRm and op2, -1 standing for any.
var others = [][5]int{
	{2, -1, -1, -1, -1}, // debug
	{3, 0, 1, 0, -1},    // ACTLR_EL1
	{3, 0, 2, -1, -1},   // keys of pointer authentication
	{3, 0, 9, 14, -1},   // performance monitors
	{3, 3, 9, -1, -1},
	{3, 3, 14, 8, -1},
	{3, 3, 14, 12, -1},
	{3, 3, 14, 15, -1},
	{3, 0, 4, 2, 0},   // SPSel (to write)
	{3, 2, 0, 0, 0},   // CSSELR_EL1 (to write)
	{3, 0, 10, 4, -1}, // LORegions
	{3, 3, 2, 4, -1},  // RNDR, RNDRRS
	{3, 3, 4, 4, -1},  // FPCR, FPSR
	{3, 3, 14, 0, 1},  // CNTPCT_EL0, which no two engines could agree on
	{3, 3, 14, 2, -1}, // timers
	{3, 3, 14, 3, -1},
}

// beyond is the class of an access to a register that the machine does not
// allow.
func beyond(id asm.SysReg) Class {
	fields := [5]int{int(id >> 14), int(id >> 11 & 7), int(id >> 7 & 15), int(id >> 3 & 15), int(id & 7)}
next:
	for _, o := range others {
		for i, f := range fields {
			if o[i] >= 0 && o[i] != f {
				continue next
			}
		}
		return Unsupported
	}
	return Undefined
}
