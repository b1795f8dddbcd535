package asm

import "testing"

func FuzzDisassemble(f *testing.F) {
	for class := range goldenClasses {
		b, rs := classRows(class)
		for _, r := range rs {
			b.Emit(r.inst)
		}
		p, err := b.Assemble(goldenBase)
		if err != nil {
			f.Fatal(err)
		}
		for n := 0; n < len(p.Code)/4; n += 5 {
			f.Add(wordAt(p, n), goldenBase)
		}
	}
	f.Fuzz(func(t *testing.T, w uint32, pc uint64) {
		s := Disassemble(w, pc, func(uint64) string { return "sym" })
		if s == "" || s != Disassemble(w, pc, func(uint64) string { return "sym" }) {
			t.Errorf("%08x: %q", w, s)
		}
		if target, _, ok := DecodeBranch(pc, w); ok && pc%4 == 0 {
			encode := EncodeB
			if IsBL(w) {
				encode = EncodeBL
			}
			if got, err := encode(pc, target); err != nil || got != w {
				t.Errorf("%08x at %#x: encodes to %08x, %v", w, pc, got, err)
			}
		}
	})
}

func FuzzBitmask(f *testing.F) {
	for _, v := range []uint64{0, 1, 5, 0xff, 0xff00ff, 0x5555555555555555, ^uint64(0), 1 << 63, 0xfffffffffffffff8} {
		f.Add(v, uint16(v))
	}
	f.Fuzz(func(t *testing.T, v uint64, fields uint16) {
		for _, is64 := range widths {
			if n, immr, imms, ok := encodeBitmask(v, is64); ok {
				if got, ok := DecodeBitmask(n, immr, imms, is64); !ok || got != v {
					t.Errorf("%#x: decodes to %#x, %v", v, got, ok)
				}
			}
			// Any valid fields name a value that can be encoded, though perhaps
			// by a smaller rotation.
			n, immr, imms := uint32(fields>>12&1), uint32(fields>>6&63), uint32(fields&63)
			if v, ok := DecodeBitmask(n, immr, imms, is64); ok {
				n, immr, imms, ok := encodeBitmask(v, is64)
				if got, again := DecodeBitmask(n, immr, imms, is64); !ok || !again || got != v {
					t.Errorf("%#x from fields %#x: %#x", v, fields, got)
				}
			}
		}
	})
}
