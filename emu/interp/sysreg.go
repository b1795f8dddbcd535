package interp

// sysregs are the system registers that guest code can change.
type sysregs struct {
	daif     uint64 // as DAIF reads, bits 9:6
	pan, uao bool   // of PSTATE

	stored [numStored]uint64
}

func (s *sysregs) reset(int) {
	s.daif = 0x3c0 // all masked, as after a reset
	s.stored[storedMAIR] = 0xff
}

// Registers of which this engine only keeps the value: they are for exceptions,
// translation and debuggers, none of which it has.
const (
	storedSPSR = iota
	storedELR
	storedAFSR0
	storedAFSR1
	storedESR
	storedFAR
	storedPAR
	storedMAIR
	storedAMAIR
	storedVBAR
	storedContextID
	storedTPIDRRO
	storedCNTKCTL
	storedCSSELR
	storedMDSCR

	numStored
)

// sysregID is op0:op1:CRn:CRm:op2, as in bits 20:5 of MRS and MSR.
type sysregID uint16

func sysregOf(w uint32) sysregID { return sysregID(w >> 5) }

func sysreg(op0, op1, crn, crm, op2 uint16) sysregID {
	return sysregID(op0<<14 | op1<<11 | crn<<7 | crm<<3 | op2)
}

var (
	regSPSel     = sysreg(3, 0, 4, 2, 0)
	regCurrentEL = sysreg(3, 0, 4, 2, 2)
	regPAN       = sysreg(3, 0, 4, 2, 3)
	regUAO       = sysreg(3, 0, 4, 2, 4)
	regSPEL0     = sysreg(3, 0, 4, 1, 0)
	regTPIDREL1  = sysreg(3, 0, 13, 0, 4)
	regTPIDREL0  = sysreg(3, 3, 13, 0, 2)
	regNZCV      = sysreg(3, 3, 4, 2, 0)
	regDAIF      = sysreg(3, 3, 4, 2, 1)
	regCNTVCT    = sysreg(3, 3, 14, 0, 2)
)

var storedRegs = map[sysregID]int{
	sysreg(3, 0, 4, 0, 0):  storedSPSR,
	sysreg(3, 0, 4, 0, 1):  storedELR,
	sysreg(3, 0, 5, 1, 0):  storedAFSR0,
	sysreg(3, 0, 5, 1, 1):  storedAFSR1,
	sysreg(3, 0, 5, 2, 0):  storedESR,
	sysreg(3, 0, 6, 0, 0):  storedFAR,
	sysreg(3, 0, 7, 4, 0):  storedPAR,
	sysreg(3, 0, 10, 2, 0): storedMAIR,
	sysreg(3, 0, 10, 3, 0): storedAMAIR,
	sysreg(3, 0, 12, 0, 0): storedVBAR,
	sysreg(3, 0, 13, 0, 1): storedContextID,
	sysreg(3, 3, 13, 0, 3): storedTPIDRRO,
	sysreg(3, 0, 14, 1, 0): storedCNTKCTL,
	sysreg(3, 2, 0, 0, 0):  storedCSSELR,
	sysreg(2, 0, 0, 2, 2):  storedMDSCR,
}

// constantRegs read as those of QEMU 5.0's CPU model "max", so that both
// engines answer alike. Registers 3,0,0,1..7,x that are not here are reserved
// ID registers and read as zero.
var constantRegs = map[sysregID]uint64{
	regSPSel:               1,
	regCurrentEL:           4,          // EL1
	sysreg(3, 0, 0, 0, 0):  0xf0510,    // MIDR_EL1
	sysreg(3, 0, 0, 0, 5):  0x80000000, // MPIDR_EL1
	sysreg(3, 0, 0, 0, 6):  0,          // REVIDR_EL1
	sysreg(3, 0, 0, 1, 0):  0x131,      // ID_PFR0_EL1, and so on
	sysreg(3, 0, 0, 1, 1):  0x11011,
	sysreg(3, 0, 0, 1, 2):  0x5010066,
	sysreg(3, 0, 0, 1, 4):  0x10101105,
	sysreg(3, 0, 0, 1, 5):  0x40000000,
	sysreg(3, 0, 0, 1, 6):  0x1260000,
	sysreg(3, 0, 0, 1, 7):  0x2122211,
	sysreg(3, 0, 0, 2, 0):  0x2101110,
	sysreg(3, 0, 0, 2, 1):  0x13112111,
	sysreg(3, 0, 0, 2, 2):  0x21232042,
	sysreg(3, 0, 0, 2, 3):  0x1112131,
	sysreg(3, 0, 0, 2, 4):  0x11142,
	sysreg(3, 0, 0, 2, 5):  0x11011121,
	sysreg(3, 0, 0, 2, 6):  0x11010,
	sysreg(3, 0, 0, 2, 7):  0x11111,
	sysreg(3, 0, 0, 3, 0):  0x10110222,
	sysreg(3, 0, 0, 3, 1):  0x12111111,
	sysreg(3, 0, 0, 3, 2):  0x43,
	sysreg(3, 0, 0, 4, 0):  0x100112222,        // ID_AA64PFR0_EL1
	sysreg(3, 0, 0, 4, 1):  0x1,                // ID_AA64PFR1_EL1
	sysreg(3, 0, 0, 5, 0):  0x10305506,         // ID_AA64DFR0_EL1
	sysreg(3, 0, 0, 6, 0):  0x1021111110212120, // ID_AA64ISAR0_EL1
	sysreg(3, 0, 0, 6, 1):  0x11101211012,      // ID_AA64ISAR1_EL1
	sysreg(3, 0, 0, 7, 0):  0x1124,             // ID_AA64MMFR0_EL1
	sysreg(3, 0, 0, 7, 1):  0x211120,           // ID_AA64MMFR1_EL1
	sysreg(3, 0, 0, 7, 2):  0x11,               // ID_AA64MMFR2_EL1
	sysreg(3, 0, 1, 0, 0):  0xc50839,           // SCTLR_EL1
	sysreg(3, 0, 12, 1, 0): 0,                  // ISR_EL1
	sysreg(3, 1, 0, 0, 0):  0x701fe00a,         // CCSIDR_EL1
	sysreg(3, 1, 0, 0, 1):  0xa200023,          // CLIDR_EL1
	sysreg(3, 1, 0, 0, 7):  0,                  // AIDR_EL1
	sysreg(3, 3, 0, 0, 1):  0x8444c004,         // CTR_EL0
	sysreg(3, 3, 0, 0, 7):  4,                  // DCZID_EL0: blocks of 64 bytes
	sysreg(3, 3, 14, 0, 0): 62500000,           // CNTFRQ_EL0
}

// beyond are registers that the CPU model has and this engine does not, given
// as op0, op1, CRn, CRm and op2, -1 standing for any.
var beyond = [][5]int{
	{2, -1, -1, -1, -1}, // debug
	{3, 0, 1, 0, -1},    // SCTLR_EL1 (to write), ACTLR_EL1, CPACR_EL1
	{3, 0, 2, -1, -1},   // translation tables, keys of pointer authentication
	{3, 0, 9, 14, -1},   // performance monitors
	{3, 3, 9, -1, -1},
	{3, 3, 14, 8, -1},
	{3, 3, 14, 12, -1},
	{3, 3, 14, 15, -1},
	{3, 0, 10, 4, -1}, // LORegions
	{3, 3, 2, 4, -1},  // RNDR, RNDRRS
	{3, 3, 4, 4, -1},  // FPCR, FPSR
	{3, 3, 14, 0, 1},  // CNTPCT_EL0, which no two engines could agree on
	{3, 3, 14, 2, -1}, // timers
	{3, 3, 14, 3, -1},
}

// otherwise is how access to a register ends that is not handled.
func (id sysregID) otherwise() stop {
	fields := [5]int{int(id >> 14), int(id >> 11 & 7), int(id >> 7 & 15), int(id >> 3 & 15), int(id & 7)}
next:
	for _, b := range beyond {
		for i, f := range fields {
			if b[i] >= 0 && b[i] != f {
				continue next
			}
		}
		return stopUnsupported
	}
	return stopUndefined
}

func execMrs(c *CPU, w uint32) stop {
	id := sysregOf(w)
	v, ok := c.readSysreg(id)
	if !ok {
		return id.otherwise()
	}
	c.setReg(fieldRd(w), v)
	return stopNone
}

func (c *CPU) readSysreg(id sysregID) (uint64, bool) {
	switch id {
	case regSPEL0:
		return c.x[slotSPEL0], true
	case regTPIDREL1:
		return c.x[slotTPIDREL1], true
	case regTPIDREL0:
		return c.x[slotTPIDREL0], true
	case regNZCV:
		return uint64(c.flags.get()) << 28, true
	case regDAIF:
		return c.sys.daif, true
	case regCNTVCT:
		return c.count, true
	case regPAN:
		return uint64(bit(c.sys.pan, 1<<22)), true
	case regUAO:
		return uint64(bit(c.sys.uao, 1<<23)), true
	}
	if i, ok := storedRegs[id]; ok {
		return c.sys.stored[i], true
	}
	if v, ok := constantRegs[id]; ok {
		return v, true
	}
	// Reserved ID registers.
	return 0, id >= sysreg(3, 0, 0, 1, 0) && id <= sysreg(3, 0, 0, 7, 7)
}

func execMsr(c *CPU, w uint32) stop {
	id, v := sysregOf(w), c.reg(fieldRd(w))
	switch id {
	case regSPEL0:
		c.x[slotSPEL0] = v
	case regTPIDREL1:
		c.x[slotTPIDREL1] = v
	case regTPIDREL0:
		c.x[slotTPIDREL0] = v
	case regNZCV:
		c.flags.set(uint32(v) >> 28)
	case regDAIF:
		c.sys.daif = v & 0x3c0
	case regPAN:
		c.sys.pan = v>>22&1 == 1
	case regUAO:
		c.sys.uao = v>>23&1 == 1
	case regSPSel:
		if v&1 == 0 {
			return stopUnsupported // see msrImmediate
		}
	default:
		i, ok := storedRegs[id]
		if !ok {
			return id.otherwise()
		}
		c.sys.stored[i] = v
	}
	return stopNone
}

// registerSlots are the system registers that are in the register file, where
// reading and writing them is as cheap as any move: kernel code takes the
// current task and the per-CPU base from them all the time.
var registerSlots = map[sysregID]uint8{regSPEL0: slotSPEL0, regTPIDREL1: slotTPIDREL1, regTPIDREL0: slotTPIDREL0}

func fastMrs(w uint32, _ uint64) inst {
	slot, ok := registerSlots[sysregOf(w)]
	if !ok {
		return inst{}
	}
	return inst{op: opMov64, rd: slotD(w), rn: slot}
}

func fastMsr(w uint32, _ uint64) inst {
	slot, ok := registerSlots[sysregOf(w)]
	if !ok {
		return inst{}
	}
	return inst{op: opMov64, rd: slot, rn: uint8(fieldRd(w))}
}
