package effects

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

// Has reports whether every register of other is in s.
func (s RegSet) Has(other RegSet) bool { return s&other == other }

// setSP is the set of a register where 31 is SP.
func setSP(n uint8) RegSet { return 1 << n }
