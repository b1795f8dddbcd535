package isa

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/assert"

	"callops/asm"
)

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		class Class
		words map[string]uint32
	}{
		{Executed, map[string]uint32{
			"add": 0x8b010000, "ldr": 0xf9400000, "b": 0x14000001, "b.eq": 0x54000040, "cbz": 0xb4000040, "tbz": 0x36000040,
			"br": 0xd61f0000, "blr": 0xd63f0020, "ret": 0xd65f03c0, "retaa": 0xd65f0bff, "braa": 0xd71f0801, "blraaz": 0xd63f081f,
			"svc": 0xd4000001, "hvc": 0xd4000002, "smc": 0xd4000003, "brk": 0xd4200000, "hlt": 0xd4400000,
			"nop": 0xd503201f, "wfi": 0xd503207f, "isb": 0xd5033fdf, "clrex": 0xd503305f,
			"msr daifset": 0xd5034fdf, "msr spsel, #1": 0xd50041bf, "cfinv": 0xd500401f,
			"dc zva": 0xd50b7420, "dc civac": 0xd50b7e20, "ic ialluis": 0xd508711f, "tlbi vmalle1": 0xd508871f,
			"mrs sctlr_el1": 0xd5381000, "mrs tcr_el1": 0xd5382040, "msr sctlr_el1": 0xd5181000, "msr tcr_el1": 0xd5182040,
			"msr ttbr0_el1": 0xd5182000, "mrs ttbr1_el1": 0xd5382020, "msr cpacr_el1": 0xd5181040, "msr vbar_el1": 0xd518c000, "mrs id_aa64zfr0_el1": 0xd5380480,
		}},
		{Unsupported, map[string]uint32{
			"fadd": 0x1e612800, "fmov": 0x9e670000, "add v0.16b": 0x4e208400, "sha512h": 0xce608000, "ptrue": 0x2518e3e0,
			"ldr q0": 0x3dc00020, "ldp d0, d1": 0x6d400420, "ld1": 0x4c407020, "ldr q0, .": 0x9c000000,
			"eret": 0xd69f03e0, "eretab": 0xd69f0fff, "msr spsel, #0": 0xd50040bf, "at s1e1r": 0xd5087800,
			"msr actlr_el1": 0xd5181020, "msr apiakeylo_el1": 0xd5182100, "msr dbgbcr1_el1": 0xd51001a0, "msr mdscr_el1": 0xd5100240, "msr spsel, x0": 0xd5184200, "mrs pmccntr_el0": 0xd53b9d00,
		}},
		{Undefined, map[string]uint32{
			"udf": 0, "all ones": ^uint32(0), "dcps1": 0xd4a00001, "drps": 0xd6bf03e0, "retaa x1": 0xd65f083f, "br with op4": 0xd61f0001,
			"msr midr_el1": 0xd5180000, "mrs vbar_el2": 0xd53cc000, "msr cntvct_el0": 0xd51be040, "tlbi vae2": 0xd50c8720,
			"barrier in another register": 0xd503309e, "ldr of no kind": 0x3ca00400,
		}},
	} {
		for text, w := range c.words {
			assert.Equal(t, c.class, Classify(w), "%s: %#08x", text, w)
		}
	}
}

// Two rows that a word can both match would make their order matter.
func TestRows_AreInTheirGroupsAndDoNotOverlap(t *testing.T) {
	for _, rows := range groups {
		for i, a := range rows {
			assert.Zero(t, a.value&^a.mask, "%#08x", a.value)
			for _, b := range rows[:i] {
				common := a.mask & b.mask
				assert.NotEqual(t, a.value&common, b.value&common, "%#08x and %#08x", a.value, b.value)
			}
		}
	}
	for _, rows := range [][]row{branches, vectorMemory, vector} {
		for _, r := range rows {
			free := ^r.mask & (15 << 25)
			for n := range uint32(1) << bits.OnesCount32(free) {
				w := r.value | scatter(n, free)
				if c := Classify(w); r.decide == nil {
					assert.Equal(t, r.class, c, "%#08x", w)
				}
			}
		}
	}
}

// scatter puts the bits of n where mask has ones.
func scatter(n, mask uint32) (w uint32) {
	for ; mask != 0; mask &= mask - 1 {
		w |= mask & -mask * (n & 1)
		n >>= 1
	}
	return w
}

func TestRegisters_AreNamedOnce(t *testing.T) {
	seen := map[asm.SysReg]bool{}
	for _, r := range Registers {
		assert.False(t, seen[r.ID], "%v", r.ID)
		seen[r.ID] = true
		assert.True(t, r.ID>>15 == 1, "%v: op0 is 2 or 3", r.ID)
	}
	_, ok := Lookup(ID(3, 0, 0, 7, 7))
	assert.True(t, ok, "a reserved ID register")
}

func TestIsFP(t *testing.T) {
	for name, w := range map[string]uint32{
		"movi": 0x2f00e400, "fadd": 0x1e612800, "fmov": 0x9e660000, "stp q": 0xad000400, "ldr d": 0xfd400000, "ldr d, literal": 0x5c000000,
		"ld1": 0x4c407000, "aese": 0x4e284800, "sha512h": 0xce608000, "add z": 0x04200000,
	} {
		assert.True(t, IsFP(w), name)
	}
	for name, w := range map[string]uint32{
		"ldr x": 0xf9400000, "stp x": 0xa9000400, "ldr x, literal": 0x58000000, "add": 0x8b010000, "add #": 0x91000000, "crc32x": 0x9ac04c00,
		"eret": 0xd69f03e0, "cas": 0xc8a07c00, "b": 0x14000000, "unallocated": 0,
	} {
		assert.False(t, IsFP(w), name)
	}
}

func TestFeatures_AreFieldsOfTheIDRegisters(t *testing.T) {
	for id, v := range (Features{}).Registers() {
		r, ok := Lookup(id)
		assert.True(t, ok)
		assert.Equal(t, r.Value, v, "%v: what the machine has by itself", id)
	}
	// The CPU model "max" of QEMU 5.0, but for RNDR.
	max := Features{FP: true, SVE: true, PAuth: true}.Registers()
	assert.EqualValues(t, 0x100112222, max[ID(3, 0, 0, 4, 0)])
	assert.EqualValues(t, 0x0021111110212120, max[ID(3, 0, 0, 6, 0)])
	assert.EqualValues(t, 0x11101211012, max[ID(3, 0, 0, 6, 1)])
	assert.EqualValues(t, 0x201, Features{MTE: true}.Registers()[ID(3, 0, 0, 4, 1)])
	assert.EqualValues(t, 1, Features{RNDR: true}.Registers()[ID(3, 0, 0, 6, 0)]>>60)
}

func TestEmulated_AreMovesOfThoseRegisters(t *testing.T) {
	for w, want := range map[uint32]bool{
		0xd5381000: true, 0xd5181000: true, 0xd5382040: true, 0xd5380400: true, 0xd5384100: false, 0xd5081000: false, 0xd503201f: false,
	} {
		_, write, ok := Emulated(w)
		assert.Equal(t, want, ok, "%#08x", w)
		assert.Equal(t, w == 0xd5181000, write, "%#08x", w)
	}
}
