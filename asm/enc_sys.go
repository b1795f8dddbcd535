package asm

// Hints, barriers, exceptions, system registers, cache maintenance.

// Hint is hint #n, n below 128. Unallocated hints execute as nop.
func Hint(n int) Inst { return enc("hint", 0xd503201f).imm("hint", n, 7, 5).inst() }

// Nop does nothing.
func Nop() Inst { return enc("nop", NOP).inst() }

// Yield hints that a spin loop can give way.
func Yield() Inst { return enc("yield", 0xd503203f).inst() }

// Paciasp signs LR with SP; a nop where pointer authentication is off.
func Paciasp() Inst { return enc("paciasp", 0xd503233f).inst() }

// Autiasp authenticates LR with SP; a nop where pointer authentication is off.
func Autiasp() Inst { return enc("autiasp", 0xd50323bf).inst() }

// BTIKind is which indirect branches may land on a BTI.
type BTIKind uint8

const (
	BTINone BTIKind = iota
	BTIC            // calls
	BTIJ            // jumps
	BTIJC           // both
)

// Bti is a branch target; a nop where BTI is off.
func Bti(k BTIKind) Inst { return enc("bti", btiWord).imm("kind", int(k), 2, 6).inst() }

// Barrier is the domain and access type of [Dmb] and [Dsb].
type Barrier uint8

const (
	OSHLD Barrier = 1
	OSHST Barrier = 2
	OSH   Barrier = 3
	NSHLD Barrier = 5
	NSHST Barrier = 6
	NSH   Barrier = 7
	ISHLD Barrier = 9
	ISHST Barrier = 10
	ISH   Barrier = 11
	LD    Barrier = 13
	ST    Barrier = 14
	SY    Barrier = 15
)

// Dmb orders memory accesses.
func Dmb(opt Barrier) Inst { return barrier("dmb", 0xd50330bf, opt) }

// Dsb waits for memory accesses and maintenance to complete.
func Dsb(opt Barrier) Inst { return barrier("dsb", 0xd503309f, opt) }

func barrier(op string, word uint32, opt Barrier) Inst {
	e := enc(op, word)
	if opt&3 == 0 {
		// dsb #0 and #4 are ssbb and pssbb, the other two reserved.
		e.fail(ErrImmediate, "option %d names no domain and access type", opt)
	}
	return e.imm("option", int(opt), 4, 8).inst()
}

// Isb is a context synchronization event.
func Isb() Inst { return enc("isb", 0xd5033fdf).inst() }

func exception(op string, word uint32, imm16 uint16) Inst {
	return enc(op, word).or(uint32(imm16) << 5).inst()
}

// Svc calls EL1.
func Svc(imm16 uint16) Inst { return exception("svc", 0xd4000001, imm16) }

// Hvc calls EL2.
func Hvc(imm16 uint16) Inst { return exception("hvc", 0xd4000002, imm16) }

// Smc calls EL3.
func Smc(imm16 uint16) Inst { return exception("smc", 0xd4000003, imm16) }

// Brk is a software breakpoint.
func Brk(imm16 uint16) Inst { return exception("brk", opBRK, imm16) }

// Hlt halts into the debugger, or is undefined.
func Hlt(imm16 uint16) Inst { return exception("hlt", 0xd4400000, imm16) }

// SysReg is a system register: op0:op1:CRn:CRm:op2, of 2, 3, 4, 4 and 3 bits; an
// op2 of zero is left out below.
type SysReg uint16

const (
	MIDR_EL1   SysReg = 3<<14 | 0<<11 | 0<<7 | 0<<3
	MPIDR_EL1  SysReg = 3<<14 | 0<<11 | 0<<7 | 0<<3 | 5
	SP_EL0     SysReg = 3<<14 | 0<<11 | 4<<7 | 1<<3
	CurrentEL  SysReg = 3<<14 | 0<<11 | 4<<7 | 2<<3 | 2
	TPIDR_EL1  SysReg = 3<<14 | 0<<11 | 13<<7 | 0<<3 | 4
	CTR_EL0    SysReg = 3<<14 | 3<<11 | 0<<7 | 0<<3 | 1
	DCZID_EL0  SysReg = 3<<14 | 3<<11 | 0<<7 | 0<<3 | 7
	NZCV       SysReg = 3<<14 | 3<<11 | 4<<7 | 2<<3
	DAIF       SysReg = 3<<14 | 3<<11 | 4<<7 | 2<<3 | 1
	TPIDR_EL0  SysReg = 3<<14 | 3<<11 | 13<<7 | 0<<3 | 2
	CNTVCT_EL0 SysReg = 3<<14 | 3<<11 | 14<<7 | 0<<3 | 2
)

func system(op string, word uint32, rt Reg, r SysReg) Inst {
	e := enc(op, word).need(true, rt).gp(rt, 0).or(uint32(r) << 5)
	if r>>14 < 2 {
		// Below op0 2 the same bits are hints, barriers and sys.
		e.fail(ErrImmediate, "%#x is not a system register", uint16(r))
	}
	return e.inst()
}

// Mrs reads a system register.
func Mrs(rt Reg, r SysReg) Inst { return system("mrs", 0xd5200000, rt, r) }

// Msr writes a system register.
func Msr(r SysReg, rt Reg) Inst { return system("msr", 0xd5000000, rt, r) }

func maintain(op string, word uint32, rt Reg) Inst {
	return enc(op, word).need(true, rt).gp(rt, 0).inst()
}

// DcCvau cleans the data cache line at rt to the point of unification.
func DcCvau(rt Reg) Inst { return maintain("dc cvau", 0xd50b7b20, rt) }

// DcCivac cleans and invalidates the data cache line at rt.
func DcCivac(rt Reg) Inst { return maintain("dc civac", 0xd50b7e20, rt) }

// DcZva zeroes the block at rt whose size DCZID_EL0 gives.
func DcZva(rt Reg) Inst { return maintain("dc zva", 0xd50b7420, rt) }

// IcIvau invalidates the instruction cache line at rt.
func IcIvau(rt Reg) Inst { return maintain("ic ivau", 0xd50b7520, rt) }

// IcIallu invalidates this CPU's instruction cache.
func IcIallu() Inst { return enc("ic iallu", 0xd508751f).inst() }
