package asm

import (
	"fmt"
	"testing"
)

// access is one mnemonic at one width.
type access struct {
	name, unscaledName string
	f, unscaled        func(Reg, Mem) Inst
	size               int
	is64               bool
}

func accesses() []access {
	return []access{
		{"ldr", "ldur", Ldr, Ldur, 3, true}, {"ldr", "ldur", Ldr, Ldur, 2, false},
		{"str", "stur", Str, Stur, 3, true}, {"str", "stur", Str, Stur, 2, false},
		{"ldrb", "ldurb", Ldrb, Ldurb, 0, false}, {"strb", "sturb", Strb, Sturb, 0, false},
		{"ldrh", "ldurh", Ldrh, Ldurh, 1, false}, {"strh", "sturh", Strh, Sturh, 1, false},
		{"ldrsb", "ldursb", Ldrsb, Ldursb, 0, false}, {"ldrsb", "ldursb", Ldrsb, Ldursb, 0, true},
		{"ldrsh", "ldursh", Ldrsh, Ldursh, 1, false}, {"ldrsh", "ldursh", Ldrsh, Ldursh, 1, true},
		{"ldrsw", "ldursw", Ldrsw, Ldursw, 2, true},
	}
}

func offText(imm int) string {
	if imm == 0 {
		return ""
	}
	return fmt.Sprintf(", #%d", imm)
}

func TestRoundTrip_LoadsAndStores(t *testing.T) {
	for _, a := range accesses() {
		for n := range 32 {
			rt, rn := gprs(a.is64)[n], sprs(true)[(n+9)%32]
			same(t, a.f(rt, Base(rn)), "%s %v, [%v]", a.name, rt, rn)
			same(t, a.unscaled(rt, Base(rn)), "%s %v, [%v]", a.unscaledName, rt, rn)
		}
		rt := pickReg(a.is64, 3)
		for i := range 1 << 12 {
			same(t, a.f(rt, Off(X4, int64(i<<a.size))), "%s %v, [x4%s]", a.name, rt, offText(i<<a.size))
		}
		for i := -256; i < 256; i++ {
			same(t, a.unscaled(rt, Off(X4, int64(i))), "%s %v, [x4%s]", a.unscaledName, rt, offText(i))
			same(t, a.f(rt, Pre(X4, int64(i))), "%s %v, [x4, #%d]!", a.name, rt, i)
			same(t, a.f(rt, Post(SP, int64(i))), "%s %v, [sp], #%d", a.name, rt, i)
			if i < 0 || i&(1<<a.size-1) != 0 {
				same(t, a.f(rt, Off(X4, int64(i))), "%s %v, [x4, #%d]", a.unscaledName, rt, i)
			}
		}
	}
}

func TestRoundTrip_IndexedLoadsAndStores(t *testing.T) {
	for _, a := range accesses() {
		rt := pickReg(a.is64, 3)
		for n := range 32 {
			for _, shift := range []int{0, a.size} {
				text := ""
				if shift != 0 {
					text = fmt.Sprintf(" #%d", shift)
				}
				x, w, rn := gprs(true)[n], gprs(false)[n], sprs(true)[(n+9)%32]
				lsl := ""
				if shift != 0 {
					lsl = ", lsl" + text
				}
				same(t, a.f(rt, Idx(rn, x, shift)), "%s %v, [%v, %v%s]", a.name, rt, rn, x, lsl)
				same(t, a.f(rt, IdxExt(rn, w, UXTW, shift)), "%s %v, [%v, %v, uxtw%s]", a.name, rt, rn, w, text)
				same(t, a.f(rt, IdxExt(rn, w, SXTW, shift)), "%s %v, [%v, %v, sxtw%s]", a.name, rt, rn, w, text)
				same(t, a.f(rt, IdxExt(rn, x, SXTX, shift)), "%s %v, [%v, %v, sxtx%s]", a.name, rt, rn, x, text)
			}
		}
	}
}

func TestRoundTrip_Pairs(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func(rt, rt2 Reg, m Mem) Inst
		size int
		is64 bool
	}{{"ldp", Ldp, 3, true}, {"ldp", Ldp, 2, false}, {"stp", Stp, 3, true}, {"stp", Stp, 2, false}, {"ldpsw", Ldpsw, 2, true}} {
		for n := range 32 {
			a, b, rn := gprs(c.is64)[n], gprs(c.is64)[(n+1)%32], sprs(true)[(n+9)%32]
			same(t, c.f(a, b, Base(rn)), "%s %v, %v, [%v]", c.name, a, b, rn)
		}
		a, b := pickReg(c.is64, 3), pickReg(c.is64, 4)
		for i := -64; i < 64; i++ {
			off := i << c.size
			same(t, c.f(a, b, Off(X5, int64(off))), "%s %v, %v, [x5%s]", c.name, a, b, offText(off))
			same(t, c.f(a, b, Pre(SP, int64(off))), "%s %v, %v, [sp, #%d]!", c.name, a, b, off)
			same(t, c.f(a, b, Post(X5, int64(off))), "%s %v, %v, [x5], #%d", c.name, a, b, off)
		}
	}
}

func TestRoundTrip_OrderedAndExclusive(t *testing.T) {
	type two = func(rt, rn Reg) Inst
	type three = func(rs, rt, rn Reg) Inst
	for n := range 31 {
		w, x, rn := gprs(false)[n], gprs(true)[n], sprs(true)[(n+9)%32]
		for name, f := range map[string]two{"ldar": Ldar, "stlr": Stlr, "ldxr": Ldxr, "ldaxr": Ldaxr} {
			same(t, f(x, rn), "%s %v, [%v]", name, x, rn)
			same(t, f(w, rn), "%s %v, [%v]", name, w, rn)
		}
		for name, f := range map[string]two{
			"ldarb": Ldarb, "ldarh": Ldarh, "stlrb": Stlrb, "stlrh": Stlrh,
			"ldxrb": Ldxrb, "ldxrh": Ldxrh, "ldaxrb": Ldaxrb, "ldaxrh": Ldaxrh,
		} {
			same(t, f(w, rn), "%s %v, [%v]", name, w, rn)
		}
		rs := gprs(false)[(n+3)%32]
		for name, f := range map[string]three{"stxr": Stxr, "stlxr": Stlxr} {
			same(t, f(rs, x, rn), "%s %v, %v, [%v]", name, rs, x, rn)
			same(t, f(rs, w, rn), "%s %v, %v, [%v]", name, rs, w, rn)
		}
		for name, f := range map[string]three{"stxrb": Stxrb, "stxrh": Stxrh, "stlxrb": Stlxrb, "stlxrh": Stlxrh} {
			same(t, f(rs, w, rn), "%s %v, %v, [%v]", name, rs, w, rn)
		}
		for _, is64 := range widths {
			a, b := gprs(is64)[n], gprs(is64)[(n+1)%32]
			same(t, Ldxp(a, b, rn), "ldxp %v, %v, [%v]", a, b, rn)
			same(t, Ldaxp(a, b, rn), "ldaxp %v, %v, [%v]", a, b, rn)
			same(t, Stxp(rs, a, b, rn), "stxp %v, %v, %v, [%v]", rs, a, b, rn)
			same(t, Stlxp(rs, a, b, rn), "stlxp %v, %v, %v, [%v]", rs, a, b, rn)
		}
	}
}
