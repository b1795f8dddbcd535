package asm

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/arch/arm64/arm64asm"
)

// golang.org/x/arch decodes what the constructors encode, over each operand's
// whole range while the others stay put.

// unknownToArch are the constructors whose words x/arch cannot decode; the
// assembler's goldens are their only check.
var unknownToArch = map[string]Inst{
	"Ldadd": Ldadd(X0, X1, X2), "Ldadda": Ldadda(X0, X1, X2), "Ldaddl": Ldaddl(X0, X1, X2), "Ldaddal": Ldaddal(X0, X1, X2),
	"Ldclr": Ldclr(X0, X1, X2), "Ldclra": Ldclra(X0, X1, X2), "Ldclrl": Ldclrl(X0, X1, X2), "Ldclral": Ldclral(X0, X1, X2),
	"Ldset": Ldset(X0, X1, X2), "Ldseta": Ldseta(X0, X1, X2), "Ldsetl": Ldsetl(X0, X1, X2), "Ldsetal": Ldsetal(X0, X1, X2),
	"Ldeor": Ldeor(X0, X1, X2), "Ldeora": Ldeora(X0, X1, X2), "Ldeorl": Ldeorl(X0, X1, X2), "Ldeoral": Ldeoral(X0, X1, X2),
	"Swp": Swp(X0, X1, X2), "Swpa": Swpa(X0, X1, X2), "Swpl": Swpl(X0, X1, X2), "Swpal": Swpal(X0, X1, X2),
	"Cas": Cas(X0, X1, X2), "Casa": Casa(X0, X1, X2), "Casl": Casl(X0, X1, X2), "Casal": Casal(X0, X1, X2),
	"Casp": Casp(X0, X2, X4), "Caspa": Caspa(X0, X2, X4), "Caspl": Caspl(X0, X2, X4), "Caspal": Caspal(X0, X2, X4),
	"Stadd": Stadd(X0, X1), "Staddl": Staddl(X0, X1), "Stclr": Stclr(X0, X1), "Stclrl": Stclrl(X0, X1),
	"Stset": Stset(X0, X1), "Stsetl": Stsetl(X0, X1), "Steor": Steor(X0, X1), "Steorl": Steorl(X0, X1),
	"Ldapr": Ldapr(X0, X1), "Ldaprb": Ldaprb(W0, X1), "Ldaprh": Ldaprh(W0, X1),
	"Hvc": Hvc(0), "Smc": Smc(0), "IcIvau": IcIvau(X0), "IcIallu": IcIallu(),
}

func TestRoundTrip_ListOfUnknownHolds(t *testing.T) {
	for name, i := range unknownToArch {
		w, err := i.Word()
		require.NoError(t, err, name)
		_, ok := disasmArch(w)
		assert.False(t, ok, "%s is known now: give it a round trip", name)
	}
}

func decodeArch(t *testing.T, w uint32) arm64asm.Inst {
	t.Helper()
	var code [4]byte
	binary.LittleEndian.PutUint32(code[:], w)
	inst, err := arm64asm.Decode(code[:])
	require.NoError(t, err, "%08x", w)
	return inst
}

// same requires that i decodes to the text, in x/arch's choice of aliases.
func same(t *testing.T, i Inst, format string, args ...any) {
	t.Helper()
	want := preferred(fmt.Sprintf(format, args...))
	w, err := i.Word()
	if err != nil {
		require.NoError(t, err, want)
	}
	// Comparing before asserting keeps a hundred thousand rows fast.
	if got, ok := disasmArch(w); !ok || got != want {
		require.Equal(t, want, got, "%08x", w)
	}
}

// preferred rewrites an instruction with the zero register to its alias.
func preferred(s string) string {
	op, rest, _ := strings.Cut(s, " ")
	args := strings.Split(rest, ", ")
	zero := func(n int) bool { return n < len(args) && (args[n] == "xzr" || args[n] == "wzr") }
	drop := func(op string, n int) string {
		return op + " " + strings.Join(append(append([]string{}, args[:n]...), args[n+1:]...), ", ")
	}
	switch {
	case op == "orr" && zero(1) && len(args) == 3 && !strings.HasPrefix(args[2], "#"):
		return drop("mov", 1)
	case op == "orn" && zero(1):
		return drop("mvn", 1)
	case op == "subs" && zero(0):
		return drop("cmp", 0)
	case op == "adds" && zero(0):
		return drop("cmn", 0)
	case op == "ands" && zero(0):
		return drop("tst", 0)
	case op == "sub" && zero(1):
		return drop("neg", 1)
	case op == "subs" && zero(1):
		return drop("negs", 1)
	case op == "sbc" && zero(1):
		return drop("ngc", 1)
	case op == "sbcs" && zero(1):
		return drop("ngcs", 1)
	case op == "madd" && zero(3):
		return drop("mul", 3)
	case op == "msub" && zero(3):
		return drop("mneg", 3)
	}
	return s
}

// regs are all registers of a width with number 31 as r31.
func regs(is64 bool, r31 Reg) []Reg {
	var rs []Reg
	for n := range 31 {
		rs = append(rs, pickReg(is64, n))
	}
	return append(rs, r31)
}

func pickReg(is64 bool, n int) Reg {
	if is64 {
		return X(n)
	}
	return W(n)
}

func gprs(is64 bool) []Reg { return regs(is64, zr(pickReg(is64, 0))) }

func sprs(is64 bool) []Reg {
	if is64 {
		return regs(true, SP)
	}
	return regs(false, WSP)
}

var widths = []bool{false, true}

type reg3 func(rd, rn, rm Reg) Inst

func TestRoundTrip_ThreeRegisters(t *testing.T) {
	for name, f := range map[string]reg3{
		"adc": Adc, "adcs": Adcs, "sbc": Sbc, "sbcs": Sbcs, "udiv": Udiv, "sdiv": Sdiv,
		"lsl": Lsl, "lsr": Lsr, "asr": Asr, "ror": Ror, "mul": Mul,
	} {
		for _, is64 := range widths {
			a, b := pickReg(is64, 7), pickReg(is64, 21)
			for _, r := range gprs(is64) {
				same(t, f(r, a, b), "%s %v, %v, %v", name, r, a, b)
				same(t, f(a, r, b), "%s %v, %v, %v", name, a, r, b)
				same(t, f(a, b, r), "%s %v, %v, %v", name, a, b, r)
			}
		}
	}
	for name, f := range map[string]func(rd, rn, rm, ra Reg) Inst{"madd": Madd, "msub": Msub} {
		for _, is64 := range widths {
			a, b, c := pickReg(is64, 7), pickReg(is64, 21), pickReg(is64, 30)
			for _, r := range gprs(is64) {
				same(t, f(r, a, b, c), "%s %v, %v, %v, %v", name, r, a, b, c)
				same(t, f(a, r, b, c), "%s %v, %v, %v, %v", name, a, r, b, c)
				same(t, f(a, b, r, c), "%s %v, %v, %v, %v", name, a, b, r, c)
				same(t, f(a, b, c, r), "%s %v, %v, %v, %v", name, a, b, c, r)
			}
		}
	}
}

func TestRoundTrip_MixedWidths(t *testing.T) {
	for _, c := range []struct {
		name       string
		f          reg3
		rd, rn, rm bool
	}{
		{"umulh", Umulh, true, true, true}, {"smulh", Smulh, true, true, true},
		{"umull", Umull, true, false, false}, {"smull", Smull, true, false, false},
		{"crc32b", Crc32b, false, false, false}, {"crc32h", Crc32h, false, false, false},
		{"crc32w", Crc32w, false, false, false}, {"crc32x", Crc32x, false, false, true},
		{"crc32cb", Crc32cb, false, false, false}, {"crc32ch", Crc32ch, false, false, false},
		{"crc32cw", Crc32cw, false, false, false}, {"crc32cx", Crc32cx, false, false, true},
	} {
		for n := range 32 {
			d, m, k := gprs(c.rd)[n], gprs(c.rn)[(n+7)%32], gprs(c.rm)[(n+19)%32]
			same(t, c.f(d, m, k), "%s %v, %v, %v", c.name, d, m, k)
		}
	}
	for name, f := range map[string]func(rd, rn Reg) Inst{"clz": Clz, "cls": Cls, "rbit": Rbit, "rev": Rev, "rev16": Rev16, "rev32": Rev32} {
		for _, is64 := range widths {
			if name == "rev32" && !is64 {
				continue
			}
			for n := range 32 {
				d, m := gprs(is64)[n], gprs(is64)[(n+7)%32]
				same(t, f(d, m), "%s %v, %v", name, d, m)
			}
		}
	}
}

func TestRoundTrip_ShiftedRegister(t *testing.T) {
	type shifted func(rd, rn, rm Reg, sh ...Shift) Inst
	arith := map[string]shifted{"add": Add, "adds": Adds, "sub": Sub, "subs": Subs}
	logic := map[string]shifted{"and": And, "orr": Orr, "eor": Eor, "ands": Ands, "bic": Bic, "orn": Orn, "eon": Eon, "bics": Bics}
	try := func(name string, f shifted, kinds ...func(int) Shift) {
		for _, is64 := range widths {
			a, b, c := pickReg(is64, 7), pickReg(is64, 21), pickReg(is64, 30)
			for _, r := range gprs(is64) {
				same(t, f(r, a, b), "%s %v, %v, %v", name, r, a, b)
				same(t, f(a, r, b), "%s %v, %v, %v", name, a, r, b)
				same(t, f(a, b, r), "%s %v, %v, %v", name, a, b, r)
			}
			for _, kind := range kinds {
				for n := range bitsOf(is64) {
					if s := kind(n); s != LSL(0) {
						same(t, f(a, b, c, s), "%s %v, %v, %v, %v", name, a, b, c, s)
					}
				}
			}
		}
	}
	for name, f := range arith {
		try(name, f, LSL, LSR, ASR)
	}
	for name, f := range logic {
		try(name, f, LSL, LSR, ASR, ROR)
	}
}

func TestRoundTrip_ShiftedAliases(t *testing.T) {
	for _, is64 := range widths {
		a, z := pickReg(is64, 12), zr(pickReg(is64, 0))
		for _, r := range gprs(is64) {
			for _, s := range []Shift{{}, LSL(3), LSR(31), ASR(1)} {
				assert.Equal(t, word(t, Subs(z, r, a, s)), word(t, Cmp(r, a, s)))
				assert.Equal(t, word(t, Adds(z, r, a, s)), word(t, Cmn(r, a, s)))
				assert.Equal(t, word(t, Ands(z, r, a, s)), word(t, Tst(r, a, s)))
				assert.Equal(t, word(t, Sub(r, z, a, s)), word(t, Neg(r, a, s)))
				assert.Equal(t, word(t, Orn(r, z, a, s)), word(t, Mvn(r, a, s)))
			}
			assert.Equal(t, word(t, Orr(r, z, a)), word(t, Mov(r, a)))
		}
		sp := sprs(is64)[31]
		same(t, Mov(a, sp), "mov %v, %v", a, sp)
		same(t, Mov(sp, a), "mov %v, %v", sp, a)
	}
}

func TestRoundTrip_ExtendedRegister(t *testing.T) {
	for name, f := range map[string]func(rd, rn, rm Reg, ext Ext, amount int) Inst{"add": AddExt, "sub": SubExt} {
		for _, is64 := range widths {
			for ext := UXTB; ext <= SXTX; ext++ {
				for amount := range 5 {
					for n := range 32 {
						rd, rn := sprs(is64)[n], sprs(is64)[(n+5)%32]
						rm := gprs(is64 && ext.takes64())[(n+11)%32]
						same(t, f(rd, rn, rm, ext, amount), "%s %v, %v, %v%s", name, rd, rn, rm, extText(rd, rn, ext, amount))
					}
				}
			}
		}
	}
	same(t, Cmp(SP, X3, LSL(2)), "cmp sp, x3, lsl #2")
}

// extText is the last operand as GNU writes it: with sp the plain extension is
// lsl, or nothing.
func extText(rd, rn Reg, ext Ext, amount int) string {
	plain := ext == UXTW && !rd.Is64() || ext == UXTX && rd.Is64()
	switch {
	case plain && (rd.isSP() || rn.isSP()) && amount == 0:
		return ""
	case plain && (rd.isSP() || rn.isSP()):
		return fmt.Sprintf(", lsl #%d", amount)
	case amount == 0:
		return ", " + ext.String()
	}
	return fmt.Sprintf(", %v #%d", ext, amount)
}

func TestRoundTrip_Imm12(t *testing.T) {
	for name, f := range map[string]func(rd, rn Reg, imm uint64) Inst{"add": AddImm, "sub": SubImm, "adds": AddsImm, "subs": SubsImm} {
		for _, is64 := range widths {
			a, b := pickReg(is64, 9), pickReg(is64, 20)
			for imm := range uint64(1 << 12) {
				same(t, f(a, b, imm), "%s %v, %v, #%#x", name, a, b, imm)
				if imm > 0 {
					same(t, f(a, b, imm<<12), "%s %v, %v, #%#x, lsl #12", name, a, b, imm)
				}
			}
			for n := range 32 {
				dst := sprs(is64)
				if strings.HasSuffix(name, "s") {
					dst = gprs(is64)
				}
				same(t, f(dst[n], b, 1), "%s %v, %v, #0x1", name, dst[n], b)
				same(t, f(a, sprs(is64)[n], 1), "%s %v, %v, #0x1", name, a, sprs(is64)[n])
			}
		}
	}
	for _, r := range append(sprs(true), sprs(false)...) {
		same(t, CmpImm(r, 0xabc), "cmp %v, #0xabc", r)
		same(t, CmnImm(r, 0xabc), "cmn %v, #0xabc", r)
	}
}

func TestRoundTrip_EveryBitmaskImmediate(t *testing.T) {
	for _, is64 := range widths {
		a, b := pickReg(is64, 9), pickReg(is64, 20)
		imms := everyBitmask(is64)
		for imm := range imms {
			same(t, AndImm(a, b, imm), "and %v, %v, #%#x", a, b, imm)
			same(t, OrrImm(a, b, imm), "orr %v, %v, #%#x", a, b, imm)
			same(t, EorImm(a, b, imm), "eor %v, %v, #%#x", a, b, imm)
			same(t, AndsImm(a, b, imm), "ands %v, %v, #%#x", a, b, imm)
			same(t, TstImm(a, imm), "tst %v, #%#x", a, imm)
			not := ^imm
			if !is64 {
				not &= 0xffffffff
			}
			same(t, BicImm(a, b, not), "and %v, %v, #%#x", a, b, imm)
		}
		for n := range 32 {
			s, g := sprs(is64)[n], gprs(is64)[n]
			same(t, AndImm(s, b, 6), "and %v, %v, #0x6", s, b)
			same(t, EorImm(s, b, 6), "eor %v, %v, #0x6", s, b)
			same(t, OrrImm(s, b, 6), "orr %v, %v, #0x6", s, b)
			same(t, AndsImm(g, b, 6), "ands %v, %v, #0x6", g, b)
			same(t, AndImm(a, g, 6), "and %v, %v, #0x6", a, g)
		}
	}
}

// everyBitmask builds the values from their definition: runs of ones, rotated
// in an element, repeated.
func everyBitmask(is64 bool) map[uint64]bool {
	all := map[uint64]bool{}
	for size := 2; size <= bitsOf(is64); size *= 2 {
		for ones := 1; ones < size; ones++ {
			for rot := range size {
				var v uint64
				for bit := range bitsOf(is64) {
					if (bit+rot)%size < ones {
						v |= 1 << bit
					}
				}
				all[v] = true
			}
		}
	}
	return all
}

func TestBitmask_CountsAreTheManuals(t *testing.T) {
	assert.Len(t, everyBitmask(true), 5334)
	assert.Len(t, everyBitmask(false), 1302)
}

func word(t *testing.T, i Inst) uint32 {
	t.Helper()
	w, err := i.Word()
	require.NoError(t, err)
	return w
}
