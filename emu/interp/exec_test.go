package interp

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
)

// operands are the registers that a row uses.
type operands struct {
	x0, x1, x2, x3 uint64
	nzcv           uint32
}

// Words are GNU as's; results are worked out by hand from the manual.
var execTable = map[string][]struct {
	text   string
	word   uint32
	before operands
	after  operands // x0 and the flags
}{
	"add, sub": {
		{"add x0, x1, x2", 0x8b020020, operands{x1: 1 << 63, x2: 1 << 63}, operands{x0: 0}},
		{"add w0, w1, w2", 0x0b020020, operands{x1: 0xdead00000000ffff, x2: 0xffff0001}, operands{x0: 0x100000000 & 0xffffffff}},
		{"add x0, x1, #0xfff, lsl #12", 0x917ffc20, operands{x1: 1}, operands{x0: 0xfff001}},
		{"sub x0, x1, #1", 0xd1000420, operands{x1: 0}, operands{x0: ^uint64(0)}},
		{"sub w0, w1, #1", 0x51000420, operands{x1: 0xffff000000000000}, operands{x0: 0xffffffff}},
		{"adds x0, x1, x2", 0xab020020, operands{x1: 1 << 63, x2: 1 << 63}, operands{x0: 0, nzcv: flagZ | flagC | flagV}},
		{"adds w0, w1, w2", 0x2b020020, operands{x1: 0x7fffffff, x2: 1}, operands{x0: 0x80000000, nzcv: flagN | flagV}},
		{"subs x0, x1, x2", 0xeb020020, operands{x1: 5, x2: 5}, operands{x0: 0, nzcv: flagZ | flagC}},
		{"subs x0, x1, x2", 0xeb020020, operands{x1: 0, x2: 1}, operands{x0: ^uint64(0), nzcv: flagN}},
		{"subs x0, x1, x2", 0xeb020020, operands{x1: 1 << 63, x2: 1}, operands{x0: 1<<63 - 1, nzcv: flagC | flagV}},
		{"subs w0, w1, w2", 0x6b020020, operands{x1: 0x1_8000_0000, x2: 1}, operands{x0: 0x7fffffff, nzcv: flagC | flagV}},
		{"cmp wzr, w1", 0x6b0103ff, operands{x1: 0x80000000}, operands{nzcv: flagN | flagV}},
		{"cmn x1, #1", 0xb100043f, operands{x1: ^uint64(0)}, operands{nzcv: flagZ | flagC}},
		{"add x0, x1, x2, lsl #63", 0x8b02fc20, operands{x1: 1, x2: 3}, operands{x0: 1<<63 + 1}},
		{"sub x0, x1, x2, asr #63", 0xcb82fc20, operands{x1: 1, x2: 1 << 63}, operands{x0: 2}},
		{"add w0, w1, w2, lsr #31", 0x0b427c20, operands{x1: 1, x2: 0xffffffff}, operands{x0: 2}},
		{"add x0, x1, w2, sxtb #4", 0x8b229020, operands{x1: 0, x2: 0x80}, operands{x0: ^uint64(0x7ff)}},
		{"add x0, x1, w2, uxth #1", 0x8b222420, operands{x1: 1, x2: 0xfffff}, operands{x0: 0x1ffff}},
		{"sub x0, x1, w2, uxtw", 0xcb224020, operands{x1: 0, x2: ^uint64(0)}, operands{x0: ^uint64(0xfffffffe)}},
		{"adc x0, x1, x2", 0x9a020020, operands{x1: ^uint64(0), x2: 0, nzcv: flagC}, operands{x0: 0, nzcv: flagC}},
		{"adcs w0, w1, w2", 0x3a020020, operands{x1: 0xffffffff, x2: 0, nzcv: flagC}, operands{x0: 0, nzcv: flagZ | flagC}},
		{"sbcs x0, x1, x2", 0xfa020020, operands{x1: 0, x2: 0}, operands{x0: ^uint64(0), nzcv: flagN}},
		{"sbc w0, w1, w2", 0x5a020020, operands{x1: 1 << 40, x2: 0, nzcv: flagC}, operands{x0: 0, nzcv: flagC}},
		{"ngcs x0, x1", 0xfa0103e0, operands{x1: 0, nzcv: flagC}, operands{x0: 0, nzcv: flagZ | flagC}},
	},
	"logic": {
		{"and x0, x1, #0xff00ff00ff00ff00", 0x92089c20, operands{x1: ^uint64(0)}, operands{x0: 0xff00ff00ff00ff00}},
		{"orr w0, w1, #0x80000001", 0x32010420, operands{x1: 1 << 63}, operands{x0: 0x80000001}},
		{"eor x0, x1, #1", 0xd2400020, operands{x1: 3}, operands{x0: 2}},
		{"ands x0, x1, #0x8000000000000000", 0xf2410020, operands{x1: 1 << 63, nzcv: flagC | flagV}, operands{x0: 1 << 63, nzcv: flagN}},
		{"tst w1, #1", 0x7200003f, operands{x1: 1 << 32, nzcv: flagC | flagV}, operands{nzcv: flagZ}},
		{"bic x0, x1, x2", 0x8a220020, operands{x1: 0xff, x2: 0x0f}, operands{x0: 0xf0}},
		{"bics w0, w1, w2, ror #4", 0x6ae21020, operands{x1: 0xffffffff, x2: 0x0000000f}, operands{x0: 0x0fffffff}},
		{"orn w0, wzr, w2", 0x2a2203e0, operands{x2: 0}, operands{x0: 0xffffffff}},
		{"eon x0, x1, x2, asr #1", 0xcaa20420, operands{x1: 0, x2: 1 << 63}, operands{x0: 0x3fffffffffffffff}},
		{"eor w0, w1, w2, ror #31", 0x4ac27c20, operands{x1: 0, x2: 0x80000000}, operands{x0: 1}},
		{"orr x0, x1, x2, lsr #63", 0xaa42fc20, operands{x1: 0, x2: 1 << 63}, operands{x0: 1}},
		{"and x0, x1, x2, lsl #1", 0x8a020420, operands{x1: ^uint64(0), x2: 1<<63 | 1}, operands{x0: 2}},
	},
	"moves": {
		{"movz x0, #0xffff, lsl #48", 0xd2ffffe0, operands{x0: 1}, operands{x0: 0xffff << 48}},
		{"movn w0, #0", 0x12800000, operands{x0: 1}, operands{x0: 0xffffffff}},
		{"movn x0, #0xffff, lsl #16", 0x92bfffe0, operands{}, operands{x0: ^uint64(0xffff0000)}},
		{"movk x0, #0, lsl #32", 0xf2c00000, operands{x0: ^uint64(0)}, operands{x0: 0xffff0000ffffffff}},
		{"movk w0, #1", 0x72800020, operands{x0: ^uint64(0)}, operands{x0: 0xffff0001}},
		{"mov w0, w1", 0x2a0103e0, operands{x1: ^uint64(0)}, operands{x0: 0xffffffff}},
	},
	"bit fields": {
		{"ubfx x0, x1, #63, #1", 0xd37ffc20, operands{x1: 1 << 63}, operands{x0: 1}},
		{"sbfx x0, x1, #4, #4", 0x93441c20, operands{x1: 0x80}, operands{x0: ^uint64(7)}},
		{"sbfx w0, w1, #31, #1", 0x131f7c20, operands{x1: 0x80000000}, operands{x0: 0xffffffff}},
		{"sbfiz w0, w1, #28, #4", 0x13040c20, operands{x1: 8}, operands{x0: 0x80000000}},
		{"sbfiz x0, x1, #8, #8", 0x93781c20, operands{x1: 0x80}, operands{x0: ^uint64(0x7fff)}},
		{"ubfiz x0, x1, #60, #4", 0xd3440c20, operands{x1: 0xff}, operands{x0: 0xf << 60}},
		{"bfi x0, x1, #60, #4", 0xb3440c20, operands{x0: 1, x1: 0xff}, operands{x0: 0xf<<60 | 1}},
		{"bfi w0, w1, #31, #1", 0x33010020, operands{x0: 1 << 63, x1: 1}, operands{x0: 0x80000000}},
		{"bfxil x0, x1, #60, #4", 0xb37cfc20, operands{x0: 0xff, x1: 5 << 60}, operands{x0: 0xf5}},
		{"lsl w0, w1, #31", 0x53010020, operands{x1: 3}, operands{x0: 0x80000000}},
		{"asr w0, w1, #31", 0x131f7c20, operands{x1: 0x80000000}, operands{x0: 0xffffffff}},
		{"lsr x0, x1, #63", 0xd37ffc20, operands{x1: ^uint64(0)}, operands{x0: 1}},
		{"sxtw x0, w1", 0x93407c20, operands{x1: 0x80000000}, operands{x0: 0xffffffff80000000}},
		{"sxth w0, w1", 0x13003c20, operands{x1: 0x8000}, operands{x0: 0xffff8000}},
		{"ror w0, w1, #1", 0x13810420, operands{x1: 1}, operands{x0: 0x80000000}},
		{"extr x0, x1, x2, #60", 0x93c2f020, operands{x1: 1, x2: 0xa << 60}, operands{x0: 0x1a}},
		{"extr w0, w1, w2, #0", 0x13820020, operands{x1: 7, x2: 1<<32 | 9}, operands{x0: 9}},
		{"extr x0, x1, x2, #0", 0x93c20020, operands{x1: 7, x2: 9}, operands{x0: 9}},
	},
	"multiply, divide, shift": {
		{"lsl x0, x1, x2", 0x9ac22020, operands{x1: 1, x2: 64}, operands{x0: 1}},
		{"lsl w0, w1, w2", 0x1ac22020, operands{x1: 1, x2: 33}, operands{x0: 2}},
		{"lsr w0, w1, w2", 0x1ac22420, operands{x1: 1 << 32, x2: 0}, operands{x0: 0}},
		{"asr x0, x1, x2", 0x9ac22820, operands{x1: 1 << 63, x2: 127}, operands{x0: ^uint64(0)}},
		{"asr w0, w1, w2", 0x1ac22820, operands{x1: 0x80000000, x2: 63}, operands{x0: 0xffffffff}},
		{"ror x0, x1, x2", 0x9ac22c20, operands{x1: 1, x2: 65}, operands{x0: 1 << 63}},
		{"udiv x0, x1, x2", 0x9ac20820, operands{x1: 7, x2: 0}, operands{x0: 0}},
		{"sdiv x0, x1, x2", 0x9ac20c20, operands{x1: 1 << 63, x2: ^uint64(0)}, operands{x0: 1 << 63}},
		{"sdiv w0, w1, w2", 0x1ac20c20, operands{x1: 0x80000000, x2: 0xffffffff}, operands{x0: 0x80000000}},
		{"sdiv w0, w1, w2", 0x1ac20c20, operands{x1: 0xfffffff9, x2: 2}, operands{x0: 0xfffffffd}},
		{"sdiv x0, x1, x2", 0x9ac20c20, operands{x1: 5, x2: 0}, operands{x0: 0}},
		{"udiv w0, w1, w2", 0x1ac20820, operands{x1: 1<<32 | 9, x2: 1<<32 | 2}, operands{x0: 4}},
		{"madd w0, w1, w2, w3", 0x1b020c20, operands{x1: 0xffffffff, x2: 0xffffffff, x3: 1 << 32}, operands{x0: 1}},
		{"msub x0, x1, x2, x3", 0x9b028c20, operands{x1: 3, x2: 4, x3: 10}, operands{x0: ^uint64(1)}},
		{"smaddl x0, w1, w2, x3", 0x9b220c20, operands{x1: 0xffffffff, x2: 2, x3: 1}, operands{x0: ^uint64(0)}},
		{"umaddl x0, w1, w2, x3", 0x9ba20c20, operands{x1: 0xffffffff, x2: 0xffffffff, x3: 1}, operands{x0: 0xfffffffe00000002}},
		{"smsubl x0, w1, w2, x3", 0x9b228c20, operands{x1: 0xffffffff, x2: 2, x3: 0}, operands{x0: 2}},
		{"umsubl x0, w1, w2, x3", 0x9ba28c20, operands{x1: 2, x2: 3, x3: 0}, operands{x0: ^uint64(5)}},
		{"umulh x0, x1, x2", 0x9bc27c20, operands{x1: ^uint64(0), x2: ^uint64(0)}, operands{x0: ^uint64(1)}},
		{"smulh x0, x1, x2", 0x9b427c20, operands{x1: ^uint64(0), x2: 1}, operands{x0: ^uint64(0)}},
		{"smulh x0, x1, x2", 0x9b427c20, operands{x1: 1 << 63, x2: 1 << 63}, operands{x0: 1 << 62}},
	},
	"one source": {
		{"rbit w0, w1", 0x5ac00020, operands{x1: 1}, operands{x0: 0x80000000}},
		{"rbit x0, x1", 0xdac00020, operands{x1: 1}, operands{x0: 1 << 63}},
		{"rev x0, x1", 0xdac00c20, operands{x1: 0x0102030405060708}, operands{x0: 0x0807060504030201}},
		{"rev w0, w1", 0x5ac00820, operands{x1: 0xff01020304}, operands{x0: 0x04030201}},
		{"rev32 x0, x1", 0xdac00820, operands{x1: 0x0102030405060708}, operands{x0: 0x0403020108070605}},
		{"rev16 w0, w1", 0x5ac00420, operands{x1: 0x01020304}, operands{x0: 0x02010403}},
		{"rev16 x0, x1", 0xdac00420, operands{x1: 0x0102030405060708}, operands{x0: 0x0201040306050807}},
		{"clz x0, x1", 0xdac01020, operands{x1: 0}, operands{x0: 64}},
		{"clz w0, w1", 0x5ac01020, operands{x1: 1 << 32}, operands{x0: 32}},
		{"cls x0, x1", 0xdac01420, operands{x1: ^uint64(0)}, operands{x0: 63}},
		{"cls w0, w1", 0x5ac01420, operands{x1: 0x80000000}, operands{x0: 0}},
		{"cls w0, w1", 0x5ac01420, operands{x1: 0}, operands{x0: 31}},
	},
	"crc": {
		{"crc32b w0, w1, w2", 0x1ac24020, operands{x1: 0xffffffff, x2: 'a'}, operands{x0: 0xe8b7be43 ^ 0xffffffff}},
		{"crc32cb w0, w1, w2", 0x1ac25020, operands{x1: 0xffffffff, x2: 'a'}, operands{x0: 0xc1d04330 ^ 0xffffffff}},
		{"crc32cw w0, w1, w2", 0x1ac25820, operands{x1: 0, x2: 0}, operands{x0: 0}},
		{"crc32x w0, w1, x2", 0x9ac24c20, operands{x1: 0, x2: 1 << 56}, operands{x0: 0x77073096}},
		{"crc32h w0, w1, w2", 0x1ac24420, operands{x1: 0, x2: 0xff0100 & 0xffff}, operands{x0: 0x77073096}},
	},
	"conditions": {
		{"ccmp x1, #31, #15, eq", 0xfa5f082f, operands{x1: 31, nzcv: flagZ}, operands{nzcv: flagZ | flagC}},
		{"ccmp x1, #31, #15, ne", 0xfa5f182f, operands{x1: 31, nzcv: flagZ}, operands{nzcv: flagN | flagZ | flagC | flagV}},
		{"ccmn w1, w2, #0, al", 0x3a42e020, operands{x1: 0x80000000, x2: 0x80000000}, operands{nzcv: flagZ | flagC | flagV}},
		{"ccmp w1, w2, #5, lt", 0x7a42b025, operands{x1: 1, x2: 2, nzcv: flagN | flagV}, operands{nzcv: flagZ | flagV}},
		{"csel x0, x1, x2, hi", 0x9a828020, operands{x1: 1, x2: 2, nzcv: flagC}, operands{x0: 1, nzcv: flagC}},
		{"csel x0, x1, x2, hi", 0x9a828020, operands{x1: 1, x2: 2, nzcv: flagZ | flagC}, operands{x0: 2, nzcv: flagZ | flagC}},
		{"csinc w0, w1, w2, eq", 0x1a820420, operands{x1: 1, x2: ^uint64(0)}, operands{x0: 0}},
		{"csinv x0, x1, x2, mi", 0xda824020, operands{x1: 1, x2: 0}, operands{x0: ^uint64(0)}},
		{"csneg w0, w1, w2, vs", 0x5a826420, operands{x1: 1, x2: 1}, operands{x0: 0xffffffff}},
		{"cset x0, le", 0x9a9fc7e0, operands{nzcv: flagN}, operands{x0: 1, nzcv: flagN}},
		{"csetm w0, ge", 0x5a9fb3e0, operands{nzcv: flagN | flagV}, operands{x0: 0xffffffff, nzcv: flagN | flagV}},
		{"csel x0, x1, x2, nv", 0x9a82f020, operands{x1: 1, x2: 2, nzcv: flagZ}, operands{x0: 1, nzcv: flagZ}},
		{"cfinv", 0xd500401f, operands{nzcv: flagN | flagC}, operands{nzcv: flagN}},
		{"rmif x1, #62, #15", 0xba1f042f, operands{x1: 0x2}, operands{nzcv: flagN}},
		{"setf8 w1", 0x3a00082d, operands{x1: 0x180, nzcv: flagC}, operands{nzcv: flagN | flagC}},
		{"setf16 w1", 0x3a00482d, operands{x1: 0x8000}, operands{nzcv: flagN | flagV}},
		{"axflag", 0xd500405f, operands{nzcv: flagC | flagV}, operands{nzcv: flagZ}},
		{"xaflag", 0xd500403f, operands{nzcv: flagZ}, operands{nzcv: flagC | flagV}},
	},
	"registers of the system": {
		{"mrs x0, currentel", 0xd5384240, operands{}, operands{x0: 4}},
		{"mrs x0, nzcv", 0xd53b4200, operands{nzcv: flagN | flagV}, operands{x0: 9 << 28, nzcv: flagN | flagV}},
		{"msr nzcv, x1", 0xd51b4201, operands{x1: ^uint64(0)}, operands{nzcv: flagN | flagZ | flagC | flagV}},
		{"mrs x0, dczid_el0", 0xd53b00e0, operands{}, operands{x0: 4}},
		{"mrs x0, ctr_el0", 0xd53b0020, operands{}, operands{x0: 0x8444c004}},
		{"mrs x0, cntvct_el0", 0xd53be040, operands{}, operands{x0: 0}},
		{"mrs x0, spsel", 0xd5384200, operands{}, operands{x0: 1}},
		{"mrs x0, daif", 0xd53b4220, operands{}, operands{x0: 0x3c0}},
		{"paciasp", 0xd503233f, operands{x0: 5}, operands{x0: 5}},
		{"xpaci x0", 0xdac143e0, operands{x0: 1 << 60}, operands{x0: 1 << 60}},
	},
}

func TestExec_CornerOperands(t *testing.T) {
	cpu := newTestCPU(t)
	const nop = 0xd503201f
	for class, table := range execTable {
		for _, r := range table {
			t.Run(class+"/"+r.text, func(t *testing.T) {
				cpu.put(t, agreeText, r.word, nop, nop)
				// A step goes to the reference, a longer run to the loop.
				for _, budget := range []uint64{1, 3} {
					cpu.count = 0
					regs := cpu.Regs()
					*regs = emu.Regs{PC: agreeText, NZCV: r.before.nzcv << 28}
					copy(regs.X[:], []uint64{r.before.x0, r.before.x1, r.before.x2, r.before.x3})
					exit, err := cpu.Run(context.Background(), budget)
					require.NoError(t, err)
					require.Equal(t, agreeText+4*budget, exit.PC, exit)
					assert.Equal(t, r.after.x0, regs.X[0], "budget %d", budget)
					assert.Equal(t, r.after.nzcv, regs.NZCV>>28, "budget %d", budget)
				}
			})
		}
	}
}
