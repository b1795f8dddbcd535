package asm

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/arch/arm64/arm64asm"
)

// linked assembles one instruction at pc with its label at target.
func linked(t *testing.T, pc, target uint64, f func(Label) Inst) uint32 {
	t.Helper()
	b := NewBuilder()
	b.Emit(f(b.Abs("target", target)))
	p, err := b.Assemble(pc)
	require.NoError(t, err)
	return wordAt(p, 0)
}

// distances are a form's edges and a sample between them, multiples of unit.
func distances(reach, unit int64) []int64 {
	ds := []int64{-reach, -reach + unit, -unit, 0, unit, reach - unit}
	for d := unit; d < reach; d = d*3/2/unit*unit + unit {
		ds = append(ds, d, -d)
	}
	return ds
}

func TestRoundTrip_PCRelative(t *testing.T) {
	type form struct {
		text        string
		f           func(Label) Inst
		reach, unit int64
	}
	forms := []form{
		{"B", B, BranchReach, 4}, {"BL", BL, BranchReach, 4},
		{"CBZ X3", func(l Label) Inst { return Cbz(X3, l) }, CondBranchReach, 4},
		{"CBZ W3", func(l Label) Inst { return Cbz(W3, l) }, CondBranchReach, 4},
		{"CBNZ X30", func(l Label) Inst { return Cbnz(LR, l) }, CondBranchReach, 4},
		{"CBNZ WZR", func(l Label) Inst { return Cbnz(WZR, l) }, CondBranchReach, 4},
		{"ADR X3", func(l Label) Inst { return Adr(X3, l) }, AdrReach, 1},
		{"ADRP X30", func(l Label) Inst { return Adrp(LR, l) }, AdrpReach, 4096},
		{"LDR X3", func(l Label) Inst { return LdrLit(X3, l) }, LiteralReach, 4},
		{"LDR WZR", func(l Label) Inst { return LdrLit(WZR, l) }, LiteralReach, 4},
	}
	for c := EQ; c < AL; c++ {
		name := []string{"EQ", "NE", "CS", "CC", "MI", "PL", "VS", "VC", "HI", "LS", "GE", "LT", "GT", "LE"}[c]
		forms = append(forms, form{"B " + name, func(l Label) Inst { return BCond(c, l) }, CondBranchReach, 4})
	}
	for bit := range 64 {
		r := X3
		if bit < 32 {
			r = W3
		}
		upper := map[bool]string{true: "X3", false: "W3"}[r.Is64()]
		forms = append(forms,
			form{fmt.Sprintf("TBZ %s #%d", upper, bit), func(l Label) Inst { return Tbz(r, bit, l) }, TestBranchReach, 4},
			form{fmt.Sprintf("TBNZ %s #%d", upper, bit), func(l Label) Inst { return Tbnz(r, bit, l) }, TestBranchReach, 4})
	}
	const pc = 0xffff800080000000
	for _, f := range forms {
		for _, d := range distances(f.reach, f.unit) {
			inst := decodeArch(t, linked(t, pc, pc+uint64(d), f.f))
			text, got := inst.Op.String(), int64(-1)
			for _, a := range inst.Args {
				if rel, ok := a.(arm64asm.PCRel); ok {
					got = int64(rel)
				} else if a != nil {
					text += " " + a.String()
				}
			}
			require.Equal(t, f.text, text)
			require.Equal(t, d, got, "%s by %#x", f.text, d)
		}
	}
}

func TestRoundTrip_LabelImmediates(t *testing.T) {
	const page = 0xffff800080000000
	for off := uint64(0); off < 4096; off += 8 {
		w := linked(t, page, page+off, func(l Label) Inst { return AddLo12(X1, X2, l) })
		sameWord(t, w, "add x1, x2, #%#x", off)
		w = linked(t, page, page+off, func(l Label) Inst { return LdrLo12(X1, X2, l) })
		sameWord(t, w, "ldr x1, [x2%s]", offText(int(off)))
		w = linked(t, page, page+off+4, func(l Label) Inst { return StrLo12(W1, SP, l) })
		sameWord(t, w, "str w1, [sp, #%d]", off+4)
	}
	b := NewBuilder()
	b.Emit(LoadAddr(X6, b.Abs("near", page+0x5678))...)
	p, err := b.Assemble(page)
	require.NoError(t, err)
	for i, text := range []string{
		"adrp x6, ffff800080005000", "add x6, x6, #0x678",
	} {
		assert.Equal(t, text, Disassemble(wordAt(p, i), page, nil))
	}
}

func sameWord(t *testing.T, w uint32, format string, args ...any) {
	t.Helper()
	same(t, Inst{bits: uint64(w)}, format, args...)
}

func TestRoundTrip_BranchRegister(t *testing.T) {
	for _, r := range gprs(true) {
		same(t, Br(r), "br %v", r)
		same(t, Blr(r), "blr %v", r)
		if r != LR {
			same(t, RetReg(r), "ret %v", r)
		}
	}
	same(t, Ret(), "ret")
}

func TestRoundTrip_System(t *testing.T) {
	named := map[int]string{0: "nop", 1: "yield", 2: "wfe", 3: "wfi", 4: "sev", 5: "sevl"}
	for n := range 128 {
		if name, ok := named[n]; ok {
			same(t, Hint(n), "%s", name)
		} else {
			same(t, Hint(n), "hint #%#x", n)
		}
	}
	assert.Equal(t, word(t, Hint(0)), word(t, Nop()))
	assert.Equal(t, word(t, Hint(1)), word(t, Yield()))
	assert.Equal(t, word(t, Hint(25)), word(t, Paciasp()))
	assert.Equal(t, word(t, Hint(29)), word(t, Autiasp()))
	for k := BTINone; k <= BTIJC; k++ {
		assert.Equal(t, word(t, Hint(32+2*int(k))), word(t, Bti(k)))
	}
	for opt, name := range map[Barrier]string{
		OSHLD: "oshld", OSHST: "oshst", OSH: "osh", NSHLD: "nshld", NSHST: "nshst", NSH: "nsh",
		ISHLD: "ishld", ISHST: "ishst", ISH: "ish", LD: "ld", ST: "st", SY: "sy",
	} {
		same(t, Dmb(opt), "dmb %s", name)
		same(t, Dsb(opt), "dsb %s", name)
	}
	same(t, Isb(), "isb")
	for imm := 0; imm < 1<<16; imm += 13 {
		same(t, Svc(uint16(imm)), "svc #%#x", imm)
		same(t, Brk(uint16(imm)), "brk #%#x", imm)
		same(t, Hlt(uint16(imm)), "hlt #%#x", imm)
	}
	for r := range SysReg(1 << 14) {
		r |= 3 << 14
		rt := gprs(true)[r%32]
		text := fmt.Sprintf("s%d_%d_c%d_c%d_%d", r>>14, r>>11&7, r>>7&15, r>>3&15, r&7)
		same(t, Mrs(rt, r), "mrs %v, %s", rt, text)
		same(t, Msr(r, rt), "msr %s, %v", text, rt)
	}
	for _, r := range gprs(true) {
		same(t, DcCvau(r), "dc cvau, %v", r)
		same(t, DcCivac(r), "dc civac, %v", r)
		same(t, DcZva(r), "dc zva, %v", r)
	}
}

// Data items are no instructions; MovImm is checked by running it.
func TestRoundTrip_CoversEveryConstructor(t *testing.T) {
	files, err := filepath.Glob("roundtrip*_test.go")
	require.NoError(t, err)
	used := map[string]bool{"Word32": true, "Quad": true, "QuadAddr": true}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				used[id.Name] = true
			}
			return true
		})
	}
	constructors, _ := scanConstructors(t)
	for name := range constructors {
		assert.Contains(t, used, name, "no round trip")
	}
}
