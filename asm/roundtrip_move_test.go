package asm

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRoundTrip_MoveWide(t *testing.T) {
	for _, is64 := range widths {
		mask := ^uint64(0) >> (64 - bitsOf(is64))
		for shift := 0; shift < bitsOf(is64); shift += 16 {
			for imm := 0; imm < 1<<16; imm += 5 {
				h, r := uint16(imm), pickReg(is64, imm%31)
				text := fmt.Sprintf("#%#x", h)
				if shift > 0 {
					text += fmt.Sprintf(", lsl #%d", shift)
				}
				same(t, Movk(r, h, shift), "movk %v, %s", r, text)
				if h == 0 && shift > 0 {
					// Not the shortest form of its value, so no alias.
					same(t, Movz(r, h, shift), "movz %v, %s", r, text)
					same(t, Movn(r, h, shift), "movn %v, %s", r, text)
					continue
				}
				same(t, Movz(r, h, shift), "mov %v, #%#x", r, uint64(h)<<shift)
				if !is64 && h == 0xffff {
					same(t, Movn(r, h, shift), "movn %v, %s", r, text)
					continue
				}
				same(t, Movn(r, h, shift), "mov %v, #%#x", r, ^(uint64(h)<<shift)&mask)
			}
		}
	}
}

// runMoves interprets what MovImm emits.
func runMoves(t *testing.T, seq []Inst) uint64 {
	t.Helper()
	var v uint64
	for n, i := range seq {
		w := word(t, i)
		hw, imm, is64 := w>>21&3*16, uint64(w>>5&0xffff), w>>31 != 0
		switch w >> 23 & 0xff {
		case 0xa5: // movz
			v = imm << hw
		case 0x25: // movn
			v = ^(imm << hw)
		case 0xe5: // movk
			require.Positive(t, n)
			v = v&^(0xffff<<hw) | imm<<hw
		case 0x64: // orr
			require.Equal(t, uint32(31), w>>5&31)
			m, ok := DecodeBitmask(w>>22&1, w>>16&63, w>>10&63, is64)
			require.True(t, ok)
			v = m
		default:
			require.Fail(t, "no move", "%08x", w)
		}
		if !is64 {
			v &= 0xffffffff
		}
	}
	return v
}

func TestMovImm_LoadsTheValue(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	halves := []uint64{0, 0xffff, 1, 0x8000, 0x5555, 0x00ff, 0xff00, 0x1234}
	for range 20000 {
		v := uint64(0)
		for i := range 4 {
			v |= halves[rnd.IntN(len(halves))] << (16 * i)
		}
		require.Equal(t, v, runMoves(t, MovImm(X1, v)), "%#x", v)
		require.Equal(t, v&0xffffffff, runMoves(t, MovImm(W1, v&0xffffffff)), "%#x", v)
		v = rnd.Uint64()
		require.Equal(t, v, runMoves(t, MovImm(X1, v)), "%#x", v)
	}
}

func TestMovImm_IsShort(t *testing.T) {
	for v, want := range map[uint64]int{
		0: 1, 1: 1, 0xffff: 1, 0x10000: 1, 1 << 63: 1, ^uint64(0): 1, 0xfffffffffffffffe: 1,
		0x5555555555555555: 1, 0x00ff00ff00ff00ff: 1, 0x0000ffffffff0000: 1,
		0x12345678: 2, 0xffffffff12345678: 2, 0xffff800080001234: 3, 0xffff800080000000: 2,
		0x5555555555551234: 2, 0x00ff00ff00ff1234: 2, 0x123456789abc: 3, 0xffff8000876543a0: 3,
		0x5555123455556789: 3, 0x123456789abcdef0: 4,
	} {
		assert.Len(t, MovImm(X0, v), want, "%#x", v)
	}
	for v := range everyBitmask(true) {
		require.Len(t, MovImm(X0, v), 1, "%#x", v)
	}
	assert.Len(t, MovImm(W0, 0xffff1234), 1)
	assert.Len(t, MovImm(W0, 0x12345678), 2)
}

// bfmText is the alias the manual prefers for a bitfield move.
func bfmText(op string, rd, rn Reg, immr, imms int) string {
	size := bitsOf(rd.Is64())
	prefix := map[string]string{"ubfm": "ub", "sbfm": "sb", "bfm": "b"}[op]
	if op != "bfm" {
		ext := func(name string) string { return fmt.Sprintf("%s %v, %v", name, rd, rn&^reg64) }
		sign, right := "u", "lsr"
		if op == "sbfm" {
			sign, right = "s", "asr"
		}
		switch {
		case op == "ubfm" && imms != size-1 && imms+1 == immr:
			return fmt.Sprintf("lsl %v, %v, #%d", rd, rn, size-1-imms)
		case imms == size-1:
			return fmt.Sprintf("%s %v, %v, #%d", right, rd, rn, immr)
		case immr == 0 && imms == 7 && (sign == "s" || size == 32):
			return ext(sign + "xtb")
		case immr == 0 && imms == 15 && (sign == "s" || size == 32):
			return ext(sign + "xth")
		case immr == 0 && imms == 31 && sign == "s":
			return ext("sxtw")
		}
	}
	if imms < immr {
		name := prefix + "fiz"
		if op == "bfm" {
			name = "bfi"
		}
		return fmt.Sprintf("%s %v, %v, #%d, #%d", name, rd, rn, size-immr, imms+1)
	}
	name := prefix + "fx"
	if op == "bfm" {
		name = "bfxil"
	}
	return fmt.Sprintf("%s %v, %v, #%d, #%d", name, rd, rn, immr, imms-immr+1)
}

func TestRoundTrip_Bitfield(t *testing.T) {
	for name, f := range map[string]func(rd, rn Reg, immr, imms int) Inst{"ubfm": Ubfm, "sbfm": Sbfm, "bfm": Bfm} {
		for _, is64 := range widths {
			for immr := range bitsOf(is64) {
				for imms := range bitsOf(is64) {
					rd, rn := gprs(is64)[(immr+imms)%31], gprs(is64)[(immr*3+imms)%31]
					same(t, f(rd, rn, immr, imms), "%s", bfmText(name, rd, rn, immr, imms))
				}
			}
		}
	}
}

func TestRoundTrip_BitfieldAliases(t *testing.T) {
	for _, is64 := range widths {
		a, b, size := pickReg(is64, 9), pickReg(is64, 20), bitsOf(is64)
		for lsb := range size {
			assert.Equal(t, word(t, Ubfm(a, b, (size-lsb)%size, size-1-lsb)), word(t, LslImm(a, b, lsb)))
			assert.Equal(t, word(t, Ubfm(a, b, lsb, size-1)), word(t, LsrImm(a, b, lsb)))
			assert.Equal(t, word(t, Sbfm(a, b, lsb, size-1)), word(t, AsrImm(a, b, lsb)))
			assert.Equal(t, word(t, Extr(a, b, b, lsb)), word(t, RorImm(a, b, lsb)))
			same(t, RorImm(a, b, lsb), "ror %v, %v, #%d", a, b, lsb)
			same(t, Extr(a, b, gprs(is64)[31], lsb), "extr %v, %v, %v, #%d", a, b, gprs(is64)[31], lsb)
			for width := 1; width <= size-lsb; width++ {
				assert.Equal(t, word(t, Ubfm(a, b, lsb, lsb+width-1)), word(t, Ubfx(a, b, lsb, width)))
				assert.Equal(t, word(t, Sbfm(a, b, lsb, lsb+width-1)), word(t, Sbfx(a, b, lsb, width)))
				assert.Equal(t, word(t, Bfm(a, b, lsb, lsb+width-1)), word(t, Bfxil(a, b, lsb, width)))
				assert.Equal(t, word(t, Bfm(a, b, (size-lsb)%size, width-1)), word(t, Bfi(a, b, lsb, width)))
			}
		}
	}
	for n := range 32 {
		w, x, from := gprs(false)[n], gprs(true)[n], gprs(false)[(n+9)%32]
		for name, f := range map[string]func(rd, rn Reg) Inst{"uxtb": Uxtb, "uxth": Uxth, "sxtb": Sxtb, "sxth": Sxth, "sxtw": Sxtw} {
			if name != "sxtw" {
				same(t, f(w, from), "%s %v, %v", name, w, from)
			}
			if strings.HasPrefix(name, "s") {
				same(t, f(x, from), "%s %v, %v", name, x, from)
			}
		}
	}
}

func TestRoundTrip_Conditional(t *testing.T) {
	for name, f := range map[string]func(rd, rn, rm Reg, c Cond) Inst{"csel": Csel, "csinc": Csinc, "csinv": Csinv, "csneg": Csneg} {
		for _, is64 := range widths {
			for n := range 32 {
				rd, rn, rm := gprs(is64)[n], gprs(is64)[(n+7)%32], gprs(is64)[(n+19)%32]
				for c := EQ; c <= NV; c++ {
					same(t, f(rd, rn, rm, c), "%s %v, %v, %v, %v", name, rd, rn, rm, c)
				}
			}
		}
	}
	for _, is64 := range widths {
		for n := range 31 {
			rd, rn := gprs(is64)[n], gprs(is64)[(n+7)%31]
			for c := EQ; c < AL; c++ {
				same(t, Cset(rd, c), "cset %v, %v", rd, c)
				same(t, Csetm(rd, c), "csetm %v, %v", rd, c)
				same(t, Cinc(rd, rn, c), "cinc %v, %v, %v", rd, rn, c)
			}
		}
		a := pickReg(is64, 3)
		for n := range 32 {
			r := gprs(is64)[n]
			for nzcv := range 16 {
				c := Cond(n+nzcv) & 15
				same(t, Ccmp(r, a, nzcv, c), "ccmp %v, %v, #%#x, %v", r, a, nzcv, c)
				same(t, Ccmn(a, r, nzcv, c), "ccmn %v, %v, #%#x, %v", a, r, nzcv, c)
				same(t, CcmpImm(r, n, nzcv, c), "ccmp %v, #%#x, #%#x, %v", r, n, nzcv, c)
				same(t, CcmnImm(r, n, nzcv, c), "ccmn %v, #%#x, #%#x, %v", r, n, nzcv, c)
			}
		}
	}
}
