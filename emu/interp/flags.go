package interp

import "math/bits"

// The flags as NZCV holds them in bits 31:28.
const (
	flagN = 8
	flagZ = 4
	flagC = 2
	flagV = 1
)

// flags hold NZCV as what it follows from, since most flags are never looked
// at. 32-bit operands stand in the upper halves, where they give the same
// flags; a logical result r is the sum r+0.
type flags struct {
	a, b uint64
	kind flagKind
}

type flagKind uint64

const (
	flagsValue flagKind = iota // a is NZCV
	flagsSub                   // of a-b
	flagsAdd                   // of a+b
)

func (f *flags) set(nzcv uint32) { f.a, f.kind = uint64(nzcv), flagsValue }

// get works the flags out and keeps them.
func (f *flags) get() uint32 {
	switch f.kind {
	case flagsSub:
		_, nzcv := addWithCarry64(f.a, ^f.b, 1)
		f.set(nzcv)
	case flagsAdd:
		_, nzcv := addWithCarry64(f.a, f.b, 0)
		f.set(nzcv)
	}
	return uint32(f.a)
}

func bit(b bool, v uint32) uint32 {
	if b {
		return v
	}
	return 0
}

// addWithCarry64 is the Arm ARM's AddWithCarry.
func addWithCarry64(a, b, carry uint64) (uint64, uint32) {
	r, out := bits.Add64(a, b, carry)
	return r, uint32(r>>63)*flagN | bit(r == 0, flagZ) | uint32(out)*flagC | uint32((a^r)&(b^r)>>63)*flagV
}

func addWithCarry32(a, b, carry uint32) (uint32, uint32) {
	r, out := bits.Add32(a, b, carry)
	return r, r>>31*flagN | bit(r == 0, flagZ) | out*flagC | (a^r)&(b^r)>>31*flagV
}

// logicFlags64 are the flags of a logical result.
func logicFlags64(r uint64) uint32 { return uint32(r>>63)*flagN | bit(r == 0, flagZ) }

func logicFlags32(r uint32) uint32 { return r>>31*flagN | bit(r == 0, flagZ) }

// What holds after a comparison, in an order that is cheap to come by: bit 0 is
// Z, bit 1 not C (lower), bit 2 N != V (less than), bit 3 N. condMasks has for
// each condition a bit for each combination; haves are those of NZCV.
var (
	condMasks [16]uint16
	haves     [16]uint8
)

func init() {
	for nzcv := range uint32(16) {
		n, v := nzcv>>3, nzcv&1
		have := nzcv>>2&1 | (nzcv>>1&1^1)<<1 | (n^v)<<2 | n<<3
		haves[nzcv] = uint8(have)
		for cond := range condMasks {
			condMasks[cond] |= uint16(bit(condHolds(uint32(cond), nzcv), 1<<have))
		}
	}
}

// condHolds is the Arm ARM's ConditionHolds.
func condHolds(cond, nzcv uint32) bool {
	n, z, c, v := nzcv&flagN != 0, nzcv&flagZ != 0, nzcv&flagC != 0, nzcv&flagV != 0
	var holds bool
	switch cond >> 1 {
	case 0:
		holds = z
	case 1:
		holds = c
	case 2:
		holds = n
	case 3:
		holds = v
	case 4:
		holds = c && !z
	case 5:
		holds = n == v
	case 6:
		holds = n == v && !z
	case 7:
		return true // also 15, NV
	}
	return holds != (cond&1 == 1)
}

// cond evaluates a condition on the flags as they are.
func (c *CPU) cond(cond uint32) bool { return condHolds(cond, c.flags.get()) }
